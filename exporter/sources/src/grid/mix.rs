//! Intensity from who generates how much: each period's generation, weighed with each method's factor.

use std::collections::BTreeMap;
use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};
use noether_core::units::Intensity;

use super::completeness::{self, Amount, Amounts};
use super::failure::{Failure, Reason};
use super::feed::TOLERANCE;
pub(super) use super::generation::{Method, intensity};
use super::provider::{Quote, Quotes};

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
    /// `amount` was generated in the period that begins at `at`. A negative amount is what plants used themselves. An
    /// amount that is given again counts once: the larger one, as the other may be filled in.
    pub(super) fn add(&mut self, at: Duration, code: &str, kind: Kind, amount: f64) {
        let period = self.0.entry(at).or_default();
        let known = &mut period.entry(code.to_owned()).or_insert((kind, 0.0)).1;
        *known = known.max(amount);
    }

    /// The same as an answer: absence where nothing was given, and the reason where nothing of it can be believed.
    pub(super) fn quotes(&self, period: Duration, now: Duration) -> Quotes {
        match self.newest(period, now) {
            None if !self.0.is_empty() => {
                let text = "expected a period with all usual types of generation, found none";
                Err(Failure::new(Reason::NoData, text))
            }
            newest => Ok(newest.into_iter().collect()),
        }
    }

    /// What the newest complete period of length `period` carries over its lifecycle; `None` where there is none.
    ///
    /// Periods that are not over at `now` are filled in. Only where all are, this machine's clock may be wrong.
    pub(super) fn newest(&self, period: Duration, now: Duration) -> Option<Quote> {
        let is_over = |at: &Duration| at.saturating_add(period) <= now.saturating_add(TOLERANCE);
        let all: BTreeMap<_, _> = self.0.iter().map(|(at, plants)| (*at, amounts(plants))).collect();
        let over: BTreeMap<_, _> =
            all.iter().filter(|(at, _)| is_over(at)).map(|(at, amounts)| (*at, amounts.clone())).collect();
        let periods = if over.is_empty() { &all } else { &over };
        let believed = completeness::newest_complete(periods, period)?;
        let (intensity, estimated) = weighed(self.0.get(&believed.at)?.values())?;
        Some(Quote {
            signal: Signal::Average,
            basis: Basis::Lifecycle,
            observation: Observation {
                intensity,
                estimated: estimated || believed.is_doubtful,
                at: believed.at,
            },
            until: Some(believed.at.saturating_add(period)),
        })
    }
}

/// What `plants` generated, without what storage gave back.
fn amounts(plants: &BTreeMap<String, (Kind, f64)>) -> Amounts<'_> {
    let amount = |(kind, amount): &(Kind, f64)| {
        let Kind::Plant(method) = *kind else { return None };
        let (method, factor) = factor(method)?;
        let is_solar = method.is_solar();
        Some(Amount { amount: *amount, grams_per_kwh: factor.grams_per_kwh(), is_solar })
    };
    plants.iter().filter_map(|(code, plant)| Some((code.as_str(), amount(plant)?))).collect()
}

/// The lifecycle figure of a method; one without a figure counts as unknown.
fn factor(method: Method) -> Option<(Method, Intensity)> {
    let known = intensity(method, Basis::Lifecycle).map(|factor| (method, factor));
    known.or_else(|| Some((Method::Unknown, intensity(Method::Unknown, Basis::Lifecycle)?)))
}

/// The mean intensity, and whether much of it is guessed.
fn weighed<'a>(plants: impl Iterator<Item = &'a (Kind, f64)>) -> Option<(Intensity, bool)> {
    let (mut generated, mut unknown, mut grams) = (0.0, 0.0, 0.0);
    for (kind, amount) in plants {
        let Kind::Plant(method) = *kind else { continue };
        let (method, factor) = factor(method)?;
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
        let quote = mix.newest(HOUR, HOUR * 100).unwrap();
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
    fn a_period_that_lacks_a_type_is_not_believed() {
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
        assert_eq!(newest(&mix), (0.25 * 820.0 + 0.75 * 11.0, HOUR * 7, false));
    }

    #[test]
    fn much_of_an_unknown_kind_is_an_estimate_and_nothing_is_absence() {
        let mut mix = Mix::default();
        assert_eq!(mix.newest(HOUR, HOUR * 100), None);
        mix.add(HOUR, "WND", WIND, 0.0);
        assert_eq!(mix.newest(HOUR, HOUR * 100), None);
        mix.add(HOUR * 2, "WND", WIND, 85.0);
        mix.add(HOUR * 2, "OTH", Kind::Plant(Method::Unknown), 15.0);
        assert!(newest(&mix).2);
    }
}
