//! One simulated exporter: what it would serve at an instant, rendered by the real exposition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use noether_core::carbon::{Basis, Pue};
use noether_core::gpu::{Clock, Device, Gauges, Instance, Look};
use noether_core::grid::Grid;
use noether_core::reading::{Component, Domain, Moment, Place, Quality, Role};
use noether_core::snapshot::{ComponentRow, DomainRow, Feed, GpuRow, MeterRow, Mode, Row, Snapshot, Totals};
use noether_core::units::{Energy, Power};
use noether_core::vitals::{Histogram, SourceRow, Vitals};
use noether_exposition::prometheus::{Format, render};

use crate::draw::{Draw, Parts, add, random};
use crate::grid::{row, shipped};
use crate::recorded::LINGER;
use crate::world::{Kind, World};

const FAULTS: [&str; 7] = ["ambiguous_wrap", "io", "jump", "malformed", "permission", "reset", "vanished"];

/// The exporter of a node, with its counters.
#[derive(Debug)]
pub(crate) struct Exporter<'a> {
    world: &'a World,
    node: usize,
    started: i64,
    last: i64,
    accounts: BTreeMap<usize, Account>,
    total: Totals,
    retired: Totals,
    /// Joules of each domain since the start, and watts in the last interval.
    domains: Vec<(Arc<Domain>, Energy, Power)>,
    gpus: [f64; 2],
    vitals: Vitals,
}

/// What one draw was charged.
#[derive(Debug, Default)]
struct Account {
    energy: Totals,
    cpu: Duration,
    /// Whether it was shown at 0 once.
    shown: bool,
}

impl<'a> Exporter<'a> {
    /// As it stands at an instant, having run since its last start.
    pub(crate) fn new(world: &'a World, node: usize, at: i64) -> Self {
        let mut exporter = Self {
            world,
            node,
            started: at,
            last: at,
            accounts: BTreeMap::new(),
            total: Totals::ZERO,
            retired: Totals::ZERO,
            domains: domains(world.nodes[node].kind),
            gpus: [0.0; 2],
            vitals: vitals(world.nodes[node].kind),
        };
        exporter.started = world.nodes[node].started(at);
        exporter.vitals.start = unix(exporter.started);
        exporter
    }

    /// Everything that was used since the last time is charged.
    pub(crate) fn advance(&mut self, at: i64) {
        let started = self.world.nodes[self.node].started(at);
        if started != self.started {
            *self = Self::new(self.world, self.node, at);
            self.last = started;
        }
        let (from, mut sum, mut gpus) = (self.last, [0.0; 4], [0.0; 2]);
        let used: Vec<(usize, Parts)> =
            self.draws(from, at).map(|(place, draw)| (place, draw.joules_over(from, at))).collect();
        for (place, joules) in &used {
            add(&mut sum, joules);
            gpus[self.world.draws[*place].gpu] += joules[2];
        }
        let seconds = (at - from) as f64;
        let floor = self.world.nodes[self.node].floor;
        let idle: Parts = std::array::from_fn(|part| {
            if sum[part] > 0.0 { (floor[part] * seconds / sum[part]).min(1.0) } else { 0.0 }
        });
        for (place, joules) in &used {
            let account = self.accounts.entry(*place).or_default();
            for component in Component::ALL {
                let part = component as usize;
                for (mode, share) in [(Mode::Active, 1.0 - idle[part]), (Mode::Idle, idle[part])] {
                    let energy = Energy::from_joules(joules[part] * share);
                    account.energy.add(component, mode, energy);
                    self.total.add(component, mode, energy);
                }
            }
            // About 4 J above the floor for a second of work.
            account.cpu += Duration::from_secs_f64(joules[0] * (1.0 - idle[0]) / 4.0);
        }
        self.measure(&sum, &gpus, seconds);
        self.last = at;
        self.live(at);
    }

    /// The page at the last instant, with what is told of the grid.
    pub(crate) fn page(&mut self, page: &mut Vec<u8>) {
        let snapshot = self.snapshot();
        let node = &self.world.nodes[self.node];
        let at = self.last;
        let grid = Grid {
            node_zone: Some(node.zone.into()),
            intensities: vec![row(node.zone, "shipped", Basis::Lifecycle, Some(shipped(node.zone)), at, at)],
            pue: node.pue.and_then(Pue::from_ratio),
            ..Grid::default()
        };
        render(&snapshot, &self.vitals, &grid, Format::OpenMetrics, page);
        self.vitals.requests[0].1 += 1;
    }

    /// Those that are there, or still shown.
    fn draws(&self, from: i64, at: i64) -> impl Iterator<Item = (usize, &'a Draw)> + use<'a> {
        let node = self.node;
        let draws = self.world.draws.iter().enumerate().filter(move |(_, draw)| draw.node == node);
        draws.filter(move |(_, draw)| draw.from < at && draw.to + LINGER > from)
    }

    fn snapshot(&mut self) -> Snapshot {
        let (node, at) = (&self.world.nodes[self.node], self.last);
        let mut snapshot = Snapshot { node: self.total, ..Snapshot::default() };
        let mut pending = Totals::ZERO;
        let mut gone = Vec::new();
        let first = self.total == Totals::ZERO;
        for (place, account) in &mut self.accounts {
            let draw = &self.world.draws[*place];
            let Some(key) = &draw.key else {
                snapshot.unattributed = account.energy;
                continue;
            };
            if draw.to + LINGER <= at {
                gone.push(*place);
                continue;
            }
            let (mut energy, mut cpu) = (account.energy, account.cpu);
            if !account.shown && !first {
                pending.add_all(&energy);
                (energy, cpu) = (Totals::ZERO, Duration::ZERO);
            }
            account.shown = true;
            let (key, info, since) = (Arc::clone(key), Arc::clone(draw.info(at)), Moment::default());
            snapshot.rows.push(Row { key, info, since, energy, cpu });
        }
        for account in gone.iter().filter_map(|place| self.accounts.remove(place)) {
            self.retired.add_all(&account.energy);
        }
        let components = Component::ALL.into_iter().filter(|component| node.has[*component as usize]);
        snapshot.components = components
            .map(|component| ComponentRow {
                component,
                pending: pending.component(component),
                retired: self.retired.component(component),
                floor: Some(Power::from_watts(node.floor[component as usize])),
            })
            .collect();
        snapshot.domains = self
            .domains
            .iter()
            .map(|(domain, energy, power)| DomainRow {
                domain: Arc::clone(domain),
                energy: *energy,
                power: Some(*power),
                feeds: !matches!(domain.role, Role::Nested),
            })
            .collect();
        let fed = self.domains.iter().filter(|(domain, ..)| !matches!(domain.role, Role::Nested));
        snapshot.feeds = fed.map(|(domain, ..)| Feed::of(domain)).collect();
        snapshot.feeds.sort_unstable();
        snapshot.feeds.dedup();
        snapshot.meters = meters(node.kind, (at - self.started).max(0) as u64);
        if node.kind == Kind::Accelerated {
            snapshot.gpus = self.look(at);
        }
        snapshot
    }

    /// The domains that overlap, and those that make the total.
    fn measure(&mut self, sum: &Parts, gpus: &[f64; 2], seconds: f64) {
        for (domain, energy, power) in &mut self.domains {
            let joules = match (&*domain.name, domain.component) {
                ("package-0", _) if self.world.nodes[self.node].kind == Kind::Accelerated => sum[0] * 0.6,
                ("package-1", _) => sum[0] * 0.4,
                ("core-0", _) => sum[0] * 0.55,
                ("dram-0", _) if self.world.nodes[self.node].kind == Kind::Accelerated => sum[1] * 0.5,
                ("dram-1", _) => sum[1] * 0.5,
                ("gpu-0", _) => gpus[0],
                ("gpu-1", _) => gpus[1],
                (_, Component::Cpu) => sum[0],
                (_, Component::Dram) => sum[1],
                _ => sum.iter().sum(),
            };
            *energy += Energy::from_joules(joules);
            *power = Power::from_watts(if seconds > 0.0 { joules / seconds } else { 0.0 });
        }
        self.gpus = gpus.map(|joules| if seconds > 0.0 { joules / seconds } else { 0.0 });
    }

    /// The exporter's own life goes on: thirty ticks in half a minute.
    fn live(&mut self, at: i64) {
        let seed = self.node as u64 * 1_000_003;
        let age = (at - self.started).max(0) as u64;
        let vitals = &mut self.vitals;
        let jitter = |place: u64| 0.7 + 0.6 * random(seed + place, at as u64);
        let micros = |micros: f64| Duration::from_secs_f64(micros / 1e6);
        for (place, (stage, histogram)) in (0..).zip(&mut vitals.stages) {
            let usual = match *stage {
                "read" => 1900.0,
                "account" => 240.0,
                _ => 130.0,
            };
            (0..30).for_each(|tick| histogram.observe(micros(usual * jitter(place * 100 + tick))));
        }
        for (place, source) in (0..).zip(&mut vitals.sources) {
            let usual = match source.source {
                "ipmi" => 180_000.0,
                "nvml" => 4000.0,
                "cgroup" => 1300.0,
                "kubelet" => 9000.0,
                _ => 90.0,
            };
            (0..30).for_each(|tick| source.read.observe(micros(usual * jitter(9000 + place * 100 + tick))));
            for (reason, count) in &mut source.errors {
                let rate = match (source.source, *reason) {
                    ("ipmi", "read") => 3,
                    ("cgroup", "vanished") => 20,
                    _ => 0,
                };
                *count = rate * age / 3600;
            }
        }
        vitals.missed = age / 7200;
        vitals.last_tick = unix(at);
        vitals.cpu = Duration::from_secs_f64(age as f64 * 0.0031);
        vitals.resident = (6_400_000.0 * (0.98 + 0.04 * random(seed, at as u64 / 600))) as u64;
        vitals.connections = 2;
    }

    /// Two GPUs: one that a notebook holds, and one that is cut in two.
    fn look(&self, at: i64) -> Vec<GpuRow> {
        let gpu = |number: usize, pci: &str, model: &str| {
            let watts = self.gpus[number];
            let idle = [52.0, 60.0][number];
            let full = [260.0, 225.0][number];
            let busy = ((watts - idle) / (full - idle)).clamp(0.0, 1.0);
            let gib = 1 << 30;
            let device = Device {
                domain: Arc::clone(&self.domains[4 + number].0),
                gpu: number.to_string().into(),
                index: number as u32,
                uuid: format!("GPU-{number}d2f7a10-4c1e-11ef-9a6b-0242ac12000{number}").into(),
                model: model.into(),
                driver: "570.124.06".into(),
                pci: pci.into(),
                minor: Some(number as u32),
            };
            let gauges = Gauges {
                power: Some(Power::from_watts(watts * (0.97 + 0.06 * random(number as u64, at as u64)))),
                average_power: Some(Power::from_watts(watts)),
                power_limit: Some(Power::from_watts([300.0, 400.0][number])),
                utilisation: (number == 0).then_some(busy),
                engines: None,
                memory_utilisation: (number == 0).then_some(busy * 0.6),
                memory: Some((
                    [4.0 + 50.0 * busy, 6.0 + 25.0 * busy][number] as u64 * gib,
                    [80, 40][number] * gib,
                )),
                temperature: Some((31.0 + watts / 6.0).round()),
                clock: Some(if busy > 0.0 { 1_410_000_000 } else { 210_000_000 }),
                memory_clock: Some(1_593_000_000),
                suspended: false,
            };
            let instance = |place: u32, profile: &str, slices, all: u64| Instance {
                uuid: format!("MIG-{place}a9b8c7d-0000-5000-8000-00000000000{place}").into(),
                profile: profile.into(),
                slices,
                memory: Some((((all as f64) * (0.2 + 0.6 * busy)) as u64 * gib, all * gib)),
                ..Instance::default()
            };
            let instances = if number == 0 {
                Vec::new()
            } else {
                vec![instance(1, "3g.20gb", 3, 20), instance(2, "3g.20gb", 3, 20)]
            };
            let look = Look {
                device: Arc::new(device),
                at: Moment::default(),
                time: Duration::from_secs(1),
                gauges,
                slices: if number == 0 { 0 } else { 7 },
                instances,
                clock: Clock::Sm,
            };
            let method = match number {
                0 if busy > 0.01 => "sm_time",
                0 => "holder",
                _ => "mig_slices",
            };
            GpuRow { look: Arc::new(look), method }
        };
        vec![gpu(0, "0000:3b:00.0", "NVIDIA A100-SXM4-80GB"), gpu(1, "0000:af:00.0", "NVIDIA A100-SXM4-40GB")]
    }
}

fn unix(at: i64) -> Duration {
    Duration::from_secs(at.max(0) as u64)
}

fn domains(kind: Kind) -> Vec<(Arc<Domain>, Energy, Power)> {
    let domain = |meter, name: &str, component, role, quality| {
        let domain = Domain {
            meter,
            name: name.into(),
            component,
            role,
            place: Place::default(),
            quality,
            max_power: None,
            may_mirror: false,
            generation: 0,
        };
        (Arc::new(domain), Energy::ZERO, Power::ZERO)
    };
    let measured = |meter, name, component| domain(meter, name, component, Role::Part, Quality::Measured);
    match kind {
        Kind::Accelerated => vec![
            measured("rapl", "package-0", Component::Cpu),
            measured("rapl", "package-1", Component::Cpu),
            measured("rapl", "dram-0", Component::Dram),
            measured("rapl", "dram-1", Component::Dram),
            measured("nvml", "gpu-0", Component::Gpu),
            measured("nvml", "gpu-1", Component::Gpu),
            domain("ipmi", "node", Component::Other, Role::Whole, Quality::Integrated),
        ],
        Kind::Plain => vec![
            measured("rapl", "package-0", Component::Cpu),
            domain("rapl", "core-0", Component::Cpu, Role::Nested, Quality::Measured),
            measured("rapl", "dram-0", Component::Dram),
        ],
        Kind::Batch => vec![domain("model", "cpu", Component::Cpu, Role::Model, Quality::Modelled)],
    }
}

/// The state of the meters after so many seconds.
fn meters(kind: Kind, age: u64) -> Vec<MeterRow> {
    let meter = |meter, up, found: &[(&str, u64)]| {
        let count = |reason| found.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| *count);
        MeterRow { meter, up, errors: FAULTS.map(|reason| (reason, count(reason))).into() }
    };
    match kind {
        Kind::Accelerated => vec![
            meter("rapl", true, &[("ambiguous_wrap", age / 40_000)]),
            meter("nvml", true, &[]),
            meter("ipmi", true, &[("io", 3 * age / 3600)]),
        ],
        // A meter that was found, but may not be read.
        Kind::Plain => vec![
            meter("rapl", true, &[("reset", age / 50_000)]),
            meter("hwmon", false, &[("permission", 1 + age / 60)]),
        ],
        Kind::Batch => vec![meter("model", true, &[])],
    }
}

fn vitals(kind: Kind) -> Vitals {
    let meters: &[&str] = match kind {
        Kind::Accelerated => &["rapl", "nvml", "ipmi"],
        Kind::Plain => &["rapl", "hwmon"],
        Kind::Batch => &["model"],
    };
    let others: &[&str] = if kind == Kind::Batch {
        &["stat", "meminfo", "cgroup", "slurm"]
    } else {
        &["stat", "meminfo", "cgroup", "kubelet"]
    };
    let row = |source: &&'static str, reasons: &[&'static str]| SourceRow {
        source,
        up: *source != "hwmon",
        read: Histogram::default(),
        errors: reasons.iter().map(|reason| (*reason, 0)).collect(),
    };
    let meters = meters.iter().map(|source| row(source, &["read"]));
    let others = others.iter().map(|source| row(source, &["permission", "vanished", "malformed", "io"]));
    Vitals {
        version: env!("CARGO_PKG_VERSION"),
        sources: meters.chain(others).collect(),
        stages: ["read", "account", "publish"].map(|stage| (stage, Histogram::default())).into(),
        requests: vec![("200".to_owned(), 0)],
        descriptors: (140, 65_536),
        ..Vitals::default()
    }
}
