//! Batch jobs: Slurm and OAR.

use std::sync::Arc;

use noether_core::workload::{JobId, Workload};

use super::{Place, is_number};

/// `slurm/uid_U/job_J`, and `slurm_NODE/…` where several slurmd share a host.
///
/// <https://slurm.schedmd.com/cgroups.html>
pub(super) fn slurm_v1(place: &Place<'_>, name: &str) -> Option<Workload> {
    let user = place.parent.strip_prefix("uid_").filter(|user| is_number(user))?;
    (place.grandparent == "slurm" || place.grandparent.starts_with("slurm_")).then_some(())?;
    Some(job("slurm", slurm_id(name.strip_prefix("job_")?)?, Some(user)))
}

/// `slurmstepd.scope/job_J`, and from 26.05 on `slurmstepd.scope/SLUID`; `NODE_slurmstepd.scope` where several slurmd
/// share a host. The scope's slice is a setting.
///
/// <https://slurm.schedmd.com/cgroup_v2.html>
pub(super) fn slurm_v2(place: &Place<'_>, name: &str) -> Option<Workload> {
    let node = place.parent.strip_suffix("slurmstepd.scope")?;
    (node.is_empty() || node.ends_with('_')).then_some(())?;
    let id = match name.strip_prefix("job_") {
        Some(id) => slurm_id(id)?,
        None => is_sluid(name).then(|| JobId::Sluid(Arc::from(name)))?,
    };
    Some(job("slurm", id, None))
}

/// `oar/USER_J`: the user by name, which may itself hold underscores.
///
/// <https://github.com/oar-team/oar/blob/master/sources/core/tools/job_resource_manager_cgroups.pl>
pub(super) fn oar2(place: &Place<'_>, name: &str) -> Option<Workload> {
    let (user, id) = name.rsplit_once('_')?;
    (place.parent == "oar" && !user.is_empty() && is_number(id)).then(|| job("oar", number(id), None))
}

/// `oar-uU-jJ.slice`: a slice, but the job's own.
///
/// <https://github.com/oar-team/oar3/blob/master/oar/tools/job_resource_manager_systemd.pl>
pub(super) fn oar3(_: &Place<'_>, name: &str) -> Option<Workload> {
    let (user, id) = name.strip_prefix("oar-u")?.strip_suffix(".slice")?.split_once("-j")?;
    (is_number(user) && is_number(id)).then(|| job("oar", number(id), Some(user)))
}

fn job(scheduler: &'static str, id: JobId, user: Option<&str>) -> Workload {
    Workload::Job { scheduler, id, user: user.map(Arc::from) }
}

fn number(id: &str) -> JobId {
    JobId::Number(Arc::from(id))
}

/// What follows `job_`: a number, or in some layouts a SLUID.
fn slurm_id(text: &str) -> Option<JobId> {
    if is_number(text) {
        return Some(number(text));
    }
    let sluid =
        text.starts_with('s') && text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    sluid.then(|| JobId::Sluid(Arc::from(text)))
}

/// `s` and 13 digits of Crockford's base 32, which are upper case: so `system` beside the jobs is none.
///
/// <https://github.com/SchedMD/slurm/blob/master/src/common/sluid.c>
fn is_sluid(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    text.len() == 14 && text.strip_prefix('s').is_some_and(|digits| digits.bytes().all(digit))
}
