//! What workloads are called: by runtimes of many kinds, inside of pods, by Slurm and libvirt; and what a user can pretend.

use std::collections::BTreeSet;
use std::os::unix::fs::chown;

use noether_tests::exporter::Exporter;
use noether_tests::kubernetes::{Cluster, Pod, PodsApi};
use noether_tests::machine::load::{container_id, pod_uid};
use noether_tests::machine::{Component, Hardware, Load, Machine, Truth};
use noether_tests::outcome::{together, within};
use noether_tests::scrape::{Sample, Scrape};

use crate::watch::Watch;

const MANAGER: &str = "user.slice/user-1000.slice/user@1000.service";
const STEP: &str = "w3kzyv3u1tz8ywvq6jdo1fnpf";
const TASK: &str = "8f0c3f5e2b1d4a6c9e7f8a9b0c1d2e3f";

/// A machine with one meter, and an exporter that reads it.
struct Site {
    machine: Machine,
    exporter: Exporter,
    watch: Watch,
}

impl Site {
    fn new(machine: Machine, flags: &[&str]) -> Self {
        let own = flags.iter().map(|flag| (*flag).to_owned());
        let flags: Vec<_> = machine.flags().into_iter().chain(own).collect();
        let exporter = Exporter::start(&[flags, vec!["--sample.interval=200ms".to_owned()]].concat());
        let watch = Watch::new(&exporter);
        Self { machine, exporter, watch }
    }

    fn of(loads: Vec<Load>, flags: &[&str]) -> Self {
        Self::new(Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), loads), flags)
    }

    /// The next scrape that is as wished, while the machine's time passes.
    fn until(&mut self, what: &str, good: impl Fn(&Scrape) -> bool) -> Scrape {
        let machine = &mut self.machine;
        self.watch.until(what, |scrape| {
            machine.advance(0.05);
            good(scrape)
        })
    }

    /// Lets ten seconds pass, and checks what each owner has cost in them.
    fn judge(&mut self, owners: &[&str]) -> Scrape {
        let before = (self.watch.ticked(), self.machine.truth().clone());
        for _ in 0..20 {
            self.machine.advance(0.5);
            self.watch.ticked();
        }
        let after = self.watch.ticked();
        let truth: Truth = self.machine.truth().since(&before.1);
        for owner in owners {
            let found = after.joules(owner, "cpu") - before.0.joules(owner, "cpu");
            within(0.03, found, truth.of(owner, Component::Cpu), owner);
        }
        after
    }
}

/// The workloads that are shown, as owners, but for those of a value 0.
fn charged(scrape: &Scrape) -> BTreeSet<String> {
    let account = scrape.account("cpu").expect("an account");
    account.owners.into_iter().filter(|(_, micro)| *micro > 0).map(|(owner, _)| owner).collect()
}

fn owned(loads: &[Load]) -> Vec<String> {
    loads.iter().filter_map(|load| load.owner.as_deref().map(str::to_owned)).collect()
}

fn judged(loads: Vec<Load>, flags: &[&str]) -> (Site, Scrape) {
    let owners = owned(&loads);
    let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
    let mut site = Site::of(loads, flags);
    site.until("all cost something", |scrape| owners.iter().all(|owner| scrape.joules(owner, "cpu") > 0.0));
    let scrape = site.judge(&owners);
    (site, scrape)
}

#[test]
fn runtimes_of_many_kinds_have_names_that_a_person_recognises() {
    let _guard = together();
    let (id, uuid) = (container_id(1), pod_uid(2));
    let short = &id[..12];
    let loads = [
        (format!("system.slice/system.slice:docker:{STEP}"), format!("container///buildkit-{STEP}")),
        (format!("docker/buildkit/z{}", &STEP[1..]), format!("container///buildkit-z{}", &STEP[1..])),
        (format!("ecs/{TASK}/{TASK}-1234567890"), format!("container///{TASK}-1234567890")),
        ("default/web".into(), "container///web".into()),
        (format!("nomad.slice/share.slice/{uuid}.api.scope"), format!("container///{uuid}.api")),
        (format!("nomad/{uuid}"), format!("container///{uuid}")),
        ("firecracker/payroll-1".into(), "vm/payroll-1".into()),
        (format!("machine.slice/crun-{id}.scope"), format!("container///{short}")),
        ("system/apid".into(), "container///apid".into()),
        ("system/runtime".into(), "container///system/runtime".into()),
        ("podruntime/kubelet".into(), "container///kubelet".into()),
        ("system.slice/apptainer-4711.scope".into(), "container///apptainer-4711".into()),
        (format!("garden/{uuid}-x"), format!("container///{uuid}-x")),
        (format!("mesos/{}", pod_uid(3)), format!("container///{}", pod_uid(3))),
    ];
    let loads = loads.iter().map(|(path, owner)| Load::at(path).owner(owner).cpu(&[0.2])).collect();
    judged(loads, &["--systemd.units=on"]);
}

#[test]
fn a_container_that_a_pod_started_is_the_pods_at_once() {
    let _guard = together();
    let runner = Pod::running("ci", "runner-0", 1, 1);
    let pod = format!("kubepods/burstable/pod{}/{}", pod_uid(1), container_id(1));
    let inner = |path: &str, name: &str| {
        Load::at(&format!("{pod}/{path}")).owner(&format!("container/ci/runner-0/{name}")).cpu(&[0.4])
    };
    let id = container_id(7);
    let foreign = format!("kubelet.slice/kubelet-kubepods-pod{}.slice", pod_uid(9).replace('-', "_"));
    let loads = vec![
        runner.load(1, 1).cpu(&[0.4]),
        inner(&format!("docker/{id}"), &id[..12]),
        inner(&format!("docker/buildkit/{STEP}"), &format!("buildkit-{STEP}")),
        // A cluster in the runner: its pods are no pods of this one.
        inner(
            &format!("docker/{}/{foreign}/cri-containerd-{}.scope", container_id(8), container_id(9)),
            &container_id(9)[..12],
        ),
    ];
    let owners = owned(&loads);
    let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
    let machine = Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), loads);
    let cluster = Cluster::default();
    cluster.put(&runner);
    let socket = machine.root().join("var/lib/kubelet/pods-api/pods-api.sock");
    let _api = PodsApi::start(&socket, "v1", &cluster);
    // Longer than the test: what would wait for a status never comes.
    let mut site = Site::new(machine, &["--kubernetes.identity-timeout=1h"]);
    let named = |scrape: &Scrape| owners.iter().all(|owner| scrape.joules(owner, "cpu") > 0.0);
    let scrape = site.until("all have the pod's name", named);
    assert!(!scrape.text.contains("namespace=\"\",pod=\"0"), "{}", scrape.text);
    let info =
        [("namespace", "ci"), ("pod", "runner-0"), ("container_id", id.as_str()), ("runtime", "docker")];
    assert_eq!(scrape.value("noether_container_info", &info), Some(1.0), "{}", scrape.text);
    site.judge(&owners);
}

/// What the processes of a job of two components have in common, as Slurm 22.05 sets it.
const HETEROGENEOUS: &str = "PATH=/bin\0SLURM_HET_SIZE=2\0SLURM_JOB_ID=1\0SLURM_JOB_USER=ada\0SLURM_JOB_NAME=second\0\
    SLURM_JOB_PARTITION=gpu\0SLURM_JOB_ID_HET_GROUP_0=1\0SLURM_JOB_ID_HET_GROUP_1=2\0SLURM_JOB_NAME_HET_GROUP_0=first\0\
    SLURM_JOB_NAME_HET_GROUP_1=second\0SLURM_JOB_PARTITION_HET_GROUP_0=main\0SLURM_JOB_PARTITION_HET_GROUP_1=gpu\0\
    SLURM_JOB_ACCOUNT=physics\0SLURM_JOB_ACCOUNT_HET_GROUP_0=physics\0SLURM_JOB_ACCOUNT_HET_GROUP_1=biology\0\
    SLURM_JOB_NODELIST_HET_GROUP_0=n1\0SLURM_JOB_NODELIST_HET_GROUP_1=n[2-3]\0SLURM_STEP_ID=0\0";

/// Two components on two nodes of one host, below these folders, and what is known of them.
fn components(folders: [&str; 2]) {
    let load = |job: u32, folder: &str| {
        Load::at(&format!("system.slice/n{job}_slurmstepd.scope/{folder}/step_0/user/task_0"))
            .owner(&format!("job/slurm/{job}"))
            .cpu(&[f64::from(job)])
    };
    let loads = vec![load(1, folders[0]), load(2, folders[1])];
    let mut machine = Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), loads);
    machine.advance(0.1);
    for (pid, node) in [(1000, "n1"), (1001, "n2")] {
        let environment = format!("{HETEROGENEOUS}SLURMD_NODENAME={node}\0");
        machine.tree().put(&format!("proc/{pid}/environ"), &environment);
        let _only_root_may = chown(machine.root().join(format!("proc/{pid}")), Some(1000), None);
    }
    let mut site = Site::new(machine, &["--kubernetes.identity-timeout=1h"]);
    let known = |scrape: &Scrape, job: &str, label: &str| -> String {
        let mut series = scrape.samples("noether_job_info").filter(|one| one.label("job_id") == job);
        series.next().map_or(String::new(), |one: &Sample| one.label(label).to_owned())
    };
    let scrape = site.until("both are named", |scrape| {
        ["1", "2"].iter().all(|job| {
            known(scrape, job, "user") == "ada" && scrape.joules(&format!("job/slurm/{job}"), "cpu") > 0.0
        })
    });
    let labels = ["job_name", "partition", "account"];
    assert_eq!(labels.map(|label| known(&scrape, "1", label)), ["first", "main", "physics"]);
    assert_eq!(labels.map(|label| known(&scrape, "2", label)), ["second", "gpu", "biology"]);
    let after = site.judge(&["job/slurm/1", "job/slurm/2"]);
    assert_eq!(charged(&after).iter().filter(|owner| owner.starts_with("job/")).count(), 2, "{}", after.text);
}

#[test]
fn components_of_a_heterogeneous_job_are_jobs_of_their_own() {
    let _guard = together();
    components(["job_1", "job_2"]);
}

#[test]
fn components_named_by_sluid_find_their_own_numbers() {
    let _guard = together();
    components(["s5K1KKYAYG5D00", "s5K1KKYAYG5D01"]);
}

#[test]
fn domains_whose_names_are_cut_the_same_are_two() {
    let _guard = together();
    let name = "n".repeat(57);
    let load = |number: u32, cpu: f64| {
        Load::at(&format!(r"machine.slice/machine-qemu\x2d{number}\x2d{name}.scope/libvirt/emulator"))
            .owner(&format!("vm/{name}~{number}"))
            .cpu(&[cpu])
    };
    let whole = Load::at(r"machine.slice/machine-qemu\x2d3\x2dweb.scope").owner("vm/web").cpu(&[0.5]);
    judged(vec![load(1, 1.0), load(2, 2.0), whole], &[]);
}

#[test]
fn what_a_user_makes_below_the_own_manager_is_the_users() {
    let _guard = together();
    let (id, uid) = (container_id(1), pod_uid(1));
    let short = &id[..12];
    let below =
        |path: String, owner: String| Load::at(&format!("{MANAGER}/{path}")).owner(&owner).cpu(&[0.3]);
    let own = |name: &str| format!("unit/user@1000.service{name}");
    let loads = vec![
        // The real ones.
        Load::docker(1).cpu(&[0.3]),
        Load::at("system.slice/slurmstepd.scope/job_777/step_0").owner("job/slurm/777").cpu(&[0.3]),
        Load::at(r"machine.slice/machine-qemu\x2d1\x2dpayroll.scope").owner("vm/payroll").cpu(&[0.3]),
        Load::pod(1, 2).cpu(&[0.3]),
        // What looks like them.
        below(format!("app.slice/docker-{id}.scope"), format!("container///user@1000.service/{short}")),
        below("app.slice/x.service/slurmstepd.scope/job_777".into(), own("/x.service")),
        below(
            r"app.slice/machine-qemu\x2d1\x2dpayroll.scope".into(),
            own(r"/machine-qemu\x2d1\x2dpayroll.scope"),
        ),
        below(
            format!("kubepods/burstable/pod{uid}/{}", container_id(2)),
            format!("container///user@1000.service/{}", &container_id(2)[..12]),
        ),
        below(format!("kubepods.slice/kubepods-pod{}.slice", uid.replace('-', "_")), own("")),
        // Rootless Podman.
        below(
            format!("user.slice/libpod-{}.scope/container", container_id(5)),
            format!("container///user@1000.service/{}", &container_id(5)[..12]),
        ),
        Load::at("user.slice/user-1000.slice/session-4.scope/slurm/uid_0/job_777")
            .owner("unit/user-1000.slice")
            .cpu(&[0.3]),
    ];
    let (_site, scrape) = judged(loads, &["--systemd.units=on"]);
    let rootless =
        [("container_id", container_id(5)), ("runtime", "podman".into()), ("user_id", "1000".into())];
    let rootless: Vec<_> = rootless.iter().map(|(label, value)| (*label, value.as_str())).collect();
    assert_eq!(scrape.value("noether_container_info", &rootless), Some(1.0), "{}", scrape.text);
    let pods = scrape.samples("noether_container_cpu_seconds_total").filter(|one| one.label("pod") == uid);
    assert_eq!(pods.count(), 2, "the real container of the pod, and the pod's own: {}", scrape.text);
}

#[test]
fn idle_folders_of_a_user_take_nobodys_place() {
    let _guard = together();
    let active = format!("{MANAGER}/app.slice/docker-{}.scope", container_id(5_000));
    let owner = format!("container///user@1000.service/{}", &container_id(5_000)[..12]);
    let mut machine = Machine::new(
        Hardware::bare(1).package(0, "intel-rapl:0"),
        vec![Load::at(&active).owner(&owner).cpu(&[0.5]).from(1.0)],
    );
    machine.advance(0.1);
    for seed in 0..5_100_u32 {
        let folder =
            format!("sys/fs/cgroup/{MANAGER}/app.slice/docker-{}.scope", container_id(100_000 + seed));
        machine.tree().put(&format!("{folder}/cpu.stat"), "usage_usec 0\nuser_usec 0\nsystem_usec 0\n");
    }
    let mut site = Site::new(machine, &["--systemd.units=on"]);
    let first = site.until("the exporter reads", |scrape| scrape.samples("noether_build_info").count() > 0);
    let of_user = |scrape: &Scrape| {
        let samples = scrape.samples("noether_container_cpu_seconds_total");
        samples.filter(|one| one.label("container").starts_with("user@1000.service/")).count()
    };
    assert!(of_user(&first) <= 500, "a tenth of --workload.max: {}", of_user(&first));
    let late: Vec<u32> = (0..30).collect();
    for seed in &late {
        site.machine.add(Load::docker(*seed).cpu(&[0.1]));
    }
    let owners: Vec<String> =
        late.iter().map(|seed| format!("container///{}", &container_id(*seed)[..12])).collect();
    let owners: Vec<&str> = owners.iter().map(String::as_str).chain([owner.as_str()]).collect();
    let all = |scrape: &Scrape| owners.iter().all(|owner| scrape.joules(owner, "cpu") > 0.0);
    site.until("all that work have series of their own", all);
    let scrape = site.judge(&owners);
    assert_eq!(scrape.value("noether_workloads_folded_total", &[]), Some(0.0), "{}", scrape.text);
    assert!(of_user(&scrape) <= 500);
    assert!(!site.exporter.log().contains("--workload.max"), "{}", site.exporter.log());
}
