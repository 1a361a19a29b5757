//! What the kubelet answers, and which devices it gives to which container.
//!
//! <https://github.com/kubernetes/kubelet/blob/master/pkg/apis/podresources/v1/api.proto>

use std::collections::{BTreeMap, BTreeSet};

use noether_core::gpu::Name;
use noether_core::workload::Key;
use prost::Message;

use super::super::failure::Failure;
use super::device;

/// `ListPodResourcesResponse`; of all messages, the fields that are needed.
#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    pods: Vec<Pod>,
}

/// `PodResources`
#[derive(Clone, PartialEq, Message)]
struct Pod {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(message, repeated, tag = "3")]
    containers: Vec<Container>,
}

/// `ContainerResources`
#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    devices: Vec<Devices>,
    #[prost(message, repeated, tag = "5")]
    claims: Vec<Claim>,
}

/// `ContainerDevices`: those of one resource on one NUMA node.
#[derive(Clone, PartialEq, Message)]
struct Devices {
    #[prost(string, tag = "1")]
    resource: String,
    #[prost(string, repeated, tag = "2")]
    ids: Vec<String>,
}

/// `DynamicResource`
#[derive(Clone, PartialEq, Message)]
struct Claim {
    #[prost(message, repeated, tag = "4")]
    devices: Vec<Claimed>,
}

/// `ClaimResource`: one device of a claim. Older kubelets tell its CDI names alone.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Claimed {
    #[prost(message, repeated, tag = "1")]
    pub(super) cdi: Vec<Cdi>,
    #[prost(string, tag = "2")]
    pub(super) driver: String,
    #[prost(string, tag = "4")]
    pub(super) device: String,
}

/// `CDIDevice`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Cdi {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// A container has no more devices, or shares of them; nor have all together. Whoever shares memory by the gigabyte gives
/// away a hundred of one GPU.
const MOST_OF_ONE: usize = 4096;
const MOST_OF_ALL: usize = 1 << 16;

/// Which GPUs each container was given, by the labels that it goes under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    devices: BTreeMap<Key, Vec<Name>>,
    /// Those of which the kubelet knows only that they were given something: see [`device::is_stand_in`].
    stand_ins: BTreeSet<Key>,
    /// How many devices, or shares of one, are given away.
    total: usize,
    cut: bool,
}

impl Grants {
    /// Reads an answer.
    pub(crate) fn read(message: &[u8]) -> Result<Self, Failure> {
        let list = List::decode(message)
            .map_err(|error| Failure::Malformed(format!("List of PodResources: {error}")))?;
        let mut grants = Self::default();
        for pod in &list.pods {
            for container in &pod.containers {
                grants.add(&Key::container(&pod.namespace, &pod.name, &container.name), container);
            }
        }
        Ok(grants)
    }

    fn add(&mut self, key: &Key, container: &Container) {
        let of_one = self.of(key).map_or(0, <[_]>::len);
        let most = MOST_OF_ONE.saturating_sub(of_one).min(MOST_OF_ALL.saturating_sub(self.total));
        let mut names = container.names();
        let taken: Vec<Name> = names.by_ref().take(most).collect();
        self.cut |= names.next().is_some();
        if taken.is_empty() {
            return;
        }
        self.total += taken.len();
        self.devices.entry(key.clone()).or_default().extend(taken);
        let mut ids = container.devices.iter().flat_map(|devices| &devices.ids);
        if ids.any(|id| device::is_stand_in(id)) {
            self.stand_ins.insert(key.clone());
        }
    }

    /// What a container was given. A device that it has several shares of is named as often.
    pub fn of(&self, key: &Key) -> Option<&[Name]> {
        self.devices.get(key).map(Vec::as_slice)
    }

    /// Whether the ids that the kubelet has stand for any GPU of the node, and another authority says for which.
    pub fn stand_in(&self, key: &Key) -> bool {
        self.stand_ins.contains(key)
    }

    /// Whether the kubelet gave away more than any machine can have: what is beyond is left out.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &[Name])> {
        self.devices.iter().map(|(key, names)| (key, names.as_slice()))
    }

    /// How many devices, or shares of one, are given away.
    pub fn devices(&self) -> usize {
        self.total
    }

    /// How many containers have any.
    pub fn containers(&self) -> usize {
        self.devices.len()
    }

    /// Whether nothing is given away.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}

#[cfg(test)]
impl Grants {
    /// What a container was given under these ids.
    pub(crate) fn of_ids(namespace: &str, pod: &str, container: &str, ids: &[&str]) -> Self {
        let ids = ids.iter().map(ToString::to_string).collect();
        let devices = vec![Devices { resource: "nvidia.com/gpu".into(), ids }];
        let containers = vec![Container { name: container.into(), devices, claims: vec![] }];
        let pods = vec![Pod { name: pod.into(), namespace: namespace.into(), containers }];
        Self::read(&List { pods }.encode_to_vec()).unwrap()
    }
}

impl FromIterator<(Key, Vec<Name>)> for Grants {
    fn from_iter<I: IntoIterator<Item = (Key, Vec<Name>)>>(all: I) -> Self {
        let devices: BTreeMap<Key, Vec<Name>> = all.into_iter().collect();
        let total = devices.values().map(Vec::len).sum();
        Self { devices, total, ..Self::default() }
    }
}

impl Container {
    fn names(&self) -> impl Iterator<Item = Name> {
        let of_plugins = self
            .devices
            .iter()
            .flat_map(|devices| devices.ids.iter().filter_map(|id| device::of_plugin(&devices.resource, id)));
        let of_claims = self.claims.iter().flat_map(|claim| &claim.devices).flat_map(device::of_claim);
        of_plugins.chain(of_claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GPU: &str = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6";

    fn list(containers: Vec<Container>) -> Vec<u8> {
        let pod = Pod { name: "train".into(), namespace: "ml".into(), containers };
        List { pods: vec![pod, Pod::default()] }.encode_to_vec()
    }

    fn container(name: &str, ids: &[&str]) -> Container {
        let ids = ids.iter().map(ToString::to_string).collect();
        let devices = vec![Devices { resource: "nvidia.com/gpu".into(), ids }];
        Container { name: name.into(), devices, claims: vec![] }
    }

    #[test]
    fn each_container_has_its_own() {
        let mut app = container("app", &[&format!("{GPU}::0"), &format!("{GPU}::3")]);
        let claimed = Claimed { cdi: vec![], driver: "gpu.nvidia.com".into(), device: "gpu-2".into() };
        app.claims.push(Claim { devices: vec![claimed] });
        app.devices.push(Devices { resource: "vendor.com/nic".into(), ids: vec!["1".into()] });
        let grants = Grants::read(&list(vec![app, container("log", &[])])).unwrap();
        let own: &[_] = &[Name::Uuid(GPU.into()), Name::Uuid(GPU.into()), Name::Minor(2)];
        assert_eq!(grants.of(&Key::container("ml", "train", "app")), Some(own));
        assert_eq!(grants.of(&Key::container("ml", "train", "log")), None);
        assert_eq!((grants.devices(), grants.containers(), grants.is_empty()), (3, 1, false));
        assert!(Grants::read(&[]).unwrap().is_empty(), "a node without pods");
    }

    /// As an independent implementation wrote it: see `tests/fixtures/kubernetes/README.md`.
    #[test]
    fn an_answer_is_read_by_its_numbers() {
        let grants =
            Grants::read(include_bytes!("../../../../../tests/fixtures/kubernetes/pod-resources.pb"))
                .unwrap();
        let of =
            |pod: &str, container: &str| grants.of(&Key::container("ml", pod, container)).map(<[_]>::to_vec);
        let id = |id: &str| Name::Uuid(id.into());
        assert_eq!(of("train-0", "worker"), Some(vec![id(GPU), id(GPU)]));
        let instance = id("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f");
        assert_eq!(of("infer-1", "app"), Some(vec![instance, Name::Minor(2)]));
        assert_eq!((of("train-0", "proxy"), grants.containers()), (None, 2));
    }

    /// Older kubelets tell CDI names alone; newer ones may tell what is not known here.
    #[test]
    fn fields_that_are_missing_or_unknown_do_no_harm() {
        let cdi = vec![Cdi { name: "nvidia.com/gpu=1".into() }];
        let claimed = Claimed { cdi, ..Claimed::default() };
        let mut app = container("app", &[]);
        app.claims.push(Claim { devices: vec![claimed] });
        let mut message = list(vec![app]);
        message.extend([0x4a, 1, b'x', 0x50, 7]);
        let grants = Grants::read(&message).unwrap();
        assert_eq!(grants.of(&Key::container("ml", "train", "app")), Some(&[Name::Index(1)][..]));
    }

    #[test]
    fn an_answer_without_end_is_cut_and_a_sharing_schedulers_id_is_a_stand_in() {
        let ids: Vec<String> = (0..100_000).map(|number| format!("{GPU}-{number}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let grants = Grants::read(&list(vec![container("app", &ids), container("log", &[GPU])])).unwrap();
        let key = |name| Key::container("ml", "train", name);
        assert_eq!((grants.of(&key("app")).unwrap().len(), grants.is_cut()), (MOST_OF_ONE, true));
        assert_eq!((grants.stand_in(&key("app")), grants.stand_in(&key("log"))), (true, false));
        let many = (0..40).map(|number| container(&number.to_string(), &ids[..MOST_OF_ONE])).collect();
        let grants = Grants::read(&list(many)).unwrap();
        assert_eq!((grants.devices(), grants.is_cut()), (MOST_OF_ALL, true));
        assert!(!Grants::read(&list(vec![container("app", &ids[..MOST_OF_ONE])])).unwrap().is_cut());
    }

    #[test]
    fn what_is_no_answer_says_so() {
        let whole = list(vec![container("app", &[GPU])]);
        let bad = [
            &whole[..whole.len() - 30],
            &[0x0a, 9][..],
            &[0xff; 12],
            &[0x0a, 2, 0x0a, 9],
            &[0x0a, 3, 0x0a, 1, 0xff],
        ];
        for message in bad {
            assert!(matches!(Grants::read(message), Err(Failure::Malformed(_))), "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
            let _ = Grants::read(&bytes);
            let mut whole = list(vec![container("app", &[GPU])]);
            let place = cut.index(whole.len());
            whole[place] = bytes.first().copied().unwrap_or(0);
            let _ = Grants::read(&whole);
        }
    }
}
