//! The command line: a wrong word ends it with exit 64 and says which, and what was meant.

use std::fs;
use std::process::Output;

use noether_tests::exporter::{Exporter, run, run_with};
use noether_tests::machine::{Hardware, Machine};
use noether_tests::outcome::together;

/// Exit 64, and a message that has all of these words.
fn misuse(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

#[test]
fn wrong_flags() {
    misuse(&run(&["--no-such-flag=1"]), &["--no-such-flag"]);
    misuse(&run(&["--sample.intervall=1s"]), &["--sample.intervall", "--sample.interval"]);
    misuse(&run(&["--sample.interval=soon"]), &["sample.interval", "soon"]);
    misuse(&run(&["--sample.interval=50ms"]), &["sample.interval", "100ms"]);
    misuse(&run(&["--meter.rapl=perhaps"]), &["meter.rapl", "perhaps"]);
    misuse(&run(&["--attribution.idle=some"]), &["attribution.idle", "some"]);
    misuse(&run(&["--attribution.idle-watts=cpu"]), &["attribution.idle-watts"]);
    misuse(&run(&["--web.listen-address=nowhere"]), &["web.listen-address", "nowhere"]);
    misuse(&run(&["nod"]), &["nod"]);
}

#[test]
fn wrong_environment() {
    misuse(
        &run_with(&[("NOETHER_SAMPLE_INTERVAL", "soon")], &["node"]),
        &["NOETHER_SAMPLE_INTERVAL", "soon"],
    );
}

#[test]
fn wrong_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noether.yaml");
    let flag = format!("--config.file={}", path.display());
    for (content, words) in [
        ("sample:\n  intervall: 1s\n", &["intervall", "interval", "2"][..]),
        ("sample:\n  interval: 1s\nsample:\n  interval: 2s\n", &["sample"]),
        ("sample:\n  interval: [1s]\n", &["interval"]),
        ("sample: 3\n", &["sample"]),
        ("- 1\n", &["noether.yaml"]),
        ("sample: {\n", &["noether.yaml"]),
    ] {
        fs::write(&path, content).unwrap();
        misuse(&run(&[&flag]), words);
    }
    misuse(&run(&["--config.file=/nonexistent.yaml"]), &["/nonexistent.yaml"]);
}

#[test]
fn flags_precede_the_file() {
    let _guard = together();
    let machine = Machine::new(Hardware::laptop(), Vec::new());
    let path = machine.folder().join("noether.yaml");
    fs::write(&path, "web:\n  telemetry-path: /file\n").unwrap();
    let mut flags = machine.flags();
    flags.push(format!("--config.file={}", path.display()));
    assert_eq!(Exporter::start(&flags).page("/file").status, 200);
    flags.push("--web.telemetry-path=/flag".to_owned());
    let exporter = Exporter::start(&flags);
    assert_eq!((exporter.page("/flag").status, exporter.page("/file").status), (200, 404));
}

#[test]
fn help_and_version() {
    for flags in [["--help"], ["--version"]] {
        let output = run(&flags);
        assert_eq!(output.status.code(), Some(0), "{flags:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("noether"), "{flags:?}");
    }
}
