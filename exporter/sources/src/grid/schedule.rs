//! When a zone is asked for again: time and chance are arguments, so that days can be tested in a moment.

use std::time::Duration;

/// Failures are never further apart than that, or than the cadence where that is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// No provider is obeyed that wants to be left alone for longer.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// So far apart, at most, the first requests of all zones are.
const FIRST_SPREAD: Duration = Duration::from_secs(1);

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A value; it holds until then, on the schedule's clock, where that is known and yet to come.
    Value(Option<Duration>),
    /// A right answer without a value that is fresh: nothing is wrong with asking as planned.
    Nothing,
    /// A failure; the provider may have asked to be left alone for that long.
    Failure(Option<Duration>),
}

/// When one zone is asked for at one provider, on a clock that only goes forward.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    cadence: Duration,
    /// Where between 0 and 1 this one lies among all who ask, so that they do not all come at once.
    place: f64,
    began: Duration,
    next: Duration,
    failures: u32,
}

impl Schedule {
    /// Nothing was asked yet. Between 0 and 1 lie its `turn` among the zones asked here, and its `place` among everyone's.
    pub(super) fn new(cadence: Duration, turn: f64, place: f64) -> Self {
        let (turn, place) = (turn.clamp(0.0, 1.0), place.clamp(0.0, 1.0));
        let next = FIRST_SPREAD.min(cadence).mul_f64(turn);
        Self { cadence, place, began: Duration::ZERO, next, failures: 0 }
    }

    /// When the next attempt may begin.
    pub(super) const fn next(&self) -> Duration {
        self.next
    }

    /// Begins an attempt, if it is time. However it ends, or whether it does, the next one is a cadence away.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let due = now >= self.next;
        if due {
            self.began = now;
            self.next = now.saturating_add(self.cadence);
        }
        due
    }

    /// Plans the next attempt after the last one came to `outcome`. `chance` lies between 0 and 1.
    pub(super) fn end(&mut self, outcome: Outcome, now: Duration, chance: f64) {
        let earliest = self.began.saturating_add(self.cadence);
        self.failures = match outcome {
            Outcome::Failure(_) => self.failures.saturating_add(1),
            Outcome::Value(_) | Outcome::Nothing => 0,
        };
        self.next = match outcome {
            Outcome::Value(Some(until)) if until > now => self.boundary(until, earliest),
            Outcome::Value(_) | Outcome::Nothing => earliest,
            Outcome::Failure(retry_after) => {
                let alone = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                self.began.saturating_add(self.wait(chance)).max(now.saturating_add(alone))
            }
        };
    }

    /// The first instant, not before `earliest`, that lies a little after a change of the data: a whole number of cadences
    /// from `until`. So a value is fetched soon after it comes to hold, without asking more often.
    fn boundary(&self, until: Duration, earliest: Duration) -> Duration {
        let spread = (self.cadence / 20).min(Duration::from_secs(60)).mul_f64(self.place);
        let first = until.saturating_add(self.cadence / 60).saturating_add(spread);
        let missing = earliest.saturating_sub(first).as_nanos();
        let steps = missing.div_ceil(self.cadence.as_nanos().max(1));
        let later = self.cadence.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
        // A value that holds for days is still looked at each cadence: it may be corrected.
        first.saturating_add(later).min(earliest.saturating_add(self.cadence))
    }

    /// Twice as long after each failure in a row, and up to a quarter more by chance; never less than the cadence.
    fn wait(&self, chance: f64) -> Duration {
        let doubled = self.cadence.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        let wait = doubled.min(LONGEST_WAIT.max(self.cadence));
        wait.saturating_add((wait / 4).mul_f64(chance.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const CADENCE: Duration = Duration::from_secs(300);

    /// When attempts begin in `time`, each answered at once by `outcome`.
    fn begun(time: Duration, outcome: impl Fn(Duration) -> Outcome) -> Vec<Duration> {
        let mut schedule = Schedule::new(CADENCE, 0.0, 0.3);
        let mut begun = Vec::new();
        while schedule.next() <= time {
            let now = schedule.next();
            assert!(schedule.begin(now) && !schedule.begin(now));
            begun.push(now);
            schedule.end(outcome(now), now, 0.7);
        }
        begun
    }

    #[test]
    fn five_thousand_seconds_at_five_minutes_are_seventeen_requests() {
        assert_eq!(begun(Duration::from_secs(5000), |_| Outcome::Value(None)).len(), 17);
        assert_eq!(begun(Duration::from_secs(5000), |_| Outcome::Nothing).len(), 17);
    }

    #[test]
    fn a_value_is_fetched_soon_after_it_comes_to_hold() {
        // Each value holds for one cadence that begins 100 s after a multiple of it.
        let until = |now: Duration| {
            let periods = (now.as_secs() + 200) / 300;
            Outcome::Value(Some(Duration::from_secs(periods * 300 + 100)))
        };
        let begun = begun(Duration::from_secs(10_000), until);
        for at in begun.iter().skip(1) {
            let late = (at.as_secs_f64() - 100.0).rem_euclid(300.0);
            assert!((5.0..=20.0).contains(&late), "{late}");
        }
    }

    #[test]
    fn failures_come_ever_further_apart_and_one_value_mends_that() {
        let begun = begun(Duration::from_secs(100_000), |_| Outcome::Failure(None));
        let gaps: Vec<_> = begun.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let expected = [300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0].map(|gap| gap * 1.175);
        for (gap, expected) in gaps.iter().zip(expected) {
            assert!((gap - expected).abs() < 1.0, "{gap} {expected}");
        }
        let mut schedule = Schedule::new(CADENCE, 0.0, 0.0);
        for outcome in
            [Outcome::Failure(None), Outcome::Failure(None), Outcome::Nothing, Outcome::Failure(None)]
        {
            let now = schedule.next();
            schedule.begin(now);
            schedule.end(outcome, now, 0.0);
        }
        assert_eq!(schedule.next() - schedule.began, CADENCE);
    }

    #[test]
    fn retry_after_is_obeyed_within_reason() {
        for (asked, waits) in
            [(20 * MINUTE, 20 * MINUTE), (MINUTE, CADENCE), (Duration::MAX, LONGEST_RETRY_AFTER)]
        {
            let mut schedule = Schedule::new(CADENCE, 0.0, 0.0);
            assert!(schedule.begin(Duration::ZERO));
            schedule.end(Outcome::Failure(Some(asked)), Duration::ZERO, 0.0);
            assert_eq!(schedule.next(), waits);
        }
    }

    #[test]
    fn an_attempt_that_never_ended_does_not_bring_the_next_one_forward() {
        let mut schedule = Schedule::new(CADENCE, 0.0, 0.0);
        assert!(schedule.begin(Duration::ZERO));
        for now in [1, 30, 299] {
            assert!(!schedule.begin(Duration::from_secs(now)));
        }
        assert!(schedule.begin(CADENCE));
    }

    proptest! {
        #[test]
        fn two_attempts_are_never_closer_than_the_cadence(
            cadence in 1_u64..100_000,
            steps in prop::collection::vec((0_u8..4, any::<u64>(), 0.0_f64..1.0, 0_u64..100), 1..50),
            place in -1.0_f64..2.0,
        ) {
            let cadence = Duration::from_millis(cadence);
            let mut schedule = Schedule::new(cadence, place, place);
            let mut last: Option<Duration> = None;
            for (kind, time, chance, took) in steps {
                let now = schedule.next();
                prop_assert!(schedule.begin(now));
                if let Some(last) = last {
                    prop_assert!(now - last >= cadence);
                }
                last = Some(now);
                let time = Duration::from_millis(time);
                let outcome = match kind {
                    0 => Outcome::Value(Some(time)),
                    1 => Outcome::Value(None),
                    2 => Outcome::Nothing,
                    _ => Outcome::Failure(Some(time)),
                };
                schedule.end(outcome, now + Duration::from_millis(took), chance);
            }
        }
    }
}
