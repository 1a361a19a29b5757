//! The processes that have a GPU open, and how long each was on its engines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use noether_core::gpu::{Process, UnreportedWork};
use noether_core::pci::PciAddress;

use super::fdinfo::{self, Client, EngineTime, sum};
use super::kfd::ComputeProcesses;
use super::nodes::DeviceNodes;
use super::numbers;
use crate::Machine;
use crate::file::contents;
use crate::owner::Owners;

/// A client of a device.
type Key = (PciAddress, u64);

/// The cards whose clients are read, and whether the kernel has suspended each.
pub(super) type CardStates = BTreeMap<PciAddress, bool>;

/// A file of `/dev/dri` that a process has open.
struct OpenFile {
    pid: u32,
    descriptor: u32,
    /// Its name: `renderD128`.
    node: String,
    /// Its client, once that is known.
    client: Option<Key>,
}

/// The clients of all cards of a driver.
pub(super) struct Clients {
    driver: &'static str,
    procfs: PathBuf,
    class: PathBuf,
    owners: Owners,
    files: Vec<OpenFile>,
    nodes: DeviceNodes,
    /// The processes that compute unreported, where the driver has such.
    compute: Option<ComputeProcesses>,
    known: BTreeMap<Key, (u32, Client)>,
    now: BTreeMap<Key, (u32, Client)>,
    /// How often it was read. Clients of the first time had worked before, which is of no interval.
    readings: u64,
}

/// The processes on a device in an interval.
#[derive(Debug, Default)]
pub(super) struct DeviceUse {
    pub(super) processes: Vec<Process>,
    /// Their time on engines that utilisation counts, in ns.
    pub(super) explained: u64,
    /// Whether the kernel is one that reports no times: Linux before 5.19.
    pub(super) dated: bool,
}

/// What is known of one process, before it is judged.
#[derive(Debug, Default)]
struct Tally {
    time: EngineTime,
    memory: Option<u64>,
    dated: bool,
    /// Whether it has the device open.
    open: bool,
}

impl Clients {
    pub(super) fn new(machine: &Machine, driver: &'static str, computes_apart: bool) -> Self {
        Self {
            driver,
            procfs: machine.procfs.clone(),
            class: machine.sysfs.join("class/drm"),
            owners: Owners::new(machine),
            files: Vec::new(),
            nodes: DeviceNodes::default(),
            compute: computes_apart.then(|| ComputeProcesses::new(&machine.sysfs)),
            known: BTreeMap::new(),
            now: BTreeMap::new(),
            readings: 0,
        }
    }

    /// Looks for processes that opened a GPU. Seldom: it looks at every descriptor of every process.
    pub(super) fn scan(&mut self) {
        self.files.clear();
        let mut computing = BTreeSet::new();
        for pid in numbers(&self.procfs) {
            let folder = self.procfs.join(pid.to_string()).join("fd");
            for descriptor in numbers(&folder) {
                let Ok(file) = fs::read_link(folder.join(descriptor.to_string())) else { continue };
                if file == Path::new("/dev/kfd") {
                    computing.insert(pid);
                } else if file.starts_with("/dev/dri") {
                    let node = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                    self.files.push(OpenFile { pid, descriptor, node, client: None });
                }
            }
        }
        if let Some(compute) = &mut self.compute {
            compute.rescan(computing);
        }
        self.nodes = DeviceNodes::read(&self.class, self.compute.as_ref());
    }

    /// Reads what every known file of these cards reports now. That of a suspended card is not read: some drivers resume
    /// it for that.
    pub(super) fn read(&mut self, cards: &CardStates) {
        self.readings += 1;
        self.known = std::mem::take(&mut self.now);
        for file in &mut self.files {
            let device = file.client.map(|(device, _)| device).or_else(|| self.nodes.device_of(&file.node));
            match device.map(|device| cards.get(&device)) {
                // Another driver's.
                Some(None) => continue,
                Some(Some(true)) => {
                    let kept = file.client.and_then(|key| self.known.get_key_value(&key));
                    self.now.extend(kept.map(|(key, client)| (*key, client.clone())));
                    continue;
                }
                Some(Some(false)) | None => {}
            }
            let path = self.procfs.join(format!("{}/fdinfo/{}", file.pid, file.descriptor));
            let content = contents(&path).ok();
            let client = content.and_then(|content| fdinfo::parse(&String::from_utf8_lossy(&content)));
            let Some(client) = client else { continue };
            let own = PciAddress::parse(&client.device).or_else(|| self.nodes.device_of(&client.device));
            let only = || cards.keys().next().filter(|_| cards.len() == 1 && client.driver == self.driver);
            let Some(device) = own.or(device).or_else(|| only().copied()) else { continue };
            let key = (device, client.id);
            file.client = Some(key);
            if cards.contains_key(&device) {
                self.now.entry(key).or_insert((file.pid, client));
            }
        }
        if let Some(compute) = &mut self.compute {
            compute.read();
        }
    }

    /// After all devices were asked for: forgets the processes that are gone.
    pub(super) fn forget(&mut self) {
        self.owners.forget();
    }

    /// The processes on a device, with their times since the reading before, `passed` ns ago. `awake` tells whether the
    /// device may be asked what occupies it.
    pub(super) fn of(&mut self, device: PciAddress, passed: u64, awake: bool) -> DeviceUse {
        let mut tallies: BTreeMap<u32, Tally> = BTreeMap::new();
        for (key, (pid, client)) in self.now.iter().filter(|((of, _), _)| *of == device) {
            let before = self.known.get(key).map(|(_, client)| client);
            let before = before.or_else(|| (self.readings == 1).then_some(client));
            let tally = tallies.entry(*pid).or_default();
            tally.time = tally.time.and(client.since(before, passed));
            tally.memory = sum(tally.memory, client.memory);
            tally.dated |= client.dated;
            tally.open = true;
        }
        for pid in self.compute.iter().flat_map(ComputeProcesses::listed) {
            tallies.entry(pid).or_default();
        }
        let mut usage = DeviceUse::default();
        for (pid, tally) in tallies {
            usage.dated |= tally.dated;
            usage.explained = usage.explained.saturating_add(tally.time.programs.unwrap_or(0));
            let process = self.process(device, pid, &tally, awake);
            // amdkfd lists each of its processes for all devices.
            let occupies = matches!(process.unreported, UnreportedWork::Occupies(1..));
            if tally.open || occupies || process.memory.is_some_and(|memory| memory > 0) {
                let owner = self.owners.of(pid);
                usage.processes.push(Process { owner, ..process });
            }
        }
        usage
    }

    /// A process's time and memory, and whether it may work unreported: where it is known which processes compute, those
    /// do, and of the others an engine that is not listed was never used. Else whoever reports no time on the engines that
    /// run programs.
    fn process(&self, device: PciAddress, pid: u32, tally: &Tally, awake: bool) -> Process {
        let time = tally.time.all.map(|time| time / 1000);
        let (possible, compute) = match &self.compute {
            Some(compute) if compute.are_known() => (compute.hold(pid), Some(compute)),
            Some(_) => (tally.time.programs.is_none(), None),
            None => (tally.time.all.is_none(), None),
        };
        let compute = compute.filter(|_| possible && awake).map(|compute| compute.on(device, pid));
        let compute = compute.unwrap_or_default();
        let unreported = match compute.units {
            Some(units) => UnreportedWork::Occupies(units),
            None if possible || tally.dated => UnreportedWork::Possible,
            None => UnreportedWork::No,
        };
        let time = if unreported == UnreportedWork::No { time.or(Some(0)) } else { time };
        Process { owner: None, time, memory: tally.memory.max(compute.memory), unreported }
    }
}
