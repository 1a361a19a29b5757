//! The chart: what is generated of it is current, and its own tests, in Python, pass.

use std::process::Output;

use noether_tests::chart::{generate, python};
use noether_tests::outcome::cannot_run;
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
