//! Energy becomes carbon in a real Prometheus, by the shipped rules, at the time it is used.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use noether_tests::exporter::Exporter;
use noether_tests::machine::{Component, Hardware, Load, Machine, Simulation, Truth, scratch};
use noether_tests::outcome::{cannot_run, together, until, within};
use noether_tests::prometheus::{Job, Prometheus};

use crate::watch::settled;

const PUE: f64 = 1.25;
/// gCO2eq per kWh, one after another.
const INTENSITIES: [f64; 6] = [100.0, 320.0, 180.0, 420.0, 60.0, 240.0];

/// How long each intensity lasts: seconds in the suite, a minute by hand (`NOETHER_CARBON_SECONDS=60`).
fn seconds() -> f64 {
    std::env::var("NOETHER_CARBON_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12.0)
}

fn rules() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/rules");
    let files = fs::read_dir(folder).expect("the rules").map(|entry| entry.expect("a file").path());
    files.map(|path| path.canonicalize().expect("a path")).collect()
}

/// Pods that stay, come, go, and work now and then, from `begin` on.
fn loads(begin: f64, seconds: f64) -> Vec<Load> {
    let at = |phases: f64| begin + phases * seconds;
    vec![
        Load::pod(1, 1).cpu(&[1.0, 1.0]).memory(4.0).from(at(0.0)),
        Load::pod(2, 2).cpu(&[0.5, 0.5]).memory(2.0).lives(at(0.5), at(3.5)),
        Load::pod(3, 3).cpu(&[0.8, 0.2]).memory(1.0).lives(at(2.0), at(5.0)),
        Load::pod(4, 4).cpu(&[1.0, 1.0]).duty(seconds / 2.0, seconds / 4.0).memory(1.0).from(at(0.25)),
    ]
}

fn pods(truth: &Truth) -> Vec<String> {
    let names = truth.owners.keys().filter_map(|owner| owner.strip_prefix("container//"));
    let mut pods: Vec<String> = names
        .filter_map(|name| Some(name.split_once('/')?.0.to_owned()))
        .filter(|pod| !pod.is_empty())
        .collect();
    pods.dedup();
    pods
}

fn joules(truth: &Truth, pod: &str) -> f64 {
    let owners = truth.owners.keys().filter(|owner| owner.starts_with(&format!("container//{pod}/")));
    owners
        .map(|owner| Component::ALL.into_iter().map(|component| truth.of(owner, component)).sum::<f64>())
        .sum()
}

#[test]
fn grams_of_each_pod_at_the_time_of_use() {
    let _guard = together();
    if !Prometheus::installed() {
        let why = "prometheus is not installed (Debian package prometheus)";
        return cannot_run("grams_of_each_pod_at_the_time_of_use", why);
    }
    let folder = scratch();
    let file = folder.path().join("intensity.csv");
    let write = |grams: f64| {
        let next = folder.path().join("next.csv");
        fs::write(&next, format!("zone,grams_per_kwh\nDE,{grams}\n")).expect("an intensity");
        fs::rename(&next, &file).expect("an intensity");
    };
    write(INTENSITIES[0]);
    let simulation =
        Simulation::start(Machine::new(Hardware::intel(), vec![Load::at("").cpu(&[0.3, 0.3]).memory(1.0)]));
    let mut flags = simulation.flags();
    flags.extend(["--sample.interval=200ms".to_owned(), "--grid.zone=DE".into(), format!("--pue={PUE}")]);
    flags.extend(["--grid.provider=file".to_owned(), format!("--grid.url={}", file.display())]);
    let exporter = Exporter::start(&flags);
    let job = Job { name: "n1".into(), target: exporter.address().to_owned(), interval: "1s".into() };
    let prometheus = Prometheus::recording(&[job], &rules(), "2s");
    let factor = "node:noether_emissions_grams_per_joule:mean";
    until("the rules know the intensity", || prometheus.instant(factor).pop());

    let seconds = seconds();
    simulation.edit(|machine| {
        let begin = machine.now();
        loads(begin, seconds).into_iter().for_each(|load| machine.add(load));
    });
    let mut truths = vec![simulation.truth()];
    for (n, grams) in INTENSITIES.into_iter().enumerate() {
        if n > 0 {
            write(grams);
        }
        sleep(Duration::from_secs_f64(seconds));
        truths.push(simulation.truth());
    }
    // Nothing is spent while what is held back comes out, at the last intensity still.
    simulation.pause();
    // A tick under way may have read the meters before, and the one after it is of them all.
    let paused = exporter.scrape().ticked();
    exporter.scrape_until("nothing is pending", |scrape| scrape.ticked() > paused + 0.5 && settled(scrape));
    sleep(Duration::from_secs(6));
    let counted = exporter.scrape();
    let own = |pod: &str| {
        let of = |component: &Component| {
            let account = counted.account(component.label()).expect("an account");
            let owners =
                account.owners.iter().filter(|(owner, _)| owner.starts_with(&format!("container//{pod}/")));
            owners.map(|(_, micro)| *micro as f64 / 1e6).sum::<f64>()
        };
        Component::ALL
            .iter()
            .filter(|component| counted.components().contains(component.label()))
            .map(of)
            .sum::<f64>()
    };
    for pod in pods(&truths[INTENSITIES.len()]) {
        let spent = |pair: &[Truth]| joules(&pair[1], &pod) - joules(&pair[0], &pod);
        let phases: Vec<(f64, f64)> = truths.windows(2).map(spent).zip(INTENSITIES).collect();
        let energy: f64 = phases.iter().map(|(joules, _)| joules).sum();
        let grams: f64 = phases.iter().map(|(joules, grams)| joules / 3.6e6 * PUE * grams).sum();
        let recorded = |name: &str| {
            let query = format!("sum(sum_over_time(pod:noether_{name}:increase{{pod=\"{pod}\"}}[1h]))");
            prometheus.instant(&query).first().map_or(0.0, |(_, value)| *value)
        };
        // What the exporter counted is what the rules record, to the joule; and that is what was spent.
        within(1e-9, recorded("energy_joules"), own(&pod), &format!("recorded joules of {pod}"));
        within(0.03, own(&pod), energy, &format!("joules of {pod}"));
        // A change of the intensity is seen a second or so later, which weighs where phases are short.
        let part = if seconds < 60.0 { 0.1 } else { 0.01 };
        let milligrams = recorded("emissions_grams") * 1e3 * energy / own(&pod);
        within(part, milligrams, grams * 1e3, &format!("milligrams of {pod}"));
    }
}
