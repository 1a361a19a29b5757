//! The chart's own tests, in Python: Helm's engine and Kubernetes' schemas are to be had as packages there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::outcome::installed;

/// What `tests/chart/python` ends with where its packages cannot be had.
const NO_PACKAGES: i32 = 75;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs Python with the packages that the chart's tests are made of; or says why it cannot.
pub fn python(arguments: &[&str]) -> Result<Output, String> {
    execute(&root().join("tests/chart/python"), arguments)
}

/// Runs `helm/generate`.
pub fn generate(arguments: &[&str]) -> Result<Output, String> {
    execute(&root().join("helm/generate"), arguments)
}

fn execute(program: &Path, arguments: &[&str]) -> Result<Output, String> {
    if !installed("python3") {
        return Err("python3 is not installed (Debian package python3-venv)".to_owned());
    }
    let folder = root().join("tests/chart");
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("bash");
    if output.status.code() == Some(NO_PACKAGES) {
        return Err(String::from_utf8_lossy(&output.stderr)
            .lines()
            .last()
            .unwrap_or("no packages")
            .to_owned());
    }
    Ok(output)
}

/// What each exporter of a case is told: subcommand and flags. By the cases' names.
pub fn arguments() -> Result<BTreeMap<String, Vec<Vec<String>>>, String> {
    let output = python(&["arguments.py"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "arguments.py: {said}");
    Ok(serde_json::from_slice(&output.stdout).expect("lists of texts by name"))
}

/// The configuration that the Prometheus Operator would make of the chart's monitors and rules, for these two addresses. The
/// rules are written into the folder.
pub fn operators(folder: &Path, node: &str, grid: &str) -> String {
    let folder = folder.to_str().expect("UTF-8");
    let output = python(&["scrape.py", folder, node, grid]).unwrap_or_else(|why| panic!("{why}"));
    assert!(output.status.success(), "scrape.py: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("JSON")
}
