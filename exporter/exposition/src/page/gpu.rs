//! The accelerators' own series.

use noether_core::gpu::{Gauges, Look};
use noether_core::metric::{self, Metric};
use noether_core::snapshot::Snapshot;
use noether_core::units::Power;

use super::Sink;

/// A gauge of a whole device; `None` where that device does not tell.
type Figure = fn(&Gauges) -> Option<f64>;

const GAUGES: [(&Metric, Figure); 8] = [
    (&metric::GPU_POWER, |gauges| gauges.power.map(Power::watts)),
    (&metric::GPU_AVERAGE_POWER, |gauges| gauges.average_power.map(Power::watts)),
    (&metric::GPU_POWER_LIMIT, |gauges| gauges.power_limit.map(Power::watts)),
    (&metric::GPU_UTILISATION, |gauges| gauges.utilisation),
    (&metric::GPU_MEMORY_UTILISATION, |gauges| gauges.memory_utilisation),
    (&metric::GPU_TEMPERATURE, |gauges| gauges.temperature),
    (&metric::GPU_CLOCK, |gauges| gauges.clock.map(|hertz| hertz as f64)),
    (&metric::GPU_MEMORY_CLOCK, |gauges| gauges.memory_clock.map(|hertz| hertz as f64)),
];

/// Writes the families of accelerators; none where there is no such device.
pub(super) fn gpus(sink: &mut impl Sink, snapshot: &Snapshot) {
    sink.family(&metric::GPU_INFO, |s, m| {
        snapshot.gpus.iter().for_each(|row| info(s, m, &row.look));
    });
    sink.family(&metric::GPU_ATTRIBUTION, |s, m| {
        for row in &snapshot.gpus {
            let device = &row.look.device;
            s.sample(m, &[&device.gpu, &device.uuid, row.method], 1_u64);
        }
    });
    for (metric, figure) in GAUGES {
        sink.family(metric, |s, m| {
            for look in snapshot.gpus.iter().map(|row| &row.look) {
                if let Some(value) = figure(&look.gauges) {
                    s.sample(m, &[&look.device.gpu, &look.device.uuid], value);
                }
            }
        });
    }
    memory(sink, snapshot, &metric::GPU_MEMORY_USED, |(used, _)| used);
    memory(sink, snapshot, &metric::GPU_MEMORY_SIZE, |(_, all)| all);
}

/// The device, and the instances that it is cut into.
fn info(s: &mut impl Sink, m: &Metric, look: &Look) {
    let device = &look.device;
    let whole = (&device.uuid, "");
    let parts = look.instances.iter().filter(|_| look.slices > 0).map(|one| (&one.uuid, &*one.profile));
    for (uuid, profile) in [whole].into_iter().chain(parts) {
        s.sample(m, &[&device.gpu, uuid, &device.model, &device.driver, profile, &device.pci], 1_u64);
    }
}

fn memory(sink: &mut impl Sink, snapshot: &Snapshot, metric: &Metric, of: fn((u64, u64)) -> u64) {
    sink.family(metric, |s, m| {
        for look in snapshot.gpus.iter().map(|row| &row.look) {
            let gpu = &look.device.gpu;
            let whole = [(&look.device.uuid, look.gauges.memory)].into_iter();
            let parts = look.instances.iter().filter(|_| look.slices > 0).map(|one| (&one.uuid, one.memory));
            for (uuid, figures) in whole.chain(parts) {
                if let Some(figures) = figures {
                    s.sample(m, &[gpu, uuid], of(figures));
                }
            }
        }
    });
}
