//! What the exporter tells of itself, with every snapshot.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Upper bounds of the buckets of all durations, in seconds.
pub const BOUNDS: [f64; 12] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0];

/// A distribution of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    /// Adds one.
    pub fn observe(&mut self, time: Duration) {
        self.count += 1;
        self.sum += time;
        for (count, bound) in self.counts.iter_mut().zip(BOUNDS) {
            *count += u64::from(time.as_secs_f64() <= bound);
        }
    }

    /// Each bound with how many were no longer.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().zip(self.counts)
    }

    /// How many there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// All together.
    pub const fn sum(&self) -> Duration {
        self.sum
    }
}

/// A source of usage or of names.
#[derive(Clone, Debug, Default)]
pub struct SourceRow {
    /// Its name: the `source` label.
    pub source: &'static str,
    /// Whether it could be read at the last tick.
    pub up: bool,
    /// How long reading it took.
    pub read: Histogram,
    /// Errors so far, by reason.
    pub errors: Vec<(&'static str, u64)>,
}

/// What was pushed over OTLP.
#[derive(Clone, Debug, Default)]
pub struct Pushes {
    /// Requests sent.
    pub requests: u64,
    /// Those that did not arrive, by reason.
    pub failures: Vec<(&'static str, u64)>,
    /// Points that a receiver did not take from those that did.
    pub rejected: u64,
    /// When a push last arrived whole, in Unix time.
    pub last_success: Option<Duration>,
}

/// The exporter itself.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    /// The version.
    pub version: &'static str,
    /// What was read.
    pub sources: Vec<SourceRow>,
    /// Durations of the tick's stages.
    pub stages: Vec<(&'static str, Histogram)>,
    /// Ticks that were left out.
    pub missed: u64,
    /// The newest tick, in Unix time.
    pub last_tick: Duration,
    /// Answered requests, by status code.
    pub requests: Vec<(String, u64)>,
    /// Open connections.
    pub connections: u64,
    /// What was pushed; `None` where nothing is.
    pub pushes: Option<Pushes>,
    /// CPU time of the process.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Start of the process, in Unix time.
    pub start: Duration,
    /// Open file descriptors, and how many there may be.
    pub descriptors: (u64, u64),
}
