//! The shipped rules: valid, tested one by one, documented, and made of names that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use noether_core::metric::METRICS;
use noether_tests::outcome::cannot_run;
use noether_tests::prometheus::Prometheus;

const WHY: &str = "promtool is not installed (Debian package prometheus)";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn texts(folder: &str) -> String {
    files(folder).iter().map(|path| fs::read_to_string(path).expect("a file")).collect()
}

/// What stands behind `- record:` or `- alert:`.
pub(crate) fn names(keyword: &str) -> BTreeSet<String> {
    let rules = texts("dashboards/rules");
    let lines = rules.lines().filter_map(|line| line.trim().strip_prefix(keyword));
    lines.map(|name| name.trim().to_owned()).collect()
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(root()).output().expect("promtool");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn they_do_what_their_tests_say() {
    if !Prometheus::installed() {
        return cannot_run("they_do_what_their_tests_say", WHY);
    }
    for file in files("dashboards/rules") {
        promtool(&["check", "rules", file.to_str().expect("UTF-8")]);
    }
    thread::scope(|scope| {
        for file in files("tests/rules") {
            scope.spawn(move || promtool(&["test", "rules", file.to_str().expect("UTF-8")]));
        }
    });
}

#[test]
fn the_scrape_configuration_is_right() {
    if !Prometheus::installed() {
        return cannot_run("the_scrape_configuration_is_right", WHY);
    }
    promtool(&["check", "config", "dashboards/prometheus.yml"]);
}

#[test]
fn each_has_a_test() {
    let tests = texts("tests/rules");
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let words: BTreeSet<&str> = tests.split(|c| !is_name(c)).collect();
    for name in names("- record:").into_iter().chain(names("- alert:")) {
        assert!(words.contains(name.as_str()), "no test in tests/rules speaks of {name}");
    }
}

#[test]
fn each_alert_has_its_page_and_each_page_its_alert() {
    let pages: BTreeSet<String> = files("docs/alerts")
        .iter()
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(pages, names("- alert:"));
    let rules = texts("dashboards/rules");
    for alert in pages {
        assert!(
            rules.contains(&format!("runbook_url: https://noether.dev/docs/alerts/{alert}\n")),
            "{alert}"
        );
    }
    for annotation in ["summary:", "description:", "labels: {severity:"] {
        assert_eq!(rules.matches(annotation).count(), names("- alert:").len(), "{annotation}");
    }
}

#[test]
fn every_name_exists() {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let recorded = names("- record:");
    let rules = texts("dashboards/rules");
    let code = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    for word in code.flat_map(|line| line.split(|c| !is_name(c))) {
        let metric = METRICS.iter().any(|metric| metric.name == word);
        // The pattern of a whole group of copies ends like this.
        let word = word.strip_prefix(':').map_or_else(|| word.to_owned(), |rest| format!("container:{rest}"));
        let ours = ["noether_", "noether:"].iter().any(|start| word.starts_with(start))
            || word.contains(":noether_");
        assert!(!ours || metric || recorded.contains(&word), "nobody serves or records {word}");
    }
}
