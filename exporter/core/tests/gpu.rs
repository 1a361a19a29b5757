//! Accelerators on whole nodes: the worked example, holders, hand-over, and the law whatever is read.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use noether_core::attribution::IdlePolicy;
use noether_core::gpu::{Authority, Clock, Device, Gauges, Holding, Instance, Look, Name, Process};
use noether_core::granularity::Granularity;
use noether_core::ledger::{Publication, Terms};
use noether_core::node::{Node, Policy};
use noether_core::reading::{
    Component, DeviceLocation, Domain, DomainReading, Fault, Moment, Place, Quality, Reading, Role,
};
use noether_core::roster::NoNames;
use noether_core::sample::{Birth, Cgroup, NodeUsage, Reserved, Sample, Sockets};
use noether_core::snapshot::{Generation, Snapshot};
use noether_core::units::{Energy, Power};
use noether_core::workload::{Key, Workload};
use proptest::prelude::*;

const GPU: Component = Component::Gpu;

fn unit(name: &str) -> Arc<Workload> {
    Arc::new(Workload::Unit { name: name.into() })
}

fn cgroup(name: &str) -> Cgroup {
    Cgroup {
        present: true,
        parent: None,
        top_level: true,
        workload: Some(unit(name)),
        cpu: Some(Duration::ZERO),
        memory: None,
        sockets: Sockets::ALL,
        reserved: Reserved::default(),
        overlap: None,
        birth: Birth::Unknown,
        gone: false,
    }
}

fn device(number: u32) -> Arc<Device> {
    let domain = Domain {
        meter: "nvml",
        name: format!("gpu-{number}").into(),
        component: GPU,
        role: Role::Part,
        place: Place { device: Some(DeviceLocation::Numbered("nvml", number)), ..Place::default() },
        quality: Quality::Measured,
        max_power: None,
        may_mirror: false,
        generation: 0,
    };
    let text = || Arc::from("");
    Arc::new(Device {
        domain: Arc::new(domain),
        gpu: number.to_string().into(),
        index: number,
        uuid: text(),
        model: text(),
        driver: text(),
        pci: text(),
        minor: None,
    })
}

fn process(owner: &str, time: Option<u64>) -> Process {
    Process { owner: Some(unit(owner)), time, ..Process::default() }
}

fn whole(processes: Vec<Process>) -> (u32, Vec<Instance>) {
    (0, vec![Instance { slices: 1, processes, ..Instance::default() }])
}

fn held(number: u32, holder: &str) -> Holding {
    Holding { device: Name::Index(number), holder: unit(holder), by: Authority::Slurm }
}

struct Bench {
    node: Node,
    now: Duration,
    generation: u64,
    usage: NodeUsage,
    cgroups: Vec<Cgroup>,
    holdings: Vec<Holding>,
    snapshot: Snapshot,
}

type Seen = (Arc<Device>, Result<Energy, Fault>, (u32, Vec<Instance>));

impl Bench {
    fn new(idle: IdlePolicy, names: &[&str]) -> Self {
        Self::with_floor(idle, 0.0, names)
    }

    fn with_floor(idle: IdlePolicy, watts: f64, names: &[&str]) -> Self {
        let terms = Terms { linger: Duration::from_secs(2), zero_hold: Duration::from_secs(4), max: 100 };
        let policy = Policy {
            terms,
            idle,
            floors: vec![(GPU, Power::from_watts(watts))],
            identity_timeout: Duration::ZERO,
            granularity: Granularity::FINEST,
        };
        let usage =
            NodeUsage { busy: vec![Duration::ZERO], packages: vec![0], cpus: 8, ..NodeUsage::default() };
        Self {
            node: Node::new(&policy),
            now: Duration::from_secs(1000),
            generation: 0,
            usage,
            cgroups: names.iter().map(|name| cgroup(name)).collect(),
            holdings: vec![],
            snapshot: Snapshot::default(),
        }
    }

    fn tick(&mut self, seconds: u64, seen: &[Seen]) {
        self.now += Duration::from_secs(seconds);
        self.generation += 1;
        let at = Moment::from_boot(self.now);
        let mut readings = vec![];
        let mut looks = vec![];
        for (device, energy, (slices, instances)) in seen {
            let reading = energy.map(Reading::Total);
            readings.push(DomainReading { domain: Arc::clone(&device.domain), at, reading });
            let (gauges, time) = (Gauges::default(), Duration::from_secs(seconds));
            let (device, instances) = (Arc::clone(device), instances.clone());
            looks.push(Arc::new(Look {
                device,
                at,
                time,
                gauges,
                slices: *slices,
                instances,
                clock: Clock::Sm,
            }));
        }
        let sample = Sample {
            at,
            domains: &readings,
            node: &self.usage,
            cgroups: &self.cgroups,
            gpus: &looks,
            holdings: &self.holdings,
        };
        let acknowledged = Some(Generation(self.generation - 1));
        let publication = Publication { generation: Generation(self.generation), at, acknowledged };
        self.node.advance(&sample, &NoNames, &publication, &mut self.snapshot);
        for cgroup in &mut self.cgroups {
            cgroup.birth = Birth::Earlier;
        }
        self.cgroups.iter_mut().filter(|cgroup| cgroup.gone).for_each(|cgroup| cgroup.present = false);
        self.law();
    }

    fn law(&self) {
        let snapshot = &self.snapshot;
        let Some(row) = snapshot.components.iter().find(|row| row.component == GPU) else { return };
        let charged: Energy = snapshot.rows.iter().map(|row| row.energy.component(GPU)).sum();
        let parts = charged + snapshot.unattributed.component(GPU) + row.pending + row.retired;
        assert_eq!(parts, snapshot.node.component(GPU));
    }

    fn joules(&self, name: &str) -> f64 {
        let row = self.snapshot.rows.iter().find(|row| row.key == Arc::new(Key::unit(name)));
        row.map_or(0.0, |row| row.energy.component(GPU).joules())
    }

    fn unattributed(&self) -> f64 {
        self.snapshot.unattributed.component(GPU).joules()
    }

    fn method(&self) -> &'static str {
        self.snapshot.gpus[0].method
    }
}

fn at(joules: u64) -> Result<Energy, Fault> {
    Ok(Energy::from_microjoules(joules * 1_000_000))
}

#[test]
fn the_worked_example() {
    let mut bench = Bench::new(IdlePolicy::Usage, &["a", "b"]);
    let busy = || whole(vec![process("a", Some(7_500_000)), process("b", Some(2_500_000))]);
    bench.tick(1, &[(device(0), at(10_000), whole(vec![]))]);
    bench.tick(10, &[(device(0), at(12_000), busy())]);
    bench.tick(1, &[]);
    assert_eq!((bench.joules("a"), bench.joules("b"), bench.unattributed()), (1500.0, 500.0, 0.0));
    assert_eq!(bench.method(), "sm_time");
    // All processes at 0 and nobody holding it: the draw is nobody's, not lost.
    let idle = whole(vec![process("a", Some(0)), process("b", Some(0))]);
    bench.tick(10, &[(device(0), at(12_600), idle)]);
    assert_eq!((bench.joules("a"), bench.unattributed(), bench.method()), (1500.0, 600.0, "none"));
    // Held but unused: the holder's.
    bench.holdings = vec![held(0, "b"), held(1, "a")];
    bench.tick(10, &[(device(0), at(13_200), whole(vec![process("a", Some(0))]))]);
    assert_eq!((bench.joules("b"), bench.unattributed(), bench.method()), (1100.0, 600.0, "holder"));
    // A driver that was loaded anew: a reset, and no energy.
    bench.tick(10, &[(device(0), at(5), busy())]);
    bench.tick(10, &[(device(0), at(105), busy())]);
    assert_eq!((bench.joules("a"), bench.joules("b")), (1575.0, 1125.0));
}

#[test]
fn idle_to_nobody_leaves_holders_out() {
    let mut bench = Bench::new(IdlePolicy::None, &["a"]);
    bench.holdings = vec![held(0, "a")];
    bench.tick(1, &[(device(0), at(0), whole(vec![]))]);
    bench.tick(10, &[(device(0), at(100), whole(vec![]))]);
    bench.tick(1, &[]);
    assert_eq!((bench.joules("a"), bench.unattributed(), bench.method()), (0.0, 100.0, "none"));
}

/// The floor by what is held, free slices to nobody; what lies above it by use.
#[test]
fn idle_by_what_is_held() {
    let mut bench = Bench::with_floor(IdlePolicy::Requests, 70.0, &["a", "b"]);
    let parts = || {
        let used = Instance { slices: 1, processes: vec![process("a", None)], ..Instance::default() };
        (7, vec![used, Instance { slices: 2, uuid: "MIG-b".into(), ..Instance::default() }])
    };
    bench.holdings =
        vec![Holding { device: Name::Uuid("MIG-b".into()), holder: unit("b"), by: Authority::Kubelet }];
    bench.tick(1, &[(device(0), at(0), parts())]);
    bench.tick(10, &[(device(0), at(1000), parts())]);
    bench.tick(1, &[]);
    // 700 J idle: two slices of seven are b's. 300 J above: a seventh for each slice, one used and two held. What falls to
    // the four free slices is nobody's.
    let of_a = 300.0 / 7.0;
    let of_b = 2.0 * 1000.0 / 7.0;
    for (found, expected) in
        [(bench.joules("a"), of_a), (bench.joules("b"), of_b), (bench.unattributed(), 1000.0 - of_a - of_b)]
    {
        assert!((found - expected).abs() < 2e-6, "{found} J, expected {expected} J");
    }
}

#[test]
fn who_ended_in_an_open_interval_pays_when_it_closes() {
    let mut bench = Bench::new(IdlePolicy::Usage, &["a", "b"]);
    let busy = || whole(vec![process("a", Some(900)), process("b", Some(100))]);
    bench.tick(1, &[(device(0), at(0), busy())]);
    bench.tick(1, &[(device(0), at(0), busy())]);
    // The meter is slow: it answers five ticks after `a` was removed.
    bench.cgroups[0].gone = true;
    for _ in 0..5 {
        bench.tick(1, &[]);
    }
    bench.tick(1, &[(device(0), at(1000), busy())]);
    assert_eq!((bench.joules("a"), bench.joules("b"), bench.unattributed()), (900.0, 100.0, 0.0));
    // Its series stays at its final value, then retires; what comes now is b's alone.
    bench.tick(1, &[(device(0), at(1100), whole(vec![process("b", Some(100))]))]);
    bench.tick(9, &[]);
    bench.tick(9, &[]);
    assert_eq!((bench.joules("a"), bench.joules("b")), (0.0, 200.0));
    assert_eq!(bench.snapshot.components[0].retired, Energy::from_joules(900.0));
}

#[derive(Clone, Debug)]
struct Turn {
    seconds: u64,
    energies: [Option<u64>; 2],
    looks: Vec<(u8, u8, Option<u64>)>,
    slices: u32,
    fate: u8,
}

fn turn() -> impl Strategy<Value = Turn> {
    let energy = || prop_oneof![Just(None), (0..4_000_000_000_u64).prop_map(Some)];
    let looks = prop::collection::vec((any::<u8>(), any::<u8>(), prop::option::of(0..1_000_000_u64)), 0..8);
    (1..70_u64, energy(), energy(), looks, 0..8_u32, any::<u8>()).prop_map(
        |(seconds, one, two, looks, slices, fate)| Turn {
            seconds,
            energies: [one, two],
            looks,
            slices,
            fate,
        },
    )
}

proptest! {
    /// The law at every tick and no counter falls: MIG or not, whoever runs, holds or dies, whatever cannot be read.
    #[test]
    fn nothing_is_lost(turns in prop::collection::vec(turn(), 1..50)) {
        let names: Vec<String> = (0..6).map(|n| format!("u{n}")).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut bench = Bench::new(IdlePolicy::Usage, &all);
        let mut totals = [0_u64; 2];
        let mut last: BTreeMap<Key, Energy> = BTreeMap::new();
        let mut node = Energy::ZERO;
        for turn in turns {
            let dead = usize::from(turn.fate % 24);
            if let Some(cgroup) = bench.cgroups.get_mut(dead) {
                if cgroup.present { cgroup.gone = true; } else { *cgroup = Cgroup { birth: Birth::Now, ..self::cgroup(&names[dead]) }; }
            }
            let mut seen = vec![];
            bench.holdings.clear();
            for number in 0..2_u8 {
                let energy = turn.energies[usize::from(number)].map(|gain| { totals[usize::from(number)] += gain; Energy::from_microjoules(totals[usize::from(number)]) });
                let mut instances: Vec<Instance> = (0..turn.slices.max(1)).map(|_| Instance { slices: 1, ..Instance::default() }).collect();
                for (owner, place, time) in turn.looks.iter().filter(|(owner, ..)| owner % 2 == number) {
                    let count = instances.len();
                    let instance = &mut instances[usize::from(*place) % count];
                    let name = names.get(usize::from(owner / 2) % 8);
                    match owner % 3 {
                        0 => bench.holdings.extend(name.map(|name| held(u32::from(number), name))),
                        _ => instance.processes.push(Process { owner: name.map(|name| unit(name)), time: *time, memory: Some(u64::from(*place)), ..Process::default() }),
                    }
                }
                seen.push((device(u32::from(number)), energy.ok_or(Fault::Vanished), (turn.slices, instances)));
            }
            if turn.fate % 5 == 0 { seen.clear(); }
            bench.tick(turn.seconds, &seen);
            prop_assert!(bench.snapshot.node.component(GPU) >= node);
            node = bench.snapshot.node.component(GPU);
            let now: BTreeMap<Key, Energy> = bench.snapshot.rows.iter().map(|row| ((*row.key).clone(), row.energy.component(GPU))).collect();
            for (key, energy) in &last {
                prop_assert!(now.get(key).is_none_or(|new| new >= energy), "{key:?} fell");
            }
            last = now;
        }
    }
}
