//! The pure model: loads and physics become CPU time, memory and energy, exactly, piece by constant piece.

use std::collections::{BTreeMap, BTreeSet};

use super::hardware::{Counts, Hardware, Physics};
use super::load::Load;
use super::truth::{Component, Owner, Truth};

/// How long an empty cgroup stands before its runtime removes it.
const GRACE: f64 = 0.02;

/// One cgroup. Figures include its descendants', as a kernel's do: of memory the living ones', of time the dead ones' too.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// CPU seconds since it was made.
    pub used: f64,
    /// The same without what only the unified tree knows.
    pub used_classic: f64,
    /// Bytes of working set.
    pub memory: u64,
    /// Bytes of idle page cache.
    pub cache: u64,
    /// Processes in it and below.
    pub population: u32,
    /// Its own process, if it has one.
    pub pid: Option<usize>,
    /// The sockets of its own cpuset.
    pub sockets: Option<Vec<usize>>,
    /// `cpu.max` in processors.
    pub cpu_limit: Option<f64>,
    /// `memory.max` in bytes.
    pub memory_limit: Option<u64>,
    /// Whether it is in the unified tree alone.
    pub unified_only: bool,
}

/// What happens to a cgroup's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was made.
    Made(String),
    /// Its last process ended.
    Emptied(String),
    /// It was removed.
    Removed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unborn,
    Alive,
    Empty,
    Gone,
}

/// The machine without its files.
#[derive(Debug)]
pub struct Model {
    hardware: Hardware,
    loads: Vec<(Load, Stage)>,
    groups: BTreeMap<String, Group>,
    busy: Vec<f64>,
    /// Busy seconds of each processor. While one is offline, nothing is added.
    busy_of: BTreeMap<u32, f64>,
    offline: BTreeSet<u32>,
    energy: Vec<f64>,
    power: Vec<f64>,
    truth: Truth,
    now: f64,
}

impl Model {
    /// A machine that was just switched on: only the root cgroup is there.
    pub fn new(hardware: Hardware) -> Self {
        let busy = vec![0.0; hardware.sockets.len()];
        let (energy, power) = (vec![0.0; hardware.zones.len()], vec![0.0; hardware.zones.len()]);
        let groups = BTreeMap::from([(String::new(), Group::default())]);
        Self {
            hardware,
            loads: Vec::new(),
            groups,
            busy,
            busy_of: BTreeMap::new(),
            offline: BTreeSet::new(),
            energy,
            power,
            truth: Truth::default(),
            now: 0.0,
        }
    }

    /// Adds a load. One that should have been born already is born now.
    pub fn add(&mut self, load: Load) {
        self.loads.push((load, Stage::Unborn));
    }

    /// Other physics from now on.
    pub fn physics(&mut self, physics: Physics) {
        self.hardware.physics = physics;
    }

    /// The parts.
    pub fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// Seconds since the beginning.
    pub fn now(&self) -> f64 {
        self.now
    }

    /// The truth so far.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// The cgroup at `path`.
    pub fn group(&self, path: &str) -> &Group {
        self.groups.get(path).unwrap_or_else(|| panic!("no cgroup {path:?} in the model"))
    }

    /// Every cgroup's path, children before their parents.
    pub fn paths_leaf_first(&self) -> Vec<String> {
        self.groups.keys().rev().cloned().collect()
    }

    /// CPU seconds that a socket was busy.
    pub fn busy(&self, socket: usize) -> f64 {
        self.busy[socket]
    }

    /// CPU seconds that a processor was busy.
    pub fn busy_of(&self, cpu: u32) -> f64 {
        self.busy_of.get(&cpu).copied().unwrap_or(0.0)
    }

    /// Whether a processor is online.
    pub fn is_online(&self, cpu: u32) -> bool {
        !self.offline.contains(&cpu)
    }

    /// Takes processors offline, or puts them online again.
    pub fn switch(&mut self, cpus: &[u32], online: bool) {
        for cpu in cpus {
            if online {
                self.offline.remove(cpu)
            } else {
                self.offline.insert(*cpu)
            };
        }
    }

    /// Joules that a zone has counted, when it is read.
    pub fn energy(&self, zone: usize) -> f64 {
        self.energy[zone] + self.power[zone] * self.hardware.zones[zone].late
    }

    /// The sockets that the cgroup at `path` may use: its own cpuset's, else its nearest ancestor's.
    pub fn sockets(&self, path: &str) -> Vec<usize> {
        let own = lineage(path).find_map(|path| self.group(path).sockets.clone());
        own.unwrap_or_else(|| (0..self.hardware.sockets.len()).collect())
    }

    /// Lets time pass until something happens, but not beyond `moment`; `None` once it has come.
    pub fn advance(&mut self, moment: f64) -> Option<Vec<Event>> {
        let next = self.loads.iter().filter_map(|(load, stage)| next_change(load, *stage, self.now));
        let next = next.filter(|at| *at <= moment).reduce(f64::min);
        self.pass(next.unwrap_or(moment));
        next.map(|_| self.change())
    }

    fn change(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for index in 0..self.loads.len() {
            self.end(index, &mut events);
        }
        for index in 0..self.loads.len() {
            if self.loads[index].1 == Stage::Unborn && self.loads[index].0.born <= self.now {
                self.begin(index, &mut events);
            }
        }
        events
    }

    fn begin(&mut self, index: usize, events: &mut Vec<Event>) {
        self.loads[index].1 = Stage::Alive;
        let load = self.loads[index].0.clone();
        let path = load.path.as_str();
        let missing: Vec<&str> = lineage(path).filter(|path| !self.groups.contains_key(*path)).collect();
        for path in missing.into_iter().rev() {
            self.groups
                .insert(path.to_owned(), Group { unified_only: load.unified_only, ..Group::default() });
            events.push(Event::Made(path.to_owned()));
        }
        for path in lineage(path) {
            let group = self.groups.get_mut(path).expect("just made");
            group.memory += load.memory;
            group.cache += load.cache;
            group.population += 1;
        }
        let group = self.groups.get_mut(path).expect("just made");
        group.pid = Some(1000 + index);
        group.sockets = load.sockets.or_else(|| group.sockets.take());
        group.cpu_limit = load.cpu_limit.or(group.cpu_limit);
        group.memory_limit = load.memory_limit.or(group.memory_limit);
    }

    fn end(&mut self, index: usize, events: &mut Vec<Event>) {
        let (load, stage) = self.loads[index].clone();
        let Some(dies) = load.dies else { return };
        if stage == Stage::Alive && dies <= self.now {
            for path in lineage(&load.path) {
                let group = self.groups.get_mut(path).expect("an ancestor of a living cgroup");
                group.memory -= load.memory;
                group.cache -= load.cache;
                group.population -= 1;
            }
            self.groups.get_mut(&load.path).expect("a living cgroup").pid = None;
            self.loads[index].1 = Stage::Empty;
            events.push(Event::Emptied(load.path));
        } else if stage == Stage::Empty && dies + GRACE <= self.now {
            self.loads[index].1 = Stage::Gone;
            self.groups.remove(&load.path);
            events.push(Event::Removed(load.path));
        }
    }

    /// Lets time pass until `to`, in which nothing changes.
    fn pass(&mut self, to: f64) {
        let seconds = to - self.now;
        if seconds <= 0.0 {
            return;
        }
        // Whatever switches does so at the ends; in the middle there is no doubt.
        let middle = self.now + seconds / 2.0;
        self.now = to;
        let alive: Vec<Load> = self
            .loads
            .iter()
            .filter(|(_, stage)| *stage == Stage::Alive)
            .map(|(load, _)| load.clone())
            .collect();
        let rates: Vec<Vec<f64>> = alive
            .iter()
            .map(|load| (0..self.busy.len()).map(|socket| load.busy(socket, middle)).collect())
            .collect();
        for (load, rates) in alive.iter().zip(&rates) {
            self.work(load, rates.iter().sum::<f64>() * seconds);
        }
        let busy: Vec<f64> =
            (0..self.busy.len()).map(|socket| rates.iter().map(|rates| rates[socket]).sum()).collect();
        for (socket, busy) in busy.iter().enumerate() {
            let online = self.hardware.sockets[socket].iter().filter(|cpu| !self.offline.contains(cpu));
            let online: Vec<u32> = online.copied().collect();
            let cpus = online.len() as f64;
            assert!(
                *busy <= cpus + 1e-9,
                "the loads keep {busy} of {cpus} processors of socket {socket} busy"
            );
            self.busy[socket] += busy * seconds;
            for cpu in online {
                *self.busy_of.entry(cpu).or_default() += busy * seconds / cpus;
            }
        }
        let power = Powers::of(&self.hardware, &busy, self.held());
        for (index, zone) in self.hardware.zones.iter().enumerate() {
            self.power[index] = power.zone(zone.counts);
            self.energy[index] += self.power[index] * seconds;
        }
        self.charge(&power, &alive, &rates, &busy, seconds);
    }

    fn work(&mut self, load: &Load, seconds: f64) {
        for path in lineage(&load.path) {
            let group = self.groups.get_mut(path).expect("an ancestor of a living cgroup");
            group.used += seconds;
            // In v1 a process without a cgroup of its own is in the root.
            group.used_classic += if load.unified_only && !path.is_empty() { 0.0 } else { seconds };
        }
    }

    /// Bytes of memory in use.
    pub fn held(&self) -> u64 {
        self.hardware.kernel_memory + self.group("").memory
    }

    fn charge(&mut self, power: &Powers, loads: &[Load], rates: &[Vec<f64>], busy: &[f64], seconds: f64) {
        let memory = self.held() as f64;
        let parts: Vec<Counts> =
            self.hardware.zones.iter().filter(|zone| zone.first).map(|zone| zone.counts).collect();
        let whole: f64 = power.psys * f64::from(u8::from(parts.contains(&Counts::Psys)));
        let split = |of: &dyn Fn(usize) -> f64, whole: f64| -> Vec<(Option<Owner>, f64)> {
            let shares = (0..loads.len()).map(|i| (loads[i].owner.clone(), of(i) / whole));
            if whole > 0.0 { shares.collect() } else { Vec::new() }
        };
        let mut spend = |component: Component, joules: f64, shares: Vec<(Option<Owner>, f64)>| {
            let mut rest = joules;
            for (owner, share) in shares {
                rest -= joules * share;
                self.truth.charge(owner.as_ref(), component, joules * share);
            }
            self.truth.charge(None, component, rest);
        };
        let mut measured = 0.0;
        for part in parts {
            let joules = power.zone(part) * seconds;
            match part {
                Counts::Package(socket) | Counts::Die(socket, _) => {
                    spend(Component::Cpu, joules, split(&|i| rates[i][socket], busy[socket]));
                }
                Counts::Dram(_) => spend(Component::Dram, joules, split(&|i| loads[i].memory as f64, memory)),
                Counts::Psys | Counts::Core(_) | Counts::Uncore(_) => continue,
            }
            measured += power.zone(part);
        }
        let other = (whole - measured).max(0.0) * seconds;
        if other > 0.0 {
            spend(Component::Other, other, split(&|i| rates[i].iter().sum(), busy.iter().sum()));
        }
    }
}

/// When a load's stage or work next changes.
fn next_change(load: &Load, stage: Stage, now: f64) -> Option<f64> {
    match stage {
        Stage::Unborn => Some(load.born),
        Stage::Alive => load.dies.into_iter().chain(load.next_switch(now)).reduce(f64::min),
        Stage::Empty => load.dies.map(|dies| dies + GRACE),
        Stage::Gone => None,
    }
}

/// A path, its ancestors, and the root.
fn lineage(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rsplit_once('/') {
        Some((parent, _)) => Some(parent),
        None => (!path.is_empty()).then_some(""),
    })
}

/// What everything draws, in watts.
struct Powers {
    packages: Vec<f64>,
    per_cpu: Vec<f64>,
    drams: Vec<f64>,
    psys: f64,
}

impl Powers {
    fn of(hardware: &Hardware, busy: &[f64], held: u64) -> Self {
        let physics = hardware.physics;
        let per_cpu: Vec<f64> = busy.iter().map(|busy| physics.per_cpu * busy).collect();
        let packages: Vec<f64> = per_cpu.iter().map(|watts| physics.package_idle + watts).collect();
        let gib = held as f64 / f64::from(1 << 30) / busy.len() as f64;
        let drams = vec![physics.dram_idle + physics.per_gib * gib; busy.len()];
        let sum = packages.iter().chain(&drams).sum::<f64>() + physics.board;
        Self { packages, per_cpu, drams, psys: sum / physics.efficiency }
    }

    fn zone(&self, counts: Counts) -> f64 {
        match counts {
            Counts::Package(socket) => self.packages[socket],
            Counts::Die(socket, dies) => self.packages[socket] / f64::from(dies),
            Counts::Core(socket) => self.per_cpu[socket],
            Counts::Uncore(socket) => (self.packages[socket] - self.per_cpu[socket]) / 2.0,
            Counts::Dram(socket) => self.drams[socket],
            Counts::Psys => self.psys,
        }
    }
}
