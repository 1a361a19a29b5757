//! What it costs to write the page of a snapshot.

#![allow(missing_docs, reason = "criterion makes its main")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use noether_core::grid::Grid;
use noether_core::reading::{Component, Moment};
use noether_core::snapshot::{ComponentRow, Mode, Row, Snapshot, Totals};
use noether_core::units::Energy;
use noether_core::vitals::Vitals;
use noether_core::workload::{Key, Workload};
use noether_exposition::prometheus::{Format, render};

/// Containers in pods, on a machine that meters cpu and dram.
fn snapshot(containers: u64) -> Snapshot {
    let row = |n: u64| {
        let mut energy = Totals::ZERO;
        for component in [Component::Cpu, Component::Dram] {
            for mode in Mode::ALL {
                energy.add(component, mode, Energy::from_microjoules(123_456_789 * (n + 1)));
            }
        }
        let workload = Workload::Container {
            id: format!("{n:064x}").into(),
            runtime: "containerd",
            pod: Some(format!("{n:08x}-5d3c-4a0e-8d6f-000000000000").into()),
        };
        Row {
            key: Arc::new(Key::container("production", &format!("web-7d4b9c6f5-{n:05}"), "server")),
            info: Arc::new(workload.info_by_id()),
            energy,
            since: Moment::default(),
            cpu: Duration::from_micros(987_654_321 * (n + 1)),
        }
    };
    let component =
        |component| ComponentRow { component, pending: Energy::ZERO, retired: Energy::ZERO, floor: None };
    let components = [Component::Cpu, Component::Dram].map(component).into();
    Snapshot { components, rows: (0..containers).map(row).collect(), ..Snapshot::default() }
}

fn scrape(criterion: &mut Criterion) {
    for (name, format) in [("text", Format::Text), ("openmetrics", Format::OpenMetrics)] {
        let mut group = criterion.benchmark_group(name);
        for containers in [100, 1000, 10_000] {
            let (snapshot, vitals) = (snapshot(containers), Vitals::default());
            group.throughput(Throughput::Elements(containers));
            group.bench_function(BenchmarkId::from_parameter(containers), |bencher| {
                bencher.iter(|| {
                    // A new page each time, as for each scrape.
                    let mut page = Vec::new();
                    render(black_box(&snapshot), &vitals, &Grid::default(), format, &mut page);
                    page
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, scrape);
criterion_main!(benches);
