//! Cumulative points as what was added since the last push that arrived.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, metric,
};
use prost::Message;

/// Whether points tell what was added up since their series began, or since the last push.
/// <https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// All since their series began.
    #[default]
    Cumulative,
    /// Counters and distributions since the last push.
    Delta,
    /// Distributions since the last push: counters that are observed, as all of ours, cost no memory when cumulative.
    LowMemory,
}

/// What arrived so far of the series that are pushed as deltas.
#[derive(Debug, Default)]
pub struct Deltas {
    temporality: Temporality,
    arrived: HashMap<Vec<u8>, Arrived>,
    /// The push that is going on: what it does not have is forgotten at its end.
    push: u64,
}

#[derive(Debug)]
struct Arrived {
    start: u64,
    time: u64,
    total: Total,
    push: u64,
}

#[derive(Clone, Debug)]
enum Total {
    Number(Number),
    Distribution { count: u64, sum: f64, buckets: Vec<u64> },
}

impl Deltas {
    /// Nothing has arrived yet.
    pub fn new(temporality: Temporality) -> Self {
        Self { temporality, ..Self::default() }
    }

    /// `request` as it is to be sent: itself, or what it has more than what arrived.
    pub fn since_arrived(&self, request: &ExportMetricsServiceRequest) -> ExportMetricsServiceRequest {
        let mut request = request.clone();
        metrics_mut(&mut request).for_each(|metric| self.subtract(metric));
        request
    }

    /// `request`, cumulative as it was made, has arrived.
    pub fn arrived(&mut self, request: &ExportMetricsServiceRequest) {
        let (push, wanted) = (self.push, |kind| Self::is_delta(self.temporality, kind));
        let mut all = Vec::new();
        for metric in metrics(request) {
            match &metric.data {
                Some(metric::Data::Sum(sum)) if wanted(Kind::Sum) => {
                    let points = sum.data_points.iter();
                    all.extend(points.filter_map(|point| {
                        let total = Total::Number(point.value?);
                        let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                        Some((key(metric, &point.attributes), Arrived { start, time, total, push }))
                    }));
                }
                Some(metric::Data::Histogram(histogram)) if wanted(Kind::Histogram) => {
                    all.extend(histogram.data_points.iter().map(|point| {
                        let (count, sum) = (point.count, point.sum.unwrap_or_default());
                        let total = Total::Distribution { count, sum, buckets: point.bucket_counts.clone() };
                        let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                        (key(metric, &point.attributes), Arrived { start, time, total, push })
                    }));
                }
                _ => {}
            }
        }
        self.arrived.extend(all);
    }

    /// All requests of a push have arrived: series that it did not have are gone.
    pub fn complete(&mut self) {
        let push = self.push;
        self.arrived.retain(|_, arrived| arrived.push == push);
        self.push += 1;
    }

    const fn is_delta(temporality: Temporality, kind: Kind) -> bool {
        match kind {
            Kind::Sum => matches!(temporality, Temporality::Delta),
            Kind::Histogram => !matches!(temporality, Temporality::Cumulative),
        }
    }

    fn subtract(&self, metric: &mut Metric) {
        let of = |attributes: &[KeyValue], metric: &Metric| self.arrived.get(&key(metric, attributes));
        let head = Metric { name: metric.name.clone(), ..Metric::default() };
        match &mut metric.data {
            Some(metric::Data::Sum(sum)) if Self::is_delta(self.temporality, Kind::Sum) => {
                sum.aggregation_temporality = AggregationTemporality::Delta.into();
                for point in &mut sum.data_points {
                    if let Some(arrived) = of(&point.attributes, &head) {
                        subtract_number(point, arrived);
                    }
                }
            }
            Some(metric::Data::Histogram(histogram)) if Self::is_delta(self.temporality, Kind::Histogram) => {
                histogram.aggregation_temporality = AggregationTemporality::Delta.into();
                for point in &mut histogram.data_points {
                    if let Some(arrived) = of(&point.attributes, &head) {
                        subtract_distribution(point, arrived);
                    }
                }
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Sum,
    Histogram,
}

fn subtract_number(point: &mut NumberDataPoint, arrived: &Arrived) {
    // A label set that was retired and came back began anew: all of it is more.
    if point.start_time_unix_nano != arrived.start {
        return;
    }
    let Total::Number(before) = &arrived.total else { return };
    point.value = match (point.value, before) {
        (Some(Number::AsInt(now)), Number::AsInt(before)) => Some(Number::AsInt(now - before)),
        // In whole millionths, so that the deltas add up to the total.
        (Some(Number::AsDouble(now)), Number::AsDouble(before)) => {
            Some(Number::AsDouble(((now * 1e6).round() - (before * 1e6).round()) / 1e6))
        }
        (other, _) => other,
    };
    point.start_time_unix_nano = arrived.time;
}

fn subtract_distribution(point: &mut HistogramDataPoint, arrived: &Arrived) {
    let Total::Distribution { count, sum, buckets } = &arrived.total else { return };
    point.count = point.count.saturating_sub(*count);
    point.sum = point.sum.map(|now| ((now * 1e6).round() - (sum * 1e6).round()) / 1e6);
    for (now, before) in point.bucket_counts.iter_mut().zip(buckets) {
        *now = now.saturating_sub(*before);
    }
    point.start_time_unix_nano = arrived.time;
}

/// What tells a series from all others.
fn key(metric: &Metric, attributes: &[KeyValue]) -> Vec<u8> {
    let mut key = metric.name.clone().into_bytes();
    for attribute in attributes {
        key.push(0);
        key.extend(attribute.encode_length_delimited_to_vec());
    }
    key
}

fn metrics(request: &ExportMetricsServiceRequest) -> impl Iterator<Item = &Metric> {
    let scopes = request.resource_metrics.iter().flat_map(|metrics| &metrics.scope_metrics);
    scopes.flat_map(|scope| &scope.metrics)
}

fn metrics_mut(request: &mut ExportMetricsServiceRequest) -> impl Iterator<Item = &mut Metric> {
    let scopes = request.resource_metrics.iter_mut().flat_map(|metrics| &mut metrics.scope_metrics);
    scopes.flat_map(|scope| &mut scope.metrics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::{Stamps, node, requests};
    use noether_core::grid::Grid;
    use noether_core::reading::{Component, Moment};
    use noether_core::snapshot::{ComponentRow, Mode, Row, Snapshot, Totals};
    use noether_core::units::Energy;
    use noether_core::vitals::{Histogram, Vitals};
    use noether_core::workload::Key;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use std::sync::Arc;
    use std::time::Duration;

    /// One request of a node with one container, at a time in seconds.
    fn request(time: u64, since: u64, microjoules: u64, reads: u32) -> ExportMetricsServiceRequest {
        let mut energy = Totals::ZERO;
        energy.add(Component::Cpu, Mode::Active, Energy::from_microjoules(microjoules));
        let key = Arc::new(Key::container("a", "b", "c"));
        let since = Moment::from_boot(Duration::from_secs(since));
        let row = Row { key, info: Arc::default(), since, energy, cpu: Duration::ZERO };
        let (pending, retired) = (Energy::ZERO, Energy::ZERO);
        let cpu = ComponentRow { component: Component::Cpu, pending, retired, floor: None };
        let snapshot = Snapshot { components: vec![cpu], rows: vec![row], ..Snapshot::default() };
        let mut stage = Histogram::default();
        (0..reads).for_each(|_| stage.observe(Duration::from_millis(2)));
        let vitals = Vitals { stages: vec![("read", stage)], ..Vitals::default() };
        let stamps = Stamps { time: Duration::from_secs(time), ..Stamps::default() };
        let metrics = node(&snapshot, &vitals, &Grid::default(), &stamps, false);
        requests(metrics, &Resource::default(), "0", usize::MAX).remove(0)
    }

    fn energy(request: &ExportMetricsServiceRequest) -> (u64, f64) {
        let metric = metrics(request).find(|metric| metric.name == "noether.container.energy").unwrap();
        let Some(metric::Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        let point = &sum.data_points[0];
        let Some(Number::AsDouble(joules)) = point.value else { panic!("{point:?}") };
        (point.start_time_unix_nano / 1_000_000_000, joules)
    }

    fn stage(request: &ExportMetricsServiceRequest) -> (u64, f64, u64) {
        let metric = metrics(request).find(|metric| metric.name == "noether.tick.duration").unwrap();
        let Some(metric::Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        let point = &histogram.data_points[0];
        (point.count, point.sum.unwrap(), point.bucket_counts.iter().sum())
    }

    #[test]
    fn what_did_not_arrive_is_in_the_next() {
        let mut deltas = Deltas::new(Temporality::Delta);
        let first = request(100, 90, 1_000_001, 1);
        assert_eq!(energy(&deltas.since_arrived(&first)), (90, 1.000_001));
        deltas.arrived(&first);
        deltas.complete();
        let lost = request(110, 90, 3_000_000, 2);
        assert_eq!(energy(&deltas.since_arrived(&lost)), (100, 1.999_999));
        let next = request(120, 90, 4_000_000, 5);
        let sent = deltas.since_arrived(&next);
        assert_eq!(energy(&sent), (100, 2.999_999), "since the last that arrived");
        assert_eq!(stage(&sent), (4, 0.008, 4));
        deltas.arrived(&next);
        deltas.complete();
        assert_eq!(energy(&deltas.since_arrived(&request(130, 90, 4_000_000, 5))), (120, 0.0));
    }

    #[test]
    fn a_label_set_that_came_back_begins_anew() {
        let mut deltas = Deltas::new(Temporality::Delta);
        deltas.arrived(&request(100, 90, 5_000_000, 1));
        deltas.complete();
        assert_eq!(energy(&deltas.since_arrived(&request(200, 190, 2_000_000, 1))), (190, 2.0));
    }

    #[test]
    fn low_memory_keeps_counters_cumulative() {
        let mut deltas = Deltas::new(Temporality::LowMemory);
        let first = request(100, 90, 5_000_000, 3);
        deltas.arrived(&first);
        deltas.complete();
        assert_eq!(deltas.arrived.len(), 1, "the one distribution");
        let sent = deltas.since_arrived(&request(110, 90, 6_000_000, 3));
        assert_eq!((energy(&sent), stage(&sent)), ((90, 6.0), (0, 0.0, 0)));
    }

    #[test]
    fn series_that_are_gone_are_forgotten() {
        let mut deltas = Deltas::new(Temporality::Delta);
        deltas.arrived(&request(100, 90, 1, 1));
        deltas.complete();
        assert!(!deltas.arrived.is_empty());
        deltas.complete();
        assert!(deltas.arrived.is_empty());
    }
}
