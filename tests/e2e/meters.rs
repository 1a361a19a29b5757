//! What real counters do: draw more than they state, wrap in long intervals, stop, and show nonsense for a moment.

use std::thread::sleep;
use std::time::{Duration, SystemTime};

use noether_tests::exporter::{Exporter, run};
use noether_tests::machine::hardware::{Counts, Physics};
use noether_tests::machine::{Component, Fault, Hardware, Load, Machine, Simulation};
use noether_tests::outcome::{together, until, within};
use noether_tests::scrape::{Sample, Scrape};
use rustix::process::{Pid, Signal, kill_process};

use crate::watch::Watch;

/// One socket of four processors that all work, so that its package draws so many watts, and its memory about 3 W.
fn machine(watts: f64, change: impl FnOnce(Hardware) -> Hardware) -> Machine {
    let hardware = Hardware::bare(1).package(0, "intel-rapl:0").dram(0, "intel-rapl:0:0");
    let physics = Physics { package_idle: watts / 10.0, per_cpu: watts * 0.9 / 4.0, ..hardware.physics };
    let loads = vec![Load::at("").cpu(&[1.0]), Load::docker(1).cpu(&[3.0]).memory(1.0)];
    Machine::new(change(Hardware { physics, ..hardware }), loads)
}

fn start(machine: Machine, interval: &str) -> (Simulation, Exporter) {
    let simulation = Simulation::start(machine);
    let mut flags = simulation.flags();
    flags.push(format!("--sample.interval={interval}"));
    let exporter = Exporter::start(&flags);
    (simulation, exporter)
}

fn wall(scrape: &Scrape) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(scrape.ticked())
}

/// Holds the node's energy between two scrapes against the truth between their ticks.
fn true_between(simulation: &Simulation, before: &Scrape, after: &Scrape) {
    let truth = simulation.truth_at(wall(after)).since(&simulation.truth_at(wall(before)));
    for component in [Component::Cpu, Component::Dram] {
        let joules = |scrape: &Scrape| scrape.account(component.label()).unwrap().node as f64 / 1e6;
        let found = joules(after) - joules(before);
        within(0.03, found, truth.node[component as usize], component.label());
    }
}

fn errors(scrape: &Scrape, reason: &str) -> f64 {
    let of = |sample: &&Sample| sample.label("reason") == reason;
    scrape.samples("noether_meter_errors_total").filter(of).map(Sample::value).sum()
}

fn all_errors(scrape: &Scrape) -> f64 {
    scrape.samples("noether_meter_errors_total").map(Sample::value).sum()
}

/// The exporter stands still for `time`.
fn stop(exporter: &Exporter, time: Duration) {
    let pid = i32::try_from(exporter.pid()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    sleep(time);
    kill_process(pid, Signal::CONT).unwrap();
}

/// Draws `watts` where the first zone states `stated` as its limit.
fn draws(watts: f64, stated: Option<u64>) {
    let _guard = together();
    let (simulation, exporter) = start(
        machine(watts, |mut hardware| {
            hardware.zones[0].max_power_uw = stated;
            hardware
        }),
        "500ms",
    );
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    watch.during(Duration::from_secs(4));
    let after = watch.ticked();
    true_between(&simulation, &before, &after);
    assert_eq!(all_errors(&after), 0.0, "{}", exporter.log());
}

#[test]
fn a_package_that_draws_more_than_twice_what_it_states_is_counted() {
    draws(34.4, Some(15_000_000));
}

#[test]
fn a_package_that_draws_hundreds_of_watts_is_counted_whatever_it_states() {
    draws(420.0, Some(125_000_000));
    draws(12.0, Some(4_500_000));
    draws(600.0, Some(0));
}

#[test]
fn a_whole_machine_of_eight_kilowatts_is_counted() {
    let _guard = together();
    let mut machine = machine(400.0, |hardware| hardware.zone("intel-rapl:1", "psys", Counts::Psys));
    machine.physics(Physics {
        board: 7000.0,
        package_idle: 40.0,
        per_cpu: 90.0,
        ..Hardware::bare(1).physics
    });
    let (simulation, exporter) = start(machine, "500ms");
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    watch.during(Duration::from_secs(3));
    let after = watch.ticked();
    true_between(&simulation, &before, &after);
    let truth = simulation.truth_at(wall(&after)).since(&simulation.truth_at(wall(&before)));
    let joules = |scrape: &Scrape| scrape.account("other").unwrap().node as f64 / 1e6;
    let other = Component::Other as usize;
    within(0.03, joules(&after) - joules(&before), truth.node[other], "what psys has beyond");
    assert_eq!(all_errors(&after), 0.0, "{}", exporter.log());
}

/// AMD states no limits. 4.4 kJ read every 2 s are as its 65.5 kJ every 30 s.
#[test]
fn a_counter_that_wraps_between_far_readings_is_counted() {
    let _guard = together();
    let machine = machine(450.0, |mut hardware| {
        hardware.processor.vendor = "AuthenticAMD";
        for zone in &mut hardware.zones {
            (zone.range_uj, zone.max_power_uw) = (4_369_000_000, None);
            zone.start_uj = 3_600_000_000;
        }
        hardware
    });
    let (simulation, exporter) = start(machine, "2s");
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    watch.during(Duration::from_secs(7));
    let after = watch.ticked();
    true_between(&simulation, &before, &after);
    assert_eq!(errors(&after, "ambiguous_wrap"), 0.0, "{}", exporter.log());
}

#[test]
fn an_exporter_that_stood_still_counts_what_was_used_meanwhile() {
    let _guard = together();
    // 20 s of 100 W in a range of 65.5 kJ are as 6 s in 20 kJ.
    let machine = machine(100.0, |mut hardware| {
        for zone in &mut hardware.zones {
            zone.range_uj = 20_000_000_000;
        }
        hardware
    });
    let (simulation, exporter) = start(machine, "200ms");
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    watch.during(Duration::from_secs(2));
    stop(&exporter, Duration::from_secs(6));
    let after = watch.ticked();
    true_between(&simulation, &before, &after);
    assert_eq!(all_errors(&after), 0.0, "{}", exporter.log());
}

#[test]
fn an_interval_in_which_a_counter_could_wrap_unseen_is_cut_and_said() {
    let _guard = together();
    let machine = machine(300.0, |mut hardware| {
        hardware.zones[0].range_uj = 1_200_000_000;
        hardware
    });
    // 1.2 kJ at 1 kW.
    let (simulation, exporter) = start(machine, "10m");
    assert!(exporter.log().contains("--sample.interval=600s is too long: package-0"), "{}", exporter.log());
    assert!(exporter.log().contains("every 1.08s"), "{}", exporter.log());
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    watch.during(Duration::from_secs(6));
    let after = watch.ticked();
    true_between(&simulation, &before, &after);
    let refused = run(&["node", "--sample.interval=2h"]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("above 1h"));
}

/// A package shows `text` for about `ticks` ticks, and then what it really counted.
fn nonsense(text: &str, ticks: u32, reason: &str) {
    let _guard = together();
    let (simulation, exporter) = start(machine(80.0, |hardware| hardware), "300ms");
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    let known = errors(&before, reason);
    simulation.edit(|machine| machine.inflict("intel-rapl:0", Fault::Text(text.to_owned())));
    watch.until("the reading is counted as an error", |scrape| errors(scrape, reason) > known);
    for _ in 1..ticks {
        watch.ticked();
    }
    simulation.edit(|machine| machine.inflict("intel-rapl:0", Fault::Jump(0)));
    for _ in 0..4 {
        watch.ticked();
    }
    let after = watch.settled();
    true_between(&simulation, &before, &after);
    assert_eq!(exporter.log().matches("WARN").count(), 1, "{}", exporter.log());
    assert!(
        exporter.log().contains("package-0") || exporter.log().contains("energy_uj"),
        "{}",
        exporter.log()
    );
}

#[test]
fn a_zero_between_good_readings_counts_once() {
    nonsense("0\n", 1, "reset");
}

#[test]
fn zeros_for_a_while_count_once() {
    nonsense("0\n", 5, "reset");
}

#[test]
fn a_torn_value_counts_once() {
    nonsense("70010\n", 1, "reset");
}

#[test]
fn a_leap_and_back_counts_once() {
    nonsense("190000000000\n", 2, "jump");
}

#[test]
fn a_value_above_its_range_is_one_line_until_it_is_over() {
    let _guard = together();
    let (simulation, exporter) = start(machine(80.0, |hardware| hardware), "100ms");
    let mut watch = Watch::new(&exporter);
    watch.settled();
    let file = "/intel-rapl:0/energy_uj: expected at most max_energy_range_uj";
    for round in 0..20_u64 {
        let text = format!("{}\n", 300_000_000_000 + round);
        simulation.edit(|machine| machine.inflict("intel-rapl:0", Fault::Text(text)));
        watch.during(Duration::from_millis(200));
    }
    let scrape = watch.scrape();
    assert!(errors(&scrape, "malformed") > 5.0);
    assert_eq!(exporter.log().matches(file).count(), 1, "{}", exporter.log());
    simulation.edit(|machine| machine.inflict("intel-rapl:0", Fault::Jump(0)));
    until("its end is said, with how often it came", || {
        watch.scrape();
        let log = exporter.log();
        log.lines().any(|line| line.contains("over, after") && line.contains(file)).then_some(())
    });
}

fn doctor(simulation: &Simulation, exporter: &Exporter) -> String {
    let mut arguments = vec!["doctor".to_owned(), format!("--web.listen-address={}", exporter.address())];
    arguments.extend(simulation.flags());
    String::from_utf8(run(&arguments).stdout).expect("text")
}

/// The doctor's line on one thing of the running exporter.
fn on_exporter<'a>(text: &'a str, name: &str) -> &'a str {
    let of = |line: &&str| line.split_whitespace().skip(1).take(2).eq(["exporter", name]);
    text.lines().find(of).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
}

#[test]
fn the_doctor_shows_what_the_running_exporter_left_out() {
    let _guard = together();
    let (simulation, mut exporter) = start(machine(80.0, |hardware| hardware), "200ms");
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    let text = doctor(&simulation, &exporter);
    assert!(on_exporter(&text, "running").starts_with("ok"), "{text}");
    assert!(on_exporter(&text, "meters").starts_with("ok"), "{text}");
    assert!(text.contains("dram-0 of rapl wraps after 65713 J, unseen beyond 98.568s"), "{text}");
    simulation.edit(|machine| machine.inflict("intel-rapl:0", Fault::Jump(90_000_000_000)));
    watch.until("the leap is left out", |scrape| errors(scrape, "jump") > errors(&before, "jump"));
    assert_eq!(exporter.log().matches("package-0 rose from").count(), 1, "{}", exporter.log());
    let text = doctor(&simulation, &exporter);
    let line = on_exporter(&text, "meters");
    assert!(line.starts_with("warning") && line.contains("rapl: 1 jump"), "{text}");
    // An exporter that hangs is no ok, and the doctor does not wait for it.
    let pid = i32::try_from(exporter.pid()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let text = doctor(&simulation, &exporter);
    kill_process(pid, Signal::CONT).unwrap();
    let line = on_exporter(&text, "running");
    assert!(line.starts_with("warning") && line.contains("did not answer within 2s"), "{text}");
    exporter.kill();
    let text = doctor(&simulation, &exporter);
    assert!(on_exporter(&text, "running").starts_with("absent"), "{text}");
}
