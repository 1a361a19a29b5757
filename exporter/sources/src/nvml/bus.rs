//! NVIDIA's cards as the PCI bus shows them, and whether the kernel has suspended one.
//!
//! Every call of NVML that reaches a suspended card wakes it, or waits for it; the kernel's file does not.
//! <https://docs.kernel.org/power/runtime_pm.html>,
//! <https://download.nvidia.com/XFree86/Linux-x86_64/550.54.14/README/dynamicpowermanagement.html>

use std::fs;
use std::path::{Path, PathBuf};

/// Display controllers of NVIDIA. <https://docs.kernel.org/PCI/sysfs-pci.html>
const VENDOR: &str = "0x10de";
const DISPLAY: &str = "0x03";
/// The board's name and its processor, each with a NUL behind it.
/// <https://docs.kernel.org/devicetree/usage-model.html>
const COMPATIBLE: &str = "firmware/devicetree/base/compatible";

/// The PCI bus below a `sysfs`.
#[derive(Clone, Debug)]
pub(super) struct Bus {
    sysfs: PathBuf,
}

impl Bus {
    pub(super) fn new(sysfs: &Path) -> Self {
        Self { sysfs: sysfs.to_owned() }
    }

    /// Whether the kernel has suspended the device at this address, as `0000:3b:00.0`. Unknown devices are not.
    pub(super) fn is_suspended(&self, address: &str) -> bool {
        if address.is_empty() {
            return false;
        }
        let status = read(&self.devices().join(address).join("power/runtime_status"));
        // One that is about to be: a call would wake it again.
        matches!(status.trim(), "suspended" | "suspending")
    }

    /// The addresses of the display controllers that NVIDIA's driver may have, in NVML's order: that of the bus.
    pub(super) fn cards(&self) -> Vec<String> {
        let entries = fs::read_dir(self.devices()).into_iter().flatten().flatten();
        let cards = entries.map(|entry| entry.path()).filter(|device| is_card(device));
        let name = |device: PathBuf| Some(device.file_name()?.to_str()?.to_owned());
        let mut cards: Vec<String> = cards.filter_map(name).collect();
        cards.sort_by_cached_key(|address| order(address));
        cards
    }

    fn devices(&self) -> PathBuf {
        self.sysfs.join("bus/pci/devices")
    }
}

/// What kind of Jetson this is: its GPU is a part of the processor, and on no bus.
pub(super) fn jetson(sysfs: &Path) -> Option<String> {
    let content = read(&sysfs.join(COMPATIBLE));
    let names: Vec<&str> = content.split('\0').filter(|name| !name.is_empty()).collect();
    let is_tegra = names.iter().any(|name| name.starts_with("nvidia,tegra"));
    is_tegra.then(|| names.first().copied().unwrap_or_default().to_owned())
}

fn is_card(device: &Path) -> bool {
    let is = |file: &str, expected: &str| read(&device.join(file)).trim().starts_with(expected);
    // A card that another driver has (vfio-pci, nouveau) is not NVML's.
    let driver = fs::read_link(device.join("driver"));
    let other = driver.is_ok_and(|driver| driver.file_name().is_some_and(|name| name != "nvidia"));
    is("vendor", VENDOR) && is("class", DISPLAY) && !other
}

/// Domain, bus, device and function: domains may have more than four digits, so text does not sort them.
fn order(address: &str) -> Vec<u32> {
    address.split([':', '.']).map(|part| u32::from_str_radix(part, 16).unwrap_or(u32::MAX)).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(sysfs: &Path, path: &str, content: &str) {
        let path = sysfs.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn cards_are_in_the_order_of_the_bus_and_those_of_other_drivers_are_left_out() {
        let sysfs = tempfile::tempdir().unwrap();
        let cards = [
            ("10000:01:00.0", "0x10de", "0x030000"),
            ("0000:b1:00.0", "0x10de", "0x030200"),
            ("0000:17:00.0", "0x10de", "0x030000"),
            ("0000:17:00.1", "0x10de", "0x040300"),
            ("0000:00:02.0", "0x8086", "0x030000"),
            ("0000:65:00.0", "0x10de", "0x030000"),
        ];
        for (address, vendor, class) in cards {
            let device = format!("bus/pci/devices/{address}");
            put(sysfs.path(), &format!("{device}/vendor"), &format!("{vendor}\n"));
            put(sysfs.path(), &format!("{device}/class"), &format!("{class}\n"));
        }
        let device = sysfs.path().join("bus/pci/devices/0000:65:00.0");
        std::os::unix::fs::symlink("../../../bus/pci/drivers/vfio-pci", device.join("driver")).unwrap();
        let bus = Bus::new(sysfs.path());
        assert_eq!(bus.cards(), ["0000:17:00.0", "0000:b1:00.0", "10000:01:00.0"]);
    }

    #[test]
    fn only_what_the_kernel_says_is_suspended() {
        let sysfs = tempfile::tempdir().unwrap();
        let bus = Bus::new(sysfs.path());
        assert!(!bus.is_suspended("0000:01:00.0") && !bus.is_suspended(""));
        let states = [("active", false), ("suspended", true), ("suspending", true), ("resuming", false)];
        for (state, suspended) in states.into_iter().chain([("unsupported", false), ("", false)]) {
            let path = "bus/pci/devices/0000:01:00.0/power/runtime_status";
            put(sysfs.path(), path, &format!("{state}\n"));
            assert_eq!(bus.is_suspended("0000:01:00.0"), suspended, "{state}");
        }
    }

    #[test]
    fn a_jetson_says_what_it_is() {
        let sysfs = tempfile::tempdir().unwrap();
        assert_eq!(jetson(sysfs.path()), None);
        put(sysfs.path(), COMPATIBLE, "raspberrypi,5-model-b\0brcm,bcm2712\0");
        assert_eq!(jetson(sysfs.path()), None);
        put(sysfs.path(), COMPATIBLE, "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0");
        assert_eq!(jetson(sysfs.path()).as_deref(), Some("nvidia,p3768-0000+p3767-0005"));
    }
}
