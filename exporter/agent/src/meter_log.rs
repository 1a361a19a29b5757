//! What the log says of meters that cannot be read: one line per cause and tick, one remedy per meter.

use std::sync::Arc;

use noether_core::counter::{Doubt, LeftOut};
use noether_core::reading::{Domain, Fault, Moment};
use noether_sources::Error;
use noether_sources::meter::Probe;

use crate::log::Once;

/// What is said of a counter that does not move.
pub const STILL: &str = "the counter can be read but stands still while the processors work, so it measures nothing and is \
    not shown as 0 W. Where no package is measured the model stands in. Look for a newer kernel or firmware; in a virtual machine \
    the hypervisor shows a counter that it does not drive";

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

/// Logs the steps of counters that this tick did not count: one line per domain and reason until it is over.
pub fn log_left_out(once: &mut Once, now: Moment, left_out: &[(Arc<Domain>, LeftOut)]) {
    for (domain, what) in left_out {
        let cause = format!("meter {}: {}: {}", domain.meter, domain.name, what.doubt.label());
        once.warn(now, cause, &left_out_text(domain, what));
    }
}

fn left_out_text(domain: &Domain, what: &LeftOut) -> String {
    let (seconds, watts) = (what.time.as_secs_f64(), what.bound.watts());
    let seen = match (what.values, what.doubt) {
        (Some((from, to)), Doubt::Fall) => {
            format!(
                "fell from {from} J to {to} J in {seconds:.3} s, and no wrap at up to {watts} W explains that"
            )
        }
        (Some((from, to)), Doubt::Jump) => {
            format!(
                "rose from {from} J to {to} J in {seconds:.3} s, which no such domain draws ({watts} W at most)"
            )
        }
        (Some((from, to)), Doubt::Ambiguous) => format!(
            "went from {from} J to {to} J in {seconds:.0} s, in which it may have wrapped more than once at {watts} W"
        ),
        (None, Doubt::Jump) => format!("shows more power than any such domain draws ({watts} W)"),
        (None, _) => "shows a counter instead of power".to_owned(),
    };
    let (meter, name, reason) = (domain.meter, &domain.name, what.doubt.label());
    format!("meter {meter}: {name} {seen}: the step is left out (reason {reason})")
}

/// Logs which domains have begun to stand still while the processors work: one line per meter.
pub fn log_still(once: &mut Once, now: Moment, still: &[Arc<Domain>]) {
    let mut lines: Vec<(&str, Vec<&str>)> = Vec::new();
    for domain in still {
        if once.begins(now, format!("meter {}: {} stands still", domain.meter, domain.name)) {
            match lines.iter_mut().find(|(meter, _)| *meter == domain.meter) {
                Some((_, names)) => names.push(&domain.name),
                None => lines.push((domain.meter, vec![&domain.name])),
            }
        }
    }
    for (meter, names) in lines {
        let names = names.join(", ");
        tracing::warn!("meter {meter}: {names}: {STILL}");
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
    fn a_step_that_is_left_out_is_said_with_its_figures() {
        use noether_core::plausible::Bounds;
        use noether_core::reading::{Component, Place, Quality, Reading, Role};
        use noether_core::units::Energy;
        let domain = Arc::new(Domain {
            meter: "rapl",
            name: "package-0".into(),
            component: Component::Cpu,
            role: Role::Part,
            place: Place::default(),
            quality: Quality::Measured,
            max_power: None,
            may_mirror: false,
            generation: 0,
        });
        let mut counter = noether_core::counter::Counter::default();
        let mut step = |second, joules| {
            let reading = Reading::Total(Energy::from_joules(joules));
            match counter.advance(at(second), reading, &Bounds::of(&domain)) {
                noether_core::counter::Step::Reset(left_out) => Some(left_out_text(&domain, &left_out)),
                _ => None,
            }
        };
        assert_eq!(step(0, 1000.0), None);
        assert_eq!(
            step(1, 90_000.0).as_deref(),
            Some(
                "meter rapl: package-0 rose from 1000.000000 J to 90000.000000 J in 1.000 s, which no such domain \
                 draws (3000 W at most): the step is left out (reason jump)"
            )
        );
        assert!(step(2, 7.0).is_some_and(|text| text.contains("fell from 90000.000000 J to 7.000000 J")));
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
