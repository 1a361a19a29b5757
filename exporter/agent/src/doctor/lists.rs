//! Lists of devices that are too long to be read, as the doctor finds them.

use std::sync::Arc;

use noether_sources::cgroup::{CgroupTree, Options};
use noether_sources::holder::long_lists;
use noether_sources::{Machine, pattern};

use super::{Finding, State};

/// Whose environments list more devices than a machine can have; `None` where nobody's does.
pub(super) fn finding(machine: &Machine) -> Option<Finding> {
    let options = Options {
        recognise: pattern::recognise,
        sockets: None,
        memory: false,
        reserved: false,
        inotify: false,
        max_descriptors: 0,
    };
    let mut tree = CgroupTree::open(machine, options).ok()?;
    let cgroups = (0..).zip(tree.read(&mut Vec::new())).filter(|(_, cgroup)| cgroup.present);
    let workloads: Vec<_> =
        cgroups.filter_map(|(id, cgroup)| Some((id, Arc::clone(cgroup.workload.as_ref()?)))).collect();
    let long = long_lists(machine, &workloads, |id| tree.pids(id), |id| tree.path_below(id));
    let first = long.first()?;
    let detail = match long.len() {
        1 => first.clone(),
        count => format!("{first}; so it is in {} others", count - 1),
    };
    Some(Finding {
        kind: "holders",
        name: "lists".into(),
        state: State::Warning,
        detail,
        mend: Some(
            "ask the user of the workload what sets it: the first 256 devices of the list count".into(),
        ),
    })
}
