//! The chart: what is generated of it is current, and its own tests, in Python, pass.

use std::process::Output;

use noether_tests::chart::{arguments, generate, operators, python};
use noether_tests::exporter::Exporter;
use noether_tests::kubernetes::{Cluster, Pod, PodsApi};
use noether_tests::machine::{Hardware, Machine, Simulation, scratch};
use noether_tests::outcome::{cannot_run, together, until};
use noether_tests::prometheus::Prometheus;

fn passes(test: &str, outcome: Result<Output, String>) {
    match outcome {
        Err(why) => cannot_run(test, &why),
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
    }
}

fn module(test: &str, name: &str) {
    passes(test, python(&["-m", "unittest", name]));
}

#[test]
fn what_is_generated_is_current() {
    passes("what_is_generated_is_current", generate(&["--check"]));
}

#[test]
fn every_values_file_renders_and_validates() {
    module("every_values_file_renders_and_validates", "test_render");
}

#[test]
fn it_asks_for_the_least_privilege() {
    module("it_asks_for_the_least_privilege", "test_policy");
}

#[test]
fn a_typo_is_refused_by_name() {
    module("a_typo_is_refused_by_name", "test_values");
}

#[test]
fn flags_rules_and_targets_are_those_that_there_are() {
    let test = "flags_rules_and_targets_are_those_that_there_are";
    if !Prometheus::installed() {
        return cannot_run(test, "promtool is not installed (Debian package prometheus)");
    }
    module(test, "test_contract");
}

/// What a pod's exporter is told, for this machine instead of what is mounted at `/host`, and for nobody outside of it.
pub(crate) fn at_home(told: &[String], machine: &Machine) -> Vec<String> {
    let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
    let root = machine.root().display().to_string();
    // Where it listens is the test's business; providers of intensity are not to be asked, nor tokens read that are not here.
    let away = |flag: &str| {
        let own = flag == "--grid.provider=static";
        !own && ["--web.listen-address", "--grid.provider", "--grid.url", "--grid.token-file"]
            .contains(&&*name(flag))
    };
    let mut flags: Vec<String> = told
        .iter()
        .filter(|flag| !away(flag))
        .map(|flag| flag.replace("=/host", &format!("={root}")).replace("$(NODE_IP)", "127.0.0.1"))
        .collect();
    if told.first().is_some_and(|word| word == "node") {
        let missing = |flag: &String| flags.iter().all(|one| name(one) != name(flag));
        flags.extend(machine.flags().into_iter().filter(missing).collect::<Vec<_>>());
    }
    flags
}

#[test]
fn the_exporter_takes_what_it_is_told() {
    let _guard = together();
    let cases = match arguments() {
        Err(why) => return cannot_run("the_exporter_takes_what_it_is_told", &why),
        Ok(cases) => cases,
    };
    let machine = Machine::new(Hardware::laptop(), vec![]);
    let mut started = 0;
    for told in cases.values().flatten() {
        // Certificates and passwords are in Secrets; what a web configuration says is tested elsewhere.
        if told.iter().any(|flag| flag.starts_with("--web.config.file")) {
            continue;
        }
        // It ends with 64 where it takes anything ill, which this would tell.
        let exporter = Exporter::start(&at_home(told, &machine));
        assert!(exporter.metrics().contains("noether_build_info"), "{told:?}");
        started += 1;
    }
    assert!(started > 25, "{started}");
}

/// The chart's own arguments, monitors and rules, with a real Prometheus in the place of the operator's.
#[test]
fn prometheus_gets_pods_by_name_and_their_emissions() {
    let test = "prometheus_gets_pods_by_name_and_their_emissions";
    let _guard = together();
    if !Prometheus::installed() {
        return cannot_run(test, "prometheus is not installed (Debian package prometheus)");
    }
    let told = match arguments() {
        Err(why) => return cannot_run(test, &why),
        Ok(mut cases) => cases.remove("servicemonitor").expect("the case"),
    };
    let pod = Pod::running("shop", "web", 1, 1);
    let machine = Machine::new(Hardware::laptop(), vec![pod.load(1, 1).cpu(&[0.5])]);
    let cluster = Cluster::default();
    cluster.put(&pod);
    let socket = machine.root().join("var/lib/kubelet/pods-api/pods-api.sock");
    let _api = PodsApi::start(&socket, "v1alpha1", &cluster);
    let start = |word: &str, machine: &Machine| {
        let told = told.iter().find(|told| told[0] == word).expect("such an exporter");
        Exporter::start(&at_home(told, machine))
    };
    let (grid, node) = (start("grid", &machine), start("node", &machine));
    let _simulation = Simulation::start(machine);
    let folder = scratch();
    let prometheus = Prometheus::configured(&operators(folder.path(), node.address(), grid.address()));
    let some =
        |query: &str| until(query, || Some(prometheus.instant(query)).filter(|found| !found.is_empty()));

    let of_pod =
        r#"{namespace="shop",pod="web",container="app",node="node-1",cluster="prod-1",job="noether"}"#;
    some(&format!("noether_container_energy_joules_total{of_pod} > 0"));
    some(r#"pod:noether_energy_joules:increase{namespace="shop",pod="web"} > 0"#);
    some(r#"namespace:noether_emissions_grams:increase{namespace="shop"} > 0"#);
    some(r#"noether_node_energy_joules_total{node="node-1",namespace="",pod="",container=""}"#);
    some(
        r#"noether_grid_carbon_intensity_grams_per_kwh{job="noether-grid",node="",namespace="",cluster="prod-1"}"#,
    );
    let own = prometheus.instant(r#"{namespace="energy-system"}"#);
    assert!(own.is_empty(), "the exporter's own pod stands on series: {own:?}");
}
