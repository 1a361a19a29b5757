//! Lines of the text formats: metadata, samples, labels and numbers.

use noether_core::metric::{Kind, Metric, Unit};
use noether_core::reading::Component;
use noether_core::snapshot::{ComponentRow, Mode, Row};
use noether_core::units::Energy;
use noether_core::vitals::Histogram;

use super::Format;
use crate::page::{Sink, Value, labels};

impl Value {
    /// Appends it: joules and seconds with exactly six decimals.
    fn push(self, page: &mut Vec<u8>) {
        match self {
            Self::Count(count) => push_count(count, page),
            Self::Real(f64::INFINITY) => page.extend_from_slice(b"+Inf"),
            Self::Real(number) => page.extend_from_slice(number.to_string().as_bytes()),
            Self::Energy(energy) => push_energy(energy, page),
            Self::Time(time) => push_decimal(time.as_secs(), u64::from(time.subsec_micros()), page),
        }
    }
}

fn push_count(count: u64, page: &mut Vec<u8>) {
    page.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
}

fn push_energy(energy: Energy, page: &mut Vec<u8>) {
    push_decimal(energy.microjoules() / 1_000_000, energy.microjoules() % 1_000_000, page);
}

/// A number with six decimals, of which `millionths` are the last.
fn push_decimal(whole: u64, millionths: u64, page: &mut Vec<u8>) {
    push_count(whole, page);
    page.push(b'.');
    let mut buffer = itoa::Buffer::new();
    // A seventh digit in front keeps the leading zeros.
    let digits = buffer.format(1_000_000 + millionths).as_bytes();
    page.extend_from_slice(digits.get(1..).unwrap_or_default());
}

/// A page in the making.
pub(super) struct Writer<'a> {
    page: &'a mut Vec<u8>,
    format: Format,
    /// The name and the labels of a workload, up to the comma before the next label.
    head: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Appends to `page`.
    pub(super) const fn new(page: &'a mut Vec<u8>, format: Format) -> Self {
        Self { page, format, head: Vec::new() }
    }
}

impl Sink for Writer<'_> {
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

    fn labelled<'a>(
        &mut self,
        metric: &Metric,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: impl Into<Value>,
    ) {
        self.line(metric.name, "", labels, value);
    }

    /// The name and the workload's labels are made once per workload, and copied.
    fn energies<'a>(
        &mut self,
        metric: &Metric,
        rows: impl Iterator<Item = &'a Row>,
        components: &[ComponentRow],
    ) {
        let tails: Vec<(Component, Mode, String)> = components
            .iter()
            .flat_map(|row| Mode::ALL.map(|mode| (row.component, mode)))
            .map(|(component, mode)| {
                (component, mode, format!("component=\"{}\",mode=\"{}\"}} ", component.label(), mode.label()))
            })
            .collect();
        for row in rows {
            self.set_head(metric.name, row);
            for (component, mode, tail) in &tails {
                self.page.extend_from_slice(&self.head);
                self.page.extend_from_slice(tail.as_bytes());
                push_energy(row.energy.of(*component, *mode), self.page);
                self.page.push(b'\n');
            }
        }
    }

    fn cpu_time(&mut self, metric: &Metric, row: &Row) {
        self.labelled(metric, labels(row), row.cpu);
    }

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
}

impl Writer<'_> {
    fn line<'a>(
        &mut self,
        name: &str,
        suffix: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: impl Into<Value>,
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
        value.into().push(self.page);
        self.page.push(b'\n');
    }

    /// What ends a page, where the format asks for it.
    pub(super) fn end(&mut self) {
        if self.format == Format::OpenMetrics {
            self.page.extend_from_slice(b"# EOF\n");
        }
    }

    fn set_head(&mut self, name: &str, row: &Row) {
        self.head.clear();
        self.head.extend_from_slice(name.as_bytes());
        self.head.push(b'{');
        for (label, value) in labels(row) {
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
