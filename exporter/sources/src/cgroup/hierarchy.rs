//! Which cgroup hierarchies this machine has, told by their folders so that a fixture tree is as good as a mount.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

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

/// One hierarchy that CPU time is read from, and where the other figures of its cgroups are.
#[derive(Debug)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    pub(super) folder: Folder,
    /// The node of its root.
    pub(super) root: NodeId,
    controllers: Option<Controllers>,
}

/// The v1 hierarchies beside `cpuacct`, in which a cgroup has the same path.
#[derive(Debug)]
struct Controllers {
    memory: Option<Folder>,
    cpuset: Option<Folder>,
    cpu: Option<Folder>,
}

impl Hierarchy {
    /// Where the files of the memory controller are.
    pub(super) fn memory(&self) -> Option<&Folder> {
        self.controllers.as_ref().map_or(Some(&self.folder), |controllers| controllers.memory.as_ref())
    }

    /// Where the files of the cpuset controller are.
    pub(super) fn cpuset(&self) -> Option<&Folder> {
        self.controllers.as_ref().map_or(Some(&self.folder), |controllers| controllers.cpuset.as_ref())
    }

    /// Where the files of the cpu controller are.
    pub(super) fn cpu(&self) -> Option<&Folder> {
        self.controllers.as_ref().map_or(Some(&self.folder), |controllers| controllers.cpu.as_ref())
    }
}

/// Finds the hierarchies under `cgroupfs`; the one that comes first serves what is in both.
pub(super) fn detect(cgroupfs: &Path) -> Result<(Layout, Vec<Hierarchy>), Error> {
    if is_unified(cgroupfs) {
        return Ok((Layout::V2, vec![unified(cgroupfs)?]));
    }
    let mounts = Mounts::under(cgroupfs)?;
    let Some(cpuacct) = mounts.of("cpuacct") else {
        let expected = "cgroup.controllers (v2), or cpuacct or cpu,cpuacct (v1)";
        return Err(Error::malformed(cgroupfs, expected, mounts.names().as_bytes()));
    };
    let optional = |controller| mounts.of(controller).map(|path| Folder::open(&path)).transpose();
    let mut hierarchies = vec![Hierarchy {
        version: Version::V1,
        folder: Folder::open(&cpuacct)?,
        root: 0,
        controllers: Some(Controllers {
            memory: optional("memory")?,
            cpuset: optional("cpuset")?,
            cpu: optional("cpu")?,
        }),
    }];
    let beside = cgroupfs.join("unified");
    if !is_unified(&beside) {
        return Ok((Layout::V1, hierarchies));
    }
    hierarchies.push(unified(&beside)?);
    Ok((Layout::Hybrid, hierarchies))
}

fn is_unified(path: &Path) -> bool {
    path.join("cgroup.controllers").exists()
}

fn unified(path: &Path) -> Result<Hierarchy, Error> {
    Ok(Hierarchy { version: Version::V2, folder: Folder::open(path)?, root: 0, controllers: None })
}

/// The folders of a v1 cgroup root, named after the controllers that are mounted there.
struct Mounts<'a> {
    cgroupfs: &'a Path,
    names: Vec<OsString>,
}

impl<'a> Mounts<'a> {
    fn under(cgroupfs: &'a Path) -> Result<Self, Error> {
        let wrong = |error| Error::io(cgroupfs, error);
        let entries = cgroupfs.read_dir().map_err(wrong)?;
        let names = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<_, _>>().map_err(wrong)?;
        Ok(Self { cgroupfs, names })
    }

    /// `cpuacct`, or one that has it in a list: `cpu,cpuacct`.
    fn of(&self, controller: &str) -> Option<PathBuf> {
        let alone = self.cgroupfs.join(controller);
        if alone.is_dir() {
            return Some(alone);
        }
        let holds = |name: &&OsString| {
            name.to_str().is_some_and(|name| name.split(',').any(|part| part == controller))
        };
        self.names.iter().find(holds).map(|name| self.cgroupfs.join(name)).filter(|path| path.is_dir())
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
        detect(root.path()).map(|(layout, _)| layout)
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
        let (_, hierarchies) = detect(root.path()).unwrap();
        assert!(hierarchies[0].folder.full(b".").ends_with("cpu,cpuacct"));
    }
}
