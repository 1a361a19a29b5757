//! Pods and containers: kubelet, containerd, CRI-O, Docker, Podman, nerdctl, LXC.

use std::sync::Arc;

use noether_core::workload::Workload;

use super::{Place, is_number, is_plain};

/// What a runtime puts before the id in a cgroup's name, and the runtime.
///
/// `libpod-payload-` is Podman with `--cgroups=split`, as Quadlet runs it. `crio-conmon-` and `libpod-conmon-` need
/// no row of their own: what follows the prefix there is no id.
const RUNTIMES: [(&str, &str); 6] = [
    ("cri-containerd", "containerd"),
    ("crio", "cri-o"),
    ("docker", "docker"),
    ("libpod", "podman"),
    ("libpod-payload", "podman"),
    ("nerdctl", "containerd"),
];

/// `kubepods[-QOS]-podUID.slice`, also behind the prefix of `--cgroup-root` (kind's `kubelet-kubepods-…`).
///
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/cm/cgroup_manager_linux.go>
pub(super) fn pod_slice(_: &Place<'_>, name: &str) -> Option<Workload> {
    let (before, uid) = name.strip_suffix(".slice")?.rsplit_once("-pod")?;
    let (root, qos) = match before.rsplit_once('-') {
        Some((root, class)) if class != "kubepods" => (root, qos(class)?),
        _ => (before, "Guaranteed"),
    };
    (root == "kubepods" || root.ends_with("-kubepods")).then_some(())?;
    pod(&uid.replace('_', "-"), qos)
}

/// `kubepods[/QOS]/podUID`.
pub(super) fn pod_folder(place: &Place<'_>, name: &str) -> Option<Workload> {
    let uid = name.strip_prefix("pod")?;
    match (place.grandparent, place.parent) {
        (_, "kubepods") => pod(uid, "Guaranteed"),
        ("kubepods", class) => pod(uid, qos(class)?),
        _ => None,
    }
}

/// Runtimes that name a scope after whatever container they are given, where nobody says otherwise.
///
/// <https://github.com/containers/crun/blob/main/src/libcrun/cgroup-systemd.c>,
/// <https://github.com/opencontainers/cgroups/blob/main/systemd/common.go>
const DIRECT: [&str; 3] = ["crun", "runc", "youki"];

/// Namespaces of containerd whose folder at the root holds containers by name. Others can't be told from any folder.
///
/// <https://github.com/containerd/containerd/blob/main/pkg/oci/spec.go> (`CgroupsPath` is `/NAMESPACE/ID`)
const NAMESPACES: [&str; 6] = ["default", "k8s.io", "moby", "buildkit", "nerdctl", "services.linuxkit"];

/// `RUNTIME-ID.scope`, or without `.scope` where systemd does not make the cgroups.
pub(super) fn named(place: &Place<'_>, name: &str) -> Option<Workload> {
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    let (id, runtime) = RUNTIMES
        .iter()
        .map(|(prefix, runtime)| {
            (stem.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')), *runtime)
        })
        .find_map(|(id, runtime)| Some((id.filter(|id| is_id(place, id))?, runtime)))
        .or_else(|| unknown_runtime(place, stem))?;
    Some(container(id, runtime, place.pod.clone()))
}

/// In a pod a full id is a container's, whoever runs it; but a monitor's cgroup is the pod's own.
fn unknown_runtime<'n>(place: &Place<'_>, stem: &'n str) -> Option<(&'n str, &'static str)> {
    let (prefix, id) = stem.rsplit_once('-')?;
    (in_pod(place) && is_full_id(id) && !prefix.contains("conmon")).then_some((id, ""))
}

/// `SLICE:RUNTIME:ID`: what was meant for systemd, taken as a folder's name by a runtime that makes cgroups itself.
pub(super) fn colons(place: &Place<'_>, name: &str) -> Option<Workload> {
    let (before, id) = name.rsplit_once(':')?;
    let (slice, prefix) = before.rsplit_once(':')?;
    let (_, runtime) = RUNTIMES.iter().find(|(known, _)| *known == prefix)?;
    let pod = match pod_slice(place, slice) {
        Some(Workload::Pod { uid, .. }) => Some(uid),
        _ => place.pod.clone(),
    };
    let valid = is_full_id(id) || (pod.is_some() && is_short_id(id));
    valid.then(|| container(id, runtime, pod))
}

/// `[…/]buildkit/STEP`, `SLICE:docker:STEP`, `docker-STEP.scope`: one command of a build, under a random id of its own.
///
/// <https://github.com/moby/buildkit/blob/master/executor/oci/spec_linux.go> (`generateCgroupPath`),
/// <https://github.com/moby/buildkit/blob/master/identity/randomid.go>
pub(super) fn build_step(place: &Place<'_>, name: &str) -> Option<Workload> {
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    let after = |separator| {
        let (before, id) = stem.rsplit_once(separator)?;
        let maker = before.rsplit_once(':').map_or(before, |(_, maker)| maker);
        matches!(maker, "docker" | "buildkit").then_some(id)
    };
    let id = match place.parent {
        "buildkit" => name,
        _ => after(':').or_else(|| after('-'))?,
    };
    is_build_id(id).then(|| container(id, "buildkit", place.pod.clone()))
}

/// `kata_ID`, where everything of a sandbox lies in its pod; `kata_overhead/ID`, where the overhead does not.
///
/// <https://github.com/kata-containers/kata-containers/blob/main/docs/design/host-cgroups.md>
pub(super) fn kata(place: &Place<'_>, name: &str) -> Option<Workload> {
    let id = name.strip_prefix("kata_").or_else(|| (place.parent == "kata_overhead").then_some(name))?;
    is_full_id(id).then(|| container(id, "kata", place.pod.clone()))
}

/// `crun-NAME.scope`; in a pod, only what has an id is a container.
pub(super) fn direct(place: &Place<'_>, name: &str) -> Option<Workload> {
    let stem = name.strip_suffix(".scope")?;
    let (runtime, id) =
        DIRECT.iter().find_map(|one| Some((*one, stem.strip_prefix(one)?.strip_prefix('-')?)))?;
    (!id.is_empty() && !in_pod(place) && !id.starts_with("conmon")).then_some(())?;
    Some(Workload::Container { id: Arc::from(id), runtime, pod: place.pod.clone() })
}

/// `apptainer-PID.scope`.
///
/// <https://apptainer.org/docs/user/latest/cgroups.html>
pub(super) fn apptainer(place: &Place<'_>, name: &str) -> Option<Workload> {
    let stem = name.strip_suffix(".scope")?;
    let (runtime, pid) = stem.split_once('-')?;
    let runtime = ["apptainer", "singularity"].into_iter().find(|known| *known == runtime)?;
    is_number(pid).then(|| Workload::Container { id: Arc::from(stem), runtime, pod: place.pod.clone() })
}

/// `NAMESPACE/NAME` at the root.
pub(super) fn namespaced(place: &Place<'_>, name: &str) -> Option<Workload> {
    (place.depth == 1 && NAMESPACES.contains(&place.parent) && is_plain(name)).then(|| Workload::Container {
        id: Arc::from(name),
        runtime: "containerd",
        pod: place.pod.clone(),
    })
}

/// A container's id alone.
pub(super) fn bare(place: &Place<'_>, name: &str) -> Option<Workload> {
    // What lies in `libpod_parent` under a bare id is a Podman pod, whose containers are named `libpod-ID`.
    (is_id(place, name) && place.parent != "libpod_parent").then_some(())?;
    let runtime = match (place.grandparent, place.parent) {
        (_, "docker") | ("ecs", _) => "docker",
        (_, "default" | "k8s.io") => "containerd",
        _ => "",
    };
    Some(container(name, runtime, place.pod.clone()))
}

/// `lxc.payload.NAME` (LXC 4 on), `lxc.payload/NAME` (LXC 3), `lxc/NAME` (before, and Proxmox VE).
///
/// <https://linuxcontainers.org/lxc/manpages/man5/lxc.container.conf.5.html>
pub(super) fn lxc(place: &Place<'_>, name: &str) -> Option<Workload> {
    let root = matches!(place.parent, "lxc" | "lxc.payload") && place.found.is_none();
    let id = name.strip_prefix("lxc.payload.").or(root.then_some(name))?;
    let container = Workload::Container { id: Arc::from(id), runtime: "lxc", pod: place.pod.clone() };
    (!id.is_empty()).then_some(container)
}

fn qos(class: &str) -> Option<&'static str> {
    match class {
        "burstable" => Some("Burstable"),
        "besteffort" => Some("BestEffort"),
        _ => None,
    }
}

fn pod(uid: &str, qos: &'static str) -> Option<Workload> {
    let valid = uid.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    valid.then(|| Workload::Pod { uid: Arc::from(uid), qos })
}

fn container(id: &str, runtime: &'static str, pod: Option<Arc<str>>) -> Workload {
    Workload::Container { id: Arc::from(id.to_ascii_lowercase()), runtime, pod }
}

fn in_pod(place: &Place<'_>) -> bool {
    matches!(place.found, Some(Workload::Pod { .. }))
}

/// A pod says that containers follow, so that shorter ids of rarer runtimes can be believed there.
fn is_id(place: &Place<'_>, text: &str) -> bool {
    is_full_id(text) || (in_pod(place) && is_short_id(text))
}

/// 25 digits of base 36.
fn is_build_id(text: &str) -> bool {
    text.len() == 25 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

fn is_full_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Hex digits, perhaps with the dashes of a UUID.
fn is_short_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && text.starts_with(|first: char| first.is_ascii_hexdigit())
}
