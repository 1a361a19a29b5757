//! The flag table: from it follow the command line, the environment, the keys of the file and the reference.

use std::borrow::Cow;
use std::sync::LazyLock;

use noether_sources::meter::METERS;

use super::Command;
use super::choice::{Bases, Format, IdlePolicy, LogLevel, NameSource, Switch, names};

/// One setting, as a row of the table.
#[derive(Clone, Debug)]
pub struct Flag {
    /// Its dotted name, without the leading dashes.
    pub name: Cow<'static, str>,
    /// The heading under which help and reference show it.
    pub section: &'static str,
    /// What its values look like.
    pub kind: Kind,
    /// What holds where it is not given.
    pub preset: Preset,
    /// Whether it is a list.
    pub repeatable: bool,
    /// The commands whose command line offers it. Environment and file are shared by all commands.
    pub commands: &'static [Command],
    /// Whether it is a secret, which stands in the environment or the file, but on no command line.
    pub secret: bool,
    /// What it does, in one or two sentences.
    pub help: Cow<'static, str>,
}

/// What a flag's values look like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A listen address.
    Address,
    /// A duration as in Prometheus.
    Duration,
    /// A whole number.
    Number,
    /// A path in the file system.
    Path,
    /// A path in a URL.
    UrlPath,
    /// A server's URL.
    Url,
    /// A name.
    Name,
    /// A component's power.
    ComponentWatts,
    /// Pairs of a key and a value with spaces between; in the file a mapping.
    Pairs,
    /// Anything else that one line of text can be: as help shows it.
    Form(&'static str),
    /// True or false; on the command line the flag alone is true.
    Boolean,
    /// One of a few words.
    Choice(fn() -> Vec<&'static str>),
}

/// What holds where a flag is not given.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// This value, read as if it had been typed.
    Value(&'static str),
    /// Something that is not known before the program runs, in words.
    Derived(&'static str),
}

impl Flag {
    /// A setting that is no list and that every command offers.
    const fn new(
        section: &'static str,
        name: &'static str,
        kind: Kind,
        preset: Preset,
        help: &'static str,
    ) -> Self {
        let (name, help) = (Cow::Borrowed(name), Cow::Borrowed(help));
        Self { name, section, kind, preset, repeatable: false, commands: &Command::ALL, secret: false, help }
    }

    /// The same as a list.
    const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// The same, offered by one command only.
    const fn only(mut self, commands: &'static [Command]) -> Self {
        self.commands = commands;
        self
    }

    /// The same, but not on any command line: it is a secret, and who lists processes would read it.
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The switch of a meter.
    fn of_meter(name: &str, summary: &str) -> Self {
        let help = format!("Whether to use the meter {name}: {summary}.");
        let name = format!("meter.{name}").into();
        Self { name, help: help.into(), ..Self::new(METER, "", SWITCH, Preset::Value("auto"), "") }
    }

    /// The name of its environment variable.
    pub fn environment(&self) -> String {
        format!("NOETHER_{}", self.name.to_uppercase().replace(['.', '-'], "_"))
    }
}

impl Kind {
    /// What stands for a value in help and reference.
    pub fn placeholder(self) -> String {
        match self {
            Self::Address => "ADDRESS".into(),
            Self::Duration => "DURATION".into(),
            Self::Number => "NUMBER".into(),
            Self::Path | Self::UrlPath => "PATH".into(),
            Self::Url => "URL".into(),
            Self::Name => "NAME".into(),
            Self::ComponentWatts => "COMPONENT=WATTS".into(),
            Self::Pairs => "KEY=VALUE KEY=VALUE …".into(),
            Self::Form(form) => form.into(),
            Self::Boolean => names::<bool>().join("|"),
            Self::Choice(names) => names().join("|"),
        }
    }
}

impl Preset {
    /// As help and reference show it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Value(text) | Self::Derived(text) => text,
        }
    }
}

const GENERAL: &str = "General";
const WEB: &str = "Web";
const PATH: &str = "Paths";
const SAMPLE: &str = "Sampling";
const METER: &str = "Meters";
const WORKLOAD: &str = "Workloads";
const ATTRIBUTION: &str = "Attribution";
const GRID: &str = "Grid";
const CARBON: &str = "Prices and budgets";
const OTLP: &str = "OTLP";
const SECURITY: &str = "Security";
const LOG: &str = "Log";

const SWITCH: Kind = Kind::Choice(names::<Switch>);
const FORMAT: Kind = Kind::Choice(names::<Format>);
const PROVIDER: Kind = Kind::Choice(super::grid::provider_names);
const BASIS: Kind = Kind::Choice(names::<Bases>);
const NODE: &[Command] = &[Command::Node];
/// The two that serve.
const SERVERS: &[Command] = &[Command::Node, Command::Grid];
const ONLY_GRID: &[Command] = &[Command::Grid];
const PRINTERS: &[Command] = &[Command::Doctor, Command::Zones];
/// Those that give up what they do not need.
const CONFINED: &[Command] = &[Command::Node, Command::Grid, Command::Doctor];
/// Those that look at this machine.
const LOCAL: &[Command] = &[Command::Node, Command::Doctor];

/// What stands before the meters in the table.
#[rustfmt::skip] // One row each: a table is read by its columns.
const BEFORE_METERS: &[Flag] = &[
    Flag::new(GENERAL, "config.file", Kind::Path, Preset::Derived("none"),
        "A YAML file with any of these settings, nested along the dots; not a key of the file itself."),
    Flag::new(GENERAL, "node.name", Kind::Name, Preset::Derived("the host name"),
        "What this node is called.").only(LOCAL),
    Flag::new(GENERAL, "format", FORMAT, Preset::Value("text"),
        "How the findings are printed.").only(PRINTERS),
    Flag::new(WEB, "web.listen-address", Kind::Address, Preset::Derived(":18823, of grid :18824"),
        "Where to serve. Without a host: all interfaces, IPv6 and IPv4. Port 0 picks a free one and logs it. Or a Unix socket: unix:/run/noether.sock?mode=0660.")
        .repeatable().only(CONFINED),
    Flag::new(WEB, "web.config.file", Kind::Path, Preset::Derived("none"),
        "A YAML file with TLS, users, headers and a rate limit, in the format of Prometheus' exporter-toolkit; see docs/web.md.")
        .only(SERVERS),
    Flag::new(WEB, "web.systemd-socket", Kind::Boolean, Preset::Value("false"),
        "Whether to serve on the sockets that systemd passes instead of the listen addresses.").only(SERVERS),
    Flag::new(WEB, "web.telemetry-path", Kind::UrlPath, Preset::Value("/metrics"),
        "Where the metrics are.").only(CONFINED),
    Flag::new(WEB, "web.max-connections", Kind::Number, Preset::Value("512"),
        "How many connections may be open; beyond, one that dawdles or idles makes room for the newcomer.").only(SERVERS),
    Flag::new(PATH, "path.procfs", Kind::Path, Preset::Value("/proc"), "Where procfs is mounted.").only(LOCAL),
    Flag::new(PATH, "path.sysfs", Kind::Path, Preset::Value("/sys"), "Where sysfs is mounted.").only(LOCAL),
    Flag::new(PATH, "path.cgroupfs", Kind::Path, Preset::Derived("<path.sysfs>/fs/cgroup"),
        "Where the cgroup hierarchies are mounted: v2 where it holds cgroup.controllers, else v1 or hybrid.").only(LOCAL),
    Flag::new(PATH, "path.rootfs", Kind::Path, Preset::Value("/"),
        "Where the host's root is mounted: the kubelet's sockets and --slurm.jobs-folder lie below it.").only(LOCAL),
    Flag::new(SAMPLE, "sample.interval", Kind::Duration, Preset::Value("1s"),
        "Time between two ticks, 100ms to 1h: finer energy readings leak secrets (PLATYPUS, CVE-2020-8694); one in which a counter could wrap unseen is cut.")
        .only(NODE),
    Flag::new(SAMPLE, "ledger.granularity", Kind::Form("ENERGY"), Preset::Value("1uJ"),
        "The step in which energy is shown, as in 1mJ, 100mJ or 1J, up to 1000J: rounded down, the rest is pending. See docs/security.md.")
        .only(LOCAL),
];

/// What stands after the meters in the table.
#[rustfmt::skip]
const AFTER_METERS: &[Flag] = &[
    Flag::new(METER, "nvml.library", Kind::Path, Preset::Value("libnvidia-ml.so.1"),
        "The library of NVIDIA's driver: a path, or a name that the loader finds."),
    Flag::new(WORKLOAD, "workload.linger", Kind::Duration, Preset::Value("5m"),
        "How long a workload that ended keeps its series.").only(NODE),
    Flag::new(WORKLOAD, "workload.zero-hold", Kind::Duration, Preset::Value("150s"),
        "How long at most a new counter shows 0 while an active scraper has not fetched it.").only(NODE),
    Flag::new(WORKLOAD, "workload.max", Kind::Number, Preset::Value("5000"),
        "How many workloads have series of their own; those beyond go into container=\"_folded\".").only(NODE),
    Flag::new(WORKLOAD, "systemd.units", SWITCH, Preset::Value("auto"),
        "Whether systemd units have series; auto: where no kubelet runs.").only(LOCAL),
    Flag::new(WORKLOAD, "kubernetes", Kind::Choice(names::<NameSource>), Preset::Value("auto"),
        "Who tells the names of pods; auto: the first of the three that is there and answers. In the file also kubernetes: {source: auto}.").only(LOCAL),
    Flag::new(WORKLOAD, "kubernetes.pods-api-socket", Kind::Path,
        Preset::Derived("<path.rootfs>/var/lib/kubelet/pods-api/pods-api.sock"), "The socket of the kubelet's Pods API.").only(LOCAL),
    Flag::new(WORKLOAD, "kubernetes.pod-resources-socket", Kind::Path,
        Preset::Derived("<path.rootfs>/var/lib/kubelet/pod-resources/kubelet.sock"),
        "The socket on which the kubelet tells which containers hold which GPUs; asked where there are any, unless kubernetes is off.").only(LOCAL),
    Flag::new(WORKLOAD, "kubernetes.kubelet-url", Kind::Url, Preset::Derived("https://<node.name>:10250"),
        "The kubelet, as its certificate names it.").only(LOCAL),
    Flag::new(WORKLOAD, "kubernetes.kubelet-ca-file", Kind::Path, Preset::Derived("as kubernetes.ca-file"),
        "Who vouches for the kubelet's certificate.").only(LOCAL),
    Flag::new(WORKLOAD, "kubernetes.api-url", Kind::Url, Preset::Derived("where the cluster says"),
        "The API server; by default from KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.").only(LOCAL),
    Flag::new(WORKLOAD, "kubernetes.ca-file", Kind::Path, Preset::Value("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"),
        "Who vouches for the API server's certificate.").only(LOCAL),
    Flag::new(WORKLOAD, "kubernetes.token-file", Kind::Path, Preset::Value("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        "The service account's token for kubelet and API server; read anew for each request.").only(LOCAL),
    Flag::new(WORKLOAD, "kubernetes.pod-labels", Kind::Name, Preset::Derived("none"),
        "A pod label that noether_pod_info shows, as label_NAME.").repeatable().only(NODE),
    Flag::new(WORKLOAD, "kubernetes.pod-annotations", Kind::Name, Preset::Derived("none"),
        "A pod annotation that noether_pod_info shows, as annotation_NAME.").repeatable().only(NODE),
    Flag::new(WORKLOAD, "kubernetes.identity-timeout", Kind::Duration, Preset::Value("1m"),
        "How long a new workload's energy is held back for want of its name (pods, and Slurm jobs named by SLUID).").only(NODE),
    Flag::new(WORKLOAD, "slurm.jobs-folder", Kind::Path, Preset::Value("/run/noether/jobs"),
        "Where Slurm's prolog writes what a job is called, below --path.rootfs: one file for each job id.").only(NODE),
    Flag::new(ATTRIBUTION, "attribution.idle", Kind::Choice(names::<IdlePolicy>), Preset::Value("usage"),
        "Who is charged for the idle floor: each by its usage, each by what is reserved for it, or none.").only(NODE),
    Flag::new(ATTRIBUTION, "attribution.idle-watts", Kind::ComponentWatts, Preset::Derived("learned"),
        "The idle floor of a component (cpu, dram, gpu, other), as in cpu=35, instead of the learned one.")
        .repeatable().only(NODE),
    Flag::new(GRID, "grid.zone", Kind::Form("ZONE"), Preset::Derived("none"),
        "A zone of the electricity grid, as in DE, US-CAL-CISO or aws:eu-central-1 (noether zones lists them). Of node: where it draws its power; of grid: each zone that it serves.")
        .repeatable().only(SERVERS),
    Flag::new(GRID, "grid.provider", PROVIDER, Preset::Derived("none: only what is shipped"),
        "Who is asked for carbon intensity; for each zone and signal the first one of the list that covers it.")
        .repeatable().only(SERVERS),
    Flag::new(GRID, "grid.url", Kind::Form("[PROVIDER=]URL"), Preset::Derived("the provider's own"),
        "Another endpoint of a provider, or the path of the provider file. Without a name: of the only provider.")
        .repeatable().only(SERVERS),
    Flag::new(GRID, "grid.token-file", Kind::Form("[PROVIDER=]PATH"), Preset::Derived("none"),
        "A file with the token of a provider, or with USER:PASSWORD; read again when it changes.").repeatable().only(SERVERS),
    Flag::new(GRID, "grid.token", Kind::Form("[PROVIDER=]TOKEN"), Preset::Derived("none"),
        "The token of a provider, or USER:PASSWORD. Not on the command line, where all users of the machine can read it.")
        .repeatable().only(SERVERS).secret(),
    Flag::new(GRID, "grid.static", Kind::Form("[ZONE=]GRAMS"), Preset::Derived("none"),
        "The intensity that the provider static gives, in gCO2eq per kWh; without a zone: of every zone.").repeatable().only(SERVERS),
    Flag::new(GRID, "grid.max-age", Kind::Duration, Preset::Value("3h"),
        "How old a live intensity may be; beyond, only the shipped average is served.").only(SERVERS),
    Flag::new(GRID, "grid.basis", BASIS, Preset::Value("all"),
        "Which emissions are served. The shipped rules take lifecycle where they find it: direct makes them take that.").only(SERVERS),
    Flag::new(CARBON, "pue", Kind::Form("RATIO"), Preset::Derived("none: the rules take 1"),
        "Power usage effectiveness: what the data centre draws per what its machines draw; 1 or more.").only(SERVERS),
    Flag::new(CARBON, "energy.price", Kind::Form("USD"), Preset::Derived("none: no cost"),
        "What a kilowatt-hour costs, in US dollars.").only(SERVERS),
    Flag::new(CARBON, "carbon.social-cost", Kind::Form("COUNTRY:PERCENTILE=USD"), Preset::Derived("none"),
        "Social cost of carbon in US dollars per tonne, as in USA:50=190. The rules take percentile 50.").repeatable().only(SERVERS),
    Flag::new(CARBON, "budget", Kind::Pairs, Preset::Derived("none"),
        "An energy or carbon budget, as in \"namespace=ml energy-kwh=500 carbon-kg=100 period=month\"; see docs/budgets.md.")
        .repeatable().only(ONLY_GRID),
    Flag::new(OTLP, "otlp", SWITCH, Preset::Value("auto"),
        "Whether to push over OTLP, as the standard OTEL_* variables say; auto: where they name an endpoint. In the file also otlp: {push: auto}.")
        .only(SERVERS),
    Flag::new(OTLP, "otlp.hardware-metrics", Kind::Boolean, Preset::Value("false"),
        "Whether to push hw.energy and its like of the semantic conventions beside noether.*.").only(NODE),
    Flag::new(SECURITY, "security.sandbox", SWITCH, Preset::Value("auto"),
        "Whether to give up, after the start, capabilities and files that are not needed; auto: as far as the kernel and what is read allow; on: all of it, or it does not start. See docs/security.md.")
        .only(CONFINED),
    Flag::new(LOG, "log.format", FORMAT, Preset::Value("text"), "How log lines are written.").only(SERVERS),
    Flag::new(LOG, "log.level", Kind::Choice(names::<LogLevel>), Preset::Value("info"),
        "The least severity that is logged.").only(SERVERS),
];

/// The table.
pub static FLAGS: LazyLock<Vec<Flag>> = LazyLock::new(|| {
    let meters = METERS.iter().map(|probe| Flag::of_meter(probe.name, probe.summary));
    BEFORE_METERS.iter().cloned().chain(meters).chain(AFTER_METERS.iter().cloned()).collect()
});

/// Keys of the file for settings whose own name is that of a section, too.
const OWN_KEYS: [(&str, &str); 2] = [("kubernetes.source", "kubernetes"), ("otlp.push", "otlp")];

/// The row of a key of the file.
pub(super) fn find_key(key: &str) -> Option<&'static Flag> {
    let own = OWN_KEYS.iter().find(|(own, _)| *own == key);
    find(own.map_or(key, |(_, name)| *name))
}

/// The row of a name.
pub(super) fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_flag_has_help_and_a_name_of_its_own_everywhere() {
        let names: BTreeSet<_> = FLAGS.iter().map(|flag| &flag.name).collect();
        let variables: BTreeSet<_> = FLAGS.iter().map(Flag::environment).collect();
        assert_eq!((names.len(), variables.len()), (FLAGS.len(), FLAGS.len()));
        for flag in FLAGS.iter() {
            assert!(flag.help.ends_with('.') && flag.help.len() > 10, "{}", flag.name);
            assert!(!flag.kind.placeholder().is_empty() && !flag.preset.text().is_empty(), "{}", flag.name);
            assert!(!flag.commands.is_empty(), "{}", flag.name);
        }
    }

    #[test]
    fn sections_are_not_torn() {
        let mut sections: Vec<_> = FLAGS.iter().map(|flag| flag.section).collect();
        sections.dedup();
        assert_eq!(sections.len(), sections.iter().collect::<BTreeSet<_>>().len());
    }

    #[test]
    fn the_variable_follows_from_the_name() {
        assert_eq!(find("web.listen-address").unwrap().environment(), "NOETHER_WEB_LISTEN_ADDRESS");
        assert_eq!(find("meter.rapl_mmio").unwrap().environment(), "NOETHER_METER_RAPL_MMIO");
    }
}
