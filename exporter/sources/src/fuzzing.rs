//! Entries to the parsers that are not public, one for each fuzz target in `fuzz/` that needs one.

use std::sync::Arc;

use noether_core::workload::{JobId, Workload};

use crate::kubernetes::AllowList;
use crate::kubernetes::intake::Intake;
use crate::kubernetes::pod_resources::answer::Grants;
use crate::slurm::component;
use crate::slurm::variables::Variables;
use crate::{drm, holder, owner};

/// The list of a v1 device cgroup.
pub fn device_list(content: &str) {
    holder::device_list::allowed(content);
}

/// What a process's environment says of its job and of the devices that were given to it.
pub fn environment(content: &[u8]) {
    let variables = Variables::of_process(content);
    let components = component::components(&variables);
    component::of_process(&components, &variables);
    Variables::of_file(content);
    let id: Arc<str> = "42".into();
    let job = Workload::Job { scheduler: "slurm", id: JobId::Number(Arc::clone(&id)), user: None };
    for workload in [job, Workload::Container { id, runtime: "docker", pod: None }] {
        holder::environment::held(&workload, content);
    }
}

/// A file of `/proc/PID/fdinfo`.
pub fn fdinfo(content: &str) {
    drm::fdinfo::parse(content);
}

/// A pod in JSON, from the kubelet or the API server.
pub fn pod_json(content: &str) {
    Intake::new(AllowList::default()).put_json(content);
}

/// A pod in protobuf, from the kubelet's Pods API.
pub fn pod_protobuf(content: &[u8]) {
    Intake::new(AllowList::default()).put_protobuf(content);
}

/// The kubelet's `ListPodResourcesResponse`.
pub fn pod_resources(content: &[u8]) {
    drop(Grants::read(content));
}

/// `/proc/PID/cgroup`, seen from the root of the cgroup namespace.
pub fn proc_cgroup(content: &str) {
    owner::owner(content, |path| Some(path.to_owned()));
}
