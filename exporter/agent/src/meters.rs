//! The meters of this machine: found, opened, read, and looked for again.

use std::time::Duration;

use noether_core::reading::{Component, DomainReading, Moment, Role};
use noether_core::vitals::{Histogram, SourceRow};
use noether_sources::meter::{Look, METERS, Meter, Probe};
use noether_sources::stat::CpuTimes;
use noether_sources::{Error, Machine};

use crate::clock;
use crate::settings::Switch;

/// One meter of the table.
pub struct Slot {
    /// Its row.
    pub probe: &'static Probe,
    /// What was opened; `None` where the machine has no such meter.
    pub meter: Option<Box<dyn Meter>>,
    read: Histogram,
    errors: u64,
    up: bool,
}

/// All meters that are switched on.
pub struct Meters {
    slots: Vec<Slot>,
    /// What the last tick read.
    pub readings: Vec<DomainReading>,
}

impl Meters {
    /// Opens what is there.
    pub fn open(machine: &Machine, switches: &[(&'static str, Switch)], troubles: &mut Vec<Error>) -> Self {
        let switched = |probe: &&Probe| !switches.contains(&(probe.name, Switch::Off));
        let slot = |probe| Slot { probe, meter: None, read: Histogram::default(), errors: 0, up: false };
        let mut meters =
            Self { slots: METERS.iter().filter(switched).map(slot).collect(), readings: Vec::new() };
        meters.rescan(machine, troubles);
        meters
    }

    /// Looks for meters and domains that appeared, vanished or were replaced.
    pub fn rescan(&mut self, machine: &Machine, troubles: &mut Vec<Error>) {
        for slot in &mut self.slots {
            let result = match &mut slot.meter {
                Some(meter) => meter.rescan(),
                None => (slot.probe.open)(machine).map(|opened| slot.meter = opened),
            };
            troubles.extend(result.err());
        }
    }

    /// Reads all of them.
    pub fn read(&mut self, cpu: &CpuTimes, faults: &mut Vec<(&'static Probe, Error)>) {
        self.readings.clear();
        let mut errors = Vec::new();
        for slot in &mut self.slots {
            let Some(meter) = &mut slot.meter else { continue };
            let (began, first) = (clock::now(), self.readings.len());
            meter.read(&Look { now: &clock::now, cpu }, &mut self.readings, &mut errors);
            slot.read.observe(clock::now().since(began));
            slot.errors += errors.len() as u64;
            slot.up =
                self.readings.get(first..).is_some_and(|read| read.iter().any(|one| one.reading.is_ok()));
            faults.extend(errors.drain(..).map(|error| (slot.probe, error)));
        }
    }

    /// Whether a domain of main memory was read: only then does anybody need to know who holds it.
    pub fn has_dram(&self) -> bool {
        let dram =
            |one: &DomainReading| one.domain.component == Component::Dram && one.domain.role == Role::Part;
        self.readings.iter().any(|one| dram(one) && one.reading.is_ok())
    }

    /// What they tell of themselves.
    pub fn rows(&self) -> impl Iterator<Item = SourceRow> {
        let found = self.slots.iter().filter(|slot| slot.meter.is_some());
        found.map(|slot| SourceRow {
            source: slot.probe.name,
            up: slot.up,
            read: slot.read,
            errors: vec![("read", slot.errors)],
        })
    }

    /// The meters, for `doctor`.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

/// How long something took.
pub fn timed<T>(histogram: &mut Histogram, work: impl FnOnce() -> T) -> T {
    let began: Moment = clock::now();
    let result = work();
    let took: Duration = clock::now().since(began);
    histogram.observe(took);
    result
}
