//! What the exporter shows no finer than it should, and what it gives up: capabilities, privileges, files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use noether_tests::exporter::{Exporter, binary, run, run_with};
use noether_tests::http::once;
use noether_tests::machine::{Fault, Hardware, Load, Machine, Simulation, scratch};
use noether_tests::outcome::{cannot_run, installed, together, until};
use noether_tests::scrape::{Sample, Scrape};

use crate::watch::Watch;

fn loads() -> Vec<Load> {
    vec![
        Load::at("").cpu(&[0.2]),
        Load::docker(1).cpu(&[1.0]).memory(4.0),
        Load::docker(2).cpu(&[0.5]).memory(2.0).lives(0.0, 3.0),
        Load::docker(3).cpu(&[0.7]).memory(1.0).lives(1.5, 3.5),
    ]
}

fn with(mut flags: Vec<String>, more: &[&str]) -> Vec<String> {
    flags.extend(more.iter().map(|&flag| flag.to_owned()));
    flags
}

/// A machine whose counters only root may read, as since Linux 5.10.
fn private() -> Machine {
    let hardware = Hardware::laptop();
    let zones: Vec<String> = hardware.zones.iter().map(|zone| zone.folder.clone()).collect();
    let mut machine = Machine::new(hardware, loads());
    zones.iter().for_each(|zone| machine.inflict(zone, Fault::Private));
    machine
}

fn energies(scrape: &Scrape) -> impl Iterator<Item = &Sample> {
    let families = scrape.families.iter().filter(|family| family.name.contains("_energy_joules"));
    families.flat_map(|family| &family.samples)
}

fn node(scrape: &Scrape) -> i128 {
    scrape.components().iter().map(|component| scrape.account(component).unwrap().node).sum()
}

/// The law, and no counter that falls, are what [`Watch`] holds every scrape against.
#[test]
fn rounded_energy_keeps_the_law_and_shows_no_finer_step() {
    let _guard = together();
    let simulation = Simulation::start(Machine::new(Hardware::laptop(), loads()));
    let more = ["--ledger.granularity=250mJ", "--sample.interval=100ms", "--workload.linger=1s"];
    let exporter = Exporter::start(&with(simulation.flags(), &more));
    let mut watch = Watch::new(&exporter);
    let retired = |scrape: &Scrape| scrape.account("cpu").is_ok_and(|cpu| cpu.retired > 0);
    let mut rests = 0;
    watch.until("two containers have retired", |scrape| {
        for sample in energies(scrape) {
            assert_eq!(sample.micro().unwrap() % 250_000, 0, "{sample}");
        }
        // 250 mJ in the shortest interval, 100 ms.
        for sample in scrape.samples("noether_node_idle_power_watts") {
            assert_eq!((sample.value() * 1e6).round() as u64 % 2_500_000, 0, "{sample}");
        }
        rests += usize::from(scrape.account("cpu").unwrap().pending > 0);
        let living = scrape.account("cpu").unwrap().owners.len();
        retired(scrape) && living < 4 && node(scrape) > 20_000_000 && simulation.now() > 5.0
    });
    assert!(watch.seen > 10 && rests > 0, "{} scrapes, {rests} with something pending", watch.seen);
    let truth: f64 = simulation.truth().node.iter().sum();
    let found = node(&watch.scrape()) as f64 / 1e6;
    assert!(found <= truth + 1.0 && found > truth / 2.0, "{found} J of {truth} J");
}

#[test]
fn power_tells_no_more_than_the_rounded_energy() {
    let _guard = together();
    let simulation = Simulation::start(Machine::new(Hardware::laptop(), loads()));
    let more = ["--ledger.granularity=40J", "--sample.interval=500ms"];
    let exporter = Exporter::start(&with(simulation.flags(), &more));
    let mut watch = Watch::new(&exporter);
    let domain = |scrape: &Scrape, name: &str| {
        let labels = [("meter", "rapl"), ("domain", "package-0")];
        scrape.value(name, &labels).unwrap_or(0.0)
    };
    watch.until("the package is shown", |scrape| domain(scrape, "noether_domain_energy_joules_total") > 0.0);
    let (mut last, mut steps, mut stills) = (watch.ticked(), 0, 0);
    until("steps and standstills were seen", || {
        let next = watch.ticked();
        // Of two ticks at once nothing can be told.
        if next.ticked() - last.ticked() < 0.9 {
            let [before, after] =
                [&last, &next].map(|scrape| domain(scrape, "noether_domain_energy_joules_total"));
            let power = domain(&next, "noether_domain_power_watts");
            assert_eq!(power > 0.0, after > before, "{before} J, {after} J, {power} W");
            if after > before { steps += 1 } else { stills += 1 }
        }
        last = next;
        (steps > 1 && stills > 1).then_some(())
    });
}

#[test]
fn between_two_ticks_nothing_changes() {
    let _guard = together();
    let simulation = Simulation::start(Machine::new(Hardware::laptop(), loads()));
    let exporter = Exporter::start(&with(simulation.flags(), &["--sample.interval=1s"]));
    let mut pages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    until("several pages of several ticks were fetched", || {
        let scrape = exporter.scrape();
        let tick = scrape.samples("noether_last_tick_timestamp_seconds").next().unwrap().text.clone();
        pages.entry(tick).or_default().push(scrape.text);
        (pages.values().filter(|pages| pages.len() > 2).count() > 2).then_some(())
    });
    for pages in pages.values() {
        assert!(pages.iter().all(|page| *page == pages[0]), "two pages of one tick differ");
    }
}

#[test]
fn no_interval_below_the_floor() {
    let file = scratch();
    let path = file.path().join("noether.yml");
    fs::write(&path, "sample: {interval: 99ms}\n").unwrap();
    let outcomes = [
        run(&["--sample.interval=99ms"]),
        run(&["node", "--sample.interval=0"]),
        run_with(&[("NOETHER_SAMPLE_INTERVAL", "50ms")], &[]),
        run(&[format!("--config.file={}", path.display())]),
    ];
    for output in outcomes {
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{complaint}");
        assert!(complaint.contains("100ms") && complaint.contains("CVE-2020-8694"), "{complaint}");
    }
}

/// A field of each thread's status.
fn of_threads(exporter: &Exporter, field: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", exporter.pid())).unwrap();
    let statuses = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let value = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
        line.unwrap_or_else(|| panic!("no {field}")).to_owned()
    };
    statuses.map(value).collect()
}

fn assert_threads(exporter: &Exporter, field: &str, expected: &str) {
    let found = of_threads(exporter, field);
    assert!(found.len() > 1 && found.iter().all(|value| value == expected), "{field}: {found:?}");
}

/// Whether the exporter can be started with these privileges here.
fn can_start(test: &str) -> bool {
    let why = match (rustix::process::geteuid().is_root(), installed("setpriv")) {
        (false, _) => "only root can give the exporter other privileges",
        (_, false) => "no setpriv (util-linux)",
        _ => return true,
    };
    cannot_run(test, why);
    false
}

const NOTHING: &str = "0000000000000000";
const DAC_READ_SEARCH: &str = "0000000000000004";

/// Starts it on a machine whose counters are root's; whether it reads them.
fn reads(starter: &[&str], more: &[&str]) -> (Simulation, Exporter, bool) {
    let simulation = Simulation::start(private());
    let flags = with(simulation.flags(), &["--sample.interval=100ms"]);
    let exporter = Exporter::start_under(starter, &with(flags, more));
    let up = exporter.scrape().value("noether_meter_up", &[("meter", "rapl")]).unwrap();
    Watch::new(&exporter).settled();
    (simulation, exporter, up == 1.0)
}

#[test]
fn root_without_capabilities_reads_what_is_its_own() {
    let _guard = together();
    if !can_start("root_without_capabilities_reads_what_is_its_own") {
        return;
    }
    let dropped = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"];
    // Nothing but what setpriv took, and then with what the exporter gives up itself.
    for sandbox in ["--security.sandbox=off", "--security.sandbox=auto"] {
        let (_simulation, exporter, reads) = reads(&dropped, &[sandbox]);
        assert!(reads, "{sandbox}\n{}", exporter.log());
        assert_threads(&exporter, "CapEff", NOTHING);
        assert_threads(&exporter, "NoNewPrivs", "1");
    }
}

#[test]
fn root_gives_up_its_capabilities_itself() {
    let _guard = together();
    if !can_start("root_gives_up_its_capabilities_itself") {
        return;
    }
    let (_simulation, exporter, root_reads) = reads(&["setpriv"], &[]);
    assert!(root_reads, "{}", exporter.log());
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_threads(&exporter, field, NOTHING);
    }
    assert_threads(&exporter, "NoNewPrivs", "1");
    assert!(exporter.log().contains("gave up "), "{}", exporter.log());
    let (_simulation, exporter, _) = reads(&["setpriv"], &["--security.sandbox=off"]);
    assert_threads(&exporter, "NoNewPrivs", "0");
    assert!(of_threads(&exporter, "CapEff").iter().all(|set| set != NOTHING));
}

#[test]
fn another_user_needs_one_capability() {
    let _guard = together();
    if !can_start("another_user_needs_one_capability") {
        return;
    }
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"];
    let (_simulation, exporter, nobody_reads) = reads(&nobody, &[]);
    assert!(!nobody_reads);
    let log = exporter.log();
    assert!(log.contains("energy_uj") && log.contains("CAP_DAC_READ_SEARCH"), "no mend:\n{log}");
    assert_threads(&exporter, "CapEff", NOTHING);
    let capable = [&nobody[..], &["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]].concat();
    let (_simulation, exporter, capable_reads) = reads(&capable, &[]);
    assert!(capable_reads, "{}", exporter.log());
    assert_threads(&exporter, "CapEff", DAC_READ_SEARCH);
    assert_threads(&exporter, "CapAmb", NOTHING);
}

/// Whether this kernel confines processes to files; else why not, by the exporter's own words.
fn can_confine(test: &str) -> bool {
    let output = run(&["doctor", "--format=json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = found["findings"].as_array().expect("findings");
    let landlock = findings.iter().find(|one| one["name"] == "landlock").expect("a finding");
    if landlock["state"] == "ok" {
        return true;
    }
    cannot_run(test, landlock["detail"].as_str().expect("a detail"));
    false
}

fn users(password: &str) -> String {
    format!("basic_auth_users: {{ada: {}}}\n", bcrypt::hash(password, 4).unwrap())
}

/// Asks as ada, whose password is one of a few.
fn asked(exporter: &Exporter, password: &str) -> u16 {
    let header = match password {
        "one" => "Basic YWRhOm9uZQ==",
        "two" => "Basic YWRhOnR3bw==",
        _ => panic!("{password}"),
    };
    once(exporter.address(), "GET", "/metrics", &[("Authorization", header)]).unwrap().status
}

/// A folder that Kubernetes mounts: the file is a link through `..data`, which is swapped for another folder.
fn publish(folder: &Path, version: &str, text: &str) {
    fs::create_dir(folder.join(version)).unwrap();
    fs::write(folder.join(version).join("web.yml"), text).unwrap();
    symlink(version, folder.join("..new")).unwrap();
    fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    if fs::symlink_metadata(folder.join("web.yml")).is_err() {
        symlink("..data/web.yml", folder.join("web.yml")).unwrap();
    }
}

#[test]
fn a_confined_exporter_follows_what_is_replaced_and_nothing_else() {
    let _guard = together();
    if !can_confine("a_confined_exporter_follows_what_is_replaced_and_nothing_else") {
        return;
    }
    let (folder, elsewhere) = (scratch(), scratch());
    publish(folder.path(), "..1", &users("one"));
    let mut machine = Machine::new(Hardware::laptop(), loads());
    let socket = folder.path().join("noether.sock");
    let more = [
        "--security.sandbox=on",
        "--sample.interval=100ms",
        &format!("--web.config.file={}", folder.path().join("web.yml").display()),
        &format!("--web.listen-address=unix:{}", socket.display()),
    ];
    let mut exporter = Exporter::start_guarded(&with(machine.flags(), &more));
    until("it has measured", || (asked(&exporter, "one") == 200).then_some(()));
    assert!(exporter.log().contains("all threads use only the files that they need"), "{}", exporter.log());
    publish(folder.path(), "..2", &users("two"));
    until("the new password holds", || (asked(&exporter, "two") == 200).then_some(()));
    assert_eq!(asked(&exporter, "one"), 401);

    // A file outside of the folders that it was told of, which root could read otherwise.
    fs::write(elsewhere.path().join("web.yml"), users("one")).unwrap();
    fs::remove_file(folder.path().join("web.yml")).unwrap();
    symlink(elsewhere.path().join("web.yml"), folder.path().join("web.yml")).unwrap();
    until("it says what it may not read", || {
        assert_eq!(asked(&exporter, "two"), 200);
        exporter.log().contains("Permission denied").then_some(())
    });

    // The whole of sysfs is replaced; energy goes on from the new one.
    let root = machine.root();
    let copied = Command::new("cp").arg("-a").args([root.join("sys"), root.join("new")]).status();
    assert!(copied.unwrap().success());
    fs::rename(root.join("sys"), root.join("old")).unwrap();
    fs::rename(root.join("new"), root.join("sys")).unwrap();
    fs::remove_dir_all(root.join("old")).unwrap();
    let header = [("Authorization", "Basic YWRhOnR3bw==")];
    let energy = || {
        let page = once(exporter.address(), "GET", "/metrics", &header).unwrap().text();
        let scrape = Scrape::parse(&page).unwrap();
        scrape.value("noether_meter_up", &[("meter", "rapl")]).map(|up| (up, node(&scrape)))
    };
    let before = energy().map_or(0, |(_, energy)| energy);
    until("energy of the new tree is counted", || {
        machine.advance(0.1);
        sleep(Duration::from_millis(80));
        energy().filter(|(up, energy)| *up == 1.0 && *energy > before + 1_000_000)
    });
    assert!(socket.exists());
    assert!(exporter.terminate().success());
    assert!(!socket.exists(), "its socket is removed at the end");
}

/// What lies outside of all that the exporter was told of is read by the meters' threads only where these have to look
/// into processes as well; never by the one that serves.
#[test]
fn where_processes_are_looked_into_only_the_server_is_confined() {
    let _guard = together();
    if !can_confine("where_processes_are_looked_into_only_the_server_is_confined") {
        return;
    }
    let reads = |more: &[&str]| {
        let (folder, elsewhere) = (scratch(), scratch());
        publish(folder.path(), "..1", &users("one"));
        let machine = Machine::new(Hardware::laptop(), loads());
        let counter = machine.root().join("sys/class/powercap/intel-rapl:0/energy_uj");
        fs::rename(&counter, elsewhere.path().join("energy_uj")).unwrap();
        symlink(elsewhere.path().join("energy_uj"), &counter).unwrap();
        let web = format!("--web.config.file={}", folder.path().join("web.yml").display());
        let flags = with(machine.flags(), &["--sample.interval=100ms", &web]);
        let exporter = Exporter::start_guarded(&with(flags, more));
        until("it has measured", || (asked(&exporter, "one") == 200).then_some(()));
        let meter = !exporter.log().contains("energy_uj: Permission denied");
        fs::write(elsewhere.path().join("web.yml"), users("two")).unwrap();
        fs::remove_file(folder.path().join("web.yml")).unwrap();
        symlink(elsewhere.path().join("web.yml"), folder.path().join("web.yml")).unwrap();
        (meter, asked(&exporter, "two") == 200)
    };
    assert_eq!(reads(&["--security.sandbox=on"]), (false, false));
    // Whoever names NVIDIA's library has a GPU.
    assert_eq!(reads(&["--nvml.library=/nowhere/libnvidia-ml.so.1"]), (true, false));
    assert_eq!(reads(&["--security.sandbox=off"]), (true, true));
}

#[test]
fn doctor_tells_what_is_given_up() {
    let _guard = together();
    let machine = Machine::new(Hardware::laptop(), vec![]);
    let doctor = |more: &[&str]| {
        let flags = with(vec!["doctor".to_owned()], &[]);
        let output = run(&with([flags, machine.flags()].concat(), more));
        String::from_utf8(output.stdout).expect("text")
    };
    let text = doctor(&["--ledger.granularity=100mJ"]);
    for words in ["capabilities", "no_new_privs", "landlock", "energy is shown in steps of 100 mJ"] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    let text = doctor(&["--security.sandbox=off"]);
    assert!(text.contains("--security.sandbox=auto") && !text.contains("no_new_privs"), "{text}");
}

/// The unit for systemd: no key that systemd does not know, and little that it leaves open.
#[test]
fn the_unit_is_right_and_tight() {
    if !installed("systemd-analyze") {
        return cannot_run("the_unit_is_right_and_tight", "no systemd-analyze (systemd)");
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd/noether.service");
    let text = fs::read_to_string(shipped).unwrap();
    // What is not installed here would be a finding of its own.
    assert!(text.contains("ExecStart=/usr/bin/noether node\n"));
    let folder = scratch();
    let unit = folder.path().join("noether.service");
    let program = format!("ExecStart={} node\n", binary().display());
    fs::write(&unit, text.replace("ExecStart=/usr/bin/noether node\n", &program)).unwrap();
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&unit).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let (right, found) = analyze(&["verify"]);
    assert!(right && !found.contains("noether.service"), "{found}");
    let (tight, found) = analyze(&["security", "--offline=true", "--no-pager", "--threshold=25"]);
    assert!(tight, "{found}");
}
