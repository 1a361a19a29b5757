//! The safety net: a sweep over all known folders, a few at each tick, that finds what inotify did not tell.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::CgroupTree;
use super::folder::{Look, vanished};
use super::tree::{NONE, NodeId, UNWATCHED};

/// A pass over all folders takes at least this long while inotify works.
const SHORTEST: Duration = Duration::from_secs(10);
/// And this long on a real cgroup file system, where no file is replaced, a held descriptor tells at each tick whether
/// its cgroup lives, and looking at a folder costs as much as reading three.
const SHORTEST_GENUINE: Duration = Duration::from_secs(60);
/// And at most this long.
const LONGEST: Duration = Duration::from_secs(300);
/// A pass takes this many times the CPU time that it costs: a third of a percent of a core.
const THRIFT: u32 = 300;
/// The same where folders are not watched and the sweep is all there is: one percent. A small tree is then looked
/// at in whole at each tick, so that new folders are known to be new.
const THRIFT_ALONE: u32 = 100;
/// And then at least so many folders at each tick.
const FEWEST_ALONE: usize = 64;
/// How many folders one tick looks at, at most: 100,000 must not hold it up.
const MOST: usize = 2000;

/// Where the sweep is.
#[derive(Debug)]
pub(super) struct Sweep {
    next: NodeId,
    /// How many folders are due; fractions add up.
    due: f64,
    /// What the present pass has cost.
    cost: Duration,
    /// What the last whole pass cost.
    last_cost: Duration,
    at: Instant,
    /// How many folders are to be listed even if the number of folders in them is as known.
    thorough: usize,
}

impl Sweep {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            due: 0.0,
            cost: Duration::ZERO,
            last_cost: Duration::ZERO,
            at: Instant::now(),
            thorough: 0,
        }
    }

    /// Events were lost: everything is due now.
    pub(super) fn hurry(&mut self, folders: usize) {
        self.thorough = folders;
        self.due = folders as f64;
    }

    /// How many folders to look at now.
    fn due(&mut self, folders: usize, watched: bool, genuine: bool) -> usize {
        let now = Instant::now();
        let passed = now.duration_since(std::mem::replace(&mut self.at, now));
        let period = if watched {
            let shortest = if genuine { SHORTEST_GENUINE } else { SHORTEST };
            (self.last_cost * THRIFT).clamp(shortest, LONGEST)
        } else {
            (self.last_cost * THRIFT_ALONE).clamp(Duration::from_millis(1), LONGEST)
        };
        let all = folders as f64;
        self.due = (self.due + all * passed.as_secs_f64() / period.as_secs_f64()).min(all);
        let fewest = if watched { 0 } else { FEWEST_ALONE.min(folders) };
        (self.due as usize).clamp(fewest, MOST)
    }
}

impl CgroupTree {
    /// Looks at the folders that are due.
    pub(super) fn sweep_some(&mut self) {
        let places = self.tree.places();
        let genuine = self.hierarchies.iter().all(|hierarchy| hierarchy.folder.genuine);
        let due = self.sweep.due(places, self.watches_all(), genuine);
        if due == 0 {
            return;
        }
        self.sweep.due = (self.sweep.due - due as f64).max(0.0);
        let mut before = cpu_time();
        for _ in 0..due {
            if self.sweep.next as usize >= places {
                let now = cpu_time();
                self.sweep.last_cost = self.sweep.cost + now.saturating_sub(before);
                (self.sweep.next, self.sweep.cost, before) = (0, Duration::ZERO, now);
                self.said_unwatched &= !self.watches_all();
            }
            let node = self.sweep.next;
            self.sweep.next += 1;
            self.sweep.thorough = self.sweep.thorough.saturating_sub(1);
            if self.tree.node(node).is_some() {
                self.visit(node);
            }
        }
        self.sweep.cost += cpu_time().saturating_sub(before);
    }

    fn visit(&mut self, node: NodeId) {
        match self.look(node) {
            Ok(look) if self.is_same(node, look) => self.check(node, look),
            Ok(_) => self.replace(node),
            Err(errno) if vanished(errno) && !self.is_root(node) => self.remove(node),
            Err(errno) => self.fault(node, errno),
        }
    }

    fn is_same(&self, node: NodeId, look: Look) -> bool {
        // A root is what is mounted there, whatever its number.
        self.is_root(node) || self.tree.node(node).is_some_and(|node| node.inode == look.inode)
    }

    fn is_root(&self, node: NodeId) -> bool {
        self.tree.node(node).is_some_and(super::tree::Node::is_root)
    }

    /// Another folder has the name now, since an unknown time.
    fn replace(&mut self, node: NodeId) {
        let Some((parent, name)) = self.tree.node(node).map(|node| (node.parent, node.name.clone())) else {
            return;
        };
        self.remove(node);
        self.discover(vec![(parent, name)], false);
    }

    fn check(&mut self, node: NodeId, look: Look) {
        let Some(folder) = self.tree.node(node) else { return };
        let (slot, twin, unwatched) = (folder.slot, folder.twin, folder.watch == UNWATCHED);
        if unwatched {
            self.watch(node);
        }
        self.reconcile(node, look);
        if slot != NONE {
            self.reopen(slot);
            self.watch_events(slot);
            self.refresh_reserved(slot);
        } else if twin == NONE {
            // On a hybrid host: its twin in the v1 hierarchy went, and it stayed.
            self.recognise_again(node);
        }
    }

    fn recognise_again(&mut self, node: NodeId) {
        let due = self.tree.node(node).is_some_and(|node| {
            node.hierarchy != 0 && (node.recognised || node.depth == 1) && !node.is_root()
        });
        if due {
            self.recognise(node);
        }
    }

    /// Compares the folders in it with those that are known.
    fn reconcile(&mut self, node: NodeId, look: Look) {
        let Some(folder) = self.tree.node(node) else { return };
        // Who was complete at the previous tick can only have got what was made since.
        let now = folder.complete != 0 && folder.complete.saturating_add(1) >= self.tick;
        // Where events may have been missed, one gone and one come leave the number as it was.
        let count_tells = folder.watch != UNWATCHED && self.sweep.thorough == 0;
        let known = folder.children.len();
        if look.folders != Some(known) || (known > 0 && !count_tells) {
            let known = folder.children.clone();
            let Some(mut listed) = self.folders_in(node, look) else { return };
            listed.sort_unstable();
            self.remove_unlisted(&known, &listed);
            let new = listed.into_iter().filter(|name| self.tree.child(node, name).is_none());
            self.discover(new.map(|name| (node, name)).collect(), now);
        }
        let tick = self.tick;
        if let Some(folder) = self.tree.node_mut(node) {
            folder.complete = tick;
        }
    }

    fn remove_unlisted(&mut self, known: &[NodeId], listed: &[Box<[u8]>]) {
        for &child in known {
            let name = self.tree.node(child).map(|child| &child.name);
            if name.is_some_and(|name| listed.binary_search(name).is_err())
                && self.look(child).is_err_and(vanished)
            {
                self.remove(child);
            }
        }
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
