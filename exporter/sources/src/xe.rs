//! GPUs of Intel under the driver `xe`: the energy counter of cards, or else of their package.
//!
//! <https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-driver-intel-xe-hwmon>

use crate::drm::{self, Kind};
use crate::meter::Probe;

/// The GPUs of Intel under the newer driver.
pub const PROBE: Probe = Probe {
    name: "xe",
    summary: "energy counters of Intel GPUs (driver xe)",
    reads: "<sysfs>/class/drm/card*/device/hwmon/hwmon*/energy{1,2}_input",
    mend: "mount the host's /sys read-only and pass --path.sysfs; shares of processes need the host's PID namespace and root",
    slow: true,
    open: |machine| drm::open(machine, &KIND),
};

const KIND: Kind = Kind {
    name: "xe",
    // The first is the card's, the second its package's, which lies inside.
    energy: &["energy1_input", "energy2_input"],
    power: &[],
    limits: ("power1_max", "power1_rated_max"),
    temperature: &["temp2_input", "temp1_input"],
    clocks: ("", ""),
    busy: ("", ""),
    memory: ("", ""),
    names: ("unique_id", "product_name"),
    alone: |_, _| true,
    computes_apart: false,
};
