//! Golden scrapes: a whole scrape of a still host, compared line by line with the one that was found good.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Families that tell of the process and its clock, not of the host: left out.
const LEFT_OUT: [&str; 7] = [
    "process_",
    "noether_http_",
    "noether_build_info",
    "noether_tick_duration_seconds",
    "noether_ticks_missed_total",
    "noether_source_read_seconds",
    "noether_last_tick_timestamp_seconds",
];

/// Families whose value depends on how long an interval happened to be: the value is masked, the series stays.
const MASKED: [&str; 1] = ["noether_domain_power_watts"];

/// Compares a scrape with `golden/<host>/metrics.txt`, or writes that file where `NOETHER_BLESS=1`. Values of families
/// whose names begin with one of `masked` are of no matter.
pub fn compare(host: &str, text: &str, masked: &[&str]) {
    let found = filter(text, masked);
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(host).join("metrics.txt");
    if env::var_os("NOETHER_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().expect("a parent")).expect("the golden folder");
        fs::write(&path, found).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; NOETHER_BLESS=1 writes it. Found:\n{found}", path.display())
    });
    let differences = differences(&golden, &found);
    assert!(
        differences.is_empty(),
        "{host}: the scrape is not the golden one (NOETHER_BLESS=1 accepts it):\n{differences}"
    );
}

/// What a golden file keeps of a scrape.
fn filter(text: &str, masked: &[&str]) -> String {
    let begins = |name: &str, with: &[&str]| with.iter().any(|prefix| name.starts_with(prefix));
    let mut kept = String::new();
    for line in text.lines() {
        let comment = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = comment.unwrap_or(line).split(['{', ' ']).next().unwrap_or("");
        if begins(name, &LEFT_OUT) {
            continue;
        }
        let masked = comment.is_none() && (begins(name, &MASKED) || begins(name, masked));
        kept += match line.rsplit_once(' ') {
            Some((series, _)) if masked => series,
            _ => line,
        };
        kept += if masked { " ~\n" } else { "\n" };
    }
    kept
}

/// The lines that only one of the two has.
fn differences(golden: &str, found: &str) -> String {
    let only = |sign: char, of: &str, other: &str| -> String {
        let other: std::collections::BTreeSet<&str> = other.lines().collect();
        of.lines().filter(|line| !other.contains(line)).map(|line| format!("{sign} {line}\n")).collect()
    };
    let differences = only('-', golden, found) + &only('+', found, golden);
    if differences.is_empty() && golden != found {
        "  the order of the lines\n".to_owned()
    } else {
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_left_out_and_watts_masked() {
        let text = "# HELP process_threads T.\n# TYPE process_threads gauge\nprocess_threads 3\n\
                    # HELP noether_domain_power_watts W.\n# TYPE noether_domain_power_watts gauge\n\
                    noether_domain_power_watts{meter=\"rapl\"} 3.5\na_total{x=\"a b\"} 1\nb 2\n";
        let kept = "# HELP noether_domain_power_watts W.\n# TYPE noether_domain_power_watts gauge\n\
                    noether_domain_power_watts{meter=\"rapl\"} ~\na_total{x=\"a b\"} ~\nb 2\n";
        assert_eq!(filter(text, &["a_"]), kept);
    }

    #[test]
    fn differences_are_told() {
        assert_eq!(differences("a\nb\n", "a\nc\n"), "- b\n+ c\n");
        assert_eq!(differences("a\nb\n", "b\na\n"), "  the order of the lines\n");
        assert_eq!(differences("a\n", "a\n"), "");
    }
}
