//! Names of pods and their containers: from the kubelet's Pods API, the kubelet's `/pods`, or the API server.
//!
//! A task of its own follows the first of them that answers and keeps a table; the tick only looks things up in it. Which
//! container was given which GPU is asked elsewhere: [`pod_resources`].

mod api;
mod budget;
mod cache;
mod failure;
mod grpc;
pub(crate) mod intake;
mod kubelet;
mod object;
mod owner;
mod pause;
mod pod;
pub mod pod_resources;
mod pods_api;
mod search;
mod sharing;
mod table;
mod web;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use noether_core::budget::Budget;
use noether_core::roster::Names;
use noether_core::vitals::SourceRow;
use noether_core::workload::{Identity, Workload};

pub use pod::AllowList;
pub use sharing::Assignments;

use cache::Question;
use intake::Intake;
use table::Table;

/// Where names come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// From the first of the others that is there and answers.
    Auto,
    /// From the kubelet's Pods API, a Unix socket.
    PodsApi,
    /// From the kubelet's `/pods`, over HTTPS.
    Kubelet,
    /// From a watch at the API server.
    Api,
    /// From nowhere: pods go under their ids.
    Off,
}

/// How names are to be had.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where from.
    pub choice: Choice,
    /// What this node is called.
    pub node: String,
    /// The socket of the Pods API.
    pub pods_api_socket: PathBuf,
    /// The kubelet, as in `https://10.0.0.1:10250`.
    pub kubelet_url: String,
    /// Who vouches for the kubelet.
    pub kubelet_ca_file: PathBuf,
    /// The API server; `None` where there is none.
    pub api_url: Option<String>,
    /// Who vouches for the API server.
    pub ca_file: PathBuf,
    /// The service account's token.
    pub token_file: PathBuf,
    /// The labels and annotations that are told.
    pub allowed: AllowList,
}

/// What the cgroup of one pod may go by: its uid, or for a static one the hash of its file.
pub type PodUids = Vec<Arc<str>>;

/// What is known of pods.
#[derive(Clone, Debug)]
pub struct Kubernetes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    intake: Intake,
    /// The newest table. The lock is held only to copy or swap the pointer.
    table: Mutex<Arc<Table>>,
    /// How many tables there were before it.
    generation: AtomicU64,
    /// What the tick wants to know, until the task takes it.
    asked: Mutex<BTreeMap<Arc<str>, Option<Arc<str>>>>,
    /// Whether it is worth to wait for a name.
    hope: AtomicBool,
    /// Whether there is, or ever was, anything to ask.
    found: AtomicBool,
    /// Whether any pod of this machine was ever found among those that a source tells of.
    matched: AtomicBool,
    /// What this node is called.
    node: String,
}

impl Kubernetes {
    /// What is known of pods, which is nothing yet, and the task that makes it known; `None` where that is not wanted.
    pub fn new(options: Options) -> Option<(Self, impl Future<Output = ()> + Send + 'static)> {
        if options.choice == Choice::Off {
            return None;
        }
        let shared = Arc::new(Shared::new(&options));
        let task = search::run(Arc::clone(&shared), options);
        Some((Self(shared), task))
    }

    /// Asks each source that is there once: which it is, in words too, and of which pods it tells, or why it does not.
    pub async fn probe(options: &Options) -> Vec<(Choice, String, Result<Vec<PodUids>, String>)> {
        match options.choice {
            Choice::Off => Vec::new(),
            _ => search::probe(options).await,
        }
    }

    /// What is told of the source; `None` where there never was any.
    pub fn row(&self) -> Option<SourceRow> {
        self.0.found.load(Ordering::Relaxed).then(|| self.0.intake.row())
    }

    /// The budgets that pods carry.
    pub fn budgets(&self) -> Arc<[Budget]> {
        self.0.table().budgets()
    }

    /// Which GPUs schedulers that share them gave to containers.
    pub fn assignments(&self) -> Arc<Assignments> {
        self.0.table().assignments()
    }
}

impl Names for Kubernetes {
    fn identify(&self, workload: &Workload) -> Identity {
        let question = match workload {
            Workload::Pod { uid, .. } | Workload::NestedContainer { pod: uid, .. } => {
                Some(Question { id: Arc::clone(uid), pod: None })
            }
            Workload::Container { id, pod: Some(pod), .. } => {
                Some(Question { id: Arc::clone(id), pod: Some(Arc::clone(pod)) })
            }
            // It may be a pod's, but most likely is not.
            Workload::Container { pod: None, .. } => None,
            _ => return Identity::Never,
        };
        if let Some(identity) = self.0.table().identify(workload) {
            self.0.matched.store(true, Ordering::Relaxed);
            return identity;
        }
        match question {
            Some(question) if self.0.hope.load(Ordering::Relaxed) => {
                self.0.asked().insert(question.id, question.pod);
                self.0.intake.bell.notify_one();
                Identity::NotYet
            }
            _ => Identity::Never,
        }
    }

    fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn new(options: &Options) -> Self {
        let found = !search::found(options).is_empty();
        Self {
            intake: Intake::new(options.allowed.clone()),
            table: Mutex::default(),
            generation: AtomicU64::new(0),
            asked: Mutex::default(),
            hope: AtomicBool::new(found),
            found: AtomicBool::new(found),
            matched: AtomicBool::new(false),
            node: options.node.clone(),
        }
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Option<Arc<str>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says so where a source answers for another node than this one.
    fn compare(&self) {
        if self.matched.load(Ordering::Relaxed) || !self.intake.is_up() {
            return;
        }
        let (strangers, told) = self.intake.with_cache(|cache, now| (cache.strangers(now), cache.living()));
        if strangers > 0 {
            self.intake.say_strange(&self.node, strangers, told);
        }
    }

    /// Brings questions in and a new table out.
    fn review(&self) {
        if self.intake.is_up() {
            self.hope.store(true, Ordering::Relaxed);
        }
        let asked = std::mem::take(&mut *self.asked());
        let table = self.intake.with_cache(|cache, now| {
            cache.ask(asked.into_iter().map(|(id, pod)| Question { id, pod }), now);
            let table = cache.review(now);
            if cache.is_due(now) {
                self.intake.due.notify_one();
            }
            table
        });
        if let Some(table) = table {
            *self.table.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        self.compare();
    }
}
