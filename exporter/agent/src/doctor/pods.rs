//! The names of pods, as the doctor finds them.

use std::collections::BTreeSet;
use std::sync::Arc;

use noether_core::workload::Workload;
use noether_sources::cgroup::{CgroupTree, Options};
use noether_sources::kubernetes::{Kubernetes, PodUids};
use noether_sources::{Machine, pattern};
use tokio::runtime::Builder;

use super::{Finding, State};
use crate::names;
use crate::settings::{NameSource, Settings};

/// Who tells the names of pods. A source that does not answer is no fault where a better one does.
pub(super) fn findings(machine: &Machine, settings: &Settings) -> Vec<Finding> {
    let options = names::options(settings);
    let finding = |state, detail, mend: Option<&str>| Finding {
        kind: "names",
        name: "kubernetes".into(),
        state,
        detail,
        mend: mend.map(str::to_owned),
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![finding(State::Failed, error.to_string(), None)],
    };
    let told = runtime.block_on(Kubernetes::probe(&options));
    if told.is_empty() {
        let detail = match options.choice {
            NameSource::Off => "switched off by --kubernetes=off: pods go under their ids".to_owned(),
            _ => format!(
                "nothing at {} and {}: pods, if there are any, go under their ids",
                options.pods_api_socket.display(),
                options.token_file.display()
            ),
        };
        return vec![finding(State::Absent, detail, None)];
    }
    let here = here(machine);
    let mut answered = false;
    let findings = told.into_iter().map(|(choice, source, answer)| match answer {
        Ok(pods) if is_of_another_node(&pods, &here, choice) => {
            let (node, known, own) = (&options.node, pods.len(), here.len());
            let detail = match known {
                0 => format!("{source} knows no pod on a node called {node}; {own} run here"),
                _ => format!(
                    "{source} knows {known} pods on a node called {node}, and none of the {own} that run here"
                ),
            };
            finding(State::Warning, detail, Some("pass the node's name as the cluster knows it: --node.name"))
        }
        Ok(pods) => {
            answered = true;
            finding(State::Ok, format!("{source} tells the names of {} pods", pods.len()), None)
        }
        Err(why) if answered => finding(State::Absent, format!("{source}: {why}"), None),
        Err(why) => finding(
            State::Warning,
            format!("{source}: {why}"),
            Some("docs/kubernetes-names.md says what each source needs"),
        ),
    });
    findings.collect()
}

/// Whether none of the pods that a source knows runs here, while others do. A node of the API server that has no pod at all
/// is none: its kubelet's own static pods would be there.
fn is_of_another_node(pods: &[PodUids], here: &BTreeSet<Arc<str>>, source: NameSource) -> bool {
    let matches = pods.iter().flatten().any(|uid| here.contains(uid));
    !matches && (!here.is_empty() || (pods.is_empty() && source == NameSource::Api))
}

/// The uids of the pods that have cgroups here.
fn here(machine: &Machine) -> BTreeSet<Arc<str>> {
    let options = Options {
        recognise: pattern::recognise,
        sockets: None,
        memory: false,
        reserved: false,
        inotify: false,
        max_descriptors: 0,
    };
    let Ok(mut tree) = CgroupTree::open(machine, options) else { return BTreeSet::new() };
    let cgroups = tree.read(&mut Vec::new());
    let workloads =
        cgroups.iter().filter(|cgroup| cgroup.present).filter_map(|cgroup| cgroup.workload.as_deref());
    workloads
        .filter_map(|workload| match workload {
            Workload::Pod { uid, .. } | Workload::Container { pod: Some(uid), .. } => Some(Arc::clone(uid)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_another_name_is_told_by_its_pods() {
        let of = |pods: &[&[&str]], here: &[&str], source| {
            let pods: Vec<PodUids> =
                pods.iter().map(|uids| uids.iter().map(|uid| (*uid).into()).collect()).collect();
            is_of_another_node(&pods, &here.iter().map(|uid| (*uid).into()).collect(), source)
        };
        assert!(of(&[], &["a"], NameSource::Kubelet) && of(&[&["b"]], &["a"], NameSource::Api));
        assert!(of(&[], &[], NameSource::Api) && !of(&[], &[], NameSource::Kubelet));
        assert!(!of(&[&["b", "a"], &["c"]], &["a", "d"], NameSource::Api));
        assert!(!of(&[&["b"]], &[], NameSource::Api), "cgroups that cannot be seen are another finding");
    }
}
