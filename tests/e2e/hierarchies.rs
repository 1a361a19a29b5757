//! Layouts of the cgroup hierarchies that a machine may have, and what becomes of them while the exporter runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use noether_tests::exporter::{Exporter, run};
use noether_tests::machine::load::{container_id, pod_uid};
use noether_tests::machine::tree::Tree;
use noether_tests::machine::{flags, scratch};
use noether_tests::outcome::{together, within};
use noether_tests::scrape::{Sample, Scrape};
use tempfile::TempDir;

use crate::watch::Watch;

const GIB: u64 = 1 << 30;

/// A machine whose files the test lays out itself. Counters rise at a rate; the rest stands as it was put.
struct Host {
    tree: Tree,
    counters: BTreeMap<String, Counter>,
    /// Busy processors and watts of each socket; each has four processors.
    sockets: Vec<(f64, f64)>,
    busy: Vec<f64>,
    last: Instant,
    folder: TempDir,
}

struct Counter {
    value: f64,
    rate: f64,
    show: fn(f64) -> String,
}

impl Host {
    /// Sockets that have so many busy processors and draw so many watts.
    fn new(sockets: &[(f64, f64)]) -> Self {
        let folder = scratch();
        let tree = Tree::new(folder.path());
        let (sockets, busy) = (sockets.to_vec(), vec![0.0; sockets.len()]);
        let mut host = Self { tree, counters: BTreeMap::new(), sockets, busy, last: Instant::now(), folder };
        host.tree.put("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 0 kB\nInactive(file): 0 kB\n");
        for socket in 0..host.sockets.len() {
            host.domain(
                &format!("intel-rapl:{socket}"),
                &format!("package-{socket}"),
                host.sockets[socket].1,
            );
            for cpu in socket * 4..socket * 4 + 4 {
                let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
                host.tree.put(&file, &format!("{socket}\n"));
            }
        }
        host.step();
        host
    }

    fn domain(&mut self, zone: &str, name: &str, watts: f64) {
        let zone = format!("sys/class/powercap/{zone}");
        self.tree.put(&format!("{zone}/name"), &format!("{name}\n"));
        self.tree.put(&format!("{zone}/max_energy_range_uj"), "262143328850\n");
        self.counter(&format!("{zone}/energy_uj"), watts * 1e6, |value| format!("{}\n", value as u64));
    }

    fn counter(&mut self, path: &str, rate: f64, show: fn(f64) -> String) {
        self.tree.put(path, &show(0.0));
        self.counters.insert(path.to_owned(), Counter { value: 0.0, rate, show });
    }

    /// A folder with CPU time of v1, in processors, below `sys/fs/cgroup`.
    fn v1(&mut self, path: &str, cpus: f64) {
        let path = format!("sys/fs/cgroup/{path}/cpuacct.usage");
        self.counter(&path, cpus * 1e9, |value| format!("{}\n", value as u64));
    }

    /// A folder with CPU time of v2.
    fn v2(&mut self, path: &str, cpus: f64) {
        let path = format!("sys/fs/cgroup/{path}/cpu.stat");
        let show = |value: f64| format!("usage_usec {0}\nuser_usec {0}\nsystem_usec 0\n", value as u64);
        self.counter(&path, cpus * 1e6, show);
    }

    fn put(&mut self, path: &str, content: &str) {
        self.tree.put(&format!("sys/fs/cgroup/{path}"), content);
    }

    fn remove(&mut self, path: &str) {
        let path = format!("sys/fs/cgroup/{path}");
        self.counters.retain(|file, _| !file.starts_with(&format!("{path}/")));
        self.tree.remove(&path);
    }

    fn at(&self, path: &str) -> PathBuf {
        self.tree.root().join("sys/fs/cgroup").join(path)
    }

    /// Lets the time pass that has passed.
    fn step(&mut self) {
        let seconds = std::mem::replace(&mut self.last, Instant::now()).elapsed().as_secs_f64();
        for (path, counter) in self.counters.iter_mut().rev() {
            counter.value += counter.rate * seconds;
            self.tree.put(path, &(counter.show)(counter.value));
        }
        let mut stat = String::new();
        for (socket, busy) in self.busy.iter_mut().enumerate() {
            *busy += self.sockets[socket].0 * seconds;
            for cpu in socket * 4..socket * 4 + 4 {
                stat += &format!("cpu{cpu} {} 0 0 100000 0 0 0 0 0 0\n", (*busy * 25.0) as u64);
            }
        }
        let all = (self.busy.iter().sum::<f64>() * 100.0) as u64;
        self.tree.put("proc/stat", &format!("cpu  {all} 0 0 100000 0 0 0 0 0 0\n{stat}"));
    }

    fn start(&mut self, more: &[&str]) -> Exporter {
        self.step();
        let mut flags = flags(self.tree.root());
        flags.extend(["--sample.interval=200ms", "--workload.zero-hold=1s"].map(str::to_owned));
        flags.extend(more.iter().map(|&flag| flag.to_owned()));
        Exporter::start(&flags)
    }

    /// Lawful scrapes while the machine works, until one is as wished.
    fn until(&mut self, watch: &mut Watch, what: &str, good: impl Fn(&Scrape) -> bool) -> Scrape {
        let begun = Instant::now();
        loop {
            self.step();
            let scrape = watch.scrape();
            if good(&scrape) {
                return scrape;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "waited in vain until {what}:\n{}",
                scrape.text
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// The part of the node's energy that each owner has caused, from the first scrape until the node has used `enough`
    /// joules.
    fn measure(&mut self, watch: &mut Watch, component: &str, enough: f64, owners: &[&str]) -> Vec<f64> {
        let node =
            |scrape: &Scrape| scrape.account(component).map_or(0.0, |account| account.node as f64 / 1e6);
        let settled = |scrape: &Scrape| {
            let account = scrape.account(component).expect("an account");
            account.node > 0 && account.pending == 0
        };
        let first = self.until(watch, "energy is shown and none is pending", settled);
        let last = self.until(watch, "enough energy is used", |scrape| node(scrape) - node(&first) >= enough);
        let all = node(&last) - node(&first);
        owners
            .iter()
            .map(|owner| (last.joules(owner, component) - first.joules(owner, component)) / all)
            .collect()
    }

    fn doctor(&self) -> String {
        let mut all = flags(self.tree.root());
        all.insert(0, "doctor".to_owned());
        String::from_utf8(run(&all).stdout).expect("UTF-8")
    }
}

fn docker(seed: u32) -> (String, String) {
    let id = container_id(seed);
    let owner = format!("container///{}", &id[..12]);
    (id, owner)
}

#[test]
fn a_container_whose_unified_cgroup_is_its_daemons_pays_for_itself() {
    let _guard = together();
    let (id, owner) = docker(1);
    let (other, owner_too) = docker(2);
    let daemon = "system.slice/snap.docker.dockerd.service";
    let mut host = Host::new(&[(3.0, 90.0)]);
    host.v1("cpu,cpuacct", 3.0);
    host.v1("cpu,cpuacct/system.slice", 0.0);
    host.v1("cpu,cpuacct/docker", 2.5);
    host.v1(&format!("cpu,cpuacct/docker/{id}"), 1.5);
    host.v1(&format!("cpu,cpuacct/docker/{other}"), 1.0);
    host.put("unified/cgroup.controllers", "\n");
    host.v2("unified", 3.0);
    host.v2("unified/system.slice", 3.0);
    host.v2(&format!("unified/{daemon}"), 3.0);
    for (pid, classic) in [(41, format!("/docker/{id}")), (42, format!("/docker/{other}")), (43, "/".into())]
    {
        let paths = format!("4:cpu,cpuacct:{classic}\n1:name=systemd:{classic}\n0::/{daemon}\n");
        host.tree.put(&format!("proc/{pid}/cgroup"), &paths);
    }
    host.put(&format!("cpu,cpuacct/docker/{id}/cgroup.procs"), "41\n");
    host.put(&format!("cpu,cpuacct/docker/{other}/cgroup.procs"), "42\n");
    host.put(&format!("unified/{daemon}/cgroup.procs"), "41\n42\n43\n");
    let exporter = host.start(&[]);
    let mut watch = Watch::new(&exporter);
    let owners = [owner.as_str(), &owner_too, "unit/snap.docker.dockerd.service"];
    let parts = host.measure(&mut watch, "cpu", 300.0, &owners);
    for (part, expected) in parts.into_iter().zip([1.5 / 3.0, 1.0 / 3.0, 0.5 / 3.0]) {
        within(0.03, part, expected, "its part of three processors");
    }
}

#[test]
fn workloads_are_found_however_the_hierarchies_are_mounted() {
    let _guard = together();
    let (id, owner) = docker(3);
    let files = |host: &mut Host, top: &str| {
        host.put(&format!("{top}memory.usage_in_bytes"), "0\n");
        host.put(&format!("{top}docker/{id}/memory.usage_in_bytes"), "0\n");
        host.put(&format!("{top}docker/{id}/memory.stat"), "total_inactive_file 0\n");
    };
    let together: fn(&mut Host, &str) = |host, id| {
        host.v1("", 2.0);
        host.v1("docker", 2.0);
        host.v1(&format!("docker/{id}"), 2.0);
    };
    let in_one_folder: fn(&mut Host, &str) = |host, id| {
        host.v1("all", 2.0);
        host.v1("all/docker", 2.0);
        host.v1(&format!("all/docker/{id}"), 2.0);
    };
    let unified: fn(&mut Host, &str) = |host, id| {
        host.put("unified/cgroup.controllers", "cpu\n");
        host.v2("unified", 2.0);
        host.v2("unified/docker", 2.0);
        host.v2(&format!("unified/docker/{id}"), 2.0);
    };
    for (layout, top) in [(together, ""), (in_one_folder, "all/"), (unified, "memory/")] {
        let mut host = Host::new(&[(2.0, 60.0)]);
        layout(&mut host, &id);
        files(&mut host, top);
        let exporter = host.start(&[]);
        let mut watch = Watch::new(&exporter);
        let parts = host.measure(&mut watch, "cpu", 60.0, &[&owner]);
        within(0.03, parts[0], 1.0, "the container's part of all");
        assert!(host.doctor().contains("1 containers"), "{}", host.doctor());
    }
}

#[test]
fn a_cpuset_under_another_path_binds_to_its_socket() {
    let _guard = together();
    let mut host = Host::new(&[(2.0, 60.0), (2.0, 180.0)]);
    host.v1("cpuacct", 4.0);
    host.v1("cpuacct/kubepods", 4.0);
    host.put("cpuset/cpuset.cpus", "0-7\n");
    let mut owners = Vec::new();
    for (seed, cpus) in [(5, "0-3"), (6, "4-7")] {
        let (uid, id) = (pod_uid(seed), container_id(seed));
        host.v1(&format!("cpuacct/kubepods/pod{uid}"), 2.0);
        host.v1(&format!("cpuacct/kubepods/pod{uid}/{id}"), 2.0);
        let slice = format!("kubepods.slice/kubepods-pod{}.slice", uid.replace('-', "_"));
        host.put("cpuset/kubepods.slice/cpuset.cpus", "0-7\n");
        host.put(&format!("cpuset/{slice}/cpuset.cpus"), "0-7\n");
        host.put(&format!("cpuset/{slice}/cri-containerd-{id}.scope/cpuset.cpus"), &format!("{cpus}\n"));
        owners.push(format!("container//{uid}/{}", &id[..12]));
    }
    let exporter = host.start(&[]);
    let mut watch = Watch::new(&exporter);
    let parts = host.measure(&mut watch, "cpu", 480.0, &[&owners[0], &owners[1]]);
    within(0.03, parts[0], 0.25, "60 W of 240 W");
    within(0.03, parts[1], 0.75, "180 W of 240 W");
}

#[test]
fn a_machine_on_huge_pages_pays_for_them() {
    let _guard = together();
    let scope = "machine.slice/machine-qemu\\x2d1\\x2ddb.scope";
    let mut host = Host::new(&[(1.0, 30.0)]);
    host.domain("intel-rapl:0:0", "dram", 20.0);
    let meminfo = "MemTotal: 16777216 kB\nMemFree: 0 kB\nInactive(file): 0 kB\nHugePages_Total: 14\nHugetlb: 14680064 kB\n";
    host.tree.put("proc/meminfo", meminfo);
    host.put("cgroup.controllers", "cpu memory hugetlb\n");
    for path in ["", "machine.slice", scope] {
        host.v2(path, 1.0);
    }
    host.put(&format!("{scope}/memory.current"), &format!("{}\n", GIB / 8));
    host.put(&format!("{scope}/memory.stat"), "inactive_file 0\n");
    host.put(&format!("{scope}/hugetlb.1GB.current"), &format!("{}\n", 14 * GIB));
    host.put(&format!("{scope}/hugetlb.1GB.rsvd.current"), &format!("{}\n", 15 * GIB));
    let exporter = host.start(&[]);
    let mut watch = Watch::new(&exporter);
    let parts = host.measure(&mut watch, "dram", 60.0, &["vm/db"]);
    within(0.03, parts[0], 14.125 / 16.0, "its part of the memory");
}

#[test]
fn cpusets_of_jobs_are_what_is_reserved() {
    let _guard = together();
    let mut host = Host::new(&[(2.0, 100.0), (0.0, 0.0)]);
    host.put("cgroup.controllers", "cpu cpuset memory\n");
    let jobs = "system.slice/slurmstepd.scope";
    host.v2("", 2.0);
    host.v2("system.slice", 2.0);
    host.v2(jobs, 2.0);
    for (job, cpus, list) in [("job_1", 1.0, "0-5"), ("job_2", 1.0, "6-7")] {
        host.v2(&format!("{jobs}/{job}"), cpus);
        host.put(&format!("{jobs}/{job}/cpuset.cpus"), &format!("{list}\n"));
        host.put(&format!("{jobs}/{job}/cpuset.cpus.effective"), &format!("{list}\n"));
        host.put(&format!("{jobs}/{job}/cpu.max"), "max 100000\n");
    }
    let exporter = host.start(&["--attribution.idle=requests", "--attribution.idle-watts=cpu=80"]);
    let mut watch = Watch::new(&exporter);
    host.measure(&mut watch, "cpu", 200.0, &[]);
    let scrape = watch.scrape();
    let idle = |job: &str| {
        let labels = [("job_id", job), ("component", "cpu"), ("mode", "idle")];
        scrape.value("noether_job_energy_joules_total", &labels).expect("a series")
    };
    within(0.03, idle("1") / idle("2"), 3.0, "six processors beside two");
}

#[test]
fn units_end_when_pods_come_and_the_law_holds() {
    let _guard = together();
    let mut host = Host::new(&[(2.0, 60.0)]);
    host.put("cgroup.controllers", "cpu\n");
    host.v2("", 2.0);
    host.v2("system.slice", 1.0);
    host.v2("system.slice/sshd.service", 1.0);
    let (kind, _) = docker(7);
    let uid = pod_uid(8);
    let slice = format!("kubepods-pod{}.slice", uid.replace('-', "_"));
    // A kubelet in a container is not this machine's.
    host.v2(&format!("docker/{kind}/kubelet.slice/kubelet-kubepods.slice/kubelet-{slice}"), 0.0);
    let exporter = host.start(&["--workload.linger=2s"]);
    let mut watch = Watch::new(&exporter);
    let parts = host.measure(&mut watch, "cpu", 60.0, &["unit/sshd.service"]);
    within(0.03, parts[0], 0.5, "its part of the machine");
    host.v2(&format!("kubepods.slice/{slice}"), 1.0);
    let owner = format!("container//{uid}/POD");
    let ended = |scrape: &Scrape| !scrape.text.contains("noether_unit_energy_joules_total{");
    host.until(&mut watch, "the units have ended", ended);
    let parts = host.measure(&mut watch, "cpu", 60.0, &[&owner]);
    within(0.03, parts[0], 0.5, "its part of the machine");
    assert!(exporter.log().contains("--systemd.units=auto"), "{}", exporter.log());
}

#[test]
fn no_counter_of_a_cgroup_that_comes_back_falls() {
    let _guard = together();
    let (id, owner) = docker(9);
    let mut host = Host::new(&[(2.0, 60.0)]);
    host.put("cgroup.controllers", "cpu\n");
    let (unit, container) = ("system.slice/a.service", format!("docker/{id}"));
    host.v2("", 2.0);
    host.v2("system.slice", 1.0);
    host.v2("docker", 1.0);
    host.v2(unit, 1.0);
    host.v2(&container, 1.0);
    let exporter = host.start(&[]);
    let mut watch = Watch::new(&exporter);
    host.measure(&mut watch, "cpu", 30.0, &[]);
    let seconds = |scrape: &Scrape, family: &str| scrape.value(family, &[]).unwrap_or(0.0);
    let families = ["noether_unit_cpu_seconds_total", "noether_container_cpu_seconds_total"];
    let before = families.map(|family| seconds(&watch.scrape(), family));
    let (here, away) = (host.at(&container), host.at("docker/away"));
    for round in 0..20_u32 {
        host.remove(unit);
        if round % 2 == 0 {
            watch.ticked();
        }
        host.v2(unit, 1.0);
        for _ in 0..1000 {
            fs::rename(&here, &away).and_then(|()| fs::rename(&away, &here)).expect("a rename");
        }
        host.step();
        watch.scrape();
    }
    host.measure(&mut watch, "cpu", 60.0, &[&owner]);
    let after = families.map(|family| seconds(&watch.scrape(), family));
    assert!(
        after.iter().zip(before).all(|(after, before)| *after > before && before > 0.0),
        "{before:?} {after:?}"
    );
}

#[test]
fn errors_do_not_fall_when_the_tree_is_mounted_late_or_again() {
    let _guard = together();
    let (id, owner) = docker(10);
    let mut host = Host::new(&[(2.0, 60.0)]);
    let exporter = host.start(&[]);
    let mut watch = Watch::new(&exporter);
    let errors = |scrape: &Scrape| {
        let samples = scrape.samples("noether_source_errors_total");
        samples.filter(|sample| sample.label("source") == "cgroup").map(Sample::value).sum::<f64>()
    };
    let up = |scrape: &Scrape| scrape.value("noether_source_up", &[("source", "cgroup")]);
    let failed = host.until(&mut watch, "the tree was looked for twice", |scrape| errors(scrape) >= 2.0);
    assert_eq!(up(&failed), Some(0.0));
    let mount = |host: &mut Host| {
        host.put("cgroup.controllers", "cpu\n");
        host.v2("", 2.0);
        host.v2("docker", 2.0);
        host.v2(&format!("docker/{id}"), 2.0);
    };
    mount(&mut host);
    let paid = |scrape: &Scrape| scrape.joules(&owner, "cpu");
    let mounted = host.until(&mut watch, "the container pays", |scrape| paid(scrape) > 60.0);
    assert!(errors(&mounted) >= errors(&failed) && up(&mounted) == Some(1.0), "{}", mounted.text);

    fs::rename(host.at(""), host.folder.path().join("unmounted")).expect("a rename");
    host.counters.retain(|path, _| !path.starts_with("sys/fs"));
    host.until(&mut watch, "the tree is gone", |scrape| {
        up(scrape) == Some(0.0) && errors(scrape) > errors(&mounted)
    });
    host.remove("");
    mount(&mut host);
    let before = paid(&watch.scrape());
    host.until(&mut watch, "the container pays again", |scrape| paid(scrape) > before + 60.0);
}

#[test]
fn jobs_without_cpu_time_are_named_with_the_setting() {
    let _guard = together();
    let mut host = Host::new(&[(2.0, 60.0)]);
    host.v1("cpuacct", 2.0);
    host.v1("cpuacct/system.slice", 2.0);
    host.v1("cpuacct/system.slice/slurmd.service", 2.0);
    host.put("freezer/slurm/uid_1000/job_7/step_0/cgroup.procs", "");
    host.put("memory/slurm/uid_1000/job_7/memory.usage_in_bytes", "0\n");
    let doctor = host.doctor();
    let line = doctor.lines().find(|line| line.contains(" cgroup ")).expect("a line");
    assert!(line.starts_with("warning"), "{doctor}");
    assert!(doctor.contains("JobAcctGatherType=jobacct_gather/cgroup"), "{doctor}");
    let exporter = host.start(&[]);
    let mut watch = Watch::new(&exporter);
    host.until(&mut watch, "the log names the setting", |_| {
        exporter.log().contains("JobAcctGatherType=jobacct_gather/cgroup")
    });
}
