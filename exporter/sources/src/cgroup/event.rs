//! What inotify reported, carried out in the order in which it happened.

use super::CgroupTree;
use super::tree::{NONE, NodeId, UNWATCHED};
use super::watch::Event;
use crate::Error;

impl CgroupTree {
    /// Handles what happened, as long as there is more and `go_on` says so.
    pub(super) fn handle_events(&mut self, mut go_on: impl FnMut() -> bool) {
        let mut events = std::mem::take(&mut self.events);
        loop {
            let more = self.watcher.as_mut().is_some_and(|watcher| watcher.drain(&mut events));
            for event in events.drain(..) {
                self.handle(event);
            }
            if !more || !go_on() {
                break;
            }
        }
        self.events = events;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Made(parent, name) => self.made(parent, name, true),
            Event::Came(parent, name) => self.made(parent, name, false),
            Event::Removed(parent, name) => {
                // The name may stand for a later folder already, which the next event or a scan brought.
                if let Some(node) = self.tree.child(parent, &name).filter(|&node| !self.lives(node)) {
                    self.remove(node);
                }
            }
            Event::File(folder, name) => self.file_made(folder, &name),
            Event::Changed(node) => {
                if let Some(slot) = self.tree.node(node).map(|node| node.slot) {
                    self.glance(slot);
                }
            }
            Event::Ended(node) => {
                if let Some(node) = self.tree.node_mut(node) {
                    node.watch = UNWATCHED;
                }
            }
            Event::Overflow => self.overflow(),
        }
    }

    fn made(&mut self, parent: NodeId, name: Box<[u8]>, now: bool) {
        if let Some(node) = self.tree.child(parent, &name) {
            if self.lives(node) {
                return;
            }
            self.remove(node);
        }
        self.discover(vec![(parent, name)], now);
    }

    /// On a fixture tree: a new cgroup's file is there, or one was put in the place of another.
    fn file_made(&mut self, folder: NodeId, name: &[u8]) {
        let slot = self.tree.node(folder).map_or(NONE, |node| node.slot);
        let ours = self.hierarchy(folder).map(|hierarchy| hierarchy.version.cpu_file().as_bytes());
        if slot != NONE && ours == Some(name) {
            self.reopen(slot);
            let _told_at_the_tick = self.open_cpu(slot);
        } else if slot != NONE && name == b"cgroup.events" {
            self.watch_events(slot);
        }
    }

    /// The queue overflowed.
    pub(super) fn overflow(&mut self) {
        let path = self.procfs.join("sys/fs/inotify/max_queued_events");
        let lost =
            std::io::Error::other("more happened than the queue holds; all folders are looked at again");
        self.faults.add(Error::io(&path, lost));
        self.sweep.hurry(self.tree.places());
    }
}
