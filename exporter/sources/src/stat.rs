//! `<procfs>/stat`: what each processor did since boot.
//!
//! <https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat>

use std::time::Duration;

/// The times of one processor, or of all, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// user + nice + system + irq + softirq. Guest time is inside user and nice already; steal is nobody's here.
    pub busy: Duration,
    /// idle + iowait.
    pub idle: Duration,
}

/// What one reading of `<procfs>/stat` gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// The `cpu` line.
    pub all: CpuTime,
    /// The `cpuN` lines, of the processors that are online: number and times.
    pub each: Vec<(u32, CpuTime)>,
}
