//! The cgroups that are read: what is told of each, and beside it what is held open to read it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use noether_core::sample::{Birth, Cgroup, CgroupId, Reserved, Sockets};
use noether_core::workload::Workload;

use super::details::Inactive;
use super::tree::{NodeId, UNWATCHED};

/// What is held to read one cgroup.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) node: NodeId,
    /// The file with its CPU time.
    pub(super) cpu: Option<OwnedFd>,
    /// The inode of that file; 0 where files are never replaced.
    pub(super) inode: u64,
    /// The watch on its `cgroup.events`.
    pub(super) events: i32,
    /// The files with its memory in use, and with what of that is inactive page cache.
    pub(super) memory: Option<[OwnedFd; 2]>,
    /// What the second of them said last.
    pub(super) inactive: Option<Inactive>,
    /// The tick before which it was taken in.
    pub(super) since: u32,
    /// Whether a tick told its CPU time: until then its birth lies ahead of the reader.
    pub(super) told: bool,
    /// Whether it is read from the unified hierarchy's `cpu.stat`.
    pub(super) unified: bool,
}

/// All of them: two tables with the same index, which is the [`CgroupId`].
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) cgroups: Vec<Cgroup>,
    pub(super) held: Vec<Held>,
    /// Vacated, and seen to be by the reader.
    free: Vec<CgroupId>,
    /// Vacated, but not yet seen to be.
    vacated: Vec<CgroupId>,
    /// Told to be gone.
    told: Vec<CgroupId>,
    /// Gone since the previous tick.
    gone: Vec<CgroupId>,
    /// How many descriptors are held.
    pub(super) descriptors: usize,
}

impl Slots {
    /// Takes a cgroup in.
    pub(super) fn take(
        &mut self,
        node: NodeId,
        since: u32,
        unified: bool,
        workload: Option<Workload>,
    ) -> CgroupId {
        let cgroup = Cgroup {
            present: true,
            parent: None,
            top_level: false,
            workload: workload.map(Arc::new),
            cpu: None,
            memory: None,
            sockets: Sockets::ALL,
            reserved: Reserved::default(),
            overlap: None,
            birth: Birth::Unknown,
            gone: false,
        };
        let events = UNWATCHED;
        let (cpu, memory, inactive) = (None, None, None);
        let held = Held { node, cpu, inode: 0, events, memory, inactive, since, told: false, unified };
        let Some(id) = self.free.pop() else {
            self.cgroups.push(cgroup);
            self.held.push(held);
            return (self.cgroups.len() - 1) as CgroupId;
        };
        if let Some((place, place_held)) = self.both(id) {
            (*place, *place_held) = (cgroup, held);
        }
        id
    }

    pub(super) fn both(&mut self, id: CgroupId) -> Option<(&mut Cgroup, &mut Held)> {
        Some((self.cgroups.get_mut(id as usize)?, self.held.get_mut(id as usize)?))
    }

    /// The cgroup, while it lives.
    pub(super) fn living(&mut self, id: CgroupId) -> Option<(&mut Cgroup, &mut Held)> {
        self.both(id).filter(|(cgroup, _)| cgroup.present && !cgroup.gone)
    }

    pub(super) fn held(&self, id: CgroupId) -> Option<&Held> {
        self.held.get(id as usize)
    }

    /// Marks a cgroup gone, for the next tick to tell.
    pub(super) fn mark_gone(&mut self, id: CgroupId) {
        self.close(id);
        if let Some((cgroup, held)) = self.living(id) {
            cgroup.gone = true;
            if held.told {
                cgroup.birth = Birth::Earlier;
            }
            self.gone.push(id);
        }
    }

    /// Takes back a cgroup that no tick has told of yet.
    pub(super) fn withdraw(&mut self, id: CgroupId) {
        self.close(id);
        if let Some((cgroup, _)) = self.living(id) {
            cgroup.present = false;
            self.vacated.push(id);
        }
    }

    /// Closes all that is held open for a cgroup.
    pub(super) fn close(&mut self, id: CgroupId) {
        self.close_cpu(id);
        self.close_memory(id);
    }

    pub(super) fn close_cpu(&mut self, id: CgroupId) {
        let closed = self.both(id).and_then(|(_, held)| held.cpu.take());
        self.descriptors -= usize::from(closed.is_some());
    }

    pub(super) fn close_memory(&mut self, id: CgroupId) {
        let closed = self.both(id).and_then(|(_, held)| {
            held.inactive = None;
            held.memory.take()
        });
        self.descriptors -= closed.map_or(0, |files| files.len());
    }

    /// A tick begins: vacates what the previous one told to be gone.
    pub(super) fn begin(&mut self) {
        for id in std::mem::take(&mut self.told) {
            if let Some((cgroup, _)) = self.both(id) {
                cgroup.present = false;
                cgroup.workload = None;
            }
            self.vacated.push(id);
        }
    }

    /// A tick ends: whoever reads it sees what is vacated and what is gone.
    pub(super) fn finish(&mut self) {
        self.free.append(&mut self.vacated);
        self.told.append(&mut self.gone);
    }
}
