//! What changes as a whole: the hierarchies are mounted anew, or paths mean something else from now on.

use noether_core::workload::Workload;

use super::CgroupTree;
use super::hierarchy::{self, Mounted};
use super::tree::{NONE, NodeId};

impl CgroupTree {
    /// Looks whether what is mounted is still what is read. Where it is not, all that was known is gone, and what is
    /// there now is taken in. Tells whether there is anything to read.
    pub fn follow_mounts(&mut self) -> bool {
        let mounted = match hierarchy::detect(&self.cgroupfs) {
            Ok(mounted) => mounted,
            Err(error) => {
                self.faults.add(error);
                self.leave();
                return false;
            }
        };
        let Mounted { layout, hierarchies, controllers } = mounted;
        let others = controllers.signature() != self.controllers.signature();
        if hierarchy::signature(&hierarchies) != hierarchy::signature(&self.hierarchies) {
            self.leave();
            (self.layout, self.hierarchies, self.controllers) = (layout, hierarchies, controllers);
            self.populate();
        } else if others {
            self.controllers = controllers;
            self.elsewhere = super::Elsewhere::default();
            (0..self.slots.cgroups.len()).for_each(|id| self.slots.close_memory(id as u32));
            self.details.refresh_all(&self.slots);
        }
        true
    }

    /// All cgroups are gone.
    fn leave(&mut self) {
        let roots: Vec<_> = self.hierarchies.iter().map(|hierarchy| hierarchy.root).collect();
        roots.into_iter().for_each(|root| self.remove(root));
        self.hierarchies.clear();
        self.elsewhere = super::Elsewhere::default();
    }

    /// Whether a kubelet of this machine keeps pods here. One that runs in a container, as kind's do, or below a user's
    /// own manager is another machine's, or nobody's.
    pub fn has_kubelet(&self) -> bool {
        let is_pod = |workload: &Workload| {
            matches!(workload, Workload::Pod { .. } | Workload::Container { pod: Some(_), .. })
        };
        let mut all = self.slots.cgroups.iter().zip(&self.slots.held);
        all.any(|(cgroup, held)| {
            cgroup.present
                && !cgroup.gone
                && cgroup.workload.as_deref().is_some_and(is_pod)
                && !self.tree.ancestors(held.node).any(|(_, above)| self.is_anothers(above))
        })
    }

    /// Whether what lies in the folder is not the machine's own.
    fn is_anothers(&self, folder: &super::tree::Node) -> bool {
        let workload = self.slots.cgroups.get(self.tree.serving(folder) as usize);
        let encloses =
            |workload: &Workload| !matches!(workload, Workload::Pod { .. } | Workload::Unit { .. });
        folder.name.starts_with(b"user@")
            || workload.and_then(|one| one.workload.as_deref()).is_some_and(encloses)
    }

    /// From now on `recognise` decides what a path is. A cgroup that becomes something else ends as what it was, with all
    /// that it used.
    pub fn recognise_with(&mut self, recognise: fn(&str) -> Option<Workload>) {
        self.options.recognise = recognise;
        let roots: Vec<_> = self.hierarchies.iter().map(|hierarchy| hierarchy.root).collect();
        let all: Vec<_> = roots.into_iter().flat_map(|root| self.tree.subtree(root)).collect();
        all.into_iter().for_each(|node| self.recognise_anew(node));
    }

    fn recognise_anew(&mut self, node: NodeId) {
        let Some(folder) = self.tree.node(node).filter(|folder| !folder.is_root()) else { return };
        let slot = folder.slot;
        let was = self.slots.cgroups.get(slot as usize).and_then(|cgroup| cgroup.workload.as_deref());
        let path = [b"/", self.tree.path(node).as_slice()].concat();
        let is = (self.options.recognise)(&String::from_utf8_lossy(&path));
        if was == is.as_ref() && (slot != NONE || folder.recognised == is.is_some()) {
            return;
        }
        if slot != NONE {
            self.release(node, slot);
        }
        self.recognise(node);
        let children = self.tree.node(node).map_or(&[][..], |folder| &folder.children);
        if children.iter().any(|child| self.tree.node(*child).is_some_and(|child| child.recognised)) {
            self.take_in(node, None);
        }
    }

    /// The cgroup lives, but is not read as what it was any more.
    fn release(&mut self, node: NodeId, slot: u32) {
        self.unwatch_events(slot);
        self.last_look(slot);
        if self.was_told(slot) {
            self.slots.mark_gone(slot);
        } else {
            self.slots.withdraw(slot);
        }
        if let Some(folder) = self.tree.node_mut(node) {
            folder.slot = NONE;
        }
        self.end_overlaps(slot);
        let above = self.slot_above(node);
        self.set_parent_below(node, above);
    }
}
