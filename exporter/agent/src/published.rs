//! The newest snapshot: written by the tick, read by every scrape, without either waiting for the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use noether_core::grid::Grid;
use noether_core::snapshot::{Generation, Snapshot};
use noether_core::vitals::Vitals;
use noether_exposition::prometheus;

use crate::http::{Format, Show};
use crate::pulse::Pulse;

/// A snapshot with what the exporter told of itself at the same tick.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The exporter itself.
    pub vitals: Vitals,
    /// The grid.
    pub grid: Grid,
}

/// The newest page, and whether new ones come. The lock is held only to copy or swap a pointer.
#[derive(Debug)]
pub struct Published {
    newest: Mutex<Option<Arc<Page>>>,
    pulse: Pulse,
}

impl Published {
    /// Of ticks that come at this interval.
    pub fn new(interval: Duration) -> Self {
        Self { newest: Mutex::default(), pulse: Pulse::new(interval) }
    }

    /// Whether ticks still come.
    pub const fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Replaces the newest page; the one before comes back, for its room to be used again.
    pub fn replace(&self, page: Arc<Page>) -> Option<Arc<Page>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).replace(page)
    }

    /// The newest page; `None` before the first tick.
    pub fn newest(&self) -> Option<Arc<Page>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Show for Published {
    fn stands_still(&self) -> Option<String> {
        self.pulse.stands_still()
    }

    fn awaits(&self) -> &'static str {
        self.pulse.stage()
    }

    fn generation(&self) -> Option<Generation> {
        self.newest().map(|page| page.snapshot.generation)
    }

    fn render(&self, format: Format, page: &mut Vec<u8>) -> Option<Generation> {
        let newest = self.newest()?;
        prometheus::render(&newest.snapshot, &newest.vitals, &newest.grid, format, page);
        Some(newest.snapshot.generation)
    }
}
