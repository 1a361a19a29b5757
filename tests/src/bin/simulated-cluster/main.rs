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
mod truth;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::json;

use blocks::Blocks;
use grid::Market;
use levels::Levels;
use recorded::{Detail, Recorder};
use scrape::Scraper;
use truth::Truth;
use world::World;

const HOUR: i64 = 3600;
const SLOT: i64 = draw::SLOT;
const USAGE: &str = "usage: simulated-cluster --directory DIR [--pods N] [--days N] [--end UNIX]";
/// Evaluations of the last day are a minute apart, as shipped; those before it five, which the rules allow.
const MINUTE: i64 = 60;
/// Scraped series are there for so long before the end.
const SCRAPED: i64 = 26 * HOUR;

/// What was asked for.
struct Arguments {
    directory: PathBuf,
    pods: usize,
    days: i64,
    end: i64,
}

fn main() {
    let arguments = arguments(std::env::args().skip(1)).unwrap_or_else(|wrong| {
        eprintln!("simulated-cluster: {wrong}\n{USAGE}");
        std::process::exit(64);
    });
    let begun = Instant::now();
    build(&arguments);
    configure(&arguments.directory);
    println!(
        "{0} is built in {1:.0} s. Look at it with\nprometheus --config.file={0}/prometheus.yml --storage.tsdb.path={0}/data \
         --storage.tsdb.retention.time=10y --web.listen-address=127.0.0.1:9090",
        arguments.directory.display(),
        begun.elapsed().as_secs_f64()
    );
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs() as i64;
    let mut arguments = Arguments { directory: PathBuf::new(), pods: 60, days: 14, end: now };
    while let Some(flag) = given.next() {
        let value = given.next().ok_or_else(|| format!("{flag} has no value"))?;
        let number = || {
            value
                .parse::<i64>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| format!("{flag} {value} is no number above 0"))
        };
        match flag.as_str() {
            "--directory" => arguments.directory = PathBuf::from(&value),
            "--pods" => arguments.pods = number()? as usize,
            "--days" => arguments.days = number()?,
            "--end" => arguments.end = number()?,
            _ => return Err(format!("{flag} is unknown")),
        }
    }
    arguments.end = arguments.end.div_euclid(SLOT) * SLOT;
    if arguments.days < 2 {
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

fn build(arguments: &Arguments) {
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
        let detail = match at > scraped {
            true => Detail::Full,
            false if many => Detail::Coarser,
            false => Detail::Coarse,
        };
        scraper.scrape(at, at > scraped, &mut page);
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
}

/// A configuration under which Prometheus goes on with the shipped rules.
fn configure(directory: &Path) {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/rules/*.yaml");
    let text = format!(
        "# What was simulated has ended: no target answers. The rules go on with what there is.\n\
         global: {{scrape_interval: 15s, evaluation_interval: 1m}}\nrule_files: [{:?}]\n",
        rules.display().to_string()
    );
    fs::write(directory.join("prometheus.yml"), text).expect("prometheus.yml");
}
