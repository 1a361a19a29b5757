//! The push over OTLP: a thread of its own, which sends the newest snapshot every interval and once more at the end.
//!
//! Nothing waits for it and nothing is queued: what cannot be sent is dropped, and the next push, being cumulative, has it
//! all. So a dead collector costs no more memory than a living one.

mod credentials;
mod grpc;
mod http;
mod refusal;
mod resource;
mod variables;

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use noether_core::snapshot::Generation;
use noether_core::vitals::Pushes;
use noether_exposition::otlp::{Deltas, requests};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::clock;
use crate::serve::Trouble;
use crate::settings::{Settings, Switch};
use credentials::Credentials;
use grpc::Grpc;
use http::Http;
use refusal::{Reason, Refusal, pause};
use variables::{Protocol, Variables, without_user};

/// gRPC receivers refuse messages of more than 4 MiB unless told otherwise.
const LONGEST_REQUEST: usize = 2 * 1024 * 1024;
/// The last push may take this long: what ends us does not wait for ever (Kubernetes: 30 s).
const LAST_PUSH: Duration = Duration::from_secs(10);
/// How often is looked whether there is a first snapshot.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// Where what is pushed comes from.
pub trait Source: Send + Sync {
    /// The newest values as metrics, and which snapshot they are of; `None` before the first. `zero` is the zero of the
    /// clock of moments, in Unix time.
    fn metrics(&self, zero: Duration) -> Option<(Vec<Metric>, Generation)>;

    /// That snapshot has arrived.
    fn arrived(&self, generation: Generation);
}

/// What is counted, as the pages show it.
#[derive(Clone, Debug)]
pub struct Counted(Arc<Mutex<Pushes>>);

impl Counted {
    /// As it is now.
    pub fn read(&self) -> Pushes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Pushes)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A push that is ready to begin.
pub struct Plan {
    variables: Variables,
    resource: Resource,
    transport: Transport,
    counted: Counted,
    runtime: tokio::runtime::Runtime,
}

impl Plan {
    /// What the settings and the environment ask for; `None` where that is nothing. `name` is the node's or the host's.
    pub fn new(settings: &Settings, name: &str) -> Result<Option<Self>, Trouble> {
        let lookup = |name: &str| std::env::var(name).ok();
        let wanted = match settings.otlp {
            Switch::On => true,
            Switch::Off => false,
            Switch::Auto => variables::ask(&lookup),
        };
        if !wanted {
            return Ok(None);
        }
        if variables::disabled(&lookup) {
            tracing::info!("OTEL_SDK_DISABLED is true: nothing is pushed");
            return Ok(None);
        }
        let variables = variables::read(&lookup).map_err(Trouble::Misuse)?;
        variables.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let credentials = Credentials::read(&variables).map_err(Trouble::Misuse)?;
        let transport = {
            let _inside = runtime.enter();
            Transport::new(&variables, credentials).map_err(Trouble::Misuse)?
        };
        let resource = resource::resource(name, &variables.resource);
        let failures = Reason::ALL.map(|reason| (reason.label(), 0)).into();
        let counted = Counted(Arc::new(Mutex::new(Pushes { failures, ..Pushes::default() })));
        Ok(Some(Self { variables, resource, transport, counted, runtime }))
    }

    /// What it will count.
    pub fn counted(&self) -> Counted {
        self.counted.clone()
    }

    /// Begins.
    pub fn start(self, source: Arc<dyn Source>) -> io::Result<Push> {
        let (end, ended) = oneshot::channel();
        let Variables { endpoint, protocol, interval, .. } = &self.variables;
        let protocol = if *protocol == Protocol::Grpc { "grpc" } else { "http/protobuf" };
        let shown = without_user(&endpoint.to_string());
        tracing::info!("pushing to {shown} by {protocol} every {interval:?}");
        let Self { variables, resource, transport, counted, runtime } = self;
        let deltas = Deltas::new(variables.temporality);
        // Fixed once, so that a series keeps its start when the clock is set.
        let zero = clock::unix().saturating_sub(clock::now().since_boot());
        let pusher = Pusher { source, variables, resource, transport, deltas, counted, zero, failing: false };
        let push = move || runtime.block_on(pusher.run(ended));
        let thread = thread::Builder::new().name("otlp".into()).spawn(push)?;
        Ok(Push { end, thread })
    }
}

/// A push that goes on.
#[derive(Debug)]
pub struct Push {
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Push {
    /// Sends what there is once more, and ends.
    pub fn end(self) {
        // It may have ended by itself; then there is nothing to wait for.
        let _ = self.end.send(());
        if self.thread.join().is_err() {
            tracing::error!("the push ended in a panic: please report this");
        }
    }
}

/// What a receiver said to a request that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Arrival {
    /// How many points it did not take.
    rejected: u64,
    /// Why, or any other word.
    message: String,
}

impl Arrival {
    fn of(response: ExportMetricsServiceResponse) -> Self {
        let partial = response.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected_data_points).unwrap_or(0);
        Self { rejected, message: shown(partial.error_message.as_bytes()) }
    }
}

/// The way to the receiver, with the credentials that it was made with.
#[derive(Debug)]
struct Transport {
    way: Way,
    credentials: Credentials,
}

#[derive(Debug)]
enum Way {
    Http(Http),
    Grpc(Box<Grpc>),
}

impl Transport {
    fn new(variables: &Variables, credentials: Credentials) -> Result<Self, String> {
        let way = match variables.protocol {
            Protocol::Http => Way::Http(Http::new(variables, &credentials)?),
            Protocol::Grpc => Way::Grpc(Box::new(Grpc::new(variables, &credentials)?)),
        };
        Ok(Self { way, credentials })
    }

    async fn send(&mut self, request: &ExportMetricsServiceRequest) -> Result<Arrival, Refusal> {
        match &mut self.way {
            Way::Http(http) => http.send(request).await,
            Way::Grpc(grpc) => grpc.send(request.clone()).await,
        }
    }
}

struct Pusher {
    source: Arc<dyn Source>,
    variables: Variables,
    resource: Resource,
    transport: Transport,
    deltas: Deltas,
    counted: Counted,
    zero: Duration,
    failing: bool,
}

impl Pusher {
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut due = Instant::now();
        while self.source.metrics(self.zero).is_none() && ended.try_recv().is_err() {
            sleep(FIRST_LOOK).await;
        }
        loop {
            let limit = self.variables.push_timeout;
            let stopped = tokio::select! {
                () = self.push(limit) => false,
                _ = &mut ended => true,
            };
            due = (due + self.variables.interval).max(Instant::now());
            if stopped || timeout_at(due, &mut ended).await.is_ok() {
                break;
            }
        }
        self.push(LAST_PUSH.min(self.variables.push_timeout)).await;
    }

    /// Sends the newest snapshot, and again what did not arrive and may yet.
    async fn push(&mut self, limit: Duration) {
        self.renew();
        let Some((metrics, generation)) = self.source.metrics(self.zero) else { return };
        let version = env!("CARGO_PKG_VERSION");
        let all = requests(metrics, &self.resource, version, LONGEST_REQUEST);
        let result = match timeout(limit, self.send_all(&all)).await {
            Ok(result) => result,
            Err(_) => Err(Refusal::passing(Reason::Timeout, "the push took too long")),
        };
        match result {
            Ok(()) => {
                self.deltas.complete();
                self.counted.change(|pushes| pushes.last_success = Some(clock::unix()));
                self.source.arrived(generation);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the push arrives again");
                }
            }
            Err(refusal) => self.complain(&refusal),
        }
    }

    /// Says it once, until a push arrives.
    fn complain(&mut self, refusal: &Refusal) {
        if !std::mem::replace(&mut self.failing, true) {
            let to = without_user(&self.variables.endpoint.to_string());
            tracing::warn!("the push to {to} does not arrive: {}", refusal.text);
        }
    }

    async fn send_all(&mut self, all: &[ExportMetricsServiceRequest]) -> Result<(), Refusal> {
        for request in all {
            let sent = self.deltas.since_arrived(request);
            let arrival = self.send(&sent).await?;
            self.deltas.arrived(request);
            if arrival.rejected > 0 {
                self.counted.change(|pushes| pushes.rejected += arrival.rejected);
                tracing::warn!("the receiver rejected {} points: {}", arrival.rejected, arrival.message);
            }
        }
        Ok(())
    }

    async fn send(&mut self, request: &ExportMetricsServiceRequest) -> Result<Arrival, Refusal> {
        let mut tries = 0;
        loop {
            self.counted.change(|pushes| pushes.requests += 1);
            let refusal = match self.transport.send(request).await {
                Ok(arrival) => return Ok(arrival),
                Err(refusal) => refusal,
            };
            self.counted.change(|pushes| {
                if let Some((_, count)) = pushes.failures.get_mut(refusal.reason as usize) {
                    *count += 1;
                }
            });
            self.complain(&refusal);
            if !refusal.passing {
                return Err(refusal);
            }
            tries += 1;
            sleep(pause(tries, &refusal, chance())).await;
        }
    }

    /// Takes new certificates where the files have changed; what cannot be read leaves the old ones.
    fn renew(&mut self) {
        let renewed = Credentials::read(&self.variables).and_then(|credentials| {
            if credentials == self.transport.credentials {
                return Ok(None);
            }
            Transport::new(&self.variables, credentials).map(Some)
        });
        match renewed {
            Ok(Some(transport)) => self.transport = transport,
            Ok(None) => {}
            Err(complaint) => {
                tracing::warn!("the push goes on with the certificates that it has: {complaint}");
            }
        }
    }
}

/// Some number from 0 to 1, another one each time.
fn chance() -> f64 {
    f64::from(clock::unix().subsec_nanos() % 1_000_000) / 1e6
}

/// The innermost cause of an error says it best; the outermost holds the address, secrets included.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A receiver's words, in one line that is not too long.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let words: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    words.trim().to_owned()
}
