//! Kubernetes as far as names need it: a kubelet's Pods API, a kubelet's `/pods` and an API server, over one set of pods; and a
//! kubelet's word on who holds which devices.
//!
//! They speak through other implementations than the exporter does: tonic, hyper's server, an encoder of our own.

pub mod certificate;
pub mod cluster;
mod grpc;
pub mod pod;
pub mod pod_resources;
pub mod pods_api;
pub mod server;
pub mod web;

pub use certificate::Authority;
pub use cluster::{Call, Cluster, Mood};
pub use pod::Pod;
pub use pod_resources::{Claim, PodResources};
pub use pods_api::PodsApi;
pub use web::Web;
