//! The cluster: its nodes, and everything that lives and lived on them.

use std::sync::Arc;

use noether_core::workload::{Info, Key};

use crate::draw::{Draw, Parts, Shape, random};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A node of the cluster.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) zone: &'static str,
    /// Its own PUE, where it tells one.
    pub(crate) pue: Option<f64>,
    /// Which components have a meter: cpu, dram, gpu, other.
    pub(crate) has: [bool; 4],
    /// The idle floor in watts.
    pub(crate) floor: Parts,
    /// When its exporter started, oldest first. Nobody scrapes it in the minute before.
    pub(crate) starts: Vec<i64>,
}

/// What runs on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pods, two GPUs, and a meter of the whole machine.
    Accelerated,
    /// Pods.
    Plain,
    /// Jobs of Slurm, units, a virtual machine; no meter but the model.
    Batch,
}

impl Node {
    /// The newest start of its exporter until then.
    pub(crate) fn started(&self, at: i64) -> i64 {
        self.starts.iter().copied().rfind(|start| *start <= at).unwrap_or(i64::MAX)
    }

    /// Whether Prometheus reaches it: not in the minute before a restart.
    pub(crate) fn is_up(&self, at: i64) -> bool {
        !self.starts.iter().skip(1).any(|start| (*start - MINUTE..*start).contains(&at))
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) begin: i64,
    pub(crate) end: i64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) draws: Vec<Draw>,
}

impl World {
    /// A cluster with about so many living pods.
    pub(crate) fn new(begin: i64, end: i64, pods: usize) -> Self {
        let mut world = Self { begin, end, nodes: nodes(end, begin, pods), draws: Vec::new() };
        world.unattributed();
        world.system();
        world.applications();
        world.research();
        world.pipelines();
        world.fill(pods);
        world.batch();
        world.draws.sort_by(|a, b| a.key.cmp(&b.key));
        world
    }

    /// The PUE that holds for a node.
    pub(crate) fn pue(&self, node: usize) -> f64 {
        self.nodes[node].pue.unwrap_or(1.25)
    }

    fn seed(&self) -> u64 {
        self.draws.len() as u64 + 1
    }

    fn unattributed(&mut self) {
        for node in 0..self.nodes.len() {
            let [_, dram, gpu, other] = self.nodes[node].has.map(|has| f64::from(u8::from(has)));
            let watts = [9.0, 2.5 * dram, 8.0 * gpu, 14.0 * other];
            self.draws.push(Draw {
                key: None,
                info: Arc::default(),
                restarted: None,
                node,
                from: self.begin,
                to: self.end + DAY,
                watts,
                shape: Shape::Steady,
                seed: 1000 + node as u64,
                gpu: 1,
            });
        }
    }

    /// A pod with its own time, its container and maybe one beside it.
    fn pod(&mut self, pod: &Pod<'_>) {
        let uid =
            format!("{:08x}-5d3c-4a0e-8d6f-{:012x}", (self.seed() * 2_654_435) & 0xffff_ffff, self.seed());
        let cpu = pod.cpu;
        let other = if self.nodes[pod.node].has[3] { 0.35 } else { 0.0 };
        let has_dram = f64::from(u8::from(self.nodes[pod.node].has[1]));
        let own: Info = vec![
            ("pod_uid", uid.as_str().into()),
            ("qos", "Burstable".into()),
            ("priority_class", "".into()),
            ("workload_kind", pod.kind.into()),
            ("workload", pod.workload.into()),
        ];
        let mut containers = vec![("POD", 0.05, own)];
        let app = |name: &str, seed: u64| -> Info {
            vec![
                ("container_id", format!("{seed:016x}{:048x}", seed * 7919).into()),
                ("runtime", "containerd".into()),
                ("pod_uid", uid.as_str().into()),
                ("image", format!("registry.example/{name}:1.4").into()),
            ]
        };
        containers.push((pod.container, cpu, app(pod.container, self.seed())));
        if pod.sidecar {
            containers.push(("proxy", cpu * 0.15 + 0.1, app("proxy", self.seed() + 500_000)));
        }
        for (container, cpu, info) in containers {
            let is_main = container == pod.container;
            let (gpu, device) = if is_main { pod.gpu } else { (0.0, 0) };
            let dram = if is_main { pod.dram } else { 0.05 } * has_dram;
            let shape = if container == "POD" { Shape::Steady } else { pod.shape };
            self.draws.push(Draw {
                key: Some(Arc::new(Key::container(pod.namespace, &pod.name, container))),
                restarted: self.restart(pod, is_main, &info),
                info: Arc::new(info),
                node: pod.node,
                from: pod.from.max(self.begin),
                to: pod.to,
                watts: [cpu, dram, gpu, cpu * other],
                shape,
                seed: self.seed(),
                gpu: device,
            });
        }
    }

    /// One deployment's containers ran out of memory a few hours ago.
    fn restart(&self, pod: &Pod<'_>, is_main: bool, info: &Info) -> Option<(i64, Arc<Info>)> {
        let at = self.end - 5 * HOUR;
        let mut info = info.clone();
        let id = info
            .iter_mut()
            .find(|(name, _)| *name == "container_id" && is_main && pod.workload == "search")?;
        id.1 = format!("{:016x}{:048x}", self.seed() + 900_000, self.seed() * 7919).into();
        Some((at, Arc::new(info)))
    }

    /// Replicas of a deployment or a stateful set, replaced by new pods at some instants.
    fn replicas(&mut self, template: &Pod<'_>, replicas: usize, rollouts: &[i64]) {
        let mut cuts = vec![self.begin];
        cuts.extend_from_slice(rollouts);
        cuts.push(self.end + DAY);
        for (generation, cut) in cuts.windows(2).enumerate() {
            for replica in 0..replicas {
                let hash = digits(hash(template.workload), generation as u64, 9);
                let name = match template.kind {
                    "Deployment" => format!(
                        "{}-{hash}-{}",
                        template.workload,
                        digits(replica as u64, generation as u64, 5)
                    ),
                    "DaemonSet" => format!(
                        "{}-{}",
                        template.workload,
                        digits(template.node as u64, generation as u64, 5)
                    ),
                    _ => format!("{}-{replica}", template.workload),
                };
                let node = if template.kind == "DaemonSet" {
                    template.node
                } else {
                    self.host(template.node + replica)
                };
                // A rollout is not one instant for all.
                let late = |cut: i64| {
                    if cut > self.begin && cut < self.end { cut + replica as i64 * MINUTE } else { cut }
                };
                let (from, to) = (late(cut[0]), late(cut[1]));
                self.pod(&Pod { name, node, from, to, ..template.clone() });
            }
        }
    }

    /// A node that runs pods.
    fn host(&self, turn: usize) -> usize {
        let hosts: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].kind != Kind::Batch).collect();
        hosts[turn % hosts.len()]
    }

    fn system(&mut self) {
        let hosts: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].kind != Kind::Batch).collect();
        for node in hosts {
            for (namespace, workload, cpu) in [
                ("kube-system", "kube-proxy", 0.4),
                ("kube-system", "cilium", 1.6),
                ("monitoring", "node-exporter", 0.3),
                ("noether", "noether", 0.15),
            ] {
                let pod = Pod::of(namespace, "DaemonSet", workload).draws(cpu, 0.2, Shape::Steady).on(node);
                self.replicas(&pod, 1, &[]);
            }
        }
        self.replicas(&Pod::of("kube-system", "Deployment", "coredns").draws(0.8, 0.2, Shape::Daily), 2, &[]);
        self.replicas(
            &Pod::of("noether", "Deployment", "noether-grid").draws(0.05, 0.05, Shape::Steady),
            1,
            &[],
        );
        self.replicas(
            &Pod::of("monitoring", "StatefulSet", "prometheus").draws(4.0, 1.5, Shape::Steady).on(1),
            1,
            &[],
        );
        self.replicas(
            &Pod::of("monitoring", "Deployment", "grafana").draws(0.7, 0.3, Shape::Office).on(1),
            1,
            &[],
        );
    }

    fn applications(&mut self) {
        let end = self.end;
        let mut web = Pod::of("shop", "Deployment", "web").draws(7.0, 0.7, Shape::Daily);
        web.sidecar = true;
        self.replicas(&web, 4, &[end - 9 * DAY, end - 5 * DAY, end - 10 * HOUR]);
        let mut checkout = Pod::of("shop", "Deployment", "checkout").draws(5.0, 0.5, Shape::Daily).on(1);
        checkout.sidecar = true;
        self.replicas(&checkout, 3, &[end - 6 * DAY, end - 3 * HOUR]);
        self.replicas(
            &Pod::of("shop", "StatefulSet", "postgres").draws(6.0, 2.5, Shape::Daily).on(1),
            2,
            &[],
        );
        self.replicas(
            &Pod::of("shop", "Deployment", "search").draws(4.0, 1.2, Shape::Bursty),
            2,
            &[end - 4 * DAY],
        );
        // Part of the second GPU, which is cut in two.
        let mut inference = Pod::of("serving", "Deployment", "inference").draws(9.0, 1.0, Shape::Daily);
        inference.gpu = (95.0, 1);
        self.replicas(&inference, 1, &[end - 2 * DAY]);
        self.replicas(
            &Pod::of("serving", "Deployment", "gateway").draws(2.5, 0.3, Shape::Daily).on(1),
            2,
            &[],
        );
    }

    /// A notebook that holds the first GPU day and night, and training runs on a part of the second.
    fn research(&mut self) {
        let mut notebook = Pod::of("research", "StatefulSet", "notebook").draws(20.0, 2.0, Shape::Office);
        notebook.gpu = (260.0, 0);
        self.replicas(&notebook, 1, &[]);
        for (run, from) in self.times(9 * HOUR, 11).into_iter().enumerate() {
            let name = format!("train-{:03}", run + 1);
            let to = from + 2 * HOUR + (random(11, run as u64) * 3.0 * HOUR as f64) as i64 / 30 * 30;
            let pod = Pod::of("research", "Job", &name).draws(26.0, 3.0, Shape::Steady);
            let pod = Pod {
                gpu: (120.0, 1),
                from,
                to,
                name: format!("{name}-{}", digits(run as u64, 3, 5)),
                ..pod
            };
            self.pod(&pod);
        }
    }

    /// Short pods: builds, and what is done every hour and every night.
    fn pipelines(&mut self) {
        for (build, from) in self.times(40 * MINUTE, 21).into_iter().enumerate() {
            let to = from + 3 * MINUTE + (random(22, build as u64) * 15.0) as i64 * MINUTE;
            let workload = format!("build-{}", 4200 + build);
            let name = format!("{workload}-{}", digits(build as u64, 5, 5));
            let pod = Pod::of("ci", "Job", &workload).draws(18.0, 1.5, Shape::Steady);
            self.pod(&Pod { name, from, to, node: self.host(build), ..pod });
        }
        let hours = (self.begin / HOUR..=self.end / HOUR).map(|hour| hour * HOUR);
        for from in hours {
            let to = from + 6 * MINUTE + (random(31, from as u64) * 6.0) as i64 * MINUTE;
            let name = format!("etl-{}-{}", from / MINUTE, digits(from as u64, 7, 5));
            let pod = Pod::of("batch", "CronJob", "etl").draws(14.0, 1.0, Shape::Steady);
            self.pod(&Pod { name, from, to, node: self.host(1), ..pod });
            if from.rem_euclid(DAY) == 2 * HOUR {
                let name = format!("report-{}-{}", from / MINUTE, digits(from as u64, 8, 5));
                let pod = Pod::of("shop", "CronJob", "report").draws(22.0, 2.0, Shape::Steady);
                self.pod(&Pod { name, from, to: from + 47 * MINUTE, node: self.host(0), ..pod });
            }
        }
    }

    /// Teams with deployments, until there are as many living pods as are wanted.
    fn fill(&mut self, pods: usize) {
        let living = |world: &Self| {
            let alive = world.draws.iter().filter(|draw| draw.from < world.end && draw.to > world.end);
            alive
                .filter(|draw| {
                    draw.key.as_ref().is_some_and(|key| key.values.last().is_some_and(|c| &**c == "POD"))
                })
                .count()
        };
        let (mut there, mut workload) = (living(self), 0_usize);
        while there < pods {
            let replicas = (2 + workload % 7).min(pods - there);
            let (namespace, name) =
                (format!("team-{:02}", workload / 5 + 1), format!("app-{:03}", workload + 1));
            let cpu = 0.5 + 4.0 * random(41, workload as u64);
            let shape = [Shape::Daily, Shape::Steady, Shape::Bursty][workload % 3];
            let rollouts: Vec<i64> =
                if workload.is_multiple_of(4) { vec![self.end - 8 * HOUR] } else { Vec::new() };
            let pod = Pod::of(&namespace, "Deployment", &name).draws(cpu, cpu * 0.15, shape).on(workload);
            self.replicas(&pod, replicas, &rollouts);
            there += replicas;
            workload += 1;
        }
    }

    /// Jobs of Slurm in three lanes, units, a virtual machine and a container that no pod has.
    fn batch(&mut self) {
        let node = self.nodes.iter().position(|node| node.kind == Kind::Batch).expect("a node for jobs");
        let people = [
            ("alice", "1001", "physics", "long", "lattice"),
            ("bob", "1002", "physics", "cpu", "detector-mc"),
            ("chen", "1003", "biology", "cpu", "fold-scan"),
            ("dana", "1004", "climate", "long", "icon-r2b4"),
        ];
        let mut job = 8100_u64;
        for lane in 0..3_u64 {
            let mut from = self.begin;
            while from < self.end {
                let length = (20.0 + random(51 + lane, job) * random(52, job) * 560.0) as i64 * MINUTE;
                let to = from + length;
                let (user, uid, account, partition, name) = people[(random(53, job) * 4.0) as usize % 4];
                let mut info: Info = vec![("user_id", uid.into())];
                // Now and then only the ids are known: the prolog wrote nothing.
                if random(54, job) > 0.12 {
                    let known =
                        [("user", user), ("account", account), ("partition", partition), ("job_name", name)];
                    info.extend(known.map(|(label, value)| (label, Arc::from(value))));
                }
                let watts = [16.0 + 30.0 * random(55, job), 0.0, 0.0, 0.0];
                self.own(Key::job("slurm", &job.to_string()), info, node, (from, to), watts, Shape::Steady);
                from = to + (random(56, job) * 50.0) as i64 * MINUTE;
                job += 1;
            }
        }
        let always = (self.begin, self.end + DAY);
        for (unit, watts) in
            [("slurmd.service", 0.9), ("sshd.service", 0.2), ("munge.service", 0.1), ("user-1001.slice", 2.4)]
        {
            self.own(Key::unit(unit), Info::new(), node, always, [watts, 0.0, 0.0, 0.0], Shape::Daily);
        }
        self.own(Key::vm("licence-server"), Info::new(), node, always, [6.0, 0.0, 0.0, 0.0], Shape::Steady);
        let id = format!("9f3c51d20a7b{:052x}", 17);
        let info: Info = vec![("container_id", id.into()), ("runtime", "podman".into())];
        self.own(
            Key::container("", "", "9f3c51d20a7b"),
            info,
            node,
            always,
            [3.0, 0.0, 0.0, 0.0],
            Shape::Bursty,
        );
    }

    fn own(&mut self, key: Key, info: Info, node: usize, (from, to): (i64, i64), watts: Parts, shape: Shape) {
        let (key, info, restarted) = (Some(Arc::new(key)), Arc::new(info), None);
        self.draws.push(Draw {
            key,
            info,
            restarted,
            node,
            from,
            to,
            watts,
            shape,
            seed: self.seed(),
            gpu: 0,
        });
    }

    /// Instants about so far apart, on a grid of half a minute.
    fn times(&self, apart: i64, seed: u64) -> Vec<i64> {
        let mut times = Vec::new();
        let mut at = self.begin;
        while at < self.end {
            times.push(at / 30 * 30);
            at += (apart as f64 * (0.6 + 0.8 * random(seed, times.len() as u64))) as i64;
        }
        times
    }
}

/// A pod to be.
#[derive(Clone, Debug)]
struct Pod<'a> {
    namespace: &'a str,
    name: String,
    kind: &'static str,
    workload: &'a str,
    container: &'static str,
    sidecar: bool,
    node: usize,
    from: i64,
    to: i64,
    cpu: f64,
    dram: f64,
    /// Watts, and of which device.
    gpu: (f64, usize),
    shape: Shape,
}

impl<'a> Pod<'a> {
    fn of(namespace: &'a str, kind: &'static str, workload: &'a str) -> Self {
        Self {
            namespace,
            name: String::new(),
            kind,
            workload,
            container: "app",
            sidecar: false,
            node: 0,
            from: 0,
            to: 0,
            cpu: 0.0,
            dram: 0.0,
            gpu: (0.0, 0),
            shape: Shape::Steady,
        }
    }

    fn draws(self, cpu: f64, dram: f64, shape: Shape) -> Self {
        Self { cpu, dram, shape, ..self }
    }

    fn on(self, node: usize) -> Self {
        Self { node, ..self }
    }
}

/// One with GPUs, plain ones (more of them where there are many pods), and one of Slurm.
fn nodes(end: i64, begin: i64, pods: usize) -> Vec<Node> {
    let plain = (pods / 100).max(1);
    let node = |name: String, kind, zone, pue, has: [bool; 4], watts: Parts, starts: &[i64]| {
        let floor = std::array::from_fn(|part| if has[part] { watts[part] } else { 0.0 });
        let starts = [begin].iter().chain(starts).copied().collect();
        Node { name, kind, zone, pue, has, floor, starts }
    };
    let mut nodes = vec![node(
        "atlas".to_owned(),
        Kind::Accelerated,
        "DE",
        None,
        [true; 4],
        [28.0, 6.0, 92.0, 20.0],
        &[end - 11 * HOUR, end - 150 * MINUTE],
    )];
    for place in 0..plain {
        let name = if place == 0 { "borea".to_owned() } else { format!("borea-{}", place + 1) };
        let has = [true, true, false, false];
        nodes.push(node(name, Kind::Plain, "DE", None, has, [22.0, 4.0, 0.0, 0.0], &[end - 20 * HOUR]));
    }
    let has = [true, false, false, false];
    nodes.push(node("ceres".to_owned(), Kind::Batch, "FR", Some(1.4), has, [30.0, 0.0, 0.0, 0.0], &[]));
    nodes
}

fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Digits as Kubernetes puts them behind names.
fn digits(seed: u64, place: u64, count: u64) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digit = |n| (random(seed.wrapping_add(977), place * 31 + n) * ALPHABET.len() as f64) as usize;
    (0..count).map(|n| char::from(ALPHABET[digit(n)])).collect()
}
