//! A pod as Kubernetes sends it, in protobuf or JSON: only the fields that names need; all else is skipped unread.
//!
//! The numbers are those of `k8s.io/api/core/v1/generated.proto` and `k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto`:
//! <https://github.com/kubernetes/api/blob/master/core/v1/generated.proto>

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Deserializer};

/// `Pod`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<Metadata>,
    #[prost(message, optional, tag = "2")]
    pub(super) spec: Option<Spec>,
    #[prost(message, optional, tag = "3")]
    pub(super) status: Option<Status>,
}

/// `ObjectMeta`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) namespace: String,
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) uid: String,
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) resource_version: String,
    #[prost(btree_map = "string, string", tag = "11")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "12")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "13")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) owner_references: Vec<Owner>,
}

/// `OwnerReference`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) kind: String,
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: String,
    #[prost(bool, tag = "6")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) controller: bool,
}

/// `PodSpec`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec {
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) containers: Vec<Container>,
    #[prost(message, repeated, tag = "20")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) init_containers: Vec<Container>,
    #[prost(string, tag = "24")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) priority_class_name: String,
    #[prost(message, repeated, tag = "34")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) ephemeral_containers: Vec<EphemeralContainer>,
}

/// `Container`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) image: String,
}

/// `EphemeralContainer`, whose common part lies in JSON beside its own.
#[derive(Clone, PartialEq, Message, Deserialize)]
pub(super) struct EphemeralContainer {
    #[prost(message, optional, tag = "1")]
    #[serde(flatten)]
    pub(super) common: Option<Container>,
}

/// `PodStatus`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) phase: String,
    #[prost(message, repeated, tag = "8")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[prost(string, tag = "9")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) qos_class: String,
    #[prost(message, repeated, tag = "10")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
    #[prost(message, repeated, tag = "13")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) ephemeral_container_statuses: Vec<ContainerStatus>,
}

/// `ContainerStatus`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) state: Option<State>,
    #[prost(message, optional, tag = "3")]
    pub(super) last_state: Option<State>,
    #[prost(int32, tag = "5")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) restart_count: i32,
    #[prost(string, tag = "8")]
    #[serde(rename = "containerID", deserialize_with = "or_empty")]
    pub(super) container_id: String,
}

/// `ContainerState`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct State {
    #[prost(message, optional, tag = "2")]
    pub(super) running: Option<Running>,
    #[prost(message, optional, tag = "3")]
    pub(super) terminated: Option<Terminated>,
}

/// `ContainerStateRunning`: that it is there is all that counts.
#[derive(Clone, PartialEq, Message, Deserialize)]
pub(super) struct Running {}

/// `ContainerStateTerminated`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct Terminated {
    #[prost(string, tag = "7")]
    #[serde(rename = "containerID", deserialize_with = "or_empty")]
    pub(super) container_id: String,
}

/// What Go's encoder writes for an empty map or list is `null`.
pub(super) fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
