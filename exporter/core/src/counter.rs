//! A wrapping counter becomes energy used: what one domain gained since its previous reading.

use crate::reading::{Moment, Reading};
use crate::units::{Energy, Power};

/// The most power that a domain is believed to draw where its meter states no limit.
const PLAUSIBLE: Power = Power::from_microwatts(5_000_000_000);

/// What a new reading meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was no reading before: this one is the base.
    First,
    /// The counter went on by this much.
    Advanced(Energy),
    /// The counter passed its range and went on by this much.
    Wrapped(Energy),
    /// The counter started over, or no energy can be told from it: nothing is added and this reading is the next base.
    Reset(Doubt),
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
            Self::Advanced(energy) | Self::Wrapped(energy) => energy,
            Self::First | Self::Reset(_) => Energy::ZERO,
        }
    }
}

/// One domain's counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    last: Option<(Moment, Reading)>,
    /// When the value last changed. Meters that update seldom gain the energy of the whole time since then at once,
    /// so that is the time in which a gain must be plausible.
    moved: Moment,
}

impl Counter {
    /// The instant of the previous reading.
    pub fn last(&self) -> Option<Moment> {
        self.last.map(|(at, _)| at)
    }

    /// Forgets the previous reading: the next one is a base.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Takes a reading made at `at`, of a domain that can draw at most `max_power`.
    pub fn advance(&mut self, at: Moment, reading: Reading, max_power: Option<Power>) -> Step {
        let Some((before, previous)) = self.last.replace((at, reading)) else {
            self.moved = at;
            return Step::First;
        };
        // Twice what the meter states: limits are set for averages, and short bursts exceed them.
        let limit =
            max_power.map_or(PLAUSIBLE, |power| Power::from_microwatts(power.microwatts().saturating_mul(2)));
        let possible = limit.during(at.since(self.moved));
        let step = match (previous, reading) {
            (_, Reading::Power(power)) => Step::Advanced(power.during(at.since(before))),
            (Reading::Counter { total: from, .. }, Reading::Counter { total: to, range }) => {
                counted(from, to, Some(range), possible)
            }
            (Reading::Total(from), Reading::Total(to)) => counted(from, to, None, possible),
            // A device that was suspended when it was found has no counter until it is resumed.
            (Reading::Power(Power::ZERO), Reading::Total(_)) => {
                self.moved = at;
                return Step::First;
            }
            // The meter changed its mind about what it is: its old value says nothing about the new one.
            _ => Step::Reset(Doubt::Fall),
        };
        if step != Step::Advanced(Energy::ZERO) {
            self.moved = at;
        }
        step
    }
}

/// The step between two values of a counter that wraps after `range`, where at most `possible` can have been used.
fn counted(from: Energy, to: Energy, range: Option<Energy>, possible: Energy) -> Step {
    let step = match (to.checked_sub(from), range) {
        (Some(gain), _) => Step::Advanced(gain),
        (None, None) => return Step::Reset(Doubt::Fall),
        (None, Some(range)) => match range.checked_sub(from) {
            Some(rest) => Step::Wrapped(rest + to),
            None => return Step::Reset(Doubt::Fall),
        },
    };
    match (step, range) {
        // One more turn would be just as plausible.
        (step, Some(range)) if step.energy() + range <= possible => Step::Reset(Doubt::Ambiguous),
        (Step::Wrapped(gain), _) if gain > possible => Step::Reset(Doubt::Fall),
        (Step::Advanced(gain), _) if gain > possible => Step::Reset(Doubt::Jump),
        (step, _) => step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;

    const RANGE: Energy = Energy::from_microjoules(262_143_328_850);

    fn at(seconds: u64) -> Moment {
        Moment::from_boot(Duration::from_secs(seconds))
    }

    fn wrapping(microjoules: u64) -> Reading {
        Reading::Counter { total: Energy::from_microjoules(microjoules), range: RANGE }
    }

    fn two(first: Reading, second: Reading, seconds: u64, max_power: Option<Power>) -> Step {
        let mut counter = Counter::default();
        assert_eq!(counter.advance(at(100), first, max_power), Step::First);
        counter.advance(at(100 + seconds), second, max_power)
    }

    #[test]
    fn a_wrap_is_range_minus_previous_plus_current() {
        let step = two(wrapping(262_143_000_000), wrapping(499_671_150), 10, None);
        assert_eq!(step, Step::Wrapped(Energy::from_joules(500.0)));
    }

    #[test]
    fn a_fall_that_is_no_wrap_is_a_reset_and_the_next_base() {
        let mut counter = Counter::default();
        counter.advance(at(0), wrapping(150_000_000_000), None);
        assert_eq!(counter.advance(at(1), wrapping(5_000_000), None), Step::Reset(Doubt::Fall));
        assert_eq!(
            counter.advance(at(2), wrapping(6_000_000), None),
            Step::Advanced(Energy::from_joules(1.0))
        );
    }

    #[test]
    fn a_total_never_wraps() {
        let total = |joules| Reading::Total(Energy::from_joules(joules));
        assert_eq!(two(total(10.0), total(9.0), 1, None), Step::Reset(Doubt::Fall));
        assert_eq!(two(total(10.0), total(19.0), 1, None), Step::Advanced(Energy::from_joules(9.0)));
    }

    #[test]
    fn more_than_twice_the_limit_is_a_jump() {
        let limit = Some(Power::from_watts(200.0));
        assert_eq!(
            two(wrapping(0), wrapping(400_000_000), 1, limit),
            Step::Advanced(Energy::from_joules(400.0))
        );
        assert_eq!(two(wrapping(0), wrapping(400_000_001), 1, limit), Step::Reset(Doubt::Jump));
        assert_eq!(two(wrapping(0), wrapping(5_000_000_001), 1, None), Step::Reset(Doubt::Jump));
    }

    #[test]
    fn a_second_wrap_that_could_hide_is_a_reset() {
        // 262 kJ at 400 W: 655 s.
        let limit = Some(Power::from_watts(200.0));
        assert_eq!(two(wrapping(0), wrapping(1), 600, limit), Step::Advanced(Energy::from_microjoules(1)));
        assert_eq!(two(wrapping(0), wrapping(1), 700, limit), Step::Reset(Doubt::Ambiguous));
    }

    #[test]
    fn a_counter_that_updates_seldom_may_gain_at_once() {
        let limit = Some(Power::from_watts(100.0));
        let mut counter = Counter::default();
        for second in 0..10 {
            counter.advance(at(second), wrapping(7), limit);
        }
        assert_eq!(
            counter.advance(at(10), wrapping(900_000_007), limit),
            Step::Advanced(Energy::from_joules(900.0))
        );
    }

    #[test]
    fn power_is_integrated_over_the_interval() {
        let watts = |watts| Reading::Power(Power::from_watts(watts));
        assert_eq!(two(watts(80.0), watts(50.0), 4, None), Step::Advanced(Energy::from_joules(200.0)));
    }

    proptest! {
        /// Whatever the true power below the limit, the counter tells the true energy, through any number of wraps.
        #[test]
        fn the_truth_comes_out(start in 0..262_143_328_850_u64, gains in prop::collection::vec(0..4_000_000_000_u64, 1..200)) {
            let mut counter = Counter::default();
            let (mut raw, mut told, mut truth) = (start, Energy::ZERO, Energy::ZERO);
            counter.advance(at(0), wrapping(raw), None);
            for (second, gain) in gains.into_iter().enumerate() {
                // What `range − previous + current` undoes: the value after `range` is 0, and `range` itself is 0.
                raw = (raw + gain) % RANGE.microjoules();
                truth += Energy::from_microjoules(gain);
                told += counter.advance(at(second as u64 + 1), wrapping(raw), None).energy();
            }
            prop_assert_eq!(told, truth);
        }

        /// No sequence of values makes it panic or tell more than is plausible.
        #[test]
        fn never_more_than_plausible(values in prop::collection::vec((any::<u64>(), any::<u64>(), 0..1000_u64), 2..50)) {
            let mut counter = Counter::default();
            let mut clock = 0;
            for (total, range, seconds) in values {
                let reading = Reading::Counter { total: Energy::from_microjoules(total), range: Energy::from_microjoules(range) };
                clock += seconds;
                let told = counter.advance(at(clock), reading, None).energy();
                prop_assert!(told <= PLAUSIBLE.during(Duration::from_secs(clock)));
            }
        }
    }
}
