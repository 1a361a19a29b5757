//! The idle floor of whole nodes: from the intervals of the domains themselves, and from none that was distorted.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use noether_core::attribution::IdlePolicy;
use noether_core::gpu::{Clock, Device, Gauges, Instance, Look};
use noether_core::granularity::Granularity;
use noether_core::ledger::{Publication, Terms};
use noether_core::node::{Node, Policy};
use noether_core::reading::{
    Component, DeviceLocation, Domain, DomainReading, Moment, Place, Quality, Reading, Role,
};
use noether_core::roster::NoNames;
use noether_core::sample::{NodeUsage, Sample};
use noether_core::snapshot::{Generation, Snapshot};
use noether_core::units::Energy;

const CPUS: u32 = 8;

fn domain(component: Component, role: Role, number: u16) -> Arc<Domain> {
    let location = DeviceLocation::Numbered(component.label(), number.into());
    Arc::new(Domain {
        meter: component.label(),
        name: format!("{}-{number}", component.label()).into(),
        component,
        role,
        place: Place { socket: Some(number), die: None, device: Some(location) },
        quality: Quality::Measured,
        max_power: None,
        generation: 0,
        may_mirror: false,
    })
}

/// A node, and readings at any instants.
struct Bench {
    node: Node,
    generation: u64,
    snapshot: Snapshot,
    readings: Vec<DomainReading>,
    looks: Vec<Arc<Look>>,
    usage: NodeUsage,
}

impl Bench {
    fn new() -> Self {
        let terms =
            Terms { linger: Duration::from_secs(300), zero_hold: Duration::from_secs(150), max: 5000 };
        let node = Node::new(&Policy {
            terms,
            idle: IdlePolicy::Usage,
            floors: vec![],
            identity_timeout: Duration::ZERO,
            granularity: Granularity::FINEST,
        });
        let busy = vec![Duration::ZERO];
        let usage = NodeUsage { busy, packages: vec![0], cpus: CPUS, ..NodeUsage::default() };
        let (generation, snapshot) = (0, Snapshot::default());
        Self { node, generation, snapshot, readings: vec![], looks: vec![], usage }
    }

    /// A counter's value, read at this instant.
    fn read(&mut self, domain: &Arc<Domain>, at: f64, joules: f64) {
        let reading = Ok(Reading::Total(Energy::from_joules(joules)));
        self.readings.push(DomainReading { domain: Arc::clone(domain), at: moment(at), reading });
    }

    /// A GPU's counter and how busy it was, both at this instant.
    fn look(&mut self, domain: &Arc<Domain>, at: f64, joules: f64, utilisation: f64) {
        self.read(domain, at, joules);
        let device = Device {
            domain: Arc::clone(domain),
            gpu: "0".into(),
            index: 0,
            uuid: domain.name.clone(),
            model: "".into(),
            driver: "".into(),
            pci: "".into(),
            minor: None,
        };
        self.looks.push(Arc::new(Look {
            device: Arc::new(device),
            at: moment(at),
            time: Duration::from_secs(1),
            gauges: Gauges { utilisation: Some(utilisation), ..Gauges::default() },
            slices: 0,
            instances: vec![Instance::default()],
            clock: Clock::Sm,
        }));
    }

    fn tick(&mut self, at: f64) {
        let at = moment(at);
        self.generation += 1;
        let sample = Sample {
            at,
            domains: &self.readings,
            node: &self.usage,
            cgroups: &[],
            gpus: &self.looks,
            holdings: &[],
        };
        let acknowledged = Some(Generation(self.generation - 1));
        let publication = Publication { generation: Generation(self.generation), at, acknowledged };
        self.node.advance(&sample, &NoNames, &publication, &mut self.snapshot);
        self.readings.clear();
        self.looks.clear();
        self.usage.changed = false;
    }

    fn floor(&self, component: Component) -> Option<f64> {
        let row = self.snapshot.components.iter().find(|row| row.component == component)?;
        Some(row.floor?.watts())
    }

    fn other(&self) -> f64 {
        self.snapshot.node.component(Component::Other).joules()
    }
}

fn moment(seconds: f64) -> Moment {
    Moment::from_boot(Duration::from_secs_f64(1000.0 + seconds))
}

fn near(found: Option<f64>, expected: f64) {
    assert!(found.is_some_and(|found| (found / expected - 1.0).abs() < 0.01), "{found:?}, not {expected}");
}

#[test]
fn a_gpu_has_the_floor_of_its_own_intervals_whatever_the_ticks() {
    // The thread that reads it is faster or slower than the ticks, and comes now early in a tick and now late.
    for pace in [0.3, 0.7, 1.0, 1.7, 3.3, 10.0] {
        let mut bench = Bench::new();
        let gpu = domain(Component::Gpu, Role::Part, 0);
        let mut next = 0.4;
        for tick in 0..120 {
            while next <= f64::from(tick) {
                bench.look(&gpu, next, 71.0 * next, 0.0);
                next += pace;
            }
            bench.tick(f64::from(tick));
        }
        near(bench.floor(Component::Gpu), 71.0);
    }
}

#[test]
fn a_counter_that_is_updated_now_and_then_spoils_no_floor() {
    for update in [0.02, 0.05, 0.1] {
        let mut bench = Bench::new();
        let gpus: Vec<_> = (0..8).map(|number| domain(Component::Gpu, Role::Part, number)).collect();
        for tick in 0..200 {
            for (gpu, number) in gpus.iter().zip(0..) {
                // Each at its own instant, and each shows its energy at its last update.
                let at = 1.013 * f64::from(tick) + 0.11 * f64::from(number);
                let updated = (at / update).floor() * update;
                bench.look(gpu, at, 71.0 * updated, 0.01);
            }
            bench.tick(1.013 * f64::from(tick) + 0.9);
        }
        let found = bench.floor(Component::Gpu).unwrap();
        assert!((found / (8.0 * 71.0) - 1.0).abs() < 0.03, "{found}");
    }
}

#[test]
fn gpus_of_two_meters_that_never_report_in_the_same_tick() {
    let mut bench = Bench::new();
    let gpus = [0, 1].map(|number| domain(Component::Gpu, Role::Part, number));
    for tick in 0..40 {
        let (gpu, watts) = [(&gpus[0], 71.0), (&gpus[1], 20.0)][tick % 2];
        let at = tick as f64 - 0.3;
        bench.look(gpu, at, watts * at.max(0.0), 0.0);
        bench.tick(tick as f64);
    }
    near(bench.floor(Component::Gpu), 91.0);
}

#[test]
fn with_another_gpu_the_floor_is_another_one() {
    let mut bench = Bench::new();
    let gpus = [0, 1].map(|number| domain(Component::Gpu, Role::Part, number));
    for tick in 0..60 {
        let at = f64::from(tick);
        bench.look(&gpus[0], at, 71.0 * at, 0.0);
        if tick > 20 {
            bench.look(&gpus[1], at, 71.0 * at, 0.0);
        }
        bench.tick(at);
        if tick == 20 {
            near(bench.floor(Component::Gpu), 71.0);
        }
    }
    near(bench.floor(Component::Gpu), 142.0);
}

#[test]
fn no_distorted_interval_is_learned_from() {
    let mut bench = Bench::new();
    let package = domain(Component::Cpu, Role::Part, 0);
    let mut joules = 0.0;
    for tick in 0..60 {
        let at = f64::from(tick);
        // The first interval, and those in which processors come and go, show too little or too much.
        let changed = tick % 10 == 5;
        joules += match tick {
            1 => 5.0,
            _ if changed && tick % 20 == 5 => 2.0,
            _ if changed => 300.0,
            _ => 70.0,
        };
        bench.usage.changed = changed;
        bench.usage.cpus = if changed { 1 } else { CPUS };
        bench.read(&package, at, joules);
        bench.tick(at);
    }
    near(bench.floor(Component::Cpu), 70.0);
}

#[test]
fn the_whole_waits_for_an_accelerator_that_is_read_seldom() {
    let mut bench = Bench::new();
    let (psys, package) = (domain(Component::Other, Role::Whole, 0), domain(Component::Cpu, Role::Part, 0));
    let gpu = domain(Component::Gpu, Role::Part, 0);
    // 100 W of processors, 300 W of a GPU that is read every 10 s, 50 W of what else there is.
    for tick in 0..=200 {
        let at = f64::from(tick);
        bench.read(&package, at, 100.0 * at);
        bench.read(&psys, at, 450.0 * at);
        if tick % 10 == 0 {
            bench.look(&gpu, at, 300.0 * at, 0.5);
        }
        bench.tick(at);
        let most = 50.0 * at + 1.0;
        assert!(bench.other() <= most, "after {at} s: {} J of at most {most}", bench.other());
    }
    near(Some(bench.other()), 50.0 * 200.0);
}
