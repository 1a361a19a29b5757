//! How finely energy is shown: in whole steps, rounded down, so that what is finer stays inside.
//!
//! Energy read finely enough betrays what a machine computes (PLATYPUS, CVE-2020-8694).

use core::num::NonZeroU64;
use core::time::Duration;

use crate::units::{Energy, Power};

/// No two readings of a meter lie nearer together.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The step in which energy is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Granularity(NonZeroU64);

impl Granularity {
    /// A microjoule: energy is shown as it was counted.
    pub const FINEST: Self = Self(NonZeroU64::MIN);

    /// This step; `None` for no energy at all.
    pub const fn new(step: Energy) -> Option<Self> {
        match NonZeroU64::new(step.microjoules()) {
            Some(step) => Some(Self(step)),
            None => None,
        }
    }

    /// The step.
    pub const fn step(self) -> Energy {
        Energy::from_microjoules(self.0.get())
    }

    /// The whole steps in `energy`. They rise with it, and those of a sum are at least the sum of those of its parts.
    pub const fn floor(self, energy: Energy) -> Energy {
        Energy::from_microjoules(energy.microjoules() - energy.microjoules() % self.0.get())
    }

    /// What of `energy` is no whole step.
    pub const fn rest(self, energy: Energy) -> Energy {
        Energy::from_microjoules(energy.microjoules() % self.0.get())
    }

    /// `power` in steps that, over the shortest interval, come to one step of energy: so it tells no more than that.
    pub fn floor_power(self, power: Power) -> Power {
        if self == Self::FINEST {
            return power;
        }
        let step = self.step().over(SHORTEST_INTERVAL).microwatts().max(1);
        Power::from_microwatts(power.microwatts() - power.microwatts() % step)
    }
}

impl Default for Granularity {
    fn default() -> Self {
        Self::FINEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn granularity(step: u64) -> Granularity {
        Granularity::new(Energy::from_microjoules(step)).unwrap()
    }

    #[test]
    fn power_is_a_step_of_energy_in_the_shortest_interval() {
        let millijoule = granularity(1000);
        assert_eq!(millijoule.floor_power(Power::from_watts(35.1289)), Power::from_watts(35.12));
        assert_eq!(millijoule.floor_power(Power::from_watts(0.009)), Power::ZERO);
        let odd = Power::from_microwatts(35_128_901);
        assert_eq!(Granularity::FINEST.floor_power(odd), odd);
        assert_eq!(granularity(u64::MAX).floor_power(odd), Power::ZERO);
        assert_eq!(Granularity::new(Energy::ZERO), None);
    }

    proptest! {
        #[test]
        fn steps_and_rest_are_the_whole(step in 1..u64::MAX, one in any::<u64>(), other in any::<u64>()) {
            let (granularity, [one, other]) = (granularity(step), [one, other].map(|uj| Energy::from_microjoules(uj / 2)));
            let floor = granularity.floor(one);
            prop_assert_eq!(floor + granularity.rest(one), one);
            prop_assert_eq!(floor.microjoules() % step, 0);
            prop_assert!(granularity.rest(one) < granularity.step());
            prop_assert!(floor + granularity.floor(other) <= granularity.floor(one + other));
        }
    }
}
