//! A real Prometheus: started on a loopback port, asked through its API; and `promtool`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::exporter::collect;
use crate::http;
use crate::outcome::{installed, until};

/// What a Prometheus scrapes.
#[derive(Clone, Debug)]
pub struct Job {
    /// `job_name`
    pub name: String,
    /// `host:port`
    pub target: String,
    /// `scrape_interval`, as Prometheus spells it.
    pub interval: String,
}

/// A running Prometheus. It is killed when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    address: String,
    child: Child,
    log: Arc<Mutex<String>>,
    _folder: TempDir,
}

/// One series with its raw samples.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its labels, `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// Unix time and value, oldest first.
    pub samples: Vec<(f64, f64)>,
}

impl Series {
    /// The value of a label; empty where it is not there.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Last minus first value.
    pub fn difference(&self) -> f64 {
        let first = self.samples.first().map_or(0.0, |(_, value)| *value);
        self.samples.last().map_or(0.0, |(_, value)| value - first)
    }

    /// The increase as a counter's reader sees it: a fall is a reset to 0. Nothing is extrapolated.
    pub fn increase(&self) -> f64 {
        let steps = self.samples.windows(2).map(|pair| {
            let (before, after) = (pair[0].1, pair[1].1);
            if after < before { after } else { after - before }
        });
        steps.sum()
    }
}

impl Prometheus {
    /// Whether it is installed, with its tool.
    pub fn installed() -> bool {
        installed("prometheus") && installed("promtool")
    }

    /// Starts one and waits until it is ready. `replica` becomes an external label: it shifts the phase of its scrapes.
    pub fn start(jobs: &[Job], replica: &str) -> Self {
        Self::configured(&configuration(jobs, replica))
    }

    /// The same, recording by `rules` every `interval`. Each job is a node of its name, but for `grid`, which is none.
    pub fn recording(jobs: &[Job], rules: &[PathBuf], interval: &str) -> Self {
        let mut text = format!("global: {{evaluation_interval: {interval}}}\n");
        writeln!(text, "rule_files: {rules:?}\nscrape_configs:").expect("a string");
        for job in jobs {
            let labels = if job.name == "grid" { String::new() } else { format!("node: {:?}", job.name) };
            writeln!(text, "{}, labels: {{{labels}}}}}]", scrape(job)).expect("a string");
        }
        Self::configured(&text)
    }

    /// Over blocks that are there already; it scrapes and records nothing, and changes no block.
    pub fn over(data: &Path) -> Self {
        let folder = crate::machine::scratch();
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, "global: {}\n").expect("prometheus.yml");
        let lasting = ["--storage.tsdb.retention.time=100y", "--storage.tsdb.min-block-duration=2h"];
        Self::launch(
            folder,
            &config,
            data,
            &[&lasting[..], &["--storage.tsdb.max-block-duration=2h"]].concat(),
        )
    }

    /// By a whole configuration.
    pub fn configured(configuration: &str) -> Self {
        let folder = crate::machine::scratch();
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, configuration).expect("prometheus.yml");
        let data = folder.path().join("data");
        Self::launch(folder, &config, &data, &["--storage.tsdb.retention.time=1d"])
    }

    fn launch(folder: TempDir, config: &Path, data: &Path, flags: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let address = format!("127.0.0.1:{port}");
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus starts");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().expect("stderr"), &log);
        let mut prometheus = Self { address, child, log, _folder: folder };
        prometheus.wait();
        prometheus
    }

    fn wait(&mut self) {
        until("Prometheus is ready", || {
            let ended = self.child.try_wait().expect("Prometheus' state");
            assert!(
                ended.is_none(),
                "Prometheus ended with {ended:?}: {}",
                self.log.lock().expect("the log")
            );
            let ready = http::once(&self.address, "GET", "/-/ready", &[]);
            ready.is_ok_and(|response| response.status == 200).then_some(())
        });
    }

    /// Processor time that it has taken so far, in seconds: what a crowded machine does not stretch as it does time.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("its state");
        // User and system time are the 12th and 13th field after the name in parentheses.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let ticks = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum::<u64>();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Its own metric of this name, the largest where it has labels.
    pub fn own(&self, name: &str) -> Option<f64> {
        let page = http::once(&self.address, "GET", "/metrics", &[]).expect("Prometheus answers").text();
        let samples = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).reduce(f64::max)
    }

    /// The value of an expression now, by series.
    pub fn instant(&self, query: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let series = self.ask("query", &[("query", query)]);
        series.into_iter().map(|series| (series.labels, series.samples[0].1)).collect()
    }

    /// The raw samples of a range selector such as `up[5m]`.
    pub fn raw(&self, selector: &str) -> Vec<Series> {
        self.ask("query", &[("query", selector)])
    }

    /// An expression over a time range.
    pub fn range(&self, query: &str, start: f64, end: f64, step: f64) -> Vec<Series> {
        self.try_range(query, start, end, step).unwrap_or_else(|wrong| panic!("{query}: {wrong}"))
    }

    /// The value of an expression at an instant, by series; or what is wrong with it.
    pub fn try_instant(&self, query: &str, at: f64) -> Result<Vec<Series>, String> {
        self.try_ask("query", &[("query", query), ("time", &at.to_string())])
    }

    /// An expression over a time range; or what is wrong with it.
    pub fn try_range(&self, query: &str, start: f64, end: f64, step: f64) -> Result<Vec<Series>, String> {
        let [start, end, step] = [start, end, step].map(|number| number.to_string());
        self.try_ask("query_range", &[("query", query), ("start", &start), ("end", &end), ("step", &step)])
    }

    fn ask(&self, endpoint: &str, arguments: &[(&str, &str)]) -> Vec<Series> {
        self.try_ask(endpoint, arguments).unwrap_or_else(|wrong| panic!("{endpoint} {arguments:?}: {wrong}"))
    }

    fn try_ask(&self, endpoint: &str, arguments: &[(&str, &str)]) -> Result<Vec<Series>, String> {
        let arguments: Vec<String> =
            arguments.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
        let path = format!("/api/v1/{endpoint}?{}", arguments.join("&"));
        let response = http::once(&self.address, "GET", &path, &[]).expect("Prometheus answers");
        let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
        if answer["status"] != "success" {
            return Err(answer["error"].as_str().unwrap_or("no answer").to_owned());
        }
        if answer["data"]["resultType"] == "scalar" {
            let value = serde_json::json!({"metric": {}, "value": answer["data"]["result"]});
            return Ok(vec![series(&value)]);
        }
        Ok(answer["data"]["result"].as_array().expect("a vector or a matrix").iter().map(series).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("Prometheus said: {}", self.log.lock().map(|log| log.clone()).unwrap_or_default());
        }
    }
}

fn configuration(jobs: &[Job], replica: &str) -> String {
    let mut text = format!("global:\n  external_labels: {{replica: {replica:?}}}\nscrape_configs:\n");
    for job in jobs {
        writeln!(text, "{}}}]", scrape(job)).expect("a string");
    }
    text
}

/// One entry of `scrape_configs`, open within its target.
fn scrape(Job { name, target, interval }: &Job) -> String {
    format!(
        "  - job_name: {name:?}\n    honor_labels: true\n    scrape_interval: {interval}\n    \
         scrape_timeout: {interval}\n    static_configs: [{{targets: [{target:?}]"
    )
}

fn series(value: &Value) -> Series {
    let labels = value["metric"].as_object().expect("labels").iter();
    let labels = labels.map(|(name, value)| (name.clone(), value.as_str().expect("a label").to_owned()));
    let one = std::slice::from_ref(&value["value"]);
    let samples = value["values"].as_array().map_or(one, Vec::as_slice).iter();
    let sample = |pair: &Value| {
        let value = pair[1].as_str().and_then(|text| text.parse().ok());
        (pair[0].as_f64().expect("a time"), value.expect("a value"))
    };
    Series { labels: labels.collect(), samples: samples.map(sample).collect() }
}

fn percent(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// What `promtool check metrics` finds; empty where it is content.
pub fn lint(metrics: &str) -> String {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("stdin").write_all(metrics.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { said } else { format!("{}: {said}", output.status) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::cannot_run;

    #[test]
    fn a_reset_is_seen_only_where_the_value_falls() {
        let series = |values: &[f64]| Series {
            samples: values.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect(),
            ..Series::default()
        };
        assert_eq!(series(&[1.0, 3.0, 0.0, 5.0]).increase(), 7.0);
        assert_eq!(series(&[1.0, 3.0, 5.0]).increase(), 4.0);
        assert_eq!(series(&[1.0, 3.0, 5.0]).difference(), 4.0);
        assert_eq!(series(&[]).increase(), 0.0);
    }

    #[test]
    fn it_scrapes_and_answers() {
        if !Prometheus::installed() {
            return cannot_run("it_scrapes_and_answers", "prometheus is not installed");
        }
        // Its own metrics do as well as any; the port is known only once it runs.
        let own = Prometheus::start(&[], "a");
        let job = Job { name: "own".to_owned(), target: own.address.clone(), interval: "100ms".to_owned() };
        let other = Prometheus::start(&[job], "b");
        let ups = until("three scrapes", || other.raw("up[1m]").pop().filter(|up| up.samples.len() >= 3));
        assert_eq!((ups.label("job"), ups.difference()), ("own", 0.0));
        assert_eq!(other.instant("sum(up) + 1")[0].1, 2.0);
        assert!(other.own("prometheus_tsdb_head_series").is_some_and(|series| series > 0.0));
        assert_eq!(other.own("no_such_metric"), None);
        let end = ups.samples[2].0;
        assert_eq!(other.range("up", end - 1.0, end, 0.5)[0].samples.last().map(|(_, up)| *up), Some(1.0));
        assert_eq!(lint("# HELP a_total A.\n# TYPE a_total counter\na_total 1\n"), "");
        assert!(lint("# TYPE a counter\na 1\n").contains("_total"));
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(percent("a{b=\"c d\"}"), "a%7Bb%3D%22c%20d%22%7D");
    }
}
