//! What Prometheus would have scraped: the pages of all exporters, with the labels of their targets and a time.

use std::io::Write as _;
use std::sync::Arc;

use noether_core::budget::Budget;
use noether_core::vitals::Vitals;
use noether_exposition::prometheus::{Format, render_grid};

use crate::exporter::Exporter;
use crate::grid::Market;
use crate::levels::CLUSTER;
use crate::world::World;

/// What is asked over many days, besides what is recorded.
const LASTING: [&str; 4] =
    ["noether_job_info", "noether_node_grid_info", "noether_meter_info", "noether_gpu_info"];

/// How much of a scrape is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Only [`LASTING`].
    Lasting,
    /// No containers.
    Nodes,
    /// Everything.
    All,
}

impl Extent {
    fn keeps(self, line: &str) -> bool {
        match self {
            Self::Lasting => LASTING.iter().any(|name| line.starts_with(name)),
            Self::Nodes => !line.starts_with("noether_container_"),
            Self::All => true,
        }
    }
}

/// All targets.
#[derive(Debug)]
pub(crate) struct Scraper<'a> {
    world: &'a World,
    market: Market,
    budgets: Arc<[Budget]>,
    exporters: Vec<Exporter<'a>>,
    page: Vec<u8>,
}

impl<'a> Scraper<'a> {
    /// Exporters as they stand at an instant.
    pub(crate) fn new(world: &'a World, market: Market, budgets: Arc<[Budget]>, at: i64) -> Self {
        let exporters = (0..world.nodes.len()).map(|node| Exporter::new(world, node, at)).collect();
        Self { world, market, budgets, exporters, page: Vec::new() }
    }

    /// Appends what is kept of a scrape of all targets.
    pub(crate) fn scrape(&mut self, at: i64, extent: Extent, lines: &mut Vec<u8>) {
        let whole = extent != Extent::Lasting;
        for (node, exporter) in self.world.nodes.iter().zip(&mut self.exporters) {
            let labels = format!(
                "cluster=\"{CLUSTER}\",node=\"{0}\",job=\"noether\",instance=\"{0}:18823\"",
                node.name
            );
            let is_up = node.is_up(at);
            if is_up {
                exporter.advance(at);
                self.page.clear();
                exporter.page(&mut self.page);
                let samples = stamp(&self.page, &labels, at, |line| extent.keeps(line), lines);
                if whole {
                    tell(&labels, true, samples, at, lines);
                }
            } else if whole {
                tell(&labels, false, 0, at, lines);
            }
        }
        let labels = format!("cluster=\"{CLUSTER}\",job=\"noether-grid\",instance=\"grid:18824\"");
        self.page.clear();
        self.grid(at);
        let samples = stamp(&self.page, &labels, at, |_| true, lines);
        tell(&labels, true, samples, at, lines);
    }

    /// The page of one target, as it serves it itself.
    pub(crate) fn answer(&mut self, target: &str, at: i64) -> Option<Vec<u8>> {
        self.page.clear();
        if target == "grid" {
            self.grid(at);
        } else {
            let node = self.world.nodes.iter().position(|node| node.name == target)?;
            let exporter = self.exporters.get_mut(node)?;
            exporter.advance(at);
            exporter.page(&mut self.page);
        }
        Some(self.page.clone())
    }

    fn grid(&mut self, at: i64) {
        let begin = self.world.begin;
        let start = std::time::Duration::from_secs(begin.max(0) as u64);
        let age = (at - begin).max(0) as f64;
        let vitals = Vitals {
            version: env!("CARGO_PKG_VERSION"),
            requests: vec![("200".to_owned(), (age / 30.0) as u64)],
            connections: 1,
            cpu: std::time::Duration::from_secs_f64(age * 0.0004),
            resident: 9_100_000,
            start,
            descriptors: (31, 65_536),
            ..Vitals::default()
        };
        let grid = self.market.served(at, begin, &self.budgets);
        render_grid(&vitals, &grid, Format::OpenMetrics, &mut self.page);
    }
}

/// Appends the samples of a page with the labels of their target and the time; tells how many.
fn stamp(page: &[u8], labels: &str, at: i64, keep: impl Fn(&str) -> bool, lines: &mut Vec<u8>) -> usize {
    let page = std::str::from_utf8(page).expect("a page is UTF-8");
    let mut samples = 0;
    for line in page.lines().filter(|line| !line.starts_with('#') && keep(line)) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).expect("a sample has a value"));
        let (open, rest) = if let Some(rest) = rest.strip_prefix('{') { (",", rest) } else { ("}", rest) };
        writeln!(lines, "{name}{{{labels}{open}{rest} {at}").expect("memory is writable");
        samples += 1;
    }
    samples
}

/// What Prometheus itself adds to a scrape.
fn tell(labels: &str, up: bool, samples: usize, at: i64, lines: &mut Vec<u8>) {
    let seconds = 0.002 + samples as f64 * 3e-6;
    for (name, value) in [
        ("up", f64::from(u8::from(up))),
        ("scrape_duration_seconds", seconds),
        ("scrape_samples_scraped", samples as f64),
        ("scrape_samples_post_metric_relabeling", samples as f64),
        ("scrape_series_added", 0.0),
    ] {
        writeln!(lines, "{name}{{{labels}}} {value} {at}").expect("memory is writable");
    }
}
