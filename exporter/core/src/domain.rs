//! The state of one domain: its own total, and whether it feeds the node's total.

use alloc::sync::Arc;

use crate::counter::{Counter, LeftOut, Step};
use crate::granularity::Granularity;
use crate::ledger::Hold;
use crate::plausible::Bounds;
use crate::reading::{Component, Domain, DomainReading, Fault, Moment, Place, Reading, Role};
use crate::units::{Energy, Power};
use crate::usage::Base;

/// A domain that could not be read this many times in a row gives its place to another one, if there is one.
const GRACE: u32 = 3;
/// A domain without a reading for this long is gone.
const STALE: core::time::Duration = core::time::Duration::from_secs(60);
/// Two dies' counters this near, in time at the most power that they can draw, may be one counter.
const MIRROR_WINDOW: core::time::Duration = core::time::Duration::from_millis(20);
/// So often must they have moved without being equal to be two.
const MIRROR_LOOKS: u32 = 3;

/// What is known of one domain.
#[derive(Clone, Debug)]
pub struct DomainState {
    /// The domain as it was last read.
    pub domain: Arc<Domain>,
    /// Energy since the start.
    pub total: Energy,
    /// Mean power over the last interval, of the energy as it is shown.
    pub power: Option<Power>,
    /// Whether its series may show their values.
    pub hold: Hold,
    /// The open interval, while it feeds the node's total.
    pub feed: Option<OpenInterval>,
    granularity: Granularity,
    counter: Counter,
    failures: u32,
    fresh: bool,
    /// The time between its last two readings.
    pace: core::time::Duration,
    raw: Option<Energy>,
    mirror: Mirror,
}

/// An interval that is not charged yet.
#[derive(Clone, Debug)]
pub struct OpenInterval {
    /// The usage at its start.
    pub base: Base,
    /// What was measured so far.
    pub energy: Energy,
    /// Whether a reset fell into it: then its power says nothing about the idle floor.
    pub doubtful: bool,
    /// Whether the machine slept in it: then its power is not that of a machine at rest.
    pub slept: bool,
}

/// Whether a die repeats the counter of its socket's first die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mirror {
    /// Not compared yet.
    Unknown,
    /// The values are near; the first die's at the last look, and how often it moved meanwhile. Nothing is charged until
    /// it is certain.
    Suspected(Energy, u32),
    /// They moved and were equal to the microjoule: one counter.
    Certain,
    /// They differ: two counters.
    No,
}

impl DomainState {
    /// A domain that is seen for the first time, shown in steps of `granularity`.
    pub fn new(domain: Arc<Domain>, granularity: Granularity) -> Self {
        Self {
            domain,
            total: Energy::ZERO,
            power: None,
            hold: Hold::Unborn,
            feed: None,
            granularity,
            counter: Counter::default(),
            failures: GRACE,
            fresh: false,
            pace: core::time::Duration::ZERO,
            raw: None,
            mirror: Mirror::Unknown,
        }
    }

    /// Before a tick's readings: nothing was read yet.
    pub fn begin_tick(&mut self) {
        self.fresh = false;
    }

    /// Takes a reading; tells which step it left out, if it did.
    pub fn take(&mut self, reading: &DomainReading) -> Result<Option<LeftOut>, Fault> {
        self.domain = Arc::clone(&reading.domain);
        let value = match reading.reading {
            Ok(value) => value,
            Err(fault) => {
                self.failures = self.failures.saturating_add(1);
                return Err(fault);
            }
        };
        (self.failures, self.fresh) = (0, true);
        self.raw = match value {
            Reading::Counter { total, .. } | Reading::Total(total) => Some(total),
            Reading::Power(_) => None,
        };
        let before = self.counter.last();
        self.pace = before.map_or(self.pace, |before| reading.at.since(before));
        let step = self.counter.advance(reading.at, value, &Bounds::of(&self.domain));
        let gain = step.energy();
        let shown_before = self.granularity.floor(self.total);
        self.total += gain;
        let shown = self.granularity.floor(self.total).checked_sub(shown_before).unwrap_or_default();
        let mut left_out = None;
        match step {
            Step::First => {}
            Step::Advanced(_) | Step::Wrapped(_) | Step::Restarted(_) | Step::Returned(_) => {
                self.power = before.map(|before| shown.over(reading.at.since(before)));
            }
            Step::Held => self.power = None,
            Step::Reset(what) => (left_out, self.power) = (Some(what), None),
        }
        if let Some(feed) = &mut self.feed {
            feed.energy += gain;
            feed.doubtful |= left_out.is_some();
            // Nothing of it was lost after all.
            feed.doubtful &= !matches!(step, Step::Returned(_));
            feed.slept |= before.is_some_and(|before| reading.at.slept_since(before));
        }
        Ok(left_out)
    }

    /// After a tick's readings: a domain that nobody reads any more is gone. Slow meters have no reading at most ticks.
    pub fn end_tick(&mut self, now: Moment) {
        // One whose rounds take minutes is not gone between two of them.
        if now.since(self.read_at()) > self.pace.saturating_mul(3).clamp(STALE, 10 * STALE) {
            self.failures = GRACE;
        }
    }

    /// Whether it was read in this tick.
    pub const fn fresh(&self) -> bool {
        self.fresh
    }

    /// Whether it can be read, as far as one knows by now: a slow meter has no reading at many a tick.
    pub fn up(&self, now: Moment) -> bool {
        let patience = || self.pace.max(core::time::Duration::from_secs(1)).saturating_mul(3);
        self.fresh || (self.is_slow() && self.failures == 0 && now.since(self.read_at()) <= patience())
    }

    /// Whether it is read at a pace of its own: accelerators are, on a thread beside the tick's.
    pub fn is_slow(&self) -> bool {
        self.domain.component == Component::Gpu
    }

    /// Whether it has been unreadable for so long that another may take its place.
    pub const fn failed(&self) -> bool {
        self.failures >= GRACE
    }

    /// Whether its series are shown: they are absent, never 0, while it cannot be read.
    pub fn shown(&self) -> bool {
        !self.failed() && (self.domain.role != Role::Model || self.feed.is_some())
    }

    /// Its energy as it is shown: whole steps, 0 while it is held.
    pub fn shown_energy(&self) -> Energy {
        if self.hold.released() { self.granularity.floor(self.total) } else { Energy::ZERO }
    }

    /// Whether its interval can be closed now.
    pub fn closes(&self) -> bool {
        self.fresh && !self.counter.keeps_open() && matches!(self.mirror, Mirror::Unknown | Mirror::No)
    }

    /// Whether ended workloads have to wait for its interval to close: not for one that may stay open for long.
    pub const fn awaited(&self) -> bool {
        !self.failed() && !matches!(self.mirror, Mirror::Suspected(..))
    }

    /// Whether it only repeats another die's counter, for certain.
    pub fn mirrors(&self) -> bool {
        self.mirror == Mirror::Certain
    }

    /// The instant of its last reading.
    pub fn read_at(&self) -> Moment {
        self.counter.last().unwrap_or_default()
    }

    /// Compares its value with that of the first die of its socket. A mirror is read microseconds later than its twin, and
    /// the counter moves once a millisecond: mostly they are equal, and never far apart.
    pub fn compare(&mut self, first: &Self) {
        let (Some(mine), Some(its), true, true) = (self.raw, first.raw, self.fresh, first.fresh) else {
            return;
        };
        let most = self.domain.max_power.unwrap_or(Power::from_watts(5000.0));
        let apart = mine.microjoules().abs_diff(its.microjoules());
        let near = apart <= most.during(MIRROR_WINDOW).microjoules();
        self.mirror = match self.mirror {
            Mirror::Unknown if near => Mirror::Suspected(its, 0),
            Mirror::Unknown => Mirror::No,
            Mirror::Suspected(..) if !near => Mirror::No,
            Mirror::Suspected(last, _) if its != last && mine == its => Mirror::Certain,
            Mirror::Suspected(last, MIRROR_LOOKS..) if its != last => Mirror::No,
            Mirror::Suspected(last, moved) => Mirror::Suspected(its, moved + u32::from(its != last)),
            known => known,
        };
    }

    /// Whether it counts the same silicon as `other`.
    pub fn same_place(&self, other: &Domain) -> bool {
        self.place() == (other.component, other.role == Role::Whole, other.place)
    }

    fn place(&self) -> (Component, bool, Place) {
        (self.domain.component, self.domain.role == Role::Whole, self.domain.place)
    }

    /// Whether `self` is a later die of the socket and meter of which `other` is an earlier one.
    pub fn follows(&self, other: &Self) -> bool {
        let (mine, its) = (&self.domain, &other.domain);
        mine.may_mirror
            && (mine.meter, mine.component, mine.role) == (its.meter, its.component, its.role)
            && mine.place.socket == its.place.socket
            && its.place.die.is_some()
            && its.place.die < mine.place.die
    }
}
