//! Who lives in the tree: folders come, are recognised and taken in, and go.

use noether_core::sample::{Birth, CgroupId};
use noether_core::workload::Workload;
use rustix::io::Errno;

use super::CgroupTree;
use super::folder::{Look, vanished};
use super::parse::{Figure, Version};
use super::tree::{NONE, NodeId};
use super::watch::Watcher;
use crate::Error;

/// Deeper folders are not looked at: no runtime nests like that, and a runaway tree must end somewhere.
const DEEPEST: u8 = 64;

impl CgroupTree {
    pub(super) fn start_inotify(&mut self) {
        if !self.options.inotify {
            return;
        }
        match Watcher::new() {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(errno) => self.lacks_watches("max_user_instances", errno),
        }
    }

    /// The first walk: everything is of unknown age.
    pub(super) fn populate(&mut self) {
        for index in 0..self.hierarchies.len() {
            let root = self.tree.add_root(index as u8);
            if let Some(hierarchy) = self.hierarchies.get_mut(index) {
                hierarchy.root = root;
            }
        }
        if let [first, second] = self.hierarchies.as_slice() {
            let (first, second) = (first.root, second.root);
            self.pair(first, second);
        }
        let roots: Vec<_> = self.hierarchies.iter().map(|hierarchy| hierarchy.root).collect();
        for root in roots {
            if let Ok(look) = self.move_in(root) {
                self.take_in(root, None);
                let found = self.folders_in(root, look).unwrap_or_default();
                self.discover(found.into_iter().map(|name| (root, name)).collect(), false);
            }
        }
    }

    /// Takes note of new folders and of all in them; `now`: they were made since the previous tick.
    pub(super) fn discover(&mut self, mut pending: Vec<(NodeId, Box<[u8]>)>, now: bool) {
        while let Some((parent, name)) = pending.pop() {
            if let Some((node, look)) = self.meet(parent, &name, now) {
                let inside = self.folders_in(node, look).unwrap_or_default();
                pending.extend(inside.into_iter().map(|name| (node, name)));
            }
        }
    }

    fn meet(&mut self, parent: NodeId, name: &[u8], now: bool) -> Option<(NodeId, Look)> {
        if self.tree.node(parent)?.depth >= DEEPEST {
            return None;
        }
        let node = self.tree.add(parent, name)?;
        // The watch first: what is made in the folder after it is reported, what was made before it is found.
        let look = self.move_in(node);
        if !now && look.is_err_and(vanished) {
            self.remove(node);
            return None;
        }
        let tick = self.tick;
        self.tree.node_mut(node)?.born = if now { tick } else { 0 };
        let twin = self.tree.node(parent).and_then(|parent| self.tree.child(parent.twin, name));
        if let Some(twin) = twin {
            self.pair(node, twin);
        }
        self.recognise(node);
        Some((node, look.ok()?))
    }

    /// Watches the folder, then learns what tells it from others.
    fn move_in(&mut self, node: NodeId) -> Result<Look, Errno> {
        self.watch(node);
        let look = self.look(node);
        match look {
            Ok(look) => {
                if let Some(node) = self.tree.node_mut(node) {
                    node.inode = look.inode;
                }
            }
            Err(errno) if vanished(errno) => {}
            Err(errno) => self.fault(node, errno),
        }
        look
    }

    pub(super) fn look(&self, node: NodeId) -> Result<Look, Errno> {
        self.hierarchy(node).ok_or(Errno::NOENT)?.folder.look(&self.tree.path(node))
    }

    pub(super) fn watch(&mut self, node: NodeId) {
        let Some(path) = self.hierarchy(node).map(|hierarchy| hierarchy.folder.full(&self.tree.path(node)))
        else {
            return;
        };
        let Some(watcher) = &mut self.watcher else { return };
        match watcher.folder(&path, node) {
            Ok(watch) => {
                if let Some(node) = self.tree.node_mut(node) {
                    node.watch = watch;
                }
            }
            Err(errno) if vanished(errno) => {}
            Err(Errno::NOSPC) => self.lacks_watches("max_user_watches", Errno::NOSPC),
            Err(errno) => self.fault(node, errno),
        }
    }

    /// Says once that the kernel grants no more, and by which setting it would.
    fn lacks_watches(&mut self, setting: &str, errno: Errno) {
        if !std::mem::replace(&mut self.said_unwatched, true) {
            let path = self.procfs.join("sys/fs/inotify").join(setting);
            self.faults.add(Error::io(&path, errno.into()));
        }
    }

    /// Two folders of the same path in both hierarchies of a hybrid host: the first hierarchy serves it.
    fn pair(&mut self, one: NodeId, other: NodeId) {
        for (node, twin) in [(one, other), (other, one)] {
            if let Some(node) = self.tree.node_mut(node) {
                node.twin = twin;
            }
        }
        let second = self.tree.node(other).filter(|node| node.hierarchy != 0 && node.slot != NONE);
        let Some(slot) = second.map(|node| node.slot) else { return };
        if self.was_told(slot) {
            // What it used so far was told under the other id.
            if let Some(node) = self.tree.node_mut(one) {
                node.born = 0;
            }
            self.slots.mark_gone(slot);
        } else {
            self.slots.withdraw(slot);
        }
        self.unwatch_events(slot);
        self.end_overlaps(slot);
        if let Some(node) = self.tree.node_mut(other) {
            node.slot = NONE;
        }
        let above = self.slot_above(other);
        self.set_parent_below(other, above);
    }

    pub(super) fn was_told(&self, slot: CgroupId) -> bool {
        self.slots.held(slot).is_some_and(|held| held.since != self.tick)
    }

    pub(super) fn unwatch_events(&mut self, slot: CgroupId) {
        if let (Some((_, held)), Some(watcher)) = (self.slots.both(slot), &mut self.watcher) {
            watcher.end(held.events);
        }
    }

    /// Takes the folder in, if it is a workload or lies at the top; and its parent, if it is a workload.
    pub(super) fn recognise(&mut self, node: NodeId) {
        let path = [b"/", self.tree.path(node).as_slice()].concat();
        let workload = (self.options.recognise)(&String::from_utf8_lossy(&path));
        let Some(folder) = self.tree.node_mut(node) else { return };
        folder.recognised = workload.is_some();
        let (parent, top) = (folder.parent, folder.depth == 1);
        if workload.is_some() {
            self.mark_bearing(node);
            self.take_in(parent, None);
        }
        if workload.is_some() || top {
            self.take_in(node, workload);
        }
    }

    fn mark_bearing(&mut self, node: NodeId) {
        let mut at = node;
        while let Some(node) = self.tree.node_mut(at).filter(|node| !node.bears) {
            node.bears = true;
            at = node.parent;
        }
    }

    /// Gives the folder a place among those that are read, unless it has one or its twin serves it.
    pub(super) fn take_in(&mut self, node: NodeId, workload: Option<Workload>) {
        let Some(folder) = self.tree.node(node) else { return };
        if folder.slot != NONE || (folder.hierarchy != 0 && folder.twin != NONE) {
            return;
        }
        let birth = if folder.born == self.tick { Birth::Now } else { Birth::Unknown };
        let (top_level, is_root) = (folder.depth == 1, folder.is_root());
        let unified = self.hierarchy(node).is_some_and(|hierarchy| hierarchy.version == Version::V2);
        let parent = self.slot_above(node);
        let slot = self.slots.take(node, self.tick, unified, workload);
        if let Some((cgroup, _)) = self.slots.both(slot) {
            (cgroup.birth, cgroup.top_level, cgroup.parent) = (birth, top_level, parent);
        }
        if let Some(folder) = self.tree.node_mut(node) {
            folder.slot = slot;
        }
        let opened = self.open_cpu(slot);
        if is_root && opened.is_err() {
            // The root of an older kernel has no figure of its own, and nothing is amiss.
            self.slots.withdraw(slot);
            if let Some(folder) = self.tree.node_mut(node) {
                folder.slot = NONE;
            }
            return;
        }
        self.glance(slot);
        self.set_parent_below(node, Some(slot));
        self.details.newborn.push(slot);
    }

    pub(super) fn slot_above(&self, node: NodeId) -> Option<CgroupId> {
        self.tree.ancestors(node).map(|(_, above)| self.tree.serving(above)).find(|&slot| slot != NONE)
    }

    /// Hangs those that are read below `node`, up to the next one that is read, under `parent`.
    pub(super) fn set_parent_below(&mut self, node: NodeId, parent: Option<CgroupId>) {
        let mut pending = self.tree.node(node).map(|node| self.tree.inside(node)).unwrap_or_default();
        while let Some(below) = pending.pop().and_then(|id| self.tree.node(id)) {
            let slot = self.tree.serving(below);
            if slot == NONE {
                pending.extend(self.tree.inside(below));
            } else if let Some((cgroup, _)) = self.slots.both(slot) {
                cgroup.parent = parent;
            }
        }
    }

    /// The folder and all in it are gone.
    pub(super) fn remove(&mut self, node: NodeId) {
        for removed in self.tree.remove(node) {
            if let Some(watcher) = &mut self.watcher {
                watcher.end(removed.watch);
            }
            if removed.slot != NONE {
                self.unwatch_events(removed.slot);
                self.last_look(removed.slot);
                self.slots.mark_gone(removed.slot);
                self.end_overlaps(removed.slot);
            }
            if self.is_twofold() {
                self.overlaps.forget(removed.id);
            }
            if removed.twin != NONE {
                // What lies in the twin alone hung under the one that goes.
                let above = self.slot_above(removed.twin);
                self.set_parent_below(removed.twin, above);
            }
            self.removed.push(removed.id);
        }
    }

    /// Whether the folder is still the one that was met.
    pub(super) fn lives(&self, node: NodeId) -> bool {
        let inode = self.tree.node(node).map_or(0, |node| node.inode);
        match self.look(node) {
            Ok(look) => look.inode == inode,
            Err(errno) => !vanished(errno),
        }
    }

    /// The names of the folders in the folder, which is then known completely.
    pub(super) fn folders_in(&mut self, node: NodeId, look: Look) -> Option<Vec<Box<[u8]>>> {
        let listed = match (look.folders, self.hierarchy(node)) {
            (Some(0), _) | (_, None) => Ok(Vec::new()),
            (_, Some(hierarchy)) => hierarchy.folder.folders(&self.tree.path(node)),
        };
        match listed {
            Ok(names) => {
                let tick = self.tick;
                if let Some(node) = self.tree.node_mut(node) {
                    node.complete = tick;
                }
                Some(names)
            }
            Err(errno) => {
                if !vanished(errno) {
                    self.fault(node, errno);
                }
                None
            }
        }
    }

    pub(super) fn fault(&mut self, node: NodeId, errno: Errno) {
        let path = self.hierarchy(node).map(|hierarchy| hierarchy.folder.full(&self.tree.path(node)));
        self.faults.add(Error::io(&path.unwrap_or_default(), errno.into()));
    }

    /// The CPU time of a cgroup that goes: a fixture's file can still be read, a real one's last figure stays.
    pub(super) fn last_look(&mut self, slot: CgroupId) {
        let Some((cgroup, held)) = self.slots.living(slot) else { return };
        let version = if held.unified { Version::V2 } else { Version::V1 };
        let mut text = [0; super::cpu::LINE];
        let length = held.cpu.as_ref().map_or(0, |file| rustix::io::pread(file, &mut text, 0).unwrap_or(0));
        if let Figure::Whole(figure) | Figure::Cut(figure) =
            version.cpu_figure(text.get(..length).unwrap_or_default())
        {
            cgroup.cpu = cgroup.cpu.max(Some(version.duration(figure)));
        }
    }
}
