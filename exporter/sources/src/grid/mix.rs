//! Intensity from who generates how much: each period's generation, weighed with each method's factor.

use std::collections::BTreeMap;
use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};
use noether_core::units::Intensity;

pub(super) use super::generation::{Method, intensity};
use super::provider::Quote;

/// Providers publish some plants later than others: a period counts once it has all that the periods so long before the
/// newest one had.
const COMPLETE_WITHIN: Duration = Duration::from_secs(7200);

/// A plant that generates a smaller share than that is not waited for.
const NEGLIGIBLE: f64 = 0.01;

/// With a larger share of plants of an unknown kind, the result is an estimate.
const UNKNOWN: f64 = 0.1;

/// What a provider's code of a plant stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It generates.
    Plant(Method),
    /// It gives back what others generated, and was counted when they did.
    Storage,
}

/// Generation by period and by the provider's code of the plants, in any one unit of energy or mean power.
#[derive(Clone, Debug, Default)]
pub(super) struct Mix(BTreeMap<Duration, BTreeMap<String, (Kind, f64)>>);

impl Mix {
    /// `amount` was generated in the period that begins at `at`. A negative amount is what plants used themselves.
    pub(super) fn add(&mut self, at: Duration, code: &str, kind: Kind, amount: f64) {
        let period = self.0.entry(at).or_default();
        period.entry(code.to_owned()).or_insert((kind, 0.0)).1 += amount.max(0.0);
    }

    /// What the newest complete period of length `period` carries over its lifecycle; `None` where nothing was generated.
    pub(super) fn newest(&self, period: Duration) -> Option<Quote> {
        let (newest, _) = self.0.last_key_value()?;
        let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
        for plants in self.0.range(newest.saturating_sub(COMPLETE_WITHIN)..).map(|(_, plants)| plants) {
            for (code, (_, amount)) in plants {
                *totals.entry(code).or_default() += amount;
            }
        }
        let least = totals.values().sum::<f64>() * NEGLIGIBLE;
        let complete = |plants: &BTreeMap<String, _>| {
            totals.iter().all(|(code, total)| *total <= least || plants.contains_key(*code))
        };
        let (at, plants) = self.0.iter().rev().find(|(_, plants)| complete(plants))?;
        let (intensity, estimated) = weighed(plants.values())?;
        Some(Quote {
            signal: Signal::Average,
            basis: Basis::Lifecycle,
            observation: Observation { intensity, estimated, at: *at },
            until: Some(at.saturating_add(period)),
        })
    }
}

/// The mean intensity, and whether much of it is guessed.
fn weighed<'a>(plants: impl Iterator<Item = &'a (Kind, f64)>) -> Option<(Intensity, bool)> {
    let (mut generated, mut unknown, mut grams) = (0.0, 0.0, 0.0);
    for (kind, amount) in plants {
        let Kind::Plant(method) = *kind else { continue };
        let (method, factor) = match intensity(method, Basis::Lifecycle) {
            Some(factor) => (method, factor),
            None => (Method::Unknown, intensity(Method::Unknown, Basis::Lifecycle)?),
        };
        generated += amount;
        grams += amount * factor.grams_per_kwh();
        if method == Method::Unknown {
            unknown += amount;
        }
    }
    let mean = Intensity::from_grams_per_kwh(grams / generated)?;
    Some((mean, unknown > generated * UNKNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const COAL: Kind = Kind::Plant(Method::Coal);
    const WIND: Kind = Kind::Plant(Method::WindOnshore);

    fn newest(mix: &Mix) -> (f64, Duration, bool) {
        let quote = mix.newest(HOUR).unwrap();
        let observation = quote.observation;
        (observation.intensity.grams_per_kwh(), observation.at, observation.estimated)
    }

    #[test]
    fn the_mean_is_weighed_and_storage_is_left_out() {
        let mut mix = Mix::default();
        mix.add(HOUR, "COL", COAL, 25.0);
        mix.add(HOUR, "WND", WIND, 75.0);
        mix.add(HOUR, "PS", Kind::Storage, 1000.0);
        mix.add(HOUR, "SUN", Kind::Plant(Method::Solar), -3.0);
        assert_eq!(newest(&mix), (0.25 * 820.0 + 0.75 * 11.0, HOUR, false));
    }

    #[test]
    fn a_period_that_lacks_a_plant_is_waited_for_but_not_for_ever() {
        let mut mix = Mix::default();
        for hour in 1..=9 {
            mix.add(HOUR * hour, "WND", WIND, 75.0);
            mix.add(HOUR * hour, "OIL", Kind::Plant(Method::Oil), if hour == 8 { 0.01 } else { 0.0 });
            if hour <= 7 {
                mix.add(HOUR * hour, "COL", COAL, 25.0);
            }
        }
        assert_eq!(newest(&mix), (0.25 * 820.0 + 0.75 * 11.0, HOUR * 7, false));
        mix.add(HOUR * 10, "WND", WIND, 75.0);
        assert_eq!(newest(&mix), (11.0, HOUR * 10, false));
    }

    #[test]
    fn much_of_an_unknown_kind_is_an_estimate_and_nothing_is_absence() {
        let mut mix = Mix::default();
        assert_eq!(mix.newest(HOUR), None);
        mix.add(HOUR, "WND", WIND, 0.0);
        assert_eq!(mix.newest(HOUR), None);
        mix.add(HOUR * 2, "WND", WIND, 85.0);
        mix.add(HOUR * 2, "OTH", Kind::Plant(Method::Unknown), 15.0);
        assert!(newest(&mix).2);
    }
}
