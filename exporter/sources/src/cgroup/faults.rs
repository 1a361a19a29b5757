//! What went wrong since the last tick: a few errors in full, all of them counted.

use noether_core::reading::Fault;

use crate::Error;

/// How many errors of one tick are told in full; 100,000 unreadable cgroups have nothing more to say.
const KEPT: usize = 8;

/// Errors, bounded.
#[derive(Debug, Default)]
pub(super) struct Faults {
    kept: Vec<Error>,
    counts: [u64; Fault::ALL.len()],
}

impl Faults {
    pub(super) fn add(&mut self, error: Error) {
        let reasons = Fault::ALL.iter().zip(&mut self.counts);
        for (_, count) in reasons.filter(|(reason, _)| **reason == error.fault()) {
            *count += 1;
        }
        if self.kept.len() < KEPT {
            self.kept.push(error);
        }
    }

    /// Moves what was kept to `faults`.
    pub(super) fn tell(&mut self, faults: &mut Vec<Error>) {
        faults.append(&mut self.kept);
    }

    /// How many there were since the start, by reason.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.into_iter().zip(self.counts)
    }
}
