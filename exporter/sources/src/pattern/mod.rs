//! The one table of cgroup path patterns: what a cgroup is, told by its path alone.
//!
//! A path is walked from the root, because what a folder means depends on what it lies in: a `foo.service` inside
//! a container is the container's own affair, a 12-digit folder is a container only inside a pod.

mod container;
mod job;
mod machine;
mod orchestrator;
mod owner;
#[cfg(test)]
mod tests;
mod unit;

use std::sync::Arc;

use noether_core::workload::Workload;

/// What the cgroup at `path` (relative to the root of the hierarchy) is, if that very cgroup is a workload's root.
///
/// `None` for slices and for what lies inside a workload without being one itself: steps and tasks of a job,
/// `vcpu0` of a machine, the units of a systemd in a container.
pub fn recognise(path: &str) -> Option<Workload> {
    let mut place = Place::default();
    folders(path).for_each(|name| place.enter(name));
    place.found
}

/// The workload that the cgroup at `path` belongs to: what it is itself, or its nearest ancestor that is one.
///
/// One walk, so that a path that a process made long costs time in proportion to its length.
pub fn nearest(path: &str) -> Option<Workload> {
    let (mut place, mut nearest) = (Place::default(), None);
    for name in folders(path) {
        place.enter(name);
        nearest = place.found.clone().or(nearest);
    }
    nearest
}

fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// Who makes such cgroups.
    pub name: &'static str,
    /// Paths that this row recognises.
    pub examples: &'static [&'static str],
    /// `container`, `pod`, `job`, `unit` or `vm`.
    pub becomes: &'static str,
    recognise: fn(&Place<'_>, &str) -> Option<Workload>,
}

/// Every pattern; the first that fits a folder decides.
pub const PATTERNS: &[Pattern] = &[
    Pattern {
        name: "Kubernetes pod, systemd driver",
        examples: &[
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2fc932ce_fdcc_454b_97bd_aadfdeb4c340.slice",
            "kubepods.slice/kubepods-pod2fc932ce_fdcc_454b_97bd_aadfdeb4c340.slice",
        ],
        becomes: "pod",
        recognise: container::pod_slice,
    },
    Pattern {
        name: "Kubernetes pod, cgroupfs driver",
        examples: &[
            "kubepods/besteffort/pod5ba385ca-b6e6-4246-bd66-d48d429dbc12",
            "kubepods/pod5ba385ca-b6e6-4246-bd66-d48d429dbc12",
        ],
        becomes: "pod",
        recognise: container::pod_folder,
    },
    Pattern {
        name: "Container of containerd, CRI-O, Docker, Podman or nerdctl, named with its runtime",
        examples: &[
            "kubepods.slice/kubepods-pod2fc932ce_fdcc_454b_97bd_aadfdeb4c340.slice/cri-containerd-aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9.scope",
            "system.slice/docker-aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9.scope",
            "machine.slice/libpod-aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9.scope",
            "system.slice/web.service/libpod-payload-aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9",
        ],
        becomes: "container",
        recognise: container::named,
    },
    Pattern {
        name: "Container of a runtime on cgroupfs under a kubelet on systemd",
        examples: &[
            "system.slice/containerd.service/kubepods-burstable-pod2fc932ce_fdcc_454b_97bd_aadfdeb4c340.slice:cri-containerd:aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9",
        ],
        becomes: "container",
        recognise: container::colons,
    },
    Pattern {
        name: "Build step of BuildKit (`docker build`, buildx, buildkitd)",
        examples: &[
            "system.slice/system.slice:docker:w3kzyv3u1tz8ywvq6jdo1fnpf",
            "docker/buildkit/w3kzyv3u1tz8ywvq6jdo1fnpf",
            "buildkit/w3kzyv3u1tz8ywvq6jdo1fnpf",
        ],
        becomes: "container",
        recognise: container::build_step,
    },
    Pattern {
        name: "Kata Containers sandbox",
        examples: &[
            "kubepods/pod5ba385ca-b6e6-4246-bd66-d48d429dbc12/kata_aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9",
            "kata_overhead/aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9",
        ],
        becomes: "container",
        recognise: container::kata,
    },
    Pattern {
        name: "Container under its bare id",
        examples: &[
            "kubepods/burstable/pod5ba385ca-b6e6-4246-bd66-d48d429dbc12/aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9",
            "docker/aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9",
            "default/aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9",
        ],
        becomes: "container",
        recognise: container::bare,
    },
    Pattern {
        name: "LXC, Incus, LXD, Proxmox VE container",
        examples: &["lxc.payload.web", "lxc/101"],
        becomes: "container",
        recognise: container::lxc,
    },
    Pattern {
        name: "Container that crun, runc or youki was given directly (Podman's default parent, Buildah, by hand)",
        examples: &[
            "system.slice/crun-aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9.scope",
            "system.slice/runc-web.scope",
        ],
        becomes: "container",
        recognise: container::direct,
    },
    Pattern {
        name: "Apptainer or SingularityCE container",
        examples: &["system.slice/apptainer-4711.scope"],
        becomes: "container",
        recognise: container::apptainer,
    },
    Pattern {
        name: "Container of containerd by name (`ctr run`)",
        examples: &["default/web", "k8s.io/debug"],
        becomes: "container",
        recognise: container::namespaced,
    },
    Pattern {
        name: "Amazon ECS task's container",
        examples: &["ecs/8f0c3f5e2b1d4a6c9e7f8a9b0c1d2e3f/8f0c3f5e2b1d4a6c9e7f8a9b0c1d2e3f-1234567890"],
        becomes: "container",
        recognise: orchestrator::ecs,
    },
    Pattern {
        name: "Nomad task (exec, java, raw_exec)",
        examples: &[
            "nomad.slice/share.slice/5ba385ca-b6e6-4246-bd66-d48d429dbc12.web.scope",
            "nomad/share/5ba385ca-b6e6-4246-bd66-d48d429dbc12.web",
            "nomad/5ba385ca-b6e6-4246-bd66-d48d429dbc12",
        ],
        becomes: "container",
        recognise: orchestrator::nomad,
    },
    Pattern {
        name: "Cloud Foundry (Garden) container",
        examples: &["garden/5ba385ca-b6e6-4246-bd66-d48d", "garden-cell/good/5ba385ca-b6e6-4246-bd66-d48d"],
        becomes: "container",
        recognise: orchestrator::garden,
    },
    Pattern {
        name: "Mesos container",
        examples: &["mesos/5ba385ca-b6e6-4246-bd66-d48d429dbc12"],
        becomes: "container",
        recognise: orchestrator::mesos,
    },
    Pattern {
        name: "Talos Linux service",
        examples: &["system/apid", "system/runtime", "podruntime/kubelet", "init"],
        becomes: "container",
        recognise: orchestrator::talos,
    },
    Pattern {
        name: "Slurm job, cgroup v1",
        examples: &["slurm/uid_1000/job_42", "slurm_node7/uid_1000/job_42"],
        becomes: "job",
        recognise: job::slurm_v1,
    },
    Pattern {
        name: "Slurm job, cgroup v2",
        examples: &[
            "system.slice/slurmstepd.scope/job_42",
            "system.slice/node7_slurmstepd.scope/job_42",
            "system.slice/slurmstepd.scope/s5K1KKYAYG5D00",
        ],
        becomes: "job",
        recognise: job::slurm_v2,
    },
    Pattern { name: "OAR 2 job", examples: &["oar/alice_42"], becomes: "job", recognise: job::oar2 },
    Pattern {
        name: "OAR 3 job",
        examples: &["oar.slice/oar-u1000.slice/oar-u1000-j42.slice"],
        becomes: "job",
        recognise: job::oar3,
    },
    Pattern {
        name: "libvirt domain, systemd",
        examples: &[r"machine.slice/machine-qemu\x2d1\x2ddb\x2dprimary.scope"],
        becomes: "vm",
        recognise: machine::libvirt_scope,
    },
    Pattern {
        name: "libvirt domain, without systemd",
        examples: &["machine/qemu-1-db-primary.libvirt-qemu"],
        becomes: "vm",
        recognise: machine::libvirt_folder,
    },
    Pattern {
        name: "Proxmox VE virtual machine",
        examples: &["qemu.slice/100.scope"],
        becomes: "vm",
        recognise: machine::proxmox,
    },
    Pattern {
        name: "Firecracker virtual machine, by its jailer",
        examples: &["firecracker/5ba385ca-b6e6-4246-bd66-d48d429dbc12"],
        becomes: "vm",
        recognise: machine::firecracker,
    },
    Pattern {
        name: "systemd-nspawn container",
        examples: &["machine.slice/systemd-nspawn@web.service", "machine.slice/machine-web.scope"],
        becomes: "container",
        recognise: machine::nspawn,
    },
    Pattern {
        name: "User's slice",
        examples: &["user.slice/user-1000.slice"],
        becomes: "unit",
        recognise: unit::user_slice,
    },
    Pattern {
        name: "systemd unit",
        examples: &[
            "system.slice/sshd.service",
            "user.slice/user-1000.slice/user@1000.service",
            "user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
        ],
        becomes: "unit",
        recognise: unit::unit,
    },
];

/// Where in the tree the walk stands: what is known of the folders entered so far.
#[derive(Default)]
struct Place<'a> {
    /// The folder last entered, and the one that it lies in.
    parent: &'a str,
    grandparent: &'a str,
    /// How many folders were entered since the root, or since the container around, whose own root that is.
    depth: usize,
    /// What `parent` is.
    found: Option<Workload>,
    /// The outermost pod around.
    pod: Option<Arc<str>>,
    /// Whether a container of that pod is around: what lies deeper is not the kubelet's.
    in_container: bool,
    /// Whether a container, pod, job or virtual machine is around: no unit in there is the host's.
    inside: bool,
    /// Whether `machine.slice` is around.
    machines: bool,
    /// The user whose own slice or service manager is around.
    user: Option<&'a str>,
    /// The user manager around.
    manager: Option<&'a str>,
    /// Whether a unit other than a user manager is around.
    in_unit: bool,
}

impl<'a> Place<'a> {
    fn enter(&mut self, name: &'a str) {
        let found = PATTERNS.iter().find_map(|pattern| self.owned((pattern.recognise)(self, name)?));
        self.depth += 1;
        if let Some(Workload::Pod { uid, .. }) = &found {
            self.pod = Some(Arc::clone(uid));
        }
        let contained = matches!(
            found,
            Some(
                Workload::Container { .. }
                    | Workload::NestedContainer { .. }
                    | Workload::UserContainer { .. }
            )
        );
        if contained {
            self.depth = 0;
            self.in_container = self.pod.is_some();
        }
        self.inside |= !matches!(found, Some(Workload::Unit { .. }) | None);
        self.found = found;
        self.machines |= name == "machine.slice";
        if self.user.is_none() {
            self.user = unit::user_of(self, name);
        }
        if unit::is_unit(name) {
            if unit::is_user_manager(name) && self.manager.is_none() && !self.in_unit {
                self.manager = Some(name);
            } else {
                self.in_unit = true;
            }
        }
        self.grandparent = self.parent;
        self.parent = name;
    }
}

/// A run of decimal digits, short enough for a 64-bit number.
fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a folder's name is not one of systemd's.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.ends_with(".slice") && !unit::is_unit(name)
}

/// Whether the text begins with a UUID, and what follows that.
fn after_uuid(text: &str) -> Option<&str> {
    let (uuid, rest) = text.split_at_checked(36)?;
    let dashes = [8, 13, 18, 23];
    let fits = |(place, byte): (usize, u8)| match dashes.contains(&place) {
        true => byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    uuid.bytes().enumerate().all(fits).then_some(rest)
}
