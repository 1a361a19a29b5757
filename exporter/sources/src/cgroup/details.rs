//! What changes slowly: memory, cpusets and limits, read a few cgroups at a time.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use noether_core::sample::{CgroupId, Reserved, Sockets};
use noether_core::workload::Workload;
use rustix::io::{Errno, pread};

use super::CgroupTree;
use super::folder::{Folder, vanished};
use super::hierarchy::Controller;
use super::parse::{self, Version};
use super::slots::Slots;
use super::tree::{NONE, NodeId};
use crate::Error;

/// Every cgroup's memory is read again within this time.
const ROUND: Duration = Duration::from_secs(5);
/// At least so many are read again at each tick.
const FEWEST: usize = 64;
/// `memory.stat` is read again at the latest after this time,
const STALE: Duration = Duration::from_secs(30);
/// or where the memory in use has changed by more than this part of it.
const PART: u64 = 64;

/// How much of a cgroup's memory is inactive page cache. It is dear to ask, five times as much as for anything else: the
/// kernel gathers and writes all of `memory.stat` for this one figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inactive {
    bytes: u64,
    /// The memory in use at that time.
    usage: u64,
    at: Instant,
}

impl Inactive {
    /// Whether it still holds, well enough, where so much memory is in use now.
    fn holds(&self, usage: u64, now: Instant) -> bool {
        usage.abs_diff(self.usage) <= self.usage / PART && now.duration_since(self.at) < STALE
    }
}

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Details {
    /// Taken in since the previous tick: read at once.
    pub(super) newborn: Vec<CgroupId>,
    /// Read for the first time at the previous tick: read again, because runtimes set limits after making the folder.
    young: Vec<CgroupId>,
    next: usize,
    /// Odd rounds leave the cpusets out, which change hardly ever.
    round: usize,
    at: Instant,
    text: Vec<u8>,
}

impl Details {
    pub(super) fn new() -> Self {
        Self {
            newborn: Vec::new(),
            young: Vec::new(),
            next: 0,
            round: 0,
            at: Instant::now(),
            text: Vec::new(),
        }
    }

    /// Everything is due at the next tick.
    pub(super) fn refresh_all(&mut self, slots: &Slots) {
        self.newborn = (0..slots.cgroups.len() as CgroupId).collect();
    }
}

impl CgroupTree {
    pub(super) fn refresh_details(&mut self) {
        let newborn = std::mem::take(&mut self.details.newborn);
        let young = std::mem::replace(&mut self.details.young, newborn.clone());
        let now = Instant::now();
        let passed = now.duration_since(std::mem::replace(&mut self.details.at, now));
        let wanted = self.options.memory || self.options.sockets.is_some() || self.options.reserved;
        if !wanted && !self.is_twofold() {
            return;
        }
        for id in newborn.into_iter().chain(young) {
            self.refresh_overlap(id);
            self.refresh_memory(id, true);
            self.refresh_sockets(id, true);
            self.refresh_reserved(id);
        }
        self.next_round(passed);
    }

    fn next_round(&mut self, passed: Duration) {
        if !self.options.memory && self.options.sockets.is_none() && !self.is_twofold() {
            return;
        }
        let all = self.slots.cgroups.len();
        let due = (all as f64 * passed.as_secs_f64() / ROUND.as_secs_f64()).ceil() as usize;
        for _ in 0..due.max(FEWEST).min(all) {
            if self.details.next >= all {
                self.details.next = 0;
                self.details.round += 1;
            }
            let id = self.details.next as CgroupId;
            self.details.next += 1;
            self.refresh_overlap(id);
            self.refresh_memory(id, false);
            if self.details.round.is_multiple_of(2) {
                self.refresh_sockets(id, false);
            }
        }
    }

    fn refresh_memory(&mut self, id: CgroupId, young: bool) {
        let Some((_, held)) = self.slots.living(id).filter(|_| self.options.memory) else { return };
        let node = held.node;
        // Only of workloads and of what lies above them is memory ever charged or subtracted.
        let Some(folder) = self.tree.node(node).filter(|node| node.bears && !node.is_root()) else { return };
        let recognised = folder.recognised;
        let mut text = std::mem::take(&mut self.details.text);
        let memory = match self.working_set(id, young, &mut text) {
            Ok(bytes) => Some(bytes),
            Err(Errno::NOENT) if recognised => self.resident(node),
            // No workload, and no controller: nothing is charged to it, and its processes need not be counted.
            Err(Errno::NOENT) => None,
            Err(errno) => {
                self.report_memory(node, errno, &text);
                None
            }
        };
        self.details.text = text;
        let memory = memory.map(|bytes| bytes.saturating_add(self.huge_pages(node, recognised, young)));
        if let Some((cgroup, _)) = self.slots.living(id) {
            cgroup.memory = memory;
        }
    }

    fn report_memory(&mut self, node: NodeId, errno: Errno, text: &[u8]) {
        let Some(hierarchy) = self.hierarchy(node) else { return };
        let folder = self.controllers.memory.as_ref().map_or(&hierarchy.folder, |memory| &memory.folder);
        let path = folder.full(&self.tree.path(node)).join("memory.*");
        let expected = "bytes in use, and inactive_file in memory.stat";
        self.faults.add(match errno {
            Errno::INVAL => Error::malformed(&path, expected, text),
            errno => Error::io(&path, errno.into()),
        });
    }

    /// What is in use and not merely cached; `NOENT` where the memory controller does not serve the cgroup.
    fn working_set(&mut self, id: CgroupId, young: bool, text: &mut Vec<u8>) -> Result<u64, Errno> {
        let few = self.slots.cgroups.len() <= FEWEST;
        let controller = self.controllers.memory.as_ref().ok_or(Errno::NOENT)?;
        let key = match controller.version {
            Version::V1 => "total_inactive_file",
            Version::V2 => "inactive_file",
        };
        let (_, held) = self.slots.living(id).ok_or(Errno::NOENT)?;
        let node = held.node;
        if few {
            held.inactive = None;
        }
        if let Some(files) = &held.memory {
            match working_set(files, key, &mut held.inactive, text) {
                Err(errno) if vanished(errno) => self.slots.close_memory(id),
                outcome => return outcome,
            }
        }
        let files = self.open_memory(node, young)?;
        // The files with the CPU time, which are read at every tick, come first.
        let room = self.slots.descriptors + files.len() <= self.options.max_descriptors / 4 * 3;
        let (_, held) = self.slots.living(id).ok_or(Errno::NOENT)?;
        let outcome = working_set(&files, key, &mut held.inactive, text);
        if outcome.is_ok() && room {
            held.memory = Some(files);
            self.slots.descriptors += 2;
        }
        outcome
    }

    fn open_memory(&mut self, node: NodeId, young: bool) -> Result<[OwnedFd; 2], Errno> {
        let controller = self.controllers.memory.clone().ok_or(Errno::NOENT)?;
        let path = self.place(&controller, node, young).ok_or(Errno::NOENT)?;
        let usage = match controller.version {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        };
        Ok([controller.folder.file(&path, usage)?, controller.folder.file(&path, "memory.stat")?])
    }

    /// The memory of the processes in the cgroup and in all below it: pages that they share count for each.
    fn resident(&mut self, node: NodeId) -> Option<u64> {
        match self.pids_below(node) {
            Ok(pids) => {
                let twofold =
                    self.is_twofold() && self.tree.node(node).is_some_and(|node| node.hierarchy != 0);
                let own = pids.into_iter().filter(|pid| !twofold || !self.is_counted_elsewhere(*pid, node));
                Some(own.filter_map(|pid| self.resident_of(pid)).sum())
            }
            Err(errno) => {
                if self.lives(node) {
                    self.fault(node, errno);
                }
                None
            }
        }
    }

    fn resident_of(&self, pid: u32) -> Option<u64> {
        let mut text = [0; 128];
        let length =
            std::fs::File::open(self.procfs.join(format!("{pid}/statm"))).ok()?.read(&mut text).ok()?;
        let pages = text.get(..length)?.split(|&byte| byte == b' ').nth(1)?;
        parse::plain(pages)?.checked_mul(self.page_size)
    }

    /// An error where the cgroup itself does not tell; what vanishes below it meanwhile is left out.
    pub(super) fn pids_below(&self, node: NodeId) -> Result<Vec<u32>, Errno> {
        let mut pids = Vec::new();
        let hierarchy = self.hierarchy(node).ok_or(Errno::NOENT)?;
        for below in self.tree.subtree(node) {
            let file = hierarchy.folder.file(&self.tree.path(below), "cgroup.procs");
            let mut text = Vec::new();
            let read = file.and_then(|file| {
                std::fs::File::from(file)
                    .read_to_end(&mut text)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            });
            match read {
                Err(errno) if below == node => return Err(errno),
                _ => pids.extend(text.split(|&byte| byte == b'\n').filter_map(parse::plain)),
            }
        }
        Ok(pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect())
    }

    fn refresh_sockets(&mut self, id: CgroupId, young: bool) {
        let Some((_, held)) = self.slots.living(id).filter(|_| self.options.sockets.is_some()) else {
            return;
        };
        let node = held.node;
        let above = self.tree.ancestors(node).map(|(above, _)| above);
        // The root's cpuset is the machine.
        let path: Vec<_> = std::iter::once(node).chain(above).filter(|&at| !self.is_root_node(at)).collect();
        let list = path.into_iter().find_map(|at| self.cpuset(at, young));
        let Some(sockets_of) = &self.options.sockets else { return };
        let sockets = list.map_or(Sockets::ALL, |list| sockets_of(&list));
        if let Some((cgroup, _)) = self.slots.living(id) {
            cgroup.sockets = sockets;
        }
    }

    fn is_root_node(&self, node: NodeId) -> bool {
        self.tree.node(node).is_none_or(super::tree::Node::is_root)
    }

    /// The processors that the cgroup's own cpuset allows, if it has one.
    fn cpuset(&mut self, node: NodeId, young: bool) -> Option<String> {
        let controller = self.controllers.cpuset.clone()?;
        let path = self.place(&controller, node, young)?;
        let names: &[&str] = match controller.version {
            Version::V1 => &["cpuset.effective_cpus", "cpuset.cpus"],
            Version::V2 => &["cpuset.cpus.effective"],
        };
        let list = names.iter().find_map(|name| small(&controller.folder, &path, name))?;
        let list = String::from_utf8(list).ok()?;
        Some(list.trim().to_owned()).filter(|list| !list.is_empty())
    }

    pub(super) fn refresh_reserved(&mut self, id: CgroupId) {
        let Some((cgroup, held)) = self.slots.living(id).filter(|_| self.options.reserved) else { return };
        let is_job = matches!(cgroup.workload.as_deref(), Some(Workload::Job { .. }));
        let node = held.node;
        let reserved = Reserved {
            cpu_milli: self.reserved_cpu(node, is_job).unwrap_or(0),
            memory: self.reserved_memory(node).unwrap_or(0),
        };
        if let Some((cgroup, _)) = self.slots.living(id) {
            cgroup.reserved = reserved;
        }
    }

    fn reserved_memory(&mut self, node: NodeId) -> Option<u64> {
        let controller = self.controllers.memory.clone()?;
        let path = self.place(&controller, node, false)?;
        let name = match controller.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        parse::memory_limit(&small(&controller.folder, &path, name)?)
    }

    /// Thousandths of a processor: the quota, else in a pod the weight, else what a cpuset gives to it alone.
    fn reserved_cpu(&mut self, node: NodeId, is_job: bool) -> Option<u64> {
        let (quota, shares) = self.controllers.cpu.clone().and_then(|cpu| self.shares(&cpu, node)).unzip();
        if let Some(quota) = quota.flatten().filter(|&milli| milli > 0) {
            return Some(quota);
        }
        if self.lies_under_kubepods(node) {
            return shares.flatten().map(parse::shares_milli);
        }
        self.processors_alone(node, is_job).map(|processors| processors.saturating_mul(1000))
    }

    /// The quota in thousandths of a processor, and the weight as `cpu.shares`.
    fn shares(&mut self, controller: &Controller, node: NodeId) -> Option<(Option<u64>, Option<u64>)> {
        let path = self.place(controller, node, false)?;
        let cpu = |name| small(&controller.folder, &path, name);
        Some(match controller.version {
            Version::V1 => (
                cpu("cpu.cfs_quota_us")
                    .zip(cpu("cpu.cfs_period_us"))
                    .and_then(|(quota, period)| parse::cfs(&quota, &period)),
                cpu("cpu.shares").and_then(|shares| parse::plain(&shares)),
            ),
            Version::V2 => (
                cpu("cpu.max").and_then(|max| parse::cpu_max(&max)),
                cpu("cpu.weight").and_then(|weight| parse::plain(&weight)).map(parse::weight_shares),
            ),
        })
    }

    /// How many processors the cgroup's own cpuset gives to nobody else. A scheduler of batch jobs gives each core to one
    /// job; elsewhere the kernel has to see to it: `cpuset.cpu_exclusive`, or a partition of its own.
    fn processors_alone(&mut self, node: NodeId, is_job: bool) -> Option<u64> {
        let controller = self.controllers.cpuset.clone()?;
        let path = self.place(&controller, node, false)?;
        let read = |name| small(&controller.folder, &path, name);
        // What is only inherited is not its own: v2 leaves `cpuset.cpus` empty then.
        let count = parse::list_length(&read("cpuset.cpus")?);
        let exclusive = match controller.version {
            Version::V1 => read("cpuset.cpu_exclusive").is_some_and(|value| value.trim_ascii() == b"1"),
            Version::V2 => read("cpuset.cpus.partition")
                .is_some_and(|value| matches!(value.trim_ascii(), b"root" | b"isolated")),
        };
        ((is_job || exclusive) && count > 0).then_some(count)
    }

    /// Elsewhere a weight is no request: it says nothing but how neighbours compare.
    fn lies_under_kubepods(&self, node: NodeId) -> bool {
        let names_it = |name: &[u8]| name.windows(8).any(|part| part == b"kubepods");
        node != NONE && self.tree.ancestors(node).any(|(_, above)| names_it(&above.name))
    }
}

fn working_set(
    [usage, stat]: &[OwnedFd; 2],
    key: &str,
    inactive: &mut Option<Inactive>,
    text: &mut Vec<u8>,
) -> Result<u64, Errno> {
    // INVAL stands for content that is no figure.
    read_record(usage.as_fd(), text)?;
    let usage = parse::plain(text).ok_or(Errno::INVAL)?;
    let at = Instant::now();
    if let Some(known) = inactive.filter(|known| known.holds(usage, at)) {
        return Ok(usage.saturating_sub(known.bytes));
    }
    read_record(stat.as_fd(), text)?;
    let bytes = parse::keyed(text, key).ok_or(Errno::INVAL)?;
    *inactive = Some(Inactive { bytes, usage, at });
    Ok(usage.saturating_sub(bytes))
}

/// Reads the file with as few calls as there can be: each one makes the kernel write all of it anew.
fn read_record(file: BorrowedFd<'_>, text: &mut Vec<u8>) -> Result<(), Errno> {
    let mut size = text.len().max(8 * 1024);
    loop {
        text.resize(size, 0);
        let length = pread(file, text.as_mut_slice(), 0)?;
        if length < size || size >= 1 << 20 {
            text.truncate(length);
            return Ok(());
        }
        size *= 2;
    }
}

/// A small file, if it is there and can be read.
fn small(folder: &Folder, path: &[u8], name: &str) -> Option<Vec<u8>> {
    let file = folder.file(path, name).ok()?;
    let mut text = [0; 4096];
    let length = pread(&file, &mut text, 0).ok()?;
    Some(text.get(..length)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_figure_holds_while_little_changed() {
        let at = Instant::now();
        let known = Inactive { bytes: 10, usage: 6400, at };
        assert!(known.holds(6400, at) && known.holds(6300, at) && known.holds(6500, at));
        assert!(!known.holds(6299, at) && !known.holds(6501, at));
        assert!(known.holds(6400, at + STALE - Duration::from_millis(1)) && !known.holds(6400, at + STALE));
        let empty = Inactive { bytes: 0, usage: 0, at };
        assert!(empty.holds(0, at) && !empty.holds(1, at));
    }
}
