//! The image: what is in it, and that with nothing but read-only mounts it measures a simulated machine and this one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use noether_tests::exporter::{Exporter, binary};
use noether_tests::machine::{Component, Hardware, Load, Machine, Simulation};
use noether_tests::nvml::{Driver, VARIABLE};
use noether_tests::outcome::{alone, cannot_run, together, until, within};
use noether_tests::podman::{EXPORTER, Podman};
use noether_tests::scrape::Scrape;
use serde_json::Value;

use crate::watch::Watch;

/// Where the host's folders are mounted: a runtime masks powercap in a container's own `/sys`.
const INSIDE: [&str; 2] = ["--path.sysfs=/host/sys", "--path.procfs=/host/proc"];

/// A Podman that has the image, or `None` where that cannot be. Tests that run at the same time share it.
fn podman(test: &str) -> Option<Arc<Podman>> {
    static SHARED: Mutex<Weak<Podman>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(podman) = shared.upgrade() {
        return Some(podman);
    }
    let podman = Podman::start().and_then(|podman| podman.build(&binary()).map(|()| Arc::new(podman)));
    let podman = podman.map_err(|why| cannot_run(test, &why)).ok()?;
    *shared = Arc::downgrade(&podman);
    Some(podman)
}

fn flags(more: &[&str]) -> Vec<String> {
    INSIDE.iter().chain(more).map(|&flag| flag.to_owned()).collect()
}

/// The mounts of a simulated machine.
fn mounts(root: &Path) -> [String; 2] {
    ["sys", "proc"].map(|name| format!("--volume={}:/host/{name}:ro", root.join(name).display()))
}

/// Every file below a folder, symbolic links not followed.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .flat_map(|entry| match entry.file_type().expect("its type").is_dir() {
            true => files(&entry.path()),
            false => vec![entry.path()],
        })
        .collect()
}

/// The counters of powercap's zones.
fn counters(root: &Path) -> Vec<PathBuf> {
    let all = files(&root.join("sys"));
    let counters: Vec<_> = all.into_iter().filter(|path| path.ends_with("energy_uj")).collect();
    assert!(counters.len() > 1, "{counters:?}");
    counters
}

#[test]
fn it_holds_one_program_and_says_what_it_is_made_of() {
    let Some(podman) = podman("it_holds_one_program_and_says_what_it_is_made_of") else { return };
    let folder = noether_tests::machine::scratch();
    podman.unpack(EXPORTER, folder.path());
    let within = |path: &Path| path.strip_prefix(folder.path()).expect("inside").display().to_string();
    let programs: Vec<String> = files(folder.path())
        .into_iter()
        .filter(|path| path.symlink_metadata().expect("metadata").mode() & 0o170_111 > 0o100_000)
        .filter(|path| path.symlink_metadata().expect("metadata").is_file())
        .map(|path| within(&path))
        .filter(|path| !path.contains(".so."))
        .collect();
    assert_eq!(programs, ["usr/bin/noether"], "no shell, and nothing else to run");
    let odd: Vec<_> = files(folder.path())
        .into_iter()
        .filter(|path| path.symlink_metadata().expect("metadata").mode() & 0o6002 != 0)
        .filter(|path| !path.is_symlink())
        .collect();
    assert!(odd.is_empty(), "set-user-id, set-group-id or writable by all: {odd:?}");

    let inspected = podman.inspect(EXPORTER);
    let label = |name: &str| &inspected["Labels"][format!("org.opencontainers.image.{name}")];
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), "Apache-2.0");
    assert!(label("revision").as_str().is_some_and(|revision| revision.len() == 40), "{inspected}");
    assert_eq!(inspected["Config"]["Entrypoint"], serde_json::json!(["/usr/bin/noether"]));
    assert_eq!(inspected["Config"]["User"], "0:0");

    let bom = fs::read(folder.path().join("usr/share/noether/sbom.cdx.json")).expect("the SBOM");
    judge(&serde_json::from_slice(&bom).expect("JSON"));
}

/// The SBOM has the crates that are linked, each as it is locked, and the packages that the files come from.
fn judge(bom: &Value) {
    assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let components = bom["components"].as_array().expect("components");
    let names: BTreeSet<String> = components.iter().map(|one| text(&one["name"])).collect();
    for name in ["noether-core", "hyper", "rustls", "libc6", "libgcc-s1", "ca-certificates"] {
        assert!(names.contains(name), "{name} is missing: {names:?}");
    }
    for name in ["windows-sys", "proptest", "noether-tests", "rcgen"] {
        assert!(!names.contains(name), "{name} is not linked");
    }
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).expect("Cargo.lock");
    for one in components.iter().filter(|one| !text(&one["bom-ref"]).starts_with("pkg:deb/")) {
        let locked = format!("name = {}\nversion = {}\n", one["name"], one["version"]);
        assert!(lock.contains(&locked), "{one} is not in Cargo.lock");
    }
}

#[test]
fn uid_0_without_capabilities_reads_what_is_uid_0s_alone() {
    let Some(podman) = podman("uid_0_without_capabilities_reads_what_is_uid_0s_alone") else { return };
    let _guard = together();
    let loads = vec![
        Load::docker(1).cpu(&[1.0, 0.0]).sockets(&[0]).memory(8.0),
        Load::pod(2, 2).cpu(&[0.5, 0.5]).memory(2.0),
    ];
    let simulation = Simulation::start(Machine::new(Hardware::intel(), loads));
    let counters = counters(&simulation.root());
    for counter in &counters {
        fs::set_permissions(counter, Permissions::from_mode(0o400)).expect("chmod");
        assert_eq!(fs::metadata(counter).expect("metadata").uid(), 0, "this test runs as root");
    }
    let mounts = mounts(&simulation.root());
    let options: Vec<&str> = mounts.iter().map(String::as_str).collect();
    let program = podman.program("simulated", &options);
    let mut exporter = Exporter::start_by(program.clone(), &flags(&["--sample.interval=200ms"]));
    judge_privileges(podman.pid("simulated"));

    let mut watch = Watch::new(&exporter);
    let before = watch.settled();
    watch.during(Duration::from_secs(5));
    let after = watch.settled();
    assert_eq!(after.value("noether_meter_up", &[("meter", "rapl")]), Some(1.0), "{}", after.text);
    let wall = |scrape: &Scrape| std::time::SystemTime::UNIX_EPOCH + Duration::from_secs_f64(scrape.ticked());
    let truth = simulation.truth_at(wall(&after)).since(&simulation.truth_at(wall(&before)));
    for owner in truth.owners.keys() {
        let spent = after.joules(owner, "cpu") - before.joules(owner, "cpu");
        within(0.05, spent, truth.of(owner, Component::Cpu), owner);
    }
    assert!(exporter.terminate().success(), "SIGTERM reaches it as the container's first process");

    // The same files, were they another's: whoever had a capability to override that would read them.
    counters.iter().for_each(|counter| chown(counter, Some(65534), None).expect("chown"));
    let exporter = Exporter::start_by(program, &flags(&["--sample.interval=200ms"]));
    let refused = exporter.scrape();
    assert_eq!(refused.value("noether_meter_up", &[("meter", "rapl")]), Some(0.0), "{}", refused.text);
}

/// The process has no capability, can gain none, and can write to nothing of the host's, nor to its own root.
fn judge_privileges(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().split_whitespace().next().unwrap_or_default().to_owned()
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0".repeat(16), "{set}");
    }
    assert_eq!((field("NoNewPrivs").as_str(), field("Uid").as_str()), ("1", "0"));
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("its mounts");
    // What is mounted last at a place is what is seen there.
    let seen: BTreeMap<&str, &str> = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .map(|words| (words[4], words[5]))
        .filter(|(place, _)| *place == "/" || place.starts_with("/host"))
        .collect();
    assert!(seen.contains_key("/host/sys"), "{seen:#?}");
    let writable: Vec<_> =
        seen.iter().filter(|(_, options)| !options.split(',').any(|o| o == "ro")).collect();
    assert!(writable.is_empty(), "writable: {writable:#?}");
}

#[test]
fn nvml_is_loaded_from_where_a_runtime_mounts_it() {
    let Some(podman) = podman("nvml_is_loaded_from_where_a_runtime_mounts_it") else { return };
    let _guard = together();
    let machine = Machine::new(Hardware::vm(), vec![Load::docker(1)]);
    let driver = Driver::new(machine.folder(), 2);
    let folder = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let mut options = mounts(&machine.root()).to_vec();
    options.push(format!("--volume={}:{folder}/libnvidia-ml.so.1:ro", driver.library.display()));
    options.push(format!("--volume={}:/state:ro", machine.folder().display()));
    options.push(format!("--env={VARIABLE}=/state/nvml.json"));
    let program = podman.program("gpus", &options.iter().map(String::as_str).collect::<Vec<_>>());
    let exporter = Exporter::start_by(program, &flags(&["--sample.interval=200ms"]));
    let scrape =
        exporter.scrape_until("the GPUs are shown", |scrape| scrape.family("noether_gpu_info").is_some());
    assert_eq!(scrape.samples("noether_gpu_info").count(), 2, "{}", scrape.text);
}

/// Every mount of a control group tree: `ro` holds for the one mount that it is said of, not for those inside.
fn cgroup_mounts() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    let inside = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let inside = inside.filter(|path| path.starts_with("/sys/"));
    inside.map(|path| format!("--volume={path}:/host{path}:ro")).collect()
}

#[test]
fn it_measures_the_containers_beside_it() {
    let _guard = alone();
    let Some(podman) = podman("it_measures_the_containers_beside_it") else { return };
    let mut options =
        vec!["--volume=/sys:/host/sys:ro".to_owned(), "--volume=/proc:/host/proc:ro".to_owned()];
    options.extend(cgroup_mounts());
    let program = podman.program("real", &options.iter().map(String::as_str).collect::<Vec<_>>());
    let model = ["--meter.rapl=off", "--meter.rapl_mmio=off", "--meter.model=on", "--sample.interval=200ms"];
    let exporter = Exporter::start_by(program, &flags(&model));
    judge_privileges(podman.pid("real"));
    let mut watch = Watch::new(&exporter);
    watch.settled();
    let busy = podman.run(podman.parent(), "while :; do :; done");
    let (name, owner) = (busy.id()[..12].to_owned(), format!("container///{}", &busy.id()[..12]));
    watch.until("it costs something", |scrape| scrape.joules(&owner, "cpu") > 0.0);
    let seconds = |scrape: &Scrape| {
        let labels = [("container", name.as_str())];
        scrape.value("noether_container_cpu_seconds_total", &labels).unwrap_or(0.0)
    };
    let (before, from) = (watch.ticked(), busy.used());
    watch.during(Duration::from_secs(5));
    let (after, to) = (watch.ticked(), busy.used());
    within(0.03, seconds(&after) - seconds(&before), to - from, "CPU seconds of the busy container");
    assert!(after.joules(&owner, "cpu") > before.joules(&owner, "cpu"));
    let labels = [("container_id", busy.id()), ("runtime", "podman")];
    assert_eq!(after.value("noether_container_info", &labels), Some(1.0), "{}", after.text);
    // The exporter is a container like others, and pays for itself.
    until("it shows itself", || {
        let shown = watch.scrape();
        (shown.samples("noether_container_cpu_seconds_total").count() >= 2).then_some(())
    });
}
