//! The thread that looks up what workloads hold.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use noether_core::gpu::{Authority, Name};
use noether_core::sample::CgroupId;
use noether_core::workload::Workload;

use super::environment::Said;
use super::{device_list, environment};
use crate::file::beginning;
use crate::{Machine, cgroup};

/// So many processes of a workload are asked at a time.
const MOST_PROCESSES: usize = 16;

/// So much of an environment, or of a list, is read.
const LONGEST: u64 = 1 << 20;

/// What does a workload hold?
#[derive(Debug)]
pub(super) struct Question {
    /// Its cgroup, and where that is below the root of its hierarchy.
    pub(super) id: CgroupId,
    pub(super) path: PathBuf,
    pub(super) workload: Arc<Workload>,
    /// Its processes.
    pub(super) pids: Vec<u32>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: CgroupId,
    pub(super) workload: Arc<Workload>,
    pub(super) found: Found,
}

/// Devices, with who says so; whether that is all there will be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) devices: Vec<(Name, Authority)>,
    pub(super) complete: bool,
    /// The variable whose list was too long to be read to its end.
    pub(super) too_long: Option<&'static str>,
}

impl Found {
    fn said(Said { devices, too_long }: Said, by: Authority) -> Self {
        let devices = devices.into_iter().map(|device| (device, by)).collect();
        Self { devices, complete: true, too_long }
    }
}

/// Where it is looked.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) procfs: PathBuf,
    /// The hierarchy of device cgroups, where there is one.
    pub(super) devices: PathBuf,
}

impl Records {
    /// Those of a machine.
    pub(super) fn new(machine: &Machine) -> Self {
        let devices = cgroup::mount_of(&machine.cgroupfs, "devices");
        let devices = devices.unwrap_or_else(|| machine.cgroupfs.join("devices"));
        Self { procfs: machine.procfs.clone(), devices }
    }

    /// What a workload holds: for Slurm, what that gave it; else what the kernel lets it open; else what it asked for.
    pub(super) fn look_up(&self, workload: &Workload, path: &Path, pids: &[u32]) -> Found {
        let is_job = matches!(workload, Workload::Job { .. });
        let said = || self.environment(workload, pids);
        if let Some(said) = if is_job { said() } else { None } {
            return Found::said(said, Authority::Slurm);
        }
        if let Some(names) = self.device_list(path, pids) {
            // A runtime may allow devices a moment after it has made the cgroup.
            let complete = !names.is_empty();
            // All instances of a device have its file; only the environment tells which of them are meant.
            let mut instances = if is_job || !complete { None } else { said() }.unwrap_or_default();
            instances.devices.retain(|name| match name {
                Name::Instance(..) => true,
                Name::Uuid(id) => id.starts_with("MIG-"),
                _ => false,
            });
            let mut found = Found::said(instances, Authority::Environment);
            found.devices.splice(0..0, names.into_iter().map(|name| (name, Authority::DeviceCgroup)));
            return Found { complete, ..found };
        }
        let names = if is_job { None } else { said() };
        names.map(|names| Found::said(names, Authority::Environment)).unwrap_or_default()
    }

    fn environment(&self, workload: &Workload, pids: &[u32]) -> Option<Said> {
        let environ = |pid: &u32| beginning(&self.procfs.join(pid.to_string()).join("environ"), LONGEST);
        let contents = pids.iter().take(MOST_PROCESSES).filter_map(environ);
        contents.into_iter().find_map(|content| environment::held(workload, &content))
    }

    /// What the kernel lets the workload open. On v1 its device cgroup may have another path than the one with its CPU
    /// time; then its processes tell it.
    fn device_list(&self, path: &Path, pids: &[u32]) -> Option<Vec<Name>> {
        let at = |path: &Path| beginning(&self.devices.join(path).join("devices.list"), LONGEST);
        let elsewhere = || {
            let paths = pids.iter().take(MOST_PROCESSES).filter_map(|pid| self.device_cgroup(*pid));
            paths.into_iter().find_map(|path| at(&path))
        };
        let list = at(path).or_else(elsewhere)?;
        device_list::allowed(&String::from_utf8_lossy(&list))
    }

    /// Where a process is in the hierarchy of device cgroups; `None` for its root, and where it is seen from another
    /// namespace.
    fn device_cgroup(&self, pid: u32) -> Option<PathBuf> {
        let content = beginning(&self.procfs.join(pid.to_string()).join("cgroup"), LONGEST)?;
        let path = cgroup::path_in(&content, "devices")?.strip_prefix(b"/")?;
        (!path.is_empty() && !path.starts_with(b"..")).then(|| PathBuf::from(OsStr::from_bytes(path)))
    }
}

/// The thread.
pub(super) type Clerk = crate::clerk::Clerk<Question, Answer>;

/// Starts it; at most `capacity` questions wait for it.
pub(super) fn start(records: Records, capacity: usize) -> io::Result<Clerk> {
    Clerk::start("holders", capacity, move |Question { id, path, workload, pids }| {
        let found = records.look_up(&workload, &path, &pids);
        Answer { id, workload, found }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::workload::JobId;
    use std::fs;

    struct Fixture {
        _root: tempfile::TempDir,
        records: Records,
    }

    impl Fixture {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let records = Records { procfs: root.path().join("proc"), devices: root.path().join("devices") };
            Self { _root: root, records }
        }

        fn environment(&self, pid: u32, content: &str) {
            let folder = self.records.procfs.join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("environ"), content).unwrap();
        }

        fn list(&self, path: &str, content: &str) {
            let folder = self.records.devices.join(path);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("devices.list"), content).unwrap();
        }

        fn found(&self, workload: &Workload) -> (Vec<(Name, Authority)>, bool) {
            let Found { devices, complete, .. } =
                self.records.look_up(workload, Path::new("docker/c"), &[7, 8]);
            (devices, complete)
        }
    }

    #[test]
    fn the_kernels_word_counts_before_the_containers_own() {
        let (fixture, container) =
            (Fixture::new(), Workload::Container { id: "c".into(), runtime: "docker", pod: None });
        assert_eq!(fixture.found(&container), (vec![], false));
        fixture.environment(8, "NVIDIA_VISIBLE_DEVICES=all\0");
        assert_eq!(fixture.found(&container), (vec![(Name::All, Authority::Environment)], true));
        fixture.list("docker/c", "a *:* rwm\n");
        assert_eq!(
            fixture.found(&container),
            (vec![(Name::All, Authority::Environment)], true),
            "it is privileged"
        );
        fixture.list("docker/c", "c 1:3 rwm\n");
        assert_eq!(fixture.found(&container), (vec![], false), "as its image says, but it was given none");
        fixture.list("docker/c", "c 195:2 rw\n");
        assert_eq!(fixture.found(&container), (vec![(Name::Minor(2), Authority::DeviceCgroup)], true));
        fixture.environment(8, "NVIDIA_VISIBLE_DEVICES=MIG-1,0:2,3,GPU-4\0");
        let expected = vec![
            (Name::Minor(2), Authority::DeviceCgroup),
            (Name::Instance(0, 2), Authority::Environment),
            (Name::Uuid("MIG-1".into()), Authority::Environment),
        ];
        assert_eq!(fixture.found(&container), (expected, true));
    }

    #[test]
    fn a_device_cgroup_under_another_path_is_found_by_its_processes() {
        let fixture = Fixture::new();
        let container = Workload::Container { id: "c".into(), runtime: "docker", pod: None };
        fixture.list("system.slice/docker-c.scope", "c 195:2 rw\n");
        fixture.list("", "a *:* rwm\n");
        fixture.environment(7, "");
        for (path, devices) in [
            ("/", vec![]),
            ("/../c", vec![]),
            ("/system.slice/docker-c.scope", vec![(Name::Minor(2), Authority::DeviceCgroup)]),
        ] {
            let file = fixture.records.procfs.join("7/cgroup");
            fs::write(file, format!("5:cpu,cpuacct:/docker/c\n4:devices:{path}\n")).unwrap();
            assert_eq!(fixture.found(&container).0, devices, "{path}");
        }
    }

    #[test]
    fn slurms_word_counts_before_the_kernels() {
        let (fixture, job) =
            (Fixture::new(), Workload::Job { scheduler: "slurm", id: JobId::Number("7".into()), user: None });
        fixture.environment(7, "NVIDIA_VISIBLE_DEVICES=all\0");
        assert_eq!(fixture.found(&job), (vec![], false));
        fixture.list("docker/c", "c 195:1 rw\n");
        assert_eq!(fixture.found(&job), (vec![(Name::Minor(1), Authority::DeviceCgroup)], true));
        fixture.environment(8, "SLURM_JOB_GPUS=3\0");
        assert_eq!(fixture.found(&job), (vec![(Name::File(3), Authority::Slurm)], true));
    }
}
