//! What the server answers, and to whom.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use noether_tests::exporter::Exporter;
use noether_tests::http::{Client, once};
use noether_tests::machine::{Hardware, Load, Machine, Simulation};
use noether_tests::outcome::{cannot_run, together};
use noether_tests::prometheus::{Prometheus, lint};

use crate::watch::{Watch, settled};

fn start() -> (Simulation, Exporter) {
    let loads = vec![Load::at("").cpu(&[0.2, 0.2]), Load::docker(1).cpu(&[0.5, 0.5]).memory(1.0)];
    let simulation = Simulation::start(Machine::new(Hardware::intel(), loads));
    let mut flags = simulation.flags();
    flags.push("--sample.interval=100ms".to_owned());
    let exporter = Exporter::start(&flags);
    (simulation, exporter)
}

#[test]
fn pages_and_methods() {
    let _guard = together();
    let (_simulation, exporter) = start();
    exporter.scrape_until("it measures", settled);
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/-/healthy", 200),
        ("GET", "/-/ready", 200),
        ("GET", "/metrics", 200),
        ("HEAD", "/metrics", 200),
        ("HEAD", "/", 200),
        ("GET", "/nothing", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/", 405),
    ] {
        let response = once(exporter.address(), method, path, &[]).unwrap();
        assert_eq!(response.status, status, "{method} {path}: {}", String::from_utf8_lossy(&response.body));
        assert!(method != "HEAD" || response.body.is_empty());
        assert!(status != 405 || response.header("allow").contains("GET"), "{method} {path}: no Allow");
    }
    assert!(exporter.page("/").text().contains("/metrics"), "the landing page shows the way");
}

#[test]
fn formats_are_negotiated() {
    let _guard = together();
    let (_simulation, exporter) = start();
    exporter.scrape_until("it measures", settled);
    let ask = |accept: &str| once(exporter.address(), "GET", "/metrics", &[("Accept", accept)]).unwrap();
    let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.9,\
                      application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, open) in [
        (prometheus, true),
        ("application/openmetrics-text;version=1.0.0", true),
        ("text/plain;version=0.0.4", false),
        ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.1", false),
        ("*/*", false),
        ("image/png", false),
    ] {
        let response = ask(accept);
        let kind = response.header("content-type").to_owned();
        assert_eq!(kind.starts_with("application/openmetrics-text"), open, "{accept}: {kind}");
        assert_eq!(response.text().ends_with("# EOF\n"), open, "{accept}");
        assert!(open || kind.contains("version=0.0.4"), "{accept}: {kind}");
    }
}

#[test]
fn gzip_where_it_is_wanted() {
    let _guard = together();
    let (_simulation, exporter) = start();
    let response = once(exporter.address(), "GET", "/metrics", &[("Accept-Encoding", "gzip")]).unwrap();
    assert_eq!(response.header("content-encoding"), "gzip");
    let mut gzip =
        Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(&response.body).unwrap();
    let text = String::from_utf8(gzip.wait_with_output().unwrap().stdout).unwrap();
    assert!(text.contains("noether_build_info"), "{text}");
    let refused = once(exporter.address(), "GET", "/metrics", &[("Accept-Encoding", "gzip;q=0")]).unwrap();
    assert_eq!(refused.header("content-encoding"), "");
}

#[test]
fn garbage_gets_no_more_than_a_refusal() {
    let _guard = together();
    let (_simulation, exporter) = start();
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"HELLO\r\n\r\n", long.as_bytes()] {
        let answer = Client::connect(exporter.address(), "garbage").unwrap().raw(bytes);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(exporter.page("/-/healthy").status, 200);
}

#[test]
fn who_fetches_once_is_never_waited_for() {
    let _guard = together();
    let (simulation, exporter) = start();
    let mut watch = Watch::new(&exporter);
    watch.settled();
    // Had any of these become an active scraper, what is born next would wait for it for minutes.
    for path in ["/metrics", "/", "/-/healthy", "/-/ready"] {
        exporter.page(path);
        once(exporter.address(), "HEAD", path, &[]).unwrap();
    }
    simulation.edit(|machine| {
        let now = machine.now();
        machine.add(Load::docker(7).cpu(&[0.5, 0.5]).from(now));
    });
    watch.until("the new container's energy is shown", |s| s.joules("container///00000007c0ff", "cpu") > 1.0);
    watch.settled();
}

#[test]
fn a_scrape_measures_nothing() {
    let _guard = together();
    let (_simulation, exporter) = start();
    exporter.scrape_until("it measures", settled);
    let mut clients: Vec<Client> =
        (0..8).map(|_| Client::connect(exporter.address(), "burst").unwrap()).collect();
    let mut sums = Vec::new();
    for client in &mut clients {
        let text = client.fetch("/metrics").unwrap().text();
        let scrape = noether_tests::scrape::Scrape::parse(&text).unwrap();
        sums.push((scrape.ticked(), scrape.account("cpu").unwrap().node));
    }
    for pair in sums.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].1 == pair[1].1, "one tick, two values: {pair:?}");
    }
}

#[test]
fn promtool_is_content() {
    let _guard = together();
    if !Prometheus::installed() {
        return cannot_run("promtool_is_content", "promtool is not installed (Debian package prometheus)");
    }
    let (_simulation, exporter) = start();
    let scrape = exporter.scrape_until("it measures", settled);
    assert_eq!(lint(&scrape.text), "");
}

#[test]
fn it_ends_when_asked() {
    let _guard = together();
    let (_simulation, mut exporter) = start();
    // An idle connection and half a request must not hold it up.
    let _idle = Client::connect(exporter.address(), "idle").unwrap();
    let mut half = std::net::TcpStream::connect(exporter.address()).unwrap();
    half.write_all(b"GET /metr").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let status = exporter.terminate();
    assert_eq!(status.code(), Some(0), "{status:?}");
    exporter.restart();
    assert_eq!(exporter.page("/-/healthy").status, 200);
}
