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

/// A container of LXC, whose service keeps half a processor busy, on a host whose others keep fourteen busy.
#[test]
fn a_container_does_not_pay_for_its_host() {
    let _guard = together();
    let sockets = vec![(0..16).collect()];
    let hardware = Hardware { sockets, container: Some((2, "system.slice")), ..Hardware::bare(1) };
    let loads = vec![Load::at("").cpu(&[14.0]), Load::service("web").cpu(&[0.5])];
    let (simulation, exporter) = start(Machine::new(hardware.package(0, "intel-rapl:0"), loads));
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    watch.during(Duration::from_secs(5));
    let after = watch.settled();
    let truth = simulation.truth_at(ticked(&after)).since(&simulation.truth_at(ticked(&before)));
    let node = joules(&after, "cpu") - joules(&before, "cpu");
    within(0.03, node, truth.node[Component::Cpu as usize], "the node's cpu");
    let part = (paid(&after, "unit/web.service") - paid(&before, "unit/web.service")) / node;
    // The truth is 0.5 of 14.5; as a part of all sixteen it pays no more than that.
    assert!((0.9 * 0.5 / 16.0..=1.03 * 0.5 / 14.5).contains(&part), "pays {part} of the whole");
    let host = [("meter", "rapl"), ("component", "cpu"), ("quality", "host")];
    assert_eq!(after.value("noether_meter_info", &host), Some(1.0));
    assert_eq!(exporter.log().matches("the counters are the host's").count(), 1, "{}", exporter.log());
    let found = doctor(&simulation);
    let line = found.lines().find(|line| line.contains(" rapl ")).unwrap_or_default();
    assert!(line.starts_with("warning") && line.contains("the counters are the host's"), "{found}");
}

#[test]
fn the_counters_of_a_virtual_machine_are_its_hypervisors() {
    let _guard = together();
    let loads = vec![Load::service("web").cpu(&[0.5])];
    let (simulation, exporter) = start(Machine::new(Hardware::vm().package(0, "intel-rapl:0"), loads));
    let scrape = Watch::new(&exporter).settled();
    let host = [("meter", "rapl"), ("component", "cpu"), ("quality", "host")];
    assert_eq!(scrape.value("noether_meter_info", &host), Some(1.0));
    assert!(exporter.log().contains("the counters are the hypervisor's"), "{}", exporter.log());
    let found = doctor(&simulation);
    let line = found.lines().find(|line| line.contains(" rapl ")).unwrap_or_default();
    assert!(line.starts_with("warning") && line.contains("the counters are the hypervisor's"), "{found}");
}

/// Memory of one package while that package's name, or its own, is empty, torn or binary.
#[test]
fn a_name_that_is_torn_for_a_while_counts_nothing_twice() {
    let _guard = together();
    let loads = vec![Load::service("web").cpu(&[2.0]).memory(16.0)];
    let (simulation, exporter) = start(Machine::new(Hardware::laptop(), loads));
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    let package = "sys/devices/virtual/powercap/intel-rapl/intel-rapl:0";
    for (file, good, bad) in [
        (format!("{package}/name"), "package-0\n", ""),
        (format!("{package}/intel-rapl:0:2/name"), "dram\n", "dr\u{1}"),
        (format!("{package}/name"), "package-0\n", "packa"),
    ] {
        // Names are looked at every ten seconds.
        simulation.edit(|machine| machine.tree().put(&file, bad));
        watch.during(Duration::from_secs(12));
        simulation.edit(|machine| machine.tree().put(&file, good));
    }
    watch.during(Duration::from_secs(12));
    let after = watch.settled();
    let truth = simulation.truth_at(ticked(&after)).since(&simulation.truth_at(ticked(&before)));
    for component in [Component::Cpu, Component::Dram] {
        let label = component.label();
        within(0.03, joules(&after, label) - joules(&before, label), truth.node[component as usize], label);
    }
    let domains: Vec<_> = after.samples("noether_domain_energy_joules_total").collect();
    assert_eq!(domains.iter().filter(|one| one.label("domain").starts_with("dram")).count(), 1);
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
