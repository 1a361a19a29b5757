//! The pods of a node as they come and go, and how whoever is asked for them behaves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::pod::Pod;

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// It answers with this status.
    Status(u16),
    /// It takes the request and never answers.
    Hang,
}

/// What happened to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is new.
    Added,
    /// It is otherwise.
    Modified,
    /// It is no more.
    Deleted,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Over which connection.
    pub connection: usize,
    /// For what: a path with its query, or a method of gRPC.
    pub what: String,
    /// With which token.
    pub token: String,
}

/// Something that happened, and up to which version it brought the whole.
pub(super) type Event = (u64, Kind, Pod);

/// The pods. Clones share them.
#[derive(Clone, Debug)]
pub struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    version: u64,
    pods: BTreeMap<String, (u64, Pod)>,
    log: Vec<Event>,
    oldest: u64,
    mood: Mood,
    token: String,
    calls: Vec<Call>,
    connections: usize,
}

impl Default for Cluster {
    fn default() -> Self {
        let state = State {
            version: 1,
            pods: BTreeMap::new(),
            log: Vec::new(),
            oldest: 1,
            mood: Mood::Well,
            token: "secret".into(),
            calls: Vec::new(),
            connections: 0,
        };
        Self(Arc::new(Inner { state: Mutex::new(state), changed: watch::Sender::new(1) }))
    }
}

impl Cluster {
    /// A pod is there, and is so.
    pub fn put(&self, pod: &Pod) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        let before = state.pods.insert(pod.uid.clone(), (version, pod.clone()));
        let kind = if before.is_some() { Kind::Modified } else { Kind::Added };
        state.log.push((version, kind, pod.clone()));
        drop(state);
        self.0.changed.send_replace(version);
    }

    /// A pod is no more.
    pub fn delete(&self, uid: &str) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        if let Some((_, pod)) = state.pods.remove(uid) {
            state.log.push((version, Kind::Deleted, pod));
        }
        drop(state);
        self.0.changed.send_replace(version);
    }

    /// What happened up to now is forgotten: who wants to go on from before is told so.
    pub fn compact(&self) {
        let mut state = self.lock();
        state.version += 1;
        state.oldest = state.version;
        state.log.clear();
        let version = state.version;
        drop(state);
        self.0.changed.send_replace(version);
    }

    /// From now on servers behave so.
    pub fn mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// From now on only this token is taken.
    pub fn token(&self, token: &str) {
        token.clone_into(&mut self.lock().token);
    }

    /// Every request so far.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// How many requests so far were for something that contains `what`.
    pub fn count(&self, what: &str) -> usize {
        self.calls().iter().filter(|call| call.what.contains(what)).count()
    }

    pub(super) fn connect(&self) -> usize {
        let mut state = self.lock();
        state.connections += 1;
        state.connections
    }

    /// Notes a request, and says how to behave.
    pub(super) fn call(&self, call: Call) -> Mood {
        let mut state = self.lock();
        let known = call.token == state.token;
        state.calls.push(call);
        match state.mood {
            Mood::Well if !known => Mood::Status(401),
            mood => mood,
        }
    }

    /// Notes a request that needs no token.
    pub(super) fn call_openly(&self, connection: usize, what: &str) {
        self.lock().calls.push(Call { connection, what: what.into(), token: String::new() });
    }

    /// All pods with their versions, and the version of the whole.
    pub(super) fn pods(&self) -> (u64, Vec<(u64, Pod)>) {
        let state = self.lock();
        (state.version, state.pods.values().cloned().collect())
    }

    /// What happened after `version`, up to which version; `None` where that is forgotten.
    pub(super) fn since(&self, version: u64) -> Option<(u64, Vec<Event>)> {
        let state = self.lock();
        let after = || state.log.iter().filter(|(at, ..)| *at > version).cloned().collect();
        (version >= state.oldest).then(|| (state.version, after()))
    }

    pub(super) async fn beyond(&self, version: u64) {
        let mut changed = self.0.changed.subscribe();
        let _ = changed.wait_for(|now| *now > version).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("the cluster")
    }
}
