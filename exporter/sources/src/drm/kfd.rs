//! Compute on AMD's GPUs (ROCm), which goes past the DRM and so is in no fdinfo: the processes of the driver amdkfd.
//!
//! <https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdkfd/kfd_process.c> (`/sys/class/kfd/kfd/proc`),
//! <https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdkfd/kfd_topology.c> (`topology/nodes`)

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use noether_core::pci::PciAddress;

use super::{figure, numbers, text};

/// The processes that compute, and how amdkfd numbers the devices.
pub(super) struct ComputeProcesses {
    folder: PathBuf,
    /// The numbers of each device; of one in partitions, several.
    devices: BTreeMap<PciAddress, Vec<u32>>,
    /// The device of each render node.
    render_nodes: BTreeMap<u32, PciAddress>,
    /// Those that amdkfd lists; `None` where it has no list.
    listed: Option<BTreeSet<u32>>,
    /// Those that have `/dev/kfd` open.
    opened: BTreeSet<u32>,
}

/// What amdkfd reports of a process on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ComputeUse {
    /// Memory of the device, in bytes.
    pub(super) memory: Option<u64>,
    /// Compute units that its waves occupy now.
    pub(super) units: Option<u32>,
}

impl ComputeProcesses {
    pub(super) fn new(sysfs: &Path) -> Self {
        Self {
            folder: sysfs.join("class/kfd/kfd"),
            devices: BTreeMap::new(),
            render_nodes: BTreeMap::new(),
            listed: None,
            opened: BTreeSet::new(),
        }
    }

    /// Reads anew how devices are numbered. `opened` are the processes that have `/dev/kfd` open.
    pub(super) fn rescan(&mut self, opened: BTreeSet<u32>) {
        self.opened = opened;
        self.devices.clear();
        self.render_nodes.clear();
        let nodes = self.folder.join("topology/nodes");
        for node in numbers(&nodes) {
            let folder = nodes.join(node.to_string());
            let Some((address, render_node)) = text(&folder.join("properties")).as_deref().and_then(located)
            else {
                continue;
            };
            self.render_nodes.insert(render_node, address);
            let number = figure(&folder.join("gpu_id")).and_then(|number| u32::try_from(number).ok());
            self.devices.entry(address).or_default().extend(number);
        }
    }

    /// Reads anew which processes there are.
    pub(super) fn read(&mut self) {
        let folder = self.folder.join("proc");
        self.listed = folder.is_dir().then(|| numbers(&folder).collect());
    }

    /// Whether it is known which processes compute.
    pub(super) fn are_known(&self) -> bool {
        self.listed.is_some() || !self.opened.is_empty()
    }

    /// Whether a process may compute.
    pub(super) fn hold(&self, pid: u32) -> bool {
        self.opened.contains(&pid) || self.listed().any(|listed| listed == pid)
    }

    /// Those that are listed.
    pub(super) fn listed(&self) -> impl Iterator<Item = u32> {
        self.listed.iter().flatten().copied()
    }

    /// The device that a render node is of.
    pub(super) fn device_of(&self, render_node: u32) -> Option<PciAddress> {
        self.render_nodes.get(&render_node).copied()
    }

    /// What a process does on a device.
    pub(super) fn on(&self, device: PciAddress, pid: u32) -> ComputeUse {
        let folder = self.folder.join("proc").join(pid.to_string());
        let mut usage = ComputeUse::default();
        for number in self.devices.get(&device).into_iter().flatten() {
            usage.memory = super::fdinfo::sum(usage.memory, figure(&folder.join(format!("vram_{number}"))));
            let units = figure(&folder.join(format!("stats_{number}/cu_occupancy")));
            let units = units.and_then(|units| u32::try_from(units).ok());
            usage.units = usage.units.map_or(units, |sum| Some(sum.saturating_add(units.unwrap_or(0))));
        }
        usage
    }
}

/// The address and the render node of a node of the topology; processors have none.
fn located(properties: &str) -> Option<(PciAddress, u32)> {
    let value = |key: &str| {
        let mut pairs = properties.lines().filter_map(|line| line.split_once(' '));
        pairs.find(|(name, _)| *name == key)?.1.trim().parse::<u64>().ok()
    };
    let render_node = value("drm_render_minor").filter(|minor| *minor > 0)?;
    let location = value("location_id")?;
    let domain = u32::try_from(value("domain").unwrap_or(0)).ok()?;
    // The highest bits are the number of a partition.
    let [function, bus, ..] = location.to_le_bytes();
    let address = PciAddress::new(domain, bus, function >> 3, function & 7)?;
    Some((address, u32::try_from(render_node).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_the_topology_is_a_device() {
        let address = PciAddress::parse("0000:c1:00.0");
        let properties =
            "cpu_cores_count 0\nsimd_count 416\nlocation_id 49408\ndomain 0\ndrm_render_minor 129\n";
        assert_eq!(located(properties), address.map(|address| (address, 129)));
        let partition = properties.replace("49408", &(49408_u64 | 3 << 28).to_string());
        assert_eq!(located(&partition), address.map(|address| (address, 129)));
        let wide = properties.replace("domain 0", "domain 65536");
        assert_eq!(located(&wide).map(|(address, _)| address), PciAddress::parse("10000:c1:00.0"));
        for processor in
            ["", "cpu_cores_count 64\nlocation_id 0\ndrm_render_minor 0\n", "drm_render_minor x\n"]
        {
            assert_eq!(located(processor), None, "{processor}");
        }
    }
}
