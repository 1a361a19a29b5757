//! All that was read at one tick, with the instants at which it was read.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::gpu::{Holding, Look};
use crate::reading::{DomainReading, Moment};
use crate::workload::Workload;

/// Everything read at one tick.
#[derive(Debug)]
pub struct Sample<'a> {
    /// When the usage was read.
    pub at: Moment,
    /// The meters' readings.
    pub domains: &'a [DomainReading],
    /// The processors' busy time and the memory held.
    pub node: &'a NodeUsage,
    /// The cgroups, indexed by [`CgroupId`].
    pub cgroups: &'a [Cgroup],
    /// Looks at accelerators since the tick before; most ticks have none.
    pub gpus: &'a [Arc<Look>],
    /// Which accelerators are given to whom.
    pub holdings: &'a [Holding],
}

/// What the machine as a whole used, cumulative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUsage {
    /// Busy time (user, nice, system, irq, softirq; without guest, steal, idle, iowait) by socket, since whenever: it never
    /// falls, whichever processors come and go.
    pub busy: Vec<Duration>,
    /// The sockets' physical package ids, beside `busy`; empty where the machine does not tell.
    pub packages: Vec<u16>,
    /// Processors online.
    pub cpus: u32,
    /// Whether processors came or went since the tick before: the power of that time says nothing about the idle floor.
    pub changed: bool,
    /// Memory in use, in bytes: `MemTotal − MemFree − Inactive(file)`.
    pub memory_held: u64,
    /// Memory of the machine, in bytes: `MemTotal`.
    pub memory_total: u64,
}

/// The place of a cgroup in [`Sample::cgroups`]. It stays the same while the cgroup lives, and is given to another
/// one at the earliest in the tick after that in which the cgroup was marked [`Cgroup::gone`].
pub type CgroupId = u32;

/// How a cgroup came into the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    /// It was there at the previous tick.
    Earlier,
    /// It was made since the previous tick: all that its counters hold belongs to this interval.
    Now,
    /// It was made at an unknown time before: its counters start at their present values.
    Unknown,
}

/// One cgroup that is read: a workload, the parent of one, a top-level cgroup, or the root.
#[derive(Clone, Debug)]
pub struct Cgroup {
    /// Whether this place is taken at all.
    pub present: bool,
    /// The nearest ancestor in the sample. On a hybrid host the ancestor's figures may come from v1 and the cgroup's from
    /// the unified tree: the kernel counts CPU time for both at once. But no root is a parent across the two.
    pub parent: Option<CgroupId>,
    /// Whether it lies directly under the root of its hierarchy.
    pub top_level: bool,
    /// What it is, where its path is that of a workload.
    pub workload: Option<Arc<Workload>>,
    /// CPU time since it was made, its descendants' (living and dead) included; `None` where it could not be read.
    pub cpu: Option<Duration>,
    /// Working set in bytes, its descendants' included; `None` where there is no figure.
    pub memory: Option<u64>,
    /// The sockets that its cpuset allows.
    pub sockets: Sockets,
    /// What is reserved for it.
    pub reserved: Reserved,
    /// Where else its processes' CPU time is counted.
    pub overlap: Option<Overlap>,
    /// How it came into the sample.
    pub birth: Birth,
    /// Whether it was removed since the previous tick; `cpu` then holds a last reading, if there was one.
    pub gone: bool,
}

/// A cgroup whose own processes are counted a second time, in a cgroup of another hierarchy that is in the sample too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The cgroup of the other hierarchy.
    pub within: CgroupId,
    /// The nearest cgroup above `within` that is read from the hierarchy of the cgroup itself, and so does not hold what
    /// `within` holds twice.
    pub beyond: Option<CgroupId>,
    /// Whether the working set of `within` holds its own too.
    pub memory: bool,
}

/// What a cgroup's limits reserve, its descendants' included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Thousandths of a processor (`cpu.max`; under kubepods, where there is no limit, from `cpu.weight`).
    pub cpu_milli: u64,
    /// Bytes of memory (`memory.max`).
    pub memory: u64,
}

/// A set of sockets, at most 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sockets(pub u64);

impl Sockets {
    /// Every socket.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether the socket is in the set; sockets beyond 63 are in every set.
    pub const fn contains(self, socket: usize) -> bool {
        socket >= 64 || self.0 >> socket & 1 == 1
    }
}
