//! Real cgroups of this machine with real load, measured by the model.

use std::process;
use std::time::Duration;

use noether_tests::exporter::Exporter;
use noether_tests::kernel::Group;
use noether_tests::machine::load::container_id;
use noether_tests::outcome::{alone, cannot_run, within};

use crate::watch::Watch;

/// A part of a processor's time, in short bursts.
const LOOP: &str =
    "work() { while :; do n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; sleep 0.02; done; }; ";

/// Two containers of their own, or `None` where none can be made.
fn pair(test: &str, first: u32) -> Option<[(Group, String); 2]> {
    let make = |seed: u32| {
        let id = container_id(seed);
        Ok::<_, std::io::Error>((Group::make(&format!("docker/{id}"))?, format!("container///{}", &id[..12])))
    };
    // Ids that no container, no other test and no other run of this test has.
    let seed = 0xf000_0000 + (process::id() * 4 + first) % 0x0fff_ffff;
    match make(seed).and_then(|a| Ok([a, make(seed + 1)?])) {
        Ok(pair) => Some(pair),
        Err(error) => {
            cannot_run(test, &format!("cgroups cannot be made here: {error}"));
            None
        }
    }
}

fn exporter() -> Exporter {
    let flags = ["--sample.interval=200ms", "--meter.rapl=off", "--meter.rapl_mmio=off", "--meter.model=on"];
    Exporter::start(&flags.map(str::to_owned))
}

/// Joules of each, and CPU seconds of each, over ten seconds.
fn measure(pair: &[(Group, String); 2]) -> ([f64; 2], [f64; 2]) {
    let exporter = exporter();
    let mut watch = Watch::new(&exporter);
    let [a, b] = [&pair[0].1, &pair[1].1];
    let shown = |scrape: &noether_tests::scrape::Scrape| [a, b].map(|owner| scrape.joules(owner, "cpu"));
    watch.until("both have cost something", |scrape| shown(scrape).iter().all(|joules| *joules > 0.0));
    let before = (shown(&watch.settled()), [0, 1].map(|i| pair[i].0.used()));
    watch.during(Duration::from_secs(10));
    let after = (shown(&watch.settled()), [0, 1].map(|i| pair[i].0.used()));
    ([0, 1].map(|i| after.0[i] - before.0[i]), [0, 1].map(|i| after.1[i] - before.1[i]))
}

#[test]
fn energy_follows_cpu_time() {
    let _guard = alone();
    let Some(mut pair) = pair("energy_follows_cpu_time", 0) else { return };
    pair[0].0.run(&format!("{LOOP} work & work & wait"));
    pair[1].0.run(&format!("{LOOP} work"));
    let (joules, seconds) = measure(&pair);
    assert!(seconds[0] > seconds[1], "two loops do more than one: {seconds:?}");
    within(0.03, joules[0] / joules[1], seconds[0] / seconds[1], "energy of one by the other's");
}

#[test]
fn a_fork_heavy_job_costs_what_a_long_process_costs() {
    let _guard = alone();
    let Some(mut pair) = pair("a_fork_heavy_job_costs_what_a_long_process_costs", 2) else { return };
    // On one processor the two take turns, so that neither has the better intervals.
    let pin = "taskset -pc 0 $$ >/dev/null || exit 1; ";
    pair[0].0.run(&format!("{pin} while :; do timeout 0.2 sh -c 'while :; do :; done'; done"));
    pair[1].0.run(&format!("{pin} while :; do :; done"));
    let (joules, seconds) = measure(&pair);
    within(0.01, joules[0] / seconds[0], joules[1] / seconds[1], "joules per CPU second");
}
