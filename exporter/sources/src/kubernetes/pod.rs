//! A pod as names need it: the pure model that all three sources of pods lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use noether_core::budget::Budget;
use noether_core::gpu::Name;
use noether_core::text::{clean, clean_lines};
use noether_core::workload::{Info, Key};

use super::budget::{self, Mistake};
use super::object;
use super::owner;
use super::sharing;

/// Kubernetes allows no longer name; what is longer is no name, and cutting it would make one that is wrong.
const LONGEST_NAME: usize = 253;

/// Images, and the values of allow-listed labels and annotations, are cut here, in bytes.
const LONGEST_VALUE: usize = 512;

/// The annotations under which a static pod's cgroup knows it: by the hash of its file. The kubelet writes the first, its
/// mirror at the API server has both.
///
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-hash>
const HASHES: [&str; 2] = ["kubernetes.io/config.hash", "kubernetes.io/config.mirror"];

/// Which labels and annotations of pods go into `noether_pod_info`, each with its label there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    labels: Vec<(String, &'static str)>,
    annotations: Vec<(String, &'static str)>,
}

impl AllowList {
    /// These labels and annotations. The error names two that would become the same label.
    pub fn new(labels: &[String], annotations: &[String]) -> Result<Self, String> {
        let list = Self { labels: named("label_", labels), annotations: named("annotation_", annotations) };
        for names in [&list.labels, &list.annotations] {
            for (at, (name, label)) in names.iter().enumerate() {
                if let Some((other, _)) = names.iter().take(at).find(|(_, earlier)| earlier == label) {
                    return Err(format!("{other} and {name} would both become the label {label}"));
                }
            }
        }
        Ok(list)
    }

    fn pick(&self, metadata: &object::Metadata) -> Info {
        let labels = self.labels.iter().map(|(name, label)| (label, metadata.labels.get(name)));
        let annotations =
            self.annotations.iter().map(|(name, label)| (label, metadata.annotations.get(name)));
        labels
            .chain(annotations)
            .filter_map(|(label, value)| Some((*label, clean_lines(cut(value?)))))
            .collect()
    }
}

/// The names with their labels, as kube-state-metrics makes them: `label_app_kubernetes_io_name`.
fn named(prefix: &str, names: &[String]) -> Vec<(String, &'static str)> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    // It lives as long as the program, of which it is a setting.
    let label = |name: &String| &*format!("{prefix}{}", name.chars().map(plain).collect::<String>()).leak();
    names.iter().map(|name| (name.clone(), label(name))).collect()
}

/// A pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pod {
    /// What the API server, or for a static pod the kubelet, calls it by.
    pub(super) uid: Arc<str>,
    /// What else its cgroup may call it by.
    pub(super) hashes: Vec<Arc<str>>,
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) qos: Arc<str>,
    pub(super) priority_class: Arc<str>,
    pub(super) workload_kind: Arc<str>,
    pub(super) workload: Arc<str>,
    /// The allow-listed labels and annotations.
    pub(super) chosen: Info,
    pub(super) containers: Vec<Container>,
    /// Whether none of its containers will start any more.
    pub(super) ended: bool,
    pub(super) budget: Option<Budget>,
    /// The GPUs of its containers, where a scheduler has chosen them that shares GPUs by itself.
    pub(super) assigned: Vec<(Arc<str>, Arc<[Name]>)>,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) name: Arc<str>,
    pub(super) image: Arc<str>,
    /// As the status names it: `containerd`, `cri-o`; empty where no container has started.
    pub(super) runtime: Arc<str>,
    /// Every id that it is known to have had; the present one first.
    pub(super) ids: Vec<Arc<str>>,
    pub(super) restarts: usize,
    pub(super) running: bool,
    /// Whether there is a status of it.
    pub(super) reported: bool,
    /// Whether it is to run for as long as the pod does.
    pub(super) lasting: bool,
}

impl Pod {
    /// Understands what Kubernetes sent; the error says what is wrong with it.
    pub(super) fn new(
        object: object::Pod,
        allowed: &AllowList,
        mistakes: &mut Vec<Mistake>,
    ) -> Result<Self, &'static str> {
        let metadata = object.metadata.unwrap_or_default();
        let (spec, status) = (object.spec.unwrap_or_default(), object.status.unwrap_or_default());
        let uid = name(&metadata.uid).ok_or("a uid of 1 to 253 bytes")?;
        let namespace = name(&metadata.namespace).ok_or("a namespace of 1 to 253 bytes")?;
        let pod = name(&metadata.name).ok_or("a name of 1 to 253 bytes")?;
        let hashes = HASHES.iter().filter_map(|key| name(metadata.annotations.get(*key)?));
        let mut hashes: Vec<_> = hashes.filter(|hash| *hash != uid).collect();
        hashes.dedup();
        let (workload_kind, workload) = owner::workload(&pod, &metadata.owner_references, &metadata.labels);
        let subject = vec![("namespace", Arc::clone(&namespace)), ("pod", Arc::clone(&pod))];
        let ended = matches!(status.phase.as_str(), "Succeeded" | "Failed");
        Ok(Self {
            hashes,
            workload_kind: short(&workload_kind),
            workload: short(&workload),
            chosen: allowed.pick(&metadata),
            assigned: sharing::assigned(&metadata, &spec),
            containers: containers(&spec, &status),
            ended,
            // What has ended uses nothing any more.
            budget: budget::budget(&metadata.annotations, subject, mistakes).filter(|_| !ended),
            qos: short(&status.qos_class),
            priority_class: short(&spec.priority_class_name),
            uid,
            namespace,
            name: pod,
        })
    }

    /// Takes over the ids that an earlier version of the same pod knew: a status keeps only the last two of a container.
    pub(super) fn remember(&mut self, earlier: &Self) {
        let before = earlier.containers.iter().rev().map(|container| (&container.name, container));
        let before: BTreeMap<_, _> = before.collect();
        for container in &mut self.containers {
            let before = before.get(&container.name);
            for id in before.iter().flat_map(|before| &before.ids) {
                if !container.ids.contains(id) {
                    container.ids.push(Arc::clone(id));
                }
            }
            // A container that crashes for days leaves its oldest behind.
            container.ids.truncate(MOST_IDS);
        }
    }

    /// The key of one of its containers, or with `POD` of its own time.
    pub(super) fn key(&self, container: &str) -> Key {
        Key::container(&self.namespace, &self.name, container)
    }

    /// What is told of the pod itself.
    pub(super) fn info(&self) -> Info {
        let own = [
            ("pod_uid", &self.uid),
            ("qos", &self.qos),
            ("priority_class", &self.priority_class),
            ("workload_kind", &self.workload_kind),
            ("workload", &self.workload),
        ];
        let told = own.into_iter().filter(|(_, value)| !value.is_empty());
        told.map(|(label, value)| (label, Arc::clone(value))).chain(self.chosen.iter().cloned()).collect()
    }

    /// Whether each container that is to last runs, under an id that is known.
    pub(super) fn settled(&self) -> bool {
        let mut lasting = self.containers.iter().filter(|container| container.lasting).peekable();
        lasting.peek().is_some() && lasting.all(|container| container.running && !container.ids.is_empty())
    }

    /// Whether the kubelet reports on its containers, and every one that runs has an id: then whatever else is there has been
    /// there for longer, or is not reported yet.
    pub(super) fn reported(&self) -> bool {
        let mut containers = self.containers.iter().filter(|container| container.reported).peekable();
        containers.peek().is_some()
            && containers.all(|container| !container.running || !container.ids.is_empty())
    }

    /// Every id of its containers.
    pub(super) fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.containers.iter().flat_map(|container| &container.ids)
    }

    /// Whether the id of each container that ever started in it is known.
    pub(super) fn accounted(&self) -> bool {
        let known = |container: &Container| container.ids.len() > container.restarts;
        self.containers.iter().any(|container| container.lasting)
            && self.containers.iter().all(|one| known(one) || (!one.lasting && one.ids.is_empty()))
    }
}

/// So many ids of one container are remembered.
const MOST_IDS: usize = 16;

/// The containers of the spec, each with its status; those that only a status has, too.
fn containers(spec: &object::Spec, status: &object::Status) -> Vec<Container> {
    let mut images = BTreeMap::new();
    let ephemeral = spec.ephemeral_containers.iter().filter_map(|one| one.common.as_ref());
    for container in spec.containers.iter().chain(&spec.init_containers).chain(ephemeral) {
        images.insert(container.name.as_str(), container.image.as_str());
    }
    let mut found: Vec<Container> = Vec::new();
    let groups = [
        (&status.container_statuses, true),
        (&status.init_container_statuses, false),
        (&status.ephemeral_container_statuses, false),
    ];
    for (group, lasting) in groups {
        for status in group {
            let image = images.get(status.name.as_str()).copied().unwrap_or_default();
            found.extend(container(status, image, lasting));
        }
    }
    // Not started yet: there is no id of it, and that matters too.
    let mut names: BTreeSet<Arc<str>> = found.iter().map(|container| Arc::clone(&container.name)).collect();
    for container in &spec.containers {
        if let Some(name) = name(&container.name)
            && names.insert(Arc::clone(&name))
        {
            let image = short(&container.image);
            let (ids, runtime) = (Vec::new(), Arc::default());
            let (reported, lasting) = (false, true);
            found.push(Container {
                name,
                image,
                runtime,
                ids,
                restarts: 0,
                running: false,
                reported,
                lasting,
            });
        }
    }
    found
}

fn container(status: &object::ContainerStatus, image: &str, lasting: bool) -> Option<Container> {
    let terminated = |state: &Option<object::State>| state.clone().and_then(|state| state.terminated);
    let (now, before) = (terminated(&status.state), terminated(&status.last_state));
    let ended = [&now, &before].map(|state| state.as_ref().map_or("", |state| &state.container_id));
    let mut ids: Vec<Arc<str>> = Vec::new();
    for id in [status.container_id.as_str()].into_iter().chain(ended).filter_map(id) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Some(Container {
        name: name(&status.name)?,
        image: short(image),
        runtime: short(status.container_id.split_once("://").map_or("", |(runtime, _)| runtime)),
        ids,
        restarts: usize::try_from(status.restart_count).unwrap_or(0),
        running: status.state.as_ref().is_some_and(|state| state.running.is_some()),
        reported: true,
        lasting,
    })
}

/// The id in `containerd://ID`, spelled as the cgroup's is.
fn id(text: &str) -> Option<Arc<str>> {
    let id = text.rsplit_once("://").map_or(text, |(_, id)| id);
    name(&id.to_ascii_lowercase())
}

/// A name that Kubernetes allows by its length.
fn name(text: &str) -> Option<Arc<str>> {
    (!text.is_empty() && text.len() <= LONGEST_NAME).then(|| clean(text))
}

/// A value of at most so many bytes.
fn short(text: &str) -> Arc<str> {
    clean(cut(text))
}

fn cut(text: &str) -> &str {
    let end = (0..=LONGEST_VALUE.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;

    /// Encoded by an independent implementation (k8s-pb 0.9): see `tests/fixtures/kubernetes/README.md`.
    const PROTOBUF: &[u8] = include_bytes!("../../../../tests/fixtures/kubernetes/pod.pb");
    const JSON: &str = include_str!("../../../../tests/fixtures/kubernetes/pod.json");

    fn read(object: object::Pod) -> Result<Pod, &'static str> {
        let allowed = AllowList::new(&["app.kubernetes.io/name".into()], &["absent".into()]).unwrap();
        Pod::new(object, &allowed, &mut Vec::new())
    }

    fn protobuf() -> object::Pod {
        object::Pod::decode(PROTOBUF).unwrap()
    }

    fn value<'i>(info: &'i Info, label: &str) -> Option<&'i str> {
        info.iter().find(|(name, _)| *name == label).map(|(_, value)| &**value)
    }

    #[test]
    fn protobuf_and_json_say_the_same() {
        let json: object::Pod = serde_json::from_str(JSON).unwrap();
        assert_eq!(json, protobuf());
        let pod = read(json).unwrap();
        assert_eq!((&*pod.namespace, &*pod.name), ("shop", "web-6d4cf56db6-x2x9k"));
        assert_eq!(pod.key("app"), Key::container("shop", "web-6d4cf56db6-x2x9k", "app"));
        let info = pod.info();
        assert_eq!(value(&info, "pod_uid"), Some("0f5ea4c6-1b2c-4d3e-8f90-000000000abc"));
        assert_eq!((value(&info, "qos"), value(&info, "priority_class")), (Some("Burstable"), Some("high")));
        assert_eq!(
            (value(&info, "workload_kind"), value(&info, "workload")),
            (Some("Deployment"), Some("web"))
        );
        assert_eq!(value(&info, "label_app_kubernetes_io_name"), Some("we\"b\n"));
        assert_eq!(value(&info, "annotation_absent"), None);
        assert!(pod.budget.is_some());
    }

    #[test]
    fn containers_of_every_sort_have_ids_and_images() {
        let pod = read(protobuf()).unwrap();
        let told: Vec<_> = pod
            .containers
            .iter()
            .map(|one| format!("{} {} {} {}", one.name, one.image, one.ids.join(","), one.running))
            .collect();
        assert_eq!(
            told,
            [
                "app registry/app:1 aaaa,a0a0 true",
                "setup registry/setup:1 bbbb false",
                "proxy registry/proxy:1 cccc true",
                "debug busybox dddd true",
            ]
        );
        assert!(pod.settled() && pod.accounted());
    }

    #[test]
    fn a_pod_without_status_has_its_own_name_and_no_containers_ids() {
        let pod = read(object::Pod { status: None, ..protobuf() }).unwrap();
        assert_eq!((&*pod.name, pod.containers.len()), ("web-6d4cf56db6-x2x9k", 1));
        assert!(pod.containers[0].ids.is_empty() && !pod.settled() && !pod.accounted() && !pod.ended);
    }

    #[test]
    fn a_static_pod_goes_by_the_hash_of_its_file_too() {
        let mut object = protobuf();
        let metadata = object.metadata.as_mut().unwrap();
        for key in HASHES {
            metadata.annotations.insert(key.into(), "0a1b2c".into());
        }
        assert_eq!(read(object.clone()).unwrap().hashes, [Arc::from("0a1b2c")]);
        object.metadata.as_mut().unwrap().uid = "0a1b2c".into();
        assert!(read(object).unwrap().hashes.is_empty());
    }

    #[test]
    fn no_name_is_cut() {
        let with = |change: &dyn Fn(&mut object::Metadata)| {
            let mut object = protobuf();
            change(object.metadata.as_mut().unwrap());
            read(object)
        };
        assert!(with(&|metadata| metadata.name = "n".repeat(253)).is_ok_and(|pod| pod.name.len() == 253));
        assert!(with(&|metadata| metadata.name = "n".repeat(254)).is_err());
        assert!(with(&|metadata| metadata.namespace.clear()).is_err());
        assert!(with(&|metadata| metadata.uid.clear()).is_err());
        let long = with(&|metadata| {
            metadata.labels.insert("app.kubernetes.io/name".into(), "é".repeat(1000));
        });
        assert_eq!(long.unwrap().chosen[0].1.len(), LONGEST_VALUE);
    }

    #[test]
    fn names_are_clean() {
        let mut object = protobuf();
        let metadata = object.metadata.as_mut().unwrap();
        metadata.name = "web\n\u{1b}[31m".into();
        metadata.namespace = "sh\u{202e}op".into();
        object.spec.as_mut().unwrap().containers[0].image = "registry\t/app".into();
        object.status.as_mut().unwrap().container_statuses[0].name = "ap\0p".into();
        let pod = read(object).unwrap();
        assert_eq!((&*pod.namespace, &*pod.name), ("sh\u{fffd}op", "web\u{fffd}\u{fffd}[31m"));
        assert_eq!(&*pod.containers[0].name, "ap\u{fffd}p");
        assert!(pod.containers.iter().any(|one| &*one.image == "registry\u{fffd}/app"));
    }

    /// As a fuzzer writes it: as many containers as fit into a message, which are compared with each other by no more than the
    /// logarithm of their number.
    #[test]
    fn a_pod_of_very_many_containers_is_read_in_a_moment() {
        let name = |number: u32| format!("{number:x}");
        let mut object = protobuf();
        let of_spec = |number| object::Container { name: name(number), image: String::new() };
        object.spec.as_mut().unwrap().containers = (0..100_000).map(of_spec).collect();
        let status = |number| object::ContainerStatus {
            name: name(number),
            container_id: format!("x://{number}"),
            ..object::ContainerStatus::default()
        };
        object.status.as_mut().unwrap().container_statuses = (50_000..150_000).map(status).collect();
        let mut pod = read(object).unwrap();
        let earlier = pod.clone();
        pod.remember(&earlier);
        assert_eq!(pod.containers.iter().filter(|one| one.reported).count(), 100_003);
        assert_eq!(pod.containers.len(), 150_003);
    }

    #[test]
    fn ids_of_earlier_instances_are_remembered() {
        let earlier = read(protobuf()).unwrap();
        let mut object = protobuf();
        let app = &mut object.status.as_mut().unwrap().container_statuses[0];
        (app.container_id, app.restart_count, app.last_state) = ("containerd://EEEE".into(), 2, None);
        let mut pod = read(object).unwrap();
        assert!(!pod.accounted());
        pod.remember(&earlier);
        assert_eq!(pod.containers[0].ids, ["eeee", "aaaa", "a0a0"].map(Arc::from));
        assert!(pod.accounted());
    }

    #[test]
    fn two_names_never_become_one_label() {
        let error = AllowList::new(&["a.b/c".into(), "a-b/c".into()], &[]).unwrap_err();
        assert_eq!(error, "a.b/c and a-b/c would both become the label label_a_b_c");
        assert!(AllowList::new(&["a".into()], &["a".into()]).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = object::Pod::decode(&*bytes).map(read);
            let _ = serde_json::from_slice::<object::Pod>(&bytes).map(read);
            let mut damaged = PROTOBUF.to_vec();
            let at = at.index(damaged.len());
            damaged[at] = byte;
            let _ = object::Pod::decode(&*damaged).map(read);
        }
    }
}
