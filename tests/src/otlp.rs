//! A real OTLP collector, what it received, and an nginx with TLS before it.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, net};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::exporter::collect;
use crate::machine::scratch;
use crate::outcome::{PATIENCE, installed, until};

/// The release of the collector that the tests were written against.
const ROTEL: &str = "rotel==0.0.1a15";

/// A running collector that prints every point that it receives. It is killed when it is dropped.
#[derive(Debug)]
pub struct Collector {
    /// Where it takes gRPC: `127.0.0.1:PORT`.
    pub grpc: String,
    /// Where it takes HTTP.
    pub http: String,
    child: Child,
    log: Arc<Mutex<String>>,
}

/// One data point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Its metric's name as Prometheus translates it: with the unit, and `_total` for a monotonic sum.
    pub name: String,
    /// Its metric's name as it was sent.
    pub sent: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// When its series began, in nanoseconds of Unix time; 0 for a gauge.
    pub start: u64,
    /// When it was measured.
    pub time: u64,
    /// `CUMULATIVE` or `DELTA`; empty for a gauge.
    pub temporality: String,
    /// Its value; of a distribution the sum.
    pub value: f64,
    /// Of a distribution: how many there were.
    pub count: u64,
    /// Its bounds.
    pub bounds: Vec<f64>,
    /// The counts between them.
    pub buckets: Vec<u64>,
}

/// What one push brought: the attributes of its resource, and its points.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Who sent it.
    pub resource: BTreeMap<String, String>,
    /// Its points.
    pub points: Vec<Point>,
}

/// The program, where it can be had: in `NOETHER_ROTEL`, else installed once beside the tests.
pub fn program() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("NOETHER_ROTEL") {
        return Ok(path.into());
    }
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let test = env::current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(3).expect("target").join("tools").join(ROTEL);
    let find = || {
        let libraries = fs::read_dir(folder.join("lib")).ok()?.flatten();
        let program = |python: &Path| python.join("site-packages/rotel/rotel-agent");
        libraries.map(|entry| program(&entry.path())).find(|path| path.is_file())
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    let run = |command: &mut Command| match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(folder.join("bin/pip")).args(["install", "-q", "--pre", "--only-binary=:all:", ROTEL]))?;
    find().ok_or_else(|| format!("{ROTEL} has no rotel-agent"))
}

impl Collector {
    /// Starts one on free ports.
    pub fn start(program: &Path) -> Self {
        Self::listening(program, free_address(), free_address())
    }

    /// Starts one at the addresses of one that has ended.
    pub fn start_at(program: &Path, other: &Self) -> Self {
        Self::listening(program, other.grpc.clone(), other.http.clone())
    }

    fn listening(program: &Path, grpc: String, http: String) -> Self {
        let mut command = Command::new(program);
        command.args(["start", "--otlp-grpc-endpoint", &grpc, "--otlp-http-endpoint", &http]);
        command.args(["--debug-log", "metrics", "--debug-log-verbosity", "detailed"]);
        command.args(["--exporter", "blackhole"]).env("NO_COLOR", "1").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("rotel starts");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("stdout"), &log);
        collect(child.stderr.take().expect("stderr"), &log);
        let collector = Self { grpc, http, child, log };
        for address in [&collector.grpc, &collector.http] {
            until("the collector listens", || net::TcpStream::connect(address).ok());
        }
        collector
    }

    /// Ends it; its addresses stay.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it received so far, by the time of the points. The last may not be whole yet.
    pub fn received(&self) -> BTreeMap<u64, Received> {
        read(&self.log.lock().expect("the log"))
    }

    /// Waits until `good` finds among the whole pushes what it looks for: all but the newest are whole.
    pub fn until<T>(&self, what: &str, mut good: impl FnMut(&BTreeMap<u64, Received>) -> Option<T>) -> T {
        until(what, || {
            let mut received = self.received();
            received.pop_last();
            good(&received)
        })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log.lock().map(|log| log.clone()).unwrap_or_default();
            eprintln!("the collector said ({PATIENCE:?} at most):\n{}", &log[..log.len().min(4000)]);
        }
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// The name that Prometheus gives to what it receives.
/// <https://prometheus.io/docs/guides/opentelemetry/>, <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>
fn translated(name: &str, unit: &str, monotonic: bool, gauge: bool) -> String {
    let mut name = name.replace('.', "_");
    let suffix = match unit {
        "J" => "_joules",
        "W" => "_watts",
        "s" => "_seconds",
        "By" => "_bytes",
        "g" => "_grams",
        "1" if gauge => "_ratio",
        "" | "1" => "",
        other => panic!("{name}: the unit {other:?} is none that Prometheus knows"),
    };
    name.push_str(suffix);
    if monotonic {
        name.push_str("_total");
    }
    name
}

/// Reads what the collector printed.
fn read(log: &str) -> BTreeMap<u64, Received> {
    let mut all: BTreeMap<u64, Received> = BTreeMap::new();
    let (mut resource, mut metric, mut point) = (BTreeMap::new(), Point::default(), None::<Point>);
    let (mut unit, mut kind, mut monotonic, mut in_resource) = (String::new(), String::new(), false, false);
    let end = log.rfind('\n').map_or(0, |end| end + 1);
    for line in log[..end].lines() {
        let begins = ["NumberDataPoints #", "HistogramDataPoints #", "Metric #", "ResourceMetrics #"];
        if begins.iter().any(|begin| line.starts_with(begin))
            && let Some(done) = point.take()
        {
            let push = all.entry(done.time).or_default();
            push.resource.clone_from(&resource);
            push.points.push(done);
        }
        if line.starts_with("ResourceMetrics #") {
            resource.clear();
        } else if line.starts_with("Metric #") {
            (metric, unit, kind, monotonic) = (Point::default(), String::new(), String::new(), false);
        } else if line.starts_with("NumberDataPoints #") || line.starts_with("HistogramDataPoints #") {
            let name = translated(&metric.sent, &unit, monotonic, kind == "Gauge");
            point = Some(Point { name, ..metric.clone() });
        } else if line == "Resource attributes:" {
            in_resource = true;
        } else if line.starts_with("ScopeMetrics #") {
            in_resource = false;
        } else if let Some((key, value)) =
            line.trim_start().strip_prefix("-> ").and_then(|l| l.split_once(": "))
            && line.starts_with("     ->")
        {
            let text = value.strip_prefix("Str(").and_then(|value| value.strip_suffix(')'));
            match (in_resource, &mut point, text, key) {
                (true, _, Some(text), _) => drop(resource.insert(key.to_owned(), text.to_owned())),
                (_, Some(point), Some(text), _) => drop(point.attributes.insert(key.into(), text.into())),
                (_, None, _, "Name") => value.clone_into(&mut metric.sent),
                (_, None, _, "Unit") => value.trim().clone_into(&mut unit),
                (_, None, _, "DataType") => value.clone_into(&mut kind),
                (_, None, _, "IsMonotonic") => monotonic = value == "true",
                (_, None, _, "AggregationTemporality") => {
                    value.trim_start_matches("AGGREGATION_TEMPORALITY_").clone_into(&mut metric.temporality);
                }
                _ => {}
            }
        } else if let (Some(point), Some((key, value))) = (&mut point, line.split_once(": ")) {
            let value = value.trim();
            match key {
                "StartTimestamp" => point.start = value.parse().expect(line),
                "Timestamp" => point.time = value.parse().expect(line),
                "Value" | "Sum" => point.value = value.parse().expect(line),
                "Count" => point.count = value.parse().expect(line),
                _ if key.starts_with("ExplicitBounds #") => point.bounds.push(value.parse().expect(line)),
                _ if key.starts_with("Buckets #") => point.buckets.push(value.parse().expect(line)),
                _ => {}
            }
        }
    }
    all
}

/// An nginx that takes TLS, wants a certificate of the client, and hands on to a collector. It is killed when dropped.
#[derive(Debug)]
pub struct Front {
    /// Where it takes gRPC and HTTP: `localhost:PORT`.
    pub address: String,
    /// The folder with `ca.pem`, `client.pem` and `client.key`, and with `other.pem` and `other.key` of a stranger.
    pub folder: TempDir,
    child: Child,
}

impl Front {
    /// Whether it is installed.
    pub fn installed() -> bool {
        installed("nginx")
    }

    /// Starts one before `collector`.
    pub fn start(collector: &Collector) -> Self {
        let folder = scratch();
        write_certificates(folder.path());
        let port = free_address().rsplit_once(':').expect("a port").1.to_owned();
        let path = folder.path().display().to_string();
        let configuration = format!(
            "daemon off; pid {path}/pid; error_log stderr warn;\n\
             events {{}}\n\
             http {{\n access_log off; client_max_body_size 8m;\n\
             client_body_temp_path {path}/a; proxy_temp_path {path}/b; fastcgi_temp_path {path}/c;\n\
             uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;\n\
             server {{\n listen 127.0.0.1:{port} ssl http2;\n\
             ssl_certificate {path}/server.pem; ssl_certificate_key {path}/server.key;\n\
             ssl_client_certificate {path}/ca.pem; ssl_verify_client on;\n\
             location /v1/ {{ proxy_pass http://{http}; }}\n\
             location / {{ grpc_pass grpc://{grpc}; }}\n }}\n}}\n",
            http = collector.http,
            grpc = collector.grpc,
        );
        fs::write(folder.path().join("nginx.conf"), configuration).expect("nginx.conf");
        let mut command = Command::new("nginx");
        command.args(["-p", &path, "-c", "nginx.conf", "-e", "stderr"]).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("nginx starts");
        until("nginx listens", || net::TcpStream::connect(format!("127.0.0.1:{port}")).ok());
        Self { address: format!("localhost:{port}"), folder, child }
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Its workers are its group.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// An authority, a server and a client of its, and a stranger with an authority of its own.
fn write_certificates(folder: &Path) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // OpenSSL takes a certificate whose subject is its issuer for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
    };
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
    write("ca.pem", ours.pem());
    for (name, issuer) in [("server", &ours), ("client", &ours), ("other", &theirs)] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        write(&format!("{name}.pem"), params.signed_by(&key, issuer).expect("a certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_prints_is_read_back() {
        let log = "noise\nResourceMetrics #0\nResource SchemaURL: \nResource attributes:\n     -> node: Str(a: b)\n\
                   ScopeMetrics #0\nMetric #0\nDescriptor:\n     -> Name: noether.x\n     -> Unit: J\n     -> DataType: Sum\n\
                   \x20    -> IsMonotonic: true\n     -> AggregationTemporality: AGGREGATION_TEMPORALITY_DELTA\n\
                   NumberDataPoints #0\nData point attributes:\n     -> mode: Str(idle)\nStartTimestamp: 1\nTimestamp: 2\nValue: 3.5\n\
                   Metric #1\nDescriptor:\n     -> Name: noether.tick\n     -> Unit: s\n     -> DataType: Histogram\nHistogramDataPoints #0\n\
                   Timestamp: 2\nCount: 4\nSum: 0.5\nExplicitBounds #0: 0.1\nBuckets #0, Count: 1\nBuckets #1, Count: 3\n\
                   ResourceMetrics #0\n";
        let all = read(log);
        assert_eq!(all.len(), 1);
        let push = &all[&2];
        assert_eq!(push.resource["node"], "a: b");
        let [energy, tick] = &push.points[..] else { panic!("{push:?}") };
        assert_eq!((energy.name.as_str(), energy.value, energy.start), ("noether_x_joules_total", 3.5, 1));
        assert_eq!((energy.attributes["mode"].as_str(), energy.temporality.as_str()), ("idle", "DELTA"));
        assert_eq!((tick.name.as_str(), tick.count, tick.value), ("noether_tick_seconds", 4, 0.5));
        assert_eq!((&tick.bounds[..], &tick.buckets[..]), (&[0.1][..], &[1, 3][..]));
    }
}
