//! Which cgroup hierarchies this machine has, told by their folders so that a fixture tree is as good as a mount.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::Folder;
use super::parse::Version;
use super::tree::NodeId;
use crate::Error;

/// How the machine's cgroups are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One hierarchy for each controller.
    V1,
    /// The unified hierarchy alone.
    V2,
    /// v1 controllers, and beside them a unified hierarchy that serves only what they lack.
    Hybrid,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "cgroup v1",
            Self::V2 => "cgroup v2",
            Self::Hybrid => "cgroup v1 with the unified hierarchy beside it",
        })
    }
}

/// One hierarchy that CPU time is read from.
#[derive(Debug)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    pub(super) folder: Arc<Folder>,
    /// The node of its root.
    pub(super) root: NodeId,
}

impl Hierarchy {
    const fn new(version: Version, folder: Arc<Folder>) -> Self {
        Self { version, folder, root: 0 }
    }
}

/// Where the files of one controller are.
#[derive(Clone, Debug)]
pub(super) struct Controller {
    /// As it is called in `/proc/PID/cgroup`.
    pub(super) name: &'static str,
    pub(super) version: Version,
    pub(super) folder: Arc<Folder>,
}

/// The controllers that are read besides CPU time, and the other v1 hierarchies, in which a workload may have a folder.
#[derive(Debug, Default)]
pub(super) struct Controllers {
    pub(super) memory: Option<Controller>,
    pub(super) cpuset: Option<Controller>,
    pub(super) cpu: Option<Controller>,
    pub(super) hugetlb: Option<Controller>,
    /// v1 hierarchies in which a scheduler that does not account CPU time keeps its jobs, the best to count by first.
    pub(super) others: Vec<Controller>,
}

/// What is mounted.
#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) layout: Layout,
    /// The first serves what is in both.
    pub(super) hierarchies: Vec<Hierarchy>,
    pub(super) controllers: Controllers,
}

/// What tells one state of the mounts from another: each folder's path and identity.
type Signature = Vec<(PathBuf, (u64, u64))>;

/// The signature of the hierarchies that CPU time is read from.
pub(super) fn signature(hierarchies: &[Hierarchy]) -> Signature {
    hierarchies.iter().map(|one| one.folder.signature()).collect()
}

/// A file at the root of each v1 controller that is read: it identifies a hierarchy whatever its folder is called.
const MARKERS: [(&str, &str); 7] = [
    ("cpuacct", "cpuacct.usage"),
    ("memory", "memory.usage_in_bytes"),
    ("cpuset", "cpuset.cpus"),
    ("cpu", "cpu.shares"),
    ("hugetlb", "cgroup.clone_children"),
    ("freezer", "cgroup.clone_children"),
    ("devices", "devices.list"),
];

/// Finds the hierarchies under `cgroupfs`.
pub(super) fn detect(cgroupfs: &Path) -> Result<Mounted, Error> {
    if is_unified(cgroupfs) {
        return only_unified(cgroupfs);
    }
    let mounts = Mounts::under(cgroupfs)?;
    let mut known = Vec::new();
    let beside = mounts.unified().map(|path| open(&mut known, &path)).transpose()?;
    let mut controller = |name: &'static str| -> Result<Option<Controller>, Error> {
        let Some(path) = mounts.of(name) else { return Ok(None) };
        Ok(Some(Controller { name, version: Version::V1, folder: open(&mut known, &path)? }))
    };
    let cpuacct = controller("cpuacct")?;
    let mut controllers = Controllers {
        memory: controller("memory")?,
        cpuset: controller("cpuset")?,
        cpu: controller("cpu")?,
        hugetlb: controller("hugetlb")?,
        others: Vec::new(),
    };
    for name in ["freezer", "devices"] {
        controllers.others.extend(controller(name)?);
    }
    controllers.others.extend(controllers.memory.clone());
    controllers.others.extend(controllers.cpuset.clone());
    if let Some(folder) = &beside {
        let enabled =
            std::fs::read_to_string(folder.full(b".").join("cgroup.controllers")).unwrap_or_default();
        controllers.complete(folder, &enabled);
    }
    let classic = cpuacct.map(|cpuacct| Hierarchy::new(Version::V1, cpuacct.folder));
    let unified = beside.map(|folder| Hierarchy::new(Version::V2, folder));
    let layout = if unified.is_some() { Layout::Hybrid } else { Layout::V1 };
    let hierarchies: Vec<_> = classic.into_iter().chain(unified).collect();
    if hierarchies.is_empty() {
        let expected = "cgroup.controllers (v2), or cpuacct or cpu,cpuacct (v1)";
        return Err(Error::malformed(cgroupfs, expected, mounts.names().as_bytes()));
    }
    Ok(Mounted { layout, hierarchies, controllers })
}

/// Where the v1 hierarchy of a controller is, whatever its folder is called.
pub(crate) fn mount_of(cgroupfs: &Path, controller: &str) -> Option<PathBuf> {
    Mounts::under(cgroupfs).ok()?.of(controller)
}

fn only_unified(path: &Path) -> Result<Mounted, Error> {
    let folder = Arc::new(Folder::open(path)?);
    let mut controllers = Controllers::default();
    controllers.complete(&folder, "memory cpuset cpu hugetlb");
    let hierarchies = vec![Hierarchy::new(Version::V2, folder)];
    Ok(Mounted { layout: Layout::V2, hierarchies, controllers })
}

/// The folder at `path`; one that several controllers share is opened once.
fn open(known: &mut Vec<Arc<Folder>>, path: &Path) -> Result<Arc<Folder>, Error> {
    let folder = Folder::open(path)?;
    if let Some(same) = known.iter().find(|other| other.full(b".") == folder.full(b".")) {
        return Ok(Arc::clone(same));
    }
    let folder = Arc::new(folder);
    known.push(Arc::clone(&folder));
    Ok(folder)
}

impl Controllers {
    /// The signature of the controllers' hierarchies.
    pub(super) fn signature(&self) -> Signature {
        let named = [&self.memory, &self.cpuset, &self.cpu, &self.hugetlb].into_iter().flatten();
        named.chain(&self.others).map(|one| one.folder.signature()).collect()
    }

    /// What has no v1 hierarchy is read in the unified one, where it is `enabled`: a controller is in one of them only.
    /// <https://docs.kernel.org/admin-guide/cgroup-v2.html#mounting>
    fn complete(&mut self, unified: &Arc<Folder>, enabled: &str) {
        let here = |name| Controller { name, version: Version::V2, folder: Arc::clone(unified) };
        let enabled = |name: &str| enabled.split_ascii_whitespace().any(|one| one == name);
        let missing = [
            (&mut self.memory, "memory"),
            (&mut self.cpuset, "cpuset"),
            (&mut self.cpu, "cpu"),
            (&mut self.hugetlb, "hugetlb"),
        ];
        for (place, name) in missing {
            if place.is_none() && enabled(name) {
                *place = Some(here(name));
            }
        }
    }
}

fn is_unified(path: &Path) -> bool {
    path.join("cgroup.controllers").exists()
}

/// The folders of a v1 cgroup root, named after the controllers that are mounted there; or the one hierarchy that has
/// all controllers, mounted at the root itself.
struct Mounts<'a> {
    cgroupfs: &'a Path,
    names: Vec<OsString>,
    /// Whether the root itself is a v1 hierarchy: then its folders are cgroups.
    is_hierarchy: bool,
}

impl<'a> Mounts<'a> {
    fn under(cgroupfs: &'a Path) -> Result<Self, Error> {
        let wrong = |error| Error::io(cgroupfs, error);
        let entries = cgroupfs.read_dir().map_err(wrong)?;
        let mut names =
            entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        names.sort_unstable();
        let is_hierarchy = MARKERS.iter().any(|(_, marker)| cgroupfs.join(marker).is_file());
        Ok(Self { cgroupfs, names, is_hierarchy })
    }

    /// `cpuacct`, or one that has it in a list: `cpu,cpuacct`; else one that holds the controller's files.
    fn of(&self, controller: &str) -> Option<PathBuf> {
        let markers = || MARKERS.iter().filter(|(name, _)| *name == controller);
        let holds = |path: &Path| markers().any(|(_, marker)| path.join(marker).is_file());
        if self.is_hierarchy {
            return Some(self.cgroupfs.to_owned()).filter(|path| holds(path));
        }
        let alone = self.cgroupfs.join(controller);
        if alone.is_dir() {
            return Some(alone);
        }
        let lists = |name: &&OsString| {
            name.to_str().is_some_and(|name| name.split(',').any(|part| part == controller))
        };
        let listed = self.names.iter().find(lists).map(|name| self.cgroupfs.join(name));
        // A marker of its own: any v1 hierarchy has the general ones.
        let certain = markers().any(|(_, marker)| marker.starts_with(controller));
        let marked = || self.folders().filter(|_| certain).find(|path| holds(path));
        listed.filter(|path| path.is_dir()).or_else(marked)
    }

    /// The unified hierarchy beside the v1 ones: systemd mounts it at `unified`.
    fn unified(&self) -> Option<PathBuf> {
        if self.is_hierarchy {
            return None;
        }
        let usual = self.cgroupfs.join("unified");
        std::iter::once(usual).chain(self.folders()).find(|path| is_unified(path))
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        self.names.iter().map(|name| self.cgroupfs.join(name)).filter(|path| path.is_dir())
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.names.iter().map(|name| name.to_string_lossy()).collect();
        if names.is_empty() { "an empty folder".to_owned() } else { names.join(" ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn layout(folders: &[&str]) -> Result<Layout, Error> {
        let root = tempfile::tempdir().unwrap();
        for folder in folders {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        detect(root.path()).map(|mounted| mounted.layout)
    }

    #[test]
    fn layouts_are_told_by_their_folders() {
        assert_eq!(layout(&["cgroup.controllers"]).unwrap(), Layout::V2);
        assert_eq!(layout(&["cpuacct", "memory"]).unwrap(), Layout::V1);
        assert_eq!(layout(&["cpu,cpuacct", "memory"]).unwrap(), Layout::V1);
        assert_eq!(layout(&["cpuset,cpu,cpuacct", "unified"]).unwrap(), Layout::V1);
        assert_eq!(layout(&["cpuacct", "unified/cgroup.controllers"]).unwrap(), Layout::Hybrid);
    }

    #[test]
    fn all_controllers_may_be_mounted_together() {
        let root = tempfile::tempdir().unwrap();
        for file in ["cpuacct.usage", "memory.usage_in_bytes", "docker/cpuacct.usage", "cpuset/cpuset.cpus"] {
            fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
            fs::write(root.path().join(file), "0\n").unwrap();
        }
        let mounted = detect(root.path()).unwrap();
        assert_eq!((mounted.layout, mounted.hierarchies.len()), (Layout::V1, 1));
        let memory = mounted.controllers.memory.unwrap();
        assert!(Arc::ptr_eq(&memory.folder, &mounted.hierarchies[0].folder));
        assert!(mounted.controllers.cpuset.is_none(), "a cgroup called cpuset is no hierarchy");

        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("all")).unwrap();
        fs::write(root.path().join("all/cpuacct.usage"), "0\n").unwrap();
        fs::write(root.path().join("all/memory.usage_in_bytes"), "0\n").unwrap();
        let mounted = detect(root.path()).unwrap();
        assert!(mounted.controllers.memory.is_some() && mounted.hierarchies.len() == 1);
    }

    #[test]
    fn a_controller_is_read_where_it_is() {
        let mounted = |folders: &[&str], enabled: &str| {
            let root = tempfile::tempdir().unwrap();
            for folder in folders {
                fs::create_dir_all(root.path().join(folder)).unwrap();
            }
            fs::create_dir_all(root.path().join("unified")).unwrap();
            fs::write(root.path().join("unified/cgroup.controllers"), enabled).unwrap();
            detect(root.path()).unwrap()
        };
        let version = |controller: &Option<Controller>| controller.as_ref().map(|one| one.version);
        let found = mounted(&["memory", "freezer"], "cpu hugetlb\n");
        assert_eq!((found.layout, found.hierarchies.len()), (Layout::Hybrid, 1));
        assert_eq!(found.hierarchies[0].version, Version::V2);
        assert_eq!(version(&found.controllers.memory), Some(Version::V1));
        assert_eq!(version(&found.controllers.cpu), Some(Version::V2));
        assert_eq!(version(&found.controllers.hugetlb), Some(Version::V2));
        assert_eq!(version(&found.controllers.cpuset), None);
        let found = mounted(&["cpuacct"], "memory\n");
        assert_eq!(found.hierarchies.len(), 2);
        assert_eq!(version(&found.controllers.memory), Some(Version::V2));
    }

    #[test]
    fn where_nothing_is_the_error_says_what_was_looked_for() {
        let error = layout(&["blkio"]).unwrap_err().to_string();
        assert!(error.contains("cgroup.controllers") && error.contains("cpuacct"), "{error}");
        assert!(error.contains("blkio"), "{error}");
        let error = detect(Path::new("/nowhere/cgroup")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/cgroup"), "{error}");
    }

    #[test]
    fn links_between_the_mounts_are_followed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("cpu,cpuacct")).unwrap();
        std::os::unix::fs::symlink("cpu,cpuacct", root.path().join("cpuacct")).unwrap();
        let mounted = detect(root.path()).unwrap();
        assert!(mounted.hierarchies[0].folder.full(b".").ends_with("cpu,cpuacct"));
    }
}
