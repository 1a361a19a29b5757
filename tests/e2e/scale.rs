//! However many workloads a node has, its series are as many as `--workload.max` allows, and the law holds.

use noether_tests::exporter::Exporter;
use noether_tests::machine::{Component, Hardware, Load, Machine, Simulation};
use noether_tests::outcome::{together, within};
use noether_tests::scrape::Scrape;
use std::time::Duration;

use crate::watch::Watch;

const MAX: usize = 20;

/// The containers that are shown by themselves, and the CPU seconds of the others.
fn shown(scrape: &Scrape) -> (usize, f64) {
    let seconds = |folded: bool| {
        let samples = scrape.samples("noether_container_cpu_seconds_total");
        samples.filter(move |sample| (sample.label("container") == "_folded") == folded)
    };
    (seconds(false).count(), seconds(true).map(noether_tests::scrape::Sample::value).sum())
}

fn folded(scrape: &Scrape) -> f64 {
    scrape.value("noether_workloads_folded_total", &[]).expect("a counter")
}

#[test]
fn beyond_the_limit_workloads_share_one_series_and_lose_nothing() {
    let _guard = together();
    let load = |seed: u32| Load::docker(seed).cpu(&[0.02]);
    let machine = Machine::new(
        Hardware::bare(1).package(0, "intel-rapl:0"),
        (0..50).map(load).chain((50..80).map(|seed| load(seed).from(4.0))).collect(),
    );
    let simulation = Simulation::start(machine);
    let mut flags = simulation.flags();
    flags.extend([format!("--workload.max={MAX}"), "--sample.interval=200ms".to_owned()]);
    let exporter = Exporter::start(&flags);
    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    assert_eq!((shown(&before).0, folded(&before)), (MAX, 30.0), "{}", before.text);
    let of_containers = |scrape: &Scrape| scrape.text.matches("\nnoether_container_").count();
    let series = of_containers(&before);

    watch.until("thirty more have come", |scrape| folded(scrape) >= 60.0);
    watch.during(Duration::from_secs(4));
    let after = watch.settled();
    // A simulated cgroup's files come one by one: one that is met before it is whole is met, and counted, twice.
    assert!((60.0..90.0).contains(&folded(&after)), "{}", after.text);
    assert_eq!(shown(&after).0, MAX, "{}", after.text);
    assert_eq!(of_containers(&after), series, "not one series more");
    assert_eq!(exporter.log().matches("--workload.max=20").count(), 1, "said once: {}", exporter.log());
    let named = after.samples("noether_container_info").filter(|one| !one.label("container_id").is_empty());
    assert_eq!(named.count(), MAX, "who is folded has no identity");

    let at = |scrape: &Scrape| std::time::UNIX_EPOCH + Duration::from_secs_f64(scrape.ticked());
    let truth = simulation.truth_at(at(&after)).since(&simulation.truth_at(at(&before)));
    let owners = |scrape: &Scrape| scrape.account("cpu").expect("an account").owned() as f64 / 1e6;
    within(0.02, owners(&after) - owners(&before), truth.owned(Component::Cpu), "joules of all workloads");
    let alone = after.joules("container///_folded", "cpu") - before.joules("container///_folded", "cpu");
    assert!(alone > 0.5 * truth.owned(Component::Cpu), "{alone} J of {} J", truth.owned(Component::Cpu));
    assert!(shown(&after).1 > shown(&before).1);
}
