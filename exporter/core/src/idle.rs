//! The idle floor: what a component draws when nothing runs, learned from the lowest power seen against utilisation.

use core::time::Duration;

use crate::granularity::Granularity;
use crate::units::Power;

/// Utilisation is sorted into this many equal bins.
const BINS: usize = 20;
/// At most this utilisation counts as near enough to idle to take the power as it is.
const QUIET: f64 = 0.1;
/// Two windows must lie this far apart in utilisation to draw a line through them.
const SPREAD: f64 = 0.25;
/// After so much time at a bin's utilisation, and so many windows, its lowest power is that of the time since: else a
/// machine that draws more than it once did would keep its old floor.
const GENERATION: Duration = Duration::from_secs(120);
const FEWEST: u32 = 10;

/// The idle floor of one component.
#[derive(Clone, Debug)]
pub struct Floor {
    set: Option<Power>,
    bins: [Bin; BINS],
}

/// The windows at about one utilisation. Their age is counted in windows, not by the clock: what was seen of an idle machine
/// holds through a week of full load.
#[derive(Clone, Copy, Debug)]
struct Bin {
    /// The lowest power of this generation and of the one before.
    lowest: [Option<Seen>; 2],
    windows: u32,
    time: Duration,
}

/// A window's mean utilisation and power.
#[derive(Clone, Copy, Debug)]
struct Seen {
    utilisation: f64,
    watts: f64,
}

impl Bin {
    const EMPTY: Self = Self { lowest: [None; 2], windows: 0, time: Duration::ZERO };

    fn add(&mut self, seen: Seen, time: Duration) {
        if self.time >= GENERATION && self.windows >= FEWEST {
            let [ended, _] = self.lowest;
            *self = Self { lowest: [None, ended], ..Self::EMPTY };
        }
        let [lowest, _] = &mut self.lowest;
        *lowest = Some(lowest.filter(|lowest| lowest.watts <= seen.watts).unwrap_or(seen));
        self.windows += 1;
        self.time += time;
    }

    fn lowest(&self) -> Option<Seen> {
        let lower = |one: Seen, other: Seen| if other.watts < one.watts { other } else { one };
        self.lowest.iter().flatten().copied().reduce(lower)
    }
}

impl Floor {
    /// A floor that is `set` by the operator, or else learned.
    pub const fn new(set: Option<Power>) -> Self {
        Self { set, bins: [Bin::EMPTY; BINS] }
    }

    /// Takes the mean `power` of the component over a window of this `time`, at a mean `utilisation` (0 to 1).
    pub fn observe(&mut self, power: Power, time: Duration, utilisation: f64) {
        debug_assert!((0.0..=1.0).contains(&utilisation), "a utilisation of {utilisation}");
        let seen = Seen { utilisation, watts: power.watts() };
        let bin = ((utilisation * BINS as f64) as usize).min(BINS - 1);
        if let Some(bin) = self.bins.get_mut(bin) {
            bin.add(seen, time);
        }
    }

    /// Drops all that was learned: the component has other parts than before.
    pub fn forget(&mut self) {
        self.bins = [Bin::EMPTY; BINS];
    }

    /// The floor, or `None` while it is unknown.
    pub fn power(&self) -> Option<Power> {
        self.set.or_else(|| self.learned())
    }

    /// The floor as it is shown. What the operator sets tells nothing of what was measured.
    pub fn shown(&self, granularity: Granularity) -> Option<Power> {
        self.set.or_else(|| self.learned().map(|power| granularity.floor_power(power)))
    }

    /// The line from the quietest window through the flattest of the busier ones, at utilisation 0. The flattest, as that
    /// gives the highest floor that no window contradicts; never above the lowest power seen.
    fn learned(&self) -> Option<Power> {
        let seen = || self.bins.iter().filter_map(Bin::lowest);
        let quietest = seen().next()?;
        let lowest = seen().map(|seen| seen.watts).fold(f64::INFINITY, f64::min);
        let slope = seen()
            .filter(|seen| seen.utilisation - quietest.utilisation >= SPREAD)
            .map(|seen| (seen.watts - quietest.watts) / (seen.utilisation - quietest.utilisation))
            .fold(f64::INFINITY, f64::min);
        if slope.is_finite() {
            let at_zero = quietest.watts - slope.max(0.0) * quietest.utilisation;
            return Some(Power::from_watts(at_zero.min(lowest)));
        }
        (quietest.utilisation <= QUIET).then(|| Power::from_watts(lowest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn floor(windows: &[(f64, f64)]) -> Option<f64> {
        let mut floor = Floor::new(None);
        for (utilisation, watts) in windows {
            floor.observe(Power::from_watts(*watts), SECOND, *utilisation);
        }
        floor.power().map(Power::watts)
    }

    #[test]
    fn unknown_until_it_was_quiet_or_the_load_varied() {
        assert_eq!(floor(&[]), None);
        assert_eq!(floor(&[(0.9, 180.0)]), None);
        assert_eq!(floor(&[(0.9, 180.0), (0.8, 170.0)]), None);
        assert_eq!(floor(&[(0.02, 36.0)]), Some(36.0));
    }

    #[test]
    fn a_line_through_busy_windows_meets_the_floor() {
        let at = |utilisation: f64| (utilisation, 35.0 + 100.0 * utilisation);
        let learned = floor(&[at(0.9), at(0.5), at(0.7), at(0.3)]).unwrap();
        assert!((learned - 35.0).abs() < 0.01, "{learned}");
    }

    #[test]
    fn never_above_the_lowest_power_seen_nor_below_zero() {
        assert_eq!(floor(&[(0.05, 40.0), (0.5, 20.0)]), Some(20.0));
        assert_eq!(floor(&[(0.5, 10.0), (0.9, 300.0)]), Some(0.0));
    }

    #[test]
    fn what_the_operator_sets_wins() {
        let mut floor = Floor::new(Some(Power::from_watts(35.0)));
        floor.observe(Power::from_watts(5.0), SECOND, 0.0);
        assert_eq!(floor.power(), Some(Power::from_watts(35.0)));
    }

    #[test]
    fn what_was_learned_is_shown_as_coarsely_as_energy() {
        let second = Granularity::new(crate::units::Energy::from_joules(0.1)).unwrap();
        let mut floor = Floor::new(None);
        floor.observe(Power::from_watts(35.7), SECOND, 0.0);
        assert_eq!(floor.shown(Granularity::FINEST), Some(Power::from_watts(35.7)));
        assert_eq!(floor.shown(second), Some(Power::from_watts(35.0)));
        assert_eq!(Floor::new(Some(Power::from_watts(35.7))).shown(second), Some(Power::from_watts(35.7)));
    }

    #[test]
    fn a_machine_that_draws_more_than_before_gets_a_higher_floor() {
        let mut floor = Floor::new(None);
        let mut draw = |watts, windows: u64| {
            (0..windows).for_each(|_| floor.observe(Power::from_watts(watts), SECOND, 0.01));
            floor.power().map(Power::watts)
        };
        let generation = GENERATION.as_secs();
        assert_eq!(draw(33.0, 10), Some(33.0));
        // Not for a while of more work, ...
        assert_eq!(draw(70.0, generation), Some(33.0));
        // ... but for good.
        assert_eq!(draw(70.0, generation), Some(70.0));
        assert_eq!(draw(50.0, 1), Some(50.0), "down at once");
    }

    #[test]
    fn what_was_seen_of_an_idle_machine_holds_through_any_load() {
        let mut floor = Floor::new(None);
        floor.observe(Power::from_watts(35.0), SECOND, 0.0);
        (0..10_000).for_each(|_| floor.observe(Power::from_watts(200.0), SECOND, 0.9));
        assert_eq!(floor.power().map(Power::watts), Some(35.0));
        floor.forget();
        assert_eq!(floor.power(), None);
    }
}
