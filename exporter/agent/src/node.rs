//! The command `node`: one thread ticks, another serves, and a snapshot passes from the one to the other.

use std::process::ExitCode;
use std::sync::Arc;
use std::{io, thread};

use noether_core::reading::Moment;
use noether_core::snapshot::Generation;
use noether_sources::Machine;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::http::{Facts, Landing, Limits, Server, bind};
use crate::names;
use crate::published::Published;
use crate::settings::Settings;
use crate::tick::{Audience, Crank};
use crate::{clock, http, log};

impl Audience for Server {
    fn acknowledged(&self, now: Moment) -> Option<Generation> {
        Self::acknowledged(self, now)
    }

    fn facts(&self) -> Facts {
        Self::facts(self)
    }
}

/// Runs the exporter until it is told to end.
pub fn run(settings: Settings) -> ExitCode {
    log::start(settings.log_format, settings.log_level);
    match serve(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = raise_descriptor_limit();
    let addresses = settings.listen_addresses.iter().map(|address| (address.host.clone(), address.port));
    let listeners = bind(&addresses.collect::<Vec<_>>())?;
    let bound = listeners.iter().map(std::net::TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let published = Arc::new(Published::default());
    let server = Server::new(Arc::clone(&published) as _, clock::now, http_settings(&settings));
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let shutdown = ending(&runtime)?;

    let kubernetes = names::kubernetes(&settings).map(|(kubernetes, task)| {
        runtime.spawn(task);
        kubernetes
    });
    let crank = Crank::new(machine(&settings), settings, descriptors).with_kubernetes(kubernetes);
    let audience = server.clone();
    // It ends with the process: nothing is kept that would have to be saved.
    thread::Builder::new().name("tick".into()).spawn(move || crank.run(&published, &audience))?;
    for address in bound {
        tracing::info!("listening on http://{address}");
    }
    runtime.block_on(server.serve(listeners, shutdown))?;
    tracing::info!("ended");
    Ok(())
}

/// The machine as the settings show it.
pub fn machine(settings: &Settings) -> Machine {
    Machine {
        procfs: settings.procfs.clone(),
        sysfs: settings.sysfs.clone(),
        cgroupfs: settings.cgroupfs.clone(),
        rootfs: settings.rootfs.clone(),
        clock_ticks: rustix::param::clock_ticks_per_second(),
        page_size: rustix::param::page_size() as u64,
    }
}

/// What this node is called.
pub fn node_name(settings: &Settings) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    settings.node_name.clone().unwrap_or_else(host)
}

fn http_settings(settings: &Settings) -> http::Settings {
    let node = node_name(settings);
    http::Settings {
        telemetry_path: settings.telemetry_path.clone(),
        landing: Landing {
            name: format!("Noether on {node}"),
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
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { raised.current } else { limit.current };
    now.unwrap_or(u64::MAX)
}
