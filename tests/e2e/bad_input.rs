//! Bad input: files that lie, vanish or cannot be read. The exporter says so, goes on, and keeps the law.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use noether_tests::exporter::Exporter;
use noether_tests::machine::{Component, Fault, Hardware, Load, Machine, Simulation};
use noether_tests::outcome::{cannot_run, together};
use noether_tests::scrape::{Sample, Scrape};

use crate::watch::Watch;

fn loads() -> Vec<Load> {
    vec![
        Load::at("").cpu(&[0.2]),
        Load::docker(1).cpu(&[1.0]).memory(4.0),
        Load::docker(2).cpu(&[0.5]).memory(2.0),
    ]
}

fn start(hardware: Hardware) -> (Simulation, Exporter) {
    let simulation = Simulation::start(Machine::new(hardware, loads()));
    let mut flags = simulation.flags();
    flags.push("--sample.interval=100ms".to_owned());
    let exporter = Exporter::start(&flags);
    (simulation, exporter)
}

fn node(scrape: &Scrape, component: &str) -> i128 {
    scrape.account(component).unwrap().node
}

fn errors(scrape: &Scrape) -> f64 {
    scrape.samples("noether_meter_errors_total").map(Sample::value).sum()
}

/// One counter goes bad: the others count on, and once it is well again it counts on too; nothing is made up.
fn endure(fault: &Fault, counted: bool) {
    let _guard = together();
    let (simulation, exporter) = start(Hardware::laptop());
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    simulation.edit(|machine| machine.inflict("intel-rapl:0", fault.clone()));
    if counted {
        let what = format!("{fault:?} is counted as an error");
        watch.until(&what, |scrape| errors(scrape) > errors(&before));
    }
    watch.during(Duration::from_millis(600));
    let during = watch.scrape();
    // A package that vanished took its nested zones along.
    if *fault != Fault::Vanished {
        watch.until("memory counts on", |scrape| node(scrape, "dram") > node(&during, "dram"));
    }
    if !matches!(fault, Fault::Jump(_)) {
        simulation.edit(|machine| machine.inflict("intel-rapl:0", Fault::Healed));
    }
    let healed = watch.scrape();
    watch.until("the package counts again", |scrape| node(scrape, "cpu") > node(&healed, "cpu") + 10_000_000);
    let after = watch.settled();
    let truth = simulation.truth().node[Component::Cpu as usize];
    let found = node(&after, "cpu") as f64 / 1e6;
    assert!(found <= truth * 1.01 + 1.0, "{fault:?}: {found} J of {truth} J that there were");
}

#[test]
fn an_unreadable_counter() {
    endure(&Fault::Folder, true);
}

#[test]
fn an_empty_counter() {
    endure(&Fault::Text(String::new()), true);
}

#[test]
fn a_counter_that_is_no_number() {
    endure(&Fault::Text("N/A\n".to_owned()), true);
}

#[test]
fn a_negative_counter() {
    endure(&Fault::Text("-5\n".to_owned()), true);
}

#[test]
fn a_counter_too_large_for_any_integer() {
    endure(&Fault::Text("99999999999999999999999999\n".to_owned()), true);
}

#[test]
fn a_counter_that_falls_without_a_wrap() {
    endure(&Fault::Jump(-3_000_000_000), true);
}

#[test]
fn a_counter_that_leaps() {
    endure(&Fault::Jump(40_000_000_000), true);
}

#[test]
fn a_counter_that_stands_still() {
    endure(&Fault::Stuck, false);
}

#[test]
fn a_meter_that_vanishes() {
    endure(&Fault::Vanished, false);
}

#[test]
fn counters_for_root_only() {
    let _guard = together();
    if !rustix::process::geteuid().is_root() {
        return cannot_run("counters_for_root_only", "only root can start the exporter as another user");
    }
    let mut machine = Machine::new(Hardware::laptop(), loads());
    let zones: Vec<String> = Hardware::laptop().zones.into_iter().map(|zone| zone.folder).collect();
    for zone in zones {
        machine.inflict(&zone, Fault::Private);
    }
    let simulation = Simulation::start(machine);
    let mut flags = simulation.flags();
    flags.push("--sample.interval=100ms".to_owned());
    let exporter = Exporter::start_as_nobody(&flags);
    let mut watch = Watch::new(&exporter);
    let scrape = watch.settled();
    assert_eq!(scrape.value("noether_meter_up", &[("meter", "rapl")]), Some(0.0));
    assert!(
        scrape.samples("noether_domain_energy_joules_total").all(|sample| sample.label("meter") != "rapl")
    );
    let info: Vec<_> = scrape.samples("noether_meter_info").collect();
    assert!(info.iter().any(|s| s.label("meter") == "model" && s.label("quality") == "modelled"), "{info:?}");
    assert!(exporter.log().contains("energy_uj"), "the log names the file:\n{}", exporter.log());
}

#[test]
fn names_that_are_no_text() {
    let _guard = together();
    let (simulation, exporter) = start(Hardware::laptop());
    let root = simulation.root().join("sys/fs/cgroup");
    for name in [&b"docker/\xff\xfe"[..], b"system.slice/a\"b\\c\nd.service", b"x\x01y"] {
        let folder = root.join(OsStr::from_bytes(name));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cpu.stat"), b"usage_usec 17\xff\n").unwrap();
    }
    let mut watch = Watch::new(&exporter);
    watch.settled();
    watch.during(Duration::from_secs(1));
}

#[test]
fn cgroups_that_lie_and_vanish() {
    let _guard = together();
    let (simulation, exporter) = start(Hardware::laptop());
    let mut watch = Watch::new(&exporter);
    watch.settled();
    let root = simulation.root().join("sys/fs/cgroup/docker");
    let contents =
        ["", "usage_usec\n", "usage_usec -4\n", "usage_usec 99999999999999999999999\n", "\0\0\0\0"];
    for (round, content) in contents.iter().cycle().take(20).enumerate() {
        let folder = root.join(noether_tests::machine::load::container_id(1000 + round as u32));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("cpu.stat"), content).unwrap();
        fs::write(folder.join("memory.current"), content).unwrap();
        watch.scrape();
        // Every other one is gone before the next tick can look.
        if round % 2 == 0 {
            fs::remove_dir_all(&folder).unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    watch.settled();
}
