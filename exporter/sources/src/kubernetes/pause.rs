//! Pauses between attempts, of random length, so that thousands of nodes do not ask at the same instant.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A pause that grows with each failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    /// A second at first, `longest` in the end.
    pub(super) const fn up_to(longest: Duration) -> Self {
        Self { next: Duration::from_secs(1), longest }
    }

    /// Waits; the next pause is twice as long.
    pub(super) async fn wait(&mut self) {
        let pause = about(self.next);
        self.next = (self.next * 2).min(self.longest);
        tokio::time::sleep(pause).await;
    }
}

/// Half to one and a half times as long.
pub(super) fn about(time: Duration) -> Duration {
    time / 2 + part_of(time)
}

/// Any part of a time.
pub(super) fn part_of(time: Duration) -> Duration {
    // The standard library seeds each of these at random, which is as random as pauses have to be.
    let random = RandomState::new().hash_one(0) >> 32;
    time.mul_f64(random as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_vary_and_stay_in_bounds() {
        let second = Duration::from_secs(1);
        let pauses: Vec<_> = (0..100).map(|_| about(second)).collect();
        assert!(pauses.iter().all(|pause| (second / 2..=second * 3 / 2).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
