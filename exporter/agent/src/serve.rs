//! What the commands that serve have in common: sockets, signals, one runtime, until they are told to end.

use std::error::Error;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::grid_board::GridBoard;
use crate::http::{Landing, Limits, Server, Show, bind};
use crate::settings::Settings;
use crate::web_config::Live;
use crate::{clock, http};

/// As for a wrong flag (`EX_USAGE` of sysexits.h).
const MISUSE: u8 = 64;

/// Why a command cannot go on.
pub enum Trouble {
    /// The operator has to mend a setting.
    Misuse(String),
    /// The machine does not give what is needed.
    Failure(Box<dyn Error>),
}

impl<E: Error + 'static> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

/// What comes of it: it is said in the log, and the exit code is 1, or 64 as for a wrong flag.
pub fn exit(result: Result<(), Trouble>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Misuse(complaint)) => {
            tracing::error!("{complaint}");
            ExitCode::from(MISUSE)
        }
        Err(Trouble::Failure(error)) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A place to serve from, taken before anything else is begun.
pub struct Bound {
    listeners: Vec<http::Listener>,
    web: Option<Arc<Live>>,
    runtime: Runtime,
}

impl Bound {
    /// Takes the addresses of the settings.
    pub fn new(settings: &Settings) -> Result<Self, Trouble> {
        let web = settings.web_config_file.as_deref().map(Live::open).transpose();
        let web = web.map_err(|complaint| Trouble::Misuse(complaint.to_string()))?.map(Arc::new);
        let listeners =
            if settings.systemd_socket { http::passed() } else { bind(&settings.listen_addresses) }?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        ignore_reload_signals(&runtime)?;
        Ok(Self { listeners, web, runtime })
    }

    /// The files of the web configuration, which are read again when they change.
    pub fn files(&self) -> Vec<PathBuf> {
        self.web.as_ref().map(|web| web.files()).unwrap_or_default()
    }

    /// A server that shows `show` under the name `name`.
    pub fn server(&self, settings: &Settings, name: String, show: Arc<dyn Show>) -> Server {
        Server::new(show, clock::now, http_settings(settings, name, self.web.clone()))
    }

    /// Lets a task run beside the server.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Serves with `server`, and asks after the grid besides, until the process is asked to end. `begun` runs once it
    /// can be asked.
    pub fn serve(
        self,
        server: &Server,
        board: &Arc<GridBoard>,
        begun: impl FnOnce() -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let shutdown = ending(&self.runtime)?;
        let config = self.web.map(|web| web.current());
        let scheme =
            if config.as_ref().is_some_and(|config| config.tls.is_some()) { "https" } else { "http" };
        for listener in &self.listeners {
            tracing::info!("listening on {}", listener.url(scheme));
        }
        if let Some(config) = config {
            tracing::info!("web configuration: {}", config.summary());
        }
        begun()?;
        self.runtime.spawn(Arc::clone(board).run());
        self.runtime.block_on(server.serve(self.listeners, shutdown))?;
        tracing::info!("ended");
        Ok(())
    }
}

fn http_settings(settings: &Settings, name: String, web: Option<Arc<Live>>) -> http::Settings {
    http::Settings {
        telemetry_path: settings.telemetry_path.clone(),
        landing: Landing {
            name,
            version: env!("CARGO_PKG_VERSION").into(),
            description: env!("CARGO_PKG_DESCRIPTION").into(),
        },
        limits: Limits { connections: settings.max_connections, ..Limits::default() },
        first_patience: settings.zero_hold,
        web,
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

/// Handles the signals by which daemons are asked to read their files again: each is logged and has no other effect. Without
/// this they would end the process (`signal(7)`).
fn ignore_reload_signals(runtime: &Runtime) -> io::Result<()> {
    let _inside = runtime.enter();
    let kinds = [
        ("SIGHUP", SignalKind::hangup()),
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
    ];
    for (name, kind) in kinds {
        let mut asked = signal(kind)?;
        runtime.spawn(async move {
            while asked.recv().await.is_some() {
                tracing::info!(
                    "{name} is ignored: the web configuration, certificates, tokens and files of values are read again \
                     when they change; other settings need a restart"
                );
            }
        });
    }
    Ok(())
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
