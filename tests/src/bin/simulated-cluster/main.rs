//! A cluster that never was, with two weeks of history: blocks of Prometheus' database, and the truth about them.
//!
//! For tests of the dashboards, for pictures of them, and for benchmarks: the same seed gives the same joules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking, its indices are of its own making, and it talks to who started it"
)]

mod blocks;
mod draw;
mod exporter;
mod grid;
mod levels;
mod recorded;
mod scrape;
mod serve;
mod truth;
mod world;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::json;

use blocks::Blocks;
use grid::Market;
use levels::Levels;
use recorded::{Detail, Recorder};
use scrape::{Extent, Scraper};
use truth::Truth;
use world::World;

const HOUR: i64 = 3600;
const SLOT: i64 = draw::SLOT;
const USAGE: &str =
    "usage: simulated-cluster --directory DIR [--pods N] [--days N] [--end UNIX] [--serve ADDRESS]";
/// Evaluations of the last day are a minute apart, as shipped; those before it five, which the rules allow.
const MINUTE: i64 = 60;
/// Scraped series are there for so long before the end.
const SCRAPED: i64 = 26 * HOUR;

/// Of very many pods, each one's own series are there for so long before the end, and hourly before that.
const NEAR: i64 = 2 * HOUR;

/// What was asked for.
struct Arguments {
    directory: PathBuf,
    pods: usize,
    days: i64,
    end: i64,
    /// Where its exporters go on answering.
    serve: Option<TcpListener>,
}

fn main() {
    let arguments = arguments(std::env::args().skip(1)).unwrap_or_else(|wrong| {
        eprintln!("simulated-cluster: {wrong}\n{USAGE}");
        std::process::exit(64);
    });
    let begun = Instant::now();
    build(&arguments, || said(&arguments, begun.elapsed().as_secs_f64()));
}

fn said(arguments: &Arguments, seconds: f64) {
    println!(
        "{0} is built in {1:.0} s. Look at it with\nprometheus --config.file={0}/prometheus.yml --storage.tsdb.path={0}/data \
         --storage.tsdb.retention.time=10y --web.listen-address=127.0.0.1:9090",
        arguments.directory.display(),
        seconds
    );
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs() as i64;
    let mut arguments = Arguments { directory: PathBuf::new(), pods: 60, days: 14, end: now, serve: None };
    while let Some(flag) = given.next() {
        let value = given.next().ok_or_else(|| format!("{flag} has no value"))?;
        let number = || {
            value
                .parse::<i64>()
                .ok()
                .filter(|n| *n >= 0)
                .ok_or_else(|| format!("{flag} {value} is no number"))
        };
        match flag.as_str() {
            "--directory" => arguments.directory = PathBuf::from(&value),
            "--pods" => arguments.pods = number()? as usize,
            "--days" => arguments.days = number()?,
            "--end" => arguments.end = number()?,
            "--serve" => {
                let listener = TcpListener::bind(&value);
                arguments.serve = Some(listener.map_err(|wrong| format!("--serve {value}: {wrong}"))?);
            }
            _ => return Err(format!("{flag} is unknown")),
        }
    }
    arguments.end = arguments.end.div_euclid(SLOT) * SLOT;
    if arguments.days < 2 && arguments.serve.is_none() {
        return Err(
            "--days has to be 2 at least: the last day is scraped, what is before is recorded".to_owned()
        );
    }
    if arguments.directory.as_os_str().is_empty() {
        Err("--directory is missing".to_owned())
    } else {
        Ok(arguments)
    }
}

fn build(arguments: &Arguments, built: impl Fn()) {
    let end = arguments.end;
    let begin = (end - arguments.days * 24 * HOUR).div_euclid(HOUR) * HOUR;
    let scraped = (end - SCRAPED).div_euclid(HOUR) * HOUR;
    let many = arguments.pods > 150;
    // Half a minute between scrapes, or a whole one where they are many.
    let apart = if many { MINUTE } else { MINUTE / 2 };
    let world = World::new(begin, end, arguments.pods);
    let levels = Levels::new(&world);
    let (market, budgets) = (Market { end }, grid::budgets());
    let mut recorder = Recorder::new(&world, &levels, market, &budgets);
    let mut scraper = Scraper::new(&world, market, Arc::clone(&budgets), begin);
    let mut truth = Truth::new(&levels, begin, end);
    fs::create_dir_all(&arguments.directory).expect("the folder");
    let mut blocks = Blocks::new(&arguments.directory.join("data"));
    let (mut page, mut block) = (Vec::new(), begin.div_euclid(blocks::LENGTH));
    let mut at = begin;
    while at < end {
        at += if at < scraped { SLOT } else { apart };
        if at.div_euclid(blocks::LENGTH) != block {
            blocks.add(std::mem::take(&mut page), block);
            block = at.div_euclid(blocks::LENGTH);
        }
        let near = at > if many { end - NEAR } else { scraped };
        let detail = match (near, many) {
            (true, _) => Detail::Full,
            (false, true) => Detail::Coarser,
            (false, false) => Detail::Coarse,
        };
        let extent = match (at > scraped, near) {
            (false, _) => Extent::Lasting,
            (true, false) => Extent::Nodes,
            (true, true) => Extent::All,
        };
        scraper.scrape(at, extent, &mut page);
        if at % MINUTE == 0 {
            truth.add(&levels, at, &recorder.evaluate(at, detail, &mut page));
        }
        if at % HOUR == 0 {
            recorder.turn_hour(at, &mut page);
        }
    }
    blocks.add(page, block);
    blocks.end();
    let facts = json!({
        "begin": begin, "end": end, "scraped_from": scraped, "pods": arguments.pods,
        "usd_per_kwh": grid::USD_PER_KWH, "usd_per_tonne": grid::USD_PER_TONNE,
        "nodes": world.nodes.iter().enumerate().map(|(place, node)| json!({
            "node": node.name, "grid_zone": node.zone, "pue": world.pue(place), "exporter_starts": node.starts,
        })).collect::<Vec<_>>(),
    });
    truth.write(&levels, facts, &arguments.directory.join("truth.json"));
    configure(&arguments.directory, &world, arguments.serve.as_ref());
    built();
    if let Some(listener) = &arguments.serve {
        serve::serve(&mut scraper, listener);
    }
}

/// A configuration under which Prometheus goes on with the shipped rules, and with whoever answers.
fn configure(directory: &Path, world: &World, served: Option<&TcpListener>) {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/rules/*.yaml");
    let mut text = format!(
        "global: {{scrape_interval: 15s, evaluation_interval: 1m}}\nrule_files: [{:?}]\n",
        rules.display().to_string()
    );
    match served.map(|listener| listener.local_addr().expect("an address")) {
        None => {
            text +=
                "# What was simulated has ended: no target answers. The rules go on with what there is.\n";
        }
        Some(address) => {
            text += "scrape_configs:\n";
            let nodes = world
                .nodes
                .iter()
                .map(|node| ("noether", node.name.as_str(), format!(", node: {}", node.name)));
            for (job, target, node) in nodes.chain([("noether-grid", "grid", String::new())]) {
                let port = if target == "grid" { 18824 } else { 18823 };
                text += &format!(
                    "  - job_name: {job}-{target}\n    honor_labels: true\n    metrics_path: /{target}/metrics\n    \
                     static_configs: [{{targets: [{address:?}], labels: {{cluster: {}{node}}}}}]\n    relabel_configs:\n    \
                     - {{target_label: instance, replacement: \"{target}:{port}\"}}\n    - {{target_label: job, replacement: {job}}}\n",
                    levels::CLUSTER
                );
            }
        }
    }
    fs::write(directory.join("prometheus.yml"), text).expect("prometheus.yml");
}
