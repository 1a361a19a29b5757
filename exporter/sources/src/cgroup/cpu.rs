//! CPU time: the hot path, one `pread` per cgroup and tick, and the slow one for what that does not settle.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use noether_core::sample::{Birth, CgroupId};
use rustix::io::{Errno, pread};

use super::CgroupTree;
use super::folder::vanished;
use super::parse::{Figure, Version};
use super::tree::NodeId;
use crate::Error;

/// Enough for the line that is looked for: `usage_usec` stands first, and 20 digits are the most.
pub(super) const LINE: usize = 128;

/// How often a file that a writer is at work on is read again, and after how long.
const TRIES: usize = 4;
const PAUSE: Duration = Duration::from_micros(50);

/// Why there is no figure.
enum Trouble {
    Io(Errno),
    Malformed(Vec<u8>),
}

impl CgroupTree {
    pub(super) fn read_cpu(&mut self) {
        let mut troubled = std::mem::take(&mut self.troubled);
        let mut text = [0; LINE];
        for (id, (cgroup, held)) in self.slots.cgroups.iter_mut().zip(&mut self.slots.held).enumerate() {
            if !cgroup.present || cgroup.gone {
                continue;
            }
            if held.told {
                cgroup.birth = Birth::Earlier;
            }
            let version = if held.unified { Version::V2 } else { Version::V1 };
            let length = match &held.cpu {
                Some(file) => pread(file, &mut text, 0).unwrap_or(0),
                None => 0,
            };
            match version.cpu_figure(text.get(..length).unwrap_or_default()) {
                Figure::Whole(figure) => {
                    cgroup.cpu = Some(version.duration(figure));
                    held.told = true;
                }
                _ => troubled.push(id as CgroupId),
            }
        }
        for id in troubled.drain(..) {
            self.read_slowly(id);
        }
        self.troubled = troubled;
    }

    /// Reads one cgroup with all patience; it may turn out to be gone.
    fn read_slowly(&mut self, id: CgroupId) {
        // One that went with another that was found gone.
        let Some((cgroup, held)) = self.slots.living(id) else { return };
        let (node, young) = (held.node, held.since == self.tick);
        // A file that was in order may be in the hands of its writer; one that was not is not waited for.
        let patient = cgroup.cpu.is_some() || young;
        let mut outcome = self.figure(id, patient);
        if matches!(&outcome, Err(Trouble::Io(errno)) if vanished(*errno)) {
            if !self.lives(node) {
                return self.remove(node);
            }
            self.slots.close_cpu(id);
            outcome = self.figure(id, patient);
        }
        let Some((cgroup, held)) = self.slots.living(id) else { return };
        match outcome {
            Ok(cpu) => {
                cgroup.cpu = Some(cpu);
                held.told = true;
            }
            // A fixture's folder is there before its files are.
            Err(Trouble::Io(Errno::NOENT)) if young => cgroup.cpu = None,
            Err(trouble) => {
                cgroup.cpu = None;
                self.report(node, trouble);
            }
        }
    }

    fn report(&mut self, node: NodeId, trouble: Trouble) {
        let Some(hierarchy) = self.hierarchy(node) else { return };
        let version = hierarchy.version;
        let path = hierarchy.folder.full(&self.tree.path(node)).join(version.cpu_file());
        self.faults.add(match trouble {
            Trouble::Io(errno) => Error::io(&path, errno.into()),
            Trouble::Malformed(text) => Error::malformed(&path, version.cpu_expected(), &text),
        });
    }

    fn figure(&mut self, id: CgroupId, patient: bool) -> Result<Duration, Trouble> {
        let passing = self.open_cpu(id).map_err(Trouble::Io)?;
        let held = self.slots.held(id).ok_or(Trouble::Io(Errno::NOENT))?;
        let file = held.cpu.as_ref().or(passing.as_ref()).ok_or(Trouble::Io(Errno::NOENT))?;
        let version = if held.unified { Version::V2 } else { Version::V1 };
        figure(file.as_fd(), version, if patient { TRIES } else { 1 })
    }

    /// Sees to it that the file with the CPU time is open: held, or where too many are, given back to be closed.
    pub(super) fn open_cpu(&mut self, id: CgroupId) -> Result<Option<OwnedFd>, Errno> {
        let held = self.slots.held(id).ok_or(Errno::NOENT)?;
        if held.cpu.is_some() {
            return Ok(None);
        }
        let node = held.node;
        let hierarchy = usize::from(self.tree.node(node).ok_or(Errno::NOENT)?.hierarchy);
        let hierarchy = self.hierarchies.get(hierarchy).ok_or(Errno::NOENT)?;
        self.tree.write_path(node, &mut self.path);
        let file = hierarchy.folder.open_in(&mut self.path, hierarchy.version.cpu_file())?;
        if self.slots.descriptors >= self.options.max_descriptors {
            return Ok(Some(file));
        }
        let inode = if hierarchy.folder.genuine { 0 } else { rustix::fs::fstat(&file)?.st_ino };
        if let Some((_, held)) = self.slots.both(id) {
            (held.inode, held.cpu) = (inode, Some(file));
            self.slots.descriptors += 1;
        }
        self.watch_events(id);
        Ok(None)
    }

    /// Reads what can be read at once, between ticks.
    pub(super) fn glance(&mut self, id: CgroupId) {
        let Some((cgroup, held)) = self.slots.living(id) else { return };
        let version = if held.unified { Version::V2 } else { Version::V1 };
        let Some(file) = &held.cpu else { return };
        if let Ok(cpu) = figure(file.as_fd(), version, 1) {
            cgroup.cpu = Some(cpu);
        }
    }

    /// Opens the file with the CPU time again, if the name stands for another file now.
    pub(super) fn reopen(&mut self, id: CgroupId) {
        let Some(held) = self.slots.held(id) else { return };
        let Some(hierarchy) = self.hierarchy(held.node).filter(|hierarchy| !hierarchy.folder.genuine) else {
            return;
        };
        let named = hierarchy.folder.inode(&self.tree.path(held.node), hierarchy.version.cpu_file());
        if held.cpu.is_some() && named.is_ok_and(|inode| inode != held.inode) {
            self.slots.close_cpu(id);
            self.slots.close_memory(id);
            // What fails now fails again at the tick, which tells it.
            let _tried = self.open_cpu(id);
        }
    }

    /// Watches when the last process leaves a workload, the last moment at which its file can be read.
    pub(super) fn watch_events(&mut self, id: CgroupId) {
        let Some(held) = self.slots.held(id).filter(|held| held.unified) else { return };
        let Some(folder) = self.tree.node(held.node).filter(|node| node.recognised) else { return };
        if held.events != super::tree::UNWATCHED || folder.watch == super::tree::UNWATCHED {
            return;
        }
        let node = held.node;
        let path = self.full_path(node, true).join("cgroup.events");
        // Where there is none, or no watch is left for it, the last tick's figure is the last.
        if let Some(Ok(watch)) = self.watcher.as_mut().map(|watcher| watcher.events(&path, node))
            && let Some((_, held)) = self.slots.both(id)
        {
            held.events = watch;
        }
    }
}

fn figure(file: BorrowedFd<'_>, version: Version, tries: usize) -> Result<Duration, Trouble> {
    let mut text = [0; 4096];
    let mut before = None;
    let mut length = 0;
    for _ in 0..tries.max(2) {
        length = pread(file, &mut text, 0).map_err(Trouble::Io)?;
        match version.cpu_figure(text.get(..length).unwrap_or_default()) {
            Figure::Whole(figure) => return Ok(version.duration(figure)),
            // Twice the same is no writer at work, but a file without an end of line.
            Figure::Cut(figure) if before == Some(figure) => return Ok(version.duration(figure)),
            Figure::Cut(figure) => before = Some(figure),
            Figure::Empty if tries > 1 => std::thread::sleep(PAUSE),
            Figure::Empty | Figure::Malformed => break,
        }
    }
    match before {
        Some(figure) => Ok(version.duration(figure)),
        None => Err(Trouble::Malformed(text.get(..length).unwrap_or_default().to_vec())),
    }
}
