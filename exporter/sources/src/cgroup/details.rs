//! What changes slowly: memory, cpusets and limits, read a few cgroups at a time.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use noether_core::sample::{CgroupId, Reserved, Sockets};
use rustix::io::{Errno, pread};

use super::CgroupTree;
use super::folder::{Folder, vanished};
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
        if !self.options.memory && self.options.sockets.is_none() && !self.options.reserved {
            return;
        }
        for id in newborn.into_iter().chain(young) {
            self.refresh_memory(id);
            self.refresh_sockets(id);
            self.refresh_reserved(id);
        }
        self.next_round(passed);
    }

    fn next_round(&mut self, passed: Duration) {
        if !self.options.memory && self.options.sockets.is_none() {
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
            self.refresh_memory(id);
            if self.details.round.is_multiple_of(2) {
                self.refresh_sockets(id);
            }
        }
    }

    fn refresh_memory(&mut self, id: CgroupId) {
        let Some((_, held)) = self.slots.living(id).filter(|_| self.options.memory) else { return };
        let node = held.node;
        // Only of workloads and of what lies above them is memory ever charged or subtracted.
        let Some(folder) = self.tree.node(node).filter(|node| node.bears && !node.is_root()) else { return };
        let recognised = folder.recognised;
        let mut text = std::mem::take(&mut self.details.text);
        let memory = match self.working_set(id, &mut text) {
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
        if let Some((cgroup, _)) = self.slots.living(id) {
            cgroup.memory = memory;
        }
    }

    fn report_memory(&mut self, node: NodeId, errno: Errno, text: &[u8]) {
        let Some(hierarchy) = self.hierarchy(node) else { return };
        let folder = hierarchy.memory().unwrap_or(&hierarchy.folder);
        let path = folder.full(&self.tree.path(node)).join("memory.*");
        let expected = "bytes in use, and inactive_file in memory.stat";
        self.faults.add(match errno {
            Errno::INVAL => Error::malformed(&path, expected, text),
            errno => Error::io(&path, errno.into()),
        });
    }

    /// What is in use and not merely cached; `NOENT` where the memory controller does not serve the cgroup.
    fn working_set(&mut self, id: CgroupId, text: &mut Vec<u8>) -> Result<u64, Errno> {
        let few = self.slots.cgroups.len() <= FEWEST;
        let (_, held) = self.slots.living(id).ok_or(Errno::NOENT)?;
        let (node, key) = (held.node, if held.unified { "inactive_file" } else { "total_inactive_file" });
        if few {
            held.inactive = None;
        }
        if let Some(files) = &held.memory {
            match working_set(files, key, &mut held.inactive, text) {
                Err(errno) if vanished(errno) => self.slots.close_memory(id),
                outcome => return outcome,
            }
        }
        let files = self.open_memory(node)?;
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

    fn open_memory(&self, node: NodeId) -> Result<[OwnedFd; 2], Errno> {
        let hierarchy = self.hierarchy(node).ok_or(Errno::NOENT)?;
        let folder = hierarchy.memory().ok_or(Errno::NOENT)?;
        let path = self.tree.path(node);
        let usage = match hierarchy.version {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        };
        Ok([folder.file(&path, usage)?, folder.file(&path, "memory.stat")?])
    }

    /// The memory of the processes in the cgroup and in all below it: pages that they share count for each.
    fn resident(&mut self, node: NodeId) -> Option<u64> {
        match self.pids_below(node) {
            Ok(pids) => Some(pids.into_iter().filter_map(|pid| self.resident_of(pid)).sum()),
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

    fn refresh_sockets(&mut self, id: CgroupId) {
        let Some((_, held)) = self.slots.living(id) else { return };
        let Some(sockets_of) = &self.options.sockets else { return };
        let node = held.node;
        let above = self.tree.ancestors(node).map(|(above, _)| above);
        // The root's cpuset is the machine.
        let mut path = std::iter::once(node).chain(above).filter(|&at| !self.is_root_node(at));
        let list = path.find_map(|at| self.cpuset(at));
        let sockets = list.map_or(Sockets::ALL, |list| sockets_of(&list));
        if let Some((cgroup, _)) = self.slots.living(id) {
            cgroup.sockets = sockets;
        }
    }

    fn is_root_node(&self, node: NodeId) -> bool {
        self.tree.node(node).is_none_or(super::tree::Node::is_root)
    }

    /// The processors that the cgroup's own cpuset allows, if it has one.
    fn cpuset(&self, node: NodeId) -> Option<String> {
        let hierarchy = self.hierarchy(node)?;
        let names: &[&str] = match hierarchy.version {
            Version::V1 => &["cpuset.effective_cpus", "cpuset.cpus"],
            Version::V2 => &["cpuset.cpus.effective"],
        };
        let (folder, path) = (hierarchy.cpuset()?, self.tree.path(node));
        let list = names.iter().find_map(|name| small(folder, &path, name))?;
        let list = String::from_utf8(list).ok()?;
        Some(list.trim().to_owned()).filter(|list| !list.is_empty())
    }

    pub(super) fn refresh_reserved(&mut self, id: CgroupId) {
        let Some((_, held)) = self.slots.living(id).filter(|_| self.options.reserved) else { return };
        let node = held.node;
        let limits = self.limits(node).unwrap_or_default();
        if let Some((cgroup, _)) = self.slots.living(id) {
            cgroup.reserved = limits;
        }
    }

    fn limits(&self, node: NodeId) -> Option<Reserved> {
        let hierarchy = self.hierarchy(node)?;
        let path = self.tree.path(node);
        let cpu = |name| small(hierarchy.cpu()?, &path, name);
        let memory = |name| small(hierarchy.memory()?, &path, name);
        let (quota, shares, memory) = match hierarchy.version {
            Version::V1 => (
                cpu("cpu.cfs_quota_us")
                    .zip(cpu("cpu.cfs_period_us"))
                    .and_then(|(quota, period)| parse::cfs(&quota, &period)),
                cpu("cpu.shares").and_then(|shares| parse::plain(&shares)),
                memory("memory.limit_in_bytes"),
            ),
            Version::V2 => (
                cpu("cpu.max").and_then(|max| parse::cpu_max(&max)),
                cpu("cpu.weight").and_then(|weight| parse::plain(&weight)).map(parse::weight_shares),
                memory("memory.max"),
            ),
        };
        let by_weight = || shares.filter(|_| self.lies_under_kubepods(node)).map_or(0, parse::shares_milli);
        Some(Reserved {
            cpu_milli: quota.filter(|&milli| milli > 0).unwrap_or_else(by_weight),
            memory: memory.and_then(|limit| parse::memory_limit(&limit)).unwrap_or(0),
        })
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
