//! The cgroups of the machine: which exist, which of them are workloads, and what each has used.
//!
//! A tick is one `pread` per cgroup on a held descriptor. What is made and removed comes from inotify while the tick
//! thread waits, so that a cgroup that lives shorter than a tick is seen too; a slow sweep over all folders is the
//! safety net, and stands in where there is no inotify.

mod cpu;
mod details;
mod elsewhere;
mod event;
mod faults;
mod folder;
mod hierarchy;
mod huge_pages;
mod overlap;
mod parse;
mod population;
mod remount;
mod slots;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;
mod uncounted;
mod watch;

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use noether_core::reading::Fault;
use noether_core::sample::{Cgroup, CgroupId, Sockets};
use noether_core::workload::Workload;

pub use hierarchy::Layout;
pub(crate) use hierarchy::mount_of;
pub(crate) use parse::path_in;
pub use uncounted::{UNCOUNTED_REMEDY, uncounted_text};

use crate::{Error, Machine};
use details::Details;
use elsewhere::Elsewhere;
use faults::Faults;
use hierarchy::{Controllers, Hierarchy, Mounted};
use huge_pages::HugePages;
use overlap::Overlaps;
use slots::Slots;
use sweep::Sweep;
use tree::{NONE, NodeId, Tree};
use watch::{Event, Watcher};

/// Which sockets the processors of a list such as `0-3,8` lie on.
pub type SocketsOf = Box<dyn Fn(&str) -> Sockets + Send>;

/// What is read, and by whose rules.
pub struct Options {
    /// What the cgroup at a path is.
    pub recognise: fn(&str) -> Option<Workload>,
    /// Reads cpusets where it is given: on machines of more than one socket.
    pub sockets: Option<SocketsOf>,
    /// Whether memory is read: where there is a dram domain.
    pub memory: bool,
    /// Whether limits are read: under the idle policy `requests`.
    pub reserved: bool,
    /// Whether inotify is used; without it, sweeps come faster.
    pub inotify: bool,
    /// How many descriptors may be held open; beyond, files are opened each time they are read.
    pub max_descriptors: usize,
}

/// The cgroups of the machine.
pub struct CgroupTree {
    /// Where all is mounted.
    cgroupfs: PathBuf,
    layout: Layout,
    hierarchies: Vec<Hierarchy>,
    controllers: Controllers,
    options: Options,
    procfs: PathBuf,
    page_size: u64,
    tree: Tree,
    slots: Slots,
    watcher: Option<Watcher>,
    /// Whether it was said that a watch is lacking.
    said_unwatched: bool,
    sweep: Sweep,
    details: Details,
    elsewhere: Elsewhere,
    overlaps: Overlaps,
    huge_pages: HugePages,
    faults: Faults,
    /// The tick that comes next; never 0.
    tick: u32,
    /// Folders removed since the previous tick, and those removed before it: names are kept while they are told.
    removed: Vec<NodeId>,
    removed_before: Vec<NodeId>,
    events: Vec<Event>,
    troubled: Vec<CgroupId>,
    path: Vec<u8>,
}

impl CgroupTree {
    /// Finds the hierarchies under `machine.cgroupfs` and walks them once, completely.
    pub fn open(machine: &Machine, options: Options) -> Result<Self, Error> {
        let Mounted { layout, hierarchies, controllers } = hierarchy::detect(&machine.cgroupfs)?;
        let mut this = Self {
            cgroupfs: machine.cgroupfs.clone(),
            layout,
            hierarchies,
            controllers,
            options,
            procfs: machine.procfs.clone(),
            page_size: machine.page_size,
            tree: Tree::default(),
            slots: Slots::default(),
            watcher: None,
            said_unwatched: false,
            sweep: Sweep::new(),
            details: Details::new(),
            elsewhere: Elsewhere::default(),
            overlaps: Overlaps::default(),
            huge_pages: HugePages::new(&machine.procfs),
            faults: Faults::default(),
            tick: 1,
            removed: Vec::new(),
            removed_before: Vec::new(),
            events: Vec::new(),
            troubled: Vec::new(),
            path: Vec::new(),
        };
        this.start_inotify();
        this.populate();
        Ok(this)
    }

    /// Sleeps for `timeout`; what is made, empties or is removed meanwhile is looked at right away.
    pub fn wait(&mut self, timeout: Duration) {
        let start = std::time::Instant::now();
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            match &self.watcher {
                None => return std::thread::sleep(left),
                Some(watcher) if !watcher.wait(left) => return,
                Some(_) => self.handle_events(|| start.elapsed() < timeout),
            }
            if start.elapsed() >= timeout {
                return;
            }
        }
    }

    /// Reads every cgroup: one tick. `faults` gets the first few errors since the last one;
    /// [`CgroupTree::fault_counts`] counts all.
    pub fn read(&mut self, faults: &mut Vec<Error>) -> &[Cgroup] {
        self.slots.begin();
        for node in self.removed_before.drain(..) {
            self.tree.forget(node);
        }
        let mut rounds = 0;
        self.handle_events(|| {
            rounds += 1;
            rounds < 64
        });
        self.sweep_some();
        self.read_cpu();
        self.refresh_details();
        std::mem::swap(&mut self.removed, &mut self.removed_before);
        self.slots.finish();
        self.tick = self.tick.checked_add(1).unwrap_or(1);
        self.faults.tell(faults);
        &self.slots.cgroups
    }

    /// How the hierarchies are laid out.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// How many folders are known, read or not.
    pub fn folders(&self) -> usize {
        self.tree.len()
    }

    /// Whether every folder is watched; if not, sweeps stand in, and what lives shorter than one is missed.
    pub fn watches_all(&self) -> bool {
        self.watcher.as_ref().is_some_and(|watcher| watcher.folders() >= self.tree.len())
    }

    /// How many errors there were since the start, by reason.
    pub fn fault_counts(&self) -> impl Iterator<Item = (Fault, u64)> {
        self.faults.counts()
    }

    /// Reads memory from now on, or no longer.
    pub fn want_memory(&mut self, memory: bool) {
        if memory && !self.options.memory {
            self.details.refresh_all(&self.slots);
        }
        self.options.memory = memory;
    }

    /// Counts huge pages as memory of their users from now on, or no longer: `None` where it is not known whether the
    /// machine has any.
    pub fn want_huge_pages(&mut self, pool: Option<bool>) {
        if self.huge_pages.want(pool) {
            self.details.refresh_all(&self.slots);
        }
    }

    /// Reads cpusets from now on, by other rules than before: processors came or went, so each may lie elsewhere.
    pub fn set_sockets(&mut self, sockets: SocketsOf) {
        self.options.sockets = Some(sockets);
        self.details.refresh_all(&self.slots);
    }

    /// Reads limits from now on, or no longer.
    pub fn want_reserved(&mut self, reserved: bool) {
        if reserved && !self.options.reserved {
            self.details.refresh_all(&self.slots);
        }
        self.options.reserved = reserved;
    }

    /// Where the cgroup is, for messages; also of one that the last tick told to be gone. Empty for an unknown id.
    pub fn path(&self, id: CgroupId) -> PathBuf {
        let taken = self.slots.cgroups.get(id as usize).is_some_and(|cgroup| cgroup.present);
        let held = self.slots.held(id).filter(|_| taken);
        held.map(|held| self.full_path(held.node, held.unified)).unwrap_or_default()
    }

    /// Where the cgroup is below the root of its hierarchy; empty for an unknown id.
    pub fn path_below(&self, id: CgroupId) -> PathBuf {
        let node = self.slots.held(id).map(|held| self.tree.path(held.node));
        node.map(|path| PathBuf::from(OsString::from_vec(path))).unwrap_or_default()
    }

    fn full_path(&self, node: NodeId, unified: bool) -> PathBuf {
        let hierarchy = if unified { self.hierarchies.last() } else { self.hierarchies.first() };
        hierarchy.map(|hierarchy| hierarchy.folder.full(&self.tree.path(node))).unwrap_or_default()
    }

    /// The processes in the cgroup and in all below it.
    pub fn pids(&self, id: CgroupId) -> Vec<u32> {
        let node = self.slots.held(id).map_or(NONE, |held| held.node);
        let mut pids = self.pids_below(node).unwrap_or_default();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// The hierarchy of a folder.
    fn hierarchy(&self, node: NodeId) -> Option<&Hierarchy> {
        self.hierarchies.get(usize::from(self.tree.node(node)?.hierarchy))
    }
}

impl fmt::Debug for CgroupTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CgroupTree")
            .field("layout", &self.layout)
            .field("folders", &self.tree.len())
            .field("cgroups", &self.slots.cgroups.len())
            .finish_non_exhaustive()
    }
}
