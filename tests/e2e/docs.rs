//! The documentation is true: references are as the code generates them, names exist, links lead somewhere, and
//! `promtool` takes the rules.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use noether_core::counter::Doubt;
use noether_core::metric::{METRICS, Metric};
use noether_core::reading::Fault;
use noether_core::vitals::BOUNDS;
use noether_sources::meter::METERS;
use noether_sources::pattern::PATTERNS;
use noether_tests::outcome::cannot_run;
use noether_tests::prometheus::Prometheus;

use crate::rules;

const GENERATED: &str = "<!-- Generated: NOETHER_BLESS=1 ./test docs:: writes it anew. -->\n\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares a page with the committed one, or writes it where `NOETHER_BLESS=1`.
fn committed(name: &str, page: &str) {
    let (path, page) = (root().join("docs").join(name), format!("{GENERATED}{page}"));
    if env::var_os("NOETHER_BLESS").is_some_and(|value| value == "1") {
        return fs::write(&path, page).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let stale = fs::read_to_string(&path).ok().is_none_or(|committed| committed != page);
    assert!(!stale, "docs/{name} is not what the code says; NOETHER_BLESS=1 ./test docs:: writes it anew");
}

/// A cell of a table: a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn code(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn metric_row(metric: &Metric) -> String {
    let Metric { name, otlp, kind, unit, labels, help } = metric;
    let (kind, unit, labels) = (kind.word(), unit.suffix(), code(labels));
    format!("| `{name}` | {kind} | {unit} | {labels} | {} | `{otlp}` |\n", cell(help))
}

#[test]
fn metrics() {
    let bounds = BOUNDS.map(|bound| format!("{bound}")).join(", ");
    let page = format!(
        "\
# Metrics

Every series that the exporter serves at `--web.telemetry-path`, in the order of exposition. A family without a sample is
not shown at all. Energy has exactly six decimals: it is a whole number of microjoules. How the values come about is in
[attribution.md](attribution.md), how far they can be trusted in [accuracy.md](accuracy.md).

- `component` is `cpu` (processor packages), `dram` (main memory), `gpu` (accelerators) or `other` (what a whole-node meter has
  beyond cpu and dram). Only components that have a meter have series.
- `mode` is `active` (above the idle floor) or `idle` (the floor).
- `quality` is `measured` (an energy counter), `integrated` (power samples, integrated here), `modelled` (no meter) or `host` (an
  energy counter that is not this system's own: the host's, seen from a container, or a hypervisor's).
- `reason` of a meter is {}; or, for a reading that is a reset and adds nothing,
  {}. Of a source of usage or names it is one of the first four; of a meter as a source it is `read`.
- `gpu` is the number of a device of NVIDIA, which it keeps as long as the exporter runs, or the name of a card (`card0`); `uuid`
  is the device's or MIG instance's own id. `method` is explained in [gpu.md](gpu.md).
- `namespace` and `pod` are empty outside of pods. Of a pod whose names are not to be had, `namespace` is empty and `pod` its
  uid ([kubernetes-names.md](kubernetes-names.md)). `noether_pod_info` also has `label_*` and `annotation_*`, as
  `--kubernetes.pod-labels` and `--kubernetes.pod-annotations` allow. `container` is the first 12 digits of the id, or the name of a container that has no such id (LXC, nspawn, `ctr run`, a task
  of ECS or Nomad), behind `user@UID.service/` where it is a user's own; `container=\"POD\"` is a pod's own time, and `container=\"_folded\"` holds the workloads beyond `--workload.max`.
- The durations' buckets end at {bounds} seconds.

The OTLP name is what is pushed ([otlp.md](otlp.md)); Prometheus translates it back to the name.

| name | type | unit | labels | help | OTLP name |
| --- | --- | --- | --- | --- | --- |
{}",
        code(&Fault::ALL.map(Fault::label)),
        code(&Doubt::ALL.map(Doubt::label)),
        METRICS.iter().map(metric_row).collect::<String>()
    );
    committed("metrics.md", &page);
}

/// Where usage comes from; these have no switch, so no table in the code.
const USAGE: &str = "\
| source | what it tells | reads | if it cannot be read |
| --- | --- | --- | --- |
| `stat` | busy time of the processors, by socket | `<procfs>/stat`, `<sysfs>/devices/system/cpu/cpu*/topology/physical_package_id` | mount the host's `/proc` and pass `--path.procfs` |
| `meminfo` | memory in use | `<procfs>/meminfo` | as above |
| `cgroup` | CPU time of each cgroup; its memory where there is a dram domain, huge pages included; its cpuset where there are several sockets; its limits under `--attribution.idle=requests` | v2: `cpu.stat`, `cgroup.events`, `memory.current`, `memory.stat`, `cpuset.cpus.effective`, `cpu.max`, `cpu.weight`, `memory.max`. v1: `cpuacct.usage`, `memory.usage_in_bytes`, `memory.stat`, `cpuset.effective_cpus`, `cpuset.cpus`, `cpu.cfs_quota_us`, `cpu.cfs_period_us`, `cpu.shares`, `memory.limit_in_bytes`. Both: `hugetlb.*` of pages in use, `cpuset.cpus`. Without a memory controller: `cgroup.procs` and `<procfs>/PID/statm`; without a hugetlb one, `<procfs>/PID/status`. On hybrid hosts, and for other paths on v1: `<procfs>/PID/cgroup` | mount the host's `/sys` read-only and pass `--path.sysfs`, or pass `--path.cgroupfs` |

The source `kubernetes` tells the names of pods: [kubernetes-names.md](kubernetes-names.md). The source `pod_resources` tells which of
their containers hold which GPUs: [gpu.md](gpu.md#holders).

What a Slurm job is called is in `<path.rootfs>/<slurm.jobs-folder>/<job_id>`, which a prolog writes, or in the environment of its
processes (`<procfs>/PID/environ`), which root only may read: [slurm.md](slurm.md). A job whose folder is named by SLUID gets
its number from there too. Until then its energy is pending, at most for `--kubernetes.identity-timeout`; then it goes under
the SLUID until the number comes.
";

#[test]
fn sources() {
    let meters: String = METERS
        .iter()
        .map(|probe| {
            format!(
                "### `{}`\n\n{}.\n\nReads `{}`. Switch: `--meter.{}=auto|on|off`.\n\nIf it cannot be read: {}\n\n",
                probe.name,
                capital(probe.summary),
                probe.reads,
                probe.name,
                plain(probe.mend)
            )
        })
        .collect();
    let patterns: String = PATTERNS
        .iter()
        .map(|pattern| {
            let examples: Vec<_> = pattern.examples.iter().map(|path| format!("`{path}`")).collect();
            format!("| {} | {} | {} |\n", pattern.name, pattern.becomes, examples.join("<br>"))
        })
        .collect();
    let page = format!(
        "\
# Sources

What is read, and what helps where it cannot be. `noether doctor` says the same of the machine it runs on. All paths lie
below `--path.procfs`, `--path.sysfs` and `--path.cgroupfs`.

## Meters

Measured ones first. For each piece of silicon the first that can be read feeds the node's total.

{meters}## Usage

{USAGE}
## Workloads

A workload is told by its cgroup's path alone. The path is walked from the root; in each folder the first row that fits
decides. Energy goes to the nearest enclosing workload. Ids are shown whole in the `*_info` series and with 12 digits in
`container`. Slices only group; the QoS slices of Kubernetes are no pods.

What a user makes below the own slice or manager is the user's: no pod, job or virtual machine, and a container is shown as
`user@UID.service/ID` ([security.md](security.md#delegated-trees)). A container below another one of a pod is that pod's, as
soon as the pod is known; a pod in there is none. Of a libvirt domain whose name may have been cut, the number of the running
domain follows the name: `NAME~N`.

| who makes it | becomes | examples |
| --- | --- | --- |
{patterns}"
    );
    committed("sources.md", &page);
}

/// Prose in which `<procfs>` is no mark-up.
fn plain(text: &str) -> String {
    text.replace('<', "&lt;")
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}

#[test]
fn configuration() {
    committed("configuration.md", &noether::settings::reference());
}

/// The pages that people write and read.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    for folder in ["docs", "docs/alerts", "docs/decisions"] {
        let entries = fs::read_dir(root().join(folder)).expect("the folder").flatten();
        pages
            .extend(entries.map(|entry| entry.path()).filter(|path| path.extension() == Some("md".as_ref())));
    }
    pages
}

#[test]
fn every_name_exists() {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let crates = ["noether_core", "noether_sources", "noether_exposition", "noether_tests"];
    // What stands between the colons of a recorded name.
    let recorded: BTreeSet<String> = rules::names("- record:")
        .iter()
        .filter_map(|name| name.split(':').find(|part| part.starts_with("noether_")).map(str::to_owned))
        .collect();
    let known = |name: &str| {
        let of = |metric: &Metric| {
            // A group of names, as `noether_meter_*`, or a series of a histogram.
            let group = metric.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
            let series = |rest: &str| ["", "_bucket", "_sum", "_count"].contains(&rest);
            group || name.strip_prefix(metric.name).is_some_and(series)
        };
        crates.contains(&name) || METRICS.iter().any(of) || recorded.contains(name)
    };
    let rules = root().join("docs/compat-rules.yaml");
    for path in pages().into_iter().chain([rules]) {
        let text = read(&path);
        let names: BTreeSet<_> = text.split(|c| !is_name(c)).map(|word| word.trim_end_matches('_')).collect();
        for name in names.into_iter().filter(|name| name.starts_with("noether_")) {
            assert!(known(name), "{}: no metric is called {name}", path.display());
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    for path in pages() {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let there = target.is_empty()
                || target.contains("://")
                || path.parent().expect("a folder").join(target).exists();
            assert!(there, "{}: {target} is not there", path.display());
        }
    }
}

#[test]
fn the_rules_are_shown_as_they_are() {
    let (page, rules) = (root().join("docs/migrating.md"), root().join("docs/compat-rules.yaml"));
    let shown = format!("```yaml\n{}```\n", read(&rules));
    if env::var_os("NOETHER_BLESS").is_some_and(|value| value == "1") {
        let text = read(&page);
        let (before, rest) = text.split_once("```yaml\n# Names").expect("a block of rules");
        let (_, after) = rest.split_once("```\n").expect("its end");
        return fs::write(&page, format!("{before}{shown}{after}")).expect("docs/migrating.md");
    }
    assert!(read(&page).contains(&shown), "docs/migrating.md does not show docs/compat-rules.yaml as it is");
}

#[test]
fn the_rules_say_what_they_promise() {
    if !Prometheus::installed() {
        return cannot_run(
            "the_rules_say_what_they_promise",
            "promtool is not installed (Debian package prometheus)",
        );
    }
    let run = |arguments: &[&str]| {
        let output = Command::new("promtool").args(arguments).current_dir(root()).output().expect("promtool");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    };
    run(&["check", "rules", "docs/compat-rules.yaml"]);
}
