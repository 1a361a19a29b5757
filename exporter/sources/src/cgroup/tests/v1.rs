//! The hierarchies of cgroup v1.

use std::fs;
use std::time::Duration;

use noether_core::sample::{Birth, Reserved, Sockets};

use super::fixture::{Fixture, Watch, recognise, sockets_of};
use crate::cgroup::Layout;

fn usage(host: &Fixture, path: &str, nanos: u64) {
    if let Some((above, _)) = path.rsplit_once('/') {
        usage(host, above, nanos);
    }
    host.write(&format!("cg/cpuacct/{path}/cpuacct.usage"), &format!("{nanos}\n"));
}

#[test]
fn each_figure_comes_from_its_controller() {
    let host = Fixture::v1();
    usage(&host, "kubepods/w1", 1_500);
    host.write("cg/memory/kubepods/w1/memory.usage_in_bytes", "9000\n");
    host.write(
        "cg/memory/kubepods/w1/memory.stat",
        "cache 1\ninactive_file 1\ntotal_cache 2\ntotal_inactive_file 4000\n",
    );
    host.write("cg/memory/kubepods/w1/memory.limit_in_bytes", "9223372036854771712\n");
    host.write("cg/cpuset/kubepods/cpuset.cpus", "2,3\n");
    host.write("cg/cpuset/kubepods/w1/cpuset.cpus", "\n");
    host.write("cg/cpu/kubepods/w1/cpu.cfs_quota_us", "-1\n");
    host.write("cg/cpu/kubepods/w1/cpu.cfs_period_us", "100000\n");
    host.write("cg/cpu/kubepods/w1/cpu.shares", "512\n");
    let mut watch = host.open_with(|options| {
        options.memory = true;
        options.reserved = true;
        options.sockets = Some(Box::new(sockets_of));
    });
    assert_eq!(watch.tree.layout(), Layout::V1);
    let (_, cgroup) = watch.see("kubepods/w1").unwrap();
    assert_eq!(cgroup.cpu, Some(Duration::from_nanos(1_500)));
    assert_eq!(cgroup.memory, Some(5000));
    assert_eq!(cgroup.sockets, Sockets(4));
    assert_eq!(cgroup.reserved, Reserved { cpu_milli: 500, memory: 0 });
}

#[test]
fn births_and_deaths_are_those_of_cpuacct() {
    let host = Fixture::v1();
    let mut watch = host.open();
    watch.tick();
    fs::create_dir_all(host.at("memory/slurm/w1")).unwrap();
    usage(&host, "slurm/w1", 5);
    let (_, cgroup) = watch.see("slurm/w1").unwrap();
    assert_eq!((cgroup.birth, cgroup.cpu), (Birth::Now, Some(Duration::from_nanos(5))));
    host.remove("cpuacct/slurm/w1");
    assert!(watch.see("slurm/w1").unwrap().1.gone);
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
}

#[test]
fn the_root_needs_no_figure() {
    let host = Fixture::v1();
    usage(&host, "w1", 5);
    fs::remove_file(host.at("cpuacct/cpuacct.usage")).unwrap();
    let mut watch = host.open();
    let all = watch.tick();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].1.parent, None);
    assert!(watch.faults.is_empty(), "{:?}", watch.faults);
}

const UID: &str = "2fc932ce-fdcc-454b-97bd-aadfdeb4c340";

#[test]
fn a_container_has_another_path_in_another_hierarchy() {
    let id = |digit: &str| digit.repeat(64);
    let (slice, folder) =
        (format!("kubepods.slice/kubepods-pod{}.slice", UID.replace('-', "_")), format!("kubepods/pod{UID}"));
    let host = Fixture::v1();
    for digit in ["a", "b"] {
        usage(&host, &format!("{folder}/{}", id(digit)), 5);
    }
    let scope = |digit: &str| format!("{slice}/cri-containerd-{}.scope", id(digit));
    host.write("cg/cpuset/kubepods/cpuset.cpus", "9\n");
    host.write(&format!("cg/cpuset/{}/cpuset.cpus", scope("a")), "2\n");
    host.write(&format!("cg/cpuset/{}/cpuset.cpus", scope("b")), "3\n");
    // Both folders are there, but the processes are in one.
    host.write(&format!("cg/cpuset/{folder}/{}/cpuset.cpus", id("b")), "9\n");
    host.write(&format!("cg/cpuset/{folder}/{}/cgroup.procs", id("b")), "");
    host.write(&format!("cg/cpuset/{}/cgroup.procs", scope("b")), "7\n");
    host.write(&format!("cg/memory/{}/memory.usage_in_bytes", scope("a")), "9000\n");
    host.write(&format!("cg/memory/{}/memory.stat", scope("a")), "total_inactive_file 4000\n");
    let mut watch = host.open_with(|options| {
        options.recognise = crate::pattern::recognise;
        options.memory = true;
        options.sockets = Some(Box::new(sockets_of));
    });
    let (_, a) = watch.see(&id("a")).unwrap();
    assert_eq!((a.sockets, a.memory), (Sockets(4), Some(5000)));
    assert_eq!(watch.see(&id("b")).unwrap().1.sockets, Sockets(8));
}

#[test]
fn a_process_leads_to_a_path_that_no_pattern_knows() {
    let host = Fixture::v1();
    usage(&host, "slice/w1", 5);
    host.write("cg/cpuacct/slice/w1/cgroup.procs", "7\n");
    host.write("proc/7/cgroup", "9:cpuset:/some/where\n4:cpu,cpuacct:/slice/w1\n");
    host.write("cg/cpuset/some/where/cpuset.cpus", "3\n");
    let mut watch = host.open_with(|options| options.sockets = Some(Box::new(sockets_of)));
    assert_eq!(watch.see("slice/w1").unwrap().1.sockets, Sockets(8));
}

#[test]
fn a_cpuset_reserves_processors_for_a_job() {
    let host = Fixture::v1();
    for path in ["slurm/uid_7/job_1", "slurm/uid_7/job_2", "docker/w3", "docker/w4"] {
        usage(&host, path, 5);
    }
    host.write("cg/cpuset/slurm/uid_7/job_1/cpuset.cpus", "0-5\n");
    host.write("cg/cpuset/slurm/uid_7/job_2/cpuset.cpus", "6,7\n");
    host.write("cg/cpu/slurm/uid_7/job_2/cpu.cfs_quota_us", "-1\n");
    host.write("cg/cpu/slurm/uid_7/job_2/cpu.cfs_period_us", "100000\n");
    host.write("cg/cpuset/docker/w3/cpuset.cpus", "0-3\n");
    host.write("cg/cpuset/docker/w4/cpuset.cpus", "0-3\n");
    host.write("cg/cpuset/docker/w4/cpuset.cpu_exclusive", "1\n");
    let mut watch = host.open_with(|options| {
        options.recognise = |path| crate::pattern::recognise(path).or_else(|| recognise(path));
        options.reserved = true;
    });
    let all = watch.tick();
    let milli = |path: &str| watch.find(&all, path).unwrap().1.reserved.cpu_milli;
    let all = ["job_1", "job_2", "w3", "w4"].map(milli);
    assert_eq!(all, [6000, 2000, 0, 4000], "others may run where a container may");
}

#[test]
fn huge_pages_are_memory_too() {
    let host = Fixture::v1();
    usage(&host, "w1", 5);
    usage(&host, "w2", 5);
    for path in ["w1", "w2"] {
        host.write(&format!("cg/memory/{path}/memory.usage_in_bytes"), "9000\n");
        host.write(&format!("cg/memory/{path}/memory.stat"), "total_inactive_file 4000\n");
        host.write(&format!("cg/cpuacct/{path}/cgroup.procs"), "7\n");
    }
    host.write("cg/hugetlb/w1/hugetlb.2MB.usage_in_bytes", "2097152\n");
    host.write("cg/hugetlb/w1/hugetlb.1GB.usage_in_bytes", "1073741824\n");
    host.write("cg/hugetlb/w1/hugetlb.2MB.rsvd.usage_in_bytes", "8388608\n");
    host.write("proc/7/status", "Name:\tqemu\nHugetlbPages:\t    4096 kB\nThreads:\t1\n");
    let mut watch = host.open_with(|options| options.memory = true);
    let memory = |watch: &mut Watch, path: &str| watch.see(path).unwrap().1.memory.unwrap();
    assert_eq!(memory(&mut watch, "w1"), 5000, "nobody has said that there are any");
    watch.tree.want_huge_pages(None);
    assert_eq!(memory(&mut watch, "w1"), 5000 + (1 << 30) + (2 << 20));
    assert_eq!(memory(&mut watch, "w2"), 5000);
    watch.tree.want_huge_pages(Some(true));
    assert_eq!(memory(&mut watch, "w1"), 5000 + (1 << 30) + (2 << 20));
    assert_eq!(memory(&mut watch, "w2"), 5000 + (4 << 20), "its processes are asked");
    watch.tree.want_huge_pages(Some(false));
    assert_eq!(memory(&mut watch, "w1"), 5000);
}
