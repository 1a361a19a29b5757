//! The HTTP server: shows the newest snapshot to whoever asks, and knows which one its clients have seen.
//!
//! A request never measures and never waits for a tick. It has no way to: all that the server has is [`Show`].

mod accept;
mod answer;
mod body;
mod cache;
mod clients;
mod facts;
mod gate;
mod guesses;
mod listen;
mod negotiate;
mod pages;
mod room;
mod systemd;
#[cfg(test)]
mod tests;
mod unix;
mod verifier;
mod visit;
#[cfg(test)]
mod web_tests;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use noether_core::reading::Moment;
use noether_core::snapshot::Generation;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::web_config::Live;

pub use clients::{Caller, Clients, ConnectionId};
pub use facts::Facts;
pub use listen::{Error as ListenError, Listener, bind};
pub use negotiate::Format;
pub use pages::Landing;
pub use systemd::passed;

/// What the server shows; made by the agent.
pub trait Show: Send + Sync + 'static {
    /// Which snapshot is the newest; `None` before the first tick.
    fn generation(&self) -> Option<Generation>;

    /// Why there will be no newer snapshot; `None` while they come.
    fn stands_still(&self) -> Option<String> {
        None
    }

    /// What is waited for before the first snapshot, in words.
    fn awaits(&self) -> &'static str {
        "measuring"
    }

    /// Appends the newest snapshot to `page` and says which it was; `None` before the first tick.
    fn render(&self, format: Format, page: &mut Vec<u8>) -> Option<Generation>;
}

/// What may be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the metrics are: `/metrics`.
    pub telemetry_path: String,
    /// What the landing page says.
    pub landing: Landing,
    /// What clients may cost.
    pub limits: Limits,
    /// How long a connection that fetched once is waited for: `--workload.zero-hold`.
    pub first_patience: Duration,
    /// `--web.config.file`: TLS, users, headers, rate limit.
    pub web: Option<Arc<Live>>,
}

/// What clients may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many connections may be open. Beyond, one that dawdles or idles makes room for the newcomer.
    pub connections: usize,
    /// How large a request's head may be, in bytes; 8192 at least.
    pub head_bytes: usize,
    /// How long a request's head may take, from the connection (TLS included) or its first byte on.
    pub head: Duration,
    /// How long an answer may take until the client has all of it, where the client does not say less.
    pub answer: Duration,
    /// How long a connection may be idle between two requests.
    pub idle: Duration,
    /// How long answers under way are waited for at the end.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head_bytes: 16 * 1024,
            head: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            // Twice the longest interval at which Prometheus is run, so that its connection outlives a failed scrape.
            idle: Duration::from_secs(10 * 60),
            farewell: Duration::from_secs(5),
        }
    }
}

/// The server. Its copies are one server: one serves, another asks what was fetched.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// What all connections have in common.
struct Shared {
    show: Arc<dyn Show>,
    clock: fn() -> Moment,
    settings: Settings,
    landing: Bytes,
    cache: cache::Cache,
    clients: Mutex<Clients>,
    counters: facts::Counters,
    room: room::Room,
    gate: gate::Gate,
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fixed from the start: [`Live`] does not switch it.
    fn speaks_tls(&self) -> bool {
        self.settings.web.as_ref().is_some_and(|live| live.current().tls.is_some())
    }
}

impl Server {
    /// A server that shows `show`; `clock` says when something was fetched.
    pub fn new(show: Arc<dyn Show>, clock: fn() -> Moment, settings: Settings) -> Self {
        Self(Arc::new(Shared {
            show,
            clock,
            landing: settings.landing.html(&settings.telemetry_path).into(),
            cache: cache::Cache::default(),
            clients: Mutex::new(Clients::new(settings.first_patience)),
            counters: facts::Counters::default(),
            room: room::Room::new(settings.limits.connections),
            gate: gate::Gate::new(settings.web.clone()),
            settings,
        }))
    }

    /// Serves on `listeners` until `shutdown` is ready; then lets answers under way finish, within their limit.
    ///
    /// Fails only where a listener cannot be handed to the runtime.
    pub async fn serve(
        &self,
        listeners: Vec<Listener>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let (end, ending) = watch::channel(false);
        let mut accepting = JoinSet::new();
        let mut files = Vec::new();
        for listener in listeners {
            let (door, file) = listener.open()?;
            files.push(file);
            accepting.spawn(accept::accept(Arc::clone(&self.0), door, ending.clone()));
        }
        drop(ending);
        shutdown.await;
        end.send_replace(true);
        while accepting.join_next().await.is_some() {}
        // Nobody is to find a socket behind which nobody listens any more.
        drop(files);
        // Each connection holds a receiver: the channel closes with the last of them.
        if timeout(self.0.settings.limits.farewell, end.closed()).await.is_err() {
            self.0.room.clear();
        }
        Ok(())
    }

    /// The newest generation that every client waited for has fetched, as [`Clients::acknowledged`] says it.
    pub fn acknowledged(&self, now: Moment) -> Option<Generation> {
        self.0.clients().acknowledged(now)
    }

    /// `generation` has arrived where the exporter pushes to: whoever is there is a client like any scraper.
    pub fn pushed(&self, generation: Generation) {
        let (connection, peer) = (ConnectionId::new(u64::MAX), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let caller = Caller { agent: "push".into(), scraper: false };
        self.0.clients().fetched(connection, peer, &caller, generation, (self.0.clock)());
    }

    /// What the server counted so far.
    pub fn facts(&self) -> Facts {
        self.0.counters.read(self.0.room.open())
    }
}
