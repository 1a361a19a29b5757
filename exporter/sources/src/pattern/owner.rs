//! Whose a folder is: what somebody else may make there is not believed to be more than theirs.

use std::sync::Arc;

use noether_core::workload::Workload;

use super::Place;

impl Place<'_> {
    /// What a folder that looks like `found` is here.
    ///
    /// A user has the folders below the own service manager delegated, so their names are the user's choice
    /// (<https://systemd.io/CGROUP_DELEGATION/>): no pod, job or virtual machine of the host is in there, and a container
    /// is the user's. What lies below a pod's container is the pod's: a second pod in there is of another cluster, which
    /// the node's kubelet does not know.
    pub(super) fn owned(&self, found: Workload) -> Option<Workload> {
        match (found, self.user) {
            (Workload::Container { id, runtime, .. }, Some(user)) => {
                Some(Workload::UserContainer { user: Arc::from(user), id, runtime })
            }
            (Workload::Pod { .. } | Workload::Job { .. } | Workload::Vm { .. }, Some(_)) => None,
            (Workload::Pod { .. }, None) if self.in_container => None,
            (Workload::Container { id, runtime, .. }, None) if self.in_container => {
                let pod = self.pod.clone()?;
                Some(Workload::NestedContainer { id, runtime, pod })
            }
            (found, _) => Some(found),
        }
    }
}
