//! Where a workload's folder is in a v1 hierarchy in which it has another path than in the one with its CPU time.
//!
//! On v1 nothing makes the hierarchies alike. A kubelet on the systemd driver beside a runtime on cgroupfs, or the
//! reverse, gives one container two paths. <https://docs.kernel.org/admin-guide/cgroup-v1/cgroups.html>

use std::collections::HashMap;
use std::time::{Duration, Instant};

use noether_core::workload::Workload;
use rustix::io::Errno;

use super::CgroupTree;
use super::folder::Folder;
use super::hierarchy::Controller;
use super::parse::{self, Version};
use super::tree::NodeId;

/// A hierarchy is walked again for a workload that is new at the earliest after this time,
const NEW: Duration = Duration::from_secs(1);
/// and for one that is not: most likely it has no folder there.
const OLD: Duration = Duration::from_secs(30);
/// Deeper folders are not walked.
const DEEPEST: usize = 32;
/// How many processes are asked where they are.
const ASKED: usize = 4;

/// The workloads of the hierarchies, as far as they were looked for.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    walked: HashMap<&'static str, Walked>,
}

#[derive(Debug)]
struct Walked {
    at: Instant,
    paths: HashMap<String, Vec<Vec<u8>>>,
}

impl CgroupTree {
    /// The path of the folder's workload in the hierarchy of `controller`; `None` where it has no folder there.
    pub(super) fn place(&mut self, controller: &Controller, node: NodeId, new: bool) -> Option<Vec<u8>> {
        let path = self.tree.path(node);
        let same =
            self.hierarchy(node).is_some_and(|own| std::sync::Arc::ptr_eq(&own.folder, &controller.folder));
        if same || controller.version == Version::V2 {
            return Some(path);
        }
        let there = controller.folder.look(&path).is_ok();
        if there && !is_vacant(&controller.folder, &path) {
            return Some(path);
        }
        let found = self.place_by_identity(controller, &path, new);
        if there {
            // It stands empty: the processes are where the same workload has another folder, if it has one.
            return Some(found.filter(|found| !is_vacant(&controller.folder, found)).unwrap_or(path));
        }
        found.or_else(|| self.place_by_process(controller, node))
    }

    fn place_by_identity(&mut self, controller: &Controller, path: &[u8], new: bool) -> Option<Vec<u8>> {
        let key = self.identity(path)?;
        let longest = if new { NEW } else { OLD };
        let known = self.elsewhere.walked.get(controller.name);
        let stale = known.is_none_or(|walked| {
            let found = walked
                .paths
                .get(&key)
                .is_some_and(|paths| paths.iter().any(|path| controller.folder.look(path).is_ok()));
            !found && walked.at.elapsed() >= longest
        });
        if stale {
            let paths = self.walk(&controller.folder);
            self.elsewhere.walked.insert(controller.name, Walked { at: Instant::now(), paths });
        }
        let paths = self.elsewhere.walked.get(controller.name)?.paths.get(&key)?;
        let others = || paths.iter().filter(|other| *other != path && controller.folder.look(other).is_ok());
        others().find(|other| !is_vacant(&controller.folder, other)).or_else(|| others().next()).cloned()
    }

    /// What the path stands for, if the same thing may have another path elsewhere.
    fn identity(&self, path: &[u8]) -> Option<String> {
        let path = format!("/{}", String::from_utf8_lossy(path));
        Some(match (self.options.recognise)(&path)? {
            Workload::Container { id, .. } | Workload::NestedContainer { id, .. } => {
                format!("container {id}")
            }
            // A user may give any name to a folder, so it stands for nobody else's.
            Workload::UserContainer { user, id, .. } => format!("container {id} of user {user}"),
            Workload::Pod { uid, .. } => format!("pod {uid}"),
            Workload::Job { scheduler, id, .. } => format!("{scheduler} job {id:?}"),
            Workload::Vm { name } => format!("machine {name}"),
            // systemd gives a unit one path in all hierarchies.
            Workload::Unit { .. } => return None,
        })
    }

    /// The paths of all workloads of a hierarchy.
    fn walk(&self, folder: &Folder) -> HashMap<String, Vec<Vec<u8>>> {
        let mut found: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
        let mut pending = vec![(Vec::new(), 0)];
        while let Some((path, depth)) = pending.pop() {
            let inside = folder.folders(if path.is_empty() { b"." } else { &path }).unwrap_or_default();
            for name in inside.into_iter().filter(|_| depth < DEEPEST) {
                let path = if path.is_empty() { name.to_vec() } else { [&path, &b"/"[..], &name].concat() };
                pending.push((path, depth + 1));
            }
            if let Some(key) = self.identity(&path) {
                found.entry(key).or_default().push(path);
            }
        }
        found
    }

    /// Where the cgroup's processes are in the hierarchy of the controller, unless that is its root.
    fn place_by_process(&self, controller: &Controller, node: NodeId) -> Option<Vec<u8>> {
        let pids = self.pids_below(node).ok()?;
        pids.into_iter().take(ASKED).find_map(|pid| self.path_of(pid, controller.name))
    }

    /// The path of a process in the hierarchy of a controller (of the unified one, where it is empty), without the slash
    /// in front; `None` for the root.
    pub(super) fn path_of(&self, pid: u32, controller: &str) -> Option<Vec<u8>> {
        let content = std::fs::read(self.procfs.join(format!("{pid}/cgroup"))).ok()?;
        let path = parse::path_in(&content, controller)?;
        let path = path.strip_prefix(b"/")?;
        (!path.is_empty() && !path.starts_with(b"..")).then(|| path.to_vec())
    }
}

/// Whether no process is in the folder, nor any folder.
fn is_vacant(folder: &Folder, path: &[u8]) -> bool {
    if folder.look(path).is_ok_and(|look| look.folders != Some(0)) {
        return false;
    }
    let mut text = [0; 16];
    let read = folder.file(path, "cgroup.procs").and_then(|file| rustix::io::pread(file, &mut text, 0));
    matches!(read, Ok(0) | Err(Errno::NOENT))
}
