//! Uid 0 without any capability, as the chart starts it: it reads what belongs to root, and nothing else of others.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use noether_tests::chart::arguments;
use noether_tests::exporter::{Exporter, run_under};
use noether_tests::kubernetes::{Cluster, Pod, PodsApi};
use noether_tests::machine::{Fault, Hardware, Machine, Simulation};
use noether_tests::outcome::{cannot_run, installed, together};
use noether_tests::scrape::Scrape;

use crate::chart::at_home;
use crate::watch::Watch;

/// What drops every capability for good, as a container of the chart does.
const BARE: [&str; 8] = [
    "setpriv",
    "--reuid=0",
    "--regid=0",
    "--clear-groups",
    "--bounding-set=-all",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--no-new-privs",
];

/// `nobody`: whose files uid 0 may read only by a capability.
const OTHER: u32 = 65534;

/// Why it cannot be tried here.
fn obstacle() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can start an exporter as uid 0");
    }
    (!installed("setpriv")).then_some("setpriv is not installed (Debian package util-linux)")
}

/// A machine with one pod, whose energy counters are for their owner only, as the kernel makes them since 5.10.
fn machine(pod: &Pod) -> (Machine, Vec<PathBuf>) {
    let hardware = Hardware::laptop();
    let zones: Vec<String> = hardware.zones.iter().map(|zone| zone.folder.clone()).collect();
    let mut machine = Machine::new(hardware, vec![pod.load(1, 1).cpu(&[0.5])]);
    let class = machine.root().join("sys/class/powercap");
    let counters = zones.iter().map(|zone| class.join(zone).join("energy_uj")).collect();
    for zone in zones {
        machine.inflict(&zone, Fault::Private);
    }
    (machine, counters)
}

/// The chart's arguments by default, on this machine.
fn flags(machine: &Machine) -> Result<Vec<String>, String> {
    let cases = arguments()?;
    let [node] = cases["default"].as_slice() else { panic!("{cases:?}") };
    let mut flags = at_home(node, machine);
    flags.push("--sample.interval=100ms".to_owned());
    Ok(flags)
}

fn up(scrape: &Scrape) -> Option<f64> {
    scrape.value("noether_meter_up", &[("meter", "rapl")])
}

/// A line of `/proc/PID/status`.
fn status(exporter: &Exporter, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", exporter.pid())).expect("its status");
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_belongs_to_root_is_read() {
    let _guard = together();
    if let Some(why) = obstacle() {
        return cannot_run("what_belongs_to_root_is_read", why);
    }
    let pod = Pod::running("shop", "web", 1, 1);
    let (machine, counters) = machine(&pod);
    for counter in &counters {
        assert_eq!(fs::metadata(counter).expect("a counter").permissions().mode() & 0o777, 0o400);
    }
    let flags = match flags(&machine) {
        Err(why) => return cannot_run("what_belongs_to_root_is_read", &why),
        Ok(flags) => flags,
    };
    let cluster = Cluster::default();
    cluster.put(&pod);
    let socket = machine.root().join("var/lib/kubelet/pods-api/pods-api.sock");
    let _api = PodsApi::start(&socket, "v1alpha1", &cluster);
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o600)).expect("chmod");
    let simulation = Simulation::start(machine);
    let exporter = Exporter::start_under(&BARE, &flags);
    assert_eq!(status(&exporter, "Uid"), "0 0 0 0");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(&exporter, set), "0000000000000000", "{set}");
    }
    assert_eq!(status(&exporter, "NoNewPrivs"), "1");
    let mut watch = Watch::new(&exporter);
    let charged = |scrape: &Scrape| {
        let mut series = scrape.samples("noether_container_energy_joules_total");
        series.any(|one| {
            let labels = ["namespace", "pod", "container", "component", "mode"].map(|name| one.label(name));
            labels == ["shop", "web", "app", "cpu", "active"] && one.value() > 0.0
        })
    };
    let scrape = watch.until("the pod is charged by its name", charged);
    assert_eq!(up(&scrape), Some(1.0));
    for info in scrape.samples("noether_meter_info") {
        assert_eq!(info.label("quality"), "measured");
    }
    for error in ["noether_source_errors_total", "noether_meter_errors_total"] {
        for sample in scrape.samples(error).filter(|sample| sample.label("reason") == "permission") {
            assert!(sample.value() == 0.0, "{error}: {sample:?}");
        }
    }
    for source in ["stat", "meminfo", "cgroup", "kubernetes"] {
        assert_eq!(scrape.value("noether_source_up", &[("source", source)]), Some(1.0), "{source}");
    }
    drop(simulation);
}

/// That the capabilities are gone, and not only said to be: with `CAP_DAC_OVERRIDE` this would be read.
#[test]
fn what_belongs_to_others_is_not() {
    let _guard = together();
    if let Some(why) = obstacle() {
        return cannot_run("what_belongs_to_others_is_not", why);
    }
    let (machine, counters) = machine(&Pod::running("shop", "web", 1, 1));
    for counter in &counters {
        chown(counter, Some(OTHER), Some(OTHER)).expect("chown");
    }
    let flags = match flags(&machine) {
        Err(why) => return cannot_run("what_belongs_to_others_is_not", &why),
        Ok(flags) => flags,
    };
    let exporter = Exporter::start_under(&BARE, &flags);
    assert_eq!(up(&exporter.scrape()), Some(0.0));
    // By itself it gives them up, too.
    let all = [&flags[..], &["--security.sandbox=off".to_owned()]].concat();
    assert_eq!(up(&Exporter::start(&all).scrape()), Some(1.0), "it is the capabilities that it lacks");
}

/// The kernel's own cgroups, without a capability.
#[test]
fn real_cgroups_need_none() {
    let _guard = together();
    if let Some(why) = obstacle() {
        return cannot_run("real_cgroups_need_none", why);
    }
    let output = run_under(&BARE, &["doctor", "--systemd.units=on", "--kubernetes=off"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for source in ["stat", "meminfo", "cgroup"] {
        let line = text.lines().find(|line| line.split_whitespace().nth(2) == Some(source));
        assert!(line.is_some_and(|line| line.starts_with("ok")), "{source}:\n{text}");
    }
}
