//! Metrics as requests, none larger than a receiver takes.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1 as metric_data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// The requests that carry `metrics` of `resource`, none longer than `most` bytes where its points can be divided.
pub fn requests(
    metrics: Vec<Metric>,
    resource: &Resource,
    version: &str,
    most: usize,
) -> Vec<ExportMetricsServiceRequest> {
    let scope =
        InstrumentationScope { name: "noether".into(), version: version.into(), ..Default::default() };
    let mut parcels = Parcels { most, done: Vec::new(), open: Vec::new(), size: 0 };
    metrics.into_iter().for_each(|metric| parcels.put(metric));
    parcels.close();
    let request = |metrics| ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope.clone()), metrics, ..Default::default() }],
            ..Default::default()
        }],
    };
    parcels.done.into_iter().map(request).collect()
}

/// How many points a metric has.
pub fn point_count(metric: &Metric) -> usize {
    match &metric.data {
        Some(metric::Data::Sum(sum)) => sum.data_points.len(),
        Some(metric::Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(metric::Data::Histogram(histogram)) => histogram.data_points.len(),
        _ => 0,
    }
}

struct Parcels {
    most: usize,
    done: Vec<Vec<Metric>>,
    open: Vec<Metric>,
    size: usize,
}

impl Parcels {
    fn put(&mut self, mut metric: Metric) {
        let size = metric.encoded_len();
        if size <= self.most {
            if self.size + size > self.most {
                self.close();
            }
            self.size += size;
            self.open.push(metric);
            return;
        }
        if let Some(other) = second_half(&mut metric) {
            self.put(metric);
            self.put(other);
        } else {
            // One point that is longer than all that may be sent: the receiver has to judge.
            self.close();
            self.open.push(metric);
            self.close();
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
        self.size = 0;
    }
}

/// Takes half of the points out, into a metric of their own; `None` where there is but one.
fn second_half(metric: &mut Metric) -> Option<Metric> {
    let half = point_count(metric) / 2;
    if half == 0 {
        return None;
    }
    let rest = match &mut metric.data {
        Some(metric::Data::Sum(sum)) => {
            let data_points = sum.data_points.split_off(half);
            let (aggregation_temporality, is_monotonic) = (sum.aggregation_temporality, sum.is_monotonic);
            metric::Data::Sum(metric_data::Sum { data_points, aggregation_temporality, is_monotonic })
        }
        Some(metric::Data::Gauge(gauge)) => {
            metric::Data::Gauge(metric_data::Gauge { data_points: gauge.data_points.split_off(half) })
        }
        Some(metric::Data::Histogram(histogram)) => {
            let data_points = histogram.data_points.split_off(half);
            let aggregation_temporality = histogram.aggregation_temporality;
            metric::Data::Histogram(metric_data::Histogram { data_points, aggregation_temporality })
        }
        _ => return None,
    };
    Some(Metric {
        name: metric.name.clone(),
        description: metric.description.clone(),
        unit: metric.unit.clone(),
        metadata: Vec::new(),
        data: Some(rest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::{attribute, empty};
    use noether_core::metric::Kind;
    use opentelemetry_proto::tonic::metrics::v1::NumberDataPoint;

    fn metric(points: usize) -> Metric {
        let mut metric = empty("noether.container.energy", "help", "J", Kind::Counter);
        if let Some(metric::Data::Sum(sum)) = &mut metric.data {
            sum.data_points = (0..points)
                .map(|n| NumberDataPoint {
                    attributes: vec![attribute("container", &n.to_string())],
                    ..Default::default()
                })
                .collect();
        }
        metric
    }

    fn names(requests: &[ExportMetricsServiceRequest]) -> Vec<String> {
        let metrics = requests.iter().flat_map(|request| &request.resource_metrics);
        let metrics = metrics.flat_map(|metrics| &metrics.scope_metrics).flat_map(|scope| &scope.metrics);
        let points = metrics.flat_map(|metric| match &metric.data {
            Some(metric::Data::Sum(sum)) => sum.data_points.clone(),
            _ => Vec::new(),
        });
        points.map(|point| format!("{:?}", point.attributes[0].value)).collect()
    }

    #[test]
    fn no_point_is_lost_and_no_request_too_long() {
        let whole = names(&requests(vec![metric(1000)], &Resource::default(), "0", usize::MAX));
        assert_eq!(whole.len(), 1000);
        let parts = requests(vec![metric(1000), metric(3)], &Resource::default(), "0", 4096);
        assert!(parts.len() > 5, "{}", parts.len());
        for part in &parts {
            assert!(part.encoded_len() < 4096 + 64, "{}", part.encoded_len());
        }
        let expected = names(&requests(vec![metric(1000), metric(3)], &Resource::default(), "0", usize::MAX));
        assert_eq!(names(&parts), expected);
    }

    #[test]
    fn a_point_that_is_too_long_goes_alone() {
        let parts = requests(vec![metric(3)], &Resource::default(), "0", 1);
        assert_eq!(parts.len(), 3);
        assert!(requests(Vec::new(), &Resource::default(), "0", 1).is_empty());
    }
}
