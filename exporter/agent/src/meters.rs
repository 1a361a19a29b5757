//! The meters of this machine, as the tick sees them: read on other threads, the slow ones on one each.

use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu;
use noether_core::reading::{Component, DomainReading, Moment, Quality, Role};
use noether_core::vitals::{Histogram, SourceRow};
use noether_sources::meter::{Longest, METERS, Note, Probe};
use noether_sources::{Error, Machine};

use crate::clock;
use crate::fast::MeterAnswer;
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
    longest: Option<Longest>,
    notes: Vec<Note>,
}

/// Where a meter is read.
enum Source {
    /// With all that is read at each tick.
    Fast {
        /// Whether the machine has such a meter.
        found: bool,
    },
    /// On a thread of its own; what it read is taken over.
    Thread(Slow),
}

impl Slot {
    fn new(probe: &'static Probe, source: Source) -> Self {
        Self {
            probe,
            source,
            read: Histogram::default(),
            errors: 0,
            up: false,
            longest: None,
            notes: Vec::new(),
        }
    }

    /// Whether the machine has such a meter, as far as one knows by now.
    pub fn found(&self) -> bool {
        match &self.source {
            Source::Fast { found } => *found,
            Source::Thread(slow) => slow.found(),
        }
    }

    /// What an operator should know of it that is no error, where it is read by whoever asks.
    pub fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }

    /// A slow meter has nothing new at most ticks; what it said last holds.
    fn count(&mut self, readings: &[DomainReading], rounds: &[Duration], errors: usize) {
        if !rounds.is_empty() {
            // A GPU that reports no power leaves nothing to measure: that is well, unless something went wrong.
            let nothing = self.probe.slow && readings.is_empty() && errors == 0;
            self.up = nothing || readings.iter().any(|one| one.reading.is_ok());
        }
        rounds.iter().for_each(|took| self.read.observe(*took));
        self.errors += errors as u64;
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

/// Whether a meter is switched on.
pub fn is_on(switches: &[(&'static str, Switch)], probe: &Probe) -> bool {
    !switches.contains(&(probe.name, Switch::Off))
}

impl Meters {
    /// All of them are read by one thread when it is asked.
    pub fn asked(switches: &[(&'static str, Switch)]) -> Self {
        Self::new(switches, |_| Source::Fast { found: false })
    }

    /// Slow meters are opened and read on threads, at this pace or their own.
    pub fn start(machine: &Machine, switches: &[(&'static str, Switch)], pace: Duration) -> Self {
        let is_slow = |probe: &&Probe| probe.slow && is_on(switches, probe);
        let absent = Arc::new(Absent::of(METERS.iter().filter(is_slow).count()));
        Self::new(switches, |probe| match probe.slow {
            true => Source::Thread(Slow::start(probe, machine.clone(), pace, &absent)),
            false => Source::Fast { found: false },
        })
    }

    fn new(switches: &[(&'static str, Switch)], source: impl Fn(&'static Probe) -> Source) -> Self {
        let on = METERS.iter().filter(|probe| is_on(switches, probe));
        let slots = on.map(|probe| Slot::new(probe, source(probe))).collect();
        Self { slots, readings: Vec::new(), looks: Vec::new() }
    }

    /// A tick begins: nothing was read yet.
    pub fn begin_tick(&mut self) {
        self.readings.clear();
        self.looks.clear();
    }

    /// Takes over what one of those gave that are read at each tick.
    pub fn take(&mut self, mut answer: MeterAnswer, faults: &mut Vec<(&'static Probe, Error)>) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.probe.name == answer.probe.name) else {
            return;
        };
        slot.source = Source::Fast { found: answer.found };
        (slot.longest, slot.notes) = (answer.longest, answer.notes);
        let rounds: Vec<Duration> = answer.took.into_iter().collect();
        slot.count(&answer.readings, &rounds, answer.faults.len());
        self.readings.append(&mut answer.readings);
        self.looks.append(&mut answer.looks);
        faults.extend(answer.faults.into_iter().map(|error| (slot.probe, error)));
    }

    /// Takes over what threads have read.
    pub fn take_slow(&mut self, faults: &mut Vec<(&'static Probe, Error)>) {
        for slot in &mut self.slots {
            let Source::Thread(slow) = &mut slot.source else { continue };
            let (first, mut errors) = (self.readings.len(), Vec::new());
            let rounds = slow.take(&mut self.readings, &mut self.looks, &mut errors);
            slot.count(self.readings.get(first..).unwrap_or_default(), &rounds, errors.len());
            faults.extend(errors.into_iter().map(|error| (slot.probe, error)));
        }
    }

    /// Those that are read at each tick did not answer.
    pub fn no_answer(&mut self) {
        let fast = |slot: &&mut Slot| matches!(slot.source, Source::Fast { .. });
        self.slots.iter_mut().filter(fast).for_each(|slot| slot.up = false);
    }

    /// Whether a domain of main memory was read: only then does anybody need to know who holds it.
    pub fn has_dram(&self) -> bool {
        let dram =
            |one: &DomainReading| one.domain.component == Component::Dram && one.domain.role == Role::Part;
        self.readings.iter().any(|one| dram(one) && one.reading.is_ok())
    }

    /// The longest time between two readings in which none of the counters can wrap unseen.
    pub fn longest_interval(&self) -> Option<Longest> {
        let longest = self.slots.iter().filter_map(|slot| slot.longest.clone());
        longest.min_by_key(|longest| longest.interval)
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
