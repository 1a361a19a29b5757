//! Where numbers enter Noether: one file per thing that can be read.
//!
//! Each file holds, in this order: its probe, its type, its pure parser, its tests.

pub mod amdgpu;
pub mod cgroup;
mod clerk;
pub mod cpu_power;
pub mod cpuinfo;
mod drm;
pub mod error;
pub mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod grid;
pub mod hanging;
pub mod holder;
pub mod i915;
pub mod kubernetes;
pub mod meminfo;
pub mod meter;
pub mod model;
pub mod nvml;
pub mod owner;
pub mod pattern;
pub mod powercap;
pub mod processors;
pub mod rapl;
pub mod regular;
pub mod scope;
pub mod slurm;
pub mod stat;
pub mod topology;
pub mod xe;
pub mod zone_names;

pub use error::Error;

use std::path::PathBuf;

/// Where the machine's trees are mounted, and the machine's facts: what every source is opened with.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `--path.procfs`
    pub procfs: PathBuf,
    /// `--path.sysfs`
    pub sysfs: PathBuf,
    /// `--path.cgroupfs`
    pub cgroupfs: PathBuf,
    /// `--path.rootfs`
    pub rootfs: PathBuf,
    /// `--nvml.library`
    pub nvml_library: PathBuf,
    /// Clock ticks per second of `<procfs>/stat` (`_SC_CLK_TCK`).
    pub clock_ticks: u64,
    /// Bytes per page of memory.
    pub page_size: u64,
}
