//! The law and the truth on simulated machines, in real time.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use noether_tests::exporter::Exporter;
use noether_tests::machine::hardware::Layout;
use noether_tests::machine::{Component, Hardware, Hierarchy, Load, Machine, Simulation, Truth};
use noether_tests::outcome::{together, within};
use noether_tests::scrape::Scrape;

use crate::watch::Watch;

/// Containers bound and free, of a pod and not; some that die, one that comes back, some that live a moment.
fn loads() -> Vec<Load> {
    let mut loads = vec![
        Load::at("").cpu(&[0.2, 0.2]),
        Load::at("background").cpu(&[0.3, 0.3]).memory(1.0),
        Load::docker(1).cpu(&[1.0, 0.0]).sockets(&[0]).memory(8.0).cache(2.0),
        Load::docker(2).cpu(&[0.3, 0.3]).duty(1.0, 0.5).memory(3.0),
        Load::pod(1, 3).cpu(&[0.25, 0.25]).memory(2.0),
        Load::pod(1, 4).cpu(&[0.0, 0.5]).sockets(&[1]).memory(1.0).cache(1.0),
        Load::service("web").cpu(&[0.2, 0.2]).memory(0.5),
        Load::docker(5).cpu(&[0.4, 0.4]).memory(4.0).lives(3.0, 8.0),
        Load::service("again").cpu(&[0.3, 0.3]).memory(1.0).lives(2.0, 5.0),
        Load::service("again").cpu(&[0.3, 0.3]).memory(1.0).lives(5.5, 9.0),
    ];
    loads.extend((0..8).map(|n| {
        let born = 3.0 + f64::from(n);
        Load::docker(100 + n).cpu(&[0.25, 0.25]).memory(0.5).lives(born, born + 0.9)
    }));
    loads
}

fn wall(scrape: &Scrape) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(scrape.ticked())
}

/// Ten seconds at 200 ms: every scrape lawful, every share true.
fn judge(hardware: Hardware, loads: Vec<Load>) {
    let _guard = together();
    let simulation = Simulation::start(Machine::new(hardware, loads));
    let mut flags = simulation.flags();
    flags.extend(["--sample.interval=200ms", "--systemd.units=on"].map(str::to_owned));
    let exporter = Exporter::start(&flags);
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    watch.during(Duration::from_secs(10));
    let after = watch.settled();
    assert!(watch.seen > 30, "only {} scrapes", watch.seen);
    let truth = simulation.truth_at(wall(&after)).since(&simulation.truth_at(wall(&before)));
    for component in Component::ALL {
        if truth.node[component as usize] > 0.0 {
            compare(component, &before, &after, &truth);
        }
    }
    let errors =
        after.samples("noether_meter_errors_total").map(noether_tests::scrape::Sample::value).sum::<f64>();
    assert_eq!(errors, 0.0, "a wrap is no error");
}

fn compare(component: Component, before: &Scrape, after: &Scrape, truth: &Truth) {
    let [before, after] = [before, after].map(|scrape| scrape.account(component.label()).unwrap());
    let joules = |micro: i128| micro as f64 / 1e6;
    let node = joules(after.node - before.node);
    within(0.03, node, truth.node[component as usize], &format!("the node's {}", component.label()));
    let names: BTreeSet<String> =
        after.owners.keys().cloned().chain(truth.owners.keys().map(ToString::to_string)).collect();
    let share = |name: &str, found: f64, expected: f64| {
        let (found, expected) = (found / node, expected / truth.node[component as usize]);
        let off = (found - expected).abs();
        assert!(off <= 0.02, "{} {name}: share {found:.4}, in truth {expected:.4}", component.label());
    };
    let of = |owners: &std::collections::BTreeMap<String, i128>, name| owners.get(name).copied().unwrap_or(0);
    for name in &names {
        let found = joules(of(&after.owners, name) - of(&before.owners, name));
        share(name, found, truth.of(name, component));
    }
    for family in ["container/", "unit/"] {
        let ours = names.iter().filter(|name| name.starts_with(family));
        let found = ours.clone().map(|name| joules(of(&after.owners, name) - of(&before.owners, name))).sum();
        share(family, found, ours.map(|name| truth.of(name, component)).sum());
    }
    share(
        "unattributed",
        joules(after.unattributed - before.unattributed),
        truth.unattributed[component as usize],
    );
}

#[test]
fn a_v2_machine_with_psys_and_twins() {
    judge(Hardware::intel().wrapping(6), loads());
}

#[test]
fn a_v1_machine_with_psys_and_twins() {
    judge(Hardware::intel().wrapping(6).hierarchy(Hierarchy::V1).layout(Layout::Flat), loads());
}

#[test]
fn a_hybrid_machine() {
    let mut loads = loads();
    loads.push(Load::docker(9).cpu(&[0.2, 0.2]).unified_only());
    judge(Hardware::intel().wrapping(6).hierarchy(Hierarchy::Hybrid), loads);
}

#[test]
fn work_pays_for_its_own_socket() {
    let loads = vec![
        Load::at("").cpu(&[0.1, 0.1]),
        Load::docker(1).cpu(&[1.0, 0.0]).sockets(&[0]).memory(2.0),
        Load::docker(2).cpu(&[0.0, 3.0]).sockets(&[1]).memory(2.0),
        Load::docker(3).cpu(&[0.25, 0.25]).memory(1.0),
    ];
    // By CPU time alone the first would pay for 0.21 of the whole; it is due 0.26, and the second 0.53 for 0.64.
    judge(Hardware::bare(2).package(0, "intel-rapl:0").package(1, "intel-rapl:1"), loads);
}

#[test]
fn dies_that_mirror_one_counter_count_once() {
    judge(Hardware::amd_mirrored(), loads());
}

#[test]
fn dies_with_a_counter_each_add_up() {
    judge(Hardware::amd(), loads());
}

#[test]
fn a_laptop_whose_core_and_uncore_lie_in_the_package() {
    let loads = vec![
        Load::at("").cpu(&[0.3]),
        Load::docker(1).cpu(&[1.5]).memory(4.0),
        Load::service("web").cpu(&[0.5]).memory(2.0),
    ];
    judge(Hardware::laptop().wrapping(6), loads);
}
