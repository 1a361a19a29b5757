//! Samples of processes' utilisation become time: each counts for as long as it is after the one before.

use std::collections::BTreeMap;
use std::time::Duration;

use super::engines::EngineSample;

/// In how many looks a sample that was counted is remembered after the driver gave it last.
const REMEMBERED: u32 = 64;

/// What was seen of a device's samples so far. Instants are the driver's, in µs; they follow the wall clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    /// The newest instant of all.
    seen: u64,
    /// The newest instant of each process that had samples at the last look.
    last: BTreeMap<u32, u64>,
    /// Those that the driver gave already, and at which look it did so last. Where the wall clock was set back, old samples
    /// are newer than new ones, so that instants alone do not tell them apart.
    given: BTreeMap<(u64, u32), u32>,
    look: u32,
    /// The time between the two looks before, in µs.
    passed: u64,
    /// How many looks there were since one had a sample.
    pub(super) silent: u32,
}

impl Samples {
    /// The instant after which samples are new.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// The wall clock was set by `step` µs since the last look, when it showed `before`. Instants of another clock stay.
    pub(super) fn shift(&mut self, step: i64, before: u64) {
        /// A driver's clock that is off by more is none of ours.
        const DAY: u64 = 86_400_000_000;
        if self.seen.abs_diff(before) > DAY {
            return;
        }
        for at in self.last.values_mut().chain([&mut self.seen]) {
            *at = at.saturating_add_signed(step);
        }
    }

    /// Whether these, which are all that the driver has, show that its clock was set back: some are older than the newest
    /// one that was seen, and were not given before.
    pub(super) fn went_back(&self, all: &[EngineSample]) -> bool {
        let is_new = |one: &&EngineSample| !self.given.contains_key(&(one.at, one.pid));
        all.iter().filter(|one| one.busy().is_some()).filter(is_new).any(|one| one.at < self.seen)
    }

    /// Begins anew, at whatever the driver's clock shows. What was given before does not count again.
    pub(super) fn restart(&mut self) {
        self.seen = 0;
        self.last.clear();
    }

    /// Each process's time on the device's engines since the last look, in µs; that look was `passed` ago. A process's
    /// first sample counts for no more than that.
    ///
    /// The driver's buffer may hold several samples of a process, and some that were given already.
    pub(super) fn take(&mut self, samples: &[EngineSample], passed: Duration) -> BTreeMap<u32, u64> {
        let passed = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        // Its own sample before may be as old as the look before the last; it can't be older, whatever clocks say.
        let most = passed.saturating_add(self.passed.max(passed));
        (self.passed, self.look) = (passed, self.look.saturating_add(1));
        let mut fresh = self.fresh(samples);
        fresh.sort_unstable();
        let mut times: BTreeMap<u32, u64> = BTreeMap::new();
        let mut last = BTreeMap::new();
        for (at, pid, busy) in fresh {
            let own = last.get(&pid).or_else(|| self.last.get(&pid)).copied();
            let before = own.unwrap_or_else(|| self.seen.max(at.saturating_sub(passed)));
            if at <= before {
                continue;
            }
            let time = (at - before).min(most);
            *times.entry(pid).or_default() += time.saturating_mul(u64::from(busy)) / 100;
            last.insert(pid, at);
        }
        self.seen = last.values().copied().max().unwrap_or(0).max(self.seen);
        self.silent = if last.is_empty() { self.silent.saturating_add(1) } else { 0 };
        self.last = last;
        times
    }

    /// Those that were not given before; from now on, they were.
    fn fresh(&mut self, samples: &[EngineSample]) -> Vec<(u64, u32, u32)> {
        let mut fresh = Vec::new();
        for (sample, busy) in samples.iter().filter_map(|one| Some((one, one.busy()?))) {
            if self.given.insert((sample.at, sample.pid), self.look).is_none() {
                fresh.push((sample.at, sample.pid, busy));
            }
        }
        let look = self.look;
        self.given.retain(|_, given| look.saturating_sub(*given) < REMEMBERED);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(pid: u32, at: u64, sm: u32) -> EngineSample {
        EngineSample { pid, at, sm, others: [0; 4] }
    }

    fn all(new: &[(u32, u64, u32)]) -> Vec<EngineSample> {
        new.iter().map(|(pid, at, busy)| sample(*pid, *at, *busy)).collect()
    }

    fn times(samples: &mut Samples, new: &[(u32, u64, u32)]) -> Vec<(u32, u64)> {
        samples.take(&all(new), Duration::from_secs(1)).into_iter().collect()
    }

    #[test]
    fn a_sample_counts_for_the_time_since_the_one_before() {
        let mut samples = Samples::default();
        assert_eq!(times(&mut samples, &[(1, 1_000_000, 50)]), [(1, 500_000)]);
        assert_eq!(samples.seen(), 1_000_000);
        let second = times(&mut samples, &[(1, 2_000_000, 60), (2, 2_000_100, 20), (1, 1_500_000, 30)]);
        assert_eq!(second, [(1, 450_000), (2, 200_000)]);
        // Process 2 goes on from its own last sample; old samples and impossible ones are none.
        let third = times(&mut samples, &[(2, 3_000_100, 10), (1, 2_000_000, 60), (1, 3_000_000, 400)]);
        assert_eq!(third, [(2, 100_000)]);
        // Process 1 was silent meanwhile, so not all of that time is its.
        assert_eq!(times(&mut samples, &[(1, 3_100_100, 100)]), [(1, 100_000)]);
        // After an hour without any, a sample counts for the last second.
        assert_eq!(times(&mut samples, &[]), []);
        assert_eq!(times(&mut samples, &[(7, 3_600_000_000, 10)]), [(7, 100_000)]);
    }

    const HOUR: u64 = 3_600_000_000;
    const SECOND: u64 = 1_000_000;

    /// The wall clock is set back by an hour, and the driver keeps the samples from before.
    #[test]
    fn a_clock_that_is_set_back_is_seen_by_the_samples() {
        let mut samples = Samples::default();
        let now = 500 * HOUR;
        times(&mut samples, &[(1, now, 50), (2, now, 5)]);
        let before = [(1, now + SECOND, 50), (2, now + SECOND, 5)];
        assert_eq!(times(&mut samples, &before), [(1, 500_000), (2, 50_000)]);
        // Nothing is newer; of all that there is, nothing is new.
        assert_eq!(times(&mut samples, &[]), []);
        assert!(!samples.went_back(&all(&before)));
        let after = [&before[..], &[(1, now - HOUR, 50), (2, now - HOUR, 5)]].concat();
        assert!(samples.went_back(&all(&after)));
        samples.restart();
        assert_eq!(times(&mut samples, &after), [(1, 500_000), (2, 50_000)]);
        assert_eq!(samples.seen(), now - HOUR);
        // The old ones are newer than the new ones for an hour, and count never again.
        let later = [&before[..], &[(1, now - HOUR + SECOND, 40), (2, now - HOUR + SECOND, 5)]].concat();
        assert_eq!(times(&mut samples, &later), [(1, 400_000), (2, 50_000)]);
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_what_was_seen() {
        let mut samples = Samples::default();
        let now = 500_000 * HOUR;
        times(&mut samples, &[(1, now, 50)]);
        samples.shift(-(HOUR as i64), now);
        assert_eq!(samples.seen(), now - HOUR);
        assert_eq!(times(&mut samples, &[(1, now, 50), (1, now - HOUR + SECOND, 50)]), [(1, 500_000)]);
        // Another clock than ours stays as it is.
        let mut samples = Samples::default();
        times(&mut samples, &[(1, 7 * SECOND, 50)]);
        samples.shift(HOUR as i64, now);
        assert_eq!(samples.seen(), 7 * SECOND);
    }

    /// Set forward by an hour: nobody worked for an hour.
    #[test]
    fn a_clock_that_is_set_forward_gives_nobody_an_hour() {
        let mut samples = Samples::default();
        times(&mut samples, &[(1, HOUR, 60), (2, HOUR, 20)]);
        let after = [(1, 2 * HOUR, 60), (2, 2 * HOUR, 20), (3, 2 * HOUR, 60)];
        let times = times(&mut samples, &after);
        assert_eq!(times, [(1, 1_200_000), (2, 400_000), (3, 600_000)]);
    }

    proptest! {
        #[test]
        fn nothing_is_more_than_the_time_that_passed(rounds in prop::collection::vec(prop::collection::vec((0..4_u32, any::<u64>(), 0..200_u32), 0..8), 1..6)) {
            let mut samples = Samples::default();
            for round in rounds {
                let before = samples.clone();
                let count = |pid| round.iter().filter(|one| one.0 == pid).count() as u64;
                for (pid, time) in times(&mut samples, &round) {
                    let from = before.last.get(&pid).copied().unwrap_or(before.seen);
                    prop_assert!(time <= samples.seen() - from.min(samples.seen()), "{pid}: {time}");
                    prop_assert!(time <= count(pid) * 2 * SECOND, "{pid}: {time}");
                }
            }
        }
    }
}
