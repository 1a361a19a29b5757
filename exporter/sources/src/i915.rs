//! GPUs of Intel under the driver `i915`: the energy counter of cards. Graphics inside a processor have none; RAPL counts them.
//!
//! <https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon>

use crate::drm::{self, Kind};
use crate::meter::Probe;

/// The GPUs of Intel under the older driver.
pub const PROBE: Probe = Probe {
    name: "i915",
    summary: "energy counters of Intel GPUs (driver i915)",
    reads: "<sysfs>/class/drm/card*/device/hwmon/hwmon*/energy1_input",
    mend: "mount the host's /sys read-only and pass --path.sysfs; shares of processes need the host's PID namespace and root",
    slow: true,
    open: |machine| drm::open(machine, &KIND),
};

const KIND: Kind = Kind {
    name: "i915",
    // Of the whole card. The folders `i915_gt0`, … count tiles, which are parts of it.
    energy: &["energy1_input"],
    power: &[],
    limits: ("power1_max", "power1_rated_max"),
    temperature: &["temp1_input"],
    clocks: ("", ""),
    busy: ("", ""),
    memory: ("", ""),
    names: ("unique_id", "product_name"),
    alone: |_, _| true,
    computes_apart: false,
};
