//! The command `doctor`: what was found, what not, why, and what mends it.

mod devices;
mod lists;
mod meters;
mod notes;
mod pods;
mod running;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use noether_core::granularity::Granularity;
use noether_core::workload::{Family, Workload};
use noether_sources::cgroup::{CgroupTree, Options, UNCOUNTED_REMEDY, uncounted_text};
use noether_sources::kubernetes::pod_resources::PodResources;
use noether_sources::topology::Topology;
use noether_sources::{Error, Machine};
use serde_json::json;
use tokio::runtime::Builder;

use crate::aside::{Aside, Hang};
use crate::clock;
use crate::fast::{self, Answer, Question};
use crate::meters::is_on;
use crate::names;
use crate::node::machine;
use crate::sandbox::{Confined, Reach, Sandbox};
use crate::settings::{Command, Format, NameSource, Settings, Switch};
use crate::units::UnitSwitch;

/// How long a source may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It works.
    Ok,
    /// It works, but not as it could.
    Warning,
    /// It is there and does not work.
    Failed,
    /// This machine has no such thing, or it is switched off.
    Absent,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Absent => "absent",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    kind: &'static str,
    name: String,
    state: State,
    detail: String,
    mend: Option<String>,
}

/// Prints the findings; fails where nothing measures.
pub fn run(settings: &Settings) -> ExitCode {
    // First of all, so that what is found is what the exporter would find.
    let begun = Sandbox::begin(settings, Command::Doctor, &[]);
    let machine = machine(settings);
    let chosen = fast::probes(|probe| is_on(&settings.meters, probe));
    let mut thread = fast::start(&machine, chosen);
    let (answer, hangs) = thread.insist(|| Question { rescan: true }, PATIENCE);
    let usage = answer.as_ref().map(|answer| [processors(answer), memory(answer)]);
    let (mut findings, measured) = match answer {
        Some(answer) => meters::findings(&mut thread, answer, &machine, settings),
        None => (Vec::new(), false),
    };
    findings.extend(hangs.iter().map(hanging));
    findings.extend(usage.into_iter().flatten());
    findings.push(watched_cgroups(&machine, settings));
    findings.extend(pods::findings(&machine, settings));
    findings.push(holders(settings));
    findings.extend(lists::finding(&machine));
    findings.push(privileges());
    findings.extend(given_up(begun));
    findings.push(granularity(settings.granularity));
    findings.extend(running::findings(settings));
    let text = match settings.format {
        Format::Text => text(&findings, measured),
        Format::Json => format!("{:#}\n", as_json(&findings, measured)),
    };
    // A closed pipe is no finding.
    let _ = io::stdout().write_all(text.as_bytes());
    if measured { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hanging(hang: &Hang) -> Finding {
    let mend = "a file system that does not answer (a FUSE whose server has died, lxcfs) has to be mounted anew; a driver, reset";
    let (kind, name, state) = ("hanging", hang.name.into(), State::Failed);
    Finding { kind, name, state, detail: hang.to_string(), mend: Some(mend.into()) }
}

fn processors(answer: &Answer) -> Finding {
    let cpu = match &answer.cpu.0 {
        Ok(cpu) => cpu,
        Err(error) => return failed("stat", error, "mount the host's /proc and pass --path.procfs"),
    };
    let sockets = Topology::of(answer.packages.as_deref().unwrap_or_default()).sockets();
    let mut detail = format!("{} processors on {sockets} socket(s)", cpu.each.len());
    let (mut state, mut mend) = (State::Ok, None);
    if let Some(error) = answer.troubles.first() {
        (state, detail) = (State::Warning, format!("{detail}, as far as they can be read: {error}"));
        mend = Some("mount the host's /sys and pass --path.sysfs".to_owned());
    }
    Finding { kind: "usage", name: "stat".into(), state, detail, mend }
}

fn memory(answer: &Answer) -> Finding {
    match &answer.memory.0 {
        Ok(memory) => Finding {
            kind: "usage",
            name: "meminfo".into(),
            state: State::Ok,
            detail: format!("{} MiB of {} MiB in use", memory.held() >> 20, memory.total >> 20),
            mend: None,
        },
        Err(error) => failed("meminfo", error, "mount the host's /proc and pass --path.procfs"),
    }
}

/// The cgroups, if they answer.
fn watched_cgroups(machine: &Machine, settings: &Settings) -> Finding {
    let (machine, settings) = (machine.clone(), settings.clone());
    let mut thread = Aside::new("cgroup", move || {
        let (machine, settings) = (machine.clone(), settings.clone());
        Box::new(move |(): ()| cgroups(&machine, &settings))
    });
    let (finding, hangs) = thread.insist(|| (), PATIENCE);
    finding.or_else(|| hangs.first().map(hanging)).unwrap_or_else(|| Finding {
        kind: "usage",
        name: "cgroup".into(),
        state: State::Failed,
        detail: format!("no answer for {} s", PATIENCE.as_secs()),
        mend: None,
    })
}

fn cgroups(machine: &Machine, settings: &Settings) -> Finding {
    let mend = "mount the host's /sys read-only and pass --path.sysfs, or pass --path.cgroupfs";
    let mut switch = UnitSwitch::new(settings.systemd_units);
    let options = Options {
        recognise: switch.recogniser(),
        sockets: None,
        memory: true,
        reserved: false,
        inotify: true,
        max_descriptors: 0,
    };
    let mut tree = match CgroupTree::open(machine, options) {
        Ok(tree) => tree,
        Err(error) => return failed("cgroup", &error, mend),
    };
    switch.follow(&mut tree, clock::now());
    let mut faults = Vec::new();
    let mut counts: BTreeMap<Option<Family>, usize> = BTreeMap::new();
    for cgroup in tree.read(&mut faults).iter().filter(|cgroup| cgroup.present) {
        let family = cgroup.workload.as_deref().map(|workload: &Workload| workload.key_by_id().family);
        *counts.entry(family).or_default() += 1;
    }
    let count = |family| counts.get(&Some(family)).copied().unwrap_or(0);
    let mut detail = format!(
        "{}: {} folders; {} containers, {} jobs, {} units, {} virtual machines",
        tree.layout(),
        tree.folders(),
        count(Family::Container),
        count(Family::Job),
        count(Family::Unit),
        count(Family::Vm)
    );
    let (mut state, mut mends) = (State::Ok, Vec::new());
    if let Some(error) = faults.first() {
        (state, detail) = (State::Warning, format!("{detail}; {error}"));
        mends.push("run noether as root, or as a user who may read the cgroup tree".to_owned());
    }
    if !tree.watches_all() {
        state = State::Warning;
        detail.push_str("; not all folders are watched, so the shortest-lived containers are seen late");
        mends.push("sysctl fs.inotify.max_user_watches=1048576".to_owned());
    }
    let jobs = tree.jobs_without_cpu_time();
    if jobs > 0 {
        state = State::Warning;
        detail.push_str(&format!("; {}", uncounted_text(jobs)));
        mends.push(UNCOUNTED_REMEDY.to_owned());
    }
    let mend = (!mends.is_empty()).then(|| mends.join("; "));
    Finding { kind: "usage", name: "cgroup".into(), state, detail, mend }
}

/// Who tells which container holds which GPU, besides Slurm, device cgroups and environments.
fn holders(settings: &Settings) -> Finding {
    let finding = |state, detail, mend: Option<&str>| Finding {
        kind: "holders",
        name: "kubelet".into(),
        state,
        detail,
        mend: mend.map(str::to_owned),
    };
    if settings.kubernetes.source == NameSource::Off {
        let detail = "switched off by --kubernetes=off: without names of pods nothing can be joined";
        return finding(State::Absent, detail.into(), None);
    }
    let socket = names::pod_resources_socket(settings);
    let told = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .map(|runtime| runtime.block_on(PodResources::probe(&socket)));
    match told {
        Ok(None) => finding(
            State::Absent,
            format!(
                "nothing at {}: who holds a GPU is told by Slurm, device cgroups and environments alone",
                socket.display()
            ),
            None,
        ),
        Ok(Some(Ok((devices, containers)))) => {
            let detail = format!(
                "{} gives {devices} GPUs or shares of one to {containers} containers",
                socket.display()
            );
            finding(State::Ok, detail, None)
        }
        Ok(Some(Err(why))) | Err(why) => finding(
            State::Warning,
            why,
            Some(
                "run noether as root, and mount the socket's folder, not the socket: a kubelet that restarts makes a new one",
            ),
        ),
    }
}

fn privileges() -> Finding {
    let root = rustix::process::geteuid().is_root();
    Finding {
        kind: "process",
        name: "privileges".into(),
        state: State::Ok,
        detail: if root {
            "runs as root".into()
        } else {
            "does not run as root: RAPL is mostly readable by root only".into()
        },
        mend: None,
    }
}

/// What the exporter gives up after its start, as it was given up just now.
fn given_up(begun: Result<Sandbox, String>) -> Vec<Finding> {
    let finding = |name: &str, state, detail: String, mend: Option<&str>| Finding {
        kind: "process",
        name: name.into(),
        state,
        detail,
        mend: mend.map(str::to_owned),
    };
    let completed = begun.and_then(|mut sandbox| {
        // On a thread of its own: the rest of the doctor is not among those that serve.
        let tried = thread::scope(|scope| scope.spawn(|| sandbox.complete()).join());
        tried.unwrap_or_else(|_| Err("the thread that tries the sandbox panicked".into()))?;
        Ok(sandbox)
    });
    let (capabilities, reach, confined) = match completed {
        Err(why) => return vec![finding("sandbox", State::Failed, why, None)],
        Ok(Sandbox::Off) => {
            let detail = "switched off by --security.sandbox=off: nothing is given up".to_owned();
            return vec![finding("sandbox", State::Warning, detail, Some("--security.sandbox=auto"))];
        }
        Ok(Sandbox::On { capabilities, reach, confined, .. }) => (capabilities, reach, confined),
    };
    let files = match (confined, reach) {
        (Some(Confined::Not(why)), _) => {
            let detail = format!("any file that its user may read stays open to it: {why}");
            finding(
                "landlock",
                State::Warning,
                detail,
                Some("run it with ReadOnlyPaths and the like; see docs/security.md"),
            )
        }
        (Some(done), Reach::All) => finding("landlock", State::Ok, format!("all threads {done}"), None),
        (Some(done), Reach::Serving(why)) => finding(
            "landlock",
            State::Ok,
            format!("the threads that serve {done}; not the others, since {why}"),
            None,
        ),
        (None, _) => finding("landlock", State::Failed, "not tried".into(), None),
    };
    let privileges = "set: no program that it could start gains any".to_owned();
    vec![
        finding("capabilities", State::Ok, capabilities.to_string(), None),
        finding("no_new_privs", State::Ok, privileges, None),
        files,
    ]
}

fn granularity(granularity: Granularity) -> Finding {
    let microjoules = granularity.step().microjoules();
    let step = match microjoules {
        1_000_000.. if microjoules.is_multiple_of(1_000_000) => format!("{} J", microjoules / 1_000_000),
        1_000.. if microjoules.is_multiple_of(1_000) => format!("{} mJ", microjoules / 1_000),
        _ => format!("{microjoules} uJ"),
    };
    Finding {
        kind: "process",
        name: "rounding".into(),
        state: if granularity == Granularity::FINEST { State::Absent } else { State::Ok },
        detail: format!("energy is shown in steps of {step}"),
        mend: None,
    }
}

fn failed(name: &str, error: &Error, mend: &str) -> Finding {
    Finding {
        kind: "usage",
        name: name.into(),
        state: State::Failed,
        detail: error.to_string(),
        mend: Some(mend.into()),
    }
}

const fn word(switch: Switch) -> &'static str {
    match switch {
        Switch::Auto => "auto",
        Switch::On => "on",
        Switch::Off => "off",
    }
}

fn text(findings: &[Finding], measured: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding { kind, name, state, detail, mend } = finding;
        text.push_str(&format!("{:<8} {:<8} {name:<12} {detail}\n", state.word(), kind));
        if let Some(mend) = mend {
            text.push_str(&format!("{:31}mend: {mend}\n", ""));
        }
    }
    text.push_str(verdict(measured));
    text.push('\n');
    text
}

fn as_json(findings: &[Finding], measured: bool) -> serde_json::Value {
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| {
            let Finding { kind, name, state, detail, mend } = finding;
            json!({"kind": kind, "name": name, "state": state.word(), "detail": detail, "mend": mend})
        })
        .collect();
    json!({"measured": measured, "verdict": verdict(measured), "findings": findings})
}

const fn verdict(measured: bool) -> &'static str {
    if measured { "energy is measured" } else { "nothing measures: energy is an estimate, or missing" }
}
