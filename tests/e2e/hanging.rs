//! Files that do not answer: fifos, and files of a dead FUSE, at the start and later. The rest goes on, and it is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use noether_tests::exporter::{Exporter, run};
use noether_tests::fuse::HangingFile;
use noether_tests::machine::{Hardware, Load, Machine, Simulation};
use noether_tests::outcome::{cannot_run, together, until};
use noether_tests::scrape::Scrape;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::watch::Watch;

const RANGE: &str = "sys/class/powercap/intel-rapl:0/max_energy_range_uj";
const CONSTRAINT: &str = "sys/class/powercap/intel-rapl:1/constraint_0_max_power_uw";
const CPUINFO: &str = "proc/cpuinfo";
const PACKAGE: &str = "sys/devices/system/cpu/cpu1/topology/physical_package_id";
const FILES: [&str; 4] = [RANGE, CONSTRAINT, CPUINFO, PACKAGE];

fn machine() -> Machine {
    let loads =
        vec![Load::docker(1).cpu(&[1.0, 0.0]).sockets(&[0]), Load::docker(2).cpu(&[0.0, 1.0]).sockets(&[1])];
    Machine::new(Hardware::bare(2).package(0, "intel-rapl:0").package(1, "intel-rapl:1"), loads)
}

fn flags(simulation: &Simulation) -> Vec<String> {
    let mut flags = simulation.flags();
    flags.push("--sample.interval=200ms".to_owned());
    flags
}

/// Puts a fifo in the place of a file.
fn fifo(path: &Path) {
    fs::remove_file(path).unwrap();
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// What each package has counted.
fn packages(scrape: &Scrape) -> [f64; 2] {
    ["package-0", "package-1"].map(|domain| {
        scrape.value("noether_domain_energy_joules_total", &[("domain", domain)]).unwrap_or_default()
    })
}

/// Both packages count on, each container pays for its own, and the exporter says that it is well.
fn goes_on(exporter: &Exporter) {
    let mut watch = Watch::new(exporter);
    let before = watch.settled();
    let counts = |scrape: &Scrape| {
        let (before, now) = (packages(&before), packages(scrape));
        now[0] > before[0] + 10.0 && now[1] > before[1] + 10.0
    };
    watch.until("both packages count on", counts);
    watch.during(Duration::from_secs(1));
    for page in ["/-/healthy", "/-/ready"] {
        assert_eq!(exporter.page(page).status, 200, "{page}");
    }
}

fn logs(exporter: &Exporter, file: &str) {
    until(&format!("{file} is in the log"), || exporter.log().contains(file).then_some(()));
}

/// No finding says that all is well with a file that is named in none.
fn doctor_names(simulation: &Simulation, files: &[&str]) {
    let mut flags = simulation.flags();
    flags.insert(0, "doctor".to_owned());
    let output = run(&flags);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(files.iter().any(|file| said.contains(file)), "{said}");
    assert!(said.contains("warning") || said.contains("failed"), "{said}");
}

fn ends(mut exporter: Exporter) {
    assert!(exporter.terminate().success(), "{}", exporter.log());
}

#[test]
fn fifos_at_the_start() {
    let _guard = together();
    for file in FILES {
        let machine = machine();
        fifo(&machine.root().join(file));
        let simulation = Simulation::start(machine);
        let exporter = Exporter::start(&flags(&simulation));
        goes_on(&exporter);
        logs(&exporter, file);
        logs(&exporter, "is a fifo");
        doctor_names(&simulation, &[file]);
        ends(exporter);
    }
}

/// A dead FUSE over each of these files, if there can be one.
fn hang(test: &str, root: &Path, files: &[&str]) -> Option<Vec<HangingFile>> {
    let over = |file: &&str| HangingFile::over(&root.join(file));
    match files.iter().map(over).collect() {
        Ok(files) => Some(files),
        Err(error) => {
            cannot_run(test, &format!("no FUSE can be mounted: {error}"));
            None
        }
    }
}

#[test]
fn a_dead_fuse_at_the_start() {
    let _guard = together();
    for file in FILES {
        let machine = machine();
        let root: PathBuf = machine.root();
        let Some(_dead) = hang("a_dead_fuse_at_the_start", &root, &[file]) else { return };
        let simulation = Simulation::start(machine);
        let exporter = Exporter::start(&flags(&simulation));
        goes_on(&exporter);
        logs(&exporter, file);
        ends(exporter);
    }
}

#[test]
fn a_dead_fuse_is_what_the_doctor_finds() {
    let _guard = together();
    let simulation = Simulation::start(machine());
    let Some(_dead) = hang("a_dead_fuse_is_what_the_doctor_finds", &simulation.root(), &[RANGE]) else {
        return;
    };
    doctor_names(&simulation, &[RANGE]);
}

#[test]
fn a_dead_fuse_later() {
    let _guard = together();
    let simulation = Simulation::start(machine());
    let exporter = Exporter::start(&flags(&simulation));
    goes_on(&exporter);
    let files = [RANGE, PACKAGE];
    let Some(_dead) = hang("a_dead_fuse_later", &simulation.root(), &files) else { return };
    let mut watch = Watch::new(&exporter);
    for file in files {
        watch.until("the log names the file", |_| exporter.log().contains(&format!("{file} hangs")));
    }
    goes_on(&exporter);
    ends(exporter);
}

/// A counter that is held open, and whose file system dies between two readings.
#[test]
fn a_counter_that_hangs_at_a_reading() {
    let _guard = together();
    let machine = machine();
    let zone = machine.root().join("sys/class/powercap/intel-rapl:7");
    fs::create_dir_all(&zone).unwrap();
    for (file, content) in
        [("name", "package-7\n"), ("max_energy_range_uj", "262143328850\n"), ("energy_uj", "0\n")]
    {
        fs::write(zone.join(file), content).unwrap();
    }
    let counter = match HangingFile::answering(&zone.join("energy_uj"), "5000000\n") {
        Ok(counter) => counter,
        Err(error) => return cannot_run("a_counter_that_hangs_at_a_reading", &error.to_string()),
    };
    let simulation = Simulation::start(machine);
    let exporter = Exporter::start(&flags(&simulation));
    let mut watch = Watch::new(&exporter);
    let up = |scrape: &Scrape| scrape.value("noether_domain_energy_joules_total", &[("domain", "package-7")]);
    watch.until("the third counter is read", |scrape| up(scrape).is_some());
    counter.hang();
    logs(&exporter, "intel-rapl:7/energy_uj hangs");
    goes_on(&exporter);
    assert!(up(&watch.scrape()).is_none(), "what cannot be read is not shown");
    drop(counter);
    ends(exporter);
}

/// The tick itself hangs: then the pages and the log say so, and it goes on when the file answers again.
#[test]
fn a_tick_that_hangs_is_no_healthy_one() {
    let _guard = together();
    let simulation = Simulation::start(machine());
    let exporter = Exporter::start(&flags(&simulation));
    goes_on(&exporter);
    let draft = simulation.root().join("draft");
    fs::create_dir(&draft).unwrap();
    fs::write(draft.join("cpu.stat"), "usage_usec 1\n").unwrap();
    let folder = simulation.root().join("sys/fs/cgroup/docker").join("f".repeat(64));
    let Some(dead) = hang("a_tick_that_hangs_is_no_healthy_one", &draft, &["cpu.stat"]) else { return };
    fs::rename(&draft, &folder).unwrap();
    for page in ["/-/healthy", "/-/ready"] {
        let response = until("the page says so", || {
            let response = exporter.page(page);
            (response.status == 503).then_some(response)
        });
        assert!(response.text().contains("cgroups"), "{}", response.text());
    }
    logs(&exporter, "nothing is measured");
    drop(dead);
    until("it is well again", || (exporter.page("/-/healthy").status == 200).then_some(()));
    logs(&exporter, "ticks come again");
    goes_on(&exporter);
    ends(exporter);
}
