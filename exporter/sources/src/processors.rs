//! The processors that are online, the sockets that they sit on, and for how long each socket was busy.
//!
//! Processors come and go: by hand (`/sys/devices/system/cpu/cpuN/online`), with SMT, in virtual machines. Then their lines in
//! `<procfs>/stat` and their folders `topology` come and go, and the line `cpu`, which is the sum of those online, leaps.
//!
//! <https://docs.kernel.org/core-api/cpu_hotplug.html>

use std::time::Duration;

use crate::stat::{CpuTimes, gains};
use crate::topology::Topology;

/// What is known of the processors.
#[derive(Debug, Default)]
pub struct Processors {
    topology: Topology,
    last: Option<CpuTimes>,
    busy: Vec<Duration>,
    changed: bool,
}

impl Processors {
    /// Takes a reading of their times.
    pub fn advance(&mut self, now: &CpuTimes) {
        self.changed = false;
        self.busy.resize(self.topology.sockets(), Duration::ZERO);
        if let Some(last) = &self.last {
            self.changed = !now.same_processors(last);
            for (cpu, gain) in gains(last, now) {
                match cpu {
                    Some(cpu) => add(self.busy.get_mut(self.topology.socket_of(cpu)), gain.busy),
                    // Where processors have no lines of their own, nothing is known of the sockets: each has its part.
                    None => {
                        let part = gain.busy / u32::try_from(self.busy.len()).unwrap_or(u32::MAX).max(1);
                        self.busy.iter_mut().for_each(|busy| add(Some(busy), part));
                    }
                }
            }
        }
        match &mut self.last {
            Some(last) => last.clone_from(now),
            none => *none = Some(now.clone()),
        }
    }

    /// Whether other processors are online than at the reading before.
    pub const fn changed(&self) -> bool {
        self.changed
    }

    /// Learns which processors sit where; tells whether that is news.
    pub fn learn(&mut self, packages: &[(u32, Option<u16>)]) -> bool {
        let news = self.topology.learn(packages);
        self.busy.resize(self.topology.sockets(), Duration::ZERO);
        news
    }

    /// How long each socket was busy, since the first reading.
    pub fn busy(&self) -> &[Duration] {
        &self.busy
    }

    /// How many are online.
    pub fn online(&self) -> u32 {
        let count = self.last.as_ref().map_or(0, |last| last.each.len());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Where they sit.
    pub const fn topology(&self) -> &Topology {
        &self.topology
    }
}

fn add(busy: Option<&mut Duration>, gain: Duration) {
    if let Some(busy) = busy {
        *busy = busy.saturating_add(gain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat::CpuTime;

    /// Seconds of each processor by its number.
    fn times(each: &[(u32, u64)]) -> CpuTimes {
        let time = |seconds| CpuTime { busy: Duration::from_secs(seconds), idle: Duration::ZERO };
        let all = time(each.iter().map(|(_, seconds)| seconds).sum());
        CpuTimes { all, each: each.iter().map(|(cpu, seconds)| (*cpu, time(*seconds))).collect() }
    }

    fn seconds(processors: &Processors) -> Vec<u64> {
        processors.busy().iter().map(Duration::as_secs).collect()
    }

    #[test]
    fn who_goes_and_comes_back_takes_nothing_away_and_brings_nothing() {
        for back in [0, 49, 60, 100_000] {
            let mut processors = Processors::default();
            processors.learn(&[(0, Some(0)), (1, Some(0)), (4, Some(1))]);
            processors.advance(&times(&[(0, 100), (1, 50), (4, 10)]));
            assert_eq!((seconds(&processors), processors.changed()), (vec![0, 0], false));
            processors.advance(&times(&[(0, 101), (4, 12)]));
            assert_eq!((seconds(&processors), processors.changed()), (vec![1, 2], true));
            processors.advance(&times(&[(0, 102), (4, 12)]));
            assert_eq!((seconds(&processors), processors.changed()), (vec![2, 2], false));
            processors.advance(&times(&[(0, 103), (1, back), (4, 13)]));
            assert_eq!((seconds(&processors), processors.changed()), (vec![3, 3], true), "{back}");
            processors.advance(&times(&[(0, 103), (1, back + 2), (4, 13)]));
            assert_eq!((seconds(&processors), processors.changed()), (vec![5, 3], false));
        }
    }

    #[test]
    fn all_but_one_and_a_counter_that_starts_over() {
        let mut processors = Processors::default();
        processors.advance(&times(&[(0, 9), (2, 9), (9, 9)]));
        processors.advance(&times(&[(9, 10)]));
        processors.advance(&times(&[(9, 3)]));
        processors.advance(&times(&[(9, 4)]));
        assert_eq!((seconds(&processors), processors.online()), (vec![2], 1));
    }

    #[test]
    fn a_socket_that_appears_later_gets_the_next_number() {
        let mut processors = Processors::default();
        assert!(processors.learn(&[(4, Some(1)), (5, Some(1))]));
        processors.advance(&times(&[(4, 1), (5, 1)]));
        processors.advance(&times(&[(4, 3), (5, 3)]));
        // The first socket comes with lower numbers than the one that was there.
        assert!(processors.learn(&[(0, Some(0)), (4, Some(1)), (5, Some(1))]));
        processors.advance(&times(&[(0, 7), (4, 3), (5, 3)]));
        processors.advance(&times(&[(0, 8), (4, 3), (5, 3)]));
        assert_eq!((processors.topology().packages(), seconds(&processors)), (&[1, 0][..], vec![4, 1]));
        // Its processors are gone again, and with them their folders: the socket keeps its number.
        assert!(!processors.learn(&[(0, None), (4, Some(1)), (5, Some(1))]));
        assert_eq!(processors.topology().packages(), [1, 0]);
    }

    #[test]
    fn without_lines_of_processors_the_sum_serves() {
        let sum = |seconds| CpuTimes {
            all: CpuTime { busy: Duration::from_secs(seconds), idle: Duration::ZERO },
            each: vec![],
        };
        let mut processors = Processors::default();
        processors.learn(&[(0, Some(0)), (1, Some(1))]);
        processors.advance(&sum(5));
        processors.advance(&sum(9));
        assert_eq!(seconds(&processors), [2, 2]);
    }
}
