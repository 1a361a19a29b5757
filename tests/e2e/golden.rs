//! Golden scrapes of six hosts. Each host stands still, takes three steps of a second, and is scraped.

use noether_tests::exporter::Exporter;
use noether_tests::golden::compare;
use noether_tests::machine::hardware::Layout;
use noether_tests::machine::{Fault, Hardware, Hierarchy, Load, Machine};
use noether_tests::outcome::together;
use noether_tests::scrape::law;

use crate::watch::settled;

/// What a modelled meter says depends on the time that really passed.
const MODELLED: [&str; 10] = [
    "noether_domain_energy_joules_total",
    "noether_node_energy_joules_total",
    "noether_node_idle_power_watts",
    "noether_container_energy_joules_total",
    "noether_job_energy_joules_total",
    "noether_unit_energy_joules_total",
    "noether_vm_energy_joules_total",
    "noether_unattributed_energy_joules_total",
    "noether_meter_errors_total",
    "noether_source_errors_total",
];

/// One workload of every kind. What dies does so in the second step.
fn loads(sockets: usize) -> Vec<Load> {
    let cpu = |rate: f64| vec![rate; sockets];
    let job = "system.slice/slurmstepd.scope/job_42/step_0/user/task_0";
    let vm = "machine.slice/machine-qemu\\x2d1\\x2dalpine.scope";
    vec![
        Load::at("").cpu(&cpu(0.1)),
        Load::at("init.scope").cpu(&cpu(0.05)).memory(0.125),
        Load::docker(1).cpu(&cpu(0.5)).memory(1.0).cache(0.5).limits(2.0, 2.0),
        Load::docker(2).cpu(&cpu(0.25)).memory(0.5).lives(0.0, 6.5),
        Load::pod(1, 3).cpu(&cpu(0.25)).memory(0.25),
        Load::service("web").cpu(&cpu(0.125)).memory(0.25),
        Load::at(job).owner("job/slurm/42").cpu(&cpu(0.5)).memory(0.5),
        Load::at(vm).owner("vm/alpine").cpu(&cpu(0.25)).memory(0.5),
    ]
}

fn host(name: &str, mut machine: Machine, masked: &[&str]) {
    let _guard = together();
    machine.advance(5.0);
    let mut flags = machine.flags();
    // A floor of nothing: which part is idle does not depend on how long a second was.
    flags.extend(["cpu=0", "dram=0", "other=0"].map(|floor| format!("--attribution.idle-watts={floor}")));
    flags.extend(["--sample.interval=1s", "--systemd.units=on"].map(str::to_owned));
    let exporter = Exporter::start(&flags);
    let tick = || {
        let before = exporter.scrape().ticked();
        exporter.scrape_until("the next tick", |scrape| scrape.ticked() > before);
    };
    tick();
    for _ in 0..3 {
        tick();
        machine.advance(1.0);
    }
    tick();
    tick();
    let scrape = exporter.scrape_until("nothing is pending", settled);
    law(&scrape).unwrap_or_else(|violation| panic!("{name}: {violation}"));
    compare(name, &scrape.text, masked);
}

#[test]
fn intel_two_sockets() {
    host("intel-two-sockets", Machine::new(Hardware::intel().wrapping(6), loads(2)), &[]);
}

#[test]
fn amd_two_sockets_four_dies() {
    host("amd-two-sockets-four-dies", Machine::new(Hardware::amd(), loads(2)), &[]);
}

#[test]
fn v1() {
    let hardware = Hardware::intel().hierarchy(Hierarchy::V1).layout(Layout::Flat);
    host("v1", Machine::new(hardware, loads(2)), &[]);
}

#[test]
fn hybrid() {
    host("hybrid", Machine::new(Hardware::laptop().hierarchy(Hierarchy::Hybrid), loads(1)), &[]);
}

#[test]
fn virtual_machine() {
    host("virtual-machine", Machine::new(Hardware::vm(), loads(1)), &MODELLED);
}

#[test]
fn unreadable_rapl() {
    let hardware = Hardware::laptop();
    let zones: Vec<String> = hardware.zones.iter().map(|zone| zone.folder.clone()).collect();
    let mut machine = Machine::new(hardware, loads(1));
    // Folders in place of files: what root, too, cannot read.
    for zone in zones {
        machine.inflict(&zone, Fault::Folder);
    }
    host("unreadable-rapl", machine, &MODELLED);
}
