//! Meters that can be read and are wrong all the same: counters shown twice, counters that stand still.

use std::time::{Duration, SystemTime};

use noether_tests::exporter::{Exporter, run};
use noether_tests::machine::{Component, Fault, Hardware, Load, Machine, Simulation};
use noether_tests::outcome::{together, within};
use noether_tests::scrape::Scrape;

use crate::watch::Watch;

fn start(machine: Machine) -> (Simulation, Exporter) {
    let simulation = Simulation::start(machine);
    let mut flags = simulation.flags();
    flags.extend(["--sample.interval=200ms", "--systemd.units=on"].map(str::to_owned));
    let exporter = Exporter::start(&flags);
    (simulation, exporter)
}

fn ticked(scrape: &Scrape) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(scrape.ticked())
}

fn joules(scrape: &Scrape, component: &str) -> f64 {
    scrape.account(component).map_or(0.0, |account| account.node as f64 / 1e6)
}

/// The joules that an owner of a series has paid for the processors.
fn paid(scrape: &Scrape, owner: &str) -> f64 {
    scrape.account("cpu").unwrap().owners.get(owner).copied().unwrap_or(0) as f64 / 1e6
}

fn doctor(simulation: &Simulation) -> String {
    let mut arguments = vec!["doctor".to_owned()];
    arguments.extend(simulation.flags());
    String::from_utf8(run(&arguments).stdout).expect("text")
}

/// The node's energy is the one counter's, from the first joule on.
fn counts_once(hardware: Hardware, loads: Vec<Load>) {
    let _guard = together();
    let (simulation, exporter) = start(Machine::new(hardware, loads));
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    watch.during(Duration::from_secs(10));
    let after = watch.scrape();
    let truth = simulation.truth_at(ticked(&after)).since(&simulation.truth_at(ticked(&before)));
    let found = joules(&after, "cpu") - joules(&before, "cpu");
    within(0.03, found, truth.node[Component::Cpu as usize], "the node's cpu");
}

#[test]
fn four_dies_that_show_one_counter_read_a_millisecond_apart() {
    let loads = vec![
        Load::at("").cpu(&[0.2]),
        Load::docker(1).cpu(&[2.0]).duty(1.3, 0.6),
        Load::service("web").cpu(&[0.5]),
    ];
    counts_once(Hardware::amd_one_counter(), loads);
}

#[test]
fn sixteen_packages_of_a_guest_that_show_one_counter() {
    let cpu: Vec<f64> = (0..16).map(|cpu| if cpu < 3 { 0.5 } else { 0.0 }).collect();
    counts_once(Hardware::vm_one_counter(), vec![Load::docker(1).cpu(&cpu)]);
}

#[test]
fn two_sockets_that_idle_alike_add_up() {
    let mut hardware = Hardware::bare(2).package(0, "intel-rapl:0").package(1, "intel-rapl:1");
    for zone in &mut hardware.zones {
        zone.start_uj = 5_000_000_000;
    }
    counts_once(hardware, vec![Load::at("").cpu(&[0.1, 0.1])]);
}

#[test]
fn a_counter_that_stands_still_is_no_measurement() {
    let _guard = together();
    let loads = vec![Load::at("").cpu(&[0.5]), Load::service("web").cpu(&[3.0])];
    let mut machine = Machine::new(Hardware::laptop(), loads);
    let zones: Vec<String> = Hardware::laptop().zones.into_iter().map(|zone| zone.folder).collect();
    for zone in &zones {
        machine.inflict(zone, Fault::Stuck);
    }
    let (simulation, exporter) = start(machine);
    let mut watch = Watch::new(&exporter);
    watch.during(Duration::from_secs(20));
    let up = |scrape: &Scrape| scrape.value("noether_meter_up", &[("meter", "rapl")]);
    let scrape = watch.until("the meter is down", |scrape| up(scrape) == Some(0.0));
    assert!(scrape.samples("noether_domain_energy_joules_total").all(|one| one.label("meter") != "rapl"));
    let modelled = [("meter", "model"), ("component", "cpu"), ("quality", "modelled")];
    watch.until("the model stands in", |scrape| {
        scrape.value("noether_meter_info", &modelled) == Some(1.0) && paid(scrape, "unit/web.service") > 1.0
    });
    let log = exporter.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("stands still")).collect();
    assert!(lines.len() == 1 && lines[0].contains("package-0") && lines[0].contains("dram-0"), "{log}");
    let found = doctor(&simulation);
    let line = found.lines().find(|line| line.contains(" rapl ")).unwrap_or_default().to_owned();
    assert!(line.starts_with("failed") && line.contains("did not move"), "{found}");
    assert!(found.contains("nothing measures"), "{found}");
    // It moves again, and nothing of what the model estimated counts twice.
    simulation.edit(|machine| zones.iter().for_each(|zone| machine.inflict(zone, Fault::Healed)));
    let healed = watch.until("the meter is up", |scrape| up(scrape) == Some(1.0));
    watch.during(Duration::from_secs(3));
    let after = watch.scrape();
    let truth = simulation.truth_at(ticked(&after)).since(&simulation.truth_at(ticked(&healed)));
    let found = joules(&after, "cpu") - joules(&healed, "cpu");
    within(0.05, found, truth.node[Component::Cpu as usize], "the node's cpu");
}

#[test]
fn memory_that_never_moves_is_absent_and_the_package_counts_on() {
    let _guard = together();
    let loads = vec![Load::service("web").cpu(&[3.0]).memory(4.0)];
    let mut machine = Machine::new(Hardware::laptop(), loads);
    machine.inflict("intel-rapl:0:2", Fault::Text("0\n".to_owned()));
    let (simulation, exporter) = start(machine);
    let mut watch = Watch::new(&exporter);
    watch.during(Duration::from_secs(20));
    watch.until("memory has no series", |scrape| !scrape.components().contains("dram"));
    let scrape = watch.scrape();
    assert_eq!(scrape.value("noether_meter_up", &[("meter", "rapl")]), Some(1.0));
    let domains = || scrape.samples("noether_domain_energy_joules_total");
    assert!(domains().any(|one| one.label("domain") == "package-0"));
    assert!(domains().all(|one| one.label("domain") != "dram-0"));
    assert_eq!(exporter.log().matches("dram-0: the counter").count(), 1, "{}", exporter.log());
    let found = doctor(&simulation);
    let line = found.lines().find(|line| line.contains(" rapl ")).unwrap_or_default();
    assert!(line.starts_with("warning") && line.contains("dram-0 did not move"), "{found}");
}
