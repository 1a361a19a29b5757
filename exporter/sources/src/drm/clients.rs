//! Who has a GPU open, and how long each was on its engines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use noether_core::gpu::Process;

use super::fdinfo::{self, Client};
use crate::Machine;
use crate::owner::Owners;

/// Which client of which device.
type Key = (String, u64);

/// The clients of all GPUs.
pub(super) struct Clients {
    procfs: PathBuf,
    owners: Owners,
    /// Files of GPUs: process and descriptor, as the last scan found them.
    files: Vec<(u32, u32)>,
    known: BTreeMap<Key, (u32, Client)>,
    now: BTreeMap<Key, (u32, Client)>,
    /// How often it was read. Who was there at the first time had worked before, which is of no interval.
    readings: u64,
}

impl Clients {
    pub(super) fn new(machine: &Machine) -> Self {
        Self {
            procfs: machine.procfs.clone(),
            owners: Owners::new(machine),
            files: Vec::new(),
            known: BTreeMap::new(),
            now: BTreeMap::new(),
            readings: 0,
        }
    }

    /// Looks for processes that opened a GPU. Seldom: it looks at every descriptor of every process.
    pub(super) fn scan(&mut self) {
        self.files.clear();
        for pid in numbers(&self.procfs) {
            let folder = self.procfs.join(pid.to_string()).join("fd");
            let is_gpu = |descriptor: &u32| {
                fs::read_link(folder.join(descriptor.to_string()))
                    .is_ok_and(|file| file.starts_with("/dev/dri"))
            };
            self.files.extend(numbers(&folder).filter(is_gpu).map(|descriptor| (pid, descriptor)));
        }
    }

    /// Reads what every known file tells now.
    pub(super) fn read(&mut self) {
        self.readings += 1;
        self.known = std::mem::take(&mut self.now);
        for (pid, descriptor) in &self.files {
            let path = self.procfs.join(format!("{pid}/fdinfo/{descriptor}"));
            let Some(client) = fs::read_to_string(path).ok().and_then(|content| fdinfo::parse(&content))
            else {
                continue;
            };
            self.now.entry((client.device.clone(), client.id)).or_insert((*pid, client));
        }
        self.owners.forget();
    }

    /// The processes on a device, with their times since the reading before, `passed` ns ago.
    pub(super) fn of(&mut self, device: &str, passed: u64) -> Vec<Process> {
        let mut processes: BTreeMap<u32, Process> = BTreeMap::new();
        for (key, (pid, client)) in self.now.iter().filter(|((of, _), _)| of == device) {
            let before = self.known.get(key).map(|(_, client)| client);
            // One that is seen for the first time has worked since it was opened, or for longer than is known.
            let before = before.or_else(|| (self.readings == 1).then_some(client));
            let time = client.since(before, passed).map(|time| time / 1000);
            let process = processes
                .entry(*pid)
                .or_insert_with(|| Process { owner: self.owners.of(*pid), ..Process::default() });
            process.time = add(process.time, time);
            process.memory = add(process.memory, client.memory);
        }
        processes.into_values().collect()
    }
}

fn add(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

/// The entries of a folder whose names are numbers.
fn numbers(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
