//! The command `node`: one thread ticks, another serves, and a snapshot passes from the one to the other.

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use noether_core::reading::Moment;
use noether_core::snapshot::Generation;
use noether_exposition::otlp::{Stamps, node as otlp_page};
use noether_sources::Machine;
use opentelemetry_proto::tonic::metrics::v1::Metric;

use crate::grid_board::GridBoard;
use crate::http::{Facts, Server};
use crate::otlp::{Counted, Plan, Push, Source};
use crate::published::Published;
use crate::sandbox::Sandbox;
use crate::serve::{Bound, Trouble, exit, raise_descriptor_limit};
use crate::settings::{Command, Settings};
use crate::tick::{Audience, Crank};
use crate::{log, names};

/// Whoever gets the snapshots: those that fetch, and the one that is pushed to.
struct Crowd {
    server: Server,
    counted: Option<Counted>,
}

impl Audience for Crowd {
    fn acknowledged(&self, now: Moment) -> Option<Generation> {
        self.server.acknowledged(now)
    }

    fn facts(&self) -> Facts {
        Facts { pushes: self.counted.as_ref().map(Counted::read), ..self.server.facts() }
    }
}

/// The newest snapshot, for the push.
struct Newest {
    published: Arc<Published>,
    server: Server,
    hardware: bool,
}

impl Source for Newest {
    fn metrics(&self, zero: Duration) -> Option<(Vec<Metric>, Generation)> {
        let page = self.published.newest()?;
        let (snapshot, vitals) = (&page.snapshot, &page.vitals);
        let stamps = Stamps { time: vitals.last_tick, start: vitals.start, zero };
        Some((otlp_page(snapshot, vitals, &page.grid, &stamps, self.hardware), snapshot.generation))
    }

    fn arrived(&self, generation: Generation) {
        self.server.pushed(generation);
    }
}

/// Runs the exporter until it is told to end.
pub fn run(settings: Settings) -> ExitCode {
    log::start(settings.log_format, settings.log_level);
    exit(serve(settings))
}

fn serve(settings: Settings) -> Result<(), Trouble> {
    let descriptors = raise_descriptor_limit();
    let board = Arc::new(GridBoard::new(&settings, Command::Node)?);
    let plan = Plan::new(&settings, &node_name(&settings))?;
    let hardware = settings.otlp_hardware;
    let bound = Bound::new(&settings)?;
    let mut sandbox = Sandbox::begin(&settings, Command::Node, &bound.files()).map_err(Trouble::Misuse)?;
    let published = Arc::new(Published::new(settings.sample_interval));
    let name = format!("Noether on {}", node_name(&settings));
    let server = bound.server(&settings, name, Arc::clone(&published) as _);
    let kubernetes = names::kubernetes(&settings).map(|(kubernetes, task)| {
        bound.spawn(task);
        kubernetes
    });
    let pod_resources = names::pod_resources(&settings).map(|(pod_resources, task)| {
        bound.spawn(task);
        pod_resources
    });
    let audience = Crowd { server: server.clone(), counted: plan.as_ref().map(Plan::counted) };
    let newest = Newest { published: Arc::clone(&published), server: server.clone(), hardware };
    let watched = Arc::clone(&published);
    bound.spawn(async move { watched.pulse().watch().await });
    let (mut push, grid) = (None, Arc::clone(&board));
    bound.serve(&server, &board, || {
        // It ends with the process: nothing is kept that would have to be saved.
        // Opening may hang as well as reading, so that is done on that thread too.
        let tick = move || {
            let crank = Crank::new(machine(&settings), settings, descriptors, grid);
            crank.with_kubernetes(kubernetes, pod_resources).run(&published, &audience);
        };
        thread::Builder::new().name("tick".into()).spawn(tick)?;
        sandbox.complete().map_err(Trouble::Misuse)?;
        push = plan.map(|plan| plan.start(Arc::new(newest))).transpose()?;
        Ok(())
    })?;
    push.into_iter().for_each(Push::end);
    Ok(())
}

/// The machine as the settings show it.
pub fn machine(settings: &Settings) -> Machine {
    Machine {
        procfs: settings.procfs.clone(),
        sysfs: settings.sysfs.clone(),
        cgroupfs: settings.cgroupfs.clone(),
        rootfs: settings.rootfs.clone(),
        nvml_library: settings.nvml_library.clone(),
        clock_ticks: rustix::param::clock_ticks_per_second(),
        page_size: rustix::param::page_size() as u64,
    }
}

/// What this node is called.
pub fn node_name(settings: &Settings) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    settings.node_name.clone().unwrap_or_else(host)
}
