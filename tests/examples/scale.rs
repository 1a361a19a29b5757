//! What a cluster costs its Prometheus: real exporters on simulated nodes whose pods have names, under a real Prometheus with our
//! rules. docs/scale.md is calculated from what this prints.
//!
//! `cargo run --release -p noether-tests --example scale -- node` takes one node with ever more pods;
//! `… -- cluster [NODES…]` ever more nodes of 30 pods. `NOETHER_BIN` names the exporter: `target/release/noether`.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement may fail by panicking, and its output is its purpose"
)]

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use noether_tests::exporter::Exporter;
use noether_tests::http;
use noether_tests::kubernetes::{Cluster, Pod, PodsApi};
use noether_tests::machine::{Hardware, Load, Machine};
use noether_tests::prometheus::{Job, Prometheus};
use noether_tests::scrape::Scrape;

const PODS: u32 = 30;
const SECOND: Duration = Duration::from_secs(1);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u32> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let or = |default: &[u32]| if numbers.is_empty() { default.to_vec() } else { numbers.clone() };
    match words.first().map(String::as_str) {
        Some("node") => or(&[0, 30, 110, 250]).into_iter().for_each(node),
        _ => or(&[5, 10, 20, 40]).into_iter().for_each(cluster),
    }
}

/// A node with two sockets and memory meters, and an exporter that knows its pods' names.
struct Node {
    machine: Machine,
    exporter: Exporter,
    _api: PodsApi,
}

impl Node {
    /// Pods are numbered through the whole cluster; each has one container, and a sandbox with a cgroup of its own.
    fn start(number: u32, pods: u32) -> Self {
        let mut machine = Machine::new(Hardware::intel(), Vec::new());
        let cluster = Cluster::default();
        for seed in (0..pods).map(|pod| number * 1000 + pod) {
            let mut pod =
                Pod::running(&format!("team-{}", seed % 20), &format!("web-5f7c9d-{seed}"), seed, seed);
            pod.owner = Some(("ReplicaSet".into(), format!("web-{}-5f7c9d", seed % 200)));
            pod.labels = vec![("pod-template-hash".into(), "5f7c9d".into())];
            cluster.put(&pod);
            machine.add(pod.load(seed, seed).cpu(&[0.01, 0.01]).memory(0.1));
            machine.add(Load::pod(seed, 0x8000_0000 + seed).cpu(&[0.0001, 0.0]).memory(0.001));
        }
        machine.advance(0.1);
        let api = PodsApi::start(
            &machine.root().join("var/lib/kubelet/pods-api/pods-api.sock"),
            "v1alpha1",
            &cluster,
        );
        let exporter = Exporter::start(&machine.flags());
        Self { machine, exporter, _api: api }
    }
}

/// What one node serves, and what it costs there.
fn node(pods: u32) {
    let mut node = Node::start(1, pods);
    // Until every pod has its name, its sandbox is told apart and every counter has been fetched.
    let mut client = http::Client::connect(node.exporter.address(), "scale").expect("the exporter accepts");
    for _ in 0..30 {
        node.machine.advance(1.0);
        sleep(SECOND);
        client.fetch("/metrics").expect("a scrape");
    }
    let before = cpu(node.exporter.pid());
    for _ in 0..20 {
        node.machine.advance(1.0);
        sleep(SECOND);
    }
    let used = (cpu(node.exporter.pid()) - before) / 20.0;
    let text = client.fetch("/metrics").expect("a scrape").text();
    let packed =
        client.request("GET", "/metrics", &[("Accept-Encoding", "gzip")]).expect("a scrape").body.len();
    let scrape = Scrape::parse(&text).expect("a scrape");
    let series: usize = scrape.families.iter().map(|family| family.samples.len()).sum();
    println!(
        "{pods} pods: {series} series, {} B, {packed} B gzip, {:.2} % of a core, {:.1} MiB resident",
        text.len(),
        used * 100.0,
        resident(node.exporter.pid()) / 1024.0
    );
    let mut families: Vec<_> =
        scrape.families.iter().map(|family| (family.samples.len(), &family.name)).collect();
    families.sort_unstable_by(|a, b| b.cmp(a));
    families.iter().take(8).for_each(|(count, name)| println!("    {count:6} {name}"));
}

/// What a Prometheus with our rules needs for so many nodes: two and a half minutes at a third of the intervals of
/// `dashboards/prometheus.yml`, so that rules are evaluated often enough.
fn cluster(count: u32) {
    let mut nodes: Vec<Node> = (0..count).map(|number| Node::start(number, PODS)).collect();
    let jobs: Vec<Job> = nodes
        .iter()
        .enumerate()
        .map(|(number, node)| Job {
            name: format!("node-{number}"),
            target: node.exporter.address().to_owned(),
            interval: "5s".to_owned(),
        })
        .collect();
    for rules in [false, true] {
        let files = if rules { rule_files() } else { Vec::new() };
        let prometheus = Prometheus::recording(&jobs, &files, "20s");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(150) {
            nodes.iter_mut().for_each(|node| node.machine.advance(1.0));
            sleep(SECOND);
        }
        let own = |name: &str| prometheus.own(name).unwrap_or_default();
        println!(
            "{count} nodes of {PODS} pods, {} rules: {} series, {:.0} MiB resident, {:.2} % of a core, slowest group {:.3} s",
            if rules { "with" } else { "without" },
            own("prometheus_tsdb_head_series"),
            own("process_resident_memory_bytes") / f64::from(1 << 20),
            100.0 * own("process_cpu_seconds_total") / begun.elapsed().as_secs_f64(),
            own("prometheus_rule_group_last_duration_seconds"),
        );
        let failures = own("prometheus_rule_evaluation_failures_total");
        assert!(failures == 0.0, "{failures} rules failed");
    }
}

fn rule_files() -> Vec<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/rules"));
    let entries = std::fs::read_dir(folder).expect("the rules").map(|entry| entry.expect("an entry").path());
    entries.collect()
}

/// CPU seconds of a process.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its stat");
    let after: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks = |field: usize| after.get(field).and_then(|text| text.parse::<f64>().ok()).expect("a number");
    (ticks(11) + ticks(12)) / hertz()
}

fn hertz() -> f64 {
    let output = Command::new("getconf").arg("CLK_TCK").output().expect("getconf");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

/// KiB that a process holds.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
