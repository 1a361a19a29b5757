//! Processors that come and go, and idle floors: what the machine is at an instant, and intervals of the meters' own.

use std::thread::sleep;
use std::time::{Duration, Instant};

use noether_tests::exporter::Exporter;
use noether_tests::machine::{Component, Hardware, Load, Machine, Simulation};
use noether_tests::nvml::Driver;
use noether_tests::outcome::{together, within};
use noether_tests::scrape::Scrape;

use crate::watch::Watch;

const A: &str = "container///00000001c0ff";
const B: &str = "container///00000002c0ff";

/// Two sockets of four processors, and a container bound to each.
fn bound(a: f64, b: Load) -> Machine {
    let loads = vec![Load::docker(1).cpu(&[a, 0.0]).sockets(&[0]), b];
    Machine::new(Hardware::bare(2).package(0, "intel-rapl:0").package(1, "intel-rapl:1"), loads)
}

fn start(simulation: &Simulation) -> Exporter {
    let mut flags = simulation.flags();
    flags.push("--sample.interval=200ms".to_owned());
    Exporter::start(&flags)
}

fn unattributed(scrape: &Scrape) -> f64 {
    scrape.account("cpu").unwrap().unattributed as f64 / 1e6
}

fn floor(scrape: &Scrape, component: &str) -> Option<f64> {
    scrape.value("noether_node_idle_power_watts", &[("component", component)])
}

/// Each pays what its own socket drew since `before`, but for what was drawn between the exporter's first look and that.
fn pays_its_own(simulation: &Simulation, watch: &mut Watch, time: Duration) {
    let truth = |scrape: &Scrape| {
        simulation.truth_at(std::time::UNIX_EPOCH + Duration::from_secs_f64(scrape.ticked()))
    };
    let before = watch.settled();
    watch.during(time);
    let after = watch.settled();
    let truth = truth(&after).since(&truth(&before));
    for owner in [A, B] {
        let found = after.joules(owner, "cpu") - before.joules(owner, "cpu");
        within(0.03, found, truth.of(owner, Component::Cpu), owner);
    }
}

#[test]
fn processors_that_come_online_count_to_their_own_socket() {
    let _guard = together();
    // One of three busy processors of its socket, then of five: without them its package would be split by wrong counts.
    let mut machine = bound(3.0, Load::docker(2).cpu(&[0.0, 1.0]).sockets(&[1]));
    machine.switch(&[6, 7], false);
    let simulation = Simulation::start(machine);
    let exporter = start(&simulation);
    let mut watch = Watch::new(&exporter);
    watch.settled();
    watch.during(Duration::from_secs(1));
    simulation.edit(|machine| machine.switch(&[6, 7], true));
    simulation.edit(|machine| machine.add(Load::docker(3).cpu(&[0.0, 1.5]).from(0.0)));
    watch.during(Duration::from_secs(1));
    pays_its_own(&simulation, &mut watch, Duration::from_secs(6));
}

#[test]
fn a_socket_that_comes_online_later() {
    let _guard = together();
    let mut machine = bound(3.0, Load::at("nothing"));
    machine.switch(&[4, 5, 6, 7], false);
    let simulation = Simulation::start(machine);
    let exporter = start(&simulation);
    let mut watch = Watch::new(&exporter);
    watch.settled();
    simulation.edit(|machine| {
        machine.switch(&[4, 5, 6, 7], true);
        machine.add(Load::docker(2).cpu(&[0.0, 1.0]).sockets(&[1]).from(0.0));
    });
    watch.during(Duration::from_secs(1));
    pays_its_own(&simulation, &mut watch, Duration::from_secs(6));
}

/// Half a second without some, half a second with them: over and over.
#[test]
fn processors_that_go_and_come_back_cost_nobody_anything() {
    let _guard = together();
    let simulation = Simulation::start(bound(0.3, Load::docker(2).cpu(&[0.0, 0.3]).sockets(&[1])));
    let exporter = start(&simulation);
    let mut watch = Watch::new(&exporter);
    let learned = watch.until("the floor is learned", |scrape| floor(scrape, "cpu").is_some());
    let before = watch.settled();
    for gone in [&[3][..], &[1, 2, 3], &[1, 3, 5, 7], &[0, 7], &[4, 5, 6], &[2]] {
        for online in [false, true] {
            simulation.edit(|machine| machine.switch(gone, online));
            watch.during(Duration::from_millis(500));
        }
    }
    let after = watch.settled();
    let (node, nobody) = (
        (after.account("cpu").unwrap().node - before.account("cpu").unwrap().node) as f64 / 1e6,
        unattributed(&after) - unattributed(&before),
    );
    assert!(nobody <= 0.01 * node, "{nobody} J of {node} J went to nobody");
    within(0.03, floor(&after, "cpu").unwrap(), floor(&learned, "cpu").unwrap(), "the idle floor");
    let [a, b] = [A, B].map(|owner| after.joules(owner, "cpu") - before.joules(owner, "cpu"));
    within(0.03, a, b, "two that do the same");
}

/// The same where the power is modelled.
#[test]
fn a_model_of_processors_that_come_and_go() {
    let _guard = together();
    let simulation = Simulation::start(Machine::new(Hardware::vm(), vec![Load::docker(1).cpu(&[0.8])]));
    let exporter = start(&simulation);
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    for gone in [&[3][..], &[1, 2, 3], &[0, 2]] {
        for online in [false, true] {
            simulation.edit(|machine| machine.switch(gone, online));
            watch.during(Duration::from_millis(600));
        }
    }
    let after = watch.settled();
    let node = (after.account("cpu").unwrap().node - before.account("cpu").unwrap().node) as f64 / 1e6;
    let nobody = unattributed(&after) - unattributed(&before);
    assert!(node > 1.0 && nobody <= 0.02 * node, "{nobody} J of {node} J went to nobody");
}

/// Idle GPUs whose driver updates its counters now and then; the exporter reads them at a pace of its own.
fn idle_gpus(count: u32, interval: &str, update: Duration) {
    let _guard = together();
    let machine = Machine::new(Hardware::vm(), vec![Load::docker(1)]);
    let mut driver = Driver::new(machine.folder(), count);
    let begun = Instant::now();
    let say = |driver: &mut Driver| {
        for place in 0..count as usize {
            let gpu = driver.gpu(place);
            gpu.energy_mj = Some(1_000_000 + (begun.elapsed().as_secs_f64() * 71_000.0) as u64);
            gpu.utilization = Some((0, 0));
        }
        driver.write();
    };
    say(&mut driver);
    let exporter = driver.exporter(machine.flags(), &[&format!("--sample.interval={interval}")]);
    let mut watch = Watch::new(&exporter);
    let mut found = None;
    while begun.elapsed() < Duration::from_secs(25) && found.is_none() {
        say(&mut driver);
        found = floor(&watch.scrape(), "gpu");
        sleep(update);
    }
    for _ in 0..100 {
        say(&mut driver);
        watch.scrape();
        sleep(update);
    }
    let found = floor(&watch.scrape(), "gpu").expect("a floor");
    within(0.03, found, 71.0 * f64::from(count), "the floor of GPUs that draw 71 W each");
}

#[test]
fn the_floor_of_an_idle_gpu() {
    idle_gpus(1, "1s", Duration::from_millis(20));
}

#[test]
fn the_floor_of_four_idle_gpus_that_are_updated_seldom() {
    idle_gpus(4, "300ms", Duration::from_millis(60));
}
