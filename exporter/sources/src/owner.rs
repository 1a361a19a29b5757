//! Whose a process is: its cgroup, and the nearest enclosing workload.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html#processes>,
//! <https://man7.org/linux/man-pages/man7/cgroups.7.html> (`/proc/PID/cgroup`)

mod ancestors;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use noether_core::workload::Workload;

use crate::file::contents;
use crate::{Machine, pattern};
use ancestors::Ancestors;

/// The owners of the processes that a source named lately.
#[derive(Debug)]
pub struct Owners {
    procfs: PathBuf,
    ancestors: Ancestors,
    known: BTreeMap<u32, Option<Arc<Workload>>>,
    /// Those that were named since the last [`Owners::forget`].
    named: BTreeMap<u32, Option<Arc<Workload>>>,
}

impl Owners {
    /// Nobody is known yet.
    pub fn new(machine: &Machine) -> Self {
        let (procfs, ancestors) = (machine.procfs.clone(), Ancestors::new(machine.cgroupfs.clone()));
        Self { procfs, ancestors, known: BTreeMap::new(), named: BTreeMap::new() }
    }

    /// The workload of a process; of one that has ended meanwhile, the one that was known. Asked for the same process
    /// again before the next [`Owners::forget`], it answers from memory.
    pub fn of(&mut self, pid: u32) -> Option<Arc<Workload>> {
        if let Some(owner) = self.named.get(&pid) {
            return owner.clone();
        }
        let content = contents(&self.procfs.join(pid.to_string()).join("cgroup"));
        let owner = match content {
            Ok(content) => self.known_or_new(pid, &String::from_utf8_lossy(&content)),
            Err(_) => self.known.get(&pid).cloned().flatten(),
        };
        self.named.insert(pid, owner.clone());
        owner
    }

    /// Forgets the processes that were not named since the last time.
    pub fn forget(&mut self) {
        self.known = std::mem::take(&mut self.named);
    }

    /// Keeps the same workload where nothing has changed, so that not every look makes a new one.
    fn known_or_new(&mut self, pid: u32, content: &str) -> Option<Arc<Workload>> {
        let owner = owner(content, |path| self.ancestors.whole(path))?;
        let known = self.known.get(&pid).cloned().flatten();
        known.filter(|known| **known == owner).or_else(|| Some(Arc::new(owner)))
    }
}

/// The workload that a `/proc/PID/cgroup` tells of. `whole` makes a path one from the root of its hierarchy.
pub(crate) fn owner(content: &str, mut whole: impl FnMut(&str) -> Option<String>) -> Option<Workload> {
    let lines = || {
        content.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
    };
    // As the cgroup source does: CPU time comes from v1 where both hierarchies have a folder.
    let accounted = lines().filter(|(controllers, _)| controllers.split(',').any(|one| one == "cpuacct"));
    let unified = lines().filter(|(controllers, _)| controllers.is_empty());
    accounted.chain(unified).chain(lines()).find_map(|(_, path)| pattern::nearest(&whole(path)?))
}
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    const ID: &str = "aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9";
    const UID: &str = "2fc932ce-fdcc-454b-97bd-aadfdeb4c340";

    fn nowhere(path: &str) -> Option<String> {
        (!path.starts_with("/..")).then(|| path.trim_start_matches('/').to_owned())
    }

    fn container(found: Option<Workload>) -> bool {
        matches!(found, Some(Workload::Container { id, .. }) if &*id == ID)
    }

    #[test]
    fn the_nearest_workload_counts_on_v2_v1_and_hybrid() {
        assert!(container(owner(&format!("0::/docker/{ID}/init\n"), nowhere)));
        assert!(container(owner(
            &format!("12:memory:/\n4:cpu,cpuacct:/docker/{ID}\n0::/system.slice/x.service\n"),
            nowhere
        )));
        let unit = owner("4:cpu,cpuacct:/\n0::/system.slice/sshd.service\n", nowhere);
        assert!(matches!(unit, Some(Workload::Unit { .. })));
        for none in ["", "0::/\n", "0::/user.slice\n", "nonsense", "::"] {
            assert_eq!(owner(none, nowhere), None);
        }
    }

    #[test]
    fn a_path_from_another_namespace_finds_its_parents() {
        let root = tempfile::tempdir().unwrap();
        let cgroupfs = root.path().join("cgroup");
        let pod = format!("burstable/pod{UID}/{ID}");
        let kind = format!(
            "kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{}.slice/cri-containerd-{ID}.scope",
            UID.replace('-', "_")
        );
        for there in [format!("kubepods/{pod}"), format!("kubelet.slice/kubelet-kubepods.slice/{kind}")] {
            fs::create_dir_all(cgroupfs.join(there)).unwrap();
        }
        fs::write(cgroupfs.join("cgroup.controllers"), "cpu").unwrap();
        let mut ancestors = Ancestors::new(cgroupfs.clone());
        let mut of = |content: String| owner(&content, |path| ancestors.whole(path));
        assert!(container(of(format!("0::/../../../{pod}\n"))));
        assert!(container(of(format!("0::/../../../../kubepods/{pod}\n"))));
        assert!(!container(of(format!("0::/../../other/pod{UID}/{ID}\n"))));
        let mut ancestors = Ancestors::new(cgroupfs);
        let found = owner(&format!("0::/../../../{kind}\n"), |path| ancestors.whole(path));
        let Some(Workload::Container { pod, .. }) = &found else { panic!("{found:?}") };
        assert!(container(found.clone()) && pod.as_deref() == Some(UID));
    }

    #[test]
    fn who_has_ended_is_remembered_for_a_while() {
        let procfs = tempfile::tempdir().unwrap();
        let folder = procfs.path().join("7");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("cgroup"), format!("0::/docker/{ID}\n")).unwrap();
        let mut owners = Owners {
            procfs: procfs.path().into(),
            ancestors: Ancestors::new(procfs.path().into()),
            known: BTreeMap::new(),
            named: BTreeMap::new(),
        };
        let first = owners.of(7).unwrap();
        owners.forget();
        assert!(Arc::ptr_eq(&owners.of(7).unwrap(), &first));
        fs::remove_dir_all(&folder).unwrap();
        owners.forget();
        assert!(owners.of(7).is_some() && owners.of(8).is_none());
        owners.forget();
        owners.forget();
        assert!(owners.of(7).is_none());
    }

    proptest! {
        #[test]
        fn any_content_is_read(content in "([0-9]{0,2}:?[a-z,=]{0,9}:?[/.a-z0-9-]{0,30}\n){0,5}", there in any::<bool>()) {
            owner(&content, |path| there.then(|| path.to_owned()));
        }
    }
}
