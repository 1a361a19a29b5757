//! A slow meter on a thread of its own: it reads at its own pace, and the tick takes over what is there.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use noether_core::gpu;
use noether_core::granularity::SHORTEST_INTERVAL;
use noether_core::reading::DomainReading;
use noether_sources::hanging::Place;
use noether_sources::meter::{Look, Meter, Note, Probe};
use noether_sources::stat::CpuTimes;
use noether_sources::{Error, Machine};

use crate::clock;

/// How often the meter and its domains are looked for anew.
const RESCAN: Duration = Duration::from_secs(10);
/// How far apart its readings lie at most: a power that is read seldom says little of the time between, and NVML keeps
/// samples of processes for a while only.
const LONGEST_PACE: Duration = Duration::from_secs(15);
/// So many readings wait at most for a tick that does not come; beyond, the oldest go. Totals lose nothing by that.
const MOST: usize = 4096;

/// A slow meter that has been at one reading for so long hangs. Some drivers take seconds.
const HANGS: Duration = Duration::from_secs(15);

/// A slow meter, as the tick sees it.
pub struct Slow {
    mailbox: Arc<Mutex<Mailbox>>,
    probe: &'static Probe,
    start: Box<dyn Fn(Arc<Mutex<Mailbox>>) + Send>,
    /// Whether it was logged that it hangs.
    hangs: bool,
}

/// What was read and not yet taken over.
#[derive(Default)]
struct Mailbox {
    found: bool,
    /// Since when it is at a reading or a search, and where.
    busy: Option<(Instant, Place)>,
    readings: Vec<DomainReading>,
    looks: Vec<Arc<gpu::Look>>,
    faults: Vec<Error>,
    rounds: Vec<Duration>,
}

/// The slow meters that were looked for in vain: once all of them were, the log says so, in one line.
#[derive(Debug)]
pub struct Absent {
    all: usize,
    absent: Mutex<Vec<&'static str>>,
}

impl Absent {
    /// Of so many meters.
    pub const fn of(all: usize) -> Self {
        Self { all, absent: Mutex::new(Vec::new()) }
    }

    fn add(&self, meter: &'static str) {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.push(meter);
        if absent.len() == self.all {
            absent.sort_unstable();
            tracing::info!("no GPU here: nothing to read for {}", absent.join(", "));
        }
    }
}

impl Slow {
    /// Starts the thread. It ends with the process.
    pub fn start(probe: &'static Probe, machine: Machine, pace: Duration, absent: &Arc<Absent>) -> Self {
        let (pace, absent) = (pace.min(LONGEST_PACE), Arc::clone(absent));
        let start = move |mailbox| {
            let (machine, absent) = (machine.clone(), Arc::clone(&absent));
            let reader = Reader { probe, machine, meter: None, mailbox, noted: BTreeSet::new() };
            let run = move || reader.run(pace, &absent);
            if let Err(error) = thread::Builder::new().name(probe.name.into()).spawn(run) {
                tracing::error!("meter {}: no thread: {error}", probe.name);
            }
        };
        let mailbox = Arc::default();
        start(Arc::clone(&mailbox));
        Self { mailbox, probe, start: Box::new(start), hangs: false }
    }

    /// Whether the machine has such a meter, as far as one knows by now.
    pub fn found(&self) -> bool {
        lock(&self.mailbox).found
    }

    /// Takes over what was read since the last time; tells how long each round took.
    pub fn take(
        &mut self,
        readings: &mut Vec<DomainReading>,
        looks: &mut Vec<Arc<gpu::Look>>,
        faults: &mut Vec<Error>,
    ) -> Vec<Duration> {
        faults.extend(self.hang());
        let mut mailbox = lock(&self.mailbox);
        readings.append(&mut mailbox.readings);
        looks.append(&mut mailbox.looks);
        faults.append(&mut mailbox.faults);
        std::mem::take(&mut mailbox.rounds)
    }
}

impl Slow {
    /// Whether it has begun to hang. A thread that hangs at a file is left to it, and a new one goes on without the file.
    fn hang(&mut self) -> Option<Error> {
        let busy = lock(&self.mailbox).busy.clone();
        let place = busy.filter(|(since, _)| since.elapsed() >= HANGS).map(|(_, place)| place);
        let begins = place.is_some() && !self.hangs;
        self.hangs = place.is_some();
        let file = place.filter(|_| begins)?.give_up();
        let why = format!("no answer for {} s", HANGS.as_secs());
        let path = file.clone().unwrap_or_else(|| self.probe.reads.into());
        if file.is_some() {
            let found = lock(&self.mailbox).found;
            self.mailbox = Arc::new(Mutex::new(Mailbox { found, ..Mailbox::default() }));
            self.hangs = false;
            (self.start)(Arc::clone(&self.mailbox));
        }
        Some(Error::io(&path, io::Error::new(io::ErrorKind::TimedOut, why)))
    }
}

/// The lock is held to move what is in it, never while a meter is read.
fn lock(mailbox: &Mutex<Mailbox>) -> MutexGuard<'_, Mailbox> {
    mailbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's own part.
struct Reader {
    probe: &'static Probe,
    machine: Machine,
    meter: Option<Box<dyn Meter>>,
    mailbox: Arc<Mutex<Mailbox>>,
    /// The notes that the log has.
    noted: BTreeSet<Note>,
}

impl Reader {
    fn run(mut self, pace: Duration, absent: &Absent) {
        if self.rescan() && self.meter.is_none() {
            absent.add(self.probe.name);
        }
        let mut scanned = clock::now();
        loop {
            let began = clock::now();
            if began.since(scanned) >= RESCAN {
                self.rescan();
                scanned = began;
            }
            self.read();
            if Arc::strong_count(&self.mailbox) == 1 {
                // It came back from where it hung, and another thread has taken its place.
                return;
            }
            let wait = if self.meter.is_some() { pace } else { RESCAN };
            // A meter that takes longer than its pace gets a rest all the same, and no device is read twice within the
            // shortest interval, whenever in its round that was.
            thread::sleep(
                wait.saturating_sub(clock::now().since(began)).max(pace / 4).max(SHORTEST_INTERVAL),
            );
        }
    }

    /// Tells whether nothing went wrong.
    fn rescan(&mut self) -> bool {
        self.busy(true);
        let result = match &mut self.meter {
            Some(meter) => meter.rescan(),
            none => (self.probe.open)(&self.machine).map(|opened| *none = opened),
        };
        self.busy(false);
        let mut mailbox = lock(&self.mailbox);
        mailbox.found = self.meter.is_some();
        let well = result.is_ok();
        mailbox.faults.extend(result.err());
        well
    }

    fn busy(&self, busy: bool) {
        lock(&self.mailbox).busy = busy.then(|| (Instant::now(), Place::of_this_thread()));
    }

    fn read(&mut self) {
        self.busy(self.meter.is_some());
        let Some(meter) = &mut self.meter else { return };
        let (mut readings, mut faults) = (Vec::new(), Vec::new());
        let (began, cpu) = (clock::now(), CpuTimes::default());
        meter.read(&Look { now: &clock::now, cpu: &cpu }, &mut readings, &mut faults);
        let mut looks = meter.looks();
        let notes = meter.notes();
        self.busy(false);
        for note in notes {
            if self.noted.insert(note.clone()) {
                say(self.probe, &note);
            }
        }
        let mut mailbox = lock(&self.mailbox);
        if mailbox.readings.len() > MOST {
            mailbox.readings.clear();
            mailbox.looks.clear();
        }
        mailbox.readings.append(&mut readings);
        mailbox.looks.append(&mut looks);
        mailbox.faults.append(&mut faults);
        mailbox.rounds.push(clock::now().since(began));
    }
}

fn say(probe: &Probe, note: &Note) {
    match note.lack {
        true => tracing::warn!("meter {}: {}", probe.name, note.text),
        false => tracing::info!("meter {}: {}", probe.name, note.text),
    }
}
