//! A cgroup file system of plain folders.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use noether_core::sample::{Cgroup, CgroupId, Sockets};
use noether_core::workload::Workload;

use crate::cgroup::{CgroupTree, Options};
use crate::{Error, Machine};

pub(super) struct Fixture {
    root: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn v2() -> Self {
        let this = Self { root: tempfile::tempdir().unwrap() };
        this.write("cg/cgroup.controllers", "cpu memory\n");
        this.cpu("", 1_000_000);
        this
    }

    pub(super) fn v1() -> Self {
        let this = Self { root: tempfile::tempdir().unwrap() };
        for controller in ["cpuacct", "memory", "cpuset", "cpu"] {
            fs::create_dir_all(this.at(controller)).unwrap();
        }
        this.write("cg/cpuacct/cpuacct.usage", "5000000000\n");
        this
    }

    /// A path under the cgroup root.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.path().join("cg").join(path)
    }

    /// Writes a file, relative to the machine's root; makes folders as needed.
    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Sets the CPU time of a v2 cgroup, made if need be with all above it.
    pub(super) fn cpu(&self, path: &str, micros: u64) {
        if let Some((above, _)) =
            path.rsplit_once('/').filter(|(above, _)| !self.at(above).join("cpu.stat").exists())
        {
            self.cpu(above, 0);
        }
        self.write(
            &format!("cg/{path}/cpu.stat"),
            &format!("usage_usec {micros}\nuser_usec {micros}\nsystem_usec 0\n"),
        );
    }

    pub(super) fn remove(&self, path: &str) {
        fs::remove_dir_all(self.at(path)).unwrap();
    }

    pub(super) fn machine(&self) -> Machine {
        Machine {
            procfs: self.root.path().join("proc"),
            sysfs: self.root.path().join("sys"),
            cgroupfs: self.root.path().join("cg"),
            rootfs: self.root.path().to_owned(),
            nvml_library: "libnvidia-ml.so.1".into(),
            clock_ticks: 100,
            page_size: 4096,
        }
    }

    pub(super) fn open(&self) -> Watch {
        self.open_with(|_| {})
    }

    pub(super) fn open_with(&self, change: impl FnOnce(&mut Options)) -> Watch {
        let mut options = options();
        change(&mut options);
        Watch { tree: CgroupTree::open(&self.machine(), options).unwrap(), faults: Vec::new() }
    }
}

pub(super) fn options() -> Options {
    Options { recognise, sockets: None, memory: false, reserved: false, inotify: true, max_descriptors: 1000 }
}

/// A workload is what begins with `w` or `pod`.
pub(super) fn recognise(path: &str) -> Option<Workload> {
    assert!(path.starts_with('/'));
    let name = path.rsplit('/').next()?;
    let is_one = name.starts_with('w') || name.starts_with("pod");
    is_one.then(|| Workload::Unit { name: path.into() })
}

/// Sockets of a fixture: the first digit of the list.
pub(super) fn sockets_of(list: &str) -> Sockets {
    Sockets(1 << list.bytes().next().map_or(0, |digit| digit - b'0'))
}

/// An opened tree, with what its ticks complained of.
pub(super) struct Watch {
    pub(super) tree: CgroupTree,
    pub(super) faults: Vec<Error>,
}

impl Watch {
    /// A tick.
    pub(super) fn tick(&mut self) -> Vec<(CgroupId, Cgroup)> {
        let cgroups = self.tree.read(&mut self.faults).iter().cloned().enumerate();
        cgroups.filter(|(_, cgroup)| cgroup.present).map(|(id, cgroup)| (id as CgroupId, cgroup)).collect()
    }

    /// A tick; what it says of the cgroup at `path`.
    pub(super) fn see(&mut self, path: &str) -> Option<(CgroupId, Cgroup)> {
        self.see_all(path).pop()
    }

    pub(super) fn see_all(&mut self, path: &str) -> Vec<(CgroupId, Cgroup)> {
        let all = self.tick();
        all.into_iter().filter(|(id, _)| self.is_at(*id, path)).collect()
    }

    /// What the last tick said of it, without another one.
    pub(super) fn find<'a>(
        &self,
        all: &'a [(CgroupId, Cgroup)],
        path: &str,
    ) -> Option<&'a (CgroupId, Cgroup)> {
        all.iter().find(|(id, _)| self.is_at(*id, path))
    }

    fn is_at(&self, id: CgroupId, path: &str) -> bool {
        let at = self.tree.path(id);
        if path.is_empty() {
            return at.ends_with("cg") || at.ends_with("cpuacct") || at.ends_with("unified");
        }
        at.ends_with(OsStr::from_bytes(path.as_bytes()))
    }

    /// Lets the tick thread sleep for a moment.
    pub(super) fn rest(&mut self) {
        self.tree.wait(Duration::from_millis(20));
    }
}

pub(super) const fn micros(micros: u64) -> Option<Duration> {
    Some(Duration::from_micros(micros))
}
