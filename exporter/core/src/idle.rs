//! The idle floor: what a component draws when nothing runs, learned from the lowest power seen against utilisation.

use core::time::Duration;

use crate::granularity::Granularity;
use crate::units::{Energy, Power};

/// Utilisation is sorted into this many equal bins.
const BINS: usize = 20;
/// Power is averaged over at least this long: shorter intervals are too noisy to take a minimum of.
const WINDOW: Duration = Duration::from_secs(1);
/// At most this utilisation counts as near enough to idle to take the power as it is.
const QUIET: f64 = 0.1;
/// Two windows must lie this far apart in utilisation to draw a line through them.
const SPREAD: f64 = 0.25;

/// The idle floor of one component.
#[derive(Clone, Debug)]
pub struct Floor {
    set: Option<Power>,
    bins: [Option<Seen>; BINS],
    energy: Energy,
    time: Duration,
    busy: f64,
}

/// The window of the lowest power in a bin.
#[derive(Clone, Copy, Debug)]
struct Seen {
    utilisation: f64,
    watts: f64,
}

impl Floor {
    /// A floor that is `set` by the operator, or else learned.
    pub const fn new(set: Option<Power>) -> Self {
        Self { set, bins: [None; BINS], energy: Energy::ZERO, time: Duration::ZERO, busy: 0.0 }
    }

    /// Takes what the component used in `time`, at a mean `utilisation` of the processors (0 to 1).
    pub fn observe(&mut self, energy: Energy, time: Duration, utilisation: f64) {
        self.energy += energy;
        self.time += time;
        self.busy += utilisation.clamp(0.0, 1.0) * time.as_secs_f64();
        if self.time < WINDOW {
            return;
        }
        let utilisation = self.busy / self.time.as_secs_f64();
        let seen = Seen { utilisation, watts: self.energy.over(self.time).watts() };
        let bin = ((utilisation * BINS as f64) as usize).min(BINS - 1);
        if let Some(bin) = self.bins.get_mut(bin)
            && bin.is_none_or(|lowest| seen.watts < lowest.watts)
        {
            *bin = Some(seen);
        }
        (self.energy, self.time, self.busy) = (Energy::ZERO, Duration::ZERO, 0.0);
    }

    /// Drops what was observed but not yet sorted: the interval is not to be trusted.
    pub fn interrupt(&mut self) {
        (self.energy, self.time, self.busy) = (Energy::ZERO, Duration::ZERO, 0.0);
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
        let seen = || self.bins.iter().flatten();
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

    fn floor(windows: &[(f64, f64)]) -> Option<f64> {
        let mut floor = Floor::new(None);
        for (utilisation, watts) in windows {
            floor.observe(Energy::from_joules(*watts), WINDOW, *utilisation);
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
        floor.observe(Energy::from_joules(5.0), WINDOW, 0.0);
        assert_eq!(floor.power(), Some(Power::from_watts(35.0)));
    }

    #[test]
    fn what_was_learned_is_shown_as_coarsely_as_energy() {
        let second = Granularity::new(Energy::from_joules(0.1)).unwrap();
        let mut floor = Floor::new(None);
        floor.observe(Energy::from_joules(35.7), WINDOW, 0.0);
        assert_eq!(floor.shown(Granularity::FINEST), Some(Power::from_watts(35.7)));
        assert_eq!(floor.shown(second), Some(Power::from_watts(35.0)));
        assert_eq!(Floor::new(Some(Power::from_watts(35.7))).shown(second), Some(Power::from_watts(35.7)));
    }

    #[test]
    fn short_intervals_are_averaged_first() {
        let mut floor = Floor::new(None);
        for watts in [10.0, 50.0, 30.0, 30.0] {
            floor.observe(Energy::from_joules(watts / 4.0), WINDOW / 4, 0.01);
        }
        assert_eq!(floor.power().map(Power::watts), Some(30.0));
    }
}
