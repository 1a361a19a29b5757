//! The meters, as doctor finds them: which are there, which can be read, and which of those measure.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use noether_core::gpu::Look;
use noether_core::reading::{Component, DomainReading, Quality, Reading, Role};
use noether_core::units::Energy;
use noether_sources::meter::{Longest, Probe};
use noether_sources::scope::ScopeWatch;
use noether_sources::{Error, Machine, model};

use super::{Finding, State, devices, notes, word};
use crate::aside::Aside;
use crate::fast::{Answer, Question};
use crate::meter_log::STILL;
use crate::meters::{Meters, Slot};
use crate::settings::{Settings, Switch};

/// The time between two looks at the counters. RAPL's are updated each millisecond, and some no oftener than once a second.
const PAUSE: Duration = Duration::from_millis(1100);
/// So often a counter is looked at that does not move while the processors work: some are updated every few seconds.
const LOOKS: usize = 5;
/// So much CPU time between two looks says that the processors work.
const WORK: Duration = Duration::from_millis(50);

/// What was seen of all meters.
struct Seen {
    meters: Meters,
    readings: Vec<DomainReading>,
    looks: Vec<Arc<Look>>,
    faults: Vec<(&'static Probe, Error)>,
    /// The counters that did not move between the first look and the last, by meter and name.
    still: Vec<(&'static str, String)>,
    /// Whether the processors worked meanwhile.
    worked: bool,
}

impl Seen {
    /// Looks at the meters twice, and again where a counter does not move though the processors work.
    fn look(thread: &mut Aside<Question, Answer>, first: Answer, settings: &Settings) -> Self {
        let (mut meters, mut faults) = (Meters::asked(&settings.meters), Vec::new());
        let begun = take(first, &mut meters, &mut faults);
        let mut still: Vec<_> = meters.readings.iter().filter_map(counter).collect();
        // The model has a figure at the first look, and at a later one only if time has passed for the processors.
        let mut readings: Vec<_> = meters.readings.iter().filter(|one| is_modelled(one)).cloned().collect();
        let mut looks = meters.looks.clone();
        let mut worked = false;
        for _ in 0..LOOKS {
            if still.is_empty() {
                break;
            }
            thread::sleep(PAUSE);
            // What hangs only now is found by the exporter, not here.
            let Some(answer) = thread.insist(|| Question { rescan: false }, PAUSE).0 else { break };
            // What was said when they were opened is not said again.
            let busy = take(answer, &mut meters, &mut faults);
            if !meters.looks.is_empty() {
                looks.clone_from(&meters.looks);
            }
            let now: Vec<_> = meters.readings.iter().filter_map(counter).collect();
            still.retain(|one| now.contains(one));
            worked = busy.zip(begun).is_some_and(|(busy, begun)| busy.saturating_sub(begun) >= WORK);
            if !worked {
                break;
            }
        }
        let still = still.into_iter().map(|(meter, name, _)| (meter, name)).collect();
        readings.extend(meters.readings.iter().filter(|one| !is_modelled(one)).cloned());
        Self { meters, readings, looks, faults, still, worked }
    }

    fn stands(&self, one: &DomainReading) -> bool {
        self.still.iter().any(|(meter, name)| *meter == one.domain.meter && **name == *one.domain.name)
    }

    /// Whether a domain measures, as far as one can tell: what stands still while nothing works may be well.
    fn measures(&self, one: &DomainReading) -> bool {
        let stands = self.worked && self.stands(one);
        one.reading.is_ok() && !is_modelled(one) && one.domain.role != Role::Nested && !stands
    }
}

/// Takes over what the meters gave, and says how long the processors have worked by then.
fn take(answer: Answer, meters: &mut Meters, faults: &mut Vec<(&'static Probe, Error)>) -> Option<Duration> {
    meters.begin_tick();
    answer.meters.into_iter().for_each(|answer| meters.take(answer, faults));
    // What cannot be read is a finding of its own.
    Some(answer.cpu.0.ok()?.all.busy)
}

fn is_modelled(one: &DomainReading) -> bool {
    one.domain.quality == Quality::Modelled
}

/// The value of a counter that has to move while the processors work.
fn counter(one: &DomainReading) -> Option<(&'static str, String, Energy)> {
    let moves = one.domain.component != Component::Gpu && matches!(one.domain.role, Role::Part | Role::Whole);
    match one.reading {
        Ok(Reading::Counter { total, .. } | Reading::Total(total)) if moves => {
            Some((one.domain.meter, one.domain.name.to_string(), total))
        }
        _ => None,
    }
}

/// The meters, and whether any of them measures.
pub(super) fn findings(
    thread: &mut Aside<Question, Answer>,
    first: Answer,
    machine: &Machine,
    settings: &Settings,
) -> (Vec<Finding>, bool) {
    let seen = Seen::look(thread, first, settings);
    let measured = seen.readings.iter().any(|one| seen.measures(one));
    let of_cpu =
        |one: &DomainReading| one.domain.component == Component::Cpu && one.domain.role == Role::Part;
    let stands_by = seen.readings.iter().any(|one| of_cpu(one) && seen.measures(one));
    let mut findings: Vec<Finding> = Vec::new();
    for (name, switch) in &settings.meters {
        let slot = seen.meters.slots().iter().find(|slot| slot.probe.name == *name);
        findings.push(match slot {
            None => Finding {
                kind: "meter",
                name: (*name).into(),
                state: State::Absent,
                detail: format!("switched off by --meter.{name}={}", word(*switch)),
                mend: Some(format!("--meter.{name}=auto")),
            },
            Some(slot) => {
                let mut finding = meter(slot, *switch, &seen, (machine, stands_by));
                remark_on_devices(&mut finding, &seen.looks);
                remark_on_scope(&mut finding, &seen, machine);
                finding
            }
        });
    }
    let longest = seen.meters.longest_interval();
    findings.extend(longest.map(|longest| interval(&longest, settings.sample_interval)));
    (findings, measured)
}

fn meter(slot: &Slot, switch: Switch, seen: &Seen, (machine, stands_by): (&Machine, bool)) -> Finding {
    let probe = slot.probe;
    let finding =
        |state, detail, mend| Finding { kind: "meter", name: probe.name.into(), state, detail, mend };
    let mend = || Some(probe.mend.to_owned());
    if !slot.found() {
        let wanted = switch == Switch::On;
        let state = if wanted { State::Failed } else { State::Absent };
        return finding(
            state,
            format!("not on this machine: nothing at {}", probe.reads),
            wanted.then(mend).flatten(),
        );
    }
    let of_meter = seen.readings.iter().filter(|one| one.domain.meter == probe.name);
    let (good, bad): (Vec<_>, Vec<_>) = of_meter.partition(|one| one.reading.is_ok());
    let errors = seen.faults.iter().filter(|(of, _)| of.name == probe.name).map(|(_, error)| error);
    let causes = notes::causes(errors);
    let why = causes.first().cloned().unwrap_or_default();
    let noted = slot.notes();
    match (good.is_empty(), bad.is_empty()) {
        (false, true) if good.iter().all(|one| is_modelled(one)) => modelled(machine, stands_by, finding),
        (false, true) if good.iter().any(|one| seen.stands(one)) => {
            let (state, detail) = standing(seen, &good);
            finding(state, detail, seen.worked.then(|| STILL.to_owned()))
        }
        // What has no name yet, as a GPU that was lost before it could be asked, has only its fault.
        (false, true) if !why.is_empty() => {
            finding(State::Warning, format!("measures {}, but {}", names(&good), causes.join("; ")), mend())
        }
        (false, true) => {
            let (state, detail) = notes::detail(&noted, &format!("measures {}", names(&good)));
            finding(state, detail, None)
        }
        (false, false) => finding(
            State::Warning,
            format!("measures {}, but not {}: {why}", names(&good), names(&bad)),
            mend(),
        ),
        (true, false) => {
            finding(State::Failed, format!("found {}, but it cannot be read: {why}", names(&bad)), mend())
        }
        (true, true) if why.is_empty() && !noted.is_empty() => {
            let (state, detail) = notes::detail(&noted, "found, and measures nothing");
            finding(state, detail, None)
        }
        (true, true) => finding(State::Failed, format!("found, but has nothing to read: {why}"), mend()),
    }
}

/// Adds what changes the meaning of a meter's figures.
fn remark_on_devices(finding: &mut Finding, looks: &[Arc<Look>]) {
    let of_meter = looks.iter().filter(|look| look.device.domain.meter == finding.name);
    let remarks = devices::remarks(&of_meter.map(|look| &**look).collect::<Vec<_>>());
    for remark in &remarks.said {
        finding.detail.push_str("; ");
        finding.detail.push_str(remark);
    }
    if let (Some(fix), State::Ok) = (remarks.fix, finding.state) {
        (finding.state, finding.mend) = (State::Warning, Some(fix.to_owned()));
    }
}

/// How far apart the readings of counters that wrap may lie.
fn interval(longest: &Longest, set: Duration) -> Finding {
    let cut = set > longest.interval;
    let (state, what) = match cut {
        true => (State::Warning, format!("--sample.interval={set:?} is cut to that")),
        false => (State::Ok, "a longer --sample.interval is cut to that".to_owned()),
    };
    let mend = cut.then(|| format!("set an interval of at most {:?}", longest.interval));
    Finding { kind: "meter", name: "interval".into(), state, detail: format!("{longest}; {what}"), mend }
}

/// Adds whose counters they are, where they are not this system's own.
fn remark_on_scope(finding: &mut Finding, seen: &Seen, machine: &Machine) {
    let of_host =
        |one: &DomainReading| one.domain.quality == Quality::Host && one.domain.meter == finding.name;
    if seen.readings.iter().any(of_host) {
        finding.detail.push_str(&format!("; {}", ScopeWatch::new(machine).scope()));
        if finding.state == State::Ok {
            finding.state = State::Warning;
        }
    }
}

fn names(list: &[&DomainReading]) -> String {
    list.iter().map(|one| &*one.domain.name).collect::<Vec<_>>().join(", ")
}

/// What is said of a meter of which some domains did not move.
fn standing(seen: &Seen, good: &[&DomainReading]) -> (State, String) {
    let (still, moving): (Vec<_>, Vec<_>) =
        good.iter().filter(|one| one.domain.role != Role::Nested).partition(|one| seen.stands(one));
    let meanwhile = match seen.worked {
        true => "while the processors worked",
        false => "and neither did the processors' times, so nothing can be said of it",
    };
    let parts = |list: &[&DomainReading]| list.iter().filter(|one| one.domain.role == Role::Part).count();
    let state = if seen.worked && parts(&moving) == 0 { State::Failed } else { State::Warning };
    let moving = match moving.is_empty() {
        true => String::new(),
        false => format!("measures {}; ", names(&moving)),
    };
    (state, format!("{moving}{} did not move between looks {meanwhile}", names(&still)))
}

fn modelled(
    machine: &Machine,
    stands_by: bool,
    finding: impl Fn(State, String, Option<String>) -> Finding,
) -> Finding {
    let basis = match model::estimate(machine) {
        Ok(estimate) => {
            let (idle, full) = (estimate.idle.watts(), estimate.full.watts());
            format!("{idle:.1} W idle, {full:.1} W at full load ({})", estimate.basis)
        }
        Err(error) => return finding(State::Failed, error.to_string(), None),
    };
    if stands_by {
        return finding(State::Ok, format!("stands by: a measured meter has the processors; {basis}"), None);
    }
    let mend = "the processors' energy is an estimate. Make a measured meter readable (see above); most virtual machines have none";
    finding(State::Warning, format!("stands in for the missing meter: {basis}"), Some(mend.into()))
}
