//! `/proc` of a simulated machine, as far as an exporter looks at it, and the topology under `/sys/devices/system/cpu`.

use std::fmt::Write;

use super::model::Model;
use super::tree::Tree;
use super::whole;

/// Clock ticks per second.
const TICKS: f64 = 100.0;
/// How long the machine had been idle when its time began.
const BEFORE: f64 = 1000.0;

/// Writes what `/proc` says now.
pub fn write(tree: &mut Tree, model: &Model) {
    tree.put("proc/stat", &stat(model));
    tree.put("proc/meminfo", &meminfo(model));
    // Written once; the tree knows that nothing has changed.
    tree.put("proc/cpuinfo", &cpuinfo(model));
    let cpus = || model.hardware().sockets.iter().flatten().copied();
    let list = |cpus: Vec<u32>| cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",") + "\n";
    tree.put("sys/devices/system/cpu/online", &list(cpus().filter(|cpu| model.is_online(*cpu)).collect()));
    tree.put("sys/devices/system/cpu/possible", &list(cpus().collect()));
    for (socket, cpus) in model.hardware().sockets.iter().enumerate() {
        for cpu in cpus {
            let topology = format!("sys/devices/system/cpu/cpu{cpu}/topology");
            if !model.is_online(*cpu) {
                tree.folder(&format!("sys/devices/system/cpu/cpu{cpu}"));
                tree.remove(&topology);
                continue;
            }
            tree.put(&format!("{topology}/physical_package_id"), &format!("{socket}\n"));
            tree.put(&format!("{topology}/core_id"), &format!("{cpu}\n"));
            tree.put(&format!("{topology}/die_id"), "0\n");
        }
    }
}

/// A processor's user, system and idle time, in ticks.
fn ticks(model: &Model, cpu: u32) -> [u64; 3] {
    let busy = model.busy_of(cpu);
    [busy * 0.8, busy * 0.2, BEFORE + model.now() - busy].map(|seconds| whole(seconds * TICKS))
}

/// What lxcfs shows: the work of one cgroup, on processors of its own count.
fn container_stat(model: &Model, cpus: u32, path: &str) -> String {
    let (busy, all) = (model.group(path).used, f64::from(cpus));
    let line = |name: &str, part: f64| {
        let idle = (BEFORE + model.now()) * all - busy;
        format!("{name} {} 0 0 {} 0 0 0 0 0 0\n", whole(busy * part * TICKS), whole(idle * part * TICKS))
    };
    let each = (0..cpus).map(|cpu| line(&format!("cpu{cpu}"), 1.0 / all));
    line("cpu ", 1.0) + &each.collect::<String>() + "intr 0\nbtime 1700000000\n"
}

/// Those that are offline have no line, and the first line is the sum of the others.
fn stat(model: &Model) -> String {
    if let Some((cpus, path)) = model.hardware().container {
        return container_stat(model, cpus, path);
    }
    let line =
        |name: &str, [user, system, idle]: [u64; 3]| format!("{name} {user} 0 {system} {idle} 0 0 0 0 0 0\n");
    let cpus = model.hardware().sockets.iter().flatten().filter(|cpu| model.is_online(**cpu));
    let busy: f64 = cpus.clone().map(|cpu| model.busy_of(*cpu)).sum();
    let idle = (BEFORE + model.now()) * cpus.clone().count() as f64 - busy;
    let mut text = line("cpu ", [busy * 0.8, busy * 0.2, idle].map(|seconds| whole(seconds * TICKS)));
    for cpu in cpus {
        text += &line(&format!("cpu{cpu}"), ticks(model, *cpu));
    }
    text + "intr 0\nctxt 12345\nbtime 1700000000\nprocesses 4242\nprocs_running 1\nprocs_blocked 0\n"
}

fn meminfo(model: &Model) -> String {
    let kib = |bytes: u64| bytes / 1024;
    let total = model.hardware().memory;
    let cache = model.group("").cache;
    let free = total.checked_sub(model.held() + cache).expect("the loads fit into memory");
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free + cache),
        ("Buffers", 0),
        ("Cached", cache),
        ("SwapCached", 0),
        ("Active", model.held()),
        ("Inactive", cache),
        ("Active(anon)", model.held()),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", cache),
    ];
    rows.iter().fold(String::new(), |mut text, (name, bytes)| {
        writeln!(text, "{:<16}{:>8} kB", format!("{name}:"), kib(*bytes)).expect("a string");
        text
    })
}

fn cpuinfo(model: &Model) -> String {
    let processor = &model.hardware().processor;
    let flags =
        if processor.hypervisor { "fpu vme msr constant_tsc hypervisor" } else { "fpu vme msr constant_tsc" };
    let mut text = String::new();
    for (socket, cpus) in model.hardware().sockets.iter().enumerate() {
        for cpu in cpus {
            write!(
                text,
                "processor\t: {cpu}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\n\
                 stepping\t: 1\ncpu MHz\t\t: 2100.000\nphysical id\t: {socket}\nsiblings\t: {}\ncore id\t\t: {cpu}\n\
                 cpu cores\t: {}\nflags\t\t: {flags}\n\n",
                processor.vendor,
                processor.family,
                processor.model,
                processor.name,
                cpus.len(),
                cpus.len()
            )
            .expect("a string");
        }
    }
    text
}
