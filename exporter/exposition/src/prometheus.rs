//! The Prometheus text format 0.0.4 and OpenMetrics 1.0: a snapshot as a page.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

mod gpu;

use std::time::Duration;

use noether_core::metric::{self, Kind, Metric, Unit};
use noether_core::reading::Component;
use noether_core::snapshot::{Mode, Row, Snapshot, Totals};
use noether_core::units::Energy;
use noether_core::vitals::{Histogram, Vitals};
use noether_core::workload::Family;

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

/// Appends the whole page of a snapshot.
pub fn render(snapshot: &Snapshot, vitals: &Vitals, format: Format, page: &mut Vec<u8>) {
    let mut writer = Writer { page, format, head: Vec::new() };
    domains(&mut writer, snapshot);
    node(&mut writer, snapshot);
    for family in Family::ALL {
        workload_energy(&mut writer, snapshot, family);
    }
    totals(&mut writer, &metric::UNATTRIBUTED_ENERGY, snapshot, &snapshot.unattributed);
    held_back(&mut writer, snapshot);
    for family in Family::ALL {
        workload_cpu(&mut writer, snapshot, family);
    }
    infos(&mut writer, snapshot);
    meters(&mut writer, snapshot);
    gpu::gpus(&mut writer, snapshot);
    sources(&mut writer, vitals);
    writer.family(&metric::WORKLOADS_FOLDED, |w, m| w.sample(m, &[], snapshot.folded));
    ticks(&mut writer, vitals);
    process(&mut writer, vitals);
    if format == Format::OpenMetrics {
        page.extend_from_slice(b"# EOF\n");
    }
}

fn domains(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    writer.family(&metric::DOMAIN_ENERGY, |w, m| {
        for row in &snapshot.domains {
            w.sample(m, &[row.domain.meter, &row.domain.name, row.domain.component.label()], row.energy);
        }
    });
    writer.family(&metric::DOMAIN_POWER, |w, m| {
        for row in &snapshot.domains {
            if let Some(power) = row.power {
                w.sample(
                    m,
                    &[row.domain.meter, &row.domain.name, row.domain.component.label()],
                    power.watts(),
                );
            }
        }
    });
}

fn node(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    totals(writer, &metric::NODE_ENERGY, snapshot, &snapshot.node);
    writer.family(&metric::NODE_IDLE_POWER, |w, m| {
        for row in &snapshot.components {
            if let Some(power) = row.floor {
                w.sample(m, &[row.component.label()], power.watts());
            }
        }
    });
}

fn totals(writer: &mut Writer<'_>, metric: &Metric, snapshot: &Snapshot, totals: &Totals) {
    writer.family(metric, |w, m| {
        for component in snapshot.components.iter().map(|row| row.component) {
            for mode in Mode::ALL {
                w.sample(m, &[component.label(), mode.label()], totals.of(component, mode));
            }
        }
    });
}

fn held_back(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    writer.family(&metric::PENDING_ENERGY, |w, m| {
        snapshot.components.iter().for_each(|row| w.sample(m, &[row.component.label()], row.pending));
    });
    writer.family(&metric::RETIRED_ENERGY, |w, m| {
        snapshot.components.iter().for_each(|row| w.sample(m, &[row.component.label()], row.retired));
    });
}

fn rows(snapshot: &Snapshot, family: Family) -> impl Iterator<Item = &Row> {
    snapshot.rows.iter().filter(move |row| row.key.family == family)
}

/// By far the most series: the name and the workload's labels are made once per workload, and copied.
fn workload_energy(writer: &mut Writer<'_>, snapshot: &Snapshot, family: Family) {
    let metric = match family {
        Family::Container => &metric::CONTAINER_ENERGY,
        Family::Job => &metric::JOB_ENERGY,
        Family::Unit => &metric::UNIT_ENERGY,
        Family::Vm => &metric::VM_ENERGY,
    };
    let tails: Vec<(Component, Mode, String)> = snapshot
        .components
        .iter()
        .flat_map(|row| Mode::ALL.map(|mode| (row.component, mode)))
        .map(|(component, mode)| {
            (component, mode, format!("component=\"{}\",mode=\"{}\"}} ", component.label(), mode.label()))
        })
        .collect();
    writer.family(metric, |w, m| {
        for row in rows(snapshot, family) {
            w.set_head(m.name, row);
            for (component, mode, tail) in &tails {
                w.page.extend_from_slice(&w.head);
                w.page.extend_from_slice(tail.as_bytes());
                row.energy.of(*component, *mode).push(w.page);
                w.page.push(b'\n');
            }
        }
    });
}

fn workload_cpu(writer: &mut Writer<'_>, snapshot: &Snapshot, family: Family) {
    let metric = match family {
        Family::Container => &metric::CONTAINER_CPU,
        Family::Job => &metric::JOB_CPU,
        Family::Unit => &metric::UNIT_CPU,
        Family::Vm => &metric::VM_CPU,
    };
    writer.family(metric, |w, m| {
        for row in rows(snapshot, family) {
            w.workload_sample(m, row, row.cpu);
        }
    });
}

fn infos(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    let is_pod = |row: &Row| {
        row.key.family == Family::Container && row.key.values.last().is_some_and(|c| &**c == "POD")
    };
    let mut info = |metric: &Metric, is: &dyn Fn(&Row) -> bool| {
        writer.family(metric, |w, m| {
            for row in snapshot.rows.iter().filter(|row| is(row)) {
                // A pod's series has container="POD"; its info has only what joins.
                let values = row.key.values.iter().map(|value| &**value);
                let own = row.key.family.labels().iter().copied().zip(values);
                let own = own.filter(|(name, _)| m.labels.contains(name));
                let more = row.info.iter().map(|(name, value)| (*name, &**value));
                w.info(m, own.chain(more));
            }
        });
    };
    info(&metric::CONTAINER_INFO, &|row| row.key.family == Family::Container && !is_pod(row));
    info(&metric::POD_INFO, &is_pod);
    info(&metric::JOB_INFO, &|row| row.key.family == Family::Job);
    info(&metric::VM_INFO, &|row| row.key.family == Family::Vm);
}

fn meters(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    writer.family(&metric::METER_INFO, |w, m| {
        for feed in &snapshot.feeds {
            w.sample(m, &[feed.meter, feed.component.label(), feed.quality], 1_u64);
        }
    });
    writer.family(&metric::METER_UP, |w, m| {
        snapshot.meters.iter().for_each(|row| w.sample(m, &[row.meter], u64::from(row.up)));
    });
    writer.family(&metric::METER_ERRORS, |w, m| {
        for row in &snapshot.meters {
            row.errors.iter().for_each(|(reason, count)| w.sample(m, &[row.meter, reason], *count));
        }
    });
}

fn sources(writer: &mut Writer<'_>, vitals: &Vitals) {
    writer.family(&metric::SOURCE_UP, |w, m| {
        vitals.sources.iter().for_each(|row| w.sample(m, &[row.source], u64::from(row.up)));
    });
    writer.family(&metric::SOURCE_READ, |w, m| {
        vitals.sources.iter().for_each(|row| w.histogram(m, row.source, &row.read));
    });
    writer.family(&metric::SOURCE_ERRORS, |w, m| {
        for row in &vitals.sources {
            row.errors.iter().for_each(|(reason, count)| w.sample(m, &[row.source, reason], *count));
        }
    });
}

fn ticks(writer: &mut Writer<'_>, vitals: &Vitals) {
    writer.family(&metric::TICK_DURATION, |w, m| {
        vitals.stages.iter().for_each(|(stage, histogram)| w.histogram(m, stage, histogram));
    });
    writer.family(&metric::TICKS_MISSED, |w, m| w.sample(m, &[], vitals.missed));
    writer.family(&metric::LAST_TICK, |w, m| w.sample(m, &[], vitals.last_tick));
    writer.family(&metric::HTTP_REQUESTS, |w, m| {
        vitals.requests.iter().for_each(|(code, count)| w.sample(m, &[code], *count));
    });
    writer.family(&metric::HTTP_CONNECTIONS, |w, m| w.sample(m, &[], vitals.connections));
}

fn process(writer: &mut Writer<'_>, vitals: &Vitals) {
    writer.family(&metric::BUILD_INFO, |w, m| w.sample(m, &[vitals.version], 1_u64));
    writer.family(&metric::PROCESS_CPU, |w, m| w.sample(m, &[], vitals.cpu));
    writer.family(&metric::PROCESS_MEMORY, |w, m| w.sample(m, &[], vitals.resident));
    writer.family(&metric::PROCESS_START, |w, m| w.sample(m, &[], vitals.start));
    writer.family(&metric::PROCESS_FDS, |w, m| w.sample(m, &[], vitals.descriptors.0));
    writer.family(&metric::PROCESS_MAX_FDS, |w, m| w.sample(m, &[], vitals.descriptors.1));
}

/// A value of a sample.
trait Value: Copy {
    /// Appends it.
    fn push(self, page: &mut Vec<u8>);
}

impl Value for u64 {
    fn push(self, page: &mut Vec<u8>) {
        page.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
    }
}

impl Value for f64 {
    fn push(self, page: &mut Vec<u8>) {
        let text = if self == Self::INFINITY { "+Inf".to_owned() } else { self.to_string() };
        page.extend_from_slice(text.as_bytes());
    }
}

impl Value for Energy {
    /// Joules with exactly six decimals.
    fn push(self, page: &mut Vec<u8>) {
        push_decimal(self.microjoules() / 1_000_000, self.microjoules() % 1_000_000, page);
    }
}

impl Value for Duration {
    /// Seconds with six decimals.
    fn push(self, page: &mut Vec<u8>) {
        push_decimal(self.as_secs(), u64::from(self.subsec_micros()), page);
    }
}

/// A number with six decimals, of which `millionths` are the last.
fn push_decimal(whole: u64, millionths: u64, page: &mut Vec<u8>) {
    whole.push(page);
    page.push(b'.');
    let mut buffer = itoa::Buffer::new();
    // A seventh digit in front keeps the leading zeros.
    let digits = buffer.format(1_000_000 + millionths).as_bytes();
    page.extend_from_slice(digits.get(1..).unwrap_or_default());
}

struct Writer<'a> {
    page: &'a mut Vec<u8>,
    format: Format,
    /// The name and the labels of a workload, up to the comma before the next label.
    head: Vec<u8>,
}

impl Writer<'_> {
    /// The metadata of a family, then its samples; nothing at all where there are none.
    fn family(&mut self, metric: &Metric, samples: impl FnOnce(&mut Self, &Metric)) {
        let before = self.page.len();
        // OpenMetrics names a counter's family without the suffix of its samples.
        let family = match (self.format, metric.kind) {
            (Format::OpenMetrics, Kind::Counter) => metric.name.strip_suffix("_total").unwrap_or(metric.name),
            _ => metric.name,
        };
        let mut line = |keyword: &str, text: &str| {
            for part in ["# ", keyword, " ", family, " ", text, "\n"] {
                self.page.extend_from_slice(part.as_bytes());
            }
        };
        let help = metric.help.replace('\\', "\\\\");
        match self.format {
            Format::Text => {
                line("HELP", &help);
                line("TYPE", metric.kind.word());
            }
            Format::OpenMetrics => {
                line("TYPE", metric.kind.word());
                if metric.unit != Unit::One {
                    line("UNIT", metric.unit.suffix());
                }
                line("HELP", &help.replace('"', "\\\""));
            }
        }
        let empty = self.page.len();
        samples(self, metric);
        if self.page.len() == empty {
            self.page.truncate(before);
        }
    }

    fn sample(&mut self, metric: &Metric, values: &[&str], value: impl Value) {
        self.line(metric.name, "", metric.labels.iter().copied().zip(values.iter().copied()), value);
    }

    fn info<'a>(&mut self, metric: &Metric, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        self.line(metric.name, "", labels, 1_u64);
    }

    fn workload_sample(&mut self, metric: &Metric, row: &Row, value: impl Value) {
        let labels = row.key.family.labels().iter().copied().zip(row.key.values.iter().map(|value| &**value));
        self.line(metric.name, "", labels, value);
    }

    /// The buckets, sum and count of a metric with one label.
    fn histogram(&mut self, metric: &Metric, label: &str, histogram: &Histogram) {
        let name = metric.labels.first().copied().unwrap_or_default();
        for (bound, count) in histogram.buckets() {
            let bound = bound.to_string();
            self.line(metric.name, "_bucket", [(name, label), ("le", &bound)].into_iter(), count);
        }
        self.line(metric.name, "_bucket", [(name, label), ("le", "+Inf")].into_iter(), histogram.count());
        self.line(metric.name, "_sum", [(name, label)].into_iter(), histogram.sum());
        self.line(metric.name, "_count", [(name, label)].into_iter(), histogram.count());
    }

    fn line<'a>(
        &mut self,
        name: &str,
        suffix: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: impl Value,
    ) {
        self.page.extend_from_slice(name.as_bytes());
        self.page.extend_from_slice(suffix.as_bytes());
        let mut before = b'{';
        for (label, value) in labels {
            self.page.push(before);
            push_label(label, value, self.page);
            before = b',';
        }
        if before == b',' {
            self.page.push(b'}');
        }
        self.page.push(b' ');
        value.push(self.page);
        self.page.push(b'\n');
    }

    fn set_head(&mut self, name: &str, row: &Row) {
        self.head.clear();
        self.head.extend_from_slice(name.as_bytes());
        self.head.push(b'{');
        for (label, value) in row.key.family.labels().iter().zip(&row.key.values) {
            push_label(label, value, &mut self.head);
            self.head.push(b',');
        }
    }
}

/// `label="value"`, escaped.
fn push_label(label: &str, value: &str, page: &mut Vec<u8>) {
    page.extend_from_slice(label.as_bytes());
    page.extend_from_slice(b"=\"");
    // Hardly any value has one; without an early end the compiler makes this loop a fast one.
    if value.bytes().fold(false, |found, byte| found | matches!(byte, b'\\' | b'"' | b'\n')) {
        push_escaped(value, page);
    } else {
        page.extend_from_slice(value.as_bytes());
    }
    page.push(b'"');
}

fn push_escaped(value: &str, page: &mut Vec<u8>) {
    for byte in value.bytes() {
        match byte {
            b'\\' => page.extend_from_slice(b"\\\\"),
            b'"' => page.extend_from_slice(b"\\\""),
            b'\n' => page.extend_from_slice(b"\\n"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::snapshot::ComponentRow;
    use noether_core::workload::Key;
    use std::sync::Arc;

    fn page(snapshot: &Snapshot, format: Format) -> String {
        let mut page = Vec::new();
        render(snapshot, &Vitals { version: "0", ..Vitals::default() }, format, &mut page);
        String::from_utf8(page).unwrap()
    }

    fn snapshot(container: &str) -> Snapshot {
        let mut energy = Totals::ZERO;
        energy.add(Component::Cpu, Mode::Active, Energy::from_microjoules(12_000_034));
        let key = Arc::new(Key::container("", "", container));
        let row = Row { key, info: Arc::default(), energy, cpu: Duration::from_millis(1500) };
        let cpu = ComponentRow {
            component: Component::Cpu,
            pending: Energy::ZERO,
            retired: Energy::ZERO,
            floor: None,
        };
        Snapshot { components: vec![cpu], node: energy, rows: vec![row], ..Snapshot::default() }
    }

    #[test]
    fn six_decimals_and_escaped_labels() {
        let page = page(&snapshot("a\"b\\c\nd"), Format::Text);
        let line = r#"noether_container_energy_joules_total{namespace="",pod="",container="a\"b\\c\nd",component="cpu",mode="active"} 12.000034"#;
        assert!(page.contains(line), "{page}");
        assert!(page.contains("\"} 1.500000\n"), "{page}");
    }

    #[test]
    fn openmetrics_has_units_bare_family_names_and_an_end() {
        let page = page(&snapshot("a"), Format::OpenMetrics);
        assert!(
            page.contains(
                "# TYPE noether_node_energy_joules counter\n# UNIT noether_node_energy_joules joules\n"
            ),
            "{page}"
        );
        assert!(
            page.contains(
                "\nnoether_node_energy_joules_total{component=\"cpu\",mode=\"active\"} 12.000034\n"
            )
        );
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn a_node_without_meters_shows_no_energy_at_all() {
        let page = page(&Snapshot::default(), Format::Text);
        assert!(!page.contains("_energy_"), "{page}");
    }
}
