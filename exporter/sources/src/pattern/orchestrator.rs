//! Tasks and services that orchestrators other than the kubelet run: ECS, Nomad, Cloud Foundry, Mesos, Talos Linux.

use std::sync::Arc;

use noether_core::workload::Workload;

use super::{Place, after_uuid, is_number, is_plain};

/// `ecs/TASK/TASK-NUMBER`. What Docker runs for ECS lies in `ecs/TASK/ID` and is recognised by its id.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-response.html> (`DockerId`)
pub(super) fn ecs(place: &Place<'_>, name: &str) -> Option<Workload> {
    let (task, number) = name.rsplit_once('-')?;
    let of_task = task == place.parent && is_number(number);
    (of_task && (place.grandparent == "ecs" || is_task_id(task))).then(|| container(place, name, "ecs"))
}

/// `nomad.slice/{share,reserve}.slice/ALLOCATION.TASK.scope` (v2), `nomad/{share,reserve}/ALLOCATION.TASK` and
/// `nomad/ALLOCATION` (v1).
///
/// <https://github.com/hashicorp/nomad/blob/main/client/lib/cgroupslib/editor.go>
pub(super) fn nomad(place: &Place<'_>, name: &str) -> Option<Workload> {
    let id = name.strip_suffix(".scope").unwrap_or(name);
    let is_root = |name: &str| matches!(name, "nomad" | "nomad.slice");
    let of_nomad = is_root(place.parent)
        || (is_root(place.grandparent)
            && matches!(place.parent, "share" | "reserve" | "share.slice" | "reserve.slice"));
    let task = after_uuid(id)?;
    let valid = task.is_empty() || (task.len() > 1 && task.starts_with(['.', '-']));
    (of_nomad && valid).then(|| container(place, id, "nomad"))
}

/// `garden/HANDLE`, and `garden-TAG/{good,bad}/HANDLE` with CPU entitlement.
///
/// <https://github.com/cloudfoundry/guardian/blob/main/rundmc/cgroups/starter.go>
pub(super) fn garden(place: &Place<'_>, name: &str) -> Option<Workload> {
    let is_class = |name: &str| matches!(name, "good" | "bad");
    let is_root = |name: &str| name == "garden" || name.starts_with("garden-");
    let direct = place.parent == "garden" && !is_class(name);
    let classed = is_class(place.parent) && is_root(place.grandparent);
    ((direct || classed) && is_plain(name) && name != "init").then(|| container(place, name, "garden"))
}

/// `mesos/CONTAINER`; a nested one lies in `mesos/CONTAINER/mesos/CONTAINER`.
///
/// <https://mesos.apache.org/documentation/latest/isolators/cgroups-cpu/>
pub(super) fn mesos(place: &Place<'_>, name: &str) -> Option<Workload> {
    (place.parent == "mesos" && after_uuid(name).is_some()).then(|| container(place, name, "mesos"))
}

/// `system/SERVICE`, `system/extensions/SERVICE`, `podruntime/SERVICE`, `init`, all at the root of the host.
///
/// <https://github.com/siderolabs/talos/blob/main/pkg/machinery/constants/constants.go> (`CgroupSystem`, …)
pub(super) fn talos(place: &Place<'_>, name: &str) -> Option<Workload> {
    let id = match (place.depth, place.grandparent, place.parent, name) {
        (0, _, _, "init") => name.to_owned(),
        // A group of services, no service.
        (1, _, "system", "extensions") => return None,
        // There is one of containerd in each, which only the folder around tells apart.
        (1, _, parent @ ("system" | "podruntime"), "runtime") => format!("{parent}/runtime"),
        (1, _, "system" | "podruntime", _) | (2, "system", "extensions", _) => name.to_owned(),
        _ => return None,
    };
    (!place.inside && place.user.is_none() && is_plain(name)).then(|| container(place, &id, "talos"))
}

/// 32 hexadecimal digits.
fn is_task_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn container(place: &Place<'_>, id: &str, runtime: &'static str) -> Workload {
    Workload::Container { id: Arc::from(id), runtime, pod: place.pod.clone() }
}
