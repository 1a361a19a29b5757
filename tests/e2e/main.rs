//! End-to-end tests: the real binary on simulated machines, on this machine, and under a real Prometheus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and its indices are of its own making"
)]

mod accuracy;
mod bad_input;
mod carbon;
mod chart;
mod command_line;
mod compose;
mod containerd;
mod dashboards;
mod docs;
mod doctor;
mod drm;
mod examples;
mod golden;
mod gpu;
mod gpu_faults;
mod hanging;
mod hierarchies;
mod holders;
mod http;
mod identities;
mod image;
mod late_names;
mod least_privilege;
mod meter_faults;
mod meters;
mod otlp;
mod pods;
mod processors;
mod prometheus;
mod providers;
mod real_cgroups;
mod rules;
mod runtimes;
mod scale;
mod security;
mod slurm;
mod trust;
mod untrusted;
mod watch;
mod web_config;
