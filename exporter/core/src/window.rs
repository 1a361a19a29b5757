//! A stretch of time over which a domain's power and its utilisation are averaged, for the idle floor.
//!
//! Each domain has its own: it lies between two of the domain's own readings, whenever the ticks are. Energy of one stretch
//! over the time of another one is no power.

use core::time::Duration;

use crate::reading::Component;
use crate::units::{Energy, Power};

/// A processor's counter moves once a millisecond.
const SHORTEST: Duration = Duration::from_secs(1);
/// Drivers of GPUs update their counters every 20 to 100 ms, and the last update may be that old at both ends
/// (<https://arxiv.org/abs/2312.02741>): over 5 s that is 2 %.
const SHORTEST_OF_GPU: Duration = Duration::from_secs(5);

/// What a domain used since the idle floor was last learned from, in intervals without doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    energy: Energy,
    time: Duration,
    busy: f64,
}

impl Window {
    /// Adds an interval, at a mean `utilisation` (0 to 1).
    pub fn add(&mut self, energy: Energy, time: Duration, utilisation: f64) {
        self.energy += energy;
        self.time += time;
        self.busy += utilisation.clamp(0.0, 1.0) * time.as_secs_f64();
    }

    /// Whether it is long enough for a domain of the component: shorter ones are too noisy to take a minimum of.
    pub fn is_full(&self, component: Component) -> bool {
        self.time >= if component == Component::Gpu { SHORTEST_OF_GPU } else { SHORTEST }
    }

    /// The mean power.
    pub fn power(&self) -> Power {
        self.energy.over(self.time)
    }

    /// The mean utilisation, 0 to 1.
    pub fn utilisation(&self) -> f64 {
        let time = self.time.as_secs_f64();
        // The sum of many intervals is rounded many times.
        if time > 0.0 { (self.busy / time).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// How long it is.
    pub const fn time(&self) -> Duration {
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_of_the_time_in_which_it_was_drawn() {
        let mut window = Window::default();
        assert_eq!((window.power(), window.utilisation()), (Power::ZERO, 0.0));
        window.add(Energy::from_joules(71.0 * 0.5), Duration::from_millis(500), 0.0);
        assert!(!window.is_full(Component::Cpu));
        window.add(Energy::from_joules(71.0 * 1.5), Duration::from_millis(1500), 0.4);
        assert_eq!(window.power(), Power::from_watts(71.0));
        assert!((window.utilisation() - 0.3).abs() < 1e-9);
        assert!(window.is_full(Component::Cpu) && !window.is_full(Component::Gpu));
        let mut full = Window::default();
        (0..49).for_each(|_| full.add(Energy::ZERO, Duration::from_micros(100_003), 1.0));
        assert!(full.utilisation() <= 1.0, "{}", full.utilisation());
    }
}
