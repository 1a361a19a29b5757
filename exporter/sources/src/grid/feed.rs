//! One zone at one provider: what was said of it, and what of that is shown now. Time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};

use super::disk::Stamp;
use super::failure::{Failure, Reason};
use super::provider::Quote;
use super::schedule::Schedule;

/// So far may the clocks of this machine and a provider differ without a word.
pub(super) const TOLERANCE: Duration = Duration::from_secs(300);

/// What is known of a zone at a provider.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    /// When it is asked for.
    pub(super) schedule: Schedule,
    /// What was last said.
    pub(super) quotes: Vec<Quote>,
    /// When it was last answered rightly.
    pub(super) last_success: Option<Duration>,
    /// What is wrong since the last attempt, so that it is logged once.
    pub(super) trouble: Option<Reason>,
    /// The file that was last read, where it is one.
    pub(super) stamp: Option<Stamp>,
}

impl Feed {
    /// Of which nothing is known yet.
    pub(super) const fn new(schedule: Schedule) -> Self {
        Self { schedule, quotes: Vec::new(), last_success: None, trouble: None, stamp: None }
    }
}

/// What is shown of `quotes` for each signal and basis: the newest that has begun and is not too old.
///
/// A value is too old when the period that it holds for ended more than `max_age` ago. One from the future is not shown
/// before its time, so that a clock that was set back cannot keep it fresh for ever.
pub(super) fn in_force(
    quotes: &[Quote],
    now: Duration,
    max_age: Duration,
) -> BTreeMap<(Signal, Basis), Option<Observation>> {
    let mut shown = BTreeMap::new();
    for quote in quotes {
        let newest: &mut Option<Observation> = shown.entry((quote.signal, quote.basis)).or_default();
        let begun = quote.observation.at <= now.saturating_add(TOLERANCE);
        let fresh = quote.until.is_none_or(|until| now <= until.saturating_add(max_age));
        if begun && fresh && newest.is_none_or(|newest| newest.at <= quote.observation.at) {
            *newest = Some(quote.observation);
        }
    }
    shown
}

/// Whether `quotes` hold a value to show; else why not. `theirs` is the time by the provider's own clock.
pub(super) fn judge(
    quotes: &[Quote],
    now: Duration,
    max_age: Duration,
    theirs: Option<Duration>,
) -> Result<(), Failure> {
    if in_force(quotes, now, max_age).values().any(Option::is_some) {
        return Ok(());
    }
    let Some(newest) = quotes.iter().max_by_key(|quote| quote.observation.at) else {
        return Err(Failure::new(Reason::NoData, "expected a value for this zone, found none"));
    };
    let at = newest.observation.at;
    if at > now {
        let ahead = at.saturating_sub(now).as_secs();
        let text = format!("expected a value that holds now, found one that begins in {ahead} s");
        return Err(Failure::new(Reason::Clock, text));
    }
    let age = now.saturating_sub(newest.until.unwrap_or(at)).as_secs();
    let skew = theirs.map(|theirs| theirs.abs_diff(now)).filter(|skew| *skew > TOLERANCE);
    let text = format!("expected a value no older than {} s, found one of {age} s ago", max_age.as_secs());
    match skew {
        Some(skew) => {
            let text = format!("{text}; the provider's clock differs by {} s", skew.as_secs());
            Err(Failure::new(Reason::Clock, text))
        }
        None => Err(Failure::new(Reason::Stale, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::units::Intensity;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOON: Duration = Duration::from_secs(1_516_449_600);

    fn quote(at: Duration, hours: Option<u32>) -> Quote {
        Quote {
            signal: Signal::Average,
            basis: Basis::Lifecycle,
            observation: Observation {
                intensity: Intensity::from_grams_per_kwh(58.0).unwrap(),
                estimated: false,
                at,
            },
            until: hours.map(|hours| at + HOUR * hours),
        }
    }

    fn shown(quotes: &[Quote], now: Duration) -> Option<Duration> {
        let shown = in_force(quotes, now, 2 * HOUR);
        shown.get(&(Signal::Average, Basis::Lifecycle)).unwrap().map(|observation| observation.at)
    }

    fn reason(quotes: &[Quote], now: Duration, theirs: Option<Duration>) -> Option<Reason> {
        judge(quotes, now, 2 * HOUR, theirs).err().map(|failure| failure.reason)
    }

    #[test]
    fn a_value_is_shown_until_its_period_is_too_long_ago() {
        let hourly = [quote(NOON, Some(1))];
        assert_eq!(shown(&hourly, NOON), Some(NOON));
        assert_eq!(shown(&hourly, NOON + 3 * HOUR), Some(NOON));
        assert_eq!(shown(&hourly, NOON + 3 * HOUR + Duration::from_secs(1)), None);
        assert_eq!(reason(&hourly, NOON + 4 * HOUR, None), Some(Reason::Stale));
        assert_eq!(reason(&[], NOON, None), Some(Reason::NoData));
    }

    #[test]
    fn of_several_the_one_in_force_is_shown() {
        let rows = [quote(NOON + HOUR, None), quote(NOON, None), quote(NOON - HOUR, None)];
        assert_eq!(shown(&rows, NOON + HOUR / 2), Some(NOON));
        assert_eq!(shown(&rows, NOON + 1000 * HOUR), Some(NOON + HOUR));
        assert_eq!(shown(&rows, NOON - 2 * HOUR), None);
    }

    #[test]
    fn a_clock_that_is_an_hour_off_is_told_and_no_value_stays_for_ever() {
        let hourly = [quote(NOON, Some(1))];
        // Ours is behind: what the provider says of now lies in our future.
        assert_eq!(shown(&hourly, NOON - HOUR), None);
        assert_eq!(reason(&hourly, NOON - HOUR, Some(NOON)), Some(Reason::Clock));
        assert_eq!(shown(&hourly, NOON - TOLERANCE), Some(NOON));
        // Ours is ahead: a value looks older than it is, and the provider's clock says why.
        assert_eq!(reason(&hourly, NOON + 4 * HOUR, Some(NOON + 3 * HOUR)), Some(Reason::Clock));
        assert_eq!(reason(&hourly, NOON + 4 * HOUR, Some(NOON + 4 * HOUR)), Some(Reason::Stale));
        // Ours was set back after the fetch: nothing is shown until its time comes again.
        assert_eq!(shown(&hourly, NOON - 5 * HOUR), None);
    }

    #[test]
    fn no_time_overflows() {
        let far = [Quote { until: Some(Duration::MAX), ..quote(NOON, None) }];
        assert_eq!(in_force(&far, Duration::MAX, Duration::MAX).len(), 1);
        let _ = judge(&far, Duration::ZERO, Duration::MAX, Some(Duration::MAX));
    }
}
