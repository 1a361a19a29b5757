//! Every metric, written once: names, units, labels and help for every protocol and for the docs.

/// What a metric counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Joules.
    Joules,
    /// Watts.
    Watts,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Grams.
    Grams,
    /// A ratio.
    Ratio,
    /// None, or one that no name of a unit says, which then is a part of the metric's own name.
    One,
}

impl Unit {
    /// The unit in UCUM, as OTLP carries it.
    pub const fn ucum(self) -> &'static str {
        match self {
            Self::Joules => "J",
            Self::Watts => "W",
            Self::Seconds => "s",
            Self::Bytes => "By",
            Self::Grams => "g",
            Self::Ratio => "1",
            Self::One => "",
        }
    }

    /// The unit in Prometheus names.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Joules => "joules",
            Self::Watts => "watts",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Grams => "grams",
            Self::Ratio => "ratio",
            Self::One => "",
        }
    }
}

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It rises and falls.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Kind {
    /// The word in a TYPE line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The Prometheus name, with the unit and, for a counter, `_total`.
    pub name: &'static str,
    /// The OTLP name, which Prometheus translates back to `name`.
    pub otlp: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The unit.
    pub unit: Unit,
    /// The labels. Info metrics may carry fewer, where something is not known.
    pub labels: &'static [&'static str],
    /// One line of help.
    pub help: &'static str,
}

const fn metric(
    (name, otlp): (&'static str, &'static str),
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, otlp, kind, unit, labels, help }
}

const CONTAINER: &[&str] = &["namespace", "pod", "container"];
const INTENSITY: &[&str] = &["grid_zone", "provider", "signal", "basis"];
/// Whatever may carry a budget: a series has the labels of one row of `budget::SUBJECTS`.
const BUDGET: &[&str] = &[
    "namespace",
    "workload_kind",
    "workload",
    "pod",
    "scheduler",
    "job_id",
    "user",
    "account",
    "unit",
    "vm",
    "period",
];
const GPU: &[&str] = &["gpu", "uuid"];
const JOB: &[&str] = &["scheduler", "job_id"];

macro_rules! metrics {
    ($($constant:ident = $names:expr, $kind:ident, $unit:ident, $labels:expr, $help:expr;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = metric($names, Kind::$kind, Unit::$unit, $labels, $help);
        )*
        /// Every metric, in the order of exposition.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    DOMAIN_ENERGY = ("noether_domain_energy_joules_total", "noether.domain.energy"), Counter, Joules, &["meter", "domain", "component"],
        "Energy of one domain of a meter. Domains overlap: never sum them; noether_node_energy_joules_total is the sum.";
    DOMAIN_POWER = ("noether_domain_power_watts", "noether.domain.power"), Gauge, Watts, &["meter", "domain", "component"],
        "Mean power of one domain of a meter over its last interval. Domains overlap: never sum them.";
    NODE_ENERGY = ("noether_node_energy_joules_total", "noether.node.energy"), Counter, Joules, &["component", "mode"],
        "Energy of the machine. The components are disjoint; active lies above the idle floor, idle is the floor.";
    NODE_IDLE_POWER = ("noether_node_idle_power_watts", "noether.node.idle.power"), Gauge, Watts, &["component"],
        "The idle floor: what the component draws when nothing runs. Absent while unknown.";
    CONTAINER_ENERGY = ("noether_container_energy_joules_total", "noether.container.energy"), Counter, Joules, &["namespace", "pod", "container", "component", "mode"],
        "Energy charged to a container. container=\"POD\" is the pod's own: sandbox and overhead.";
    JOB_ENERGY = ("noether_job_energy_joules_total", "noether.job.energy"), Counter, Joules, &["scheduler", "job_id", "component", "mode"],
        "Energy charged to a batch job on this node.";
    UNIT_ENERGY = ("noether_unit_energy_joules_total", "noether.unit.energy"), Counter, Joules, &["unit", "component", "mode"],
        "Energy charged to a systemd unit, without the containers and jobs in it.";
    VM_ENERGY = ("noether_vm_energy_joules_total", "noether.vm.energy"), Counter, Joules, &["vm", "component", "mode"],
        "Energy charged to a virtual machine.";
    UNATTRIBUTED_ENERGY = ("noether_unattributed_energy_joules_total", "noether.unattributed.energy"), Counter, Joules, &["component", "mode"],
        "Energy that no workload caused.";
    PENDING_ENERGY = ("noether_pending_energy_joules", "noether.pending.energy"), Gauge, Joules, &["component"],
        "Energy held back from workloads' series until every scraper has seen them at 0, or until their name is known, and what is no whole step of --ledger.granularity.";
    RETIRED_ENERGY = ("noether_retired_energy_joules", "noether.retired.energy"), Gauge, Joules, &["component"],
        "Final values of workloads' series that are no longer shown.";
    CONTAINER_CPU = ("noether_container_cpu_seconds_total", "noether.container.cpu"), Counter, Seconds, CONTAINER,
        "CPU time of a container, by which its energy was charged.";
    JOB_CPU = ("noether_job_cpu_seconds_total", "noether.job.cpu"), Counter, Seconds, JOB,
        "CPU time of a batch job on this node.";
    UNIT_CPU = ("noether_unit_cpu_seconds_total", "noether.unit.cpu"), Counter, Seconds, &["unit"],
        "CPU time of a systemd unit, without the containers and jobs in it.";
    VM_CPU = ("noether_vm_cpu_seconds_total", "noether.vm.cpu"), Counter, Seconds, &["vm"],
        "CPU time of a virtual machine.";
    CONTAINER_INFO = ("noether_container_info", "noether.container.info"), Gauge, One, &["namespace", "pod", "container", "container_id", "runtime", "pod_uid", "user_id", "image", "scheduler", "job_id"],
        "What is known of a container, and the job that it runs in; always 1.";
    POD_INFO = ("noether_pod_info", "noether.pod.info"), Gauge, One, &["namespace", "pod", "pod_uid", "qos", "priority_class", "workload_kind", "workload"],
        "What is known of a pod; always 1.";
    JOB_INFO = ("noether_job_info", "noether.job.info"), Gauge, One, &["scheduler", "job_id", "user_id", "sluid", "user", "account", "partition", "job_name"],
        "What is known of a batch job; always 1.";
    VM_INFO = ("noether_vm_info", "noether.vm.info"), Gauge, One, &["vm"],
        "What is known of a virtual machine; always 1.";
    METER_INFO = ("noether_meter_info", "noether.meter.info"), Gauge, One, &["meter", "component", "quality"],
        "What feeds a component of the node's total; always 1.";
    METER_UP = ("noether_meter_up", "noether.meter.up"), Gauge, One, &["meter"],
        "Whether a meter that was found can be read.";
    METER_ERRORS = ("noether_meter_errors_total", "noether.meter.errors"), Counter, One, &["meter", "reason"],
        "Readings of a meter that failed or were resets and so added no energy.";
    GPU_INFO = ("noether_gpu_info", "noether.gpu.info"), Gauge, One, &["gpu", "uuid", "model", "driver", "mig_profile", "pci_address"],
        "What is known of a GPU, and of each of its MIG instances, which have a profile; always 1.";
    GPU_ATTRIBUTION = ("noether_gpu_attribution_info", "noether.gpu.attribution.info"), Gauge, One, &["gpu", "uuid", "method"],
        "By what the energy of a GPU was split among workloads in its last interval; always 1.";
    GPU_POWER = ("noether_gpu_power_watts", "noether.gpu.power"), Gauge, Watts, GPU,
        "Power of a GPU at the last look. Its energy is in noether_domain_energy_joules_total.";
    GPU_AVERAGE_POWER = ("noether_gpu_average_power_watts", "noether.gpu.average.power"), Gauge, Watts, GPU,
        "Power of a GPU as it averages it itself, over about a second.";
    GPU_POWER_LIMIT = ("noether_gpu_power_limit_watts", "noether.gpu.power.limit"), Gauge, Watts, GPU,
        "The power limit that holds for a GPU.";
    GPU_UTILISATION = ("noether_gpu_utilization_ratio", "noether.gpu.utilization"), Gauge, Ratio, GPU,
        "The part of the time in which anything ran on a GPU.";
    GPU_MEMORY_UTILISATION = ("noether_gpu_memory_utilization_ratio", "noether.gpu.memory.utilization"), Gauge, Ratio, GPU,
        "The part of the time in which a GPU's memory was read or written.";
    GPU_TEMPERATURE = ("noether_gpu_temperature_celsius", "noether.gpu.temperature.celsius"), Gauge, One, GPU,
        "Temperature of a GPU.";
    GPU_CLOCK = ("noether_gpu_clock_hertz", "noether.gpu.clock.hertz"), Gauge, One, GPU,
        "Clock of a GPU's processors.";
    GPU_MEMORY_CLOCK = ("noether_gpu_memory_clock_hertz", "noether.gpu.memory.clock.hertz"), Gauge, One, GPU,
        "Clock of a GPU's memory.";
    GPU_MEMORY_USED = ("noether_gpu_memory_used_bytes", "noether.gpu.memory.used"), Gauge, Bytes, GPU,
        "Memory in use of a GPU, and of each of its MIG instances. Instances are parts of the GPU: do not sum them with it.";
    GPU_MEMORY_SIZE = ("noether_gpu_memory_size_bytes", "noether.gpu.memory.size"), Gauge, Bytes, GPU,
        "Memory of a GPU, and of each of its MIG instances.";
    SOURCE_UP = ("noether_source_up", "noether.source.up"), Gauge, One, &["source"],
        "Whether a source of usage or names could be read at the last tick.";
    SOURCE_READ = ("noether_source_read_seconds", "noether.source.read"), Histogram, Seconds, &["source"],
        "How long reading a source took.";
    SOURCE_ERRORS = ("noether_source_errors_total", "noether.source.errors"), Counter, One, &["source", "reason"],
        "Readings of a source that failed.";
    WORKLOADS_FOLDED = ("noether_workloads_folded_total", "noether.workloads.folded"), Counter, One, &[],
        "Workloads beyond --workload.max, which were charged to container=\"_folded\".";
    GRID_INTENSITY = ("noether_grid_carbon_intensity_grams_per_kwh", "noether.grid.carbon.intensity.grams_per_kwh"), Gauge, One, &["grid_zone", "provider", "signal", "basis", "estimated"],
        "CO2eq per kilowatt-hour of a grid zone. Choose one signal and one basis before adding or comparing.";
    GRID_DATA_TIMESTAMP = ("noether_grid_data_timestamp_seconds", "noether.grid.data.timestamp"), Gauge, Seconds, INTENSITY,
        "Begin of the period that the newest carbon intensity holds for, in Unix time.";
    GRID_LAST_SUCCESS = ("noether_grid_last_success_timestamp_seconds", "noether.grid.last.success.timestamp"), Gauge, Seconds, INTENSITY,
        "When a provider last answered rightly, in Unix time.";
    GRID_REQUESTS = ("noether_grid_requests_total", "noether.grid.requests"), Counter, One, &["provider"],
        "Requests sent to a provider of carbon intensity.";
    GRID_FAILURES = ("noether_grid_request_failures_total", "noether.grid.request.failures"), Counter, One, &["provider", "reason"],
        "Requests to a provider of carbon intensity that brought nothing.";
    NODE_GRID_INFO = ("noether_node_grid_info", "noether.node.grid.info"), Gauge, One, &["grid_zone"],
        "Where this node draws its power; always 1.";
    PUE = ("noether_pue_ratio", "noether.pue"), Gauge, Ratio, &[],
        "Power usage effectiveness: what the data centre draws per what its machines draw.";
    ENERGY_PRICE = ("noether_energy_price_usd_per_kwh", "noether.energy.price.usd_per_kwh"), Gauge, One, &[],
        "What a kilowatt-hour costs, in US dollars.";
    SOCIAL_COST = ("noether_social_cost_of_carbon_usd_per_tonne", "noether.social.cost.of.carbon.usd_per_tonne"), Gauge, One, &["country", "percentile"],
        "What the emission of a tonne of CO2eq costs society by the configured estimate, in US dollars.";
    ENERGY_BUDGET = ("noether_energy_budget_joules", "noether.energy.budget"), Gauge, Joules, BUDGET,
        "Energy that the labelled may use in a period, PUE included.";
    CARBON_BUDGET = ("noether_carbon_budget_grams", "noether.carbon.budget"), Gauge, Grams, BUDGET,
        "CO2eq that the labelled may cause in a period.";
    TICK_DURATION = ("noether_tick_duration_seconds", "noether.tick.duration"), Histogram, Seconds, &["stage"],
        "How long a tick took, by stage.";
    TICKS_MISSED = ("noether_ticks_missed_total", "noether.ticks.missed"), Counter, One, &[],
        "Ticks that were left out because the one before was late. No energy is lost with them.";
    LAST_TICK = ("noether_last_tick_timestamp_seconds", "noether.last.tick.timestamp"), Gauge, Seconds, &[],
        "When the newest tick was, in Unix time.";
    HTTP_REQUESTS = ("noether_http_requests_total", "noether.http.requests"), Counter, One, &["code"],
        "Answered HTTP requests.";
    HTTP_CONNECTIONS = ("noether_http_connections", "noether.http.connections"), Gauge, One, &[],
        "Open HTTP connections.";
    OTLP_REQUESTS = ("noether_otlp_requests_total", "noether.otlp.requests"), Counter, One, &[],
        "Requests sent to the OTLP receiver, each try counted.";
    OTLP_FAILURES = ("noether_otlp_request_failures_total", "noether.otlp.request.failures"), Counter, One, &["reason"],
        "Requests to the OTLP receiver that did not arrive.";
    OTLP_REJECTED = ("noether_otlp_rejected_points_total", "noether.otlp.rejected.points"), Counter, One, &[],
        "Data points that the OTLP receiver did not take out of requests that it took.";
    OTLP_LAST_SUCCESS = ("noether_otlp_last_success_timestamp_seconds", "noether.otlp.last.success.timestamp"), Gauge, Seconds, &[],
        "When a push over OTLP last arrived whole, in Unix time.";
    BUILD_INFO = ("noether_build_info", "noether.build.info"), Gauge, One, &["version"],
        "The exporter's version; always 1.";
    PROCESS_CPU = ("process_cpu_seconds_total", "process.cpu"), Counter, Seconds, &[],
        "CPU time of the exporter itself.";
    PROCESS_MEMORY = ("process_resident_memory_bytes", "process.resident.memory"), Gauge, Bytes, &[],
        "Resident memory of the exporter itself.";
    PROCESS_START = ("process_start_time_seconds", "process.start.time"), Gauge, Seconds, &[],
        "When the exporter started, in Unix time.";
    PROCESS_FDS = ("process_open_fds", "process.open.fds"), Gauge, One, &[],
        "Open file descriptors of the exporter itself.";
    PROCESS_MAX_FDS = ("process_max_fds", "process.max.fds"), Gauge, One, &[],
        "The most file descriptors that the exporter may have.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::String;

    /// How Prometheus names what it receives by OTLP: dots become underscores, the unit and `_total` are appended.
    fn translated(metric: &Metric) -> String {
        let mut name = metric.otlp.replace('.', "_");
        if metric.unit != Unit::One {
            name = name + "_" + metric.unit.suffix();
        }
        if metric.kind == Kind::Counter {
            name += "_total";
        }
        name
    }

    #[test]
    fn otlp_names_come_back_as_the_scraped_ones() {
        for metric in METRICS {
            assert_eq!(translated(metric), metric.name);
        }
    }

    #[test]
    fn names_are_unique_and_help_is_a_sentence() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.help.ends_with('.') || metric.help.ends_with("always 1."), "{}", metric.name);
        }
    }

    #[test]
    fn a_budget_has_the_labels_of_its_subject() {
        for label in crate::budget::SUBJECTS.iter().copied().flatten() {
            assert!(ENERGY_BUDGET.labels.contains(label), "{label}");
        }
    }

    #[test]
    fn no_label_clashes_with_target_labels() {
        for metric in METRICS {
            for label in metric.labels {
                assert!(
                    !["node", "zone", "region", "type", "owner", "service", "instance", "job"]
                        .contains(label)
                );
            }
        }
    }
}
