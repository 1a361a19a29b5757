//! On a hybrid host, which cgroup of the unified tree counts a v1 workload's processes a second time.
//!
//! A runtime may put a container's processes into a v1 cgroup of its own and leave them, in the unified tree, in the
//! cgroup of its daemon: `/docker/ID` in v1, `/system.slice/snap.docker.dockerd.service` there. Where systemd gives the
//! service no folder in v1, its CPU time comes from the unified tree and holds that of all its containers.

use std::collections::HashMap;

use noether_core::sample::{CgroupId, Overlap};

use super::CgroupTree;
use super::parse;
use super::tree::{NONE, NodeId};

/// How many processes of a workload are asked where they are.
const ASKED: usize = 16;

/// Where the workloads of each v1 folder were seen last: a container that is too short-lived to be asked is most likely
/// where its neighbours are.
#[derive(Debug, Default)]
pub(super) struct Overlaps {
    neighbours: HashMap<NodeId, NodeId>,
}

impl Overlaps {
    /// Forgets a folder that was removed.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.neighbours.retain(|parent, within| *parent != node && *within != node);
    }
}

impl CgroupTree {
    /// Whether the machine has both kinds of hierarchy, with CPU time in each.
    pub(super) fn is_twofold(&self) -> bool {
        self.hierarchies.len() > 1
    }

    /// Looks again where else the cgroup's processes are counted.
    pub(super) fn refresh_overlap(&mut self, id: CgroupId) {
        if !self.is_twofold() {
            return;
        }
        let Some((_, held)) = self.slots.living(id).filter(|(_, held)| !held.unified) else { return };
        let node = held.node;
        let Some(folder) = self.tree.node(node).filter(|folder| folder.recognised) else { return };
        // With a folder of its own in the unified tree its processes are there, and v1 serves both.
        let (alone, parent) = (folder.twin == NONE, folder.parent);
        let pids = if alone { self.own_pids(node) } else { Vec::new() };
        let within = match (alone, pids.is_empty()) {
            (false, _) => None,
            (true, true) => self.overlaps.neighbours.get(&parent).copied(),
            (true, false) => self.counted_within(&pids),
        };
        if !pids.is_empty() {
            match within {
                Some(within) => self.overlaps.neighbours.insert(parent, within),
                None => self.overlaps.neighbours.remove(&parent),
            };
        }
        let overlap = within.and_then(|within| self.overlap(within));
        if let Some((cgroup, _)) = self.slots.living(id) {
            cgroup.overlap = overlap;
        }
    }

    fn overlap(&self, within: NodeId) -> Option<Overlap> {
        let slot = self.tree.node(within)?.slot;
        let beyond = self.tree.ancestors(within).find_map(|(_, above)| {
            let served = self.tree.serving(above);
            (served != NONE && above.slot == NONE).then_some(served)
        });
        (slot != NONE).then_some(Overlap { within: slot, beyond, memory: false })
    }

    /// The folder of the unified tree, among those that are read there, in which most of the processes are.
    fn counted_within(&self, pids: &[u32]) -> Option<NodeId> {
        let mut votes: Vec<(Option<NodeId>, usize)> = Vec::new();
        for pid in pids.iter().take(ASKED) {
            let within = self.path_of(*pid, "").and_then(|path| self.read_unified(&path));
            match votes.iter_mut().find(|(known, _)| *known == within) {
                Some((_, votes)) => *votes += 1,
                None => votes.push((within, 1)),
            }
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).and_then(|(within, _)| within)
    }

    /// The nearest folder, at the path or above it, that is read from the unified tree; `None` where v1 serves a nearer
    /// one.
    fn read_unified(&self, path: &[u8]) -> Option<NodeId> {
        let deepest = self.tree.deepest(self.hierarchies.get(1)?.root, path);
        let above = self.tree.ancestors(deepest).map(|(id, _)| id);
        let mut line = std::iter::once(deepest).chain(above).filter_map(|id| Some((id, self.tree.node(id)?)));
        let (id, node) = line.find(|(_, node)| self.tree.serving(node) != NONE)?;
        (node.slot != NONE && !node.is_root()).then_some(id)
    }

    /// The processes of the folder itself.
    fn own_pids(&self, node: NodeId) -> Vec<u32> {
        let file =
            self.hierarchy(node).map(|own| own.folder.full(&self.tree.path(node)).join("cgroup.procs"));
        let text = file.and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        let pids = text.split(|&byte| byte == b'\n').filter_map(parse::plain);
        pids.filter_map(|pid| u32::try_from(pid).ok()).take(ASKED).collect()
    }

    /// Whether v1 counts a process, which is in the unified folder `node`, for a workload that does not lie around that
    /// folder.
    pub(super) fn is_counted_elsewhere(&self, pid: u32, node: NodeId) -> bool {
        let classic = self.hierarchies.first().filter(|_| self.is_twofold());
        let Some((root, path)) = classic.and_then(|one| Some((one.root, self.path_of(pid, "cpuacct")?)))
        else {
            return false;
        };
        let deepest = self.tree.deepest(root, &path);
        let above = self.tree.ancestors(deepest).map(|(id, _)| id);
        let mut line = std::iter::once(deepest).chain(above);
        let workload = line.find(|id| self.tree.node(*id).is_some_and(|folder| folder.recognised));
        workload.is_some_and(|workload| {
            let twin = self.tree.node(workload).map_or(NONE, |folder| folder.twin);
            twin == NONE || self.tree.ancestors(node).all(|(above, _)| above != twin)
        })
    }

    /// A cgroup is gone: nothing overlaps with it any more. Those that did are looked at again.
    pub(super) fn end_overlaps(&mut self, slot: CgroupId) {
        if !self.is_twofold() {
            return;
        }
        let ends = |overlap: &Overlap| overlap.within == slot || overlap.beyond == Some(slot);
        for (id, cgroup) in (0..).zip(&mut self.slots.cgroups) {
            if cgroup.overlap.as_ref().is_some_and(ends) {
                cgroup.overlap = None;
                self.details.newborn.push(id);
            }
        }
    }
}
