//! What energy is charged to: as the cgroup path tells it, and as it is exported.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::text::clean;

/// A workload as its cgroup path alone identifies it, before any name is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// A container of any runtime, in a pod or on its own.
    Container {
        /// The container's id as the runtime gave it (64 hex digits for most), or an LXC container's name.
        id: Arc<str>,
        /// `docker`, `containerd`, `cri-o`, `podman`, `lxc`; empty where the path does not tell.
        runtime: &'static str,
        /// The uid of its pod, with dashes, where it is in one.
        pod: Option<Arc<str>>,
    },
    /// A container that was started by a container of a pod: Docker or BuildKit in a CI runner. The kubelet does not know it.
    NestedContainer {
        /// As of a container.
        id: Arc<str>,
        /// As of a container.
        runtime: &'static str,
        /// The uid of the pod.
        pod: Arc<str>,
    },
    /// A container below the own slice or service manager of a user. Its id is what that user chose to name a folder, so it
    /// never shares a series with a container of the host.
    UserContainer {
        /// The numeric user id.
        user: Arc<str>,
        /// As of a container.
        id: Arc<str>,
        /// As of a container.
        runtime: &'static str,
    },
    /// A pod's own time: its sandbox and overhead.
    Pod {
        /// The pod's uid, with dashes (a static pod's config hash as it is).
        uid: Arc<str>,
        /// `Guaranteed`, `Burstable` or `BestEffort`, from the slice that it lies in.
        qos: &'static str,
    },
    /// A batch job.
    Job {
        /// `slurm` or `oar`.
        scheduler: &'static str,
        /// The job id as the scheduler's users know it, or what stands in for it.
        id: JobId,
        /// The numeric user id, where the path tells it.
        user: Option<Arc<str>>,
    },
    /// A systemd unit, or a user's slice outside any service.
    Unit {
        /// `sshd.service`, `user-1000.slice`, `user@1000.service/app.service`.
        name: Arc<str>,
    },
    /// A virtual machine.
    Vm {
        /// The libvirt domain's name.
        name: Arc<str>,
    },
}

/// How a cgroup path names a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobId {
    /// By the job id itself.
    Number(Arc<str>),
    /// By a Slurm SLUID (26.05 on): the id is to be had from `SLURM_JOB_ID` of its processes.
    Sluid(Arc<str>),
}

/// The metric family that a workload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `noether_container_*`
    Container,
    /// `noether_job_*`
    Job,
    /// `noether_unit_*`
    Unit,
    /// `noether_vm_*`
    Vm,
}

impl Family {
    /// All of them, in the order of exposition.
    pub const ALL: [Self; 4] = [Self::Container, Self::Job, Self::Unit, Self::Vm];

    /// The labels that identify a workload of this family, in the order of [`Key::values`].
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Container => &["namespace", "pod", "container"],
            Self::Job => &["scheduler", "job_id"],
            Self::Unit => &["unit"],
            Self::Vm => &["vm"],
        }
    }
}

const FOLDED: &str = "_folded";

/// The exported label set of a workload: the ledger's key. Equal keys add up. Its values are clean: what they are made of may
/// be anybody's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The family.
    pub family: Family,
    /// The label values, in the order of [`Family::labels`].
    pub values: Vec<Arc<str>>,
}

impl Key {
    /// A container's key; `namespace` and `pod` are empty outside Kubernetes.
    pub fn container(namespace: &str, pod: &str, container: &str) -> Self {
        Self { family: Family::Container, values: [namespace, pod, container].map(clean).into() }
    }

    /// A job's key.
    pub fn job(scheduler: &str, id: &str) -> Self {
        Self { family: Family::Job, values: [scheduler, id].map(clean).into() }
    }

    /// A unit's key.
    pub fn unit(name: &str) -> Self {
        Self { family: Family::Unit, values: [clean(name)].into() }
    }

    /// A virtual machine's key.
    pub fn vm(name: &str) -> Self {
        Self { family: Family::Vm, values: [clean(name)].into() }
    }

    /// Where workloads beyond `--workload.max` go.
    pub fn folded() -> Self {
        Self::container("", "", FOLDED)
    }

    /// Whether it is that one.
    pub fn is_folded(&self) -> bool {
        self.family == Family::Container && self.values.iter().map(|value| &**value).eq(["", "", FOLDED])
    }
}

/// What is known of a workload besides its key: the labels of its `*_info` series.
pub type Info = Vec<(&'static str, Arc<str>)>;

/// What `names` answers of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its exported labels, and what its info series carries beyond them.
    Known(Key, Info),
    /// A source of names is being asked.
    NotYet,
    /// No source of names will ever tell: it goes under its ids.
    Never,
}

impl Workload {
    /// The labels that stand in while, or where, there are no names: ids only.
    pub fn key_by_id(&self) -> Key {
        match self {
            Self::Container { id, runtime, pod } => {
                Key::container("", pod.as_deref().unwrap_or(""), &container_name(id, runtime))
            }
            Self::NestedContainer { id, runtime, pod } => {
                Key::container("", pod, &container_name(id, runtime))
            }
            Self::UserContainer { user, id, runtime } => {
                let name = container_name(id, runtime);
                Key::container("", "", &format!("user@{user}.service/{name}"))
            }
            Self::Pod { uid, .. } => Key::container("", uid, "POD"),
            Self::Job { scheduler, id: JobId::Number(id) | JobId::Sluid(id), .. } => Key::job(scheduler, id),
            Self::Unit { name } => Key::unit(name),
            Self::Vm { name } => Key::vm(name),
        }
    }

    /// The delegated tree that it lies in: below a user's own manager, or in a pod's container. Whoever has that tree makes as
    /// many cgroups in it as they like.
    pub fn delegated_tree(&self) -> Option<Arc<str>> {
        match self {
            Self::NestedContainer { pod, .. } => Some(Arc::clone(pod)),
            Self::UserContainer { user, .. } => Some(Arc::from(format!("user@{user}.service"))),
            Self::Unit { name } => name.split_once('/').map(|(manager, _)| Arc::from(manager)),
            Self::Container { .. } | Self::Pod { .. } | Self::Job { .. } | Self::Vm { .. } => None,
        }
    }

    /// The info labels that the path alone gives.
    pub fn info_by_id(&self) -> Info {
        let mut info = Info::new();
        match self {
            Self::Container { id, runtime, pod } => {
                info.push(("container_id", clean(id)));
                info.push(("runtime", Arc::from(*runtime)));
                if let Some(uid) = pod {
                    info.push(("pod_uid", clean(uid)));
                }
            }
            Self::NestedContainer { id, runtime, pod } => {
                info.push(("container_id", clean(id)));
                info.push(("runtime", Arc::from(*runtime)));
                info.push(("pod_uid", clean(pod)));
            }
            Self::UserContainer { user, id, runtime } => {
                info.push(("container_id", clean(id)));
                info.push(("runtime", Arc::from(*runtime)));
                info.push(("user_id", clean(user)));
            }
            Self::Pod { uid, qos } => {
                info.push(("pod_uid", clean(uid)));
                info.push(("qos", Arc::from(*qos)));
            }
            Self::Job { id, user, .. } => {
                if let JobId::Sluid(sluid) = id {
                    info.push(("sluid", clean(sluid)));
                }
                if let Some(user) = user {
                    info.push(("user_id", clean(user)));
                }
            }
            Self::Unit { .. } | Self::Vm { .. } => {}
        }
        info
    }
}

/// What a container is called where only its id is known. That of a build step is random and shown nowhere else, so its
/// maker's name stands before it.
pub fn container_name(id: &str, runtime: &str) -> String {
    match runtime {
        "buildkit" => format!("buildkit-{id}"),
        _ => short(id).to_string(),
    }
}

/// The first 12 digits of a hexadecimal id, as the container tools print it; a name (LXC, nspawn) stays whole.
fn short(id: &str) -> &str {
    match id.get(..12) {
        Some(digits) if id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => digits,
        _ => id,
    }
}
