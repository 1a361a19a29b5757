//! The meters of this machine: found, opened, read, and looked for again. Slow ones have a thread of their own.

use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu;
use noether_core::reading::{Component, DomainReading, Moment, Quality, Role};
use noether_core::vitals::{Histogram, SourceRow};
use noether_sources::meter::{Longest, Look, METERS, Meter, Note, Probe};
use noether_sources::stat::CpuTimes;
use noether_sources::{Error, Machine};

use crate::clock;
use crate::settings::Switch;
use crate::slow::{Absent, Slow};

/// One meter of the table.
pub struct Slot {
    /// Its row.
    pub probe: &'static Probe,
    source: Source,
    read: Histogram,
    errors: u64,
    up: bool,
}

/// Where a meter is read.
enum Source {
    /// On the thread that asks; `None` where the machine has no such meter.
    Here(Option<Box<dyn Meter>>),
    /// On a thread of its own; what it read is taken over.
    Thread(Slow),
}

impl Slot {
    /// Whether the machine has such a meter, as far as one knows by now.
    pub fn found(&self) -> bool {
        match &self.source {
            Source::Here(meter) => meter.is_some(),
            Source::Thread(slow) => slow.found(),
        }
    }

    /// What an operator should know of it that is no error, where it is read on the thread that asks.
    pub fn notes(&self) -> Vec<Note> {
        match &self.source {
            Source::Here(Some(meter)) => meter.notes(),
            Source::Here(None) | Source::Thread(_) => Vec::new(),
        }
    }
}

/// All meters that are switched on.
pub struct Meters {
    slots: Vec<Slot>,
    /// What the last tick read.
    pub readings: Vec<DomainReading>,
    /// What it found of accelerators.
    pub looks: Vec<Arc<gpu::Look>>,
}

impl Meters {
    /// Opens what is there, to be read by whoever asks.
    pub fn open(machine: &Machine, switches: &[(&'static str, Switch)], troubles: &mut Vec<Error>) -> Self {
        let mut meters = Self::new(switches, |_| Source::Here(None));
        meters.rescan(machine, troubles);
        meters
    }

    /// Opens what is there; slow meters are opened and read on threads, at this pace or their own.
    pub fn start(
        machine: &Machine,
        switches: &[(&'static str, Switch)],
        pace: Duration,
        troubles: &mut Vec<Error>,
    ) -> Self {
        let is_slow = |probe: &&Probe| probe.slow && !switches.contains(&(probe.name, Switch::Off));
        let absent = Arc::new(Absent::of(METERS.iter().filter(is_slow).count()));
        let source = |probe: &'static Probe| match probe.slow {
            true => Source::Thread(Slow::start(probe, machine.clone(), pace, &absent)),
            false => Source::Here(None),
        };
        let mut meters = Self::new(switches, source);
        meters.rescan(machine, troubles);
        meters
    }

    fn new(switches: &[(&'static str, Switch)], source: impl Fn(&'static Probe) -> Source) -> Self {
        let switched = |probe: &&Probe| !switches.contains(&(probe.name, Switch::Off));
        let slot =
            |probe| Slot { probe, source: source(probe), read: Histogram::default(), errors: 0, up: false };
        let slots = METERS.iter().filter(switched).map(slot).collect();
        Self { slots, readings: Vec::new(), looks: Vec::new() }
    }

    /// Looks for meters and domains that appeared, vanished or were replaced.
    pub fn rescan(&mut self, machine: &Machine, troubles: &mut Vec<Error>) {
        for slot in &mut self.slots {
            let Source::Here(meter) = &mut slot.source else { continue };
            let result = match meter {
                Some(meter) => meter.rescan(),
                none => (slot.probe.open)(machine).map(|opened| *none = opened),
            };
            troubles.extend(result.err());
        }
    }

    /// Reads all of them, and takes over what threads have read.
    pub fn read(&mut self, cpu: &CpuTimes, faults: &mut Vec<(&'static Probe, Error)>) {
        self.readings.clear();
        self.looks.clear();
        let mut errors = Vec::new();
        for slot in &mut self.slots {
            let first = self.readings.len();
            let rounds = match &mut slot.source {
                Source::Here(None) => continue,
                Source::Here(Some(meter)) => {
                    let began = clock::now();
                    meter.read(&Look { now: &clock::now, cpu }, &mut self.readings, &mut errors);
                    self.looks.append(&mut meter.looks());
                    vec![clock::now().since(began)]
                }
                Source::Thread(slow) => slow.take(&mut self.readings, &mut self.looks, &mut errors),
            };
            // A slow meter has nothing new at most ticks; what it said last holds.
            if !rounds.is_empty() {
                let read = self.readings.get(first..).unwrap_or_default();
                // A GPU that reports no power leaves nothing to measure: that is well, unless something went wrong.
                let nothing = slot.probe.slow && read.is_empty() && errors.is_empty();
                slot.up = nothing || read.iter().any(|one| one.reading.is_ok());
            }
            rounds.iter().for_each(|took| slot.read.observe(*took));
            slot.errors += errors.len() as u64;
            faults.extend(errors.drain(..).map(|error| (slot.probe, error)));
        }
    }

    /// Whether a domain of main memory was read: only then does anybody need to know who holds it.
    pub fn has_dram(&self) -> bool {
        let dram =
            |one: &DomainReading| one.domain.component == Component::Dram && one.domain.role == Role::Part;
        self.readings.iter().any(|one| dram(one) && one.reading.is_ok())
    }

    /// The longest time between two readings in which none of the counters can wrap unseen.
    pub fn longest_interval(&self) -> Option<Longest> {
        let here = |slot: &Slot| match &slot.source {
            Source::Here(Some(meter)) => meter.longest_interval(),
            Source::Here(None) | Source::Thread(_) => None,
        };
        self.slots.iter().filter_map(here).min_by_key(|longest| longest.interval)
    }

    /// Whether a counter was read that is not this system's own: the host's, or a hypervisor's.
    pub fn has_hosts(&self) -> bool {
        self.readings.iter().any(|one| one.domain.quality == Quality::Host && one.reading.is_ok())
    }

    /// What they tell of themselves.
    pub fn rows(&self) -> impl Iterator<Item = SourceRow> {
        let found = self.slots.iter().filter(|slot| slot.found());
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
