//! How long a real Prometheus takes to answer the panels of the dashboards, over data of the simulated cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking, its indices are of its own making, and it talks to who started it"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use noether_tests::dashboards::{Board, Panel, read};
use noether_tests::prometheus::Prometheus;
use serde_json::Value;

const DAY: i64 = 86_400;
const USAGE: &str =
    "usage: time-dashboards --directory DIR [--board UID] [--days N] [--times N] [--dashboards FOLDER]";

/// What was asked for.
struct Arguments {
    directory: PathBuf,
    dashboards: PathBuf,
    board: String,
    days: i64,
    times: usize,
}

fn main() {
    let arguments = arguments(std::env::args().skip(1)).unwrap_or_else(|wrong| {
        eprintln!("time-dashboards: {wrong}\n{USAGE}");
        std::process::exit(64);
    });
    let truth = std::fs::read_to_string(arguments.directory.join("truth.json"))
        .expect("truth.json of simulated-cluster");
    let truth: Value = serde_json::from_str(&truth).expect("JSON");
    let end = truth["end"].as_i64().expect("an end");
    let prometheus = Prometheus::over(&arguments.directory.join("data"));
    println!(
        "| dashboard | panel | median | slowest | processor time | series |\n| --- | --- | --- | --- | --- | --- |"
    );
    for board in read(&arguments.dashboards) {
        if arguments.board.is_empty() || arguments.board == board.uid {
            time(&board, &arguments, end, &prometheus);
        }
    }
}

/// All panels of a board, the slowest first.
fn time(board: &Board, arguments: &Arguments, end: i64, prometheus: &Prometheus) {
    let mut rows: Vec<(f64, f64, f64, usize, &Panel)> = Vec::new();
    let variables = board.all_over(arguments.days * DAY, end, prometheus);
    for panel in board.panels.iter().filter(|panel| !panel.queries.is_empty()) {
        let span = panel.span(arguments.days * DAY, end);
        let (mut times, mut most) = (Vec::new(), 0);
        let before = prometheus.cpu_seconds();
        for _ in 0..arguments.times {
            let begun = Instant::now();
            for query in &panel.queries {
                match panel.ask(query, span, &variables, prometheus) {
                    Ok(series) => most = most.max(series.len()),
                    Err(wrong) => eprintln!("{}, \"{}\": {wrong}", board.uid, panel.title),
                }
            }
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let cpu = (prometheus.cpu_seconds() - before) * 1e3 / arguments.times as f64;
        times.sort_by(f64::total_cmp);
        rows.push((times[times.len() / 2], times[times.len() - 1], cpu, most, panel));
    }
    rows.sort_by(|a, b| b.2.total_cmp(&a.2));
    for (median, slowest, cpu, most, panel) in rows {
        println!(
            "| {} | {} | {median:.0} ms | {slowest:.0} ms | {cpu:.0} ms | {most} |",
            board.uid, panel.title
        );
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let dashboards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/grafana");
    let mut arguments =
        Arguments { directory: PathBuf::new(), dashboards, board: String::new(), days: 1, times: 7 };
    while let Some(flag) = given.next() {
        let value = given.next().ok_or_else(|| format!("{flag} has no value"))?;
        let number = || {
            value
                .parse::<u32>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| format!("{flag} {value} is no number above 0"))
        };
        match flag.as_str() {
            "--directory" => arguments.directory = PathBuf::from(&value),
            "--dashboards" => arguments.dashboards = PathBuf::from(&value),
            "--board" => arguments.board.clone_from(&value),
            "--days" => arguments.days = i64::from(number()?),
            "--times" => arguments.times = number()? as usize,
            _ => return Err(format!("{flag} is unknown")),
        }
    }
    if arguments.directory.as_os_str().is_empty() {
        Err("--directory is missing".to_owned())
    } else {
        Ok(arguments)
    }
}
