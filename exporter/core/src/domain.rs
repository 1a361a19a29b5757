//! The state of one domain: its own total, and whether it feeds the node's total.

use alloc::sync::Arc;

use crate::counter::{Counter, LeftOut, Step};
use crate::granularity::Granularity;
use crate::ledger::Hold;
use crate::mirror::{CounterLook, Kinship};
use crate::plausible::Bounds;
use crate::reading::{Component, Domain, DomainReading, Fault, Moment, Place, Reading, Role};
use crate::standstill::Standstill;
use crate::units::{Energy, Power};
use crate::usage::{Base, Usage};
use crate::window::Window;

/// A domain that could not be read this many times in a row gives its place to another one, if there is one.
const GRACE: u32 = 3;
/// A domain without a reading for this long is gone.
const STALE: core::time::Duration = core::time::Duration::from_secs(60);

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
    /// Whether it fed the node's total at the last tick.
    pub fed: bool,
    granularity: Granularity,
    counter: Counter,
    failures: u32,
    fresh: bool,
    /// The time between its last two readings.
    pace: core::time::Duration,
    look: Option<CounterLook>,
    kinship: Kinship,
    standstill: Standstill,
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
    /// Whether it is the first one, or the machine slept in it or was another one at its end: its energy counts, but says
    /// nothing about the idle floor.
    pub distorted: bool,
    /// What the idle floor was not yet learned from.
    pub window: Window,
    /// Whether the device was suspended at the last reading: then the idle floor is that of the others.
    pub suspended: bool,
    /// Whether an interval was closed since the whole-node meter's last one.
    pub beside_whole: bool,
}

impl OpenInterval {
    /// One that begins with `base`. The first interval after a start is as long as everything takes to be opened, and not
    /// the same for meters and for usage.
    pub fn new(base: Base) -> Self {
        Self {
            base,
            energy: Energy::ZERO,
            doubtful: false,
            distorted: true,
            window: Window::default(),
            suspended: false,
            beside_whole: false,
        }
    }

    /// The next one begins.
    pub fn restart(&mut self, usage: &Usage, at: Moment) {
        usage.rebase(&mut self.base, at);
        (self.energy, self.doubtful, self.distorted) = (Energy::ZERO, false, false);
    }

    /// Puts what was used until `at`, the domain's reading, into the window for the idle floor, where power and
    /// `utilisation` are known without doubt.
    pub fn learn(&mut self, used: Energy, at: Moment, utilisation: Option<f64>) -> bool {
        let certain = utilisation.filter(|_| !self.doubtful && !self.distorted);
        if let Some(utilisation) = certain {
            self.window.add(used, at.since(self.base.at), utilisation);
        }
        certain.is_some()
    }
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
            fed: false,
            granularity,
            counter: Counter::default(),
            failures: GRACE,
            fresh: false,
            pace: core::time::Duration::ZERO,
            look: None,
            kinship: Kinship::Own,
            standstill: Standstill::default(),
        }
    }

    /// Before a tick's readings: nothing was read yet.
    pub fn begin_tick(&mut self) {
        (self.fresh, self.look) = (false, None);
    }

    /// Takes a reading; tells which step it left out, if it did.
    pub fn take(&mut self, reading: &DomainReading) -> Result<Option<LeftOut>, Fault> {
        if self.domain.generation != reading.domain.generation {
            self.counter = Counter::default();
            self.standstill = Standstill::default();
        }
        self.domain = Arc::clone(&reading.domain);
        let value = match reading.reading {
            Ok(value) => value,
            Err(fault) => {
                self.failures = self.failures.saturating_add(1);
                return Err(fault);
            }
        };
        (self.failures, self.fresh) = (0, true);
        let before = self.counter.last();
        self.pace = before.map_or(self.pace, |before| reading.at.since(before));
        let step = self.counter.advance(reading.at, value, &Bounds::of(&self.domain));
        let gain = step.energy();
        self.look = look(reading.at, value, gain, before);
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
            feed.distorted |= before.is_some_and(|before| reading.at.slept_since(before));
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
        if self.standstill.stands() {
            return false;
        }
        self.fresh || (self.is_slow() && self.failures == 0 && now.since(self.read_at()) <= patience())
    }

    /// Whether it is read at a pace of its own: accelerators are, on a thread beside the tick's.
    pub fn is_slow(&self) -> bool {
        self.domain.component == Component::Gpu
    }

    /// Whether its next reading is to be waited for before a whole-node meter's interval is closed. How long it takes to be
    /// read is known from the second reading on.
    pub fn lags(&self, now: Moment) -> bool {
        let has_closed = self.feed.as_ref().is_none_or(|feed| feed.beside_whole);
        let is_new = self.pace.is_zero() && self.failures == 0 && now.since(self.read_at()) <= STALE;
        self.is_slow() && !has_closed && (is_new || self.up(now))
    }

    /// Whether it has been unreadable for so long, or has stood still for so long, that another may take its place.
    pub const fn failed(&self) -> bool {
        self.failures >= GRACE || self.standstill.stands()
    }

    /// Looks whether it moves, where the processors have used `work` nanoseconds by now. Returns whether it has just been
    /// found to stand still.
    pub fn watch(&mut self, work: u64) -> bool {
        // An accelerator may rest while the processors work, and so may what lies inside a package: its graphics.
        if self.is_slow() || self.domain.role == Role::Nested {
            return false;
        }
        self.look.is_some_and(|look| self.standstill.observe(look.raw, look.at, work))
    }

    /// Whether it can be read but stands still while the processors work.
    pub const fn stands_still(&self) -> bool {
        self.failures < GRACE && self.standstill.stands()
    }

    /// Whether it has never measured anything, as far as one can tell by now.
    pub const fn is_inert(&self) -> bool {
        self.standstill.is_inert()
    }

    /// What this tick's reading says for the comparison with others of its kind.
    pub const fn look(&self) -> Option<CounterLook> {
        self.look
    }

    /// Takes over what it is to the others of its kind. One that takes the place of the domain that it repeats, as that one
    /// failed, begins there: what it gained before is in the other's energy.
    pub fn relate(&mut self, kinship: Kinship, takes_over: bool) {
        if takes_over && matches!(self.kinship, Kinship::Repeats) && matches!(kinship, Kinship::Own) {
            self.feed = None;
        }
        self.kinship = kinship;
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
        let own = matches!(self.kinship, Kinship::Own);
        self.fresh && own && !self.counter.keeps_open() && !self.standstill.stands()
    }

    /// Whether ended workloads have to wait for its interval to close: not for one that may stay open for long.
    pub const fn awaited(&self) -> bool {
        !self.failed() && matches!(self.kinship, Kinship::Own)
    }

    /// Whether it feeds the node's total. The interval of one that repeats another's counter is only kept, until that is sure.
    pub const fn feeds(&self) -> bool {
        self.feed.is_some() && !matches!(self.kinship, Kinship::Repeats)
    }

    /// The instant of its last reading.
    pub fn read_at(&self) -> Moment {
        self.counter.last().unwrap_or_default()
    }

    /// Whether it counts the same silicon as `other`.
    pub fn same_place(&self, other: &Domain) -> bool {
        self.place() == (other.component, other.role == Role::Whole, other.place)
    }

    fn place(&self) -> (Component, bool, Place) {
        (self.domain.component, self.domain.role == Role::Whole, self.domain.place)
    }
}

/// What a reading says for the comparison with others; `None` for what is no counter.
fn look(at: Moment, value: Reading, gain: Energy, before: Option<Moment>) -> Option<CounterLook> {
    let (raw, range) = match value {
        Reading::Counter { total, range } => (total, Some(range)),
        Reading::Total(total) => (total, None),
        Reading::Power(_) => return None,
    };
    let interval = before.map_or(core::time::Duration::ZERO, |before| at.since(before));
    Some(CounterLook { at, raw, range, gain, interval })
}
