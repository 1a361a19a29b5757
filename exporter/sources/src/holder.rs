//! Who was given which GPU: as the environment of a workload's processes tells it.
//!
//! Slurm: `SLURM_JOB_GPUS`, `SLURM_STEP_GPUS`, the node's numbers of the GPUs of a job or step
//! (<https://slurm.schedmd.com/sbatch.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES>). Containers: `NVIDIA_VISIBLE_DEVICES`, which the
//! NVIDIA runtime reads and the Kubernetes device plugin sets
//! (<https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html>).

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use noether_core::gpu::{Holding, Name};
use noether_core::sample::{Birth, Cgroup, CgroupId};
use noether_core::workload::Workload;

use crate::Machine;

/// A workload is looked at after 1, 2, 4, … ticks, so often at most: a runtime's own first process has another environment.
const LOOKS: u32 = 6;
/// So many processes of a workload are asked at a time.
const ASKED: usize = 16;

/// What is held by whom.
#[derive(Debug)]
pub struct Holders {
    procfs: PathBuf,
    waiting: Vec<Waiting>,
    holdings: Vec<(CgroupId, Holding)>,
    /// The same, without whence it is known.
    told: Vec<Holding>,
    /// Whether any device was seen yet.
    seen: bool,
}

#[derive(Debug)]
struct Waiting {
    cgroup: CgroupId,
    workload: Arc<Workload>,
    looks: u32,
    ticks: u32,
}

impl Holders {
    /// Nobody known yet.
    pub fn new(machine: &Machine) -> Self {
        Self {
            procfs: machine.procfs.clone(),
            waiting: Vec::new(),
            holdings: Vec::new(),
            told: Vec::new(),
            seen: false,
        }
    }

    /// Takes note of the jobs and containers that are new or gone among the cgroups of a tick.
    pub fn meet(&mut self, cgroups: &[Cgroup]) {
        for (id, cgroup) in (0..).zip(cgroups) {
            if cgroup.birth == Birth::Earlier && !cgroup.gone {
                continue;
            }
            self.waiting.retain(|one| one.cgroup != id);
            self.holdings.retain(|(known, _)| *known != id);
            let Some(workload) = cgroup.workload.as_ref().filter(|_| cgroup.present && !cgroup.gone) else {
                continue;
            };
            if matches!(**workload, Workload::Job { .. } | Workload::Container { .. }) {
                let workload = Arc::clone(workload);
                self.waiting.push(Waiting { cgroup: id, workload, looks: 0, ticks: 1 });
            }
        }
    }

    /// Asks the processes of those that are not known yet, once any device was seen; `pids` tells those of a cgroup.
    pub fn ask(&mut self, seen: bool, pids: impl Fn(CgroupId) -> Vec<u32>) {
        self.seen |= seen;
        if !self.seen {
            return;
        }
        let (procfs, holdings) = (&self.procfs, &mut self.holdings);
        self.waiting.retain_mut(|one| {
            one.ticks -= 1;
            if one.ticks > 0 {
                return true;
            }
            one.looks += 1;
            one.ticks = 1 << one.looks;
            let environment = |pid: u32| fs::read(procfs.join(pid.to_string()).join("environ")).ok();
            let mut contents = pids(one.cgroup).into_iter().take(ASKED).filter_map(environment);
            let Some(names) = contents.find_map(|content| held(&one.workload, &content)) else {
                return one.looks < LOOKS;
            };
            holdings.extend(
                names
                    .into_iter()
                    .map(|device| (one.cgroup, Holding { device, holder: Arc::clone(&one.workload) })),
            );
            false
        });
        self.told.clear();
        self.told.extend(self.holdings.iter().map(|(_, holding)| holding.clone()));
    }

    /// What is held by whom, as far as it is known.
    pub fn holdings(&self) -> &[Holding] {
        &self.told
    }
}

/// The devices that a process's environment gives to its workload; `None` where it says nothing of them.
fn held(workload: &Workload, environment: &[u8]) -> Option<Vec<Name>> {
    let value = |name: &str| {
        let entry = |entry: &[u8]| -> Option<String> {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        environment.split(|byte| *byte == 0).find_map(entry)
    };
    match workload {
        Workload::Job { .. } => {
            value("SLURM_JOB_GPUS").or_else(|| value("SLURM_STEP_GPUS")).map(|list| numbers(&list))
        }
        // Images that bring CUDA say `all` whether or not a pod asked for a GPU.
        Workload::Container { pod: Some(_), .. } => {
            let names = visible(&value("NVIDIA_VISIBLE_DEVICES")?);
            (!names.contains(&Name::All)).then_some(names)
        }
        Workload::Container { .. } => value("NVIDIA_VISIBLE_DEVICES").map(|list| visible(&list)),
        Workload::Pod { .. } | Workload::Unit { .. } | Workload::Vm { .. } => None,
    }
}

/// `0,2` or `0-3`.
fn numbers(list: &str) -> Vec<Name> {
    let range = |item: &str| {
        let (from, to) = item.trim().split_once('-').unwrap_or((item.trim(), item.trim()));
        // No machine has more; a wrong list must not make millions.
        Some((from.parse().ok()?, to.parse::<u32>().ok()?.min(1023)))
    };
    list.split(',').filter_map(range).flat_map(|(from, to): (u32, u32)| from..=to).map(Name::Index).collect()
}

/// `all`, `none`, `void`, or a list of numbers, of `GPU:INSTANCE`, and of ids.
fn visible(list: &str) -> Vec<Name> {
    let name = |item: &str| match item.trim() {
        "all" => Some(Name::All),
        "" | "none" | "void" => None,
        item if item.starts_with("GPU-") || item.starts_with("MIG-") => Some(Name::Uuid(item.into())),
        item => match item.split_once(':') {
            Some((gpu, instance)) => Some(Name::Instance(gpu.parse().ok()?, instance.parse().ok()?)),
            None => item.parse().ok().map(Name::Index),
        },
    };
    list.split(',').filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::sample::{Reserved, Sockets};
    use noether_core::workload::JobId;
    use proptest::prelude::*;

    fn job() -> Workload {
        Workload::Job { scheduler: "slurm", id: JobId::Number("7".into()), user: None }
    }

    fn container(pod: Option<&str>) -> Workload {
        Workload::Container { id: "c".into(), runtime: "", pod: pod.map(Into::into) }
    }

    #[test]
    fn environments_tell() {
        let is = |workload: &Workload, environment: &[u8]| held(workload, environment);
        let indices = |list: &[u32]| Some(list.iter().copied().map(Name::Index).collect::<Vec<_>>());
        assert_eq!(is(&job(), b"A=1\0SLURM_JOB_GPUS=0,2\0"), indices(&[0, 2]));
        assert_eq!(is(&job(), b"SLURM_STEP_GPUS=1-3"), indices(&[1, 2, 3]));
        assert_eq!(is(&job(), b"SLURM_JOB_GPUS=x,-,\xff"), indices(&[]));
        assert_eq!(is(&job(), b"NVIDIA_VISIBLE_DEVICES=all"), None);
        assert_eq!(is(&container(None), b"NVIDIA_VISIBLE_DEVICES=all"), Some(vec![Name::All]));
        assert_eq!(is(&container(Some("p")), b"NVIDIA_VISIBLE_DEVICES=all"), None);
        assert_eq!(is(&container(Some("p")), b"NVIDIA_VISIBLE_DEVICES=void"), Some(vec![]));
        let ids = vec![Name::Uuid("GPU-1".into()), Name::Uuid("MIG-2".into()), Name::Instance(0, 3)];
        assert_eq!(is(&container(Some("p")), b"NVIDIA_VISIBLE_DEVICES=GPU-1,MIG-2,0:3"), Some(ids));
    }

    #[test]
    fn a_holder_is_known_once_it_tells_and_forgotten_when_it_is_gone() {
        let procfs = tempfile::tempdir().unwrap();
        let mut holders = Holders {
            procfs: procfs.path().into(),
            waiting: vec![],
            holdings: vec![],
            told: vec![],
            seen: false,
        };
        let mut cgroup = Cgroup {
            present: true,
            parent: None,
            top_level: false,
            workload: Some(Arc::new(job())),
            cpu: None,
            memory: None,
            sockets: Sockets::ALL,
            reserved: Reserved::default(),
            birth: Birth::Now,
            gone: false,
        };
        holders.meet(&[cgroup.clone()]);
        holders.ask(true, |_| vec![8]);
        assert!(holders.holdings().is_empty());
        fs::create_dir(procfs.path().join("8")).unwrap();
        fs::write(procfs.path().join("8/environ"), b"SLURM_JOB_GPUS=3\0").unwrap();
        cgroup.birth = Birth::Earlier;
        for _ in 0..2 {
            holders.meet(&[cgroup.clone()]);
            holders.ask(true, |_| vec![8]);
        }
        assert_eq!(holders.holdings(), [Holding { device: Name::Index(3), holder: Arc::new(job()) }]);
        cgroup.gone = true;
        holders.meet(&[cgroup]);
        holders.ask(true, |_| vec![8]);
        assert!(holders.holdings().is_empty());
    }

    proptest! {
        #[test]
        fn any_environment_is_read(list in "[0-9,:GPUMI a-z-]{0,60}", noise in any::<Vec<u8>>()) {
            for name in ["SLURM_JOB_GPUS=", "NVIDIA_VISIBLE_DEVICES="] {
                let environment = [&noise[..], b"\0", name.as_bytes(), list.as_bytes()].concat();
                for workload in [job(), container(None), container(Some("p"))] {
                    held(&workload, &environment);
                }
            }
        }
    }
}
