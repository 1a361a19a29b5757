//! What the settings mean: typed, checked, with defaults.

use std::path::PathBuf;
use std::time::Duration;

use noether_core::budget::Budget;
use noether_core::carbon::Pue;
use noether_core::granularity::Granularity;
use noether_core::grid::SocialCost;
use noether_core::ledger::Terms;
use noether_core::node::Policy;
use noether_core::reading::Component;
use noether_core::units::Power;
use noether_sources::kubernetes::AllowList;

use super::budget;
use super::choice::{Format, IdlePolicy, LogLevel, NameSource, Switch, choice};
use super::duration::duration;
use super::flags::FLAGS;
use super::given::{Layers, Origin};
use super::grid::GridSettings;
use super::listen_address::{ListenAddress, listen_address};
use super::value;
use super::{Command, Misuse};

/// Every setting, as the program uses it. A field is named as its flag.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `--config.file`
    pub config_file: Option<PathBuf>,
    /// `--node.name`; `None` is the host name.
    pub node_name: Option<String>,
    /// `--format` of `doctor`.
    pub format: Format,
    /// `--web.listen-address`, at least one.
    pub listen_addresses: Vec<ListenAddress>,
    /// `--web.config.file`
    pub web_config_file: Option<PathBuf>,
    /// `--web.systemd-socket`
    pub systemd_socket: bool,
    /// `--web.telemetry-path`, beginning with a slash.
    pub telemetry_path: String,
    /// `--web.max-connections`, above 0.
    pub max_connections: usize,
    /// `--path.procfs`
    pub procfs: PathBuf,
    /// `--path.sysfs`
    pub sysfs: PathBuf,
    /// `--path.cgroupfs`, or its default below `sysfs`.
    pub cgroupfs: PathBuf,
    /// `--path.rootfs`
    pub rootfs: PathBuf,
    /// `--sample.interval`, 100 ms or more.
    pub sample_interval: Duration,
    /// `--ledger.granularity`
    pub granularity: Granularity,
    /// `--meter.<name>`, in the order of the meters' table.
    pub meters: Vec<(&'static str, Switch)>,
    /// `--nvml.library`
    pub nvml_library: PathBuf,
    /// `--workload.linger`
    pub linger: Duration,
    /// `--workload.zero-hold`
    pub zero_hold: Duration,
    /// `--workload.max`
    pub max_workloads: usize,
    /// `--systemd.units`
    pub systemd_units: Switch,
    /// `--kubernetes` and its flags.
    pub kubernetes: Kubernetes,
    /// `--kubernetes.identity-timeout`
    pub identity_timeout: Duration,
    /// `--slurm.jobs-folder`, as the host sees it.
    pub jobs_folder: PathBuf,
    /// `--attribution.idle`
    pub idle: IdlePolicy,
    /// `--attribution.idle-watts`, each component at most once.
    pub idle_watts: Vec<(Component, Power)>,
    /// `--grid.*`
    pub grid: GridSettings,
    /// `--pue`
    pub pue: Option<Pue>,
    /// `--energy.price`, in US dollars per kilowatt-hour.
    pub usd_per_kwh: Option<f64>,
    /// `--carbon.social-cost`
    pub social_costs: Vec<SocialCost>,
    /// `--budget`, each subject and period at most once.
    pub budgets: Vec<Budget>,
    /// `--otlp`
    pub otlp: Switch,
    /// `--otlp.hardware-metrics`
    pub otlp_hardware: bool,
    /// `--security.sandbox`
    pub sandbox: Switch,
    /// `--log.format`
    pub log_format: Format,
    /// `--log.level`
    pub log_level: LogLevel,
}

impl Settings {
    /// What was typed, as it is meant.
    pub(super) fn from_layers(layers: &Layers, command: Command) -> Result<Self, Misuse> {
        let sysfs = layers.one("path.sysfs", value::path)?;
        let cgroupfs = layers.optional("path.cgroupfs", value::path)?;
        Ok(Self {
            config_file: layers.optional("config.file", value::path)?,
            node_name: layers.optional("node.name", value::name)?,
            format: layers.one("format", choice)?,
            listen_addresses: listen_addresses(layers, command)?,
            web_config_file: layers.optional("web.config.file", value::path)?,
            systemd_socket: layers.one("web.systemd-socket", choice)?,
            telemetry_path: layers.one("web.telemetry-path", value::url_path)?,
            max_connections: layers.one("web.max-connections", value::positive)?,
            procfs: layers.one("path.procfs", value::path)?,
            cgroupfs: cgroupfs.unwrap_or_else(|| sysfs.join("fs/cgroup")),
            sysfs,
            rootfs: layers.one("path.rootfs", value::path)?,
            sample_interval: layers.one("sample.interval", value::interval)?,
            granularity: layers.one("ledger.granularity", value::granularity)?,
            meters: meters(layers)?,
            nvml_library: layers.one("nvml.library", value::path)?,
            linger: layers.one("workload.linger", duration)?,
            zero_hold: layers.one("workload.zero-hold", duration)?,
            max_workloads: layers.one("workload.max", value::number)?,
            systemd_units: layers.one("systemd.units", choice)?,
            kubernetes: Kubernetes::from_layers(layers)?,
            identity_timeout: layers.one("kubernetes.identity-timeout", duration)?,
            jobs_folder: layers.one("slurm.jobs-folder", value::path)?,
            idle: layers.one("attribution.idle", choice)?,
            idle_watts: idle_watts(layers)?,
            grid: GridSettings::from_layers(layers, command)?,
            pue: layers.optional("pue", value::pue)?,
            usd_per_kwh: layers.optional("energy.price", value::usd)?,
            social_costs: social_costs(layers)?,
            budgets: budget::budgets(layers)?,
            otlp: layers.one("otlp", choice)?,
            otlp_hardware: layers.one("otlp.hardware-metrics", choice)?,
            sandbox: layers.one("security.sandbox", choice)?,
            log_format: layers.one("log.format", choice)?,
            log_level: layers.one("log.level", choice)?,
        })
    }
}

impl Settings {
    /// How the node is to be accounted.
    pub fn policy(&self) -> Policy {
        Policy {
            terms: Terms { linger: self.linger, zero_hold: self.zero_hold, max: self.max_workloads },
            idle: self.idle,
            floors: self.idle_watts.clone(),
            identity_timeout: self.identity_timeout,
            granularity: self.granularity,
        }
    }
}

/// How names of pods are to be had. A field is named as its flag; what is `None` is derived from the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Kubernetes {
    /// `--kubernetes`
    pub source: NameSource,
    /// `--kubernetes.pods-api-socket`
    pub pods_api_socket: Option<PathBuf>,
    /// `--kubernetes.pod-resources-socket`
    pub pod_resources_socket: Option<PathBuf>,
    /// `--kubernetes.kubelet-url`
    pub kubelet_url: Option<String>,
    /// `--kubernetes.kubelet-ca-file`
    pub kubelet_ca_file: Option<PathBuf>,
    /// `--kubernetes.api-url`
    pub api_url: Option<String>,
    /// `--kubernetes.ca-file`
    pub ca_file: PathBuf,
    /// `--kubernetes.token-file`
    pub token_file: PathBuf,
    /// `--kubernetes.pod-labels` and `--kubernetes.pod-annotations`
    pub allowed: AllowList,
}

impl Kubernetes {
    fn from_layers(layers: &Layers) -> Result<Self, Misuse> {
        let labels = "kubernetes.pod-labels";
        let allowed = AllowList::new(
            &layers.list(labels, value::label)?,
            &layers.list("kubernetes.pod-annotations", value::label)?,
        );
        Ok(Self {
            source: layers.one("kubernetes", choice)?,
            pods_api_socket: layers.optional("kubernetes.pods-api-socket", value::path)?,
            pod_resources_socket: layers.optional("kubernetes.pod-resources-socket", value::path)?,
            kubelet_url: layers.optional("kubernetes.kubelet-url", value::url)?,
            kubelet_ca_file: layers.optional("kubernetes.kubelet-ca-file", value::path)?,
            api_url: layers.optional("kubernetes.api-url", value::url)?,
            ca_file: layers.one("kubernetes.ca-file", value::path)?,
            token_file: layers.one("kubernetes.token-file", value::path)?,
            allowed: allowed.map_err(|complaint| Misuse::at(&layers.origin(labels), labels, &complaint))?,
        })
    }
}

fn listen_addresses(layers: &Layers, command: Command) -> Result<Vec<ListenAddress>, Misuse> {
    let name = "web.listen-address";
    let addresses = layers.list(name, listen_address)?;
    if addresses.is_empty() && layers.origin(name) == Origin::Default {
        let port = if command == Command::Grid { 18824 } else { 18823 };
        return Ok(vec![ListenAddress::Tcp { host: None, port }]);
    }
    if addresses.is_empty() {
        return Err(Misuse::at(&layers.origin(name), name, "is an empty list; give it one address at least"));
    }
    Ok(addresses)
}

fn meters(layers: &Layers) -> Result<Vec<(&'static str, Switch)>, Misuse> {
    let names = FLAGS.iter().filter_map(|flag| Some((&*flag.name, flag.name.strip_prefix("meter.")?)));
    names.map(|(flag, meter)| Ok((meter, layers.one(flag, choice)?))).collect()
}

fn social_costs(layers: &Layers) -> Result<Vec<SocialCost>, Misuse> {
    let name = "carbon.social-cost";
    let costs = layers.list(name, value::social_cost)?;
    for (index, cost) in costs.iter().enumerate() {
        let same = |other: &&SocialCost| other.country == cost.country && other.percentile == cost.percentile;
        if costs.iter().skip(index + 1).any(|other| same(&other)) {
            let complaint = format!("names {}:{} twice; name it once", cost.country, cost.percentile);
            return Err(Misuse::at(&layers.origin(name), name, &complaint));
        }
    }
    Ok(costs)
}

fn idle_watts(layers: &Layers) -> Result<Vec<(Component, Power)>, Misuse> {
    let name = "attribution.idle-watts";
    let watts = layers.list(name, value::component_watts)?;
    let twice =
        Component::ALL.into_iter().find(|this| watts.iter().filter(|(other, _)| other == this).count() > 1);
    match twice {
        Some(component) => {
            let complaint = format!("names {} twice; name each component once", component.label());
            Err(Misuse::at(&layers.origin(name), name, &complaint))
        }
        None => Ok(watts),
    }
}
