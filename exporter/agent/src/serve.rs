//! What the commands that serve have in common: sockets, signals, one runtime, until they are told to end.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::grid_board::GridBoard;
use crate::http::{Landing, Limits, Server, Show, bind};
use crate::settings::Settings;
use crate::{clock, http};

/// What an error makes of a command: it is said in the log, and the exit code is 1.
pub fn exit(result: Result<(), Box<dyn std::error::Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A place to serve from, taken before anything else is begun.
pub struct Bound {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    runtime: Runtime,
}

impl Bound {
    /// Takes the addresses of the settings.
    pub fn new(settings: &Settings) -> Result<Self, Box<dyn std::error::Error>> {
        let addresses = settings.listen_addresses.iter().map(|address| (address.host.clone(), address.port));
        let listeners = bind(&addresses.collect::<Vec<_>>())?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        Ok(Self { listeners, addresses, runtime })
    }

    /// Serves with `server`, and asks after the grid besides, until the process is asked to end. `begun` runs once it
    /// can be asked.
    pub fn serve(
        self,
        server: &Server,
        board: &Arc<GridBoard>,
        begun: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let shutdown = ending(&self.runtime)?;
        begun()?;
        for address in self.addresses {
            tracing::info!("listening on http://{address}");
        }
        self.runtime.spawn(Arc::clone(board).run());
        self.runtime.block_on(server.serve(self.listeners, shutdown))?;
        tracing::info!("ended");
        Ok(())
    }
}

/// A server that shows `show` under the name `name`.
pub fn server(settings: &Settings, name: String, show: Arc<dyn Show>) -> Server {
    Server::new(show, clock::now, http_settings(settings, name))
}

fn http_settings(settings: &Settings, name: String) -> http::Settings {
    http::Settings {
        telemetry_path: settings.telemetry_path.clone(),
        landing: Landing {
            name,
            version: env!("CARGO_PKG_VERSION").into(),
            description: env!("CARGO_PKG_DESCRIPTION").into(),
        },
        limits: Limits { connections: settings.max_connections, ..Limits::default() },
        first_patience: settings.zero_hold,
    }
}

/// Ready when the process is asked to end.
fn ending(runtime: &Runtime) -> io::Result<impl Future<Output = ()> + use<>> {
    let _inside = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let (asked, broken) = (recv(&mut terminate), recv(&mut interrupt));
        let (asked, broken) = (std::pin::pin!(asked), std::pin::pin!(broken));
        either(asked, broken).await;
    })
}

async fn recv(signal: &mut Signal) {
    signal.recv().await;
}

/// Ready when one of the two is.
async fn either(mut one: impl Future<Output = ()> + Unpin, mut other: impl Future<Output = ()> + Unpin) {
    std::future::poll_fn(|context| {
        let ready = std::pin::Pin::new(&mut one).poll(context).is_ready()
            || std::pin::Pin::new(&mut other).poll(context).is_ready();
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Takes as many descriptors as the system gives: one for each cgroup is held open. Returns how many there may be.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { raised.current } else { limit.current };
    now.unwrap_or(u64::MAX)
}
