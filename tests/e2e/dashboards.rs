//! The shipped dashboards: well formed, made of names that exist, and answered by a real Prometheus on two weeks of a
//! simulated cluster, whose truth the overview tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use noether_core::metric::{Kind, METRICS};
use noether_tests::dashboards::{Board, Panel, Span, read, text};
use noether_tests::outcome::{cannot_run, within};
use noether_tests::prometheus::{Prometheus, Series};
use serde_json::Value;
use tempfile::TempDir;

use crate::rules;

const DAY: i64 = 86_400;
const HOUR: i64 = 3600;
/// Tuesday, 9 December 2025, 23:00 UTC: nearly a whole day, and a month that began within the two weeks.
const END: i64 = 1_765_321_200;
const MOST_SERIES: usize = 50;

/// Units of power, energy, mass, money and ratios, with what an expression has to speak of to have them.
const ENERGETIC: [(&str, &[&str]); 8] = [
    ("watt", &["watts"]),
    ("joule", &["joules"]),
    ("kwatth", &["joules"]),
    ("massg", &["grams", "carbon"]),
    ("masskg", &["grams", "carbon"]),
    ("currencyUSD", &["dollars", "usd"]),
    ("percentunit", &[]),
    ("suffix: g/kWh", &["carbon_intensity", "grams"]),
];
/// Results per kWh say what they count in words before this.
const PER_KWH: &str = "/kWh";
/// What is neither: counts, times, bytes. Not for joules, watts, grams or dollars themselves.
const PLAIN: [&str; 9] =
    ["short", "none", "s", "bytes", "decbytes", "hertz", "celsius", "dateTimeAsIso", "cps"];
const KINDS: [&str; 9] =
    ["timeseries", "stat", "gauge", "bargauge", "table", "state-timeline", "piechart", "barchart", "text"];

/// Panels that show nothing on the simulated cluster, and why that is so. All others have to show something.
const EMPTY: [(&str, &str, &str); 3] = [
    ("noether-overview", "Last month by now", "the two weeks do not reach back that far"),
    ("noether-gpu", "GPU power by job", "the node with the jobs has no GPU"),
    ("noether-self", "Workloads folded", "no node has more workloads than may have series"),
];

fn boards() -> Vec<Board> {
    let boards = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/grafana"));
    assert!(
        !boards.is_empty(),
        "dashboards/grafana holds no dashboard: the generator in dashboards/generator writes them"
    );
    boards
}

/// All faults at once: who changes a dashboard wants to see them together.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn each_is_well_formed() {
    let boards = boards();
    let uids: BTreeSet<&str> = boards.iter().map(|board| board.uid.as_str()).collect();
    let mut faults = Vec::new();
    if uids.len() != boards.len() {
        faults.push("two dashboards share a uid".to_owned());
    }
    for board in &boards {
        let mut say = |what: String| faults.push(format!("{}: {what}", board.uid));
        let json = &board.json;
        if !board.uid.starts_with("noether-") || board.uid.len() > 40 {
            say("the uid is not noether-… of at most 40 letters".to_owned());
        }
        if !json["schemaVersion"].as_u64().is_some_and(|version| (39..=41).contains(&version)) {
            say(format!("schemaVersion {} is not 39 to 41", json["schemaVersion"]));
        }
        if !json["id"].is_null() {
            say("it has an id, which only a Grafana that holds it can give".to_owned());
        }
        for field in ["title", "description"] {
            if text(&json[field]).is_empty() {
                say(format!("no {field}"));
            }
        }
        if !json["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == "noether")) {
            say("no tag noether, by which the others link to it".to_owned());
        }
        variables(json).iter().for_each(|fault| say(fault.clone()));
        layout(json).iter().for_each(|fault| say(fault.clone()));
        links(json, &uids).iter().for_each(|fault| say(fault.clone()));
        board.panels.iter().flat_map(|one| panel(board, one)).for_each(&mut say);
    }
    none(&faults);
}

/// The variables that are there for whoever has more than one cluster and data source.
fn variables(json: &Value) -> Vec<String> {
    let list = json["templating"]["list"].as_array().cloned().unwrap_or_default();
    let named = |name: &str| list.iter().find(|variable| variable["name"] == name);
    let mut faults = Vec::new();
    if named("datasource")
        .is_none_or(|variable| variable["type"] != "datasource" || variable["query"] != "prometheus")
    {
        faults.push("no variable datasource of the type prometheus".to_owned());
    }
    if named("cluster").is_none_or(|variable| variable["multi"] != true || variable["includeAll"] != true) {
        faults.push("no variable cluster with several values and All".to_owned());
    }
    let queries = list.iter().filter(|variable| variable["type"] == "query");
    faults.extend(
        queries
            .filter(|variable| variable["datasource"]["uid"] != "${datasource}")
            .map(|variable| format!("variable {} does not ask ${{datasource}}", variable["name"])),
    );
    faults
}

/// Places on the grid, and ids.
fn layout(json: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let panels: Vec<&Value> = json["panels"].as_array().into_iter().flatten().collect();
    let nested = panels.iter().flat_map(|row| row["panels"].as_array().into_iter().flatten());
    let ids: Vec<u64> =
        panels.iter().copied().chain(nested).filter_map(|panel| panel["id"].as_u64()).collect();
    if ids.len() < panels.len() || ids.iter().collect::<BTreeSet<_>>().len() != ids.len() {
        faults.push("panels share an id, or have none".to_owned());
    }
    let place =
        |panel: &Value| ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap_or(99));
    for (index, panel) in panels.iter().enumerate() {
        let [x, y, w, h] = place(panel);
        if x + w > 24 || w == 0 || h == 0 {
            faults.push(format!("{}: not within the 24 columns", panel["title"]));
        }
        for other in panels.iter().skip(index + 1) {
            let [left, top, width, height] = place(other);
            if x < left + width && left < x + w && y < top + height && top < y + h {
                faults.push(format!("{} and {} overlap", panel["title"], other["title"]));
            }
        }
    }
    faults
}

/// Links to dashboards lead to one that is there.
fn links(json: &Value, uids: &BTreeSet<&str>) -> Vec<String> {
    let all = json.to_string();
    let targets = all.split("/d/").skip(1).map(|rest| {
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).next().unwrap_or_default()
    });
    targets
        .filter(|uid| !uids.contains(uid))
        .map(|uid| format!("a link leads to {uid}, which is not here"))
        .collect()
}

fn panel(board: &Board, panel: &Panel) -> Vec<String> {
    let mut faults = Vec::new();
    let mut say = |what: &str| faults.push(format!("\"{}\": {what}", panel.title));
    if !KINDS.contains(&panel.kind.as_str()) {
        say(&format!("{} is no panel of Grafana's own that we look at", panel.kind));
    }
    if panel.title.is_empty() {
        say("no title");
    }
    let description = text(&panel.json["description"]);
    if description.len() < 20 || !description.trim_end().ends_with(['.', ')']) {
        say("its description is no sentence");
    }
    if panel.kind == "text" {
        return faults;
    }
    if panel.queries.is_empty() {
        say("it asks nothing");
    }
    if panel.json["datasource"]["uid"] != "${datasource}" {
        say("its data source is not ${datasource}");
    }
    let ids: Vec<String> =
        panel.json["targets"].as_array().into_iter().flatten().map(|target| text(&target["refId"])).collect();
    if ids.iter().any(String::is_empty) || ids.iter().collect::<BTreeSet<_>>().len() != ids.len() {
        say("queries share a refId, or have none");
    }
    unit(panel).iter().for_each(|fault| say(fault));
    let known: BTreeSet<String> = board.all().into_iter().map(|(name, _)| name).collect();
    for query in &panel.queries {
        for name in query.expr.split('$').skip(1) {
            let name = name.trim_start_matches('{');
            let name =
                name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default();
            if !name.starts_with("__") && !known.contains(name) {
                say(&format!("there is no variable {name}"));
            }
        }
    }
    faults
}

/// The unit fits what is asked. Columns of a table have their own; the one of the panel has to fit one query at least.
fn unit(panel: &Panel) -> Option<String> {
    let speaks = |word: &&str| panel.queries.iter().any(|query| query.expr.contains(*word));
    if let Some((unit, words)) = ENERGETIC.iter().find(|(unit, _)| *unit == panel.unit) {
        let fits = words.is_empty() || words.iter().any(speaks);
        return (!fits).then(|| format!("its unit is {unit}, but no query speaks of {words:?}"));
    }
    let per_kwh = panel.unit.starts_with("suffix:") && panel.unit.ends_with(PER_KWH);
    (!per_kwh && !PLAIN.contains(&panel.unit.as_str())).then(|| format!("its unit is {:?}", panel.unit))
}

#[test]
fn every_name_exists() {
    let recorded = rules::names("- record:");
    let mut faults = Vec::new();
    for board in boards() {
        let list = board.json["templating"]["list"].as_array().cloned().unwrap_or_default();
        let asked = list.iter().map(|variable| text(&variable["definition"]));
        let queries =
            board.panels.iter().flat_map(|panel| panel.queries.iter().map(|query| query.expr.clone()));
        for expr in asked.chain(queries) {
            // Which sums are asked is a variable, and so is what a line of power is made of.
            for (sums, watts) in [
                ("increase", "noether_power_watts:rate5m"),
                ("increase1h", "noether_energy_joules:increase1h"),
            ] {
                let missing = missing(&expr.replace("$sums", sums).replace("$watts", watts), &recorded);
                faults.extend(
                    missing.into_iter().map(|name| format!("{}: nobody serves or records {name}", board.uid)),
                );
            }
        }
    }
    faults.sort();
    faults.dedup();
    none(&faults);
}

/// The names of an expression that neither a metric nor a rule has.
fn missing(expr: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    // What stands between quotes are values of labels.
    let code: String = expr.split('"').step_by(2).collect::<Vec<_>>().join("\"");
    let words = code.split(|c| !is_name(c)).filter(|word| {
        word.starts_with("noether_")
            || word.starts_with("process_")
            || word.contains(":noether_")
            || word.starts_with("noether:")
    });
    let exists = |word: &str| {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
        recorded.contains(word)
            || METRICS.iter().any(|metric| {
                metric.name == word || (metric.kind == Kind::Histogram && Some(metric.name) == histogram)
            })
    };
    words.filter(|word| !exists(word)).map(str::to_owned).collect()
}

/// The cluster that all tests here share: it takes a minute to build.
struct Cluster {
    prometheus: Prometheus,
    truth: Value,
    _folder: TempDir,
}

/// It ends with the last test that holds it: nothing that is static is ever dropped, and its Prometheus would stay behind.
fn cluster() -> Arc<Cluster> {
    static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = shared.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(Cluster::build());
    *shared = Arc::downgrade(&cluster);
    cluster
}

impl Cluster {
    fn build() -> Self {
        let folder = noether_tests::machine::scratch();
        let status = Command::new(env!("CARGO_BIN_EXE_simulated-cluster"))
            .args(["--directory", folder.path().to_str().expect("UTF-8"), "--end", &END.to_string()])
            .status()
            .expect("simulated-cluster");
        assert!(status.success(), "simulated-cluster: {status}");
        let truth = fs::read_to_string(folder.path().join("truth.json")).expect("the truth");
        let data: PathBuf = folder.path().join("data");
        let truth = serde_json::from_str(&truth).expect("JSON");
        Self { prometheus: Prometheus::over(&data), truth, _folder: folder }
    }
}

#[test]
fn every_panel_is_answered() {
    let boards = boards();
    if !Prometheus::installed() {
        return cannot_run("every_panel_is_answered", "prometheus is not installed");
    }
    let (cluster, mut faults) = (cluster(), Vec::new());
    for board in &boards {
        let variables = board.all_over(DAY, END, &cluster.prometheus);
        for panel in board.panels.iter().filter(|panel| panel.kind != "text") {
            let mut found = 0;
            for query in &panel.queries {
                match panel.ask(query, panel.span(DAY, END), &variables, &cluster.prometheus) {
                    Ok(series) => found = found.max(shown(panel, &series, &mut faults)),
                    Err(wrong) => faults.push(format!("{}, \"{}\": {wrong}", board.uid, panel.title)),
                }
            }
            let empty = EMPTY.iter().any(|(uid, title, _)| *uid == board.uid && *title == panel.title);
            if panel.no_value.is_empty() && found == 0 {
                faults.push(format!(
                    "{}, \"{}\": it shows nothing, and does not say what that means",
                    board.uid, panel.title
                ));
            }
            if (found == 0) != empty {
                let is =
                    if empty { "shows something, though it is said to be empty" } else { "shows nothing" };
                faults.push(format!(
                    "{}, \"{}\": {is} on a cluster that has everything",
                    board.uid, panel.title
                ));
            }
        }
    }
    none(&faults);
}

/// How many series it has; no more than can be told apart.
fn shown(panel: &Panel, series: &[Series], faults: &mut Vec<String>) -> usize {
    if series.len() > MOST_SERIES {
        faults.push(format!("{}, \"{}\": {} series", panel.board, panel.title, series.len()));
    }
    series.iter().filter(|series| series.samples.iter().any(|(_, value)| !value.is_nan())).count()
}

/// What all nodes used together, by the truth.
fn spent(truth: &Value, span: Span, figure: &str) -> f64 {
    let hours = truth["hours"].as_array().expect("hours").iter();
    let within =
        hours.filter(|hour| hour["from"].as_i64().is_some_and(|from| span.from <= from && from < span.to));
    within.map(|hour| hour[figure].as_f64().expect("a figure")).sum()
}

#[test]
fn the_overview_tells_the_truth() {
    let boards = boards();
    if !Prometheus::installed() {
        return cannot_run("the_overview_tells_the_truth", "prometheus is not installed");
    }
    let board = boards.iter().find(|board| board.uid == "noether-overview").expect("an overview");
    let cluster = cluster();
    let truth = &cluster.truth;
    let begin = truth["begin"].as_i64().expect("a begin");
    let mut compared = BTreeSet::new();
    for panel in &board.panels {
        let figure = match panel.unit.as_str() {
            "kwatth" => "kwh_at_meter",
            "massg" => "grams",
            "currencyUSD" => "usd_energy",
            _ => continue,
        };
        // Figures of the whole cluster, over the time that the panel shows.
        let [query] = panel.queries.as_slice() else { continue };
        let span = panel.span(DAY, END);
        if panel.kind != "stat" || !query.expr.contains("[$__range]") || span.from + DAY < begin {
            continue;
        }
        let span = Span { from: span.from.max(begin), ..span };
        let series = panel.ask(query, span, &board.all(), &cluster.prometheus).expect("an answer");
        let found: f64 =
            series.iter().filter_map(|series| series.samples.last()).map(|(_, value)| value).sum();
        within(0.01, found, spent(truth, span, figure), &format!("\"{}\" over {span:?}", panel.title));
        compared.insert((figure, (span.to - span.from) / HOUR));
    }
    for figure in ["kwh_at_meter", "grams", "usd_energy"] {
        let spans = compared.iter().filter(|(of, _)| *of == figure).count();
        assert!(spans >= 2, "{figure}: compared over {spans} spans only, of a day and a month: {compared:?}");
    }
}

/// The counters that were scraped, through restarts of exporters and ends of pods, tell the same as the truth.
#[test]
fn the_simulated_counters_tell_the_truth() {
    if !Prometheus::installed() {
        return cannot_run("the_simulated_counters_tell_the_truth", "prometheus is not installed");
    }
    let cluster = cluster();
    let Cluster { prometheus, truth, .. } = &*cluster;
    let ask = |expr: &str| -> f64 {
        let series = prometheus.try_instant(expr, END as f64).expect("an answer");
        series.iter().map(|series| series.samples[0].1).sum()
    };
    let day = Span { from: END - DAY, to: END };
    let node = ask("sum(increase(noether_node_energy_joules_total[1d])) / 3.6e6");
    within(0.01, node, spent(truth, day, "kwh_at_meter"), "the nodes' counters");
    let parts = "noether_(container|job|unit|vm|unattributed)_energy_joules_total";
    let raw =
        prometheus.try_instant(&format!("{{__name__=~\"{parts}\"}}[1d]"), END as f64).expect("an answer");
    let parts: f64 = raw.iter().map(Series::increase).sum::<f64>() / 3.6e6;
    within(0.01, parts, spent(truth, day, "kwh_at_meter"), "the sum of the parts");
    assert!(
        ask(
            "sum(resets(process_start_time_seconds[1d]) + changes(process_start_time_seconds{node!=\"\"}[1d]))"
        ) >= 3.0
    );
    assert!(
        ask(
            "count(count by (pod) (last_over_time(noether_pod_info[1d])) unless count by (pod) (noether_pod_info))"
        ) > 20.0
    );
}

/// Beyond a day a line of power is made of hourly joules: they stand for the same watts.
#[test]
fn power_over_a_week_is_the_power() {
    let boards = boards();
    if !Prometheus::installed() {
        return cannot_run("power_over_a_week_is_the_power", "prometheus is not installed");
    }
    let cluster = cluster();
    let prometheus = &cluster.prometheus;
    let board = boards.iter().find(|board| board.uid == "noether-overview").expect("the overview");
    let panel = board.panels.iter().find(|panel| panel.title == "Power by namespace").expect("the panel");
    let variables = board.all_over(7 * DAY, END, prometheus);
    assert!(variables.contains(&("each".into(), "3600".into())), "{variables:?}");
    let (mut joules, mut seconds) = (0.0, 0.0);
    let span = panel.span(7 * DAY, END);
    let mut sums: BTreeMap<i64, f64> = BTreeMap::new();
    for query in &panel.queries {
        for series in panel.ask(query, span, &variables, prometheus).expect("an answer") {
            for (at, watts) in series.samples {
                *sums.entry(at as i64).or_default() += watts;
            }
        }
    }
    for watts in sums.values() {
        joules += watts * panel.step(span) as f64;
        seconds += panel.step(span) as f64;
    }
    assert!(seconds > 6.9 * DAY as f64, "the line has gaps: {seconds} s");
    let truth = "sum(avg_over_time(cluster:noether_power_watts:rate5m[7d]))";
    let truth = prometheus.try_instant(truth, END as f64).expect("an answer")[0].samples[0].1;
    within(0.02, joules / seconds, truth, "the mean power of a week");
}
