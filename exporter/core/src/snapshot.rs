//! The ledger as it was at one tick: immutable, and all that a scrape or a push ever sees.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::gpu::Look;
use crate::granularity::Granularity;
use crate::reading::{Component, Domain, Moment, Quality};
use crate::units::{Energy, Power};
use crate::workload::{Info, Key};

/// Which snapshot it is: one more at every tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl Generation {
    /// The snapshot with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Whether energy lies above the idle floor or is the floor itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Above the floor.
    Active,
    /// The floor.
    Idle,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Active, Self::Idle];

    /// The value of the `mode` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
        }
    }
}

/// Energy by component and mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals([[Energy; 2]; Component::COUNT]);

impl Totals {
    /// Nothing.
    pub const ZERO: Self = Self([[Energy::ZERO; 2]; Component::COUNT]);

    /// The total of one component and mode.
    pub const fn of(&self, component: Component, mode: Mode) -> Energy {
        // Both discriminants are below the arrays' lengths.
        #[allow(clippy::indexing_slicing, reason = "indexed by discriminants, whose number is the length")]
        self.0[component as usize][mode as usize]
    }

    /// Both modes of one component.
    pub fn component(&self, component: Component) -> Energy {
        Mode::ALL.into_iter().map(|mode| self.of(component, mode)).sum()
    }

    /// Adds to one component and mode.
    pub fn add(&mut self, component: Component, mode: Mode, energy: Energy) {
        #[allow(clippy::indexing_slicing, reason = "indexed by discriminants, whose number is the length")]
        let total = &mut self.0[component as usize][mode as usize];
        *total += energy;
    }

    /// Adds all of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for component in Component::ALL {
            for mode in Mode::ALL {
                self.add(component, mode, other.of(component, mode));
            }
        }
    }

    /// Each total in whole steps, and what is left of each.
    pub fn split(&self, granularity: Granularity) -> (Self, Self) {
        if granularity == Granularity::FINEST {
            return (*self, Self::ZERO);
        }
        let each = |split: fn(Granularity, Energy) -> Energy| {
            Self(self.0.map(|modes| modes.map(|energy| split(granularity, energy))))
        };
        (each(Granularity::floor), each(Granularity::rest))
    }

    /// The same with one component at zero.
    pub fn without(mut self, component: Component) -> Self {
        if let Some(modes) = self.0.get_mut(component as usize) {
            *modes = [Energy::ZERO; 2];
        }
        self
    }
}

/// A workload's series.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its labels.
    pub key: Arc<Key>,
    /// What its info series carries beyond them.
    pub info: Arc<Info>,
    /// When its series began, at 0. A label set that comes back after it was retired begins anew.
    pub since: Moment,
    /// Energy, as shown: zero while held.
    pub energy: Totals,
    /// CPU time, as shown.
    pub cpu: Duration,
}

/// A domain's series.
#[derive(Clone, Debug)]
pub struct DomainRow {
    /// Which domain.
    pub domain: Arc<Domain>,
    /// Energy since the exporter started, as shown.
    pub energy: Energy,
    /// Mean power over its last interval; `None` before there was one.
    pub power: Option<Power>,
    /// Whether it feeds the node's total: those that do never overlap.
    pub feeds: bool,
}

/// A component of the node.
#[derive(Clone, Copy, Debug)]
pub struct ComponentRow {
    /// Which component.
    pub component: Component,
    /// What is held back from workloads' series.
    pub pending: Energy,
    /// Final values of series that are no longer shown.
    pub retired: Energy,
    /// The idle floor, where it is known.
    pub floor: Option<Power>,
}

/// What feeds a component of the node's total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Feed {
    /// The meter.
    pub meter: &'static str,
    /// The component that it feeds.
    pub component: Component,
    /// How its figures come about.
    pub quality: &'static str,
}

impl Feed {
    /// What `domain` feeds.
    pub const fn of(domain: &Domain) -> Self {
        let quality: Quality = domain.quality;
        Self { meter: domain.meter, component: domain.component, quality: quality.label() }
    }
}

/// The state of a meter.
#[derive(Clone, Debug)]
pub struct MeterRow {
    /// Which meter.
    pub meter: &'static str,
    /// Whether any of its domains could be read.
    pub up: bool,
    /// Errors so far, by reason.
    pub errors: Vec<(&'static str, u64)>,
}

/// An accelerator.
#[derive(Clone, Debug)]
pub struct GpuRow {
    /// The newest look at it.
    pub look: Arc<Look>,
    /// By what its energy was split.
    pub method: &'static str,
}

/// All values of one tick.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Which one.
    pub generation: Generation,
    /// When it was made.
    pub at: Moment,
    /// The components that have a meter.
    pub components: Vec<ComponentRow>,
    /// The node's total, as shown.
    pub node: Totals,
    /// What no workload caused, as shown.
    pub unattributed: Totals,
    /// The workloads, sorted by key: families stand together.
    pub rows: Vec<Row>,
    /// The domains.
    pub domains: Vec<DomainRow>,
    /// Domains that can be read but stand still while the processors work: they measure nothing.
    pub still: Vec<Arc<Domain>>,
    /// The meters.
    pub meters: Vec<MeterRow>,
    /// What feeds the node's total.
    pub feeds: Vec<Feed>,
    /// The accelerators.
    pub gpus: Vec<GpuRow>,
    /// How many workloads went into the series of the folded.
    pub folded: u64,
}
