//! Slurm jobs whose folders are named by SLUID: their numbers, from the environment of their processes.
//!
//! From 26.05 on, Slurm names a job's cgroup by its SLUID; users know the job by `SLURM_JOB_ID`.
//! <https://slurm.schedmd.com/sbatch.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES>

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use noether_core::roster::Names;
use noether_core::sample::{Birth, Cgroup, CgroupId};
use noether_core::workload::{Identity, JobId, Key, Workload};

use crate::Machine;

/// So many job numbers are remembered; beyond, the memory starts anew.
const MOST: usize = 10_000;

/// What is known of jobs by SLUID. Of all other workloads nothing ever is: they go under their ids.
#[derive(Debug)]
pub struct Jobs {
    procfs: PathBuf,
    numbers: BTreeMap<Arc<str>, Arc<str>>,
    waiting: Vec<(CgroupId, Arc<str>)>,
}

impl Jobs {
    /// Nothing known yet.
    pub fn new(machine: &Machine) -> Self {
        Self { procfs: machine.procfs.clone(), numbers: BTreeMap::new(), waiting: Vec::new() }
    }

    /// Takes note of the jobs that are new or gone among the cgroups of a tick.
    pub fn meet(&mut self, cgroups: &[Cgroup]) {
        for (id, cgroup) in (0..).zip(cgroups) {
            if cgroup.birth == Birth::Earlier && !cgroup.gone {
                continue;
            }
            self.waiting.retain(|(known, _)| *known != id);
            let Some(Workload::Job { id: JobId::Sluid(sluid), .. }) = cgroup.workload.as_deref() else {
                continue;
            };
            if cgroup.present && !cgroup.gone && !self.numbers.contains_key(sluid) {
                self.waiting.push((id, Arc::clone(sluid)));
            }
        }
    }

    /// Asks the processes of the jobs that are not known yet; `pids` tells those of a cgroup.
    pub fn ask(&mut self, pids: impl Fn(CgroupId) -> Vec<u32>) {
        let (procfs, numbers) = (&self.procfs, &mut self.numbers);
        self.waiting.retain(|(id, sluid)| {
            let environment = |pid: u32| fs::read(procfs.join(pid.to_string()).join("environ")).ok();
            let number = pids(*id).into_iter().filter_map(environment).find_map(|content| job_id(&content));
            let Some(number) = number else { return true };
            if numbers.len() >= MOST {
                numbers.clear();
            }
            numbers.insert(Arc::clone(sluid), number);
            false
        });
    }
}

impl Names for Jobs {
    fn identify(&self, workload: &Workload) -> Identity {
        let Workload::Job { scheduler, id: JobId::Sluid(sluid), .. } = workload else {
            return Identity::Never;
        };
        match self.numbers.get(sluid) {
            Some(number) => Identity::Known(Key::job(scheduler, number), workload.info_by_id()),
            None => Identity::NotYet,
        }
    }
}

/// The job's number in a process's environment.
fn job_id(environment: &[u8]) -> Option<Arc<str>> {
    let value =
        environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"SLURM_JOB_ID="))?;
    let number = std::str::from_utf8(value).ok()?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| number.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::sample::{Reserved, Sockets};

    fn job(sluid: &str) -> Workload {
        Workload::Job { scheduler: "slurm", id: JobId::Sluid(sluid.into()), user: None }
    }

    fn cgroup(workload: Workload) -> Cgroup {
        Cgroup {
            present: true,
            parent: None,
            top_level: false,
            workload: Some(Arc::new(workload)),
            cpu: None,
            memory: None,
            sockets: Sockets::ALL,
            reserved: Reserved::default(),
            birth: Birth::Now,
            gone: false,
        }
    }

    #[test]
    fn the_number_comes_from_the_environment() {
        assert_eq!(job_id(b"PATH=/bin\0SLURM_JOB_ID=4711\0X=1\0").as_deref(), Some("4711"));
        for none in
            [&b""[..], b"SLURM_JOB_ID=", b"SLURM_JOB_ID=\xff", b"SLURM_JOB_ID=12a\0", b"XSLURM_JOB_ID=1"]
        {
            assert_eq!(job_id(none), None);
        }
    }

    #[test]
    fn a_job_is_known_once_one_of_its_processes_tells() {
        let procfs = tempfile::tempdir().unwrap();
        let mut jobs = Jobs { procfs: procfs.path().into(), numbers: BTreeMap::new(), waiting: vec![] };
        let workload = job("s5K1KKYAYG5D00");
        jobs.meet(&[cgroup(workload.clone())]);
        jobs.ask(|_| vec![7, 8]);
        assert_eq!(jobs.identify(&workload), Identity::NotYet);
        fs::create_dir(procfs.path().join("8")).unwrap();
        fs::write(procfs.path().join("8/environ"), b"A=1\0SLURM_JOB_ID=99\0").unwrap();
        jobs.ask(|_| vec![7, 8]);
        let Identity::Known(key, info) = jobs.identify(&workload) else { panic!("not known") };
        assert_eq!((key, info.len()), (Key::job("slurm", "99"), 1));
        assert_eq!(jobs.identify(&Workload::Vm { name: "a".into() }), Identity::Never);
    }
}
