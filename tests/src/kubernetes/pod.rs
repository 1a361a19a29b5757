//! A pod, in the two encodings of Kubernetes.

use serde_json::{Value, json};

use crate::machine::Load;
use crate::machine::load::{container_id, pod_uid};

/// A pod with containers that all are of the runtime containerd.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Its uid.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its annotations.
    pub annotations: Vec<(String, String)>,
    /// The kind and name of its controller.
    pub owner: Option<(String, String)>,
    /// `Pending`, `Running`, `Succeeded` or `Failed`; `None` for no status at all.
    pub phase: Option<String>,
    /// Names and ids of its containers; an empty id is not known yet.
    pub containers: Vec<(String, String)>,
}

impl Pod {
    /// A running pod whose cgroup is that of [`Load::pod`] with the same number, and one container with this seed.
    pub fn running(namespace: &str, name: &str, pod: u32, seed: u32) -> Self {
        Self {
            uid: pod_uid(pod),
            namespace: namespace.into(),
            name: name.into(),
            labels: Vec::new(),
            annotations: Vec::new(),
            owner: None,
            phase: Some("Running".into()),
            containers: vec![("app".into(), container_id(seed))],
        }
    }

    /// The same in another phase.
    pub fn phase(mut self, phase: &str) -> Self {
        self.phase = Some(phase.into());
        self
    }

    /// The same before any container has started.
    pub fn pending(mut self) -> Self {
        self.containers.iter_mut().for_each(|(_, id)| id.clear());
        self.phase("Pending")
    }

    /// A load in its container, owned by the name that it is to go by.
    pub fn load(&self, pod: u32, seed: u32) -> Load {
        Load::pod(pod, seed).owner(&self.owner_of("app"))
    }

    /// What energy of a container is to be found under.
    pub fn owner_of(&self, container: &str) -> String {
        format!("container/{}/{}/{container}", self.namespace, self.name)
    }

    /// As JSON.
    pub fn json(&self, version: u64) -> Value {
        let map = |pairs: &[(String, String)]| -> Value {
            pairs
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.clone())))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let owners: Vec<_> = self.owner.iter().map(|(kind, name)| json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": true})).collect();
        let containers: Vec<_> = self
            .containers
            .iter()
            .map(|(name, _)| json!({"name": name, "image": "registry/app:1", "resources": {}}))
            .collect();
        let mut pod = json!({
            "metadata": {
                "uid": self.uid, "namespace": self.namespace, "name": self.name, "resourceVersion": version.to_string(),
                "creationTimestamp": "2001-01-01T00:00:00Z", "labels": map(&self.labels), "annotations": map(&self.annotations),
                "ownerReferences": owners, "managedFields": [{"manager": "kubelet", "fieldsV1": {}}],
            },
            "spec": {"nodeName": "node-1", "containers": containers, "priorityClassName": "high"},
        });
        if let Some(phase) = &self.phase {
            let statuses: Vec<_> = self.containers.iter().map(|(name, id)| self.status(name, id)).collect();
            pod["status"] = json!({"phase": phase, "qosClass": "Burstable", "containerStatuses": statuses});
        }
        pod
    }

    fn status(&self, name: &str, id: &str) -> Value {
        let id = if id.is_empty() { String::new() } else { format!("containerd://{id}") };
        let state = match self.phase.as_deref() {
            Some("Running") => json!({"running": {"startedAt": "2001-01-01T00:00:00Z"}}),
            Some("Pending") | None => json!({"waiting": {"reason": "ContainerCreating"}}),
            Some(_) => json!({"terminated": {"exitCode": 0, "containerID": id}}),
        };
        json!({"name": name, "containerID": id, "restartCount": 0, "state": state})
    }

    /// As protobuf, by the numbers of `k8s.io/api/core/v1/generated.proto`.
    pub fn protobuf(&self) -> Vec<u8> {
        let mut metadata = Message::default();
        metadata.text(1, &self.name).text(3, &self.namespace).text(5, &self.uid);
        for (tag, pairs) in [(11, &self.labels), (12, &self.annotations)] {
            for (name, value) in pairs {
                metadata.message(tag, Message::default().text(1, name).text(2, value));
            }
        }
        if let Some((kind, name)) = &self.owner {
            metadata.message(13, Message::default().text(1, kind).text(3, name).number(6, 1));
        }
        let mut spec = Message::default();
        for (name, _) in &self.containers {
            spec.message(2, Message::default().text(1, name).text(2, "registry/app:1"));
        }
        spec.text(10, "node-1").text(24, "high");
        let mut pod = Message::default();
        pod.message(1, &metadata).message(2, &spec);
        if let Some(phase) = &self.phase {
            pod.message(3, &self.status_protobuf(phase));
        }
        pod.0
    }

    fn status_protobuf(&self, phase: &str) -> Message {
        let mut status = Message::default();
        status.text(1, phase);
        for (name, id) in &self.containers {
            let state = match phase {
                "Running" => 2,
                "Pending" => 1,
                _ => 3,
            };
            let mut container = Message::default();
            container.text(1, name).message(2, Message::default().message(state, &Message::default()));
            if !id.is_empty() {
                container.text(8, &format!("containerd://{id}"));
            }
            status.message(8, &container);
        }
        status.text(9, "Burstable");
        status
    }
}

/// A message of protobuf that is being written.
#[derive(Clone, Debug, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    /// A field that is text.
    pub fn text(&mut self, tag: u32, text: &str) -> &mut Self {
        self.bytes(tag, text.as_bytes())
    }

    /// A field that is a message itself.
    pub fn message(&mut self, tag: u32, message: &Self) -> &mut Self {
        self.bytes(tag, &message.0)
    }

    /// A field of bytes.
    pub fn bytes(&mut self, tag: u32, bytes: &[u8]) -> &mut Self {
        self.varint(u64::from(tag << 3 | 2)).varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A field that is a number.
    pub fn number(&mut self, tag: u32, number: u64) -> &mut Self {
        self.varint(u64::from(tag << 3)).varint(number)
    }

    fn varint(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }
}
