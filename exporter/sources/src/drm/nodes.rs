//! The devices that the files in `/dev/dri` are of, also those of partitions.
//!
//! A partition of an accelerator (AMD's CPX, DPX, …) has a card and a render node of its own below a platform device,
//! `amdgpu_xcp_1`, which names neither the accelerator nor its PCI address.
//! <https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdxcp/amdgpu_xcp_drv.c>

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use noether_core::pci::PciAddress;

use super::kfd::ComputeProcesses;
use super::{slot, text};

const PARTITION: &str = "amdgpu_xcp";

/// Device files and partitions by name: `card0`, `renderD128`, `amdgpu_xcp_1`.
#[derive(Debug, Default)]
pub(super) struct DeviceNodes(BTreeMap<String, PciAddress>);

impl DeviceNodes {
    /// Reads them from the class folder.
    pub(super) fn read(class: &Path, compute: Option<&ComputeProcesses>) -> Self {
        let mut nodes = BTreeMap::new();
        for kind in ["card", "renderD"] {
            // A driver registers an accelerator's partitions right after it: of the one with the next lower number.
            let mut before = None;
            for number in numbered(class, kind) {
                let name = format!("{kind}{number}");
                let folder = class.join(&name).join("device");
                if let Some(address) = slot(&folder) {
                    before = Some(address);
                    nodes.insert(name, address);
                    continue;
                }
                let Some(partition) = partition(&folder) else { continue };
                let known = compute.filter(|_| kind == "renderD").and_then(|one| one.device_of(number));
                if let Some(address) = known.or(before) {
                    nodes.insert(name, address);
                    nodes.insert(partition, address);
                }
            }
        }
        Self(nodes)
    }

    /// The device of a file in `/dev/dri`, or of a partition.
    pub(super) fn device_of(&self, name: &str) -> Option<PciAddress> {
        self.0.get(name).copied()
    }
}

/// The numbers of the nodes of a kind, in their order; connectors are called `card0-DP-1`.
pub(super) fn numbered(class: &Path, kind: &str) -> Vec<u32> {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix(kind)?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// The partition that a device's folder is: by its own name, or by what `uevent` says of it.
fn partition(folder: &Path) -> Option<String> {
    let own = fs::canonicalize(folder).ok().and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let named = || {
        let content = text(&folder.join("uevent"))?;
        content
            .split(['=', ':', '\n'])
            .map(str::trim)
            .find(|word| word.starts_with(PARTITION))
            .map(str::to_owned)
    };
    own.filter(|name| name.starts_with(PARTITION)).or_else(named)
}
