//! What the server counts about itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use noether_core::vitals::Pushes;

/// The counters, as they are now.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Requests answered, by status code. What failed before it was a request is counted by what was said to it.
    pub requests: BTreeMap<u16, u64>,
    /// Connections that are open.
    pub connections_open: u64,
    /// Connections accepted.
    pub connections_accepted: u64,
    /// Connections turned away because there was no room.
    pub connections_refused: u64,
    /// Idle connections closed to make room for another.
    pub connections_displaced: u64,
    /// Connections closed because their time for a request or an answer was over.
    pub connections_overdue: u64,
    /// Failures to accept: no descriptors, no memory.
    pub accept_failures: u64,
    /// What was pushed beside what was served; `None` where nothing is pushed.
    pub pushes: Option<Pushes>,
}

/// The counters, while they count.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: Mutex<BTreeMap<u16, u64>>,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) displaced: AtomicU64,
    pub(super) overdue: AtomicU64,
    pub(super) failures: AtomicU64,
}

impl Counters {
    pub(super) fn answered(&self, status: u16) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    pub(super) fn read(&self, connections_open: usize) -> Facts {
        Facts {
            requests: self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            connections_open: connections_open as u64,
            connections_accepted: self.accepted.load(Ordering::Relaxed),
            connections_refused: self.refused.load(Ordering::Relaxed),
            connections_displaced: self.displaced.load(Ordering::Relaxed),
            connections_overdue: self.overdue.load(Ordering::Relaxed),
            accept_failures: self.failures.load(Ordering::Relaxed),
            pushes: None,
        }
    }
}

/// One more of what `counter` counts.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
