//! The same energy under the names of the semantic conventions for hardware.
//!
//! Only domains that feed the node's total, which do not overlap, are components; what is true of the whole machine
//! stands under `hw.host` alone. <https://opentelemetry.io/docs/specs/semconv/hardware/>

use noether_core::metric::Kind;
use noether_core::reading::{Component, Role};
use noether_core::snapshot::{DomainRow, Mode, Snapshot};
use noether_core::units::{Energy, Power};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric};

use super::{Stamps, attribute, empty, joules, nanos};

/// `hw.host.energy`, `hw.host.power`, `hw.energy` and `hw.power`; nothing where nothing is metered.
pub(super) fn metrics(snapshot: &Snapshot, stamps: &Stamps) -> Vec<Metric> {
    let metered = snapshot.components.iter().map(|row| row.component);
    let energy: Energy = metered.flat_map(|one| Mode::ALL.map(|mode| snapshot.node.of(one, mode))).sum();
    let feeds = || snapshot.domains.iter().filter(|row| row.feeds);
    let parts = || feeds().filter_map(|row| Some((identity(row)?, row)));
    let counter = |name, help, points| series(stamps, (name, help, "J"), Kind::Counter, points);
    let gauge = |name, help, points| series(stamps, (name, help, "W"), Kind::Gauge, points);
    let host = (!snapshot.components.is_empty()).then(|| (Vec::new(), joules(energy)));
    let host_power = power(feeds()).map(|power| (Vec::new(), power.watts()));
    let energies = parts().map(|(identity, row)| (identity, joules(row.energy))).collect();
    let powers = parts().filter_map(|(identity, row)| Some((identity, row.power?.watts()))).collect();
    let all = [
        counter("hw.host.energy", "Energy of all of the host that is metered.", host.into_iter().collect()),
        gauge("hw.host.power", "Power of all of the host that is metered.", host_power.into_iter().collect()),
        counter("hw.energy", "Energy consumed by the component.", energies),
        gauge("hw.power", "Power consumed by the component.", powers),
    ];
    all.into_iter().flatten().collect()
}

/// The host's power: of what meters it whole, else of all parts together; `None` before the first interval.
fn power<'a>(feeds: impl Iterator<Item = &'a DomainRow> + Clone) -> Option<Power> {
    let whole = feeds.clone().find(|row| row.domain.role == Role::Whole);
    let watts: Vec<f64> = match whole {
        Some(row) => row.power.iter().map(|power| power.watts()).collect(),
        None => feeds.filter_map(|row| row.power).map(Power::watts).collect(),
    };
    (!watts.is_empty()).then(|| Power::from_watts(watts.iter().sum()))
}

/// What a component is; `None` for a meter of the whole host.
fn identity(row: &DomainRow) -> Option<Vec<KeyValue>> {
    let kind = match row.domain.component {
        Component::Cpu => "cpu",
        Component::Dram => "memory",
        Component::Gpu => "gpu",
        Component::Other => return None,
    };
    let id = format!("{}/{}", row.domain.meter, row.domain.name);
    Some(vec![attribute("hw.id", &id), attribute("hw.name", &row.domain.name), attribute("hw.type", kind)])
}

fn series(
    stamps: &Stamps,
    (name, help, unit): (&str, &str, &str),
    kind: Kind,
    points: Vec<(Vec<KeyValue>, f64)>,
) -> Option<Metric> {
    let start_time_unix_nano = if kind == Kind::Counter { stamps.begun() } else { 0 };
    let point = |(attributes, value)| NumberDataPoint {
        attributes,
        start_time_unix_nano,
        time_unix_nano: nanos(stamps.time),
        value: Some(Number::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    let points: Vec<_> = points.into_iter().map(point).collect();
    let mut metric = empty(name, help, unit, kind);
    match metric.data.as_mut()? {
        metric::Data::Sum(sum) => sum.data_points = points,
        metric::Data::Gauge(gauge) => gauge.data_points = points,
        _ => {}
    }
    (super::point_count(&metric) > 0).then_some(metric)
}
