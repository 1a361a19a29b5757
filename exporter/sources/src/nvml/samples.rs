//! Samples of processes' utilisation become time: each counts for as long as it is after the one before.

use std::collections::BTreeMap;
use std::time::Duration;

use nvml_wrapper::struct_wrappers::device::ProcessUtilizationSample;

/// What was seen of a device's samples so far. Instants are the driver's, in µs.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    /// The newest instant of all.
    seen: u64,
    /// The newest instant of each process that had samples at the last look.
    last: BTreeMap<u32, u64>,
}

impl Samples {
    /// The instant after which samples are new.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Each process's time on the device's processors since the last look, in µs; that look was `passed` ago. A process's
    /// first sample counts for no more than that.
    ///
    /// The driver's buffer may hold several samples of a process, some that were seen already, and, on some versions, some
    /// of more than 100 %, which are none.
    pub(super) fn take(
        &mut self,
        samples: &[ProcessUtilizationSample],
        passed: Duration,
    ) -> BTreeMap<u32, u64> {
        let passed = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let mut samples: Vec<_> = samples
            .iter()
            .filter(|sample| sample.sm_util <= 100 && sample.timestamp > 0)
            .map(|sample| (sample.timestamp, sample.pid, sample.sm_util))
            .collect();
        samples.sort_unstable();
        let mut times: BTreeMap<u32, u64> = BTreeMap::new();
        let mut last = BTreeMap::new();
        for (at, pid, utilisation) in samples {
            let own = last.get(&pid).or_else(|| self.last.get(&pid)).copied();
            let before = own.unwrap_or_else(|| self.seen.max(at.saturating_sub(passed)));
            if at <= before {
                continue;
            }
            let time = at - before;
            *times.entry(pid).or_default() += time.saturating_mul(u64::from(utilisation)) / 100;
            last.insert(pid, at);
        }
        self.seen = last.values().copied().max().unwrap_or(0).max(self.seen);
        self.last = last;
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(pid: u32, timestamp: u64, sm_util: u32) -> ProcessUtilizationSample {
        ProcessUtilizationSample { pid, timestamp, sm_util, mem_util: 0, enc_util: 0, dec_util: 0 }
    }

    fn times(samples: &mut Samples, new: &[(u32, u64, u32)]) -> Vec<(u32, u64)> {
        let new: Vec<_> = new.iter().map(|(pid, at, busy)| sample(*pid, *at, *busy)).collect();
        samples.take(&new, Duration::from_secs(1)).into_iter().collect()
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

    proptest! {
        #[test]
        fn nothing_is_more_than_the_time_that_passed(rounds in prop::collection::vec(prop::collection::vec((0..4_u32, any::<u64>(), 0..200_u32), 0..8), 1..6)) {
            let mut samples = Samples::default();
            for round in rounds {
                let before = samples.clone();
                for (pid, time) in times(&mut samples, &round) {
                    let from = before.last.get(&pid).copied().unwrap_or(before.seen);
                    prop_assert!(time <= samples.seen() - from.min(samples.seen()), "{pid}: {time}");
                }
            }
        }
    }
}
