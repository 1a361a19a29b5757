//! What a page holds, walked once for every protocol: which families there are, in which order, with which values.

mod carbon;
mod gpu;

use std::time::Duration;

use noether_core::grid::Grid;
use noether_core::metric::{self, Metric};
use noether_core::snapshot::{ComponentRow, Mode, Row, Snapshot, Totals};
use noether_core::units::Energy;
use noether_core::vitals::{Histogram, Vitals};
use noether_core::workload::Family;

use carbon::carbon;

/// A value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A count.
    Count(u64),
    /// Any number.
    Real(f64),
    /// Energy, shown in joules.
    Energy(Energy),
    /// Time, shown in seconds.
    Time(Duration),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<Energy> for Value {
    fn from(energy: Energy) -> Self {
        Self::Energy(energy)
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

/// Where a page goes: one for each protocol.
pub(crate) trait Sink {
    /// A family, and its samples; nothing at all where there are none.
    fn family(&mut self, metric: &Metric, samples: impl FnOnce(&mut Self, &Metric));

    /// A sample of which the caller pairs labels with values.
    fn labelled<'a>(
        &mut self,
        metric: &Metric,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: impl Into<Value>,
    );

    /// The energy of a family's workloads: by far the most series.
    fn energies<'a>(
        &mut self,
        metric: &Metric,
        rows: impl Iterator<Item = &'a Row>,
        components: &[ComponentRow],
    );

    /// The CPU time of a workload.
    fn cpu_time(&mut self, metric: &Metric, row: &Row);

    /// A distribution of a metric with one label.
    fn histogram(&mut self, metric: &Metric, label: &str, histogram: &Histogram);

    /// A sample with the values of the metric's labels, in their order.
    fn sample(&mut self, metric: &Metric, values: &[&str], value: impl Into<Value>) {
        self.labelled(metric, metric.labels.iter().copied().zip(values.iter().copied()), value);
    }
}

/// A workload's labels.
pub(crate) fn labels(row: &Row) -> impl Iterator<Item = (&str, &str)> {
    row.key.family.labels().iter().copied().zip(row.key.values.iter().map(|value| &**value))
}

/// The whole page of a snapshot: what the command `node` shows.
pub(crate) fn node_page(sink: &mut impl Sink, snapshot: &Snapshot, vitals: &Vitals, grid: &Grid) {
    domains(sink, snapshot);
    node(sink, snapshot);
    for family in Family::ALL {
        workload_energy(sink, snapshot, family);
    }
    totals(sink, &metric::UNATTRIBUTED_ENERGY, snapshot, &snapshot.unattributed);
    held_back(sink, snapshot);
    for family in Family::ALL {
        workload_cpu(sink, snapshot, family);
    }
    infos(sink, snapshot);
    meters(sink, snapshot);
    gpu::gpus(sink, snapshot);
    sources(sink, vitals);
    sink.family(&metric::WORKLOADS_FOLDED, |s, m| s.sample(m, &[], snapshot.folded));
    carbon(sink, grid);
    ticks(sink, vitals);
    process(sink, vitals);
}

/// The whole page of the grid: what the command `grid` shows.
pub(crate) fn grid_page(sink: &mut impl Sink, vitals: &Vitals, grid: &Grid) {
    carbon(sink, grid);
    process(sink, vitals);
}

fn domains(sink: &mut impl Sink, snapshot: &Snapshot) {
    sink.family(&metric::DOMAIN_ENERGY, |s, m| {
        for row in &snapshot.domains {
            s.sample(m, &[row.domain.meter, &row.domain.name, row.domain.component.label()], row.energy);
        }
    });
    sink.family(&metric::DOMAIN_POWER, |s, m| {
        for row in &snapshot.domains {
            if let Some(power) = row.power {
                s.sample(
                    m,
                    &[row.domain.meter, &row.domain.name, row.domain.component.label()],
                    power.watts(),
                );
            }
        }
    });
}

fn node(sink: &mut impl Sink, snapshot: &Snapshot) {
    totals(sink, &metric::NODE_ENERGY, snapshot, &snapshot.node);
    sink.family(&metric::NODE_IDLE_POWER, |s, m| {
        for row in &snapshot.components {
            if let Some(power) = row.floor {
                s.sample(m, &[row.component.label()], power.watts());
            }
        }
    });
}

fn totals(sink: &mut impl Sink, metric: &Metric, snapshot: &Snapshot, totals: &Totals) {
    sink.family(metric, |s, m| {
        for component in snapshot.components.iter().map(|row| row.component) {
            for mode in Mode::ALL {
                s.sample(m, &[component.label(), mode.label()], totals.of(component, mode));
            }
        }
    });
}

fn held_back(sink: &mut impl Sink, snapshot: &Snapshot) {
    sink.family(&metric::PENDING_ENERGY, |s, m| {
        snapshot.components.iter().for_each(|row| s.sample(m, &[row.component.label()], row.pending));
    });
    sink.family(&metric::RETIRED_ENERGY, |s, m| {
        snapshot.components.iter().for_each(|row| s.sample(m, &[row.component.label()], row.retired));
    });
}

fn rows(snapshot: &Snapshot, family: Family) -> impl Iterator<Item = &Row> {
    snapshot.rows.iter().filter(move |row| row.key.family == family)
}

fn workload_energy(sink: &mut impl Sink, snapshot: &Snapshot, family: Family) {
    let metric = match family {
        Family::Container => &metric::CONTAINER_ENERGY,
        Family::Job => &metric::JOB_ENERGY,
        Family::Unit => &metric::UNIT_ENERGY,
        Family::Vm => &metric::VM_ENERGY,
    };
    sink.family(metric, |s, m| s.energies(m, rows(snapshot, family), &snapshot.components));
}

fn workload_cpu(sink: &mut impl Sink, snapshot: &Snapshot, family: Family) {
    let metric = match family {
        Family::Container => &metric::CONTAINER_CPU,
        Family::Job => &metric::JOB_CPU,
        Family::Unit => &metric::UNIT_CPU,
        Family::Vm => &metric::VM_CPU,
    };
    sink.family(metric, |s, m| {
        rows(snapshot, family).for_each(|row| s.cpu_time(m, row));
    });
}

fn infos(sink: &mut impl Sink, snapshot: &Snapshot) {
    let is_pod = |row: &Row| {
        row.key.family == Family::Container && row.key.values.last().is_some_and(|c| &**c == "POD")
    };
    let mut info = |metric: &Metric, is: &dyn Fn(&Row) -> bool| {
        sink.family(metric, |s, m| {
            for row in snapshot.rows.iter().filter(|row| is(row)) {
                // A pod's series has container="POD"; its info has only what joins.
                let own = labels(row).filter(|(name, _)| m.labels.contains(name));
                let more = row.info.iter().map(|(name, value)| (*name, &**value));
                s.labelled(m, own.chain(more), 1_u64);
            }
        });
    };
    info(&metric::CONTAINER_INFO, &|row| row.key.family == Family::Container && !is_pod(row));
    info(&metric::POD_INFO, &is_pod);
    info(&metric::JOB_INFO, &|row| row.key.family == Family::Job);
    info(&metric::VM_INFO, &|row| row.key.family == Family::Vm);
}

fn meters(sink: &mut impl Sink, snapshot: &Snapshot) {
    sink.family(&metric::METER_INFO, |s, m| {
        for feed in &snapshot.feeds {
            s.sample(m, &[feed.meter, feed.component.label(), feed.quality], 1_u64);
        }
    });
    sink.family(&metric::METER_UP, |s, m| {
        snapshot.meters.iter().for_each(|row| s.sample(m, &[row.meter], u64::from(row.up)));
    });
    sink.family(&metric::METER_ERRORS, |s, m| {
        for row in &snapshot.meters {
            row.errors.iter().for_each(|(reason, count)| s.sample(m, &[row.meter, reason], *count));
        }
    });
}

fn sources(sink: &mut impl Sink, vitals: &Vitals) {
    sink.family(&metric::SOURCE_UP, |s, m| {
        vitals.sources.iter().for_each(|row| s.sample(m, &[row.source], u64::from(row.up)));
    });
    sink.family(&metric::SOURCE_READ, |s, m| {
        vitals.sources.iter().for_each(|row| s.histogram(m, row.source, &row.read));
    });
    sink.family(&metric::SOURCE_ERRORS, |s, m| {
        for row in &vitals.sources {
            row.errors.iter().for_each(|(reason, count)| s.sample(m, &[row.source, reason], *count));
        }
    });
}

fn ticks(sink: &mut impl Sink, vitals: &Vitals) {
    sink.family(&metric::TICK_DURATION, |s, m| {
        vitals.stages.iter().for_each(|(stage, histogram)| s.histogram(m, stage, histogram));
    });
    sink.family(&metric::TICKS_MISSED, |s, m| s.sample(m, &[], vitals.missed));
    sink.family(&metric::LAST_TICK, |s, m| s.sample(m, &[], vitals.last_tick));
}

fn process(sink: &mut impl Sink, vitals: &Vitals) {
    sink.family(&metric::HTTP_REQUESTS, |s, m| {
        vitals.requests.iter().for_each(|(code, count)| s.sample(m, &[code], *count));
    });
    sink.family(&metric::HTTP_CONNECTIONS, |s, m| s.sample(m, &[], vitals.connections));
    pushes(sink, vitals);
    sink.family(&metric::BUILD_INFO, |s, m| s.sample(m, &[vitals.version], 1_u64));
    sink.family(&metric::PROCESS_CPU, |s, m| s.sample(m, &[], vitals.cpu));
    sink.family(&metric::PROCESS_MEMORY, |s, m| s.sample(m, &[], vitals.resident));
    sink.family(&metric::PROCESS_START, |s, m| s.sample(m, &[], vitals.start));
    sink.family(&metric::PROCESS_FDS, |s, m| s.sample(m, &[], vitals.descriptors.0));
    sink.family(&metric::PROCESS_MAX_FDS, |s, m| s.sample(m, &[], vitals.descriptors.1));
}

fn pushes(sink: &mut impl Sink, vitals: &Vitals) {
    let Some(pushes) = &vitals.pushes else { return };
    sink.family(&metric::OTLP_REQUESTS, |s, m| s.sample(m, &[], pushes.requests));
    sink.family(&metric::OTLP_FAILURES, |s, m| {
        pushes.failures.iter().for_each(|(reason, count)| s.sample(m, &[reason], *count));
    });
    sink.family(&metric::OTLP_REJECTED, |s, m| s.sample(m, &[], pushes.rejected));
    sink.family(&metric::OTLP_LAST_SUCCESS, |s, m| {
        pushes.last_success.iter().for_each(|time| s.sample(m, &[], *time));
    });
}
