//! What every energy meter has in common: how it is found, opened and read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu;
use noether_core::plausible::Bounds;
use noether_core::reading::{Domain, DomainReading, Moment};
use noether_core::units::Energy;

use crate::stat::CpuTimes;
use crate::{Error, Machine, amdgpu, i915, model, nvml, rapl, xe};

/// Every meter that Noether knows, measured ones first.
pub static METERS: &[Probe] = &[
    rapl::PROBE,
    rapl::MMIO_PROBE,
    nvml::PROBE,
    amdgpu::PROBE,
    i915::PROBE,
    xe::PROBE,
    // The last: it stands in where no other one reads.
    model::PROBE,
];

/// How one kind of meter is found. From this row follow its flag `--meter.<name>`, its self-metrics, its row in
/// `docs/sources.md` and its line in `noether doctor`.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// The meter's name, as in `--meter.<name>` and the `meter` label.
    pub name: &'static str,
    /// One line: what it is.
    pub summary: &'static str,
    /// What is read, relative to the roots.
    pub reads: &'static str,
    /// What an operator does where it is there but cannot be read.
    pub mend: &'static str,
    /// Whether opening or reading it may take long: then it gets a thread and a pace of its own, so that no tick waits for it.
    pub slow: bool,
    /// Opens it: `None` where this machine has no such meter, which is no error. A meter that is there but cannot be
    /// read opens all the same, and its readings carry the fault.
    pub open: fn(&Machine) -> Opened,
}

/// What opening a meter gives.
pub type Opened = Result<Option<Box<dyn Meter>>, Error>;

/// What a meter may look at while it is read, besides its own files.
pub struct Look<'a> {
    /// The clock.
    pub now: &'a dyn Fn() -> Moment,
    /// The processors' times of this tick.
    pub cpu: &'a CpuTimes,
}

/// How far apart the readings of a counter that wraps may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Longest {
    /// The counter.
    pub domain: Arc<Domain>,
    /// Where it wraps.
    pub range: Energy,
    /// The longest time in which it cannot wrap unseen.
    pub interval: Duration,
}

impl fmt::Display for Longest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, range, interval } = self;
        let watts = Bounds::of(domain).usual.watts();
        write!(
            f,
            "{} of {} wraps after {:.0} J, unseen beyond {interval:?} at {watts} W",
            domain.name,
            domain.meter,
            range.joules()
        )
    }
}

/// An opened meter.
pub trait Meter: Send {
    /// Reads every domain, each with its own instant, and appends what it found. `faults` gets the errors in full, for
    /// the log; the readings carry them in short. A domain that has no figure yet appends nothing.
    fn read(&mut self, look: &Look<'_>, readings: &mut Vec<DomainReading>, faults: &mut Vec<Error>);

    /// What the last reading found of accelerators besides their energy; it is handed over.
    fn looks(&mut self) -> Vec<Arc<gpu::Look>> {
        Vec::new()
    }

    /// The longest time between two readings in which none of its counters can wrap unseen; `None` where none wraps.
    fn longest_interval(&self) -> Option<Longest> {
        None
    }

    /// What an operator should know of it that is no error, as it is now.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }

    /// Looks for domains that appeared, vanished or were replaced. Called seldom.
    fn rescan(&mut self) -> Result<(), Error>;
}

/// A sentence about a meter that is no error: for the log, once, and for `noether doctor`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Whether energy is missing by it.
    pub lack: bool,
    /// The sentence.
    pub text: String,
}

impl Note {
    /// Something that is missing.
    pub const fn lack(text: String) -> Self {
        Self { lack: true, text }
    }

    /// Something that is as it should be.
    pub const fn usual(text: String) -> Self {
        Self { lack: false, text }
    }
}
