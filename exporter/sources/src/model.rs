//! The model: what the processors probably draw, from their kind and their load, where nothing measures.
//!
//! Power = idle + (full − idle) · load: the usual approximation, which may well be off by tens of percent. Where
//! its figures come from, see [`crate::cpu_power`]. It never stands beside a measured figure in the node's total.

use std::path::PathBuf;
use std::sync::Arc;

use noether_core::reading::{Component, Domain, DomainReading, Place, Quality, Reading, Role};
use noether_core::units::Power;

pub use crate::cpu_power::Estimate;
use crate::cpuinfo::{self, Processor};
use crate::file::if_there;
use crate::meter::{Look, Meter, Probe};
use crate::stat::{CpuTime, CpuTimes};
use crate::{Error, Machine, cpu_power};

/// The model of the processors' power.
pub const PROBE: Probe = Probe {
    name: "model",
    summary: "an estimate of the processors' power from their model and load",
    reads: "<procfs>/cpuinfo, <procfs>/stat",
    mend: "the model needs a readable <procfs>/cpuinfo and <procfs>/stat; in a container give --path.procfs",
    slow: false,
    open: |machine| {
        let mut model = Model::new(machine);
        // A processor that cannot be asked what it is is any processor; the next reading says so.
        model.note = model.rescan().err();
        Ok(Some(Box::new(model)))
    },
};

/// What the model takes the machine's processors to draw, and why. For `doctor` and the log.
pub fn estimate(machine: &Machine) -> Result<Estimate, Error> {
    let mut model = Model::new(machine);
    model.rescan()?;
    Ok(cpu_power::estimate(&model.cpu, model.cpu.threads.max(1)))
}

struct Model {
    path: PathBuf,
    domain: Arc<Domain>,
    cpu: Processor,
    /// The estimate for as many processors as there were when it was made.
    estimate: Option<(u32, Estimate)>,
    previous: Option<CpuTimes>,
    /// What the next reading says once, for the log.
    note: Option<Error>,
}

impl Model {
    fn new(machine: &Machine) -> Self {
        let domain = Domain {
            meter: PROBE.name,
            name: "cpu".into(),
            component: Component::Cpu,
            role: Role::Model,
            place: Place::default(),
            quality: Quality::Modelled,
            max_power: None,
            may_mirror: false,
            generation: 0,
        };
        let path = machine.procfs.join("cpuinfo");
        let (domain, cpu) = (Arc::new(domain), Processor::default());
        Self { path, domain, cpu, estimate: None, previous: None, note: None }
    }

    /// The estimate for `online` processors: they may come and go.
    fn estimate(&mut self, online: u32) -> &Estimate {
        let stale = self.estimate.take().filter(|(threads, _)| *threads == online);
        let fresh = stale.unwrap_or_else(|| (online, cpu_power::estimate(&self.cpu, online)));
        &self.estimate.insert(fresh).1
    }
}

impl Meter for Model {
    fn read(&mut self, look: &Look<'_>, readings: &mut Vec<DomainReading>, faults: &mut Vec<Error>) {
        faults.extend(self.note.take());
        // The first reading is only the base from which power is integrated: its value does not matter.
        let load = self.previous.as_ref().map_or(Some(0.0), |earlier| load(look.cpu.since(earlier)));
        self.previous = Some(look.cpu.clone());
        let Some(load) = load else { return };
        let online = match u32::try_from(look.cpu.each.len()) {
            Ok(0) => self.cpu.threads.max(1),
            online => online.unwrap_or(u32::MAX),
        };
        let power = at_load(self.estimate(online), load);
        let domain = Arc::clone(&self.domain);
        readings.push(DomainReading { domain, at: (look.now)(), reading: Ok(Reading::Power(power)) });
    }

    /// Reads the kind of processor. A tree without the file is no error: the processor is then any.
    fn rescan(&mut self) -> Result<(), Error> {
        let cpu = if_there(&self.path)?.map(|content| cpuinfo::parse(&content)).unwrap_or_default();
        if cpu != self.cpu {
            self.estimate = None;
            self.cpu = cpu;
        }
        Ok(())
    }
}

/// The part of the time between two readings that the processors were busy, those that were online both times. `None` where
/// no time passed.
fn load(gain: CpuTime) -> Option<f64> {
    let (busy, idle) = (gain.busy.as_secs_f64(), gain.idle.as_secs_f64());
    let all = busy + idle;
    (all > 0.0).then(|| (busy / all).clamp(0.0, 1.0))
}

fn at_load(estimate: &Estimate, load: f64) -> Power {
    let (idle, full) = (estimate.idle.watts(), estimate.full.watts());
    Power::from_watts(idle + (full - idle) * load)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat::CpuTimes;
    use noether_core::reading::Moment;
    use proptest::prelude::*;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    const GUEST: &str =
        "processor: 0\nvendor_id: AuthenticAMD\ncpu family: 25\nmodel: 1\nmodel name: AMD EPYC\n";

    fn machine(procfs: &Path) -> Machine {
        let procfs = procfs.to_owned();
        Machine {
            sysfs: procfs.clone(),
            cgroupfs: procfs.clone(),
            rootfs: procfs.clone(),
            procfs,
            nvml_library: "libnvidia-ml.so.1".into(),
            clock_ticks: 100,
            page_size: 4096,
        }
    }

    fn times(busy: u64, idle: u64, cpus: u32) -> CpuTimes {
        let all = CpuTime { busy: Duration::from_secs(busy), idle: Duration::from_secs(idle) };
        let each = CpuTime { busy: all.busy / cpus.max(1), idle: all.idle / cpus.max(1) };
        CpuTimes { all, each: (0..cpus).map(|cpu| (cpu, each)).collect() }
    }

    fn watts(meter: &mut dyn Meter, cpu: &CpuTimes) -> Option<f64> {
        let (mut readings, mut faults) = (Vec::new(), Vec::new());
        let now = || Moment::default();
        meter.read(&Look { now: &now, cpu }, &mut readings, &mut faults);
        assert!(faults.is_empty());
        match readings.pop()?.reading {
            Ok(Reading::Power(power)) => Some(power.watts()),
            other => panic!("{other:?}"),
        }
    }

    fn opened(folder: &Path) -> Box<dyn Meter> {
        (PROBE.open)(&machine(folder)).unwrap().unwrap()
    }

    #[test]
    fn power_follows_the_load() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cpuinfo"), GUEST).unwrap();
        let mut model = opened(folder.path());
        assert_eq!(watts(&mut *model, &times(0, 0, 2)), Some(0.9), "the base");
        assert_eq!(watts(&mut *model, &times(0, 2, 2)), Some(0.9));
        assert_eq!(watts(&mut *model, &times(2, 2, 2)), Some(4.04));
        assert_eq!(watts(&mut *model, &times(3, 3, 2)), Some(2.47));
        assert_eq!(watts(&mut *model, &times(3, 3, 2)), None, "no time passed");
        assert_eq!(watts(&mut *model, &times(2, 10, 2)), Some(0.9), "a figure that falls is no time");
        assert_eq!(watts(&mut *model, &times(1, 8, 1)), Some(0.45), "a processor went offline");
        // The other one comes back with all that it ever did; half of the time of the first was busy.
        assert_eq!(watts(&mut *model, &times(2 * 2, 2 * 9, 2)), Some(2.47));
    }

    #[test]
    fn without_cpuinfo_the_average_stands_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut model = opened(folder.path());
        watts(&mut *model, &times(0, 0, 4));
        assert_eq!(watts(&mut *model, &times(0, 4, 4)), Some(2.96));
        fs::write(folder.path().join("cpuinfo"), GUEST).unwrap();
        model.rescan().unwrap();
        assert_eq!(watts(&mut *model, &times(0, 8, 4)), Some(1.8));
    }

    #[test]
    fn this_machine_has_an_estimate() {
        let estimate = estimate(&machine(Path::new("/proc"))).unwrap();
        assert!(Power::ZERO < estimate.idle && estimate.idle < estimate.full, "{estimate:?}");
        assert!(!estimate.basis.is_empty());
    }

    proptest! {
        #[test]
        fn a_load_is_a_part(busy in 0..u64::MAX, idle in 0..u64::MAX, later in 0..u64::MAX, rest in 0..u64::MAX) {
            if let Some(load) = load(times(later, rest, 0).since(&times(busy, idle, 0))) {
                prop_assert!((0.0..=1.0).contains(&load));
            }
        }
    }
}
