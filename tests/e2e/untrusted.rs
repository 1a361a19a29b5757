//! What an unprivileged user writes: lists without end, and names that are none.

use std::fs;

use noether_tests::exporter::{Exporter, run};
use noether_tests::kubernetes::{Cluster, Pod, PodResources, PodsApi};
use noether_tests::machine::{Hardware, Load, Machine};
use noether_tests::nvml::Driver;
use noether_tests::outcome::together;
use noether_tests::scrape::Scrape;

use crate::watch::Watch;

/// As long as the kernel lets one variable be.
const LONG: usize = 130_000;

/// What all of its allocations may come to. In a debug build an idle exporter has about 20 MiB.
const MOST_RESIDENT_KIB: u64 = 64 << 10;

fn resident_kib(exporter: &Exporter) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", exporter.pid())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

fn shows(watch: &mut Watch, before: f64, more: f64) -> Scrape {
    watch.until("the interval is shown", |scrape| {
        let account = scrape.account("gpu").unwrap();
        account.node as f64 / 1e6 >= before + more - 0.001 && account.pending == 0
    })
}

/// Lists of 130 kB in the environments of jobs and containers: what the machine has of them is held, and nothing else happens.
#[test]
fn endless_lists_of_devices_cost_nothing() {
    let _guard = together();
    let job = |number: u32| {
        Load::at(&format!("system.slice/slurmstepd.scope/job_{number}")).owner(&format!("job/slurm/{number}"))
    };
    let docker = Load::docker(9);
    let loads = vec![job(7), job(8), docker.clone(), Load::pod(1, 1)];
    let mut machine = Machine::new(Hardware::vm(), loads);
    let mut driver = Driver::new(machine.folder(), 3);
    let fill = |item: &str| item.repeat(LONG / item.len());
    let numbers: String = (1..LONG / 6).map(|number| format!(",{number}")).collect();
    machine.tree().put("proc/1000/environ", &format!("SLURM_JOB_GPUS=0,{}\0", fill("3-99999999,")));
    machine.tree().put("proc/1001/environ", &format!("SLURM_STEP_GPUS=1-1,{}\0", fill("4294967295,")));
    machine
        .tree()
        .put("proc/1002/environ", &format!("NVIDIA_VISIBLE_DEVICES=2{}\0", numbers.replace(",1,", ",")));
    machine.tree().put("proc/1003/environ", &format!("NVIDIA_VISIBLE_DEVICES={}\0", fill("GPU-12345678,")));
    let exporter = driver.exporter(machine.flags(), &["--sample.interval=200ms"]);
    let mut watch = Watch::new(&exporter);
    for gpu in ["0", "1", "2"] {
        let labels = [("gpu", gpu), ("method", "holder")];
        watch.until("each GPU has a holder", |scrape| {
            scrape.value("noether_gpu_attribution_info", &labels).is_some()
                && scrape.account("gpu").is_ok_and(|account| account.pending == 0)
        });
    }
    let before = watch.ticked().account("gpu").expect("an account").node as f64 / 1e6;
    for (gpu, joules) in [(0, 10), (1, 20), (2, 30)] {
        let gpu = driver.gpu(gpu);
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + joules * 1000);
    }
    driver.write();
    let scrape = shows(&mut watch, before, 60.0);
    let of = |owner: &str| scrape.joules(owner, "gpu");
    for (owner, expected) in
        [("job/slurm/7", 10.0), ("job/slurm/8", 20.0), (docker.owner.as_deref().unwrap(), 30.0)]
    {
        assert!((of(owner) - expected).abs() < 0.01, "{owner}: {}", of(owner));
    }
    let log = exporter.log();
    for variable in ["SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "NVIDIA_VISIBLE_DEVICES"] {
        assert_eq!(log.matches(&format!("{variable} in the environment of")).count(), 1, "{log}");
    }
    let resident = resident_kib(&exporter);
    assert!(resident < MOST_RESIDENT_KIB, "{resident} KiB");
    let output = run(&std::iter::once("doctor".to_owned()).chain(machine.flags()).collect::<Vec<_>>());
    let text = String::from_utf8(output.stdout).expect("text");
    let line = text.lines().find(|line| line.contains("more devices than a machine can have"));
    assert!(line.is_some_and(|line| line.starts_with("warning") && line.contains("3 others")), "{text}");
}

/// An answer of the kubelet with very many ids.
#[test]
fn an_endless_answer_of_the_kubelet_costs_little() {
    let _guard = together();
    let pod = Pod::running("ml", "train-1", 1, 1);
    let machine = Machine::new(Hardware::vm(), vec![pod.load(1, 1)]);
    let cluster = Cluster::default();
    cluster.put(&pod);
    let _names =
        PodsApi::start(&machine.root().join("var/lib/kubelet/pods-api/pods-api.sock"), "v1alpha1", &cluster);
    let kubelet = PodResources::start(&machine.root().join("var/lib/kubelet/pod-resources/kubelet.sock"));
    let driver = Driver::new(machine.folder(), 1);
    let uuid = &driver.state.gpus[0].uuid;
    let ids: Vec<String> = (0..20_000).map(|number| format!("{uuid}::{number}")).collect();
    kubelet.give(&pod, "app", "nvidia.com/gpu", &ids.iter().map(String::as_str).collect::<Vec<_>>());
    let exporter = driver.exporter(machine.flags(), &["--sample.interval=200ms"]);
    let mut watch = Watch::new(&exporter);
    let labels = [("gpu", "0"), ("method", "holder")];
    watch.until("the pod holds it", |scrape| scrape.value("noether_gpu_attribution_info", &labels).is_some());
    assert!(exporter.log().contains("gives away more devices than any machine has"), "{}", exporter.log());
    let resident = resident_kib(&exporter);
    assert!(resident < MOST_RESIDENT_KIB, "{resident} KiB");
}

/// Names with characters that cannot be seen, or that turn around what stands beside them.
#[test]
fn names_are_clean_wherever_they_come_from() {
    let _guard = together();
    let mut pod = Pod::running("sh\u{202e}op", "web\n\u{1b}[31m-1", 1, 1);
    pod.containers[0].0 = "ap\rp".into();
    pod.owner = Some(("Re\u{7}plica".into(), "we\tb".into()));
    let loads = vec![
        pod.load(1, 1).cpu(&[0.1]),
        Load::at("system.slice/a\nb\u{1b}.service").cpu(&[0.1]),
        Load::at("lxc.payload.c\u{7}\u{200b}1").cpu(&[0.1]),
        Load::at("machine.slice/machine-qemu\\x2d1\\x2dpay\\x0aroll.scope").cpu(&[0.1]),
    ];
    let mut machine = Machine::new(Hardware::bare(1).package(0, "intel-rapl:0"), loads);
    let cluster = Cluster::default();
    cluster.put(&pod);
    let _names =
        PodsApi::start(&machine.root().join("var/lib/kubelet/pods-api/pods-api.sock"), "v1alpha1", &cluster);
    let flags = machine.flags().into_iter();
    let more = ["--systemd.units=on", "--sample.interval=200ms"].map(String::from);
    let exporter = Exporter::start(&flags.chain(more).collect::<Vec<_>>());
    let mut watch = Watch::new(&exporter);
    let labels =
        [("namespace", "sh\u{fffd}op"), ("pod", "web\u{fffd}\u{fffd}[31m-1"), ("container", "ap\u{fffd}p")];
    watch.until("the pod has its name", |scrape| {
        scrape.value("noether_container_cpu_seconds_total", &labels).is_some()
    });
    machine.advance(1.0);
    let scrape = watch.ticked();
    let unfit = |text: &str| {
        text.chars()
            .any(|one| one.is_control() || matches!(one, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'))
    };
    let mut seen = 0;
    for name in ["container", "unit", "vm"] {
        for sample in scrape.samples(&format!("noether_{name}_cpu_seconds_total")) {
            for label in ["namespace", "pod", "container", "unit", "vm"] {
                assert!(!unfit(sample.label(label)), "{sample:?}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
    let text = exporter.metrics();
    assert!(!text.chars().any(|one| one != '\n' && unfit(&one.to_string())), "{text}");
}
