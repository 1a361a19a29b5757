//! The command `grid`: serves what is known of the electricity grid, for a whole cluster.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use noether_core::grid::Grid;
use noether_core::snapshot::Generation;
use noether_core::vitals::Vitals;
use noether_exposition::otlp::{Stamps, grid as otlp_page};
use noether_exposition::prometheus;
use opentelemetry_proto::tonic::metrics::v1::Metric;

use crate::grid_board::GridBoard;
use crate::http::{Facts, Format, Server, Show};
use crate::node::node_name;
use crate::otlp::{Counted, Plan, Push, Source};
use crate::sandbox::Sandbox;
use crate::serve::{Bound, Trouble, exit, raise_descriptor_limit};
use crate::settings::{Command, Settings};
use crate::vitals::Process;
use crate::{clock, log};

/// What is shown: the board as it is now. There is no tick, because nothing is measured.
struct Page {
    board: Arc<GridBoard>,
    process: Process,
    server: OnceLock<Server>,
    counted: Option<Counted>,
}

impl Show for Page {
    /// A second: within it, whoever asks gets the same page.
    fn generation(&self) -> Option<Generation> {
        Some(Generation::new(clock::unix().as_secs()))
    }

    fn render(&self, format: Format, page: &mut Vec<u8>) -> Option<Generation> {
        let (now, vitals, grid) = self.now();
        prometheus::render_grid(&vitals, &grid, format, page);
        Some(Generation::new(now.as_secs()))
    }
}

impl Source for Page {
    fn metrics(&self, zero: Duration) -> Option<(Vec<Metric>, Generation)> {
        let (now, vitals, grid) = self.now();
        let stamps = Stamps { time: now, start: vitals.start, zero };
        Some((otlp_page(&vitals, &grid, &stamps), Generation::new(now.as_secs())))
    }

    /// Nothing is held back here.
    fn arrived(&self, _: Generation) {}
}

impl Page {
    fn now(&self) -> (Duration, Vitals, Grid) {
        let now = Duration::from_secs(clock::unix().as_secs());
        let mut grid = Grid::default();
        self.board.tell(now, &mut grid);
        let mut vitals = Vitals::default();
        let facts = self.server.get().map(Server::facts).unwrap_or_default();
        let facts = Facts { pushes: self.counted.as_ref().map(Counted::read), ..facts };
        self.process.tell(&mut vitals, &facts);
        (now, vitals, grid)
    }
}

/// Runs the exporter until it is told to end.
pub fn run(settings: &Settings) -> ExitCode {
    log::start(settings.log_format, settings.log_level);
    exit(serve(settings))
}

fn serve(settings: &Settings) -> Result<(), Trouble> {
    let process = Process::new(raise_descriptor_limit());
    let board = Arc::new(GridBoard::new(settings, Command::Grid)?);
    let plan = Plan::new(settings, &node_name(settings))?;
    let bound = Bound::new(settings)?;
    let counted = plan.as_ref().map(Plan::counted);
    let mut sandbox = Sandbox::begin(settings, Command::Grid, &bound.files()).map_err(Trouble::Misuse)?;
    let page = Arc::new(Page { board: Arc::clone(&board), process, server: OnceLock::new(), counted });
    let server = bound.server(settings, "Noether: the grid".into(), Arc::clone(&page) as _);
    // It is empty: nobody else sets it.
    let _ = page.server.set(server.clone());
    let mut push = None;
    bound.serve(&server, &board, || {
        sandbox.complete().map_err(Trouble::Misuse)?;
        push = plan.map(|plan| plan.start(page)).transpose()?;
        Ok(())
    })?;
    push.into_iter().for_each(Push::end);
    Ok(())
}
