//! A wrapping counter becomes energy used: what one domain gained since its previous reading.
//!
//! A value that no energy explains becomes the new base, and the base before it is kept: if the counter comes back to it
//! (a reading of 0 or a torn one between good ones), the energy since then is counted from there, once. If the counter goes
//! on from the new value, it had started over. Until one of the two is sure, nothing is added.

use core::time::Duration;

use crate::plausible::{ASLEEP, Bounds, Seen};
use crate::reading::{Moment, Reading};
use crate::units::{Energy, Power};

/// A counter that moved on this often from the value that it fell or jumped to has started over there.
const MOVES: u32 = 2;
/// So many readings at most does an interval stay open for a counter of which that is not sure.
const OPEN: u32 = 10;
/// Power over shorter times is too noisy to learn a domain's peak from.
const SHORTEST: Duration = Duration::from_millis(50);

/// What a new reading meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was no reading before: this one is the base.
    First,
    /// The counter went on by this much.
    Advanced(Energy),
    /// The counter passed its range and went on by this much.
    Wrapped(Energy),
    /// The machine slept and the counter started over from 0: it shows what was used since then.
    Restarted(Energy),
    /// The counter came back to where it was before it showed something else, and went on by this much since then.
    Returned(Energy),
    /// Nothing is added yet: it is not sure from which value the counter goes on.
    Held,
    /// No energy can be told from the reading: nothing is added and it is the next base.
    Reset(LeftOut),
}

/// A step that is not counted, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Why.
    pub doubt: Doubt,
    /// The counter's value before, and now; `None` where the meter shows power.
    pub values: Option<(Energy, Energy)>,
    /// The time between the two readings, without that asleep.
    pub time: Duration,
    /// The most power that was thought possible.
    pub bound: Power,
}

/// Why a reading is a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// It fell, and no wrap explains the fall.
    Fall,
    /// It rose by more than the domain can draw.
    Jump,
    /// So much time passed that more than one wrap could hide in it.
    Ambiguous,
}

impl Doubt {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fall, Self::Jump, Self::Ambiguous];

    /// The value of the `reason` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fall => "reset",
            Self::Jump => "jump",
            Self::Ambiguous => "ambiguous_wrap",
        }
    }
}

impl Step {
    /// The energy that the step adds.
    pub const fn energy(self) -> Energy {
        match self {
            Self::Advanced(energy)
            | Self::Wrapped(energy)
            | Self::Restarted(energy)
            | Self::Returned(energy) => energy,
            Self::First | Self::Held | Self::Reset(_) => Energy::ZERO,
        }
    }
}

/// A value of a counter.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Moment,
    reading: Reading,
    /// When the value last changed. Meters that update seldom gain the energy of the whole time since then at once, so
    /// that is the time in which a gain must be plausible.
    moved: Moment,
}

/// The base from before the counter fell or jumped, until it is sure whether it comes back to it.
#[derive(Clone, Copy, Debug)]
struct Earlier {
    mark: Mark,
    /// What the counter gained since, should it have started over, and is not added yet.
    held: Energy,
    /// What of that was added, as the domain is known to draw that much.
    counted: Energy,
    moves: u32,
    readings: u32,
}

/// One domain's counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    last: Option<Mark>,
    earlier: Option<Earlier>,
    seen: Seen,
}

impl Counter {
    /// The instant of the previous reading.
    pub fn last(&self) -> Option<Moment> {
        self.last.map(|mark| mark.at)
    }

    /// Whether its next reading may still add the energy of this interval, so that the interval stays open.
    pub fn keeps_open(&self) -> bool {
        self.earlier.is_some_and(|earlier| earlier.readings < OPEN && earlier.counted == Energy::ZERO)
    }

    /// Takes a reading made at `at`.
    pub fn advance(&mut self, at: Moment, reading: Reading, bounds: &Bounds) -> Step {
        let Some(last) = self.last else {
            self.last = Some(Mark { at, reading, moved: at });
            return Step::First;
        };
        let certain = self.earlier.is_none();
        let pass = Pass { at, bounds, likely: bounds.likely(self.seen), known: self.seen.twice_the_peak() };
        let step = match pass.step(&last, reading) {
            Ok(step) => self.settle(&pass, &last, reading, step),
            Err(left_out) => self.leave_out(&pass, &last, reading, left_out),
        };
        let still = step == Step::Advanced(Energy::ZERO) || (step == Step::Held && last.reading == reading);
        self.last = Some(Mark { at, reading, moved: if still { last.moved } else { at } });
        if certain {
            self.learn(step, at.since(last.moved));
        }
        step
    }

    /// The step to a reading that goes on from the previous one.
    fn settle(&mut self, pass: &Pass<'_>, last: &Mark, reading: Reading, step: Step) -> Step {
        let Some(mut earlier) = self.earlier.take() else { return step };
        if pass.slept(last) {
            return step;
        }
        let gain = step.energy();
        earlier.readings = earlier.readings.saturating_add(1);
        if gain == Energy::ZERO {
            self.earlier = Some(earlier);
            return if earlier.counted == Energy::ZERO { Step::Held } else { step };
        }
        // The smaller gain is the likelier one.
        if let Some(back) = pass.back(&earlier.mark, reading)
            && back <= gain
        {
            return Step::Returned(back.checked_sub(earlier.counted).unwrap_or_default());
        }
        earlier.held += gain;
        earlier.moves += 1;
        let known = pass.known.during(pass.at.since(last.moved));
        if earlier.moves < MOVES {
            self.earlier = Some(earlier);
            if gain > known {
                return Step::Held;
            }
        }
        if let Some(earlier) = &mut self.earlier {
            earlier.counted += core::mem::take(&mut earlier.held);
        }
        Step::Advanced(earlier.held)
    }

    /// The step to a reading that no energy since the previous one explains.
    fn leave_out(&mut self, pass: &Pass<'_>, last: &Mark, reading: Reading, left_out: LeftOut) -> Step {
        let earlier = self.earlier.take();
        if pass.slept(last) || left_out.doubt == Doubt::Ambiguous || left_out.values.is_none() {
            return Step::Reset(left_out);
        }
        let (mark, readings) = earlier.map_or((*last, 0), |earlier| (earlier.mark, earlier.readings));
        let counted = earlier.map_or(Energy::ZERO, |earlier| earlier.counted);
        if earlier.is_some()
            && let Some(back) = pass.back(&mark, reading)
        {
            return Step::Returned(back.checked_sub(counted).unwrap_or_default());
        }
        let readings = readings.saturating_add(1);
        self.earlier = Some(Earlier { mark, held: Energy::ZERO, counted, moves: 0, readings });
        Step::Reset(left_out)
    }

    fn learn(&mut self, step: Step, time: Duration) {
        match step {
            Step::Advanced(energy) | Step::Wrapped(energy) if time >= SHORTEST && energy > Energy::ZERO => {
                self.seen.recent = energy.over(time);
                self.seen.peak = self.seen.peak.max(self.seen.recent);
            }
            Step::Reset(_) => self.seen.recent = Power::ZERO,
            _ => {}
        }
    }
}

/// One reading against what is possible at its instant.
struct Pass<'a> {
    at: Moment,
    bounds: &'a Bounds,
    /// What the domain may draw, as far as one has seen it.
    likely: Power,
    /// What it was seen to draw, with some room above.
    known: Power,
}

impl Pass<'_> {
    fn slept(&self, last: &Mark) -> bool {
        self.at.slept_since(last.at)
    }

    /// The step from `last` to `reading`.
    fn step(&self, last: &Mark, reading: Reading) -> Result<Step, LeftOut> {
        if let Reading::Power(power) = reading {
            return self.integrated(last, power);
        }
        // A device that was suspended when it was found has no counter until it is resumed.
        if last.reading == Reading::Power(Power::ZERO) {
            return Ok(Step::First);
        }
        let Some((from, to, range)) = values(last.reading, reading) else {
            // It showed power before, which says nothing about a counter.
            return Err(self.left_out(last, Doubt::Fall, None, self.likely));
        };
        let slept = self.slept(last);
        let (time, moved) = (self.at.since(last.at), self.at.since(last.moved));
        let values = Some((from, to));
        let step = match turn(from, to, range) {
            // Sleep states that switch a package off reset its counter: one that fell started over, however far it fell.
            Some(Step::Wrapped(_)) | None if slept => {
                return if to <= self.likely.during(time) {
                    Ok(Step::Restarted(to))
                } else {
                    Err(self.left_out(last, Doubt::Fall, values, self.likely))
                };
            }
            Some(step) => step,
            None => return Err(self.left_out(last, Doubt::Fall, values, self.likely)),
        };
        if range.is_some_and(|range| step.energy() + range <= self.likely.during(time)) {
            return Err(self.left_out(last, Doubt::Ambiguous, values, self.likely));
        }
        let (doubt, bound) = match step {
            Step::Wrapped(_) => (Doubt::Fall, self.likely),
            _ if slept => (Doubt::Jump, self.likely),
            _ => (Doubt::Jump, self.bounds.most),
        };
        let possible = bound.during(moved) + ASLEEP.during(self.at.asleep_since(last.moved));
        if step.energy() <= possible { Ok(step) } else { Err(self.left_out(last, doubt, values, bound)) }
    }

    /// Power, held for the time since the previous reading. Nobody draws it while the machine sleeps.
    fn integrated(&self, last: &Mark, power: Power) -> Result<Step, LeftOut> {
        if power > self.bounds.most {
            return Err(self.left_out(last, Doubt::Jump, None, self.bounds.most));
        }
        Ok(Step::Advanced(power.during(self.at.since(last.at))))
    }

    /// What was used since a base before the last one, if the reading goes on from there.
    fn back(&self, earlier: &Mark, reading: Reading) -> Option<Energy> {
        let (from, to, range) = values(earlier.reading, reading)?;
        let gain = turn(from, to, range)?.energy();
        (gain <= self.likely.during(self.at.since(earlier.moved))).then_some(gain)
    }

    fn left_out(&self, last: &Mark, doubt: Doubt, values: Option<(Energy, Energy)>, bound: Power) -> LeftOut {
        LeftOut { doubt, values, time: self.at.since(last.at), bound }
    }
}

/// The values of two readings of a counter, and the range that it has by now.
const fn values(earlier: Reading, now: Reading) -> Option<(Energy, Energy, Option<Energy>)> {
    let (Reading::Counter { total: from, .. } | Reading::Total(from)) = earlier else { return None };
    match now {
        Reading::Counter { total: to, range } => Some((from, to, Some(range))),
        Reading::Total(to) => Some((from, to, None)),
        Reading::Power(_) => None,
    }
}

/// The step between two values of a counter that wraps after `range`; `None` where it has none and fell, or was above it.
fn turn(from: Energy, to: Energy, range: Option<Energy>) -> Option<Step> {
    match to.checked_sub(from) {
        Some(gain) => Some(Step::Advanced(gain)),
        None => Some(Step::Wrapped(range?.checked_sub(from)? + to)),
    }
}

#[cfg(test)]
mod tests;
