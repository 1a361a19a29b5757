//! What a tick costs once everything is read: attribution, ledger and snapshot.

#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a benchmark may fail by panicking, and criterion makes its main"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use noether_core::attribution::IdlePolicy;
use noether_core::granularity::Granularity;
use noether_core::ledger::{Publication, Terms};
use noether_core::node::{Node, Policy};
use noether_core::reading::{Component, Domain, DomainReading, Moment, Place, Quality, Reading, Role};
use noether_core::roster::NoNames;
use noether_core::sample::{Birth, Cgroup, NodeUsage, Reserved, Sample, Sockets};
use noether_core::snapshot::{Generation, Snapshot};
use noether_core::units::Energy;
use noether_core::workload::Workload;

const SECOND: Duration = Duration::from_secs(1);

/// Two sockets with package and dram each, and containers in pods, every other one bound to a socket.
struct Machine {
    node: Node,
    now: Duration,
    usage: NodeUsage,
    cgroups: Vec<Cgroup>,
    domains: Vec<DomainReading>,
    snapshot: Snapshot,
}

impl Machine {
    fn new(workloads: u32) -> Self {
        let terms = Terms { linger: SECOND * 300, zero_hold: SECOND * 150, max: 100_000 };
        let policy = Policy {
            terms,
            idle: IdlePolicy::Usage,
            floors: Vec::new(),
            identity_timeout: SECOND * 60,
            granularity: Granularity::FINEST,
        };
        let usage = NodeUsage {
            busy: vec![Duration::ZERO; 2],
            packages: vec![0, 1],
            cpus: 64,
            changed: false,
            memory_held: 200 << 30,
            memory_total: 256 << 30,
        };
        let root = [cgroup(None, false, None), cgroup(Some(0), true, None)];
        let containers = (0..workloads).map(|n| {
            let id = format!("{n:012x}{:052x}", 0).into();
            let workload = Workload::Container { id, runtime: "containerd", pod: Some("1234".into()) };
            let sockets = if n % 2 == 0 { Sockets::ALL } else { Sockets(1 + u64::from(n / 2 % 2)) };
            Cgroup { sockets, ..cgroup(Some(1), false, Some(workload)) }
        });
        let cgroups = root.into_iter().chain(containers).collect();
        let domains = (0..2)
            .flat_map(|socket| [Component::Cpu, Component::Dram].map(|component| domain(component, socket)));
        let domains = domains.collect();
        let (now, snapshot) = (SECOND, Snapshot::default());
        Self { node: Node::new(&policy), now, usage, cgroups, domains, snapshot }
    }

    /// Everybody works a little, and a tick is made of it.
    fn tick(&mut self) {
        self.now += SECOND;
        let at = Moment::from_boot(self.now);
        let mut sum = Duration::ZERO;
        for (place, cgroup) in (0_u64..).zip(&mut self.cgroups).skip(2) {
            let used = Duration::from_micros(100 + place * 7919 % 5000);
            sum += used;
            cgroup.cpu = cgroup.cpu.map(|cpu| cpu + used);
        }
        for cgroup in self.cgroups.iter_mut().take(2) {
            cgroup.cpu = cgroup.cpu.map(|cpu| cpu + sum);
        }
        self.usage.busy.iter_mut().for_each(|busy| *busy += sum / 2 + SECOND);
        for domain in &mut self.domains {
            domain.at = at;
            if let Ok(Reading::Total(total)) = &mut domain.reading {
                *total += Energy::from_joules(123.4567);
            }
        }
        let generation = Generation(self.now.as_secs());
        let publication = Publication { generation, at, acknowledged: Some(generation) };
        let sample = Sample {
            at,
            domains: &self.domains,
            node: &self.usage,
            cgroups: &self.cgroups,
            gpus: &[],
            holdings: &[],
        };
        self.node.advance(&sample, &NoNames, &publication, &mut self.snapshot);
        self.cgroups.iter_mut().for_each(|cgroup| cgroup.birth = Birth::Earlier);
    }
}

fn cgroup(parent: Option<u32>, top_level: bool, workload: Option<Workload>) -> Cgroup {
    Cgroup {
        present: true,
        parent,
        top_level,
        memory: workload.as_ref().map(|_| 1 << 24),
        workload: workload.map(Arc::new),
        cpu: Some(Duration::ZERO),
        sockets: Sockets::ALL,
        reserved: Reserved::default(),
        overlap: None,
        birth: Birth::Unknown,
        gone: false,
    }
}

fn domain(component: Component, socket: u16) -> DomainReading {
    let domain = Domain {
        meter: "rapl",
        name: format!("{}-{socket}", component.label()).into(),
        component,
        role: Role::Part,
        place: Place { socket: Some(socket), die: None, device: None },
        quality: Quality::Measured,
        max_power: None,
        may_mirror: false,
        generation: 0,
    };
    let reading = Ok(Reading::Total(Energy::ZERO));
    DomainReading { domain: Arc::new(domain), at: Moment::default(), reading }
}

fn tick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tick");
    for workloads in [100, 1000, 10_000] {
        let mut machine = Machine::new(workloads);
        (0..3).for_each(|_| machine.tick());
        assert_eq!(machine.snapshot.rows.len(), workloads as usize, "each has a series");
        group.throughput(Throughput::Elements(u64::from(workloads)));
        group.bench_function(BenchmarkId::from_parameter(workloads), |bencher| {
            bencher.iter(|| black_box(&mut machine).tick());
        });
    }
    group.finish();
}

criterion_group!(benches, tick);
criterion_main!(benches);
