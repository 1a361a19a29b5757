//! What is pushed over OTLP, as a real collector receives it, is what is scraped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use noether_tests::exporter::{Exporter, run_with};
use noether_tests::machine::{Hardware, Load, Machine, Simulation};
use noether_tests::otlp::{Collector, Front, Point, Received, program};
use noether_tests::outcome::{cannot_run, together, until};
use noether_tests::scrape::{Sample, Scrape, law};

use crate::watch::Watch;

/// The collector, or why there is none.
fn collector_or_skip(test: &str) -> Option<PathBuf> {
    program().map_err(|why| cannot_run(test, &why)).ok()
}

/// A push, as what a scrape of the same tick shows: name and labels to the value.
fn series(push: &Received) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
    let mut all = BTreeMap::new();
    let mut put = |name: String, labels: &BTreeMap<String, String>, more: Option<(&str, String)>, value| {
        let mut labels = labels.clone();
        labels.extend(more.map(|(name, value)| (name.to_owned(), value)));
        let before = all.insert((name, labels), value);
        assert!(before.is_none(), "pushed twice");
    };
    for point in push.points.iter().filter(|point| !point.name.starts_with("hw_")) {
        assert!(!point.attributes.contains_key("otel.metric.overflow"), "{point:?}");
        if point.bounds.is_empty() {
            put(point.name.clone(), &point.attributes, None, point.value);
            continue;
        }
        let mut up_to = 0;
        let bounds = point.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&point.buckets) {
            up_to += count;
            put(format!("{}_bucket", point.name), &point.attributes, Some(("le", bound)), up_to as f64);
        }
        put(format!("{}_sum", point.name), &point.attributes, None, point.value);
        put(format!("{}_count", point.name), &point.attributes, None, point.count as f64);
    }
    all
}

/// The same of a scrape.
fn scraped(scrape: &Scrape) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
    let samples = scrape.families.iter().flat_map(|family| &family.samples);
    samples.map(|s| ((s.name.clone(), s.labels.iter().cloned().collect()), s.value())).collect()
}

/// Scrapes until a push of the same tick as one of the scrapes has arrived; `time` moves the machine on.
fn same_tick(
    exporter: &Exporter,
    collector: &Collector,
    mut time: impl FnMut(),
    good: impl Fn(&Scrape) -> bool,
) -> (Scrape, Received) {
    let mut scrapes: BTreeMap<u64, Scrape> = BTreeMap::new();
    let end = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end {
        time();
        let scrape = exporter.scrape();
        law(&scrape).unwrap_or_else(|violation| panic!("{violation}"));
        if good(&scrape) {
            // The page shows microseconds, the push has nanoseconds.
            scrapes.insert((scrape.ticked() * 1e6).round() as u64, scrape);
        }
        let mut received = collector.received();
        received.pop_last();
        for (time, push) in received {
            if let Some(scrape) = scrapes.get(&(time / 1000)) {
                return (scrape.clone(), push);
            }
        }
        sleep(Duration::from_millis(200));
    }
    panic!("no push of the tick of a scrape; the exporter said:\n{}", exporter.log());
}

fn assert_equal(scrape: &Scrape, push: &Received) {
    let (shown, sent) = (scraped(scrape), series(push));
    let names = |all: &BTreeMap<(String, BTreeMap<String, String>), f64>| -> BTreeSet<String> {
        all.keys().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&shown), names(&sent));
    assert_eq!(shown.len(), sent.len());
    for (key, value) in &shown {
        assert_eq!(sent.get(key), Some(value), "{key:?}");
    }
}

fn variables<'a>(protocol: &'a str, endpoint: &'a str, interval: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_METRIC_EXPORT_INTERVAL", interval),
    ]
}

#[test]
fn three_thousand_containers_arrive_as_they_are_scraped_in_both_protocols() {
    let _guard = together();
    let Some(program) = collector_or_skip("otlp::three_thousand_containers") else { return };
    for (protocol, compression) in [("grpc", "gzip"), ("http/protobuf", "none"), ("http/protobuf", "gzip")] {
        let collector = Collector::start(&program);
        let loads = (1..=3000).map(|n| Load::docker(n).cpu(&[0.0004, 0.0002]).memory(0.01));
        let mut machine = Machine::new(Hardware::intel(), loads.collect());
        let mut flags = machine.flags();
        flags.push("--sample.interval=2s".into());
        let address = if protocol == "grpc" { &collector.grpc } else { &collector.http };
        let endpoint = format!("http://{address}");
        let mut variables = variables(protocol, &endpoint, "3000");
        variables.push(("OTEL_EXPORTER_OTLP_COMPRESSION", compression));
        let exporter = Exporter::start_with(&variables, &flags);
        let begun = Instant::now();
        let mut time = || machine.advance_to(begun.elapsed().as_secs_f64());
        let running = |scrape: &Scrape| {
            let energy = "noether_container_energy_joules_total";
            let moving = |component| {
                let mut samples = scrape.samples(energy).filter(|s| s.label("component") == component);
                samples.any(|sample| sample.value() > 0.0)
            };
            moving("cpu") && moving("dram")
        };
        let (scrape, push) = same_tick(&exporter, &collector, &mut time, running);
        assert!(scrape.samples("noether_container_info").count() >= 3000, "{protocol}");
        assert!(push.points.len() > 3000 * 6, "{}", push.points.len());
        assert_equal(&scrape, &push);
    }
}

#[test]
fn each_series_has_a_start_and_the_last_push_comes_at_the_end() {
    let _guard = together();
    let Some(program) = collector_or_skip("otlp::each_series_has_a_start") else { return };
    let collector = Collector::start(&program);
    let loads = vec![Load::docker(1).cpu(&[0.5, 0.5]).memory(1.0)];
    let simulation = Simulation::start(Machine::new(Hardware::intel(), loads));
    let mut flags = simulation.flags();
    flags.extend(["--sample.interval=100ms", "--otlp.hardware-metrics", "--node.name=atlas"].map(Into::into));
    let endpoint = format!("http://{}", collector.http);
    let mut variables = variables("http/protobuf", &endpoint, "500");
    variables.push(("OTEL_RESOURCE_ATTRIBUTES", "cluster=lab,host.name=other"));
    let mut exporter = Exporter::start_with(&variables, &flags);
    let of = |push: &Received, container: &str| -> Option<Point> {
        let is = |point: &&Point| {
            point.name == "noether_container_energy_joules_total"
                && point.attributes["container"] == container
                && point.attributes["component"] == "cpu"
                && point.attributes["mode"] == "active"
        };
        push.points.iter().find(is).cloned()
    };
    collector.until("the first container has energy", |all| {
        let push = all.values().last()?;
        push.points
            .iter()
            .any(|p| p.name == "noether_container_energy_joules_total" && p.value > 0.0)
            .then_some(())
    });
    simulation.edit(|machine| {
        let now = machine.now();
        machine.add(Load::docker(2).cpu(&[0.5, 0.0]).from(now));
    });
    let mut names = BTreeSet::new();
    let later = collector.until("both containers have energy", |all| {
        let push = all.values().last()?;
        names = push.points.iter().filter_map(|point| point.attributes.get("container").cloned()).collect();
        let all: Vec<Point> = names.iter().filter_map(|name| of(push, name)).collect();
        (all.len() == 2 && all.iter().all(|point| point.value > 0.0)).then(|| (push.clone(), all))
    });
    let (push, points) = later;
    let process = push.points.iter().find(|point| point.name == "process_start_time_seconds").unwrap();
    let starts: BTreeSet<u64> = points.iter().map(|point| point.start).collect();
    assert!(starts.len() == 2, "the second was born later: {starts:?}");
    assert!(starts.iter().all(|start| *start as f64 / 1e9 >= process.value), "{starts:?} {process:?}");
    for (time, received) in collector.received() {
        for point in names.iter().filter_map(|name| of(&received, name)) {
            let same = points.iter().find(|other| other.attributes == point.attributes).unwrap();
            assert_eq!(point.start, same.start, "a start does not move");
            assert!(point.start <= time && point.temporality == "CUMULATIVE");
            // Zero first, for whoever ignores the start.
            assert!(point.value == 0.0 || point.start < time, "{point:?}");
        }
    }
    let resource = ["service.name", "service.instance.id", "node", "cluster", "host.name"];
    assert_eq!(resource.map(|key| &*push.resource[key]), ["noether", "atlas", "atlas", "lab", "other"]);
    let hardware =
        |name: &str| -> Vec<&Point> { push.points.iter().filter(|point| point.sent == name).collect() };
    let nodes: Vec<&Point> =
        push.points.iter().filter(|point| point.name == "noether_node_energy_joules_total").collect();
    let node: f64 = nodes.iter().map(|point| point.value).sum();
    let host = hardware("hw.host.energy");
    assert!(
        host.len() == 1 && host[0].attributes.is_empty() && (host[0].value - node).abs() < 1e-6,
        "{host:?}"
    );
    let kinds: BTreeSet<&str> =
        hardware("hw.energy").iter().map(|point| &*point.attributes["hw.type"]).collect();
    assert_eq!(kinds, BTreeSet::from(["cpu", "memory"]));
    // What psys has beyond them is of no component.
    let of_parts = |point: &&&Point| point.attributes["component"] != "other";
    let node: f64 = nodes.iter().filter(of_parts).map(|point| point.value).sum();
    let parts: f64 = hardware("hw.energy").iter().map(|point| point.value).sum();
    assert!((parts - node).abs() <= 1e-6, "the parts are the host: {parts} {node}");
    exporter.terminate();
    // With an hour between two pushes, the second is the last one.
    let before = *collector.received().keys().next_back().unwrap();
    variables.retain(|(name, _)| *name != "OTEL_METRIC_EXPORT_INTERVAL");
    variables.push(("OTEL_METRIC_EXPORT_INTERVAL", "3600000"));
    let mut exporter = Exporter::start_with(&variables, &flags);
    let newest = |than: u64| collector.received().keys().next_back().copied().filter(|time| *time > than);
    let first = until("the first push", || newest(before));
    let ticked = exporter.scrape_until("another tick", |scrape| scrape.ticked() > first as f64 / 1e9 + 0.05);
    exporter.terminate();
    let last = until("the last push", || newest(first));
    assert!(last as f64 / 1e9 >= ticked.ticked() - 1e-6, "it has the last snapshot");
    assert!(exporter.log().contains("ended"), "{}", exporter.log());
}

#[test]
fn deltas_add_up_to_the_totals_through_an_outage() {
    let _guard = together();
    let Some(program) = collector_or_skip("otlp::deltas_add_up") else { return };
    let mut collector = Collector::start(&program);
    let loads = vec![Load::docker(1).cpu(&[0.5, 0.5]).memory(1.0)];
    let simulation = Simulation::start(Machine::new(Hardware::intel(), loads));
    let mut flags = simulation.flags();
    flags.push("--sample.interval=100ms".into());
    let endpoint = format!("http://{}", collector.grpc);
    let mut variables = variables("grpc", &endpoint, "300");
    variables.push(("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"));
    variables.push(("OTEL_METRIC_EXPORT_TIMEOUT", "1000"));
    let exporter = Exporter::start_with(&variables, &flags);
    let energy = |received: &BTreeMap<u64, Received>| -> f64 {
        let points = received.values().flat_map(|push| &push.points);
        points.filter(|p| p.name == "noether_node_energy_joules_total").map(|point| point.value).sum()
    };
    collector.until("energy arrives", |all| (energy(all) > 0.0).then_some(()));
    let first = collector.received();
    collector.kill();
    exporter.scrape_until("the outage is told", |scrape| {
        scrape.samples("noether_otlp_request_failures_total").any(|sample| sample.value() > 0.0)
    });
    until("the outage is said", || exporter.log().contains("does not arrive").then_some(()));
    // The same addresses, and a log of its own.
    let again = Collector::start_at(&program, &collector);
    again.until("energy arrives again", |all| (energy(all) > 0.0).then_some(()));
    let (scrape, push) = same_tick(&exporter, &again, || {}, |_| true);
    let at = push.points[0].time;
    let before: BTreeMap<u64, Received> =
        again.received().into_iter().filter(|(time, _)| *time <= at).collect();
    let (sum, total) = (energy(&first) + energy(&before), total(&scrape));
    assert!((sum - total).abs() < 1e-5, "the deltas add up to {sum}, the total is {total}");
    for point in push.points.iter().filter(|point| !point.temporality.is_empty()) {
        assert_eq!(point.temporality, "DELTA", "{point:?}");
    }
    let log = exporter.log();
    assert_eq!(log.matches("does not arrive").count(), 1, "said once:\n{log}");
    assert!(log.contains("arrives again"), "{log}");
}

fn total(scrape: &Scrape) -> f64 {
    scrape.samples("noether_node_energy_joules_total").map(Sample::value).sum()
}

#[test]
fn tls_with_certificates_of_both_sides() {
    let _guard = together();
    let Some(program) = collector_or_skip("otlp::tls") else { return };
    if !Front::installed() {
        return cannot_run("otlp::tls", "nginx is not installed");
    }
    let collector = Collector::start(&program);
    let front = Front::start(&collector);
    let simulation =
        Simulation::start(Machine::new(Hardware::intel(), vec![Load::docker(1).cpu(&[0.5, 0.5])]));
    let mut flags = simulation.flags();
    flags.push("--sample.interval=100ms".into());
    let endpoint = format!("https://{}", front.address);
    let (ca, certificate, key) = (front.file("ca.pem"), front.file("client.pem"), front.file("client.key"));
    for protocol in ["grpc", "http/protobuf"] {
        let mut variables = variables(protocol, &endpoint, "300");
        variables.push(("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca));
        let without = variables.clone();
        variables.push(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate));
        variables.push(("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key));
        let good = Exporter::start_with(&variables, &flags);
        let success =
            |scrape: &Scrape| scrape.samples("noether_otlp_last_success_timestamp_seconds").count() == 1;
        good.scrape_until("the push arrives", success);
        let unknown = Exporter::start_with(&without, &flags);
        let failed = |scrape: &Scrape| {
            scrape.samples("noether_otlp_request_failures_total").any(|sample| sample.value() > 0.0)
        };
        let scrape = unknown.scrape_until("nobody may push without a certificate", failed);
        assert!(!success(&scrape), "{protocol}");
        // Whoever the authority does not vouch for is not talked to.
        let mut stranger = variables.clone();
        stranger.retain(|(name, _)| *name != "OTEL_EXPORTER_OTLP_CERTIFICATE");
        let other = front.file("other.pem");
        stranger.push(("OTEL_EXPORTER_OTLP_CERTIFICATE", &other));
        let stranger = Exporter::start_with(&stranger, &flags);
        let scrape = stranger.scrape_until("a stranger is not pushed to", failed);
        assert!(!success(&scrape), "{protocol}");
        let unreachable = scrape.value("noether_otlp_request_failures_total", &[("reason", "unreachable")]);
        assert!(unreachable > Some(0.0), "{protocol}: {}", stranger.log());
        until("why is said", || stranger.log().to_lowercase().contains("certificate").then_some(()));
    }
    assert!(!collector.received().is_empty());
}

#[test]
fn without_a_collector_nothing_else_suffers() {
    let _guard = together();
    let simulation =
        Simulation::start(Machine::new(Hardware::intel(), vec![Load::docker(1).cpu(&[0.5, 0.5])]));
    let mut flags = simulation.flags();
    flags.push("--sample.interval=100ms".into());
    // A port that nobody listens on, and an address that swallows everything.
    for endpoint in ["http://127.0.0.1:1", "http://192.0.2.1:4318"] {
        let mut variables = variables("http/protobuf", endpoint, "200");
        variables.push(("OTEL_EXPORTER_OTLP_TIMEOUT", "500"));
        let mut exporter = Exporter::start_with(&variables, &flags);
        Watch::new(&exporter).during(Duration::from_secs(2));
        exporter.scrape_until("the failures are counted", |scrape| {
            scrape.samples("noether_otlp_request_failures_total").any(|sample| sample.value() > 0.0)
        });
        assert!(exporter.terminate().success(), "{}", exporter.log());
    }
}

#[test]
fn who_is_not_asked_does_not_push_and_what_is_wrong_is_named() {
    let machine = Machine::new(Hardware::intel(), Vec::new());
    let quiet = Exporter::start(&machine.flags());
    assert!(!quiet.metrics().contains("noether_otlp_"), "nothing pushed, nothing shown");
    let disabled = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_SDK_DISABLED", "true")];
    let mut flags = machine.flags();
    flags.push("--otlp=on".into());
    let disabled = Exporter::start_with(&disabled, &flags);
    assert!(!disabled.metrics().contains("noether_otlp_"));
    assert!(disabled.log().contains("OTEL_SDK_DISABLED"), "{}", disabled.log());
    for (name, value, part) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "no-equals-sign", "key=value"),
        ("OTEL_RESOURCE_ATTRIBUTES", "x", "key=value"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem", "/nowhere.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere.key", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
    ] {
        let output = run_with(&[(name, value)], &["--otlp=on", "--web.listen-address=127.0.0.1:0"]);
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{name}: {said}");
        assert!(said.contains(part), "{name}: {said}");
    }
}
