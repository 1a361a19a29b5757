//! How much power a domain can draw: what tells energy from garbage, and one turn of a counter from two.
//!
//! The stated limit (`constraint_*_max_power_uw`) is no basis. It is the sustained power for which a part's cooling is
//! designed, and client parts draw three to five times that. So each kind of domain has bounds that no part of that kind
//! reaches; a stated limit can only raise them. docs/decisions/0015-plausible-steps.md has the figures and their sources.

use core::time::Duration;

use crate::reading::{Component, Domain, Role};
use crate::units::{Energy, Power};

/// The bounds of one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A value that needs more than this is garbage.
    pub most: Power,
    /// What a part of this kind draws at most without exotic cooling: decides whether a counter may have turned unseen
    /// while nothing is known of the domain.
    pub usual: Power,
    /// What is possible even for a domain that was only seen at rest.
    pub least: Power,
}

/// What a domain was seen to draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The most so far.
    pub peak: Power,
    /// At the last reading.
    pub recent: Power,
}

impl Seen {
    /// With room for what the domain has not drawn yet.
    pub const fn twice_the_peak(self) -> Power {
        Power::from_microwatts(self.peak.microwatts().saturating_mul(2))
    }
}

/// A stated limit of more than this is no figure of a real part: some firmware states the largest number that fits.
const MOST_STATED: Power = watts(50_000);
/// What a domain may draw on average while the machine sleeps (suspended to idle, its counter goes on).
pub const ASLEEP: Power = watts(20);

const fn watts(watts: u64) -> Power {
    Power::from_microwatts(watts * 1_000_000)
}

impl Bounds {
    /// Those of `domain`.
    pub fn of(domain: &Domain) -> Self {
        let kind = match (domain.role, domain.component) {
            // Our own arithmetic for all processors at once: nothing in it can be garbage.
            (Role::Model, _) => Self { most: MOST_STATED, usual: MOST_STATED, least: MOST_STATED },
            // A whole machine: eight accelerators and their host draw 10 to 15 kW.
            (Role::Whole, _) | (_, Component::Other) => {
                Self { most: watts(30_000), usual: watts(15_000), least: watts(2_000) }
            }
            // A package, or a part of one: 500 to 600 W in servers, 1 kW when overclocked.
            (_, Component::Cpu) => Self { most: watts(3_000), usual: watts(1_000), least: watts(400) },
            // The memory of a socket: up to 16 modules of at most 25 W.
            (_, Component::Dram) => Self { most: watts(2_000), usual: watts(600), least: watts(300) },
            // A card or a module of several dies.
            (_, Component::Gpu) => Self { most: watts(6_000), usual: watts(3_000), least: watts(1_500) },
        };
        let stated = domain.max_power.unwrap_or_default().min(MOST_STATED).microwatts();
        Self { most: kind.most.max(Power::from_microwatts(stated.saturating_mul(2))), ..kind }
    }

    /// What a domain may draw next, after what was seen of it: several times its peak, up to what such parts draw, and in
    /// any case twice what it draws at present.
    pub fn likely(&self, seen: Seen) -> Power {
        let times = |power: Power, factor| Power::from_microwatts(power.microwatts().saturating_mul(factor));
        let usual = match seen.peak {
            Power::ZERO => self.usual,
            peak => times(peak, 4).max(self.least).min(self.usual),
        };
        usual.max(times(seen.recent, 2)).min(self.most)
    }

    /// The longest time between two readings of a counter of this `range` in which it cannot turn unseen.
    pub fn longest_interval(&self, range: Energy) -> Duration {
        let milliseconds =
            u128::from(range.microjoules()) * 1000 / u128::from(self.usual.microwatts().max(1));
        // A tick may be late by a little.
        Duration::from_millis(u64::try_from(milliseconds * 9 / 10).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Place, Quality};

    fn domain(component: Component, role: Role, max_power: Option<f64>) -> Domain {
        Domain {
            meter: "rapl",
            name: "a".into(),
            component,
            role,
            place: Place::default(),
            quality: Quality::Measured,
            max_power: max_power.map(Power::from_watts),
            may_mirror: false,
            generation: 0,
        }
    }

    #[test]
    fn a_stated_limit_raises_and_never_lowers() {
        let most = |stated| Bounds::of(&domain(Component::Cpu, Role::Part, stated)).most.watts();
        assert_eq!([None, Some(4.5), Some(15.0), Some(0.0)].map(most), [3000.0; 4]);
        assert_eq!(most(Some(2000.0)), 4000.0);
        assert_eq!(most(Some(1e9)), 100_000.0, "no figure of a real part");
    }

    #[test]
    fn what_is_likely_follows_what_was_seen() {
        let package = Bounds::of(&domain(Component::Cpu, Role::Part, None));
        let likely = |(peak, recent)| {
            package.likely(Seen { peak: Power::from_watts(peak), recent: Power::from_watts(recent) }).watts()
        };
        let unseen = (0.0, 0.0);
        let seen = [unseen, (10.0, 5.0), (150.0, 90.0), (450.0, 60.0), (900.0, 900.0), (2900.0, 5.0)];
        assert_eq!(seen.map(likely), [1000.0, 400.0, 600.0, 1000.0, 1800.0, 1000.0]);
    }

    #[test]
    fn the_longest_interval_of_real_counters() {
        let longest = |component, role, joules: f64| {
            let bounds = Bounds::of(&domain(component, role, None));
            bounds.longest_interval(Energy::from_joules(joules)).as_secs()
        };
        assert_eq!(longest(Component::Cpu, Role::Part, 65_532.61), 58);
        assert_eq!(longest(Component::Cpu, Role::Part, 262_143.33), 235);
        assert_eq!(longest(Component::Dram, Role::Part, 65_712.999), 98);
        assert_eq!(longest(Component::Other, Role::Whole, 262_143.33), 15);
    }
}
