//! The law of conservation and its companions, on whole nodes: any readings, any deaths, any scrapers.

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
use noether_core::granularity::Granularity;
use noether_core::ledger::{Publication, Terms};
use noether_core::node::{Node, Policy};
use noether_core::reading::{Component, Domain, DomainReading, Fault, Moment, Place, Quality, Reading, Role};
use noether_core::roster::{Names, NoNames};
use noether_core::sample::{Birth, Cgroup, NodeUsage, Reserved, Sample, Sockets};
use noether_core::snapshot::{Generation, Mode, Snapshot, Totals};
use noether_core::units::{Energy, Power};
use noether_core::workload::{Identity, Info, JobId, Key, Workload};
use proptest::prelude::*;

const RANGE: u64 = 262_143_328_850;
const GIB: u64 = 1 << 30;

fn policy() -> Policy {
    Policy {
        terms: Terms { linger: Duration::from_secs(300), zero_hold: Duration::from_secs(150), max: 5000 },
        idle: IdlePolicy::Usage,
        floors: vec![],
        identity_timeout: Duration::from_secs(60),
        granularity: Granularity::FINEST,
    }
}

fn domain(meter: &'static str, name: &str, component: Component, role: Role, socket: u16) -> Arc<Domain> {
    Arc::new(Domain {
        meter,
        name: name.into(),
        component,
        role,
        place: Place { socket: Some(socket), die: None, device: None },
        quality: if role == Role::Model { Quality::Modelled } else { Quality::Measured },
        max_power: None,
        may_mirror: false,
        generation: 0,
    })
}

fn unit(name: &str) -> Cgroup {
    Cgroup {
        present: true,
        parent: None,
        top_level: true,
        workload: Some(Arc::new(Workload::Unit { name: name.into() })),
        cpu: Some(Duration::ZERO),
        memory: None,
        sockets: Sockets::ALL,
        reserved: Reserved::default(),
        overlap: None,
        birth: Birth::Unknown,
        gone: false,
    }
}

/// A node with what it is fed, as a test turns the crank.
struct Bench {
    node: Node,
    now: Duration,
    generation: u64,
    /// Whether somebody fetches every snapshot.
    fetched: bool,
    usage: NodeUsage,
    cgroups: Vec<Cgroup>,
    domains: Vec<(Arc<Domain>, Result<Reading, Fault>)>,
    snapshot: Snapshot,
}

impl Bench {
    fn new(policy: &Policy, sockets: usize) -> Self {
        Self {
            node: Node::new(policy),
            now: Duration::from_secs(1000),
            generation: 0,
            fetched: true,
            usage: NodeUsage {
                busy: vec![Duration::ZERO; sockets],
                packages: (0..sockets as u16).collect(),
                cpus: 8,
                changed: false,
                memory_held: 0,
                memory_total: 64 * GIB,
            },
            cgroups: vec![],
            domains: vec![],
            snapshot: Snapshot::default(),
        }
    }

    fn counter(
        &mut self,
        meter: &'static str,
        name: &str,
        component: Component,
        role: Role,
        socket: u16,
        raw: u64,
    ) {
        self.domains.push((domain(meter, name, component, role, socket), Ok(counted(raw))));
    }

    fn tick_with(&mut self, seconds: f64, names: &dyn Names) {
        self.now += Duration::from_secs_f64(seconds);
        self.generation += 1;
        let at = Moment::from_boot(self.now);
        let readings: Vec<DomainReading> = self
            .domains
            .iter()
            .map(|(domain, reading)| DomainReading { domain: Arc::clone(domain), at, reading: *reading })
            .collect();
        let sample = Sample {
            at,
            domains: &readings,
            node: &self.usage,
            cgroups: &self.cgroups,
            gpus: &[],
            holdings: &[],
        };
        let acknowledged = self.fetched.then(|| Generation(self.generation - 1));
        let publication = Publication { generation: Generation(self.generation), at, acknowledged };
        self.node.advance(&sample, names, &publication, &mut self.snapshot);
        for cgroup in &mut self.cgroups {
            cgroup.birth = Birth::Earlier;
            cgroup.present &= !cgroup.gone;
        }
        self.check_law();
    }

    fn tick(&mut self, seconds: f64) {
        self.tick_with(seconds, &NoNames);
    }

    /// Zero was shown and fetched: values from now on.
    fn settle(&mut self) {
        self.tick(0.001);
        self.tick(0.001);
    }

    fn check_law(&self) {
        for row in &self.snapshot.components {
            let workloads: Energy =
                self.snapshot.rows.iter().map(|one| one.energy.component(row.component)).sum();
            let unattributed = self.snapshot.unattributed.component(row.component);
            let whole = workloads + unattributed + row.pending + row.retired;
            assert_eq!(whole, self.snapshot.node.component(row.component), "{row:?}");
        }
    }

    fn run(&mut self, id: usize, milliseconds: u64) {
        let cpu = &mut self.cgroups[id].cpu;
        *cpu = cpu.map(|cpu| cpu + Duration::from_millis(milliseconds));
    }

    fn busy(&mut self, socket: usize, milliseconds: u64) {
        self.usage.busy[socket] += Duration::from_millis(milliseconds);
    }

    fn add(&mut self, place: usize, joules: f64) {
        let Ok(Reading::Counter { total, .. }) = &mut self.domains[place].1 else { panic!("no counter") };
        *total = Energy::from_microjoules((total.microjoules() + (joules * 1e6) as u64) % RANGE);
    }

    fn joules(&self, name: &str, component: Component) -> f64 {
        let found =
            self.snapshot.rows.iter().find(|row| row.key.values.last().is_some_and(|value| &**value == name));
        found.map_or(0.0, |row| row.energy.component(component).joules())
    }

    fn nobody(&self, component: Component) -> f64 {
        self.snapshot.unattributed.component(component).joules()
    }

    fn total(&self, component: Component) -> f64 {
        self.snapshot.node.component(component).joules()
    }

    fn pending(&self, component: Component) -> f64 {
        self.snapshot.components.iter().find(|row| row.component == component).unwrap().pending.joules()
    }
}

fn counted(raw: u64) -> Reading {
    Reading::Counter { total: Energy::from_microjoules(raw), range: Energy::from_microjoules(RANGE) }
}

#[test]
fn worked_example_one_interval() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 262_143_000_000);
    bench.counter("rapl", "dram-0", Component::Dram, Role::Part, 0, 5);
    bench.cgroups = vec![unit("a"), unit("b")];
    bench.settle();
    bench.cgroups[0].memory = Some(6 * GIB);
    bench.cgroups[1].memory = Some(2 * GIB);
    bench.usage.memory_held = 10 * GIB;
    bench.run(0, 6000);
    bench.run(1, 3000);
    bench.busy(0, 10_000);
    bench.domains[0].1 = Ok(counted(499_671_150));
    bench.add(1, 100.0);
    bench.tick(10.0);
    assert_eq!(bench.total(Component::Cpu), 500.0);
    assert_eq!((bench.joules("a", Component::Cpu), bench.joules("a", Component::Dram)), (300.0, 60.0));
    assert_eq!((bench.joules("b", Component::Cpu), bench.joules("b", Component::Dram)), (150.0, 20.0));
    assert_eq!((bench.nobody(Component::Cpu), bench.nobody(Component::Dram)), (50.0, 20.0));
}

#[test]
fn worked_example_two_intervals() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.cgroups = vec![unit("a"), unit("b")];
    bench.settle();
    bench.run(0, 1000);
    bench.busy(0, 1000);
    bench.add(0, 100.0);
    bench.tick(1.0);
    bench.run(1, 1000);
    bench.busy(0, 1000);
    bench.tick(1.0);
    assert_eq!((bench.joules("a", Component::Cpu), bench.joules("b", Component::Cpu)), (100.0, 0.0));
}

#[test]
fn a_slow_meter_closes_its_own_interval_beside_a_fast_one() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.counter("slow", "dram-0", Component::Dram, Role::Part, 0, 0);
    bench.cgroups = vec![unit("a"), unit("b")];
    bench.usage.memory_held = 8 * GIB;
    bench.settle();
    let slow = bench.domains.pop().unwrap();
    // a holds all memory for four of five seconds, then b does.
    for second in 0..5 {
        bench.cgroups[0].memory = Some(if second < 4 { 8 * GIB } else { 0 });
        bench.cgroups[1].memory = Some(if second < 4 { 0 } else { 8 * GIB });
        bench.run(0, 500);
        bench.busy(0, 500);
        bench.add(0, 10.0);
        if second == 4 {
            bench.domains.push(slow.clone());
            bench.add(1, 100.0);
        }
        bench.tick(1.0);
        let expected = if second == 4 { (80.0, 20.0) } else { (0.0, 0.0) };
        let (a, b) = (bench.joules("a", Component::Dram), bench.joules("b", Component::Dram));
        assert!((a - expected.0).abs() < 0.1 && (b - expected.1).abs() < 0.1, "{a} {b}");
        assert_eq!(bench.joules("a", Component::Cpu), 10.0 * f64::from(second + 1));
    }
}

#[test]
fn each_sockets_energy_goes_to_what_ran_there() {
    let mut bench = Bench::new(&policy(), 2);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.counter("rapl", "package-1", Component::Cpu, Role::Part, 1, 0);
    bench.cgroups = vec![unit("bound"), unit("free")];
    bench.cgroups[0].sockets = Sockets(0b10);
    bench.settle();
    bench.run(0, 1000);
    bench.run(1, 1000);
    bench.busy(0, 1000);
    bench.busy(1, 1000);
    bench.add(0, 30.0);
    bench.add(1, 90.0);
    bench.tick(1.0);
    assert_eq!((bench.joules("bound", Component::Cpu), bench.joules("free", Component::Cpu)), (90.0, 30.0));
}

#[test]
fn overlapping_domains_count_once_and_the_whole_has_the_rest() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl_mmio", "package-0", Component::Cpu, Role::Part, 0, 7);
    bench.counter("rapl", "core-0", Component::Cpu, Role::Nested, 0, 0);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 9);
    bench.counter("rapl", "dram-0", Component::Dram, Role::Part, 0, 0);
    bench.counter("rapl", "psys", Component::Other, Role::Whole, 0, 0);
    bench.settle();
    for (place, joules) in [(0, 50.0), (1, 40.0), (2, 50.0), (3, 10.0), (4, 55.0)] {
        bench.add(place, joules);
    }
    bench.tick(1.0);
    assert_eq!(
        (bench.total(Component::Cpu), bench.total(Component::Dram), bench.total(Component::Other)),
        (50.0, 10.0, 0.0)
    );
    // The deficit of 5 J is carried on.
    bench.add(4, 12.0);
    bench.tick(1.0);
    assert_eq!(bench.total(Component::Other), 7.0);
}

#[test]
fn mirrored_dies_count_once_and_separate_ones_twice() {
    for (second, start, expected) in
        [(100.0, 0, 500.0), (400.0 / 3.0, 0, 1166.666665), (100.0, 1_000_001, 1000.0)]
    {
        let mut bench = Bench::new(&policy(), 1);
        for die in 0..2 {
            bench.counter(
                "rapl",
                &format!("package-0-die-{die}"),
                Component::Cpu,
                Role::Part,
                0,
                1000 + start * u64::from(die),
            );
            let domain = Arc::make_mut(&mut bench.domains[die as usize].0);
            domain.place.die = Some(die);
            domain.may_mirror = true;
            domain.max_power = Some(Power::from_watts(200.0));
        }
        bench.settle();
        for _ in 0..5 {
            bench.add(0, 100.0);
            bench.add(1, second);
            bench.tick(1.0);
        }
        assert!((bench.total(Component::Cpu) - expected).abs() < 1e-5, "{}", bench.total(Component::Cpu));
    }
}

/// Packages of a guest that all show the host's one counter, each read a little later than the one before.
#[test]
fn packages_that_show_one_counter_count_once_until_they_part() {
    let mut bench = Bench::new(&policy(), 16);
    for package in 0..16_u16 {
        let name = format!("package-{package}");
        bench.counter("rapl", &name, Component::Cpu, Role::Part, package, 5_000_000_000);
        Arc::make_mut(&mut bench.domains[usize::from(package)].0).may_mirror = true;
    }
    bench.settle();
    for second in 0..60_u64 {
        for package in 0..16 {
            let behind = second * 100_000_000 + package * 97_000;
            bench.domains[package as usize].1 = Ok(counted(5_000_000_000 + behind));
        }
        bench.tick(1.0);
    }
    assert!((bench.total(Component::Cpu) - 5900.0).abs() < 1.0, "{}", bench.total(Component::Cpu));
    let feeds = bench.snapshot.domains.iter().filter(|row| row.feeds).count();
    assert_eq!(feeds, 1);
    // The first cannot be read any more: the second takes its place.
    bench.domains[0].1 = Err(Fault::Io);
    for second in 60..80_u64 {
        for package in 1..16 {
            let behind = second * 100_000_000 + package * 97_000;
            bench.domains[package as usize].1 = Ok(counted(5_000_000_000 + behind));
        }
        bench.tick(1.0);
    }
    let found = bench.total(Component::Cpu);
    assert!((7600.0..=7900.0).contains(&found), "{found}");
    // From now on the last one counts for itself.
    for second in 80..110_u64 {
        for package in 1..16 {
            let own = if package == 15 { (second - 79) * 50_000_000 } else { 0 };
            let behind = second * 100_000_000 + package * 97_000 + own;
            bench.domains[package as usize].1 = Ok(counted(5_000_000_000 + behind));
        }
        bench.tick(1.0);
    }
    let gained = bench.total(Component::Cpu) - found;
    assert!((3000.0 + 29.0 * 150.0 - gained).abs() < 10.0, "{gained}");
}

/// Four sockets that begin at one value and draw nearly the same: for some seconds they look like one counter.
#[test]
fn sockets_that_look_like_one_counter_for_a_while_lose_nothing() {
    for (known, apart, seconds) in [(false, 20_000, 40), (true, 20_000, 40), (true, 10_000, 90)] {
        let mut bench = Bench::new(&policy(), 4);
        for package in 0..4_u16 {
            let name = format!("package-{package}");
            bench.counter("rapl", &name, Component::Cpu, Role::Part, package, 0);
            Arc::make_mut(&mut bench.domains[usize::from(package)].0).may_mirror = known;
        }
        bench.settle();
        let base = bench.total(Component::Cpu);
        let mut used = 0;
        for second in 1..=seconds {
            used = 0;
            for package in 0..4 {
                let raw = second * (40_000_000 + package * apart);
                used += raw;
                bench.domains[package as usize].1 = Ok(counted(raw));
            }
            bench.tick(1.0);
        }
        let gained = bench.total(Component::Cpu) - base;
        assert!((used as f64 / 1e6 - gained).abs() < 1.0, "{known}, {apart}: {gained} of {used}");
        assert_eq!(bench.snapshot.domains.iter().filter(|row| row.feeds).count(), 4);
    }
}

/// The first of several dies fails while it is not sure yet that the others repeat it.
#[test]
fn a_die_that_takes_over_early_begins_there() {
    let mut bench = Bench::new(&policy(), 1);
    for die in 0..3_u16 {
        bench.counter("rapl", &format!("package-0-die-{die}"), Component::Cpu, Role::Part, 0, 1_000_000);
        let domain = Arc::make_mut(&mut bench.domains[usize::from(die)].0);
        (domain.place.die, domain.may_mirror) = (Some(die), true);
    }
    bench.settle();
    let base = bench.total(Component::Cpu);
    for second in 1..=80_u64 {
        for die in 0..3 {
            let failed = die == 0 && (20..40).contains(&second);
            let raw = 1_000_000 + second * 100_000_000;
            bench.domains[die].1 = if failed { Err(Fault::Io) } else { Ok(counted(raw)) };
        }
        bench.tick(1.0);
    }
    let gained = bench.total(Component::Cpu) - base;
    assert!((7500.0..=8000.5).contains(&gained), "{gained}");
}

#[test]
fn a_counter_that_stands_still_while_the_processors_work_is_no_measurement() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 7_000_000);
    bench.counter("rapl", "dram-0", Component::Dram, Role::Part, 0, 0);
    let model = domain("model", "cpu", Component::Cpu, Role::Model, 0);
    bench.domains.push((model, Ok(Reading::Power(Power::from_watts(20.0)))));
    bench.cgroups = vec![unit("a")];
    bench.settle();
    let work = |bench: &mut Bench, seconds: u64| {
        for _ in 0..seconds {
            bench.run(0, 3000);
            bench.busy(0, 3000);
            bench.tick(1.0);
        }
    };
    work(&mut bench, 60);
    // Twenty seconds to be sure, then the model.
    let found = bench.total(Component::Cpu);
    assert!((700.0..=820.0).contains(&found), "{found}");
    assert!((bench.joules("a", Component::Cpu) - found).abs() < 1e-5);
    let shown = |bench: &Bench| -> Vec<&'static str> {
        bench.snapshot.domains.iter().map(|row| row.domain.meter).collect()
    };
    assert_eq!(shown(&bench), ["model"]);
    let meter = bench.snapshot.meters.iter().find(|row| row.meter == "rapl").unwrap();
    assert!(!meter.up && meter.errors.contains(&("standstill", 2)), "{meter:?}");
    assert_eq!(bench.snapshot.still.len(), 2);
    let components: Vec<Component> = bench.snapshot.components.iter().map(|row| row.component).collect();
    assert_eq!(components, [Component::Cpu], "memory is not measured, and does not draw 0 W");
    // It moves again: what it gained while the model stood in is counted once.
    bench.add(0, 40.0);
    work(&mut bench, 1);
    let found = bench.total(Component::Cpu);
    for _ in 0..10 {
        bench.add(0, 50.0);
        work(&mut bench, 1);
    }
    assert!((bench.total(Component::Cpu) - found - 500.0).abs() < 1e-5);
    assert_eq!(shown(&bench), ["rapl"]);
    assert!(bench.snapshot.meters.iter().any(|row| row.meter == "rapl" && row.up));
}

#[test]
fn one_socket_that_stands_still_is_absent_and_the_other_counts_on() {
    let mut bench = Bench::new(&policy(), 2);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.counter("rapl", "package-1", Component::Cpu, Role::Part, 1, 5);
    let model = domain("model", "cpu", Component::Cpu, Role::Model, 0);
    bench.domains.push((model, Ok(Reading::Power(Power::from_watts(20.0)))));
    bench.settle();
    for _ in 0..60 {
        bench.add(0, 50.0);
        bench.busy(1, 2000);
        bench.tick(1.0);
    }
    assert_eq!(bench.total(Component::Cpu), 3000.0);
    let names: Vec<&str> = bench.snapshot.domains.iter().map(|row| &*row.domain.name).collect();
    assert_eq!(names, ["package-0"]);
}

#[test]
fn the_model_stands_in_only_while_nothing_is_measured() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.domains.push((
        domain("model", "cpu", Component::Cpu, Role::Model, 0),
        Ok(Reading::Power(Power::from_watts(20.0))),
    ));
    bench.settle();
    bench.add(0, 50.0);
    bench.tick(1.0);
    assert_eq!(bench.total(Component::Cpu), 50.0);
    assert!(bench.snapshot.domains.iter().all(|row| row.domain.meter != "model"));
    let readable = bench.domains[0].1;
    bench.domains[0].1 = Err(Fault::Permission);
    for _ in 0..6 {
        bench.tick(1.0);
    }
    // Three ticks of grace, then the model.
    assert_eq!(bench.total(Component::Cpu), 50.0 + 3.0 * 20.0);
    assert!(bench.snapshot.domains.iter().all(|row| row.domain.meter == "model"));
    // Back again: what the counter gained in between was modelled.
    bench.domains[0].1 = readable;
    bench.add(0, 1000.0);
    bench.tick(1.0);
    bench.add(0, 7.0);
    bench.tick(1.0);
    assert_eq!(bench.total(Component::Cpu), 50.0 + 4.0 * 20.0 + 7.0);
}

#[test]
fn a_domain_that_fails_for_a_while_loses_nothing() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.settle();
    let readable = bench.domains[0].1;
    bench.domains[0].1 = Err(Fault::Malformed);
    for _ in 0..10 {
        bench.tick(1.0);
    }
    assert!(bench.snapshot.domains.is_empty(), "absent, not 0");
    bench.domains[0].1 = readable;
    bench.add(0, 500.0);
    bench.tick(1.0);
    assert_eq!(bench.total(Component::Cpu), 500.0);
}

#[test]
fn zero_first_then_everything() {
    let mut bench = Bench::new(&policy(), 1);
    bench.fetched = false;
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.cgroups = vec![unit("a")];
    for _ in 0..5 {
        bench.run(0, 500);
        bench.busy(0, 500);
        bench.tick(1.0);
        bench.add(0, 10.0);
        assert_eq!((bench.total(Component::Cpu), bench.joules("a", Component::Cpu)), (0.0, 0.0));
    }
    bench.fetched = true;
    bench.tick(1.0);
    assert_eq!((bench.total(Component::Cpu), bench.joules("a", Component::Cpu)), (50.0, 40.0));
    // Another workload: the node goes on, its own series starts at 0.
    bench.fetched = false;
    bench.cgroups.push(Cgroup { birth: Birth::Now, ..unit("b") });
    bench.run(1, 500);
    bench.busy(0, 500);
    bench.add(0, 10.0);
    bench.tick(1.0);
    assert_eq!((bench.joules("b", Component::Cpu), bench.pending(Component::Cpu)), (0.0, 10.0));
    for _ in 0..150 {
        bench.tick(1.0);
    }
    assert_eq!((bench.joules("b", Component::Cpu), bench.pending(Component::Cpu)), (10.0, 0.0));
}

#[test]
fn linger_retire_and_start_again_at_zero() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.cgroups = vec![unit("a")];
    bench.settle();
    let burn = |bench: &mut Bench, id: usize| {
        bench.run(id, 500);
        bench.busy(0, 500);
        bench.add(0, 10.0);
        bench.tick(1.0);
    };
    burn(&mut bench, 0);
    bench.cgroups[0].gone = true;
    bench.tick(1.0);
    for _ in 0..100 {
        bench.tick(1.0);
    }
    // A restart under the same labels goes on.
    bench.cgroups.push(Cgroup { birth: Birth::Now, ..unit("a") });
    burn(&mut bench, 1);
    assert_eq!(bench.joules("a", Component::Cpu), 20.0);
    bench.cgroups[1].gone = true;
    for _ in 0..310 {
        bench.tick(1.0);
    }
    assert!(bench.snapshot.rows.is_empty());
    assert_eq!(bench.snapshot.components[0].retired.joules(), 20.0);
    bench.cgroups.push(Cgroup { birth: Birth::Now, ..unit("a") });
    burn(&mut bench, 2);
    assert_eq!(bench.joules("a", Component::Cpu), 0.0);
    burn(&mut bench, 2);
    assert_eq!(bench.joules("a", Component::Cpu), 20.0);
}

#[test]
fn idle_policies() {
    let run = |idle, floors: Vec<_>| {
        let mut bench = Bench::new(&Policy { idle, floors, ..policy() }, 1);
        bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
        bench.cgroups = vec![unit("a"), unit("b")];
        bench.cgroups[1].reserved.cpu_milli = 4000;
        bench.settle();
        bench.run(0, 1000);
        bench.busy(0, 1000);
        bench.add(0, 100.0);
        bench.tick(1.0);
        assert!((bench.snapshot.node.of(Component::Cpu, Mode::Idle).joules() - 40.0).abs() < 1e-5);
        (bench.joules("a", Component::Cpu), bench.joules("b", Component::Cpu), bench.nobody(Component::Cpu))
    };
    let floor = vec![(Component::Cpu, Power::from_watts(40.0))];
    assert_eq!(run(IdlePolicy::Usage, floor.clone()), (100.0, 0.0, 0.0));
    assert_eq!(run(IdlePolicy::Requests, floor.clone()), (60.0, 20.0, 20.0));
    assert_eq!(run(IdlePolicy::None, floor), (60.0, 0.0, 40.0));
}

/// Names as a test tells them.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, Identity>);

impl Names for Told {
    fn identify(&self, workload: &Workload) -> Identity {
        let Workload::Unit { name } = workload else { return Identity::Never };
        self.0.get(&**name).cloned().unwrap_or(Identity::NotYet)
    }
}

#[test]
fn energy_waits_for_its_name_and_is_not_dropped_with_the_workload() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.settle();
    let mut names = Told::default();
    for name in ["late", "never", "short"] {
        bench.cgroups.push(Cgroup { birth: Birth::Now, ..unit(name) });
    }
    let burn = |bench: &mut Bench, ids: &[usize], names: &Told| {
        for id in ids {
            bench.run(*id, 500);
            bench.busy(0, 500);
            bench.add(0, 10.0);
        }
        bench.tick_with(1.0, names);
    };
    burn(&mut bench, &[0, 1, 2], &names);
    assert_eq!((bench.snapshot.rows.len(), bench.pending(Component::Cpu)), (0, 30.0));
    bench.cgroups[2].gone = true;
    burn(&mut bench, &[0], &names);
    names.0.insert("late".into(), Identity::Known(Key::container("ns", "pod", "named"), vec![]));
    burn(&mut bench, &[], &names);
    burn(&mut bench, &[], &names);
    assert_eq!((bench.joules("named", Component::Cpu), bench.pending(Component::Cpu)), (20.0, 20.0));
    for _ in 0..60 {
        burn(&mut bench, &[], &names);
    }
    assert_eq!((bench.joules("never", Component::Cpu), bench.joules("short", Component::Cpu)), (10.0, 10.0));
    assert_eq!(bench.pending(Component::Cpu), 0.0);
}

/// Names of containers, which come late and change: by the container's id.
#[derive(Debug, Default)]
struct Late {
    generation: u64,
    names: BTreeMap<String, Key>,
    /// Whether others are waited for.
    waited_for: bool,
}

impl Late {
    fn name(&mut self, id: &str, key: Key) {
        self.names.insert(id.into(), key);
        self.generation += 1;
    }
}

impl Names for Late {
    fn identify(&self, workload: &Workload) -> Identity {
        let Workload::Container { id, .. } = workload else { return Identity::Never };
        match self.names.get(&**id) {
            Some(key) => Identity::Known(key.clone(), vec![]),
            None if self.waited_for => Identity::NotYet,
            None => Identity::Never,
        }
    }

    fn generation(&self) -> u64 {
        self.generation
    }
}

fn container(id: &str) -> Cgroup {
    let workload = Workload::Container { id: id.into(), runtime: "containerd", pod: Some("uid".into()) };
    Cgroup { workload: Some(Arc::new(workload)), ..unit("") }
}

/// A name that comes after its time: the series under the ids ends as any other, a new one begins at 0.
#[test]
fn a_name_that_comes_late_begins_a_series_of_its_own() {
    let mut policy = policy();
    policy.terms.max = 2;
    let mut bench = Bench::new(&policy, 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    let mut names = Late { waited_for: true, ..Late::default() };
    bench.cgroups = vec![container("aa"), container("bb")];
    let burn = |bench: &mut Bench, names: &Late| {
        for id in 0..2 {
            bench.run(id, 500);
            bench.busy(0, 500);
            bench.add(0, 10.0);
        }
        bench.tick_with(1.0, names);
    };
    (0..70).for_each(|_| burn(&mut bench, &names));
    let cpu = Component::Cpu;
    let before = bench.joules("aa", cpu);
    assert_eq!((before, bench.joules("bb", cpu), bench.pending(cpu)), (690.0, 690.0, 0.0));
    names.name("aa", Key::container("shop", "web", "app"));
    burn(&mut bench, &names);
    assert_eq!((bench.joules("aa", cpu), bench.joules("app", cpu), bench.pending(cpu)), (before, 0.0, 10.0));
    burn(&mut bench, &names);
    assert_eq!((bench.joules("aa", cpu), bench.joules("app", cpu), bench.pending(cpu)), (before, 20.0, 0.0));
    assert_eq!(bench.snapshot.folded, 0, "the new series takes the place of the old one");
    (0..310).for_each(|_| burn(&mut bench, &names));
    assert!(bench.snapshot.rows.iter().all(|row| &*row.key.values[2] != "aa"), "it has ended");
    assert_eq!(bench.snapshot.components[0].retired.joules(), before);
    assert_eq!((bench.joules("app", cpu), bench.joules("bb", cpu)), (3120.0, 3810.0));
}

/// What was taken for a pod's sandbox is a container.
#[test]
fn a_container_that_was_taken_for_the_sandbox_gets_its_own_name() {
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.cgroups = vec![container("aa")];
    let mut names = Late::default();
    names.name("aa", Key::container("shop", "web", "POD"));
    for name in ["POD", "app", "other"] {
        names.name("aa", Key::container("shop", "web", name));
        for _ in 0..3 {
            bench.run(0, 500);
            bench.busy(0, 500);
            bench.tick_with(1.0, &names);
            bench.add(0, 10.0);
        }
    }
    let cpu = Component::Cpu;
    assert_eq!(
        (bench.joules("POD", cpu), bench.joules("app", cpu), bench.joules("other", cpu)),
        (20.0, 60.0, 0.0)
    );
}

/// News of a test.
#[derive(Debug)]
struct News(Vec<(Key, Info)>);

impl Names for News {
    fn identify(&self, _: &Workload) -> Identity {
        Identity::Never
    }

    fn news(&self) -> &[(Key, Info)] {
        &self.0
    }
}

#[test]
fn news_change_the_info_and_nothing_else() {
    let job = |id: &str| Workload::Job { scheduler: "slurm", id: JobId::Number(id.into()), user: None };
    let mut bench = Bench::new(&policy(), 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    // The second job runs inside the first: its own ids are not said twice.
    bench.cgroups = vec![unit(""), unit("")];
    bench.cgroups[0].workload = Some(Arc::new(job("1")));
    bench.cgroups[1].workload = Some(Arc::new(job("2")));
    bench.cgroups[1].parent = Some(0);
    bench.settle();
    bench.run(0, 500);
    bench.busy(0, 500);
    bench.add(0, 10.0);
    let news = |id: &str, user: &str| (Key::job("slurm", id), vec![("user", Arc::from(user))]);
    bench.tick_with(1.0, &News(vec![news("1", "ada"), news("9", "eve")]));
    let infos = |bench: &Bench| -> Vec<String> {
        bench.snapshot.rows.iter().map(|row| format!("{} {:?}", row.key.values[1], row.info)).collect()
    };
    assert_eq!(infos(&bench), ["1 [(\"user\", \"ada\")]", "2 []"]);
    assert_eq!(bench.joules("1", Component::Cpu), 10.0);
    bench.cgroups[0].gone = true;
    bench.tick(1.0);
    assert_eq!(infos(&bench)[0], "1 [(\"user\", \"ada\")]", "it keeps its names until it is retired");
    bench.tick_with(1.0, &News(vec![news("1", "bob")]));
    assert_eq!(infos(&bench)[0], "1 [(\"user\", \"bob\")]", "the newest counts");
}

#[test]
fn beyond_the_limit_everything_is_folded() {
    let mut policy = policy();
    policy.terms.max = 1;
    let mut bench = Bench::new(&policy, 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.cgroups = vec![unit("a"), unit("b"), unit("c")];
    bench.settle();
    for id in 0..3 {
        bench.run(id, 100);
        bench.busy(0, 100);
    }
    bench.add(0, 30.0);
    bench.tick(1.0);
    assert_eq!((bench.joules("a", Component::Cpu), bench.joules("_folded", Component::Cpu)), (10.0, 0.0));
    assert_eq!((bench.pending(Component::Cpu), bench.snapshot.folded), (20.0, 2), "it is shown at 0 first");
    bench.tick(1.0);
    assert_eq!((bench.joules("a", Component::Cpu), bench.joules("_folded", Component::Cpu)), (10.0, 20.0));
    assert_eq!(bench.snapshot.folded, 2);
    // What has ended makes room, but not for who is folded already.
    bench.cgroups[0].gone = true;
    (0..4).for_each(|_| bench.tick(200.0));
    assert_eq!(shown(&bench), ["_folded"]);
    bench.cgroups[0] = unit("d");
    bench.settle();
    assert_eq!(shown(&bench), ["_folded", "d"]);
    for id in 0..3 {
        bench.run(id, 100);
        bench.busy(0, 100);
    }
    bench.add(0, 30.0);
    bench.tick(1.0);
    assert_eq!((bench.joules("d", Component::Cpu), bench.joules("_folded", Component::Cpu)), (10.0, 40.0));
}

/// The names of all series.
fn shown(bench: &Bench) -> Vec<String> {
    let name = |row: &noether_core::snapshot::Row| row.key.values.last().map(ToString::to_string);
    bench.snapshot.rows.iter().filter_map(name).collect()
}

#[test]
fn what_has_used_nothing_gives_way_to_what_has() {
    let mut policy = policy();
    policy.terms.max = 2;
    let mut bench = Bench::new(&policy, 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.cgroups = vec![unit("a"), unit("b"), unit("c"), unit("d")];
    bench.settle();
    assert_eq!(shown(&bench), ["a", "b"], "there is room for two of the idle ones");
    let spend = |bench: &mut Bench, id: usize| {
        bench.run(id, 100);
        bench.busy(0, 100);
        bench.add(0, 10.0);
        bench.tick(1.0);
        bench.tick(1.0);
    };
    spend(&mut bench, 2);
    assert_eq!((shown(&bench), bench.joules("c", Component::Cpu)), (vec!["b".into(), "c".into()], 10.0));
    spend(&mut bench, 0);
    assert_eq!((shown(&bench), bench.joules("a", Component::Cpu)), (vec!["a".into(), "c".into()], 10.0));
    assert_eq!(bench.snapshot.folded, 0);
    spend(&mut bench, 3);
    assert_eq!((bench.joules("_folded", Component::Cpu), bench.snapshot.folded), (10.0, 1));
    bench.cgroups[1].gone = true;
    bench.tick(1.0);
    assert_eq!(shown(&bench), ["_folded", "a", "c"], "an idle one without a place leaves nothing behind");
}

#[test]
fn a_delegated_tree_has_a_bound_of_its_own() {
    let mut policy = policy();
    policy.terms.max = 20;
    let mut bench = Bench::new(&policy, 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.cgroups = vec![unit("user@1.service"), unit("host.service")];
    let below =
        |id: u32| Cgroup { parent: Some(0), top_level: false, ..unit(&format!("user@1.service/{id}")) };
    bench.cgroups.extend((0..1000).map(below));
    bench.settle();
    assert_eq!(shown(&bench).len(), 4, "both of the host, and a tenth of the places");
    let spend = |bench: &mut Bench, ids: &[usize]| {
        for id in ids {
            bench.run(*id, 100);
            bench.run(0, if (2..1002).contains(id) { 100 } else { 0 });
            bench.busy(0, 100);
            bench.add(0, 10.0);
        }
        bench.tick(1.0);
        bench.tick(1.0);
    };
    spend(&mut bench, &[900, 901]);
    let of = |bench: &Bench, id: usize| bench.joules(&format!("user@1.service/{}", id - 2), Component::Cpu);
    assert_eq!((of(&bench, 900), of(&bench, 901), shown(&bench).len()), (10.0, 10.0, 4));
    // More than two that have used something pay into what they lie in.
    spend(&mut bench, &[5, 6, 7, 900]);
    assert_eq!((of(&bench, 900), of(&bench, 5), shown(&bench).len()), (20.0, 0.0, 4));
    assert_eq!(bench.joules("user@1.service", Component::Cpu), 30.0);
    assert_eq!(bench.snapshot.folded, 0);
    // The host's own come later, and have places.
    bench.cgroups.extend((0..10).map(|id| unit(&format!("late-{id}"))));
    bench.settle();
    let late: Vec<usize> = (1002..1012).collect();
    spend(&mut bench, &late);
    assert!(
        (0..10).all(|id| bench.joules(&format!("late-{id}"), Component::Cpu) > 9.0),
        "{:?}",
        shown(&bench)
    );
    // A folded one ends, and so does all.
    for cgroup in &mut bench.cgroups[2..1002] {
        cgroup.gone = true;
    }
    (0..5).for_each(|_| bench.tick(200.0));
    assert_eq!(shown(&bench).len(), 12);
    assert_eq!(bench.joules("user@1.service", Component::Cpu), 30.0);
}

/// Knows all containers as those of one pod, once it is there.
#[derive(Debug)]
struct OnePod(bool);

impl Names for OnePod {
    fn identify(&self, workload: &Workload) -> Identity {
        let name = match workload {
            Workload::Container { .. } => "app",
            Workload::NestedContainer { id, .. } => id,
            _ => return Identity::Never,
        };
        if self.0 { Identity::Known(Key::container("ci", "runner", name), vec![]) } else { Identity::NotYet }
    }
}

#[test]
fn what_a_pods_container_started_pays_into_it_where_it_is_too_much() {
    let mut policy = policy();
    policy.terms.max = 10;
    let mut bench = Bench::new(&policy, 1);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    let of = |workload, parent: Option<u32>| Cgroup {
        workload: Some(Arc::new(workload)),
        parent,
        top_level: parent.is_none(),
        ..unit("")
    };
    let outer = |id: &str| Workload::Container { id: id.into(), runtime: "", pod: Some("p".into()) };
    let inner = |id: &str| Workload::NestedContainer { id: id.into(), runtime: "docker", pod: "p".into() };
    // Two runs of one container, which have one account in the end; what is in the second knows that by its first number.
    bench.cgroups = vec![of(outer("one"), None), of(outer("two"), None)];
    bench.cgroups.extend(["a", "b", "c"].map(|id| of(inner(id), Some(1))));
    bench.tick_with(0.001, &OnePod(false));
    bench.cgroups.push(unit("host"));
    bench.tick_with(0.001, &OnePod(true));
    bench.cgroups.extend([unit("late"), unit("later")]);
    bench.tick_with(0.001, &OnePod(true));
    for _ in 0..2 {
        for id in 2..5 {
            bench.run(id, 100);
            bench.run(1, 100);
        }
        bench.busy(0, 300);
        bench.add(0, 30.0);
        bench.tick_with(1.0, &OnePod(true));
    }
    bench.tick_with(1.0, &OnePod(true));
    let joules = ["a", "b", "c", "app", "host", "late", "later"]
        .map(|name| (bench.joules(name, Component::Cpu) * 1e3).round() / 1e3);
    assert_eq!(joules, [20.0, 0.0, 0.0, 40.0, 0.0, 0.0, 0.0]);
    assert_eq!(bench.snapshot.folded, 0);
}

#[derive(Clone, Debug)]
struct Turn {
    milliseconds: u64,
    gains: Vec<u64>,
    faults: Vec<u8>,
    runs: Vec<u64>,
    fates: Vec<u8>,
    fetched: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    let gains = prop::collection::vec(prop_oneof![0..80_000_000_u64, any::<u64>()], 4);
    let faults = prop::collection::vec(any::<u8>(), 4);
    let (runs, fates) = (prop::collection::vec(0..900_u64, 6), prop::collection::vec(any::<u8>(), 6));
    (1..3000_u64, gains, faults, runs, fates, any::<bool>()).prop_map(
        |(milliseconds, gains, faults, runs, fates, fetched)| Turn {
            milliseconds,
            gains,
            faults,
            runs,
            fates,
            fetched,
        },
    )
}

impl Turn {
    fn play(&self, bench: &mut Bench) {
        self.play_with(bench, &NoNames, |id| unit(NAMES[id]));
    }

    fn play_with(&self, bench: &mut Bench, names: &dyn Names, new: impl Fn(usize) -> Cgroup) {
        for place in 0..4 {
            let raw = match bench.domains[place].1 {
                Ok(Reading::Counter { total, .. }) => total.microjoules(),
                _ => 0,
            };
            bench.domains[place].1 = match self.faults[place] {
                0..20 => Err(Fault::Malformed),
                _ => Ok(counted(raw.wrapping_add(self.gains[place]) % RANGE)),
            };
        }
        for id in 0..NAMES.len() {
            bench.run(id, self.runs[id]);
            bench.busy(id % 2, self.runs[id]);
            bench.cgroups[id].memory = Some(self.runs[id] << 20);
            if !bench.cgroups[id].present && self.fates[id] < 200 {
                // Some stay away for so long that their series retire.
            } else if !bench.cgroups[id].present {
                bench.cgroups[id] = Cgroup { birth: Birth::Now, gone: self.fates[id] > 250, ..new(id) };
            } else if self.fates[id] < 40 {
                bench.cgroups[id].gone = true;
                bench.cgroups[id].cpu = None;
            }
        }
        bench.fetched = self.fetched;
        bench.tick_with(self.milliseconds as f64 / 1e3, names);
    }
}

/// All energies that a snapshot shows, but for those that are left over.
fn energies(snapshot: &Snapshot) -> BTreeMap<String, Energy> {
    let mut energies = BTreeMap::new();
    let mut totals = |name: &str, totals: &Totals| {
        for component in Component::ALL {
            for mode in Mode::ALL {
                energies.insert(format!("{name} {component:?} {mode:?}"), totals.of(component, mode));
            }
        }
    };
    totals("node", &snapshot.node);
    totals("unattributed", &snapshot.unattributed);
    snapshot.rows.iter().for_each(|row| totals(&format!("{:?}", row.key), &row.energy));
    for row in &snapshot.domains {
        energies.insert(format!("domain {} {}", row.domain.meter, row.domain.name), row.energy);
    }
    energies
}

/// Energies in microjoules, and the CPU times of workloads in nanoseconds.
fn counters(snapshot: &Snapshot) -> BTreeMap<String, u128> {
    let energies = energies(snapshot).into_iter().map(|(name, energy)| (name, energy.microjoules().into()));
    let cpu = snapshot.rows.iter().map(|row| (format!("{:?} CPU", row.key), row.cpu.as_nanos()));
    energies.chain(cpu).collect()
}

/// Two are the same, and two are in one delegated tree.
const NAMES: [&str; 6] = ["u0", "u1", "u2", "user@1.service/u3", "user@1.service/u4", "u0"];

/// A node with four domains and six cgroups, of which two have equal labels.
fn crowd(granularity: Granularity, floor: u64) -> Bench {
    let terms = Terms { linger: Duration::from_secs(3), zero_hold: Duration::from_secs(5), max: 4 };
    let floors = vec![(Component::Cpu, Power::from_watts(floor as f64))];
    let mut bench = Bench::new(&Policy { terms, floors, granularity, ..policy() }, 2);
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, RANGE - 100);
    bench.counter("rapl", "package-1", Component::Cpu, Role::Part, 1, 0);
    bench.counter("rapl", "dram-0", Component::Dram, Role::Part, 0, 0);
    bench.counter("rapl", "psys", Component::Other, Role::Whole, 0, 0);
    bench.cgroups = NAMES.iter().map(|name| unit(name)).collect();
    bench
}

proptest! {
    /// At every tick the law holds to the microjoule and no exported counter falls, whatever is read and whoever dies.
    #[test]
    fn nothing_is_lost(turns in prop::collection::vec(turn(), 1..60), floor in 0..60_u64) {
        let mut bench = crowd(Granularity::FINEST, floor);
        let mut last = BTreeMap::new();
        for turn in turns {
            turn.play(&mut bench);
            let now = counters(&bench.snapshot);
            for (name, value) in &now {
                prop_assert!(last.get(name).is_none_or(|before| before <= value), "{name} fell");
            }
            last = now;
        }
    }

    /// The same where names come at any time, change, and are those of others too.
    #[test]
    fn nothing_is_lost_however_late_names_come(
        turns in prop::collection::vec((turn(), prop::option::of((0..6_usize, 0..4_usize)), any::<bool>()), 1..80),
    ) {
        let mut bench = crowd(Granularity::FINEST, 20);
        bench.cgroups = (0..6).map(|id| container(&format!("c{id}"))).collect();
        let (mut names, mut last) = (Late::default(), BTreeMap::new());
        for (turn, told, waited_for) in turns {
            if let Some((id, name)) = told {
                names.name(&format!("c{id}"), Key::container("ns", "pod", ["POD", "a", "b", "c"][name]));
            }
            names.waited_for = waited_for;
            turn.play_with(&mut bench, &names, |id| container(&format!("c{id}")));
            let now = energies(&bench.snapshot);
            for (name, value) in &now {
                prop_assert!(last.get(name).is_none_or(|before| before <= value), "{name} fell");
            }
            last = now;
        }
    }

    /// The same for a client that fetches now and then: what it sees to go and to come back, it sees at 0 or not at all in
    /// between.
    #[test]
    fn nothing_falls_for_who_misses_snapshots(turns in prop::collection::vec(turn(), 1..60)) {
        let mut bench = crowd(Granularity::FINEST, 0);
        let (mut seen, mut at) = (BTreeMap::new(), Duration::ZERO);
        for turn in turns {
            if turn.fetched {
                let now = counters(&bench.snapshot);
                // Who stays away for longer than the hold is not waited for.
                let waited = bench.now - at < Duration::from_secs(5);
                for (name, value) in now.iter().filter(|_| waited) {
                    prop_assert!(seen.get(name).is_none_or(|before| before <= value), "{name} fell");
                }
                (seen, at) = (now, bench.now);
            }
            turn.play(&mut bench);
        }
    }

    /// The same of what is rounded; and it shows the whole steps of what is counted, and nothing else.
    #[test]
    fn nothing_finer_than_a_step_is_shown(
        turns in prop::collection::vec(turn(), 1..60),
        floor in 0..60_u64,
        step in prop_oneof![2..1000_u64, 1000..50_000_000_u64],
    ) {
        let granularity = Granularity::new(Energy::from_microjoules(step)).unwrap();
        let (mut bench, mut exact) = (crowd(granularity, floor), crowd(Granularity::FINEST, floor));
        let mut last = BTreeMap::new();
        for turn in turns {
            turn.play(&mut bench);
            turn.play(&mut exact);
            let now = energies(&bench.snapshot);
            for (name, value) in &now {
                prop_assert!(last.get(name).is_none_or(|before| before <= value), "{name} fell");
            }
            last = now;
            let floors = |(name, value)| (name, granularity.floor(value));
            prop_assert_eq!(&last, &energies(&exact.snapshot).into_iter().map(floors).collect());
            for (row, truth) in bench.snapshot.components.iter().zip(&exact.snapshot.components) {
                prop_assert_eq!((granularity.rest(row.pending), granularity.rest(row.retired)), (Energy::ZERO, Energy::ZERO));
                prop_assert!(row.retired <= truth.retired);
            }
        }
    }
}

/// A node that shows whole joules, without an idle floor that would part them.
fn in_joules() -> Bench {
    let joule = Granularity::new(Energy::from_joules(1.0)).unwrap();
    let floors = vec![(Component::Cpu, Power::ZERO)];
    Bench::new(&Policy { granularity: joule, floors, ..policy() }, 1)
}

#[test]
fn power_is_that_of_the_energy_that_is_shown() {
    let mut bench = in_joules();
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.settle();
    let mut powers = vec![];
    for _ in 0..5 {
        bench.add(0, 0.6);
        bench.tick(1.0);
        powers.push(bench.snapshot.domains[0].power.unwrap().watts());
    }
    assert_eq!(powers, [0.0, 1.0, 0.0, 1.0, 1.0]);
    assert_eq!((bench.total(Component::Cpu), bench.pending(Component::Cpu)), (3.0, 0.0));
}

#[test]
fn what_no_series_shows_yet_is_pending() {
    let mut bench = in_joules();
    bench.counter("rapl", "package-0", Component::Cpu, Role::Part, 0, 0);
    bench.cgroups = vec![unit("a"), unit("b")];
    bench.settle();
    for (joules, shown) in
        [(3.0, (3.0, 1.0, 1.0, 1.0)), (0.8, (3.0, 1.0, 1.0, 1.0)), (0.4, (4.0, 2.0, 2.0, 0.0))]
    {
        bench.run(0, 500);
        bench.run(1, 500);
        bench.busy(0, 1000);
        bench.add(0, joules);
        bench.tick(1.0);
        let cpu = Component::Cpu;
        let found = (bench.total(cpu), bench.joules("a", cpu), bench.joules("b", cpu), bench.pending(cpu));
        assert_eq!(found, shown);
    }
}
