//! The animated machine: a thread that keeps the files right for the instant of writing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::truth::Truth;
use super::{Machine, flags};

const STEP: Duration = Duration::from_millis(10);

/// A machine whose time is real time. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulation {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    root: PathBuf,
}

#[derive(Debug)]
struct Shared {
    machine: Machine,
    /// The machine's time when it last started to move, and that instant; `None` while it stands still.
    moving: Option<(f64, Instant)>,
    history: Vec<(SystemTime, Truth)>,
    ended: bool,
}

impl Shared {
    /// However late this comes, the machine catches up to now, through all that happened meanwhile.
    fn step(&mut self) {
        if let Some((from, since)) = self.moving {
            let (now, wall) = (from + since.elapsed().as_secs_f64(), SystemTime::now());
            self.machine.advance_to(now);
            self.history.push((wall, self.machine.truth().clone()));
        }
    }
}

impl Simulation {
    /// Sets a machine in motion.
    pub fn start(machine: Machine) -> Self {
        let root = machine.root();
        let moving = Some((machine.now(), Instant::now()));
        let shared = Arc::new(Mutex::new(Shared { machine, moving, history: Vec::new(), ended: false }));
        let thread = Some(thread::spawn({
            let shared = Arc::clone(&shared);
            move || animate(&shared)
        }));
        Self { shared, thread, root }
    }

    /// The machine's root folder.
    pub fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// The flags that make an exporter look at this machine.
    pub fn flags(&self) -> Vec<String> {
        flags(&self.root)
    }

    /// Changes the machine between two steps, and writes the outcome at once.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        let mut shared = self.lock();
        shared.step();
        let outcome = change(&mut shared.machine);
        shared.step();
        outcome
    }

    /// The machine's time in seconds.
    pub fn now(&self) -> f64 {
        self.edit(|machine| machine.now())
    }

    /// What every owner has cost up to now.
    pub fn truth(&self) -> Truth {
        self.edit(|machine| machine.truth().clone())
    }

    /// What every owner had cost at `wall`; the nearest known instant where the machine did not move then.
    pub fn truth_at(&self, wall: SystemTime) -> Truth {
        self.now();
        let shared = self.lock();
        let after = shared.history.partition_point(|(at, _)| *at <= wall);
        let Some((end, later)) = shared.history.get(after) else {
            return shared.history.last().expect("a step").1.clone();
        };
        let Some((start, earlier)) = after.checked_sub(1).and_then(|before| shared.history.get(before))
        else {
            return later.clone();
        };
        let seconds =
            |from: SystemTime, to: SystemTime| to.duration_since(from).unwrap_or_default().as_secs_f64();
        earlier.toward(later, seconds(*start, wall) / seconds(*start, *end).max(1e-9))
    }

    /// Lets the machine's time stand still.
    pub fn pause(&self) {
        let mut shared = self.lock();
        shared.step();
        shared.moving = None;
    }

    /// Lets it go on from where it stood.
    pub fn resume(&self) {
        let mut shared = self.lock();
        shared.moving = Some((shared.machine.now(), Instant::now()));
    }

    /// Ends the thread.
    pub fn stop(&mut self) {
        match self.shared.lock() {
            Ok(mut shared) => shared.ended = true,
            Err(poisoned) => poisoned.into_inner().ended = true,
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("the machine's thread failed; see its message above")
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.stop();
    }
}

fn animate(shared: &Mutex<Shared>) {
    loop {
        match shared.lock() {
            Ok(shared) if shared.ended => return,
            Ok(mut shared) => shared.step(),
            Err(_) => return,
        }
        thread::sleep(STEP);
    }
}
