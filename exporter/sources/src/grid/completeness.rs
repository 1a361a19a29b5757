//! Which period of a generation mix can be believed: each is compared with the periods around it.
//!
//! Operators publish the types of generation at different times, and fill what they do not know yet with zeros. A mix
//! without its coal looks far cleaner than it is. `docs/carbon.md` states the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An amount matters where the mean intensity changes by more than this share with and without it.
const MATTERS: f64 = 0.02;

/// A change of an amount that moves the mean by more than this share within an hour makes the value an estimate.
const DOUBTFUL: f64 = 0.05;

/// One that moves it by more than this share is not believed.
const IMPLAUSIBLE: f64 = 0.2;

/// A rise beyond this factor within an hour is unusual.
const RAMP: f64 = 2.0;

/// Amounts that differ by more than this factor are no ramp of plants.
const LEAP: f64 = 3.0;

/// A type that was never there before cannot have more than this share of the generation at once.
const NEW: f64 = 1.0 / 3.0;

/// A type with less than this share of the generation may stop from one period to the next.
const SMALL: f64 = 0.05;

/// One with less than this share may stop where it did so before.
const PAUSING: f64 = 0.25;

/// At dusk, the last amount of solar power is a smaller part of the day's peak than this.
const DUSK: f64 = 0.2;

/// Solar power that was zero for this long is down for the night.
const NIGHT: Duration = Duration::from_secs(3 * 3600);

/// Neighbours are at least so far away: a wrong hour also spoils each of its quarters.
const NEAR: Duration = Duration::from_secs(3600);

/// Neighbours are at most so far away.
const FAR: Duration = Duration::from_secs(3 * 3600);

/// After this long, a fall that was not believed is taken for the new state.
const SETTLED: Duration = Duration::from_secs(6 * 3600);

/// What one type of generation gave in one period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Amount {
    /// Energy or mean power, in the unit of the whole mix; 0 or more.
    pub(super) amount: f64,
    /// In g/kWh.
    pub(super) grams_per_kwh: f64,
    /// Solar power rises and falls every day by its nature.
    pub(super) is_solar: bool,
}

/// The amounts of one period, by type.
pub(super) type Amounts<'a> = BTreeMap<&'a str, Amount>;

/// A period that can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Believed {
    /// When it begins.
    pub(super) at: Duration,
    /// Whether an amount in it is unusual.
    pub(super) is_doubtful: bool,
}

/// The newest of `periods`, which are `step` long, that has every type which the periods before it had, in amounts that
/// can be; `None` where there is none.
pub(super) fn newest_complete(periods: &BTreeMap<Duration, Amounts<'_>>, step: Duration) -> Option<Believed> {
    let mut history = History::default();
    let mut newest = None;
    for (at, amounts) in periods {
        let outliers = outliers(periods, *at, step);
        let verdict = if outliers.values().any(|verdict| *verdict == Verdict::Unbelievable) {
            Verdict::Unbelievable
        } else {
            outliers.values().copied().chain([history.verdict(*at, amounts)]).max().unwrap_or(Verdict::Good)
        };
        if verdict != Verdict::Unbelievable {
            newest = Some(Believed { at: *at, is_doubtful: verdict == Verdict::Doubtful });
            history.believed = Some((*at, amounts));
        }
        history.record(*at, amounts, |code| outliers.get(code) == Some(&Verdict::Unbelievable));
    }
    newest
}

/// How far a period or an amount can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Good,
    Doubtful,
    Unbelievable,
}

/// One type of generation in the periods so far.
#[derive(Clone, Debug)]
struct Past {
    /// The last amount above zero.
    last: Amount,
    /// When that was.
    at: Duration,
    /// The larger of the last two amounts: what ramps down to nothing does so by steps.
    recent: f64,
    /// The largest amount of all.
    peak: f64,
    /// Whether it once came back after it alone was zero or absent.
    has_paused: bool,
    /// Whether it is zero or absent now, and was the only type that was from the begin of that.
    pauses_alone: Option<bool>,
}

/// The periods before the one that is judged.
#[derive(Default)]
struct History<'a> {
    types: BTreeMap<&'a str, Past>,
    /// The last period that was believed.
    believed: Option<(Duration, &'a Amounts<'a>)>,
}

impl<'a> History<'a> {
    fn verdict(&self, at: Duration, amounts: &Amounts<'_>) -> Verdict {
        if total(amounts) <= 0.0 {
            return Verdict::Unbelievable;
        }
        let missing = self.missing(at, amounts);
        let absent = match missing.as_slice() {
            [] => Verdict::Good,
            [(code, past)] if past.may_pause(at, amounts.contains_key(code), total(amounts)) => {
                Verdict::Doubtful
            }
            _ => Verdict::Unbelievable,
        };
        absent.max(self.falls(at, amounts))
    }

    /// The types that matter, were there, and are zero or absent in a way that generation does not stop.
    fn missing(&self, at: Duration, amounts: &Amounts<'_>) -> Vec<(&'a str, &Past)> {
        let is_missing = |(code, past): &(&&'a str, &Past)| {
            let is_reported = amounts.contains_key(**code);
            let is_zero = amounts.get(**code).is_none_or(|amount| amount.amount <= 0.0);
            let usual = Amount { amount: past.recent, ..past.last };
            is_zero && !past.is_night(at, is_reported) && effect(amounts, code, usual) > MATTERS
        };
        self.types.iter().filter(is_missing).map(|(code, past)| (*code, past)).collect()
    }

    /// How far the amounts that fell steeply since the last believed period can be believed: a part of the plants may be
    /// missing. The sun may go down that fast.
    fn falls(&self, at: Duration, amounts: &Amounts<'_>) -> Verdict {
        let Some((since, before)) = self.believed.filter(|(since, _)| at.saturating_sub(*since) <= SETTLED)
        else {
            return Verdict::Good;
        };
        let is_steep = |code: &str, before: &Amount| {
            let now = amounts.get(code).map_or(0.0, |amount| amount.amount);
            !before.is_solar && now > 0.0 && now * LEAP < before.amount
        };
        let falls = before.iter().filter(|(code, before)| is_steep(code, before));
        let most = falls.map(|(code, before)| effect(amounts, code, *before)).fold(0.0, f64::max);
        debug_assert!(since < at, "periods are judged in their order");
        graded(most)
    }

    fn record(&mut self, at: Duration, amounts: &'a Amounts<'a>, is_outlier: impl Fn(&str) -> bool) {
        let paused: BTreeSet<&str> = self.missing(at, amounts).into_iter().map(|(code, _)| code).collect();
        for (code, past) in &mut self.types {
            if paused.contains(code) {
                past.pauses_alone = Some(past.pauses_alone.unwrap_or(true) && paused.len() == 1);
            }
        }
        for (code, amount) in amounts {
            if amount.amount > 0.0 && !is_outlier(code) {
                self.types
                    .entry(code)
                    .and_modify(|past| past.go_on(at, *amount))
                    .or_insert_with(|| Past::new(at, *amount));
            }
        }
    }
}

impl Past {
    const fn new(at: Duration, amount: Amount) -> Self {
        Self {
            last: amount,
            at,
            recent: amount.amount,
            peak: amount.amount,
            has_paused: false,
            pauses_alone: None,
        }
    }

    fn go_on(&mut self, at: Duration, amount: Amount) {
        let is_next = at.saturating_sub(self.at) <= NEAR && !amount.is_solar;
        self.recent = if is_next { amount.amount.max(self.last.amount) } else { amount.amount };
        self.has_paused |= self.pauses_alone.take() == Some(true);
        self.peak = self.peak.max(amount.amount);
        (self.last, self.at) = (amount, at);
    }

    /// Whether this is solar power that went down with the sun.
    fn is_night(&self, at: Duration, is_reported: bool) -> bool {
        self.last.is_solar && (self.last.amount <= self.peak * DUSK || is_reported && self.is_long_ago(at))
    }

    fn is_long_ago(&self, at: Duration) -> bool {
        at.saturating_sub(self.at) >= NIGHT
    }

    /// Whether the plants of this type alone may stand still while the others generate `total`.
    fn may_pause(&self, at: Duration, is_reported: bool, total: f64) -> bool {
        if self.pauses_alone == Some(false) {
            return false;
        }
        let share = self.recent / (total + self.recent);
        share < SMALL && is_reported
            || share < PAUSING && self.has_paused
            || self.last.is_solar && self.is_long_ago(at)
    }
}

/// The amounts of the period at `at` that rise out of those around it, in time, by more than plants can ramp.
fn outliers<'a>(
    periods: &BTreeMap<Duration, Amounts<'a>>,
    at: Duration,
    step: Duration,
) -> BTreeMap<&'a str, Verdict> {
    let Some(amounts) = periods.get(&at) else { return BTreeMap::new() };
    let around = |code: &str, is_solar: bool| around(periods, at, step, code, is_solar);
    let is_new = |code: &str, amount: &Amount| amount.amount > 0.0 && around(code, false) == Some(0.0);
    let new = amounts.iter().filter(|(code, amount)| is_new(code, amount)).count();
    let all = total(amounts);
    let rise = |code: &'a str, amount: &Amount| {
        let usual = around(code, amount.is_solar)?;
        // Several types that begin at once are the end of a gap.
        let is_ordinary =
            if usual > 0.0 { amount.amount <= usual * RAMP } else { new > 1 || amount.amount <= all * NEW };
        if is_ordinary {
            return None;
        }
        let verdict = graded(effect(amounts, code, Amount { amount: usual, ..*amount }));
        let verdict = if amount.amount <= usual * LEAP { verdict.min(Verdict::Doubtful) } else { verdict };
        let is_sunrise = amount.is_solar && verdict == Verdict::Doubtful;
        (verdict != Verdict::Good && !is_sunrise).then_some((code, verdict))
    };
    amounts.iter().filter_map(|(code, amount)| rise(code, amount)).collect()
}

/// The largest amount of a type in the neighbourhood of `at`; of solar power, whose peak is a day away, of all periods.
/// `None` where there are no neighbours.
fn around(
    periods: &BTreeMap<Duration, Amounts<'_>>,
    at: Duration,
    step: Duration,
    code: &str,
    is_solar: bool,
) -> Option<f64> {
    let amount = |amounts: &Amounts<'_>| amounts.get(code).map_or(0.0, |amount| amount.amount);
    let apart = |other: &Duration| at.abs_diff(*other);
    let others = || periods.iter().filter(|(other, _)| apart(other) >= NEAR.max(step));
    let most = |reach: Duration| {
        let near = others().filter(|(other, _)| apart(other) <= reach.max(step));
        near.map(|(_, amounts)| amount(amounts)).reduce(f64::max)
    };
    let near = if is_solar { None } else { most(FAR).filter(|most| *most > 0.0) };
    // After a gap, what was there before it.
    near.or_else(|| most(Duration::MAX))
}

fn graded(effect: f64) -> Verdict {
    match effect {
        effect if effect > IMPLAUSIBLE => Verdict::Unbelievable,
        effect if effect > DOUBTFUL => Verdict::Doubtful,
        _ => Verdict::Good,
    }
}

/// By which share the mean intensity changes where `usual` stands in place of what `amounts` has of that type.
fn effect(amounts: &Amounts<'_>, code: &str, usual: Amount) -> f64 {
    let others = amounts.iter().filter(|(other, _)| **other != code).map(|(_, amount)| *amount);
    let as_found = mean(amounts.values().copied());
    let as_usual = mean(others.chain([usual]));
    match (as_found, as_usual) {
        (Some(found), Some(usual)) => (found - usual).abs() / found.max(usual).max(f64::MIN_POSITIVE),
        _ => 1.0,
    }
}

/// The mean intensity in g/kWh; `None` where nothing is generated.
fn mean(amounts: impl Iterator<Item = Amount>) -> Option<f64> {
    let (total, grams) = amounts.fold((0.0, 0.0), |(total, grams), amount| {
        (total + amount.amount, grams + amount.amount * amount.grams_per_kwh)
    });
    (total > 0.0).then(|| grams / total)
}

fn total(amounts: &Amounts<'_>) -> f64 {
    amounts.values().map(|amount| amount.amount).sum()
}

#[cfg(test)]
mod tests;
