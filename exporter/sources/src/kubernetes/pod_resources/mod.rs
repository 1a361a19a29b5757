//! Which containers hold which GPUs, as the kubelet tells on its pod-resources socket.
//!
//! A task of its own asks for the list, once in a while and soon after a container has appeared; the tick takes what is there.
//! <https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/#monitoring-device-plugin-resources>

pub(crate) mod answer;
mod device;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use noether_core::reading::Fault;
use noether_core::vitals::{Histogram, SourceRow};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::failure::Failure;
use super::grpc::Connection;
use super::pause::{Pause, about};

pub use answer::Grants;
pub(crate) use device::is_id;

const LIST: &str = "/v1.PodResourcesLister/List";

/// How often the kubelet is asked anyway: devices change hands with containers, whose coming is told.
const REFRESH: Duration = Duration::from_secs(10);

/// However many containers come, it is not asked more often.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest pause before a kubelet that does not answer, or is not there, is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// So many different complaints are remembered; beyond, the memory starts anew.
const MOST_SAID: usize = 100;

/// What the kubelet tells of devices.
#[derive(Clone, Debug)]
pub struct PodResources(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    state: Mutex<State>,
    /// Whether there is any GPU; before, nobody is asked.
    wanted: AtomicBool,
    /// Rung when there may be news.
    due: Notify,
}

#[derive(Debug)]
struct State {
    /// The newest answer. While a kubelet restarts, its containers keep what they have.
    grants: Arc<Grants>,
    row: SourceRow,
    /// Whether there is, or ever was, a socket.
    found: bool,
    /// Whether it was said that there is none.
    said_absent: bool,
    said: BTreeSet<String>,
}

impl PodResources {
    /// Nothing known yet, and the task that asks the kubelet behind `socket`.
    pub fn new(socket: PathBuf) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let errors = Fault::ALL.map(|fault| (fault.label(), 0)).into();
        let row = SourceRow { source: "pod_resources", up: false, read: Histogram::default(), errors };
        let state =
            State { grants: Arc::default(), row, found: false, said_absent: false, said: BTreeSet::new() };
        let shared = Arc::new(Shared {
            socket,
            state: Mutex::new(state),
            wanted: AtomicBool::new(false),
            due: Notify::new(),
        });
        (Self(Arc::clone(&shared)), run(shared))
    }

    /// Asks the kubelet once: how many devices it gives to how many containers, or why it does not tell; `None` where there
    /// is no socket.
    pub async fn probe(socket: &Path) -> Option<Result<(usize, usize), String>> {
        let answer = async {
            let mut connection = Connection::open(socket).await?;
            ask(&mut connection).await
        };
        match answer.await {
            Ok(grants) => Some(Ok((grants.devices(), grants.containers()))),
            Err(Failure::Absent(_)) if !socket.exists() => None,
            Err(failure) => Some(Err(failure.to_string())),
        }
    }

    /// Who was given what, as last told.
    pub fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.0.lock().grants)
    }

    /// There is a GPU that somebody may hold.
    pub fn want(&self) {
        if !self.0.wanted.swap(true, Ordering::Relaxed) {
            self.0.due.notify_one();
        }
    }

    /// A container has come that may have been given one.
    pub fn ring(&self) {
        if self.0.wanted.load(Ordering::Relaxed) {
            self.0.due.notify_one();
        }
    }

    /// What is told of the source; `None` where there never was a socket.
    pub fn row(&self) -> Option<SourceRow> {
        let state = self.0.lock();
        state.found.then(|| state.row.clone())
    }
}

/// Runs for ever.
async fn run(shared: Arc<Shared>) {
    while !shared.wanted.load(Ordering::Relaxed) {
        shared.due.notified().await;
    }
    let mut pause = Pause::up_to(LONGEST_PAUSE);
    loop {
        let Err(failure) = shared.follow().await;
        if shared.lock().fail(&failure) {
            pause = Pause::up_to(LONGEST_PAUSE);
        }
        pause.wait().await;
    }
}

async fn ask(connection: &mut Connection) -> Result<Grants, Failure> {
    Grants::read(&connection.call(LIST).await?.only().await?)
}

impl Shared {
    /// Asks over one connection until that fails.
    async fn follow(&self) -> Result<Infallible, Failure> {
        let mut began = Instant::now();
        let mut connection = Connection::open(&self.socket).await?;
        loop {
            let grants = ask(&mut connection).await?;
            self.lock().take(grants, began.elapsed(), &self.socket);
            sleep(SHORTEST).await;
            // In either case it is time.
            let _ = timeout(about(REFRESH), self.due.notified()).await;
            began = Instant::now();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, grants: Grants, took: Duration, socket: &Path) {
        if !self.row.up {
            let (devices, containers) = (grants.devices(), grants.containers());
            tracing::info!(
                "holders of GPUs come from the kubelet at {}: {devices} devices of {containers} containers",
                socket.display()
            );
        }
        // What is the same stays the same, so that nobody has to look at it again.
        if *self.grants != grants {
            self.grants = Arc::new(grants);
        }
        (self.found, self.row.up) = (true, true);
        self.row.read.observe(took);
    }

    /// Says what is news of it, and whether the kubelet had answered before.
    fn fail(&mut self, failure: &Failure) -> bool {
        let answered = std::mem::take(&mut self.row.up);
        if let (Failure::Absent(said), false) = (failure, self.found) {
            // Most machines have no kubelet.
            if !std::mem::replace(&mut self.said_absent, true) {
                tracing::info!("no kubelet tells who holds GPUs: {said}");
            }
            return answered;
        }
        self.found = true;
        let errors = &mut self.row.errors;
        if let Some((_, count)) = errors.iter_mut().find(|(reason, _)| *reason == failure.fault().label()) {
            *count += 1;
        }
        if answered || self.said.len() >= MOST_SAID {
            self.said.clear();
        }
        if self.said.insert(failure.to_string()) {
            tracing::warn!("holders of GPUs: {failure}");
        }
        answered
    }
}
