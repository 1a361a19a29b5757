//! The unified hierarchy.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use noether_core::reading::Fault;
use noether_core::sample::{Birth, Reserved, Sockets};

use super::fixture::{Fixture, micros, recognise, sockets_of};
use crate::cgroup::Layout;

#[test]
fn the_first_tick_tells_workloads_their_parents_the_top_and_the_root() {
    let host = Fixture::v2();
    for (path, cpu) in [("slice", 90), ("slice/w1", 50), ("slice/w1/step", 40), ("slice/w1/step/inner", 7)] {
        host.cpu(path, cpu);
    }
    host.cpu("slice/w1/step/w2", 30);
    host.cpu("idle/deep", 1);
    host.cpu("idle", 1);
    let mut watch = host.open();
    assert_eq!(watch.tree.layout(), Layout::V2);
    let all = watch.tick();
    assert_eq!(all.len(), 6, "the root, slice, w1, step as the parent of w2, w2, idle");
    let id = |path| watch.find(&all, path).unwrap().0;
    let cgroup = |path| &watch.find(&all, path).unwrap().1;
    assert_eq!(cgroup("slice/w1").cpu, micros(50));
    assert_eq!(cgroup("w1/step/w2").parent, Some(id("w1/step")));
    assert_eq!(cgroup("w1/step").parent, Some(id("slice/w1")));
    assert_eq!(cgroup("slice/w1").parent, Some(id("slice")));
    assert_eq!(cgroup("slice").parent, Some(id("")));
    assert!(cgroup("slice").top_level && cgroup("idle").top_level && !cgroup("slice/w1").top_level);
    assert!(cgroup("slice/w1").workload.is_some() && cgroup("w1/step").workload.is_none());
    assert!(all.iter().all(|(_, cgroup)| cgroup.birth == Birth::Unknown && !cgroup.gone));
    assert!(watch.tick().iter().all(|(_, cgroup)| cgroup.birth == Birth::Earlier));
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
}

#[test]
fn a_cgroup_is_born_lives_and_goes() {
    let host = Fixture::v2();
    let mut watch = host.open();
    watch.tick();
    host.cpu("slice/w1", 10);
    watch.rest();
    let (id, cgroup) = watch.see("slice/w1").unwrap();
    assert_eq!((cgroup.birth, cgroup.cpu, cgroup.gone), (Birth::Now, micros(10), false));
    host.cpu("slice/w1", 20);
    assert_eq!(watch.see("slice/w1").map(|(_, c)| (c.birth, c.cpu)), Some((Birth::Earlier, micros(20))));
    host.cpu("slice/w1", 35);
    host.remove("slice/w1");
    watch.rest();
    let (last, cgroup) = watch.see("slice/w1").unwrap();
    assert_eq!(
        (last, cgroup.gone, cgroup.cpu),
        (id, true, micros(35)),
        "a fixture still tells the last value"
    );
    host.cpu("slice/w2", 1);
    watch.rest();
    let (next, _) = watch.see("slice/w2").unwrap();
    assert_ne!(next, id, "the place stays empty for a tick");
    assert!(watch.see("slice/w1").is_none());
    host.cpu("slice/w3", 1);
    assert_eq!(watch.see("slice/w3").unwrap().0, id);
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
}

#[test]
fn born_and_gone_between_two_ticks_is_told_once() {
    let host = Fixture::v2();
    host.cpu("slice", 1);
    let mut watch = host.open();
    watch.tick();
    host.cpu("slice/w1", 0);
    watch.rest();
    host.cpu("slice/w1", 77);
    host.remove("slice/w1");
    watch.rest();
    // And one that no one had a look at in time.
    host.cpu("slice/w2", 5);
    host.remove("slice/w2");
    let all = watch.tick();
    let (_, seen) = watch.find(&all, "slice/w1").unwrap();
    assert_eq!((seen.birth, seen.gone, seen.cpu), (Birth::Now, true, micros(77)));
    let (_, unseen) = watch.find(&all, "slice/w2").unwrap();
    assert_eq!((unseen.birth, unseen.gone, unseen.cpu), (Birth::Now, true, None));
    assert!(watch.tick().iter().all(|(_, cgroup)| !cgroup.gone));
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
}

#[test]
fn a_name_used_again_is_another_cgroup() {
    let host = Fixture::v2();
    host.cpu("slice/w1", 100);
    let mut watch = host.open();
    watch.tick();
    host.remove("slice/w1");
    host.cpu("slice/w1", 3);
    let mut both = watch.see_all("slice/w1");
    both.sort_by_key(|(_, cgroup)| !cgroup.gone);
    let told: Vec<_> = both.iter().map(|(_, cgroup)| (cgroup.gone, cgroup.birth, cgroup.cpu)).collect();
    assert_eq!(told, [(true, Birth::Earlier, micros(100)), (false, Birth::Now, micros(3))]);
}

#[test]
fn pod_and_container_made_in_one_go_are_both_new() {
    let host = Fixture::v2();
    host.cpu("kubepods", 1);
    let mut watch = host.open();
    watch.tick();
    host.cpu("kubepods/burst/pod1/w1", 4);
    host.cpu("kubepods/burst/pod1", 4);
    host.cpu("kubepods/burst", 4);
    let all = watch.tick();
    let told = |path| watch.find(&all, path).map(|(_, cgroup)| (cgroup.birth, cgroup.cpu));
    assert_eq!(told("pod1/w1"), Some((Birth::Now, micros(4))));
    assert_eq!(told("burst/pod1"), Some((Birth::Now, micros(4))));
    assert_eq!(told("kubepods/burst"), Some((Birth::Now, micros(4))));
    assert_eq!(told("kubepods"), Some((Birth::Earlier, micros(1))));
}

#[test]
fn an_inner_folder_that_gets_a_workload_is_taken_in_between() {
    let host = Fixture::v2();
    host.cpu("w1/init/deep/w2", 1);
    host.cpu("w1/init/deep", 2);
    host.cpu("w1/init", 3);
    host.cpu("w1", 4);
    let mut watch = host.open();
    let all = watch.tick();
    let (outer, deep) = (watch.find(&all, "cg/w1").unwrap().0, watch.find(&all, "init/deep").unwrap());
    assert_eq!(deep.1.parent, Some(outer));
    assert!(watch.find(&all, "w1/init").is_none());
    let deep = deep.0;
    host.cpu("w1/init/w3", 1);
    let all = watch.tick();
    let (init, cgroup) = watch.find(&all, "w1/init").unwrap();
    assert_eq!((cgroup.birth, cgroup.parent), (Birth::Unknown, Some(outer)));
    assert_eq!(watch.find(&all, "init/w3").unwrap().1.parent, Some(*init));
    let deep = all.iter().find(|(id, _)| *id == deep).unwrap();
    assert_eq!(deep.1.parent, Some(*init), "hangs under the nearest again");
}

#[test]
fn what_empties_is_read_before_it_is_removed() {
    let host = Fixture::v2();
    host.write("cg/slice/w1/cgroup.events", "populated 1\n");
    host.cpu("slice/w1", 10);
    let mut watch = host.open();
    watch.tick();
    host.cpu("slice/w1", 60);
    host.write("cg/slice/w1/cgroup.events", "populated 0\n");
    watch.rest();
    // A real kernel's file tells nothing once the folder is gone; this one tells nonsense.
    host.write("cg/slice/w1/cpu.stat", "");
    host.remove("slice/w1");
    watch.rest();
    let (_, cgroup) = watch.see("slice/w1").unwrap();
    assert_eq!((cgroup.gone, cgroup.cpu), (true, micros(60)));
}

#[test]
fn replaced_files_are_opened_again() {
    let host = Fixture::v2();
    host.cpu("slice/w1", 10);
    for inotify in [true, false] {
        let mut watch = host.open_with(|options| options.inotify = inotify);
        watch.tick();
        let cpu = if inotify { 200 } else { 300 };
        host.write("cg/slice/w1/new", &format!("usage_usec {cpu}\n"));
        fs::rename(host.at("slice/w1/new"), host.at("slice/w1/cpu.stat")).unwrap();
        let (_, cgroup) = watch.see("slice/w1").unwrap();
        assert_eq!((cgroup.birth, cgroup.cpu), (Birth::Earlier, micros(cpu)), "inotify {inotify}");
    }
}

#[test]
fn without_inotify_the_sweep_finds_all_and_knows_what_is_new() {
    let host = Fixture::v2();
    host.cpu("slice/w1", 10);
    let mut watch = host.open_with(|options| options.inotify = false);
    assert!(!watch.tree.watches_all());
    watch.tick();
    std::thread::sleep(Duration::from_millis(20));
    host.cpu("slice/pod/w2", 5);
    host.remove("slice/w1");
    let all = watch.tick();
    assert!(watch.find(&all, "slice/w1").unwrap().1.gone);
    let (_, found) = watch.find(&all, "pod/w2").unwrap();
    assert_eq!((found.birth, found.cpu), (Birth::Now, micros(5)));
    assert_eq!(watch.find(&all, "slice/pod").unwrap().1.birth, Birth::Now);
    std::thread::sleep(Duration::from_millis(20));
    host.remove("slice/pod/w2");
    host.cpu("slice/pod/w2", 1);
    std::thread::sleep(Duration::from_millis(20));
    let (mut gone, mut new) = (0, 0);
    for (_, cgroup) in watch.see_all("pod/w2") {
        gone += usize::from(cgroup.gone);
        new += usize::from(!cgroup.gone);
    }
    assert_eq!((gone, new), (1, 1), "another folder of the same name");
}

#[test]
fn unreadable_and_malformed_files_are_told_and_the_others_go_on() {
    let host = Fixture::v2();
    host.cpu("slice/w1", 10);
    for n in 0..40 {
        host.write(&format!("cg/slice/wbad{n}/cpu.stat"), "usage_usec minus one\n");
    }
    let mut watch = host.open();
    watch.tick();
    watch.faults.clear();
    let all = watch.tick();
    assert_eq!(watch.find(&all, "slice/w1").unwrap().1.cpu, micros(10));
    assert_eq!(watch.find(&all, "slice/wbad7").unwrap().1.cpu, None);
    assert_eq!(watch.faults.len(), 8, "bounded");
    let text = watch.faults[0].to_string();
    assert!(text.contains("wbad") && text.contains("cpu.stat") && text.contains("minus one"), "{text}");
    let malformed = watch.tree.fault_counts().find(|(reason, _)| *reason == Fault::Malformed);
    assert_eq!(malformed, Some((Fault::Malformed, 80)));
    host.cpu("slice/wbad7", 9);
    assert_eq!(watch.see("slice/wbad7").unwrap().1.cpu, micros(9), "mended");
}

#[test]
fn a_writer_at_work_is_waited_for() {
    let host = Fixture::v2();
    host.cpu("slice/w1", 10);
    let mut watch = host.open();
    watch.tick();
    host.write("cg/slice/w1/cpu.stat", "usage_usec 12");
    assert_eq!(watch.see("slice/w1").unwrap().1.cpu, micros(12), "no end of line, but it stays so");
    host.write("cg/slice/w1/cpu.stat", "");
    assert_eq!(watch.see("slice/w1").unwrap().1.cpu, None, "it stays empty");
    assert_eq!(watch.faults.len(), 1);
}

#[test]
fn files_made_after_their_folder_belong_to_the_birth() {
    let host = Fixture::v2();
    host.cpu("slice", 1);
    let mut watch = host.open();
    watch.tick();
    fs::create_dir(host.at("slice/w1")).unwrap();
    assert_eq!(watch.see("slice/w1").map(|(_, c)| (c.birth, c.cpu)), Some((Birth::Now, None)));
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
    host.cpu("slice/w1", 8);
    assert_eq!(watch.see("slice/w1").map(|(_, c)| (c.birth, c.cpu)), Some((Birth::Now, micros(8))));
    assert_eq!(watch.see("slice/w1").map(|(_, c)| (c.birth, c.cpu)), Some((Birth::Earlier, micros(8))));
}

#[test]
fn names_are_bytes_and_links_are_not_followed() {
    let host = Fixture::v2();
    let odd = host.at("slice").join(OsStr::from_bytes(b"w\xff\xfe"));
    fs::create_dir_all(&odd).unwrap();
    fs::write(odd.join("cpu.stat"), "usage_usec 6\n").unwrap();
    std::os::unix::fs::symlink(host.at("slice"), host.at("slice/wlink")).unwrap();
    let mut watch = host.open();
    let all = watch.tick();
    let found: Vec<_> = all.iter().filter(|(_, cgroup)| cgroup.workload.is_some()).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.cpu, micros(6));
    assert_eq!(watch.tree.path(found[0].0), odd.canonicalize().unwrap());
}

#[test]
fn trees_are_followed_to_a_depth_and_no_further() {
    let host = Fixture::v2();
    let deep = "d/".repeat(100);
    host.cpu(&format!("{deep}w1"), 1);
    host.cpu(&format!("{}w2", "d/".repeat(60)), 2);
    let mut watch = host.open();
    let all = watch.tick();
    assert_eq!(watch.tree.folders(), 66, "the root, 64 levels, and w2");
    assert_eq!(all.iter().filter(|(_, cgroup)| cgroup.workload.is_some()).count(), 1);
}

#[test]
fn beyond_the_descriptors_files_are_opened_each_time() {
    let host = Fixture::v2();
    for n in 0..20 {
        host.cpu(&format!("slice/w{n}"), n);
    }
    let mut watch = host.open_with(|options| options.max_descriptors = 5);
    watch.tick();
    for n in 0..20 {
        host.cpu(&format!("slice/w{n}"), 100 + n);
    }
    let all = watch.tick();
    assert!((0..20).all(|n| watch.find(&all, &format!("slice/w{n}")).unwrap().1.cpu == micros(100 + n)));
    host.remove("slice/w19");
    let (_, cgroup) = watch.see("slice/w19").unwrap();
    assert!(cgroup.gone && cgroup.cpu == micros(119));
}

#[test]
fn memory_is_the_working_set_or_the_processes() {
    let host = Fixture::v2();
    host.cpu("slice/w1", 1);
    host.write("cg/slice/w1/memory.current", "5000\n");
    host.write("cg/slice/w1/memory.stat", "anon 1\ninactive_file 2000\nactive_file 3\n");
    host.cpu("slice/w2", 1);
    host.write("cg/slice/w2/cgroup.procs", "7\n8\n");
    host.write("cg/slice/w2/inner/cgroup.procs", "9\n");
    host.write("proc/7/statm", "900 10 1 1 0 1 0\n");
    host.write("proc/9/statm", "900 5 1 1 0 1 0\n");
    host.cpu("slice/w3", 1);
    host.cpu("other", 1);
    host.write("cg/other/memory.current", "5\n");
    let mut watch = host.open_with(|options| options.memory = true);
    let all = watch.tick();
    let memory = |path| watch.find(&all, path).unwrap().1.memory;
    assert_eq!(memory("slice/w1"), Some(3000));
    assert_eq!(memory("slice/w2"), Some(15 * 4096), "8 has ended");
    assert_eq!(memory("slice/w3"), None);
    assert_eq!(memory("other"), None, "bears no workload");
    assert_eq!(watch.faults.len(), 2, "w3 is told, at both of its first looks: {:?}", watch.faults);
    let id = watch.find(&all, "slice/w2").unwrap().0;
    assert_eq!(watch.tree.pids(id), [7, 8, 9]);
    assert_eq!(watch.tree.path_below(id).to_str(), Some("slice/w2"));
    host.write("cg/slice/w1/memory.current", "6000\n");
    assert_eq!(watch.see("slice/w1").unwrap().1.memory, Some(4000));
    watch.tree.want_memory(false);
    host.write("cg/slice/w1/memory.current", "9000\n");
    assert_eq!(watch.see("slice/w1").unwrap().1.memory, Some(4000));
}

#[test]
fn among_many_the_dear_half_of_memory_is_read_when_the_cheap_half_changes() {
    let host = Fixture::v2();
    let write = |n: u64, usage: u64, inactive: u64| {
        host.write(&format!("cg/slice/w{n}/memory.current"), &format!("{usage}\n"));
        host.write(&format!("cg/slice/w{n}/memory.stat"), &format!("inactive_file {inactive}\n"));
    };
    for n in 0..100 {
        host.cpu(&format!("slice/w{n}"), 1);
        write(n, 64_000, 4_000);
    }
    let mut watch = host.open_with(|options| options.memory = true);
    let mut memory = |n: u64| {
        // Enough for one round and the next.
        (0..3).for_each(|_| drop(watch.tick()));
        watch.see(&format!("slice/w{n}")).unwrap().1.memory
    };
    assert_eq!(memory(7), Some(60_000));
    write(7, 64_500, 9_000);
    assert_eq!(memory(7), Some(60_500), "a little more in use, and the same of it inactive");
    write(7, 80_000, 9_000);
    assert_eq!(memory(7), Some(71_000));
}

#[test]
fn cpusets_and_limits() {
    let host = Fixture::v2();
    host.cpu("kubepods/w1/inner/w2", 1);
    host.cpu("kubepods/w1", 1);
    host.write("cg/kubepods/w1/cpuset.cpus.effective", "1-3\n");
    host.write("cg/kubepods/w1/cpu.max", "max 100000\n");
    host.write("cg/kubepods/w1/cpu.weight", "39\n");
    host.write("cg/kubepods/w1/memory.max", "4096\n");
    host.cpu("slice/w3", 1);
    host.write("cg/slice/w3/cpu.weight", "39\n");
    let mut watch = host.open_with(|options| {
        options.sockets = Some(Box::new(sockets_of));
        options.reserved = true;
    });
    let all = watch.tick();
    let cgroup = |path| &watch.find(&all, path).unwrap().1;
    assert_eq!(cgroup("kubepods/w1").sockets, Sockets(2));
    assert_eq!(cgroup("inner/w2").sockets, Sockets(2), "as the nearest above");
    assert_eq!(cgroup("slice/w3").sockets, Sockets::ALL);
    assert_eq!(cgroup("kubepods/w1").reserved, Reserved { cpu_milli: 974, memory: 4096 });
    assert_eq!(cgroup("slice/w3").reserved, Reserved::default(), "a weight outside kubepods is no request");
    host.write("cg/kubepods/w1/cpu.max", "150000 100000\n");
    assert_eq!(watch.see("kubepods/w1").unwrap().1.reserved.cpu_milli, 1500, "set after the folder was made");
}

#[test]
fn what_an_overflow_hid_is_found() {
    let host = Fixture::v2();
    host.cpu("slice/w1", 10);
    let mut watch = host.open();
    watch.tick();
    watch.tick();
    watch.tick();
    host.cpu("slice/w2", 5);
    host.remove("slice/w1");
    let lost = watch.tree.watcher.as_mut().unwrap();
    while lost.drain(&mut Vec::new()) {}
    assert!(watch.see("slice/w2").is_none());
    watch.tree.overflow();
    let all = watch.tick();
    assert!(watch.find(&all, "slice/w1").unwrap().1.gone);
    let (_, found) = watch.find(&all, "slice/w2").unwrap();
    assert_eq!((found.birth, found.cpu), (Birth::Unknown, micros(5)), "of unknown age");
    assert!(watch.faults[0].to_string().contains("max_queued_events"));
}

#[test]
fn five_thousand_folders() {
    let host = Fixture::v2();
    for n in 0..4000 {
        fs::create_dir_all(host.at(format!("slice/x{n}"))).unwrap();
    }
    let mut watch = host.open();
    watch.tick();
    for n in 0..1000 {
        host.cpu(&format!("slice/w{n}"), n);
    }
    let start = Instant::now();
    let all = watch.tick();
    println!("1,000 births in {:?}", start.elapsed());
    assert_eq!(watch.tree.folders(), 5002);
    assert_eq!(all.iter().filter(|(_, cgroup)| cgroup.birth == Birth::Now).count(), 1000);
    assert!(watch.tree.watches_all());
    host.remove("slice");
    let all = watch.tick();
    assert_eq!(all.iter().filter(|(_, cgroup)| cgroup.gone).count(), 1001);
    assert_eq!(watch.tree.folders(), 1);
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
}

#[test]
fn huge_pages_that_the_memory_controller_counts_are_not_counted_twice() {
    let host = Fixture::v2();
    host.cpu("w1", 5);
    host.write("cg/w1/memory.current", "9000\n");
    host.write("cg/w1/memory.stat", "inactive_file 4000\n");
    host.write("cg/w1/hugetlb.2MB.current", "2097152\n");
    host.write("cg/w1/hugetlb.2MB.rsvd.current", "8388608\n");
    let see = |host: &Fixture| {
        let mut watch = host.open_with(|options| options.memory = true);
        watch.tree.want_huge_pages(Some(true));
        watch.see("w1").unwrap().1.memory
    };
    assert_eq!(see(&host), Some(5000 + (2 << 20)));
    host.write(
        "proc/self/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,memory_hugetlb_accounting\n",
    );
    assert_eq!(see(&host), Some(5000));
}

#[test]
fn a_cpuset_of_its_own_reserves_and_an_inherited_one_does_not() {
    let host = Fixture::v2();
    for path in ["system.slice/slurmstepd.scope/job_1", "system.slice/slurmstepd.scope/job_2"] {
        host.cpu(path, 5);
        host.write(&format!("cg/{path}/cpuset.cpus.effective"), "0-5\n");
        host.write(&format!("cg/{path}/cpu.max"), "max 100000\n");
    }
    host.write("cg/system.slice/slurmstepd.scope/job_1/cpuset.cpus", "0-5\n");
    host.write("cg/system.slice/slurmstepd.scope/job_2/cpuset.cpus", "\n");
    let mut watch = host.open_with(|options| {
        options.recognise = crate::pattern::recognise;
        options.reserved = true;
    });
    assert_eq!(watch.see("job_1").unwrap().1.reserved.cpu_milli, 6000);
    assert_eq!(watch.see("job_2").unwrap().1.reserved.cpu_milli, 0);
}

#[test]
fn what_is_mounted_anew_is_taken_in_and_what_was_is_gone() {
    let host = Fixture::v2();
    host.cpu("w1", 5);
    let mut watch = host.open();
    watch.tick();
    assert!(watch.tree.follow_mounts());
    assert_eq!(watch.see("w1").unwrap().1.birth, Birth::Earlier);

    std::fs::rename(host.at(""), host.at("../old")).unwrap();
    assert!(!watch.tree.follow_mounts());
    assert!(watch.tick().iter().all(|(_, cgroup)| cgroup.gone));
    assert!(watch.tick().is_empty());
    assert_eq!(watch.faults.len(), 1, "{:?}", watch.faults);

    host.write("cg/cgroup.controllers", "cpu\n");
    host.cpu("w1", 7);
    assert!(watch.tree.follow_mounts());
    let (_, cgroup) = watch.see("w1").unwrap();
    assert_eq!((cgroup.birth, cgroup.cpu), (Birth::Unknown, micros(7)));

    // Another tree in its place, between two looks.
    std::fs::rename(host.at(""), host.at("../older")).unwrap();
    host.write("cg/cgroup.controllers", "cpu\n");
    host.cpu("w2", 9);
    assert!(watch.tree.follow_mounts());
    let all = watch.tick();
    assert_eq!(all.iter().filter(|(_, cgroup)| !cgroup.gone && cgroup.workload.is_some()).count(), 1);
    assert_eq!(watch.see("w2").unwrap().1.cpu, micros(9));
}

#[test]
fn a_cgroup_that_becomes_something_else_ends_as_what_it_was() {
    let host = Fixture::v2();
    host.cpu("slice/wunit", 5);
    host.cpu("slice/wunit/podx", 3);
    let mut watch = host.open();
    watch.tick();
    watch.tick();
    host.cpu("slice/wunit", 8);
    watch.tree.recognise_with(|path| recognise(path).filter(|_| path.contains("pod")));
    let all = watch.see_all("slice/wunit");
    let of = |gone: bool| all.iter().find(|(_, cgroup)| cgroup.gone == gone).unwrap();
    assert_eq!((of(true).1.cpu, of(true).1.workload.is_some()), (micros(8), true));
    assert_eq!((of(false).1.birth, of(false).1.workload.is_some()), (Birth::Unknown, false));
    let parent = watch.see("wunit/podx").unwrap().1.parent;
    assert_eq!(parent, Some(of(false).0), "what lies in it is still not its own");
    watch.tree.recognise_with(recognise);
    let all = watch.see_all("slice/wunit");
    assert!(all.iter().any(|(_, cgroup)| !cgroup.gone && cgroup.workload.is_some()));
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
}

#[test]
fn a_kubelet_is_this_machines_where_its_pods_lie_in_no_container() {
    const POD: &str = "kubepods-pod2fc932ce_fdcc_454b_97bd_aadfdeb4c340.slice";
    let nested = |path: &str| {
        let host = Fixture::v2();
        host.cpu("system.slice/sshd.service", 1);
        host.cpu(path, 1);
        let watch = host.open_with(|options| options.recognise = crate::pattern::recognise);
        watch.tree.has_kubelet()
    };
    let docker = format!("system.slice/docker-{}.scope", "a".repeat(64));
    assert!(!nested("kubepods.slice/kubepods-burstable.slice"), "an empty tree is what somebody left behind");
    assert!(nested(&format!("kubepods.slice/{POD}")));
    assert!(nested(&format!("kubelet.slice/kubelet-kubepods.slice/kubelet-{POD}")), "within kind's node");
    assert!(!nested(&format!("{docker}/kubelet.slice/kubelet-kubepods.slice/kubelet-{POD}")));
    assert!(!nested(&format!("lxc.payload.k3s/kubepods.slice/{POD}")));
    assert!(!nested(&format!("user.slice/user-7.slice/user@7.service/kubepods.slice/{POD}")));
}
