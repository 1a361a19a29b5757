//! Domains that show one and the same counter.
//!
//! AMD's driver makes a zone for each die of a package though the register is the package's, and some hypervisors show the
//! host's one counter in each of a guest's packages. Such zones are read one after the other, and the counter moves
//! about once a millisecond (Intel SDM, volume 3, 16.10.1): equal values are rare where each read wakes a core, and values far apart
//! never occur. Two counters of their own are near each other only by chance, and drift apart.
//!
//! So the distance of two values is held against what one counter could have gained between both reads, at each tick in which
//! they moved. The verdict is a score of these looks: it can be revised, since one look says little on its own. For a time
//! after it, what the later domain gains is kept, so that a revised verdict loses nothing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::domain::DomainState;
use crate::reading::{Component, Domain, Moment, Role};
use crate::units::{Energy, Power};

/// How long a counter may stand between two of its updates.
const UPDATE: Duration = Duration::from_millis(1);
/// So many times the mean power of the interval may have been drawn between the two reads.
const BURST: u64 = 4;
/// One step of the coarsest counters in use is 61 µJ; two counts may lie between two reads besides.
const STEP: Energy = Energy::from_microjoules(200);
/// A distance of more than this time at the mean power speaks twice against one counter.
const FAR: Duration = Duration::from_millis(50);
/// The most power that the first look, which knows no power yet, takes for possible.
const MOST: Power = Power::from_microwatts(5_000_000_000);
/// How far in time two reads of a part that is known for mirrors may lie apart at the first look.
const WIDE: Duration = Duration::from_millis(20);
/// How far apart two values may be at the first look where nothing is known of mirrors.
const NARROW: Energy = Energy::from_microjoules(600_000);
/// The score at which two domains are one counter, where the part is known for mirrors and where it is not.
const ONE: (i8, i8) = (4, 8);
/// The score at which they are two.
const TWO: i8 = -3;
/// The score goes no further in either direction, so that it can turn.
const LIMIT: i8 = 8;
/// So many looks in which they are near each other, after the verdict, make sure that it is right.
const SURE: u8 = 60;
/// So many of them does one look count that is not near.
const UNSURE: u8 = 10;
/// Where the part is not known for mirrors, two sockets may be alike. So many alike are no chance.
const ALIKE: usize = 3;

/// What one reading of a counter says for the comparison.
#[derive(Clone, Copy, Debug)]
pub struct CounterLook {
    /// When it was read.
    pub at: Moment,
    /// The value.
    pub raw: Energy,
    /// The value after which it starts over, where it does.
    pub range: Option<Energy>,
    /// What it gained since the reading before; zero where nothing can be said of that.
    pub gain: Energy,
    /// The time since the reading before.
    pub interval: Duration,
}

/// Whether two domains show one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Not known yet.
    Open,
    /// One counter.
    One,
    /// Two counters.
    Two,
}

/// Two domains that may show one counter.
#[derive(Clone, Copy, Debug)]
struct Pair {
    verdict: Verdict,
    score: i8,
    /// Whether the last look spoke for one counter.
    near: bool,
    /// How many looks have confirmed that they are one.
    confirmed: u8,
}

/// What a domain is to the others of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kinship {
    /// A counter of its own.
    #[default]
    Own,
    /// It may repeat an earlier domain's: nothing of it is charged until that is known.
    Suspected,
    /// It repeats an earlier domain's.
    Repeats,
}

/// The comparisons of all domains.
#[derive(Clone, Debug, Default)]
pub struct Mirrors {
    /// By the places of the two, the earlier one first.
    pairs: BTreeMap<(usize, usize), Pair>,
    /// The earliest domain of the same counter, by place.
    groups: Vec<usize>,
    /// The domains that are one counter with an earlier one beyond doubt, by place.
    sure: Vec<bool>,
}

impl Mirrors {
    /// Compares the values that this tick has read.
    pub fn compare(&mut self, domains: &[DomainState]) {
        for (later, state) in domains.iter().enumerate().filter(|(_, state)| is_candidate(&state.domain)) {
            let kin = |(_, other): &(usize, &DomainState)| is_kin(&other.domain, &state.domain);
            let alike = domains.iter().enumerate().filter(kin).count();
            for (first, other) in domains.iter().enumerate().take(later).filter(kin) {
                let known = is_known(&other.domain, &state.domain);
                if let (Some(one), Some(two)) = (other.look(), state.look())
                    && (known || alike >= ALIKE)
                {
                    let pair =
                        self.pairs.entry((first, later)).or_insert_with(|| Pair::new(&one, &two, known));
                    pair.look(&one, &two, known);
                }
            }
        }
        self.group(domains.len());
    }

    /// Joins the domains that show one counter: of three in a row, the outer two may be read too far apart to tell.
    fn group(&mut self, count: usize) {
        self.groups.clear();
        self.groups.extend(0..count);
        self.sure.clear();
        self.sure.resize(count, false);
        for ((first, later), pair) in &self.pairs {
            let (one, other) = (self.group_of(*first), self.group_of(*later));
            if pair.verdict == Verdict::One && pair.near && one != other {
                let joined = one.min(other);
                for group in self.groups.iter_mut().filter(|group| **group == one || **group == other) {
                    *group = joined;
                }
            }
            if let Some(sure) = self.sure.get_mut(*later) {
                *sure |= pair.confirmed >= SURE;
            }
        }
    }

    /// Whether two domains show one counter beyond doubt: nothing needs to be kept of the later one.
    pub fn are_surely_one(&self, one: usize, other: usize) -> bool {
        let sure = self.sure.get(one.max(other)).copied().unwrap_or_default();
        sure && self.are_one(one, other)
    }

    /// Whether two domains show one counter.
    pub fn are_one(&self, one: usize, other: usize) -> bool {
        self.group_of(one) == self.group_of(other)
    }

    /// Whether other domains show the counter of the one at `place`.
    pub fn is_shared(&self, place: usize) -> bool {
        (0..self.groups.len()).any(|other| other != place && self.are_one(other, place))
    }

    fn group_of(&self, place: usize) -> usize {
        self.groups.get(place).copied().unwrap_or(place)
    }

    /// What the domain at `place` is to those before it. One that failed has left its place to the next.
    pub fn kinship(&self, place: usize, domains: &[DomainState]) -> Kinship {
        let mut earlier = domains.iter().take(place).enumerate();
        if earlier.any(|(other, state)| !state.failed() && self.are_one(other, place)) {
            return Kinship::Repeats;
        }
        // The first that can be read stands for all of them.
        if self.is_shared(place) {
            return Kinship::Own;
        }
        let doubtful = |pair: &Pair| match pair.verdict {
            Verdict::Open => true,
            Verdict::One => !pair.near,
            Verdict::Two => false,
        };
        let mut pairs = self.pairs.iter().filter(|((_, later), _)| *later == place);
        if pairs.any(|(_, pair)| doubtful(pair)) { Kinship::Suspected } else { Kinship::Own }
    }
}

impl Pair {
    /// Two domains at their first look. What is far apart then is two counters.
    fn new(one: &CounterLook, two: &CounterLook, known: bool) -> Self {
        let gap = gap(one, two);
        let near = if known { MOST.during(gap + WIDE) } else { MOST.during(gap) + NARROW };
        match distance(one, two) <= near {
            true => Self { verdict: Verdict::Open, score: 0, near: true, confirmed: 0 },
            false => Self { verdict: Verdict::Two, score: TWO, near: false, confirmed: 0 },
        }
    }

    /// Takes a look at both; `known` where the part is known for mirrors.
    fn look(&mut self, one: &CounterLook, two: &CounterLook, known: bool) {
        let (gain, interval) = (one.gain.max(two.gain), one.interval.max(two.interval));
        let mean = gain.over(interval);
        let allowed = times(mean, BURST).during(gap(one, two) + UPDATE) + STEP;
        // In so long a gap, or with so little gained, two counters of their own would look alike.
        if times(mean, 1) == Power::ZERO || allowed.microjoules().saturating_mul(4) > gain.microjoules() {
            return;
        }
        let apart = distance(one, two);
        let far = apart > mean.during(gap(one, two) + FAR) + STEP;
        self.near = apart <= allowed;
        let weight = match (apart == Energy::ZERO, self.near, far) {
            (true, ..) => 2,
            (_, true, _) => 1,
            (_, _, false) => -1,
            // Real sockets are told apart at once; a mirror's files may be rewritten while they are read.
            (_, _, true) if known || self.verdict == Verdict::One => -2,
            _ => -LIMIT,
        };
        self.score = (self.score + weight).clamp(-LIMIT, LIMIT);
        debug_assert!((-LIMIT..=LIMIT).contains(&self.score));
        if self.score >= if known { ONE.0 } else { ONE.1 } {
            self.verdict = Verdict::One;
        } else if self.score <= TWO {
            self.verdict = Verdict::Two;
        }
        self.confirmed = match (self.verdict, self.near) {
            (Verdict::One, true) => self.confirmed.saturating_add(1),
            (Verdict::One, false) => self.confirmed.saturating_sub(UNSURE),
            _ => 0,
        };
    }
}

/// Whether a domain is one of those that are compared. Accelerators are read at a pace of their own.
fn is_candidate(domain: &Domain) -> bool {
    domain.role == Role::Part && matches!(domain.component, Component::Cpu | Component::Dram)
}

/// Whether two domains are of one kind.
fn is_kin(one: &Domain, other: &Domain) -> bool {
    (one.meter, one.component, one.role) == (other.meter, other.component, other.role)
}

/// Whether the part is known for domains that repeat one counter.
fn is_known(one: &Domain, other: &Domain) -> bool {
    one.may_mirror && other.may_mirror
}

/// The time between both reads.
fn gap(one: &CounterLook, two: &CounterLook) -> Duration {
    one.at.since(two.at).max(two.at.since(one.at))
}

/// How far apart two values are; one of them may have wrapped already.
fn distance(one: &CounterLook, two: &CounterLook) -> Energy {
    let straight = one.raw.microjoules().abs_diff(two.raw.microjoules());
    let around = one.range.filter(|range| two.range == Some(*range)).and_then(|range| {
        // A counter of range R has R + 1 values at most; drivers state either.
        range.microjoules().checked_sub(straight)
    });
    Energy::from_microjoules(around.map_or(straight, |around| around.min(straight)))
}

fn times(power: Power, factor: u64) -> Power {
    Power::from_microwatts(power.microwatts().saturating_mul(factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RANGE: u64 = 65_532_610_987;

    /// Two counters, looked at each `interval` milliseconds.
    struct Duo {
        pair: Option<Pair>,
        known: bool,
        clock: u64,
        last: (u64, u64),
    }

    impl Duo {
        fn new(known: bool) -> Self {
            Self { pair: None, known, clock: 1_000_000, last: (0, 0) }
        }

        /// Values in microjoules, after `interval` and `gap` microseconds; one of the two may wrap.
        fn look(&mut self, interval: u64, gap: u64, one: u64, two: u64) -> Verdict {
            self.clock += interval;
            let first = self.pair.is_none();
            let look = |at: u64, raw: u64, last: u64| CounterLook {
                at: Moment::from_boot(Duration::from_micros(at)),
                raw: Energy::from_microjoules(raw % RANGE),
                range: Some(Energy::from_microjoules(RANGE)),
                gain: Energy::from_microjoules(if first { 0 } else { raw.saturating_sub(last) }),
                interval: Duration::from_micros(if first { 0 } else { interval }),
            };
            let (a, b) = (look(self.clock, one, self.last.0), look(self.clock + gap, two, self.last.1));
            self.last = (one, two);
            let known = self.known;
            let pair = self.pair.get_or_insert_with(|| Pair::new(&a, &b, known));
            pair.look(&a, &b, known);
            pair.verdict
        }
    }

    #[test]
    fn dies_read_a_millisecond_apart_are_one_counter_from_the_first_joule_on() {
        // 180 W, then 60 W; the counter moves each millisecond, so the second is ahead by 0 or 1 ms of it.
        let mut duo = Duo::new(true);
        let mut raw = 5_000_000_000_u64;
        for second in 0..30_u64 {
            let watts = if second % 7 < 3 { 180 } else { 60 };
            raw += watts * 1_000_000;
            let gap = 400 + second * 97 % 600;
            let verdict = duo.look(1_000_000, gap, raw, raw + watts * (1000 + gap / 1000 * 1000));
            assert_ne!(verdict, Verdict::Two, "after {second} s");
            assert!(second < 6 || verdict == Verdict::One, "after {second} s");
        }
    }

    #[test]
    fn real_sockets_that_idle_alike_are_two() {
        // Both start at nearly the same value, as after a boot, and differ by a hundredth.
        for known in [true, false] {
            let mut duo = Duo::new(known);
            let verdicts: std::vec::Vec<_> = (1..60_u64)
                .map(|second| duo.look(1_000_000, 30, second * 30_000_000 + 100_000, second * 30_300_000))
                .collect();
            assert_eq!(verdicts.last(), Some(&Verdict::Two));
            assert!(verdicts.iter().all(|verdict| *verdict != Verdict::One), "{verdicts:?}");
        }
    }

    #[test]
    fn a_constant_distance_of_a_joule_is_no_gap_between_two_reads() {
        let mut duo = Duo::new(true);
        let verdict = (1..5_u64)
            .map(|second| duo.look(1_000_000, 30, second * 60_000_000, second * 60_000_000 + 1_000_001));
        assert_eq!(verdict.last(), Some(Verdict::Two));
    }

    #[test]
    fn one_counter_wraps_between_the_two_reads() {
        let mut duo = Duo::new(true);
        for second in 0..20_u64 {
            let raw = RANGE - 10 * 100_000_000 - 50_000 + second * 100_000_000;
            duo.look(1_000_000, 500, raw, raw + 100_000);
        }
        assert_eq!(duo.pair.unwrap().verdict, Verdict::One);
    }

    #[test]
    fn a_verdict_turns_when_they_part_and_when_they_meet() {
        let mut duo = Duo::new(true);
        let (mut one, mut two) = (1_000_000_000_u64, 9_000_000_000_u64);
        assert_eq!(duo.look(1_000_000, 500, one, two), Verdict::Two);
        for _ in 0..20 {
            one += 50_000_000;
            two = one + 20_000;
            duo.look(1_000_000, 500, one, two);
        }
        assert_eq!(duo.pair.unwrap().verdict, Verdict::One);
        for _ in 0..20 {
            (one, two) = (one + 50_000_000, two + 80_000_000);
            duo.look(1_000_000, 500, one, two);
            assert!(!duo.pair.unwrap().near, "held again at once");
        }
        assert_eq!(duo.pair.unwrap().verdict, Verdict::Two);
    }

    #[test]
    fn what_does_not_move_is_not_judged() {
        let mut duo = Duo::new(true);
        for _ in 0..50 {
            assert_eq!(duo.look(1_000_000, 500, 7_000_000, 7_000_000), Verdict::Open);
        }
    }

    proptest! {
        /// Whatever it draws and however late the second read comes, one counter is never taken for two; after ten looks it is one.
        #[test]
        fn one_counter_is_one(
            start in 0..RANGE,
            looks in prop::collection::vec((100_000..2_000_000_u64, 0..1000_u64, 1_000_000..400_000_000_u64), 12..60),
        ) {
            let (mut duo, mut raw) = (Duo::new(true), start);
            for (interval, gap, microwatts) in looks {
                raw += microwatts * interval / 1_000_000;
                let ahead = microwatts * (gap + 1000) / 1_000_000;
                prop_assert_ne!(duo.look(interval, gap, raw, raw + ahead), Verdict::Two);
            }
            prop_assert_eq!(duo.pair.unwrap().verdict, Verdict::One);
        }

        /// Two counters whose powers differ by a twentieth are never one, wherever they start.
        #[test]
        fn two_counters_are_two(
            start in 0..RANGE,
            apart in 0..3_000_000_u64,
            known: bool,
            powers in prop::collection::vec(20_000_000..300_000_000_u64, 10..60),
        ) {
            let (mut duo, mut one, mut two) = (Duo::new(known), start, start + apart);
            for microwatts in powers {
                one += microwatts;
                two += microwatts + microwatts / 20;
                prop_assert_ne!(duo.look(1_000_000, 30, one, two), Verdict::One);
            }
            prop_assert_eq!(duo.pair.unwrap().verdict, Verdict::Two);
        }
    }
}
