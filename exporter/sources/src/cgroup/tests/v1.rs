//! The hierarchies of cgroup v1.

use std::fs;
use std::time::Duration;

use noether_core::sample::{Birth, Reserved, Sockets};

use super::fixture::{Fixture, sockets_of};
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
