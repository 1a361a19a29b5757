//! v1 controllers with the unified hierarchy beside them.

use noether_core::sample::{Birth, Overlap};

use super::fixture::{Fixture, Watch, micros};
use crate::cgroup::Layout;

fn hybrid() -> Fixture {
    let host = Fixture::v1();
    host.write("cg/unified/cgroup.controllers", "\n");
    host.cpu("unified", 1);
    host
}

fn v1(host: &Fixture, path: &str, micros: u64) {
    host.write(&format!("cg/cpuacct/{path}/cpuacct.usage"), &format!("{}\n", micros * 1000));
}

#[test]
fn v1_serves_what_is_in_both() {
    let host = hybrid();
    v1(&host, "slice", 20);
    v1(&host, "slice/w1", 10);
    host.cpu("unified/slice", 21);
    host.cpu("unified/slice/w1", 11);
    host.cpu("unified/slice/w2", 5);
    let mut watch = host.open();
    assert_eq!(watch.tree.layout(), Layout::Hybrid);
    let all = watch.tick();
    assert_eq!(all.len(), 4, "one root, one slice, w1, w2");
    assert_eq!(watch.find(&all, "cpuacct/slice/w1").unwrap().1.cpu, micros(10));
    let (slice, _) = watch.find(&all, "cpuacct/slice").unwrap();
    let (_, alone) = watch.find(&all, "unified/slice/w2").unwrap();
    assert_eq!((alone.cpu, alone.parent), (micros(5), Some(*slice)), "v1 counts it there, too");
}

#[test]
fn what_only_the_unified_tree_has_lies_in_what_v1_serves() {
    let host = hybrid();
    v1(&host, "slice/w1", 10);
    v1(&host, "slice", 10);
    host.cpu("unified/slice/w1", 10);
    host.cpu("unified/slice/w1/a/w2", 4);
    host.cpu("unified/top/w3", 1);
    let mut watch = host.open();
    let all = watch.tick();
    let parent = |watch: &Watch, all: &[_], path| watch.find(all, path).unwrap().1.parent;
    let id = |watch: &Watch, all: &[_], path| Some(watch.find(all, path).unwrap().0);
    assert_eq!(parent(&watch, &all, "w1/a"), id(&watch, &all, "cpuacct/slice/w1"));
    assert_eq!(parent(&watch, &all, "a/w2"), id(&watch, &all, "w1/a"));
    assert_eq!(parent(&watch, &all, "unified/top"), None, "where v1 counts it is not known");

    // One that v1 gets later comes in between.
    v1(&host, "slice/w1/a", 6);
    let all = watch.tick();
    assert_eq!(parent(&watch, &all, "a/w2"), id(&watch, &all, "w1"), "not read in v1: no workload");
    v1(&host, "slice/w1/a/w9", 2);
    let all = watch.tick();
    assert_eq!(parent(&watch, &all, "a/w2"), id(&watch, &all, "cpuacct/slice/w1/a"));

    // And without v1's, it hangs under what is left.
    host.remove("cpuacct/slice/w1");
    let all = watch.tick();
    assert_eq!(parent(&watch, &all, "a/w2"), id(&watch, &all, "cpuacct/slice"));
}

#[test]
fn a_twin_takes_over_whichever_comes_first() {
    let host = hybrid();
    let mut watch = host.open();
    watch.tick();
    host.cpu("unified/slice/w1", 3);
    watch.rest();
    v1(&host, "slice/w1", 3);
    v1(&host, "slice", 3);
    let all = watch.tick();
    let (_, first) = watch.find(&all, "cpuacct/slice/w1").unwrap();
    assert_eq!((first.birth, first.cpu), (Birth::Now, micros(3)));
    assert!(watch.find(&all, "unified/slice/w1").is_none());

    host.cpu("unified/slice/w2", 4);
    assert_eq!(watch.see("unified/slice/w2").unwrap().1.cpu, micros(4));
    v1(&host, "slice/w2", 6);
    let all = watch.tick();
    let (_, old) = watch.find(&all, "unified/slice/w2").unwrap();
    assert_eq!((old.gone, old.cpu), (true, micros(4)));
    let (_, new) = watch.find(&all, "cpuacct/slice/w2").unwrap();
    assert_eq!((new.gone, new.birth), (false, Birth::Unknown), "what was told is not told again");

    host.remove("cpuacct/slice/w1");
    host.remove("unified/slice/w1");
    let all = watch.tick();
    assert_eq!(all.iter().filter(|(_, cgroup)| cgroup.gone).count(), 1);
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
}

/// A process of a v1 cgroup that the runtime left, in the unified tree, in another one.
fn process(host: &Fixture, pid: u32, classic: &str, unified: &str) {
    let file = format!("cg/cpuacct/{classic}/cgroup.procs");
    let before =
        std::fs::read_to_string(host.at(format!("cpuacct/{classic}/cgroup.procs"))).unwrap_or_default();
    host.write(&file, &format!("{before}{pid}\n"));
    host.write(&format!("proc/{pid}/cgroup"), &format!("4:cpu,cpuacct:/{classic}\n0::/{unified}\n"));
}

#[test]
fn a_container_left_in_its_daemons_unified_cgroup_overlaps_with_it() {
    let host = hybrid();
    v1(&host, "system.slice", 0);
    v1(&host, "docker", 0);
    v1(&host, "docker/w1", 0);
    host.cpu("unified/system.slice/wdaemon", 0);
    process(&host, 7, "docker/w1", "system.slice/wdaemon/deeper");
    let mut watch = host.open();
    let all = watch.tick();
    let id = |watch: &Watch, all: &[_], path| watch.find(all, path).unwrap().0;
    let overlap = |watch: &Watch, all: &[_], path| watch.find(all, path).unwrap().1.overlap;
    let expected = Overlap {
        within: id(&watch, &all, "unified/system.slice/wdaemon"),
        beyond: Some(id(&watch, &all, "cpuacct/system.slice")),
        memory: false,
    };
    assert_eq!(overlap(&watch, &all, "docker/w1"), Some(expected));

    // One too short-lived to be asked is where its neighbour is.
    v1(&host, "docker/w2", 3);
    let all = watch.tick();
    assert_eq!(overlap(&watch, &all, "docker/w2"), Some(expected));

    // Its processes move into a cgroup of its own.
    host.cpu("unified/docker/w1", 0);
    let all = watch.tick();
    assert_eq!(overlap(&watch, &all, "docker/w1"), None);
    process(&host, 8, "docker/w2", "docker/w2");
    host.write("proc/8/cgroup", "4:cpu,cpuacct:/docker/w2\n0::/\n");
    let all = watch.tick();
    assert_eq!(overlap(&watch, &all, "docker/w2"), None, "the root is no workload");

    // With the daemon's cgroup goes what lay in it.
    v1(&host, "docker/w3", 0);
    process(&host, 9, "docker/w3", "system.slice/wdaemon");
    let all = watch.tick();
    assert!(overlap(&watch, &all, "docker/w3").is_some());
    host.remove("unified/system.slice/wdaemon");
    let all = watch.tick();
    assert_eq!(overlap(&watch, &all, "docker/w3"), None);
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
}

#[test]
fn memory_of_a_container_is_not_its_daemons() {
    let host = hybrid();
    v1(&host, "docker/w1", 0);
    host.cpu("unified/system.slice/wdaemon", 0);
    host.write("cg/unified/system.slice/wdaemon/cgroup.procs", "7\n8\n");
    process(&host, 7, "docker/w1", "system.slice/wdaemon");
    host.write("proc/8/cgroup", "4:cpu,cpuacct:/\n0::/system.slice/wdaemon\n");
    host.write("proc/7/statm", "900 100 0 0 0 0 0\n");
    host.write("proc/8/statm", "900 10 0 0 0 0 0\n");
    let mut watch = host.open_with(|options| options.memory = true);
    let (_, daemon) = watch.see("system.slice/wdaemon").unwrap();
    assert_eq!(daemon.memory, Some(10 * 4096));
}

#[test]
fn cpu_time_may_be_in_the_unified_tree_alone() {
    let host = hybrid();
    std::fs::remove_dir_all(host.at("cpuacct")).unwrap();
    host.write("cg/unified/cgroup.controllers", "cpu\n");
    host.cpu("unified/slice/w1", 7);
    host.write("cg/memory/slice/w1/memory.usage_in_bytes", "9000\n");
    host.write("cg/memory/slice/w1/memory.stat", "total_inactive_file 4000\n");
    let mut watch = host.open_with(|options| options.memory = true);
    let (_, cgroup) = watch.see("slice/w1").unwrap();
    assert_eq!((cgroup.cpu, cgroup.memory), (micros(7), Some(5000)));
}
