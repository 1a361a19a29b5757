//! `noether doctor`: what is found, what not, why, and the mend; it fails where nothing measures.

use std::process::Output;

use noether_tests::exporter::run;
use noether_tests::machine::{Fault, Hardware, Machine};
use noether_tests::outcome::together;

fn doctor(machine: &Machine, more: &[&str]) -> (Output, String) {
    let mut arguments = vec!["doctor".to_owned()];
    arguments.extend(machine.flags());
    arguments.extend(more.iter().map(|flag| (*flag).to_owned()));
    let output = run(&arguments);
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    (output, text)
}

#[test]
fn a_machine_that_measures() {
    let _guard = together();
    let machine = Machine::new(Hardware::intel(), vec![]);
    let (output, text) = doctor(&machine, &["--systemd.units=on"]);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in
        ["package-0", "dram-1", "psys", "stands by", "cgroup v2", "2 socket(s)", "energy is measured"]
    {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
}

#[test]
fn a_machine_without_meters() {
    let _guard = together();
    let machine = Machine::new(Hardware::vm(), vec![]);
    let (output, text) = doctor(&machine, &["--format=json"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(found["measured"], false);
    let state = |name: &str| {
        let findings = found["findings"].as_array().expect("findings");
        findings.iter().find(|one| one["name"] == name).map(|one| one["state"].clone())
    };
    assert_eq!(state("rapl"), Some("absent".into()));
    assert_eq!(state("model"), Some("warning".into()));
    assert_eq!(state("cgroup"), Some("ok".into()));
}

#[test]
fn a_counter_that_cannot_be_read() {
    let _guard = together();
    let hardware = Hardware::laptop();
    let zones: Vec<String> = hardware.zones.iter().map(|zone| zone.folder.clone()).collect();
    let mut machine = Machine::new(hardware, vec![]);
    for zone in zones {
        machine.inflict(&zone, Fault::Folder);
    }
    let (output, text) = doctor(&machine, &[]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for words in ["energy_uj", "mend", "--path.sysfs", "stands in"] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
}

#[test]
fn what_is_switched_off_is_said() {
    let _guard = together();
    let machine = Machine::new(Hardware::intel(), vec![]);
    let (output, text) = doctor(&machine, &["--meter.rapl=off", "--meter.rapl_mmio=off"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--meter.rapl=off"), "{text}");
}
