//! Tests of the simulated machine: what it writes must be what it claims.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::hardware::Layout;
use super::*;

fn number(machine: &Machine, path: &str) -> u64 {
    let text =
        fs::read_to_string(machine.root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let digits: Vec<&str> = text.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    digits[0].parse().unwrap()
}

fn busy_machine(hardware: Hardware) -> Machine {
    Machine::new(
        hardware,
        vec![
            Load::at("").cpu(&[0.25, 0.25]),
            Load::docker(1).cpu(&[1.0, 0.0]).memory(4.0).cache(1.0).sockets(&[0]),
            Load::docker(2).cpu(&[0.5, 1.5]).memory(2.0).lives(1.0, 3.0),
            Load::service("web").cpu(&[0.5, 0.5]).duty(1.0, 0.25),
        ],
    )
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{found} is not {expected}");
}

#[test]
fn the_parts_add_up_to_the_node() {
    let mut machine = busy_machine(Hardware::intel());
    machine.advance(10.0);
    let truth = machine.truth();
    for component in Component::ALL {
        let sum = truth.owned(component) + truth.unattributed[component as usize];
        close(sum, truth.node[component as usize]);
        assert!(truth.of("container///00000001c0ff", component) > 0.0);
    }
    // Idle 2 × 30 W for 10 s; 20 W for each of 5 + 10 + 4 + 2.5 seconds of work.
    close(truth.node[0], 600.0 + 20.0 * 21.5);
}

#[test]
fn shares_follow_the_socket() {
    let mut machine = Machine::new(
        Hardware::intel(),
        vec![
            Load::docker(1).cpu(&[1.0, 0.0]),
            Load::docker(2).cpu(&[1.0, 3.0]),
            Load::at("x").cpu(&[0.0, 1.0]),
        ],
    );
    machine.advance(2.0);
    // Socket 0: 30 + 2 × 20 W halved; socket 1: 30 + 4 × 20 W, three quarters.
    close(machine.truth().of("container///00000001c0ff", Component::Cpu), 2.0 * 35.0);
    close(machine.truth().of("container///00000002c0ff", Component::Cpu), 2.0 * (35.0 + 82.5));
    close(machine.truth().unattributed[0], 2.0 * 27.5);
}

#[test]
fn time_in_small_steps_is_the_same_time() {
    let mut coarse = busy_machine(Hardware::intel());
    let mut fine = busy_machine(Hardware::intel());
    coarse.advance_to(5.0);
    for step in 1..=500 {
        fine.advance_to(f64::from(step) / 100.0);
    }
    for component in Component::ALL {
        close(fine.truth().owned(component), coarse.truth().owned(component));
    }
}

#[test]
fn a_parent_keeps_the_time_of_its_dead() {
    let mut machine = busy_machine(Hardware::intel());
    machine.advance_to(2.0);
    let path = format!("sys/fs/cgroup/docker/{}/cpu.stat", load::container_id(2));
    assert_eq!(number(&machine, &path), 2_000_000);
    machine.advance_to(3.01);
    assert_eq!(number(&machine, &path), 4_000_000);
    assert_eq!(number(&machine, &path.replace("cpu.stat", "cgroup.events")), 0);
    machine.advance_to(4.0);
    assert!(!machine.root().join(&path).exists());
    assert_eq!(number(&machine, "sys/fs/cgroup/docker/cpu.stat"), 4_000_000 + 4_000_000);
    assert_eq!(number(&machine, "sys/fs/cgroup/cpu.stat"), 4_000_000 + 4_000_000 + 2_000_000 + 1_000_000);
}

#[test]
fn a_life_within_one_step_is_lived() {
    let mut machine = Machine::new(Hardware::intel(), vec![Load::docker(7).cpu(&[1.0]).lives(0.2, 0.7)]);
    machine.advance(30.0);
    close(machine.truth().of("container///00000007c0ff", Component::Cpu), 0.5 * 50.0);
    assert_eq!(number(&machine, "sys/fs/cgroup/docker/cpu.stat"), 500_000);
}

#[test]
fn counters_wrap() {
    let mut machine = busy_machine(Hardware::intel().wrapping(5).layout(Layout::Flat));
    let file = "sys/class/powercap/intel-rapl:0/energy_uj";
    let range = number(&machine, &file.replace("energy_uj", "max_energy_range_uj"));
    let start = number(&machine, file);
    machine.advance(10.0);
    let joules = 300 + 20 * 10 + 5 * (10 + 4) + 25;
    assert_eq!(number(&machine, file), start + joules * 1_000_000 - range);
}

#[test]
fn twins_tell_the_same() {
    let mut machine = busy_machine(Hardware::intel());
    let names =
        ["intel-rapl:1", "intel-rapl-mmio:1"].map(|zone| format!("sys/class/powercap/{zone}/energy_uj"));
    let before = names.clone().map(|file| number(&machine, &file));
    machine.advance(3.0);
    let after = names.map(|file| number(&machine, &file));
    assert_eq!(after[0] - before[0], after[1] - before[1]);
    let nested =
        machine.root().join("sys/devices/virtual/powercap/intel-rapl/intel-rapl:1/intel-rapl:1:0/name");
    assert_eq!(fs::read_to_string(nested).unwrap(), "dram\n");
}

#[test]
fn the_trees_of_v1_and_hybrid() {
    let loads = vec![
        Load::docker(1).cpu(&[1.0]).memory(4.0).cache(1.0).limits(2.0, 8.0),
        Load::docker(2).unified_only(),
    ];
    let mut machine = Machine::new(Hardware::intel().hierarchy(Hierarchy::Hybrid), loads);
    machine.advance(3.0);
    let id = load::container_id(1);
    let at = |file: &str| file.replace("ID", &id);
    assert_eq!(number(&machine, &at("sys/fs/cgroup/cpuacct/docker/ID/cpuacct.usage")), 3_000_000_000);
    assert_eq!(number(&machine, &at("sys/fs/cgroup/unified/docker/ID/cpu.stat")), 3_000_000);
    assert_eq!(number(&machine, &at("sys/fs/cgroup/memory/docker/ID/memory.usage_in_bytes")), 5 << 30);
    assert_eq!(number(&machine, &at("sys/fs/cgroup/cpu/docker/ID/cpu.cfs_quota_us")), 200_000);
    let other = load::container_id(2);
    assert!(!machine.root().join(format!("sys/fs/cgroup/memory/docker/{other}")).exists());
    assert!(machine.root().join(format!("sys/fs/cgroup/unified/docker/{other}/cpu.stat")).exists());
}

#[test]
fn proc_agrees_with_the_cgroups() {
    let mut machine = busy_machine(Hardware::intel());
    machine.advance_to(2.0);
    let text = fs::read_to_string(machine.root().join("proc/stat")).unwrap();
    let words: Vec<u64> =
        text.lines().next().unwrap().split_whitespace().skip(1).map(|w| w.parse().unwrap()).collect();
    assert_eq!(words[0] + words[2], 100 * number(&machine, "sys/fs/cgroup/cpu.stat") / 1_000_000);
    let meminfo = fs::read_to_string(machine.root().join("proc/meminfo")).unwrap();
    assert!(meminfo.contains("Inactive(file):  1048576 kB"), "{meminfo}");
}

#[test]
fn faults_come_and_go() {
    let mut machine = busy_machine(Hardware::intel());
    let file = machine.root().join("sys/class/powercap/intel-rapl:0/energy_uj");
    let read = || fs::read_to_string(&file).map_err(|error| error.kind());
    machine.inflict("intel-rapl:0", Fault::Text("N/A\n".to_owned()));
    machine.advance(1.0);
    assert_eq!(read().unwrap(), "N/A\n");
    machine.inflict("intel-rapl:0", Fault::Folder);
    machine.advance(1.0);
    assert_eq!(read(), Err(std::io::ErrorKind::IsADirectory));
    machine.inflict("intel-rapl:0", Fault::Healed);
    let before: u64 = read().unwrap().trim().parse().unwrap();
    machine.inflict("intel-rapl:0", Fault::Vanished);
    machine.advance(1.0);
    assert_eq!(read(), Err(std::io::ErrorKind::NotFound));
    machine.inflict("intel-rapl:0", Fault::Healed);
    assert!(read().unwrap().trim().parse::<u64>().unwrap() > before);
    assert!(machine.root().join("sys/class/powercap/intel-rapl:0:0/energy_uj").exists());
}

#[test]
fn the_simulation_keeps_real_time() {
    let mut simulation = Simulation::start(busy_machine(Hardware::intel()));
    let (before, wall) = (simulation.now(), SystemTime::now());
    sleep(Duration::from_millis(300));
    let elapsed = wall.elapsed().unwrap().as_secs_f64();
    // Both clocks were read within moments of each other; a busy host stretches the moments, not the time.
    assert!(simulation.now() - before >= elapsed - 0.001);
    let (then, now) = (simulation.truth_at(wall), simulation.truth());
    assert!(now.since(&then).node[0] >= 60.0 * 0.25);
    simulation.pause();
    let still = simulation.truth().node[0];
    sleep(Duration::from_millis(50));
    close(simulation.truth().node[0], still);
    simulation.resume();
    simulation.stop();
}
