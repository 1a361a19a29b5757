//! Which GPUs a scheduler that shares them by itself has given to the containers of a pod: it writes that into an annotation.
//! The kubelet knows only that the containers were given some.
//!
//! - HAMi (<https://github.com/Project-HAMi/HAMi>, `pkg/device/devices.go`): `UUID,TYPE,MEMORY,CORES:` for each device, `;`
//!   between containers. Its predecessors and Volcano's vGPU (<https://github.com/volcano-sh/volcano>,
//!   `pkg/scheduler/api/devices/nvidia/vgpu`) write the same under names of their own.
//! - gpushare (<https://github.com/AliyunContainerService/gpushare-scheduler-extender>): the number of the one GPU of a pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use noether_core::gpu::Name;
use noether_core::workload::Key;

use super::object::{Metadata, Spec};
use super::pod::Pod;
use super::pod_resources::is_id;

/// The annotations that list devices by containers.
const BY_CONTAINER: [&str; 5] = [
    "hami.io/vgpu-devices-allocated",
    "hami.io/vgpu-ids-new",
    "volcano.sh/vgpu-ids-new",
    "4pd.io/vgpu-devices-allocated",
    "4pd.io/vgpu-ids-new",
];

/// The annotation that has the number of a GPU.
const BY_NUMBER: &str = "ALIYUN_COM_GPU_MEM_IDX";

/// No container has more devices, and no id of one is longer.
const MOST: usize = 256;
const LONGEST_NAME: usize = 64;

/// Which GPUs each container was given by a scheduler that shares them, by the labels that it goes under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments(BTreeMap<Key, Arc<[Name]>>);

impl Assignments {
    /// Those of these pods.
    pub(super) fn of_pods<'p>(pods: impl Iterator<Item = &'p Pod>) -> Self {
        let of_pod = |pod: &'p Pod| {
            pod.assigned.iter().map(|(container, devices)| (pod.key(container), Arc::clone(devices)))
        };
        Self(pods.flat_map(of_pod).collect())
    }

    /// What a container was given.
    pub fn of(&self, key: &Key) -> Option<&[Name]> {
        self.0.get(key).map(|devices| &**devices)
    }
}

impl FromIterator<(Key, Vec<Name>)> for Assignments {
    fn from_iter<I: IntoIterator<Item = (Key, Vec<Name>)>>(all: I) -> Self {
        Self(all.into_iter().map(|(key, devices)| (key, devices.into())).collect())
    }
}

/// The devices of each container of a pod, as its annotations have them.
pub(super) fn assigned(metadata: &Metadata, spec: &Spec) -> Vec<(Arc<str>, Arc<[Name]>)> {
    let containers = || spec.containers.iter().map(|container| container.name.as_str());
    if let Some(list) = BY_CONTAINER.iter().find_map(|annotation| metadata.annotations.get(*annotation)) {
        let mut groups: Vec<&str> = list.split(';').collect();
        // An end is written behind the last one too.
        if groups.last().is_some_and(|last| last.trim().is_empty()) {
            groups.pop();
        }
        // Newer versions count init containers, which come first.
        let first = groups.len().saturating_sub(spec.containers.len());
        let devices = groups.into_iter().skip(first).map(devices);
        let of_containers = containers().zip(devices).filter(|(_, devices)| !devices.is_empty());
        return of_containers.map(|(name, devices)| (name.into(), devices)).collect();
    }
    let number = metadata.annotations.get(BY_NUMBER).and_then(|number| number.trim().parse().ok());
    let devices: Option<Arc<[Name]>> = number.map(|number| [Name::Index(number)].into());
    devices
        .into_iter()
        .flat_map(|devices| containers().map(move |name| (name.into(), Arc::clone(&devices))))
        .collect()
}

/// The devices of one container. Instances that HAMi makes are called by their GPU, with their place in brackets.
fn devices(group: &str) -> Arc<[Name]> {
    let id = |device: &str| {
        let id = device.split([',', '[']).next().unwrap_or_default().trim();
        (is_id(id) && id.len() <= LONGEST_NAME).then(|| Name::Uuid(id.into()))
    };
    group.split(':').filter_map(id).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::super::object::Container;
    use super::*;
    use proptest::prelude::*;

    const A: &str = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6";
    const B: &str = "GPU-bc94e532-1820-8ee8-ceaa-704166369c7c";

    fn spec(init: &[&str], own: &[&str]) -> Spec {
        let list = |names: &[&str]| {
            names.iter().map(|name| Container { name: (*name).into(), image: String::new() }).collect()
        };
        Spec { containers: list(own), init_containers: list(init), ..Spec::default() }
    }

    fn found(annotation: &str, value: &str, spec: &Spec) -> Vec<(String, Vec<Name>)> {
        let annotations = [(annotation.to_owned(), value.to_owned())].into();
        let found = assigned(&Metadata { annotations, ..Metadata::default() }, spec);
        found.into_iter().map(|(name, devices)| (name.to_string(), devices.to_vec())).collect()
    }

    fn uuid(id: &str) -> Name {
        Name::Uuid(id.into())
    }

    #[test]
    fn a_sharing_schedulers_annotation_has_the_devices_of_each_container() {
        let one = spec(&[], &["app"]);
        let expected = [("app".to_owned(), vec![uuid(A)])];
        let hami = format!("{A},NVIDIA,3000,30:;");
        for annotation in BY_CONTAINER {
            assert_eq!(found(annotation, &hami, &one), expected, "{annotation}");
        }
        assert_eq!(found("example.com/other", &hami, &one), []);
        let two = format!("{A},NVIDIA,3000,50:{B},NVIDIA,3000,50:");
        assert_eq!(
            found("volcano.sh/vgpu-ids-new", &two, &one),
            [("app".to_owned(), vec![uuid(A), uuid(B)])]
        );
        let both = spec(&["setup"], &["log", "app"]);
        let expected = [("app".to_owned(), vec![uuid(B)])];
        assert_eq!(found(BY_CONTAINER[0], &format!(";{B},NVIDIA,1,1:;"), &both), expected);
        assert_eq!(
            found(BY_CONTAINER[0], &format!("{A},NVIDIA,1,1:;;{B}[0-1],NVIDIA,1,1:;"), &both),
            expected
        );
        assert_eq!(
            found(BY_NUMBER, "1", &both),
            [("log".to_owned(), vec![Name::Index(1)]), ("app".to_owned(), vec![Name::Index(1)])]
        );
        assert_eq!((found(BY_NUMBER, "-1", &one), found(BY_CONTAINER[0], ";;:,[", &one)), (vec![], vec![]));
        assert_eq!(found(BY_CONTAINER[0], &hami.repeat(1000).replace(';', ""), &one)[0].1.len(), MOST);
    }

    proptest! {
        #[test]
        fn any_annotation_is_read(value in "(GPU-|MIG-|[0-9a-f,:;é\\[\\]-]){0,60}") {
            for annotation in BY_CONTAINER.into_iter().chain([BY_NUMBER]) {
                found(annotation, &value, &spec(&["a"], &["b", "c"]));
            }
        }
    }
}
