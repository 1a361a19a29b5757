//! GPUs, played by a stub of NVML: the worked example, time-slicing, the law through everything that happens to a GPU.

use std::thread::sleep;
use std::time::{Duration, Instant};

use noether_tests::exporter::Exporter;
use noether_tests::machine::hardware::Physics;
use noether_tests::machine::load::{container_id, pod_uid};
use noether_tests::machine::{Hardware, Load, Machine, Simulation};
use noether_tests::nvml::{Driver, Instance, Mig, Process, Sample, enter, process};
use noether_tests::outcome::{together, until, within};
use noether_tests::scrape::{Scrape, law};

use crate::watch::Watch;

const A: &str = "container///00000001c0ff";
const B: &str = "container///00000002c0ff";
const QUICK: &str = "--sample.interval=200ms";

fn draws(package: f64, dram: f64) -> Physics {
    Physics {
        package_idle: package,
        per_cpu: 0.0,
        dram_idle: dram,
        per_gib: 0.0,
        board: 0.0,
        efficiency: 1.0,
    }
}

/// A machine without meters of its own on which two containers run, with the processes 1 and 2 in them.
fn two_containers() -> Machine {
    let mut machine = Machine::new(Hardware::vm(), vec![Load::docker(1), Load::docker(2)]);
    enter(&mut machine, 1, &Load::docker(1).path);
    enter(&mut machine, 2, &Load::docker(2).path);
    machine
}

fn sample(pid: u32, at_us: u64, sm: u32) -> Sample {
    Sample { pid, at_us, sm, ..Sample::default() }
}

fn gpu_total(scrape: &Scrape) -> f64 {
    scrape.account("gpu").unwrap().node as f64 / 1e6
}

/// Waits until a GPU has shown itself and its counter is not held any more.
fn settled(exporter: &Exporter) -> Scrape {
    exporter.scrape_until("the GPUs are shown", |scrape| {
        scrape.family("noether_gpu_info").is_some() && scrape.components().contains("gpu")
    })
}

/// Waits until the node's gpu energy is this, and none of it is held back.
fn shows(exporter: &Exporter, joules: f64) -> Scrape {
    let scrape = exporter.scrape_until("the interval is shown", |scrape| {
        let account = scrape.account("gpu").unwrap();
        account.node as f64 / 1e6 >= joules - 0.001 && account.pending == 0
    });
    law(&scrape).unwrap();
    scrape
}

fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 0.5, "{what}: {found} J, expected {expected} J");
}

/// The example of the documentation: package 500 J, dram 100 J, GPU 2000 J.
#[test]
fn the_worked_example() {
    let _guard = together();
    let mut hardware = Hardware::bare(1).package(0, "intel-rapl:0").dram(0, "intel-rapl:0:0");
    hardware.physics = draws(0.0, 0.0);
    let loads = vec![
        Load::at("").cpu(&[0.1]),
        Load::docker(1).cpu(&[0.6]).memory(6.0),
        Load::docker(2).cpu(&[0.3]).memory(2.0),
    ];
    let mut machine = Machine::new(hardware, loads);
    enter(&mut machine, 1, &Load::docker(1).path);
    enter(&mut machine, 2, &Load::docker(2).path);
    machine.advance(1.0);
    let mut driver = Driver::new(machine.folder(), 1);
    let exporter = driver.exporter(machine.flags(), &["--sample.interval=1s"]);
    settled(&exporter);
    let tick = || {
        let before = exporter.scrape().ticked();
        exporter.scrape_until("the next tick", |scrape| scrape.ticked() > before)
    };
    tick();
    tick();
    machine.physics(draws(50.0, 10.0));
    let gpu = driver.gpu(0);
    gpu.energy_mj = gpu.energy_mj.map(|energy| energy + 2_000_000);
    gpu.compute = vec![process(1, 1000), process(2, 3000)];
    gpu.samples = Some(vec![sample(1, 5_000_000, 75), sample(2, 5_000_000, 25)]);
    machine.advance(10.0);
    driver.write();
    // By its samples: an interval later there may be none any more, though its energy is shown only then.
    let mut by_samples = false;
    exporter.scrape_until("the interval is shown", |scrape| {
        let method = scrape.value("noether_gpu_attribution_info", &[("method", "sm_time")]);
        by_samples |= method == Some(1.0);
        by_samples && scrape.account("gpu").unwrap().node >= 1_999_999_000
    });
    let scrape = exporter.scrape_until("the processors' interval is shown", |scrape| {
        let account = scrape.account("cpu").unwrap();
        let held = account.pending + scrape.account("gpu").unwrap().pending;
        account.node >= 499_999_000 && held == 0
    });
    let sum = |owner| ["cpu", "dram", "gpu"].map(|component| scrape.joules(owner, component)).iter().sum();
    near(sum(A), 1860.0, "A");
    near(sum(B), 670.0, "B");
    let of_nobody = |component| scrape.account(component).unwrap().unattributed as f64 / 1e6;
    near(["cpu", "dram", "gpu"].map(of_nobody).iter().sum(), 70.0, "nobody");
    let node = |component| scrape.account(component).unwrap().node;
    assert_eq!(["cpu", "dram", "gpu"].map(node), [500_000_000, 100_000_000, 2_000_000_000]);

    // No processor works and nobody holds the device: the draw is nobody's, not lost.
    let gpu = driver.gpu(0);
    gpu.energy_mj = gpu.energy_mj.map(|energy| energy + 60_000);
    driver.write();
    let scrape = shows(&exporter, 2060.0);
    near(scrape.joules(A, "gpu"), 1500.0, "A");
    near(scrape.account("gpu").unwrap().unattributed as f64 / 1e6, 60.0, "nobody");
}

/// Two pods of one GPU, three to one, sampled as a driver samples them.
#[test]
fn two_pods_share_a_gpu() {
    let _guard = together();
    let loads = vec![Load::pod(1, 1), Load::pod(2, 2)];
    let names = [1, 2].map(|n| format!("container//{}/{}", pod_uid(n), &container_id(n)[..12]));
    let mut machine = Machine::new(Hardware::vm(), loads.clone());
    for (pid, load) in (1..).zip(&loads) {
        enter(&mut machine, pid, &load.path);
    }
    let mut driver = Driver::new(machine.folder(), 1);
    driver.gpu(0).compute = vec![process(1, 100), process(2, 5000)];
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    settled(&exporter);
    let mut watch = Watch::new(&exporter);
    watch.ticked();
    let first = driver.gpu(0).energy_mj.unwrap();
    let begun = Instant::now();
    for step in 1..=60_u64 {
        let gpu = driver.gpu(0);
        // 300 W, now more, now less; a sample every sixth of a second.
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + 20_000 + step % 7 * 3_000);
        let at_us = step * 100_000;
        let kept = gpu.samples.take().unwrap().into_iter().filter(|one| one.at_us + 1_000_000 > at_us);
        gpu.samples = Some(kept.chain([sample(1, at_us, 60), sample(2, at_us + 7, 20)]).collect());
        driver.write();
        watch.scrape();
        sleep(Duration::from_millis(100 * step).saturating_sub(begun.elapsed()));
    }
    let counted = (driver.gpu(0).energy_mj.unwrap() - first) as f64 / 1e3;
    let scrape = watch.until("all of it is shown", |scrape| {
        let account = scrape.account("gpu").unwrap();
        account.pending == 0 && account.node as f64 / 1e6 >= counted - 0.001
    });
    assert_eq!(gpu_total(&scrape), counted, "the counter's gain");
    let [one, two] = names.map(|name| scrape.joules(&name, "gpu"));
    within(0.01, one / two, 3.0, "three to one");
    let nobody = scrape.account("gpu").unwrap().unattributed as f64 / 1e6;
    assert!((one + two + nobody - counted).abs() < 1e-6, "{one} + {two} + {nobody} is not {counted}");
    assert!(nobody < 0.01 * counted, "{nobody} J went to nobody");
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Anything that may happen to GPUs between two looks.
fn stir(driver: &mut Driver, dice: &mut Dice, step: u64) {
    let at_us = step * 100_000;
    for place in 0..driver.state.gpus.len() {
        let gpu = driver.gpu(place);
        let gain = dice.below(40_000);
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + gain);
        gpu.utilization = Some((dice.below(101) as u32, 0));
        match dice.below(12) {
            0 => {
                let slices = [1, 2, 3, 1][..dice.below(4) as usize + 1].to_vec();
                let instances =
                    (0..).zip(slices).map(|(n, slices)| Some(Instance::new(place as u32, n, slices)));
                gpu.mig = Some(Mig { most: 7, instances: instances.collect() });
            }
            1 => gpu.mig = None,
            2 => gpu.energy_mj = Some(dice.below(1000)),
            3 => {
                gpu.errors.insert("*".to_owned(), "GPU_IS_LOST".to_owned());
            }
            4 => gpu.samples = None,
            5 => gpu.samples = Some(Vec::new()),
            _ => gpu.errors.clear(),
        }
        let running: Vec<Process> =
            (0..dice.below(4)).map(|_| process(1 + dice.below(5) as u32, dice.below(999))).collect();
        if let Some(samples) = &mut gpu.samples {
            *samples = running.iter().map(|one| sample(one.pid, at_us, dice.below(100) as u32)).collect();
        }
        for instance in gpu.mig.iter_mut().flat_map(|mig| mig.instances.iter_mut().flatten()) {
            instance.compute = running.iter().copied().filter(|_| dice.below(2) == 0).collect();
        }
        gpu.compute = if gpu.mig.is_some() { Vec::new() } else { running };
    }
}

/// The law at every scrape and no counter falls: through MIG, processes that come and go, containers that die, devices
/// that fall off the bus or are taken away, and a driver that is loaded anew.
#[test]
fn the_law_holds_whatever_happens() {
    let _guard = together();
    let mut loads: Vec<Load> = (1..4).map(|seed| Load::docker(seed).cpu(&[0.1])).collect();
    loads.push(Load::docker(4).cpu(&[0.1]).lives(2.0, 5.0));
    loads.push(Load::docker(5).cpu(&[0.1]).lives(6.0, 8.5));
    let mut machine = Machine::new(Hardware::intel(), loads.clone());
    for (pid, load) in (1..).zip(&loads) {
        enter(&mut machine, pid, &load.path);
    }
    let mut driver = Driver::new(machine.folder(), 3);
    let simulation = Simulation::start(machine);
    let exporter = driver.exporter(simulation.flags(), &[QUICK, "--workload.linger=2s"]);
    settled(&exporter);
    let mut watch = Watch::new(&exporter);
    let mut dice = Dice(7);
    let mut taken = None;
    for step in 1..=160 {
        stir(&mut driver, &mut dice, step);
        match step {
            40 => taken = Some(driver.state.gpus.remove(0)),
            80 => driver.state.gpus.extend(taken.take()),
            _ => {}
        }
        if (100..120).contains(&step) {
            if step == 100 {
                driver.unload();
            }
        } else {
            driver.write();
        }
        sleep(Duration::from_millis(60));
        watch.scrape();
    }
    for gpu in &mut driver.state.gpus {
        gpu.errors.clear();
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + 5_000);
    }
    driver.write();
    let before = gpu_total(&watch.scrape());
    assert!(before > 100.0, "{before} J in all");
    let back = |scrape: &Scrape| scrape.samples("noether_gpu_attribution_info").count() == 3;
    watch.until("every GPU is back after the driver was loaded anew", back);
    let scrape = watch.scrape();
    assert!(scrape.joules(A, "gpu") > 0.0 && scrape.joules(B, "gpu") > 0.0);
    let missed = scrape.value("noether_ticks_missed_total", &[]);
    assert!(missed.is_some_and(|missed| missed < 5.0), "{missed:?} ticks missed at 200 ms");
}

/// The library takes 100 ms for each call: minutes for a round, and no tick waits.
#[test]
fn slow_calls_delay_no_tick() {
    let _guard = together();
    let machine = Machine::new(Hardware::intel(), vec![Load::docker(1).cpu(&[0.5])]);
    let mut driver = Driver::new(machine.folder(), 8);
    for place in 0..8 {
        let instances = (0..7).map(|n| Some(Instance::new(place, n, 1))).collect();
        driver.gpu(place as usize).mig = Some(Mig { most: 7, instances });
    }
    driver.state.delay_ms = 100;
    driver.write();
    let simulation = Simulation::start(machine);
    let exporter = driver.exporter(simulation.flags(), &["--sample.interval=1s"]);
    let mut watch = Watch::new(&exporter);
    let first = watch.ticked();
    let cpu = |scrape: &Scrape| scrape.account("cpu").unwrap().node;
    sleep(Duration::from_secs(10));
    let last = watch.ticked();
    assert_eq!(last.value("noether_ticks_missed_total", &[]), Some(0.0));
    let ticks = |scrape: &Scrape| scrape.value("noether_tick_duration_seconds_count", &[("stage", "read")]);
    let passed = last.ticked() - first.ticked();
    within(0.1, ticks(&last).unwrap() - ticks(&first).unwrap(), passed, "one tick a second");
    assert!(cpu(&last) > cpu(&first));
    // The calls that are under way end, and all GPUs are there.
    driver.state.delay_ms = 0;
    driver.write();
    let scrape =
        watch.until("every GPU is shown", |scrape| scrape.samples("noether_gpu_info").count() == 8 * 8);
    assert_eq!(scrape.value("noether_ticks_missed_total", &[]), Some(0.0));
    assert_eq!(
        scrape.samples("noether_gpu_info").filter(|one| one.label("mig_profile") == "1g.5gb").count(),
        56
    );
}

#[test]
fn no_library_is_one_line_and_no_series() {
    let _guard = together();
    let machine = Machine::new(Hardware::intel(), vec![]);
    let mut flags = machine.flags();
    flags.extend([QUICK, "--nvml.library=/nowhere/libnvidia-ml.so.1"].map(str::to_owned));
    let exporter = Exporter::start(&flags);
    until("the log says so", || exporter.log().contains("no GPU here").then_some(()));
    sleep(Duration::from_secs(1));
    let log = exporter.log();
    let about: Vec<&str> =
        log.lines().filter(|line| line.contains("GPU") || line.to_lowercase().contains("nvml")).collect();
    assert_eq!(about.len(), 1, "{log}");
    assert!(about[0].contains("INFO"), "{log}");
    let text = exporter.metrics();
    assert!(!text.contains("gpu") && !text.contains("nvml"), "{text}");
}

/// An old driver: no energy counter, no samples, no newer lists. Its power is integrated, and memory splits.
#[test]
fn an_old_driver() {
    let _guard = together();
    let machine = two_containers();
    let missing = [
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetProcessUtilization",
        "nvmlDeviceGetProcessesUtilizationInfo",
        "nvmlDeviceGetMPSComputeRunningProcesses_v3",
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetMigMode",
    ];
    let mut driver = Driver::new(machine.folder(), 1).without(&missing, machine.folder());
    driver.gpu(0).compute = vec![process(1, 3000), process(2, 1000)];
    driver.gpu(0).average_mw = Some(200_000);
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let scrape = exporter.scrape_until("20 J are shown", |scrape| {
        scrape.components().contains("gpu") && gpu_total(scrape) > 20.0
    });
    law(&scrape).unwrap();
    within(0.01, scrape.joules(A, "gpu") / scrape.joules(B, "gpu"), 3.0, "by memory");
    let labels = [("meter", "nvml"), ("component", "gpu"), ("quality", "integrated")];
    assert_eq!(scrape.value("noether_meter_info", &labels), Some(1.0));
    assert_eq!(scrape.value("noether_gpu_attribution_info", &[("method", "memory")]), Some(1.0));
    assert_eq!(scrape.value("noether_gpu_power_watts", &[]), Some(200.0));
    assert_eq!(scrape.samples("noether_gpu_memory_used_bytes").count(), 0);
}

/// A device that falls off the bus is absent, not 0; its counter waits for it.
#[test]
fn a_lost_device_is_absent() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 2);
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    settled(&exporter);
    driver.gpu(1).errors.insert("*".to_owned(), "GPU_IS_LOST".to_owned());
    driver.write();
    let scrape = exporter.scrape_until("it is absent", |scrape| {
        scrape.samples("noether_gpu_power_watts").count() == 1
            && scrape
                .samples("noether_domain_energy_joules_total")
                .filter(|one| one.label("meter") == "nvml")
                .count()
                == 1
    });
    assert_eq!(scrape.value("noether_meter_up", &[("meter", "nvml")]), Some(1.0));
    let labels = [("meter", "nvml"), ("reason", "vanished")];
    let errors = scrape.value("noether_meter_errors_total", &labels);
    assert!(errors.is_some_and(|errors| errors >= 3.0), "{errors:?}");
    driver.gpu(0).errors.insert("*".to_owned(), "NO_PERMISSION".to_owned());
    driver.write();
    exporter.scrape_until("none is up", |scrape| {
        scrape.value("noether_meter_up", &[("meter", "nvml")]) == Some(0.0)
            && scrape.samples("noether_gpu_power_watts").count() == 0
    });
    assert_eq!(exporter.log().matches("GPU-00000001").count(), 1, "{}", exporter.log());
    driver.state.gpus.iter_mut().for_each(|gpu| gpu.errors.clear());
    driver.write();
    exporter.scrape_until("both are back", |scrape| scrape.samples("noether_gpu_power_watts").count() == 2);
}

/// What is drawn while nobody works is the holder's: a Slurm job's, by its environment.
#[test]
fn an_idle_gpu_is_its_holders() {
    let _guard = together();
    let job = "system.slice/slurmstepd.scope/job_7";
    let loads = vec![Load::at(job).owner("job/slurm/7"), Load::docker(1)];
    let mut machine = Machine::new(Hardware::vm(), loads);
    // The simulated machine's first load has process 1000.
    machine.tree().put("proc/1000/environ", "PATH=/bin\0SLURM_JOB_GPUS=1\0");
    let mut driver = Driver::new(machine.folder(), 2);
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    exporter.scrape_until("the holder is known", |scrape| {
        scrape.value("noether_gpu_attribution_info", &[("gpu", "1"), ("method", "holder")]).is_some()
    });
    let before = exporter.scrape();
    for place in 0..2 {
        let gpu = driver.gpu(place);
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + 10_000 * (place as u64 + 1));
    }
    driver.write();
    let scrape = shows(&exporter, gpu_total(&before) + 30.0);
    near(scrape.joules("job/slurm/7", "gpu"), 20.0, "the job");
    near(scrape.account("gpu").unwrap().unattributed as f64 / 1e6, 10.0, "nobody");
    assert_eq!(scrape.value("noether_gpu_attribution_info", &[("gpu", "0"), ("method", "none")]), Some(1.0));
}

/// A card of AMD in sysfs, whose processes the kernel tells.
#[test]
fn a_card_in_sysfs() {
    let _guard = together();
    let mut machine = two_containers();
    let device = "sys/class/drm/card1/device";
    let put =
        |machine: &mut Machine, path: &str, content: &str| machine.tree().put(path, &format!("{content}\n"));
    put(&mut machine, &format!("{device}/uevent"), "PCI_SLOT_NAME=0000:03:00.0");
    put(&mut machine, &format!("{device}/mem_info_vram_vendor"), "samsung");
    for (file, content) in [("name", "amdgpu"), ("power1_average", "200000000"), ("power1_cap", "300000000")]
    {
        put(&mut machine, &format!("{device}/hwmon/hwmon3/{file}"), content);
    }
    let work = |machine: &mut Machine, step: u64| {
        for (pid, engine) in [(1, 30_000_000 * step), (2, 10_000_000 * step)] {
            let content =
                format!("drm-pdev:\t0000:03:00.0\ndrm-client-id:\t{pid}\ndrm-engine-gfx:\t{engine} ns");
            put(machine, &format!("proc/{pid}/fdinfo/5"), &content);
        }
    };
    work(&mut machine, 0);
    for pid in [1, 2] {
        machine.tree().link(&format!("proc/{pid}/fd/5"), "/dev/dri/renderD128");
    }
    let driver = Driver::new(machine.folder(), 0);
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    settled(&exporter);
    let mut watch = Watch::new(&exporter);
    for step in 1..=40 {
        work(&mut machine, step);
        watch.scrape();
        sleep(Duration::from_millis(100));
    }
    let scrape = watch.scrape();
    within(0.1, scrape.joules(A, "gpu") / scrape.joules(B, "gpu"), 3.0, "three to one");
    assert_eq!(scrape.value("noether_gpu_attribution_info", &[("method", "engine_time")]), Some(1.0));
    let labels = [("meter", "amdgpu"), ("quality", "integrated")];
    assert_eq!(scrape.value("noether_meter_info", &labels), Some(1.0));
}

/// A board in instances: by slices where no more is known, by slices × utilisation where it is; and the board's joules once.
#[test]
fn instances_add_up_to_their_board() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 1);
    let with = |place, slices, pid, busy| {
        let mut instance = Instance::new(0, place, slices);
        instance.compute = vec![process(pid, 100)];
        instance.utilization = busy;
        Some(instance)
    };
    let add = |driver: &mut Driver, millijoules| {
        let gpu = driver.gpu(0);
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + millijoules);
        driver.write();
    };
    driver.gpu(0).mig =
        Some(Mig { most: 7, instances: vec![with(0, 3, 1, None), with(1, 1, 2, None), None] });
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let by = |method: &'static str| {
        exporter.scrape_until(method, |scrape| {
            scrape.value("noether_gpu_attribution_info", &[("method", method)]).is_some()
        })
    };
    by("mig_slices");
    add(&mut driver, 100_000);
    let scrape = shows(&exporter, 100.0);
    near(scrape.joules(A, "gpu"), 75.0, "A by slices");
    near(scrape.joules(B, "gpu"), 25.0, "B by slices");
    // Another board, that can be profiled: three slices at .1 and one at .9.
    let instances = vec![with(0, 3, 1, Some(10.0)), with(1, 1, 2, Some(90.0))];
    driver.gpu(0).mig = Some(Mig { most: 7, instances });
    driver.gpu(0).uuid = "GPU-another".to_owned();
    driver.gpu(0).pci = "00000000:99:00.0".to_owned();
    driver.gpu(0).energy_mj = Some(0);
    driver.write();
    by("mig_utilization");
    add(&mut driver, 120_000);
    let scrape = shows(&exporter, 220.0);
    near(scrape.joules(A, "gpu"), 75.0 + 30.0, "A by utilisation");
    near(scrape.joules(B, "gpu"), 25.0 + 90.0, "B by utilisation");
    assert_eq!(scrape.account("gpu").unwrap().node, 220_000_000);
    assert_eq!(scrape.value("noether_gpu_info", &[("gpu", "1"), ("mig_profile", "3g.15gb")]), Some(1.0));
}
