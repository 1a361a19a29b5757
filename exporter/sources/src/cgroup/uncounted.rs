//! Jobs of Slurm that have no folder in the v1 hierarchy with CPU time.
//!
//! With `JobAcctGatherType=jobacct_gather/linux`, slurmd makes job folders in `freezer`, `memory` and `cpuset` only:
//! `cpuacct` comes with `jobacct_gather/cgroup`. <https://slurm.schedmd.com/cgroups.html>

use std::sync::Arc;

use noether_core::workload::Workload;

use super::CgroupTree;
use super::folder::Folder;

/// What makes Slurm count the CPU time of jobs.
pub const UNCOUNTED_REMEDY: &str =
    "set JobAcctGatherType=jobacct_gather/cgroup in slurm.conf and restart slurmd";

/// What is wrong with `jobs` jobs that have no CPU time of their own.
pub fn uncounted_text(jobs: usize) -> String {
    format!(
        "{jobs} Slurm job(s) have no folder in the cpuacct hierarchy, so the kernel does not count their CPU time as theirs"
    )
}

impl CgroupTree {
    /// How many jobs have a folder in some hierarchy, and none where CPU time is.
    pub fn jobs_without_cpu_time(&self) -> usize {
        let Some(counted) = self.hierarchies.first() else { return 0 };
        let is_counted = |path: &Vec<u8>| self.tree.path(self.tree.deepest(counted.root, path)) == *path;
        let beside = self.controllers.others.iter().map(|other| &other.folder);
        let beside =
            beside.filter(|other| !self.hierarchies.iter().any(|one| Arc::ptr_eq(&one.folder, other)));
        let counts =
            beside.map(|folder| self.slurm_jobs(folder).into_iter().filter(|path| !is_counted(path)).count());
        counts.max().unwrap_or(0)
    }

    /// `slurm/uid_U/job_J` and, with several slurmd on a host, `slurm_NODE/uid_U/job_J`.
    fn slurm_jobs(&self, folder: &Folder) -> Vec<Vec<u8>> {
        let users = inside(folder, b".", b"slurm").into_iter().flat_map(|top| inside(folder, &top, b"uid_"));
        let jobs = users.flat_map(|user| inside(folder, &user, b""));
        let is_job = |path: &Vec<u8>| {
            let path = format!("/{}", String::from_utf8_lossy(path));
            matches!((self.options.recognise)(&path), Some(Workload::Job { .. }))
        };
        jobs.filter(is_job).collect()
    }
}

/// The paths of the folders in `path` whose names begin with `prefix`.
fn inside(folder: &Folder, path: &[u8], prefix: &[u8]) -> Vec<Vec<u8>> {
    let names = folder.folders(path).unwrap_or_default().into_iter();
    let join = |name: Box<[u8]>| if path == b"." { name.to_vec() } else { [path, b"/", &name].concat() };
    names.filter(|name| name.starts_with(prefix)).map(join).collect()
}
