//! What a source may say of a meter's domain: it reports what it read and never converts, sums or smooths.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use crate::pci::PciAddress;
use crate::units::{Energy, Power};

/// An instant, on two monotonic clocks: one that counts the time asleep (`CLOCK_BOOTTIME`) and one that does not
/// (`CLOCK_MONOTONIC`). Between two instants, what the first gained beyond the second is sleep (man 2 clock_gettime).
///
/// The core has no clock; instants are inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    boot: Duration,
    awake: Duration,
}

/// The two clocks are read one after the other; no sleep is shorter than this.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

impl Moment {
    /// The instant `time` after the clocks' zero, on a machine that never slept.
    pub const fn from_boot(time: Duration) -> Self {
        Self { boot: time, awake: time }
    }

    /// The instant at which the clock that counts sleep shows `boot`, and the one that does not shows `awake`.
    pub const fn new(boot: Duration, awake: Duration) -> Self {
        Self { boot, awake }
    }

    /// The time awake that passed since `earlier`; zero where `earlier` is later. A machine that sleeps draws next to
    /// nothing and nobody fetches anything, so this is the time that counts.
    pub const fn since(self, earlier: Self) -> Duration {
        self.awake.saturating_sub(earlier.awake)
    }

    /// The time since the zero of the clock that counts sleep, too.
    pub const fn since_boot(self) -> Duration {
        self.boot
    }

    /// How long the machine slept since `earlier`.
    pub fn asleep_since(self, earlier: Self) -> Duration {
        let asleep = self.boot.saturating_sub(earlier.boot).saturating_sub(self.since(earlier));
        if asleep < SHORTEST_SLEEP { Duration::ZERO } else { asleep }
    }

    /// Whether the machine slept since `earlier`.
    pub fn slept_since(self, earlier: Self) -> bool {
        self.asleep_since(earlier) > Duration::ZERO
    }

    /// This instant, `time` later, all of it awake.
    pub fn after(self, time: Duration) -> Self {
        Self { boot: self.boot.saturating_add(time), awake: self.awake.saturating_add(time) }
    }
}

/// What a node's energy is partitioned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Processor packages.
    Cpu,
    /// Main memory.
    Dram,
    /// Accelerators.
    Gpu,
    /// What a whole-node meter has beyond the other components.
    Other,
}

impl Component {
    /// How many there are: the length of an array indexed by component.
    pub const COUNT: usize = 4;
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [Self::Cpu, Self::Dram, Self::Gpu, Self::Other];

    /// The value of the `component` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Dram => "dram",
            Self::Gpu => "gpu",
            Self::Other => "other",
        }
    }
}

/// How a domain relates to the node's total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A part of the partition: it may feed the node's total.
    Part,
    /// Lies inside another domain (core and uncore inside a package): shown, never summed.
    Nested,
    /// Counts the whole node (psys): what it has beyond the parts is the component `other`.
    Whole,
    /// Stands in for every missing part of its component, and only while no measured part can be read.
    Model,
}

/// Which piece of silicon a domain meters; two domains of one component and place count the same energy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The physical package, as in `topology/physical_package_id`.
    pub socket: Option<u16>,
    /// The die within the package, where the meter tells dies apart.
    pub die: Option<u16>,
    /// The accelerator.
    pub device: Option<DeviceLocation>,
}

/// Where an accelerator is. Two meters that give one address read the same device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceLocation {
    /// On PCI.
    Pci(PciAddress),
    /// Not on PCI, or its address is unknown: the meter's name and its own number of the device.
    Numbered(&'static str, u32),
}

/// How a meter's figures came about: the `quality` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// A counter of energy.
    Measured,
    /// Power samples, integrated by us.
    Integrated,
    /// A model; no meter at all.
    Modelled,
    /// A counter of energy that is not this system's own: the host's of a container, or a hypervisor's.
    Host,
}

impl Quality {
    /// The value of the `quality` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Integrated => "integrated",
            Self::Modelled => "modelled",
            Self::Host => "host",
        }
    }
}

/// One counter of a meter, as its source found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The meter's name, as in `--meter.<name>`.
    pub meter: &'static str,
    /// The domain's name, unique within its meter: `package-0`, `dram-0`, `psys`.
    pub name: Arc<str>,
    /// What the domain is a part of.
    pub component: Component,
    /// Whether and how it feeds the node's total.
    pub role: Role,
    /// What it meters.
    pub place: Place,
    /// How its figures come about.
    pub quality: Quality,
    /// The most power that it can report, where the meter says so.
    pub max_power: Option<Power>,
    /// Whether such domains are known to repeat one counter; the values then decide.
    pub may_mirror: bool,
    /// Which of the counters that went by this name it is. It counts up where the name passes to another counter: a value of
    /// the one says nothing about the other.
    pub generation: u32,
}

/// One value of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A counter that starts over from 0 after `range`.
    Counter {
        /// The value read.
        total: Energy,
        /// The largest value before it wraps (`max_energy_range_uj`).
        range: Energy,
    },
    /// A counter that does not wrap.
    Total(Energy),
    /// The mean power since the previous reading.
    Power(Power),
}

/// Why a domain could not be read, as the `reason` label says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process may not read the file.
    Permission,
    /// The file or device is not there any more.
    Vanished,
    /// What was read is no number, or none that fits.
    Malformed,
    /// Any other error of input or output.
    Io,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Permission, Self::Vanished, Self::Malformed, Self::Io];

    /// The value of the `reason` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Vanished => "vanished",
            Self::Malformed => "malformed",
            Self::Io => "io",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What one look at a domain gave.
#[derive(Clone, Debug)]
pub struct DomainReading {
    /// Which domain.
    pub domain: Arc<Domain>,
    /// When it was read.
    pub at: Moment,
    /// Its value, or why there is none.
    pub reading: Result<Reading, Fault>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_clock_gains_beyond_the_other_is_sleep() {
        let at = |boot, awake| Moment::new(Duration::from_millis(boot), Duration::from_millis(awake));
        let before = at(5_000, 4_000);
        let after = at(66_000, 5_000);
        assert_eq!(after.since(before), Duration::from_secs(1));
        assert_eq!(after.asleep_since(before), Duration::from_secs(60));
        // The clocks are read one after the other.
        assert!(!at(6_003, 5_000).slept_since(before));
        assert!(!before.slept_since(after) && before.since(after) == Duration::ZERO);
    }
}
