//! What is known of all pods at one instant, as the tick looks it up: swapped whole, never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use noether_core::budget::Budget;
use noether_core::workload::{Identity, Info, Key, Workload, container_name};

use super::pod::{Container, Pod};
use super::sharing::Assignments;

/// A pod, with the containers that are its own and that it does not name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) pod: Pod,
    pub(super) sandboxes: BTreeSet<Arc<str>>,
}

/// Who has a container's id.
enum Holder<'k> {
    Container(&'k Container),
    Sandbox,
}

impl Known {
    /// Whether the id is that of one of its containers, or of its sandbox.
    pub(super) fn has(&self, id: &str) -> bool {
        self.holder(id).is_some()
    }

    /// Of an id that two containers claim to have, nobody knows whose it is.
    fn holder(&self, id: &str) -> Option<Holder<'_>> {
        let mut holders =
            self.pod.containers.iter().filter(|container| container.ids.iter().any(|one| **one == *id));
        match (holders.next(), holders.next()) {
            (Some(container), None) => Some(Holder::Container(container)),
            (None, _) if self.sandboxes.contains(id) => Some(Holder::Sandbox),
            _ => None,
        }
    }

    fn own(&self) -> (Key, Info) {
        (self.pod.key("POD"), self.pod.info())
    }

    fn name(&self, id: &Arc<str>, runtime: &str) -> Option<(Key, Info)> {
        let container = match self.holder(id)? {
            Holder::Container(container) => container,
            Holder::Sandbox => return Some(self.own()),
        };
        let mut info = vec![
            ("container_id", Arc::clone(id)),
            // The path tells it most often, and the same for containers without a pod.
            ("runtime", if runtime.is_empty() { Arc::clone(&container.runtime) } else { Arc::from(runtime) }),
            ("pod_uid", Arc::clone(&self.pod.uid)),
        ];
        info.extend((!container.image.is_empty()).then(|| ("image", Arc::clone(&container.image))));
        Some((self.pod.key(&container.name), info))
    }
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By uid, and by what else their cgroups go by.
    pods: BTreeMap<Arc<str>, Arc<Known>>,
    /// For containers whose path does not tell the pod; `None` where two pods claim the id.
    containers: BTreeMap<Arc<str>, Option<Arc<Known>>>,
    budgets: Arc<[Budget]>,
    assignments: Arc<Assignments>,
}

impl Table {
    /// A table of these pods; the later ones win where two go by one uid. Only `living` ones have budgets.
    pub(super) fn new<'k>(pods: impl Iterator<Item = (&'k Arc<Known>, bool)>) -> Self {
        let (mut table, mut budgets, mut alive) = (Self::default(), Vec::new(), Vec::new());
        for (known, living) in pods {
            for uid in [&known.pod.uid].into_iter().chain(&known.pod.hashes) {
                table.pods.insert(Arc::clone(uid), Arc::clone(known));
            }
            for id in known.pod.containers.iter().flat_map(|container| &container.ids) {
                let other = |slot: &Option<Arc<Known>>| {
                    slot.as_ref().is_none_or(|other| other.pod.uid != known.pod.uid)
                };
                let taken = table.containers.get(id).is_some_and(other);
                table.containers.insert(Arc::clone(id), (!taken).then(|| Arc::clone(known)));
            }
            budgets.extend(known.pod.budget.clone().filter(|_| living));
            alive.extend(living.then_some(&known.pod));
        }
        table.budgets = budgets.into();
        table.assignments = Arc::new(Assignments::of_pods(alive.into_iter()));
        table
    }

    /// The budgets that pods carry.
    pub(super) fn budgets(&self) -> Arc<[Budget]> {
        Arc::clone(&self.budgets)
    }

    /// Which GPUs schedulers that share them gave to containers.
    pub(super) fn assignments(&self) -> Arc<Assignments> {
        Arc::clone(&self.assignments)
    }

    /// What the workload is called, if it is known.
    pub(super) fn identify(&self, workload: &Workload) -> Option<Identity> {
        let (key, info) = match workload {
            Workload::Pod { uid, qos } => {
                let (key, mut info) = self.pods.get(uid)?.own();
                if info.iter().all(|(label, _)| *label != "qos") {
                    info.push(("qos", Arc::from(*qos)));
                }
                (key, info)
            }
            // What the kernel says of where a container lies counts more than what a status says of its id.
            Workload::Container { id, runtime, pod: Some(uid) } => self.pods.get(uid)?.name(id, runtime)?,
            Workload::Container { id, runtime, pod: None } => {
                self.containers.get(id)?.as_ref()?.name(id, runtime)?
            }
            // The kubelet has no status of it: its pod is all that there is to know.
            Workload::NestedContainer { id, runtime, pod } => {
                (self.pods.get(pod)?.pod.key(&container_name(id, runtime)), workload.info_by_id())
            }
            _ => return None,
        };
        Some(Identity::Known(key, info))
    }
}
