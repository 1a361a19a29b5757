//! What is read at each tick besides cgroups: the processors' times, memory, and the meters that answer at once. It is read
//! on a thread of its own, so that a file that hangs stops nothing but itself.

use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu;
use noether_core::granularity::SHORTEST_INTERVAL;
use noether_core::reading::{DomainReading, Moment};
use noether_sources::meminfo::{Meminfo, Memory};
use noether_sources::meter::{Longest, Look, METERS, Meter, Note, Probe};
use noether_sources::scope::Sighting;
use noether_sources::stat::{CpuTimes, Stat};
use noether_sources::topology::{Packages, packages};
use noether_sources::{Error, Machine};

use crate::aside::Aside;
use crate::clock;

/// What is asked at a tick.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Whether sources are looked for that appeared, vanished or were replaced.
    pub rescan: bool,
}

/// What was read.
pub struct Answer {
    /// `<procfs>/stat`, and how long that took.
    pub cpu: (Result<CpuTimes, Error>, Duration),
    /// `<procfs>/meminfo`.
    pub memory: (Result<Memory, Error>, Duration),
    /// The meters.
    pub meters: Vec<MeterAnswer>,
    /// Which processors sit where, when that was looked at.
    pub packages: Option<Packages>,
    /// What this system is to the machine that its counters measure, when that was looked at.
    pub sighting: Option<Sighting>,
    /// Errors of sources that have no row of their own.
    pub troubles: Vec<Error>,
    /// When the meters were read.
    pub read: Moment,
}

/// What one meter gave.
pub struct MeterAnswer {
    /// Which.
    pub probe: &'static Probe,
    /// Whether the machine has it.
    pub found: bool,
    /// Its readings.
    pub readings: Vec<DomainReading>,
    /// What it found of accelerators.
    pub looks: Vec<Arc<gpu::Look>>,
    /// Its errors.
    pub faults: Vec<Error>,
    /// What an operator should know of it that is no error.
    pub notes: Vec<Note>,
    /// The longest time between two readings in which none of its counters can wrap unseen.
    pub longest: Option<Longest>,
    /// How long it took; `None` where it was not read.
    pub took: Option<Duration>,
}

/// The thread's own part.
struct Fast {
    machine: Machine,
    stat: Stat,
    meminfo: Meminfo,
    cpu: CpuTimes,
    meters: Vec<(&'static Probe, Option<Box<dyn Meter>>)>,
    opened: bool,
    read: Option<Moment>,
}

/// The thread that reads those meters that `chosen` holds.
pub fn start(machine: &Machine, chosen: Vec<&'static Probe>) -> Aside<Question, Answer> {
    let machine = machine.clone();
    Aside::new("read", move || {
        let mut fast = Fast {
            stat: Stat::new(&machine),
            meminfo: Meminfo::new(&machine),
            cpu: CpuTimes::default(),
            meters: chosen.iter().map(|probe| (*probe, None)).collect(),
            machine: machine.clone(),
            opened: false,
            read: None,
        };
        Box::new(move |question| fast.answer(question))
    })
}

/// The rows of the table that are switched on, `slow` or not.
pub fn probes(is_on: impl Fn(&Probe) -> bool) -> Vec<&'static Probe> {
    METERS.iter().filter(|probe| is_on(probe)).collect()
}

impl Fast {
    fn answer(&mut self, question: Question) -> Answer {
        let rescan = question.rescan || !std::mem::replace(&mut self.opened, true);
        let mut troubles = Vec::new();
        if rescan {
            self.stat.rescan();
            self.meminfo.rescan();
        }
        let before = self.cpu.clone();
        let cpu = timed(|| self.stat.read(&mut self.cpu).map(|()| self.cpu.clone()));
        let moved = !self.cpu.same_processors(&before);
        let packages = (rescan || moved).then(|| packages(&self.machine, &mut troubles));
        let sighting = rescan.then(|| Sighting::of(&self.machine, &self.cpu));
        // An answer that came late may be followed by the next one at once, but no meter is read twice in so short a time.
        let now = clock::now();
        let due = self.read.is_none_or(|read| now.since(read) >= SHORTEST_INTERVAL);
        let mut meters = Vec::new();
        for (probe, meter) in &mut self.meters {
            let look = Look { now: &clock::now, cpu: &self.cpu };
            meters.push(read_meter(probe, meter, rescan.then_some(&self.machine), due.then_some(&look)));
        }
        if due {
            self.read = Some(now);
        }
        let read = clock::now();
        let memory = timed(|| self.meminfo.read());
        Answer { cpu, memory, meters, packages, sighting, troubles, read }
    }
}

fn read_meter(
    probe: &'static Probe,
    meter: &mut Option<Box<dyn Meter>>,
    rescan: Option<&Machine>,
    look: Option<&Look<'_>>,
) -> MeterAnswer {
    let (mut readings, mut looks, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(machine) = rescan {
        let result = match meter.as_mut() {
            Some(meter) => meter.rescan(),
            None => (probe.open)(machine).map(|opened| *meter = opened),
        };
        faults.extend(result.err());
    }
    let took = meter.as_mut().zip(look).map(|(meter, look)| {
        let began = clock::now();
        meter.read(look, &mut readings, &mut faults);
        looks = meter.looks();
        clock::now().since(began)
    });
    let notes = meter.as_ref().map(|meter| meter.notes()).unwrap_or_default();
    let longest = meter.as_ref().and_then(|meter| meter.longest_interval());
    MeterAnswer { probe, found: meter.is_some(), readings, looks, faults, notes, longest, took }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = clock::now();
    let result = work();
    (result, clock::now().since(began))
}
