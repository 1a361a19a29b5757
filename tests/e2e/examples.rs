//! Worked examples: the figures of the documentation, through the real binary.

use noether_tests::exporter::Exporter;
use noether_tests::machine::hardware::{Counts, Physics};
use noether_tests::machine::{Hardware, Load, Machine};
use noether_tests::outcome::together;
use noether_tests::scrape::{Scrape, law};

const A: &str = "container///00000001c0ff";
const B: &str = "container///00000002c0ff";

/// Power without any load: what a package and its memory draw, in watts.
fn draws(package: f64, dram: f64) -> Physics {
    Physics {
        package_idle: package,
        per_cpu: 0.0,
        dram_idle: dram,
        per_gib: 0.0,
        board: 0.0,
        efficiency: 1.0,
    }
}

/// A machine that moves only when told, and an exporter that looks once a second.
struct Example {
    machine: Machine,
    exporter: Exporter,
}

impl Example {
    fn new(mut machine: Machine) -> Self {
        machine.advance(1.0);
        let mut flags = machine.flags();
        flags.push("--sample.interval=1s".to_owned());
        let exporter = Exporter::start(&flags);
        let mut example = Self { machine, exporter };
        example.tick();
        example.tick();
        example
    }

    /// Waits until right after a tick: what moves now, moves within one interval.
    fn tick(&mut self) -> Scrape {
        let before = self.exporter.scrape().ticked();
        self.exporter.scrape_until("the next tick", |scrape| scrape.ticked() > before)
    }

    /// Ten seconds of the machine's time pass within one interval.
    fn interval(&mut self, physics: Physics) {
        self.tick();
        self.machine.physics(physics);
        self.machine.advance(10.0);
        self.tick();
    }

    fn after(&self, cpu: i128) -> Scrape {
        let scrape = self.exporter.scrape_until("the interval is shown", |scrape| {
            let account = scrape.account("cpu").unwrap();
            account.node >= cpu - 1000 && account.pending == 0
        });
        law(&scrape).unwrap();
        scrape
    }
}

fn near(scrape: &Scrape, owner: &str, component: &str, expected: f64) {
    let found = scrape.joules(owner, component);
    assert!((found - expected).abs() < 0.5, "{owner} {component}: {found} J, expected {expected} J");
}

fn unattributed(scrape: &Scrape, component: &str) -> f64 {
    scrape.account(component).unwrap().unattributed as f64 / 1e6
}

#[test]
fn one_interval_with_a_wrap() {
    let _guard = together();
    let mut hardware = Hardware::bare(1).package(0, "intel-rapl:0").dram(0, "intel-rapl:0:0");
    hardware.zones[0].start_uj = 262_143_000_000;
    hardware.physics = draws(0.0, 0.0);
    assert_eq!((hardware.zones[0].counts, hardware.zones[0].range_uj), (Counts::Package(0), 262_143_328_850));
    let loads = vec![
        Load::at("").cpu(&[0.1]),
        Load::docker(1).cpu(&[0.6]).memory(6.0),
        Load::docker(2).cpu(&[0.3]).memory(2.0),
    ];
    // The kernel's 2 GiB make the tenth of memory that is left ten in all: .6, .2, and .2 for the rest.
    let mut example = Example::new(Machine::new(hardware, loads));
    example.interval(draws(50.0, 10.0));
    let energy = example.machine.root().join("sys/class/powercap/intel-rapl:0/energy_uj");
    assert_eq!(std::fs::read_to_string(energy).unwrap(), "499671150\n");
    let scrape = example.after(500_000_000);
    near(&scrape, A, "cpu", 300.0);
    near(&scrape, A, "dram", 60.0);
    near(&scrape, B, "cpu", 150.0);
    near(&scrape, B, "dram", 20.0);
    assert!((unattributed(&scrape, "cpu") - 50.0).abs() < 0.5);
    assert!((unattributed(&scrape, "dram") - 20.0).abs() < 0.5);
    assert_eq!(scrape.account("cpu").unwrap().node, 500_000_000);
    assert_eq!(scrape.account("dram").unwrap().node, 100_000_000);
}

#[test]
fn two_intervals_are_not_one() {
    let _guard = together();
    let mut hardware = Hardware::bare(1).package(0, "intel-rapl:0");
    hardware.physics = draws(0.0, 0.0);
    // A works in the first ten seconds after the machine's first, B in the second ten.
    let loads = vec![
        Load::docker(1).cpu(&[1.0]).duty(1000.0, 11.0),
        Load::docker(2),
        Load::at(&Load::docker(2).path).owner(B).cpu(&[1.0]).from(11.0),
    ];
    let mut example = Example::new(Machine::new(hardware, loads));
    example.interval(draws(10.0, 0.0));
    example.interval(draws(0.0, 0.0));
    let scrape = example.after(100_000_000);
    near(&scrape, A, "cpu", 100.0);
    near(&scrape, B, "cpu", 0.0);
    assert_eq!(scrape.account("cpu").unwrap().node, 100_000_000);
}
