//! How a test waits, stands alone, and says that it cannot run.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it: a deadline against hanging, no measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(30);

static QUIET: RwLock<()> = RwLock::new(());

/// Keeps every other real-time test waiting: for those that load the processors, or measure what they do.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    QUIET.write().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps those that want to be alone waiting: for tests in real time that mostly sleep.
pub fn together() -> RwLockReadGuard<'static, ()> {
    QUIET.read().unwrap_or_else(PoisonError::into_inner)
}

/// Says that a test cannot run here, and why. An error where everything is to run (`CI`, `NOETHER_REQUIRE_ALL`); else the
/// reason is added to the file that `NOETHER_SKIPPED` names, which `./test` prints at its end.
pub fn cannot_run(test: &str, why: &str) {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    assert!(!set("CI") && !set("NOETHER_REQUIRE_ALL"), "{test} cannot run: {why}");
    eprintln!("SKIPPED {test}: {why}");
    if let Some(path) = env::var_os("NOETHER_SKIPPED") {
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("NOETHER_SKIPPED");
        writeln!(file, "{test}: {why}").expect("NOETHER_SKIPPED");
    }
}

/// Asks until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Whether a command can be found.
pub fn installed(command: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(command).is_file())
}

/// Asserts that two figures differ by at most a part of the expected one.
pub fn within(part: f64, found: f64, expected: f64, what: &str) {
    let off = (found - expected).abs() / expected.abs().max(1e-9);
    assert!(off <= part, "{what}: found {found:.3}, expected {expected:.3}: off by {:.2} %", off * 100.0);
}
