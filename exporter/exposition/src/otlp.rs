//! OTLP: a snapshot as metrics of OpenTelemetry, cumulative, with the start of each series.
//!
//! Names and units are those that Prometheus translates back to the scraped ones; attributes are the labels as they are.
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/>, <https://opentelemetry.io/docs/specs/otlp/>

mod deltas;
mod hardware;
mod requests;

use std::time::Duration;

use noether_core::grid::Grid;
use noether_core::metric::{Kind, Metric as Named};
use noether_core::reading::Moment;
use noether_core::snapshot::{ComponentRow, Mode, Row, Snapshot};
use noether_core::units::Energy;
use noether_core::vitals::{Histogram, Vitals};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram as Distribution, HistogramDataPoint, Metric, NumberDataPoint,
    Sum, metric,
};

use crate::page::{Sink, Value, grid_page, labels, node_page};

pub use deltas::{Deltas, Temporality};
pub use requests::{point_count, requests};

/// The instants that points are stamped with, in Unix time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamps {
    /// When the values were measured.
    pub time: Duration,
    /// When the exporter began to count.
    pub start: Duration,
    /// The zero of the clock of [`Moment`]s.
    pub zero: Duration,
}

/// All metrics of a snapshot: what the command `node` pushes. With `hardware`, those of the semantic conventions besides.
pub fn node(
    snapshot: &Snapshot,
    vitals: &Vitals,
    grid: &Grid,
    stamps: &Stamps,
    hardware: bool,
) -> Vec<Metric> {
    let mut points = Points::new(*stamps);
    node_page(&mut points, snapshot, vitals, grid);
    if hardware {
        points.metrics.extend(hardware::metrics(snapshot, stamps));
    }
    points.metrics
}

/// All metrics of the grid: what the command `grid` pushes.
pub fn grid(vitals: &Vitals, grid: &Grid, stamps: &Stamps) -> Vec<Metric> {
    let mut points = Points::new(*stamps);
    grid_page(&mut points, vitals, grid);
    points.metrics
}

/// An attribute with a text.
pub fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(any_value::Value::StringValue(value.to_owned()));
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

/// Metrics in the making.
struct Points {
    stamps: Stamps,
    metrics: Vec<Metric>,
}

impl Points {
    const fn new(stamps: Stamps) -> Self {
        Self { stamps, metrics: Vec::new() }
    }

    fn point(&mut self, metric: &Named, start: u64, attributes: Vec<KeyValue>, value: impl Into<Value>) {
        let start_time_unix_nano = if metric.kind == Kind::Counter { start } else { 0 };
        let point = NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano: nanos(self.stamps.time),
            value: Some(number(value.into())),
            ..NumberDataPoint::default()
        };
        match self.metrics.last_mut().and_then(|metric| metric.data.as_mut()) {
            Some(metric::Data::Sum(sum)) => sum.data_points.push(point),
            Some(metric::Data::Gauge(gauge)) => gauge.data_points.push(point),
            _ => {}
        }
    }
}

impl Stamps {
    /// When the exporter began to count; never after the values.
    fn begun(&self) -> u64 {
        nanos(self.start.min(self.time))
    }

    /// When a series began; never after its values, whatever the clock was set to meanwhile.
    fn since(&self, since: Moment) -> u64 {
        nanos((self.zero + since.since_boot()).min(self.time))
    }
}

impl Sink for Points {
    fn family(&mut self, metric: &Named, samples: impl FnOnce(&mut Self, &Named)) {
        self.metrics.push(empty(metric.otlp, metric.help, metric.unit.ucum(), metric.kind));
        samples(self, metric);
        if self.metrics.last().is_some_and(|metric| point_count(metric) == 0) {
            self.metrics.pop();
        }
    }

    fn labelled<'a>(
        &mut self,
        metric: &Named,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: impl Into<Value>,
    ) {
        let attributes = labels.map(|(name, value)| attribute(name, value)).collect();
        self.point(metric, self.stamps.begun(), attributes, value);
    }

    fn energies<'a>(
        &mut self,
        metric: &Named,
        rows: impl Iterator<Item = &'a Row>,
        components: &[ComponentRow],
    ) {
        for row in rows {
            let start = self.stamps.since(row.since);
            for component in components.iter().map(|row| row.component) {
                for mode in Mode::ALL {
                    let own = [("component", component.label()), ("mode", mode.label())];
                    let attributes = labels(row).chain(own).map(|(name, value)| attribute(name, value));
                    self.point(metric, start, attributes.collect(), row.energy.of(component, mode));
                }
            }
        }
    }

    fn cpu_time(&mut self, metric: &Named, row: &Row) {
        let attributes = labels(row).map(|(name, value)| attribute(name, value)).collect();
        self.point(metric, self.stamps.since(row.since), attributes, row.cpu);
    }

    fn histogram(&mut self, metric: &Named, label: &str, histogram: &Histogram) {
        let Some(Metric { data: Some(metric::Data::Histogram(distribution)), .. }) = self.metrics.last_mut()
        else {
            return;
        };
        let (bounds, up_to): (Vec<f64>, Vec<u64>) = histogram.buckets().unzip();
        // Ours hold all that is no longer than their bound; those of OTLP lie beside each other.
        let mut before = 0;
        let own = |count: u64| count.saturating_sub(std::mem::replace(&mut before, count));
        let bucket_counts = up_to.into_iter().chain([histogram.count()]).map(own).collect();
        distribution.data_points.push(HistogramDataPoint {
            attributes: metric.labels.iter().map(|name| attribute(name, label)).collect(),
            start_time_unix_nano: self.stamps.begun(),
            time_unix_nano: nanos(self.stamps.time),
            count: histogram.count(),
            sum: Some(seconds(histogram.sum())),
            bucket_counts,
            explicit_bounds: bounds,
            ..HistogramDataPoint::default()
        });
    }
}

/// A metric without points.
fn empty(name: &str, description: &str, unit: &str, kind: Kind) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let data = match kind {
        Kind::Counter => {
            metric::Data::Sum(Sum { aggregation_temporality, is_monotonic: true, data_points: Vec::new() })
        }
        Kind::Gauge => metric::Data::Gauge(Gauge::default()),
        Kind::Histogram => {
            metric::Data::Histogram(Distribution { aggregation_temporality, data_points: Vec::new() })
        }
    };
    let (name, description, unit) = (name.to_owned(), description.to_owned(), unit.to_owned());
    Metric { name, description, unit, metadata: Vec::new(), data: Some(data) }
}

/// The same number as the scrape shows: whole microjoules and microseconds, divided once.
fn number(value: Value) -> Number {
    match value {
        Value::Count(count) => Number::AsInt(i64::try_from(count).unwrap_or(i64::MAX)),
        Value::Real(number) => Number::AsDouble(number),
        Value::Energy(energy) => Number::AsDouble(joules(energy)),
        Value::Time(time) => Number::AsDouble(seconds(time)),
    }
}

fn joules(energy: Energy) -> f64 {
    energy.microjoules() as f64 / 1e6
}

fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// Nanoseconds since 1970, as all instants of OTLP.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
