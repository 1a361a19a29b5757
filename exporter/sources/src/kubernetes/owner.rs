//! Which workload a pod belongs to: its Deployment, StatefulSet, DaemonSet, Job, CronJob, or whatever else controls it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::Owner;

/// The labels whose value a ReplicaSet's name ends with, and who made the ReplicaSet then.
///
/// <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template-hash-label>,
/// <https://argo-rollouts.readthedocs.io/en/stable/features/specification/>
const MAKERS: [(&str, &str); 2] =
    [("pod-template-hash", "Deployment"), ("rollouts-pod-template-hash", "Rollout")];

/// A CronJob names its jobs by the minute, counted from 1970. Whole numbers of eight digits below this one lie before
/// Kubernetes was: they are dates such as 20261124.
///
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/cronjob/utils.go>
const FIRST_MINUTE: u32 = 23_000_000;

/// The kind and the name of the workload that the pod `pod` belongs to.
pub(super) fn workload(
    pod: &Arc<str>,
    owners: &[Owner],
    labels: &BTreeMap<String, String>,
) -> (Arc<str>, Arc<str>) {
    let controller = owners.iter().find(|owner| owner.controller);
    let Some(owner) = controller.filter(|owner| !owner.name.is_empty()) else { return bare(pod) };
    let found = match owner.kind.as_str() {
        // A mirror pod stands for a static one, which nobody controls.
        "Node" | "" => return bare(pod),
        "ReplicaSet" => maker(&owner.name, labels),
        "Job" => cron_job(&owner.name).map(|name| ("CronJob", name)),
        _ => None,
    };
    let (kind, name) = found.unwrap_or((&owner.kind, &owner.name));
    (Arc::from(kind), Arc::from(name))
}

fn bare(pod: &Arc<str>) -> (Arc<str>, Arc<str>) {
    (Arc::from("Pod"), Arc::clone(pod))
}

/// Who made a ReplicaSet: whose name it has, but for the template's hash.
fn maker<'n>(replica_set: &'n str, labels: &BTreeMap<String, String>) -> Option<(&'static str, &'n str)> {
    MAKERS.iter().find_map(|(label, kind)| {
        let hash = labels.get(*label).filter(|hash| !hash.is_empty())?;
        let name = replica_set.strip_suffix(hash.as_str())?.strip_suffix('-')?;
        (!name.is_empty()).then_some((*kind, name))
    })
}

/// The CronJob that a job's name tells.
fn cron_job(job: &str) -> Option<&str> {
    let (name, minute) = job.rsplit_once('-')?;
    let digits = minute.len() == 8 && minute.bytes().all(|byte| byte.is_ascii_digit());
    let plausible = digits && minute.parse::<u32>().is_ok_and(|minute| minute >= FIRST_MINUTE);
    (plausible && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, name: &str, labels: &[(&str, &str)]) -> String {
        let owners = [Owner { kind: kind.into(), name: name.into(), controller: true }];
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let (kind, name) = workload(&"p".into(), &owners, &labels);
        format!("{kind}/{name}")
    }

    #[test]
    fn each_kind_of_owner() {
        let hash = [("pod-template-hash", "6d4cf56db6")];
        assert_eq!(of("ReplicaSet", "web-6d4cf56db6", &hash), "Deployment/web");
        assert_eq!(of("ReplicaSet", "web-api-6d4cf56db6", &hash), "Deployment/web-api");
        assert_eq!(of("ReplicaSet", "web-other", &hash), "ReplicaSet/web-other");
        assert_eq!(of("ReplicaSet", "-6d4cf56db6", &hash), "ReplicaSet/-6d4cf56db6");
        assert_eq!(of("ReplicaSet", "web", &[]), "ReplicaSet/web");
        assert_eq!(of("ReplicaSet", "web-", &[("pod-template-hash", "")]), "ReplicaSet/web-");
        assert_eq!(of("ReplicaSet", "web-5f", &[("rollouts-pod-template-hash", "5f")]), "Rollout/web");
        assert_eq!(of("StatefulSet", "db", &[]), "StatefulSet/db");
        assert_eq!(of("DaemonSet", "log", &hash), "DaemonSet/log");
        assert_eq!(of("RayCluster", "train", &[]), "RayCluster/train");
        assert_eq!(of("Node", "node-1", &[]), "Pod/p", "a mirror pod");
        assert_eq!(of("", "x", &[]), "Pod/p");
        assert_eq!(of("Job", "", &[]), "Pod/p");
    }

    #[test]
    fn a_job_of_a_cron_job_ends_with_its_minute() {
        assert_eq!(of("Job", "backup-29891234", &[]), "CronJob/backup");
        for own in
            ["backup", "backup-20261124", "backup-2989123", "backup-298912345", "-29891234", "a-2989123x"]
        {
            assert_eq!(of("Job", own, &[]), format!("Job/{own}"));
        }
    }

    #[test]
    fn only_the_controller_counts() {
        let owner = |kind: &str, controller| Owner { kind: kind.into(), name: "a".into(), controller };
        let labels = BTreeMap::new();
        let of = |owners: &[Owner]| workload(&"p".into(), owners, &labels).0;
        assert_eq!(&*of(&[owner("Config", false), owner("StatefulSet", true)]), "StatefulSet");
        assert_eq!(&*of(&[owner("Config", false)]), "Pod");
        assert_eq!(&*of(&[]), "Pod");
    }
}
