//! GPUs of AMD: the power that the driver `amdgpu` shows, integrated here.
//!
//! <https://docs.kernel.org/gpu/amdgpu/thermal.html>, <https://docs.kernel.org/gpu/amdgpu/driver-misc.html>

use std::path::Path;

use crate::drm::{self, Kind};
use crate::file::contents;
use crate::meter::Probe;

/// The GPUs of AMD.
pub const PROBE: Probe = Probe {
    name: "amdgpu",
    summary: "power of AMD GPUs, integrated",
    reads: "<sysfs>/class/drm/card*/device/hwmon/hwmon*/power1_average",
    mend: "mount the host's /sys read-only and pass --path.sysfs; shares of processes need the host's PID namespace and root",
    slow: true,
    open: |machine| drm::open(machine, &KIND),
};

const KIND: Kind = Kind {
    name: "amdgpu",
    // No kernel has it yet; where one will, it counts.
    energy: &["energy1_input"],
    // Averaged over a moment by the card's own controller; some kernels and cards have only the other one.
    power: &["power1_average", "power1_input"],
    limits: ("power1_cap", "power1_cap_max"),
    temperature: &["temp1_input"],
    clocks: ("freq1_input", "freq2_input"),
    busy: ("gpu_busy_percent", "mem_busy_percent"),
    memory: ("mem_info_vram_used", "mem_info_vram_total"),
    names: ("unique_id", "product_name"),
    alone: is_discrete,
    computes_apart: true,
};

/// A processor with graphics shows the power of the whole socket, which RAPL counts too: it is shown and never summed. Only
/// cards have a limit that can be set and memory with a maker.
fn is_discrete(device: &Path, hwmon: &Path) -> bool {
    let maker = contents(&device.join("mem_info_vram_vendor"));
    hwmon.join("power1_cap").exists() && maker.is_ok_and(|maker| maker.trim_ascii() != b"unknown")
}
