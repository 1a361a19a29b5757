//! The cgroup trees of a simulated machine: v2, v1 or both.

use super::hardware::{Hardware, Hierarchy};
use super::model::{Group, Model};
use super::tree::Tree;
use super::whole;

const ROOT: &str = "sys/fs/cgroup";
const PERIOD: u64 = 100_000;
const CONTROLLERS: &str = "cpuset cpu io memory pids\n";

/// One mounted hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unified { controllers: bool },
    CpuAcct,
    Memory,
    Cpuset,
    Plain,
}

const V1: [(&str, Kind); 6] = [
    ("/cpu,cpuacct", Kind::CpuAcct),
    ("/memory", Kind::Memory),
    ("/cpuset", Kind::Cpuset),
    ("/freezer", Kind::Plain),
    ("/pids", Kind::Plain),
    ("/systemd", Kind::Plain),
];

fn mounts(hierarchy: Hierarchy) -> Vec<(&'static str, Kind)> {
    match hierarchy {
        Hierarchy::V2 => vec![("", Kind::Unified { controllers: true })],
        Hierarchy::V1 => V1.to_vec(),
        Hierarchy::Hybrid => {
            let mut mounts = V1.to_vec();
            mounts.push(("/unified", Kind::Unified { controllers: false }));
            mounts
        }
    }
}

/// Makes the empty hierarchies.
pub fn mount(tree: &mut Tree, hardware: &Hardware) {
    tree.folder(ROOT);
    if hardware.hierarchy != Hierarchy::V2 {
        tree.link(&format!("{ROOT}/cpu"), "cpu,cpuacct");
        tree.link(&format!("{ROOT}/cpuacct"), "cpu,cpuacct");
    }
    let model = Model::new(hardware.clone());
    make(tree, &model, "");
}

/// Makes the folders of a new cgroup, with everything that a kernel puts there.
pub fn make(tree: &mut Tree, model: &Model, path: &str) {
    each(model, path, |folder, kind, group| {
        tree.folder(folder);
        settings(tree, model, path, folder, kind, group);
        figures(tree, folder, kind, group, path.is_empty());
    });
}

/// Writes a cgroup's figures as they are now.
pub fn write(tree: &mut Tree, model: &Model, path: &str) {
    each(model, path, |folder, kind, group| figures(tree, folder, kind, group, path.is_empty()));
}

/// Removes a cgroup.
pub fn remove(tree: &mut Tree, hardware: &Hardware, path: &str) {
    for (mount, _) in mounts(hardware.hierarchy) {
        tree.remove(&format!("{ROOT}{mount}/{path}"));
    }
}

fn each(model: &Model, path: &str, mut visit: impl FnMut(&str, Kind, &Group)) {
    let group = model.group(path);
    for (mount, kind) in mounts(model.hardware().hierarchy) {
        if !group.unified_only || matches!(kind, Kind::Unified { .. }) {
            visit(format!("{ROOT}{mount}/{path}").trim_end_matches('/'), kind, group);
        }
    }
}

/// What changes seldom.
fn settings(tree: &mut Tree, model: &Model, path: &str, folder: &str, kind: Kind, group: &Group) {
    let mut put = |name: &str, content: &str| tree.put(&format!("{folder}/{name}"), content);
    let cpus = format!("{}\n", processors(model, path));
    let root = path.is_empty();
    match kind {
        Kind::Unified { controllers } => {
            let enabled = if controllers { CONTROLLERS } else { "\n" };
            put("cgroup.controllers", enabled);
            put("cgroup.subtree_control", enabled);
            put("cgroup.max.depth", "max\n");
            if controllers {
                put("cpuset.cpus.effective", &cpus);
            }
            if controllers && !root {
                put("cgroup.type", "domain\n");
                put("cpuset.cpus", if group.sockets.is_some() { &cpus } else { "\n" });
                put(
                    "cpu.max",
                    &format!("{} {PERIOD}\n", quota(group).map_or("max".to_owned(), |q| q.to_string())),
                );
                put("cpu.weight", "100\n");
                put(
                    "memory.max",
                    &group.memory_limit.map_or("max\n".to_owned(), |bytes| format!("{bytes}\n")),
                );
            }
        }
        Kind::CpuAcct if !root => {
            put("cpu.cfs_quota_us", &quota(group).map_or("-1\n".to_owned(), |quota| format!("{quota}\n")));
            put("cpu.cfs_period_us", &format!("{PERIOD}\n"));
            put("cpu.shares", "1024\n");
        }
        Kind::Memory => {
            let limit = group.memory_limit.unwrap_or(9_223_372_036_854_771_712);
            put("memory.limit_in_bytes", &format!("{limit}\n"));
        }
        Kind::Cpuset => {
            put("cpuset.cpus", &cpus);
            put("cpuset.effective_cpus", &cpus);
        }
        Kind::CpuAcct | Kind::Plain => {}
    }
}

fn quota(group: &Group) -> Option<u64> {
    group.cpu_limit.map(|cpus| whole(cpus * PERIOD as f64))
}

/// What changes all the time.
fn figures(tree: &mut Tree, folder: &str, kind: Kind, group: &Group, root: bool) {
    let mut put = |name: &str, content: &str| tree.put(&format!("{folder}/{name}"), content);
    put("cgroup.procs", &group.pid.map_or(String::new(), |pid| format!("{pid}\n")));
    let (memory, cache) = (group.memory, group.cache);
    match kind {
        Kind::Unified { controllers } => {
            put("cpu.stat", &cpu_stat(group.used, controllers));
            if controllers {
                put("memory.stat", &memory_stat(memory, cache));
            }
            if controllers && !root {
                put("memory.current", &format!("{}\n", memory + cache));
            }
            if !root {
                put("cgroup.events", &format!("populated {}\nfrozen 0\n", u8::from(group.population > 0)));
            }
        }
        Kind::CpuAcct => {
            put("cpuacct.usage", &format!("{}\n", whole(group.used_classic * 1e9)));
            let (user, system) = shares(group.used_classic * 100.0);
            put("cpuacct.stat", &format!("user {user}\nsystem {system}\n"));
        }
        Kind::Memory => {
            put("memory.stat", &memory_stat_v1(memory, cache));
            put("memory.usage_in_bytes", &format!("{}\n", memory + cache));
        }
        Kind::Cpuset | Kind::Plain => {}
    }
}

fn cpu_stat(used: f64, bandwidth: bool) -> String {
    let usage = whole(used * 1e6);
    let (user, _) = shares(used * 1e6);
    let throttled = if bandwidth { "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n" } else { "" };
    format!("usage_usec {usage}\nuser_usec {user}\nsystem_usec {}\n{throttled}", usage - user)
}

/// Four fifths of CPU time are the user's.
fn shares(ticks: f64) -> (u64, u64) {
    (whole(ticks * 0.8), whole(ticks * 0.2))
}

fn memory_stat(memory: u64, cache: u64) -> String {
    format!(
        "anon {memory}\nfile {cache}\nkernel 0\nfile_mapped 0\nfile_dirty 0\ninactive_anon 0\n\
         active_anon {memory}\ninactive_file {cache}\nactive_file 0\nunevictable 0\n"
    )
}

fn memory_stat_v1(memory: u64, cache: u64) -> String {
    // A parent's own figures are 0: only the totals count what lies below.
    format!(
        "cache 0\nrss 0\ninactive_file 0\nactive_file 0\nhierarchical_memory_limit 9223372036854771712\n\
         total_cache {cache}\ntotal_rss {memory}\ntotal_inactive_anon 0\ntotal_active_anon {memory}\n\
         total_inactive_file {cache}\ntotal_active_file 0\n"
    )
}

/// A list of processors as the kernel writes it: `0-3,8-11`.
fn processors(model: &Model, path: &str) -> String {
    let sockets = model.sockets(path).into_iter();
    let mut all: Vec<u32> = sockets.flat_map(|socket| model.hardware().sockets[socket].clone()).collect();
    all.sort_unstable();
    let runs = all.chunk_by(|a, b| a + 1 == *b);
    let runs = runs.map(|run| match run {
        [only] => only.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
}
