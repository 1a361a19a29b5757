//! Through a real Prometheus: what it integrates is what was spent.

use std::thread::sleep;
use std::time::{Duration, SystemTime};

use noether_tests::exporter::Exporter;
use noether_tests::machine::{Component, Hardware, Load, Machine, Simulation, Truth};
use noether_tests::outcome::{cannot_run, together, until, within};
use noether_tests::prometheus::{Job, Prometheus, Series};

use crate::watch::settled;

const INTERVAL: f64 = 2.0;
const WORKLOADS: &str = "{__name__=~\"noether_(container|job|unit|vm)_energy_joules_total\"}[10m]";
const WHY: &str = "prometheus and promtool are not installed (Debian package prometheus)";

fn start(hardware: Hardware, loads: Vec<Load>) -> (Simulation, Exporter) {
    let simulation = Simulation::start(Machine::new(hardware, loads));
    let mut flags = simulation.flags();
    flags.push("--sample.interval=200ms".to_owned());
    let exporter = Exporter::start(&flags);
    (simulation, exporter)
}

fn scraper(exporter: &Exporter, replica: &str) -> Prometheus {
    let target = exporter.address().to_owned();
    let job = Job { name: "noether".to_owned(), target, interval: format!("{INTERVAL}s") };
    let prometheus = Prometheus::start(&[job], replica);
    until("Prometheus has scraped twice", || (scrapes(&prometheus).len() >= 2).then_some(()));
    prometheus
}

/// When it scraped.
fn scrapes(prometheus: &Prometheus) -> Vec<f64> {
    let ups = prometheus.raw("up[10m]");
    ups.first()
        .map_or(Vec::new(), |up| up.samples.iter().filter(|(_, up)| *up == 1.0).map(|(at, _)| *at).collect())
}

/// A second one whose scrapes lie well between the first one's. The phase follows from the replica's name and the host's.
fn out_of_phase(exporter: &Exporter, first: &Prometheus) -> Prometheus {
    let phase = |prometheus: &Prometheus| scrapes(prometheus)[0] % INTERVAL;
    let mut last = None;
    for replica in ["b", "c", "d", "e", "f"] {
        let second = scraper(exporter, replica);
        let apart = (phase(&second) - phase(first)).rem_euclid(INTERVAL);
        if (0.4..INTERVAL - 0.4).contains(&apart) {
            return second;
        }
        last = Some(second);
    }
    eprintln!("no replica is well out of phase on this host; going on with one that is not");
    last.expect("the loop ran")
}

fn unix_now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs_f64()
}

/// Waits until each has scraped what stands now.
fn caught_up(servers: &[&Prometheus]) {
    let now = unix_now();
    let again = |prometheus: &Prometheus| scrapes(prometheus).last().is_some_and(|at| *at > now + 0.1);
    until("every Prometheus has scraped again", || servers.iter().all(|server| again(server)).then_some(()));
}

fn owner(series: &Series) -> String {
    format!("container/{}/{}/{}", series.label("namespace"), series.label("pod"), series.label("container"))
}

/// What the containers cost together, all components, as this Prometheus saw it.
fn seen(prometheus: &Prometheus, owners: &[String]) -> f64 {
    let series = prometheus.raw("noether_container_energy_joules_total[10m]");
    series.iter().filter(|series| owners.contains(&owner(series))).map(Series::difference).sum()
}

fn spent(truth: &Truth, owners: &[String]) -> f64 {
    let each = |component| owners.iter().map(|owner| truth.of(owner, component)).sum::<f64>();
    Component::ALL.into_iter().map(each).sum()
}

/// The parts add up to the whole, as differences of series.
fn whole(prometheus: &Prometheus, what: &str) {
    let sum = |selector: &str| prometheus.raw(selector).iter().map(Series::difference).sum::<f64>();
    let node = sum("noether_node_energy_joules_total[10m]");
    let parts = sum(WORKLOADS) + sum("noether_unattributed_energy_joules_total[10m]");
    within(0.01, parts, node, what);
}

/// Containers of one second each, a new one every half second.
fn brief(simulation: &Simulation, seeds: std::ops::Range<u32>) -> Vec<String> {
    let begin = simulation.now() + 0.5;
    let loads = seeds.clone().map(|seed| {
        let born = begin + f64::from(seed - seeds.start) * 0.5;
        Load::docker(seed).cpu(&[0.5, 0.5]).memory(0.5).lives(born, born + 1.0)
    });
    let loads: Vec<Load> = loads.collect();
    let owners = loads.iter().map(|load| load.owner.as_deref().expect("an owner").to_owned()).collect();
    simulation.edit(|machine| loads.into_iter().for_each(|load| machine.add(load)));
    owners
}

#[test]
fn containers_of_one_second_reach_every_server() {
    let _guard = together();
    if !Prometheus::installed() {
        return cannot_run("containers_of_one_second_reach_every_server", WHY);
    }
    let loads = vec![Load::at("").cpu(&[0.3, 0.3]), Load::docker(1).cpu(&[0.5, 0.5]).memory(4.0)];
    let (simulation, exporter) = start(Hardware::intel(), loads);
    let first = scraper(&exporter, "a");
    let second = out_of_phase(&exporter, &first);
    let early = brief(&simulation, 100..112);
    sleep(Duration::from_secs(4));
    let joiner = scraper(&exporter, "late");
    let late = brief(&simulation, 200..212);
    sleep(Duration::from_secs(8));
    // All have ended; now everything that is held back comes out, and every server gets to see it.
    exporter.scrape_until("nothing is pending", settled);
    caught_up(&[&first, &second, &joiner]);
    let truth = simulation.truth();
    let all = [early, late.clone()].concat();
    for (name, prometheus) in [("the first", &first), ("the second", &second)] {
        within(0.02, seen(prometheus, &all), spent(&truth, &all), &format!("the containers on {name}"));
        whole(prometheus, &format!("parts and whole on {name}"));
    }
    within(0.02, seen(&joiner, &late), spent(&truth, &late), "the late containers on the late joiner");
    whole(&joiner, "parts and whole on the late joiner");
}

#[test]
fn a_restart_above_the_last_scraped_value_is_seen() {
    let _guard = together();
    if !Prometheus::installed() {
        return cannot_run("a_restart_above_the_last_scraped_value_is_seen", WHY);
    }
    // Little before the restart, much after it.
    let loads = vec![
        Load::at("").cpu(&[0.5, 0.5]),
        Load::docker(1).cpu(&[0.02, 0.02]).memory(0.1),
        Load::docker(2).cpu(&[3.0, 3.0]).memory(0.1).from(1e9),
    ];
    let (simulation, mut exporter) = start(Hardware::intel(), loads);
    let first = scraper(&exporter, "a");
    let second = out_of_phase(&exporter, &first);
    let owner = "container///00000001c0ff";
    exporter.scrape_until("the container has cost something", |scrape| scrape.joules(owner, "cpu") > 1.0);
    caught_up(&[&first, &second]);
    exporter.kill();
    let killed = unix_now();
    simulation.edit(|machine| {
        let now = machine.now();
        machine.add(Load::at(&Load::docker(1).path).owner(owner).cpu(&[3.0, 3.0]).from(now));
    });
    exporter.restart();
    sleep(Duration::from_secs_f64(3.0 * INTERVAL));
    exporter.scrape_until("nothing is pending", settled);
    caught_up(&[&first, &second]);
    for prometheus in [&first, &second] {
        let mut above = 0;
        for series in prometheus.raw("{__name__=~\"noether_.*_energy_joules_total\"}[10m]") {
            above += usize::from(restarted(&series, killed));
        }
        assert!(above > 0, "no counter passed its old value: the test shows nothing");
        whole_after(prometheus, "parts and whole across the restart");
    }
}

/// Nothing of the second life is missing; whether the counter has passed its old value.
fn restarted(series: &Series, killed: f64) -> bool {
    let (old, new): (Vec<_>, Vec<_>) = series.samples.iter().partition(|(at, _)| *at < killed);
    let Some((_, last)) = new.last() else { return false };
    let (first, before) = (old.first().map_or(0.0, |(_, v)| *v), old.last().map_or(0.0, |(_, v)| *v));
    let expected = before - first + last;
    let found = series.increase() + if old.is_empty() { new[0].1 } else { 0.0 };
    assert!((found - expected).abs() < 1e-6, "{found} J instead of {expected} J: {series:?}");
    assert!(old.is_empty() || new[0].1 == 0.0, "the first value after a restart is no 0: {series:?}");
    !old.is_empty() && *last > before
}

fn whole_after(prometheus: &Prometheus, what: &str) {
    let sum = |selector: &str| prometheus.raw(selector).iter().map(Series::increase).sum::<f64>();
    let node = sum("noether_node_energy_joules_total[10m]");
    let parts = sum(WORKLOADS) + sum("noether_unattributed_energy_joules_total[10m]");
    within(0.01, parts, node, what);
}
