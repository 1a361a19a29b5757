//! systemd's units, of the system and of user managers; and users' slices.

use std::sync::Arc;

use noether_core::workload::Workload;

use super::{Place, is_number};

/// `user.slice/user-U.slice`: it owns what runs in a user's sessions, outside any service.
pub(super) fn user_slice(place: &Place<'_>, name: &str) -> Option<Workload> {
    let user = name.strip_prefix("user-")?.strip_suffix(".slice")?;
    let own =
        place.parent == "user.slice" && is_number(user) && on_the_host(place) && place.manager.is_none();
    own.then(|| Workload::Unit { name: Arc::from(name) })
}

/// The outermost unit on the path, or the outermost below a user manager.
pub(super) fn unit(place: &Place<'_>, name: &str) -> Option<Workload> {
    (is_unit(name) && on_the_host(place) && !is_part_of_another(place, name)).then_some(())?;
    // systemd marks names that the kernel could take for a control file, such as `_cpu.service`.
    let name = name.strip_prefix('_').unwrap_or(name);
    Some(Workload::Unit {
        name: match place.manager {
            Some(manager) => Arc::from(format!("{manager}/{name}")),
            None => Arc::from(name),
        },
    })
}

/// Whether a folder is named as a unit that has processes. Slices only group.
pub(super) fn is_unit(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, kind)| {
        !stem.is_empty() && matches!(kind, "service" | "scope" | "socket" | "mount" | "swap")
    })
}

/// `user@U.service`: a systemd of its own, with units below.
pub(super) fn is_user_manager(name: &str) -> bool {
    name.strip_prefix("user@").is_some_and(|rest| rest.ends_with(".service"))
}

/// The user, other than root, to whom the folder and all below it is left: `user-U.slice` of `user.slice`, and
/// `user@U.service`.
pub(super) fn user_of<'n>(place: &Place<'_>, name: &'n str) -> Option<&'n str> {
    let slice =
        || name.strip_prefix("user-")?.strip_suffix(".slice").filter(|_| place.parent == "user.slice");
    let manager = || name.strip_prefix("user@")?.strip_suffix(".service");
    slice().or_else(manager).filter(|user| !user.is_empty() && *user != "0" && !place.in_unit)
}

fn on_the_host(place: &Place<'_>) -> bool {
    !place.inside && !place.in_unit
}

/// Sessions belong to their user's slice, a user manager's own processes to its service; monitors of containers
/// are one unit per container and say nothing, so they stay with the rest of the machine.
fn is_part_of_another(place: &Place<'_>, name: &str) -> bool {
    let session =
        place.parent.starts_with("user-") && name.starts_with("session-") && name.ends_with(".scope");
    let manager = place.manager.is_some() && place.manager == Some(place.parent) && name == "init.scope";
    session || manager || name.contains("-conmon-")
}
