//! Where sources of pods put what they read.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use noether_core::reading::{Fault, Moment};
use noether_core::vitals::{Histogram, SourceRow};
use prost::Message;
use tokio::sync::Notify;

use super::cache::Cache;
use super::failure::Failure;
use super::object;
use super::pod::{AllowList, Pod};

/// So many different complaints about pods are remembered; beyond, the memory starts anew.
const MOST_SAID: usize = 1000;

/// The intake.
#[derive(Debug)]
pub(crate) struct Intake {
    allowed: AllowList,
    start: Instant,
    state: Mutex<State>,
    /// Rung when there is something to review.
    pub(super) bell: Notify,
    /// Rung when a source should be asked again.
    pub(super) due: Notify,
}

#[derive(Debug)]
struct State {
    cache: Cache,
    row: SourceRow,
    /// What is followed, in words.
    source: String,
    /// Whether the source that is followed has told all pods that there are.
    answered: bool,
    said: BTreeSet<String>,
    /// Whether it was said that the pods are another node's.
    said_strange: bool,
}

/// A reading that is under way.
#[derive(Debug)]
pub(super) struct Reading<'i> {
    intake: &'i Intake,
    began: Instant,
}

impl Reading<'_> {
    /// It has brought all that there is.
    pub(super) fn done(self) {
        self.intake.lock().row.read.observe(self.began.elapsed());
    }
}

impl Intake {
    /// Nothing read yet.
    pub(crate) fn new(allowed: AllowList) -> Self {
        let errors = Fault::ALL.map(|fault| (fault.label(), 0)).into();
        let row = SourceRow { source: "kubernetes", up: false, read: Histogram::default(), errors };
        let (source, said) = (String::new(), BTreeSet::new());
        let state = Mutex::new(State {
            cache: Cache::default(),
            row,
            source,
            answered: false,
            said,
            said_strange: false,
        });
        Self { allowed, start: Instant::now(), state, bell: Notify::new(), due: Notify::new() }
    }

    /// From now on `source` is followed.
    pub(super) fn begin(&self, source: String) {
        let mut state = self.lock();
        (state.source, state.answered) = (source, false);
    }

    /// Begins to take the time of a reading.
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading { intake: self, began: Instant::now() }
    }

    /// All pods that there are, each by itself in protobuf.
    pub(super) fn take_protobuf(&self, pods: Vec<Vec<u8>>) {
        let pods = pods.into_iter().filter_map(|bytes| self.decode(&bytes)).collect();
        self.take(pods);
    }

    /// All pods that there are, each by itself in JSON.
    pub(super) fn take_json<'a>(&self, pods: impl Iterator<Item = &'a str>) {
        let pods = pods.filter_map(|text| self.parse(text)).collect();
        self.take(pods);
    }

    /// A pod as it is now, in protobuf.
    pub(crate) fn put_protobuf(&self, pod: &[u8]) {
        self.put(self.decode(pod));
    }

    /// A pod as it is now, in JSON.
    pub(crate) fn put_json(&self, pod: &str) {
        self.put(self.parse(pod));
    }

    /// A pod that is no more, in protobuf.
    pub(super) fn remove_protobuf(&self, pod: &[u8]) {
        if let Some(pod) = self.decode(pod) {
            self.remove(&pod);
        }
    }

    /// A pod that is no more, as it last was, in JSON.
    pub(super) fn remove_json(&self, pod: &str) {
        if let Some(pod) = self.parse(pod) {
            self.put(Some(pod.clone()));
            self.remove(&pod);
        }
    }

    /// The source that was begun has failed. Says so, if that is news, and whether it had told all pods before.
    pub(super) fn fail(&self, failure: &Failure) -> bool {
        let mut state = self.lock();
        if *failure == Failure::Expired {
            // It happens to every watch that was away for a while.
            tracing::debug!("names of pods: {}: {failure}", state.source);
            return state.answered;
        }
        state.count(failure.fault());
        let complaint = format!("names of pods: {}: {failure}", state.source);
        if std::mem::take(&mut state.row.up) {
            state.said.remove(&complaint);
        }
        state.say(complaint);
        state.answered
    }

    /// Waits until somebody wants to know what a source should be asked for.
    pub(super) async fn until_due(&self) {
        while !self.with_cache(|cache, now| cache.is_due(now)) {
            self.due.notified().await;
        }
    }

    /// Warns once of pods here of which the source does not know, while it tells of others or of none.
    pub(super) fn say_strange(&self, node: &str, strangers: usize, told: usize) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.said_strange, true) {
            return;
        }
        tracing::warn!(
            "names of pods: {} tells of {told} pods on a node called {node}, none of which runs here, and does not know the {strangers} that do: they go under their uids. Pass the node's name as `kubectl get nodes` shows it: --node.name (in a DaemonSet, from the field spec.nodeName)",
            state.source
        );
    }

    /// Whether the source answers.
    pub(super) fn is_up(&self) -> bool {
        self.lock().row.up
    }

    /// What is told of the source.
    pub(super) fn row(&self) -> SourceRow {
        self.lock().row.clone()
    }

    /// The cache, with the present instant on its clock.
    pub(super) fn with_cache<T>(&self, visit: impl FnOnce(&mut Cache, Moment) -> T) -> T {
        visit(&mut self.lock().cache, self.now())
    }

    fn now(&self) -> Moment {
        Moment::from_boot(self.start.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, pods: Vec<Pod>) {
        let now = self.now();
        let mut state = self.lock();
        state.cache.replace(pods, now);
        state.cache.answered(now);
        if !state.row.up {
            tracing::info!("names of pods come from {}: {} pods", state.source, state.cache.living());
        }
        (state.answered, state.row.up) = (true, true);
        drop(state);
        self.bell.notify_one();
    }

    fn put(&self, pod: Option<Pod>) {
        if let Some(pod) = pod {
            let now = self.now();
            self.lock().cache.put(pod, now);
            self.bell.notify_one();
        }
    }

    fn remove(&self, pod: &Pod) {
        let now = self.now();
        self.lock().cache.remove(&pod.uid, now);
        self.bell.notify_one();
    }

    fn decode(&self, bytes: &[u8]) -> Option<Pod> {
        match object::Pod::decode(bytes) {
            Ok(pod) => self.understand(pod),
            Err(error) => self.malformed(&format!("a pod that is no protobuf: {error}")),
        }
    }

    fn parse(&self, text: &str) -> Option<Pod> {
        match serde_json::from_str(text) {
            Ok(pod) => self.understand(pod),
            Err(error) => self.malformed(&format!("a pod that is not one in JSON: {error}")),
        }
    }

    fn understand(&self, object: object::Pod) -> Option<Pod> {
        let mut mistakes = Vec::new();
        match Pod::new(object, &self.allowed, &mut mistakes) {
            Ok(pod) => {
                for mistake in mistakes {
                    self.lock().say(format!("pod {}/{}: {mistake}", pod.namespace, pod.name));
                }
                Some(pod)
            }
            Err(expected) => self.malformed(&format!("a pod without {expected}")),
        }
    }

    fn malformed(&self, complaint: &str) -> Option<Pod> {
        let mut state = self.lock();
        state.count(Fault::Malformed);
        state.say(format!("names of pods: {complaint}; it goes under its ids"));
        None
    }
}

impl State {
    /// Warns, if it was not said yet.
    fn say(&mut self, complaint: String) {
        if self.said.contains(&complaint) {
            return;
        }
        if self.said.len() >= MOST_SAID {
            self.said.clear();
        }
        tracing::warn!("{complaint}");
        self.said.insert(complaint);
    }

    fn count(&mut self, fault: Fault) {
        if let Some((_, count)) = self.row.errors.iter_mut().find(|(reason, _)| *reason == fault.label()) {
            *count += 1;
        }
    }
}
