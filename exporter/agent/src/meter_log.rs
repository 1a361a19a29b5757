//! What the log says of meters that cannot be read: one line per cause and tick, one remedy per meter.

use noether_core::reading::{Fault, Moment};
use noether_sources::Error;
use noether_sources::meter::Probe;

use crate::log::Once;

/// Faults of one meter that began in one tick and are of one kind: one line.
struct Line {
    probe: &'static Probe,
    kind: String,
    first: Error,
    others: Vec<String>,
}

/// Logs the faults that began in this tick, at `now`.
pub fn log(once: &mut Once, now: Moment, faults: Vec<(&'static Probe, Error)>) {
    for line in begun(once, now, faults) {
        let fault = line.first.fault();
        let remedy_key = format!("remedy of {} for {fault}", line.probe.name);
        let remedied = fault == Fault::Permission && once.begins_quietly(now, remedy_key);
        tracing::warn!("{}", text(&line, remedied));
    }
}

fn begun(once: &mut Once, now: Moment, faults: Vec<(&'static Probe, Error)>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (probe, error) in faults {
        // The remedy's episode lasts as long as any fault that it is for.
        if error.fault() == Fault::Permission {
            once.goes_on(now, &format!("remedy of {} for {}", probe.name, error.fault()));
        }
        if !once.begins(now, format!("meter {}: {}", probe.name, error.cause())) {
            tracing::debug!("meter {}: {error}", probe.name);
            continue;
        }
        let kind = error.kind();
        match lines.iter_mut().find(|line| line.probe.name == probe.name && line.kind == kind) {
            Some(line) => line.others.push(error.path().display().to_string()),
            None => lines.push(Line { probe, kind, first: error, others: Vec::new() }),
        }
    }
    lines
}

fn text(line: &Line, remedied: bool) -> String {
    let mut text = format!("meter {}: {}", line.probe.name, line.first);
    if !line.others.is_empty() {
        text.push_str(&format!("; likewise {}", line.others.join(", ")));
    }
    if remedied {
        text.push_str(&format!(": {}", line.probe.mend));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_sources::rapl::PROBE;
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    fn at(seconds: u64) -> Moment {
        Moment::from_boot(Duration::from_secs(seconds))
    }

    fn zones(error: impl Fn(&Path) -> Error) -> Vec<(&'static Probe, Error)> {
        (0..6).map(|zone| (&PROBE, error(Path::new(&format!("/sys/{zone}/energy_uj"))))).collect()
    }

    #[test]
    fn six_zones_with_a_value_that_changes_are_one_line() {
        let mut once = Once::default();
        let value = |second: u64| {
            zones(|path| Error::malformed(path, "microjoules", format!("{second}x").as_bytes()))
        };
        let lines = begun(&mut once, at(0), value(0));
        assert_eq!(lines.len(), 1);
        let text = text(&lines[0], false);
        assert!(text.contains("/sys/0/energy_uj: expected microjoules, found \"0x\""), "{text}");
        assert!(text.ends_with("/sys/5/energy_uj"), "{text}");
        for second in 1..31 {
            assert!(begun(&mut once, at(second), value(second)).is_empty());
        }
    }

    #[test]
    fn one_remedy_per_meter() {
        let mut once = Once::default();
        let denied = || zones(|path| Error::io(path, io::ErrorKind::PermissionDenied.into()));
        log(&mut once, at(0), denied());
        assert!(!once.begins_quietly(at(0), "remedy of rapl for permission".into()));
        assert!(begun(&mut once, at(1), denied()).is_empty());
    }
}
