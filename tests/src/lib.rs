//! The test harness: a simulated machine with known truth, the real binary, a real Prometheus, and the law.
//!
//! Nothing here knows the exporter's code: only the contract's flags and metrics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and its indices are of its own making"
)]

pub mod chart;
pub mod containerd;
pub mod dashboards;
pub mod exporter;
pub mod fuse;
pub mod golden;
pub mod http;
pub mod kernel;
pub mod kubernetes;
pub mod machine;
pub mod nvml;
pub mod otlp;
pub mod outcome;
pub mod podman;
pub mod prometheus;
pub mod scrape;
pub mod slurm;
