//! What GPUs of NVIDIA do on real machines: they get lost, sleep, report nothing, keep a clock of their own, decode videos.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use noether_tests::exporter::Exporter;
use noether_tests::machine::{Hardware, Load, Machine};
use noether_tests::nvml::{Driver, Instance, Mig, Sample, VARIABLE, enter, process};
use noether_tests::outcome::{cannot_run, installed, together, until, within};
use noether_tests::scrape::Scrape;

use crate::watch::Watch;

const A: &str = "container///00000001c0ff";
const B: &str = "container///00000002c0ff";
const QUICK: &str = "--sample.interval=200ms";

fn two_containers() -> Machine {
    let mut machine = Machine::new(Hardware::vm(), vec![Load::docker(1), Load::docker(2)]);
    enter(&mut machine, 1, &Load::docker(1).path);
    enter(&mut machine, 2, &Load::docker(2).path);
    machine
}

fn total(scrape: &Scrape) -> f64 {
    scrape.account("gpu").map_or(0.0, |account| account.node as f64 / 1e6)
}

fn nobodys(scrape: &Scrape) -> f64 {
    scrape.account("gpu").unwrap().unattributed as f64 / 1e6
}

/// Waits until GPUs are shown and nothing is held back.
fn settled(watch: &mut Watch) -> Scrape {
    watch.until("the GPUs are shown", |scrape| {
        scrape.family("noether_gpu_info").is_some()
            && scrape.account("gpu").is_ok_and(|account| account.pending == 0)
    })
}

/// Each GPU that has a counter draws so many joules.
fn draw(driver: &mut Driver, joules: &[u64]) {
    for (gpu, joules) in driver.state.gpus.iter_mut().zip(joules) {
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + joules * 1000);
    }
    driver.write();
}

fn shows(watch: &mut Watch, joules: f64) -> Scrape {
    watch.until("the energy is shown", |scrape| {
        let account = scrape.account("gpu").unwrap();
        account.node as f64 / 1e6 >= joules - 0.001 && account.pending == 0
    })
}

/// How often the log has these words.
fn lines(exporter: &Exporter, words: &str) -> usize {
    exporter.log().lines().filter(|line| line.contains(words)).count()
}

/// The meter's line of what `noether doctor` says.
fn nvml(doctor: &str) -> &str {
    doctor.lines().find(|line| line.contains(" meter ") && line.contains(" nvml ")).unwrap_or_default()
}

/// Each GPU draws so many joules, at a power that a GPU may have.
fn draw_slowly(driver: &mut Driver, watch: &mut Watch, joules: &[u64]) {
    for _ in 0..20 {
        let part: Vec<u64> = joules.iter().map(|joules| joules / 20).collect();
        sleep(Duration::from_millis(200));
        draw(driver, &part);
        watch.scrape();
    }
}

fn lose(driver: &mut Driver, gpu: usize) {
    driver.gpu(gpu).errors.insert("*".to_owned(), "GPU_IS_LOST".to_owned());
    driver.write();
}

/// One of four is lost while the exporter runs, and comes back after a reset with its counter at 0.
#[test]
fn one_of_four_is_lost_and_the_others_are_metered() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 4);
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    settled(&mut watch);
    lose(&mut driver, 2);
    draw_slowly(&mut driver, &mut watch, &[4000, 4000, 0, 4000]);
    shows(&mut watch, 12_000.0);
    let of_lost = [("meter", "nvml"), ("reason", "vanished")];
    watch.until("its errors are counted", |scrape| {
        scrape.value("noether_meter_errors_total", &of_lost).is_some_and(|count| count >= 5.0)
            && scrape.samples("noether_gpu_power_watts").count() == 3
    });
    assert_eq!(lines(&exporter, "GPU 2 (GPU-00000002-1111-2222-3333-444444444444, 0000:19:00.0)"), 1);
    assert_eq!(lines(&exporter, "nvidia-smi --gpu-reset"), 1, "{}", exporter.log());
    let text = driver.doctor(&machine.flags(), &[]);
    let words = ["warning", "gpu-0, gpu-1, gpu-3", "GPU 2 (at an unknown address): is lost", "--gpu-reset"];
    assert!(words.iter().all(|words| nvml(&text).contains(words)), "{text}");
    // Reset: from 0 on.
    driver.gpu(2).errors.clear();
    driver.gpu(2).energy_mj = Some(0);
    driver.write();
    watch.until("it is back", |scrape| scrape.samples("noether_gpu_power_watts").count() == 4);
    draw_slowly(&mut driver, &mut watch, &[0, 0, 100, 0]);
    let scrape = shows(&mut watch, 12_100.0);
    assert_eq!(total(&scrape), 12_100.0);
}

/// It was lost before the exporter came: nobody knows what it is, only where it is.
#[test]
fn one_that_was_lost_before_is_said_and_comes_back() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 4);
    driver.gpu(1).errors.insert("nvmlDeviceGetHandleByIndex_v2".to_owned(), "RESET_REQUIRED".to_owned());
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    settled(&mut watch);
    draw_slowly(&mut driver, &mut watch, &[4000, 0, 4000, 4000]);
    shows(&mut watch, 12_000.0);
    let of_lost = [("meter", "nvml"), ("reason", "vanished")];
    watch.until("its errors are counted", |scrape| {
        scrape.value("noether_meter_errors_total", &of_lost).is_some_and(|count| count >= 5.0)
    });
    assert_eq!(lines(&exporter, "GPU 1 (at an unknown address): has to be reset"), 1, "{}", exporter.log());
    let text = driver.doctor(&machine.flags(), &[]);
    assert!(nvml(&text).starts_with("warning") && nvml(&text).contains("GPU 1"), "{text}");
    driver.gpu(1).errors.clear();
    driver.write();
    watch.until("it is back", |scrape| scrape.samples("noether_gpu_power_watts").count() == 4);
    draw(&mut driver, &[0, 50, 0, 0]);
    assert_eq!(total(&shows(&mut watch, 12_050.0)), 12_050.0);
}

/// One that falls off the bus for the count too: the others move up, and stay what they are.
#[test]
fn indices_shift_and_counters_do_not() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 4);
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    settled(&mut watch);
    let gone = driver.state.gpus.remove(1);
    for (gpu, energy) in driver.state.gpus.iter_mut().zip([10_000, 20_000, 30_000]) {
        gpu.energy_mj = gpu.energy_mj.map(|before| before + energy);
    }
    driver.write();
    assert_eq!(total(&shows(&mut watch, 60.0)), 60.0);
    assert_eq!(lines(&exporter, "is not among the driver's devices any more"), 1, "{}", exporter.log());
    driver.state.gpus.insert(1, gone);
    draw(&mut driver, &[1, 2, 3, 4]);
    assert_eq!(total(&shows(&mut watch, 70.0)), 70.0);
}

/// A library that cannot be used at all is no absent one.
#[test]
fn a_library_of_another_version_is_said() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 1);
    driver.state.errors.insert("nvmlInit_v2".to_owned(), "LIB_RM_VERSION_MISMATCH".to_owned());
    driver.write();
    let text = driver.doctor(&machine.flags(), &[]);
    assert!(nvml(&text).starts_with("failed"), "{text}");
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    until("it is said", || (lines(&exporter, "meter nvml") == 1).then_some(()));
    driver.state.errors.clear();
    driver.write();
    let mut watch = Watch::new(&exporter);
    settled(&mut watch);
    assert_eq!(lines(&exporter, "WARN meter nvml"), 1, "{}", exporter.log());
}

/// A virtual GPU, a small card: no energy, no power, and all else.
#[test]
fn a_gpu_without_power_shows_the_rest_and_is_no_error() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 2);
    let silent = driver.gpu(1);
    (silent.energy_mj, silent.power_mw, silent.average_mw, silent.limit_mw) = (None, None, None, None);
    silent.name = "NVIDIA GeForce GT 710".to_owned();
    silent.utilization = Some((40, 10));
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    settled(&mut watch);
    draw(&mut driver, &[100]);
    shows(&mut watch, 100.0);
    for _ in 0..30 {
        let scrape = watch.ticked();
        let of = |name: &str| scrape.value(name, &[("gpu", "1")]);
        assert_eq!(of("noether_gpu_utilization_ratio"), Some(0.4));
        assert_eq!(of("noether_gpu_memory_used_bytes"), Some(f64::from(1 << 30)));
        assert_eq!(of("noether_gpu_info"), Some(1.0));
        assert_eq!(of("noether_gpu_power_watts"), None);
    }
    let scrape = watch.scrape();
    let errors: f64 =
        scrape.samples("noether_meter_errors_total").map(noether_tests::scrape::Sample::value).sum();
    assert_eq!(errors, 0.0);
    assert_eq!(scrape.value("noether_meter_up", &[("meter", "nvml")]), Some(1.0));
    assert_eq!(lines(&exporter, "GT 710, reports neither energy nor power"), 1, "{}", exporter.log());
    let text = driver.doctor(&machine.flags(), &[]);
    let line = nvml(&text);
    assert!(line.starts_with("warning") && line.contains("GT 710"), "{text}");
}

/// Nothing else is there: the meter works and has nothing to measure; who ran on it and ended is let go.
#[test]
fn the_only_gpu_reports_no_power() {
    let _guard = together();
    let mut machine = Machine::new(Hardware::intel(), vec![Load::docker(1), Load::docker(2).lives(0.0, 2.0)]);
    enter(&mut machine, 2, &Load::docker(2).path);
    let mut driver = Driver::new(machine.folder(), 1);
    let gpu = driver.gpu(0);
    (gpu.energy_mj, gpu.power_mw, gpu.average_mw) = (None, None, None);
    gpu.utilization = Some((70, 0));
    gpu.compute = vec![process(2, 10)];
    driver.write();
    let simulation = noether_tests::machine::Simulation::start(machine);
    let exporter = driver.exporter(simulation.flags(), &[QUICK, "--workload.linger=1s"]);
    let mut watch = Watch::new(&exporter);
    watch.until("the GPU is shown", |scrape| scrape.family("noether_gpu_info").is_some());
    let scrape = watch.until("who ended is let go", |scrape| {
        let of = |id: &str| scrape.samples("noether_container_info").any(|one| one.text.contains(id));
        !scrape.text.contains("00000002c0ff") || !of("00000002c0ff")
    });
    assert_eq!(scrape.value("noether_source_up", &[("source", "nvml")]), Some(1.0));
    assert_eq!(
        scrape.value("noether_source_errors_total", &[("source", "nvml"), ("reason", "read")]),
        Some(0.0)
    );
    assert_eq!(scrape.value("noether_meter_up", &[("meter", "nvml")]), None);
}

/// The wall clock is set back by an hour, and forward again; the driver keeps what it had.
#[test]
fn the_clock_is_set_and_samples_go_on() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 1);
    // A works; B holds nearly all of the memory.
    driver.gpu(0).compute = vec![process(1, 100), process(2, 3300)];
    driver.gpu(0).utilization = Some((80, 20));
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    settled(&mut watch);
    let (mut clock, start) = (7_200_000_000_u64, total(&watch.scrape()));
    let (mut samples, mut drawn): (Vec<Sample>, u64) = (Vec::new(), 0);
    for step in 1..=90_u64 {
        clock += 100_000;
        match step {
            30 => clock -= 3_600_000_000,
            60 => clock += 3_600_000_000,
            _ => {}
        }
        samples.push(Sample { pid: 1, at_us: clock, sm: 80, ..Sample::default() });
        samples = samples.split_off(samples.len().saturating_sub(40));
        drawn += 20;
        let gpu = driver.gpu(0);
        gpu.samples = Some(samples.clone());
        draw(&mut driver, &[20]);
        watch.scrape();
        sleep(Duration::from_millis(100));
    }
    let scrape = shows(&mut watch, start + drawn as f64);
    let (one, two) = (scrape.joules(A, "gpu"), scrape.joules(B, "gpu"));
    // What is drawn in the look in which the clock is set may go by memory once.
    within(0.03, one, drawn as f64, "who worked");
    assert!(two < 0.03 * drawn as f64, "who did not: {two} J");
}

/// A transcoder beside a compositor; then one that decodes pictures.
#[test]
fn encoders_and_decoders_are_paid_for() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 1);
    driver.gpu(0).compute = vec![process(1, 300)];
    driver.gpu(0).graphics = vec![process(2, 900)];
    driver.gpu(0).utilization = Some((2, 1));
    driver.gpu(0).engines = Some((60, 38));
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    let mut before = settled(&mut watch);
    let mut clock = 5_000_000_u64;
    for engines in [[60, 38, 0, 0], [0, 0, 90, 8]] {
        for _ in 1..=25_u64 {
            clock += 100_000;
            let sample = |pid, sm, engines| Sample { pid, at_us: clock, sm, engines };
            driver.gpu(0).samples = Some(vec![sample(1, 0, engines), sample(2, 2, [0; 4])]);
            draw(&mut driver, &[20]);
            watch.scrape();
            sleep(Duration::from_millis(100));
        }
        let scrape = shows(&mut watch, total(&before) + 500.0);
        let gain = |owner| scrape.joules(owner, "gpu") - before.joules(owner, "gpu");
        within(0.03, gain(A), 490.0, "the transcoder");
        within(0.1, gain(B), 10.0, "the compositor");
        before = scrape;
    }
}

/// A driver that knows no JPEG: the older call.
#[test]
fn an_older_driver_knows_encoders_too() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 1)
        .without(&["nvmlDeviceGetProcessesUtilizationInfo"], machine.folder());
    driver.gpu(0).compute = vec![process(1, 300), process(2, 900)];
    let samples = [(1, [60, 38, 0, 0], 0), (2, [0; 4], 2)];
    driver.gpu(0).samples =
        Some(samples.map(|(pid, engines, sm)| Sample { pid, at_us: 5_000_000, sm, engines }).into());
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    let before = settled(&mut watch);
    let mut clock = 5_000_000;
    for _ in 1..=25_u64 {
        clock += 100_000;
        driver.gpu(0).samples.iter_mut().flatten().for_each(|sample| sample.at_us = clock);
        draw(&mut driver, &[20]);
        watch.scrape();
        sleep(Duration::from_millis(100));
    }
    let scrape = shows(&mut watch, total(&before) + 500.0);
    within(0.03, scrape.joules(A, "gpu") - before.joules(A, "gpu"), 490.0, "the transcoder");
}

const STATUS: &str = "sys/bus/pci/devices/0000:18:00.0/power/runtime_status";

/// Two cards on the bus, the second of which the kernel may suspend.
fn cards(machine: &mut Machine, status: &str) {
    for address in ["0000:17:00.0", "0000:18:00.0"] {
        let device = format!("sys/bus/pci/devices/{address}");
        machine.tree().put(&format!("{device}/vendor"), "0x10de\n");
        machine.tree().put(&format!("{device}/class"), "0x030200\n");
        machine.tree().put(&format!("{device}/power/runtime_status"), "active\n");
    }
    machine.tree().put(STATUS, status);
}

/// The calls that reached the second card.
fn asked(driver: &Driver) -> usize {
    driver.calls().iter().filter(|call| call.contains("GPU-00000001")).count()
}

/// A card that is suspended before the exporter comes, wakes, and is suspended again.
#[test]
fn a_suspended_card_is_not_woken() {
    let _guard = together();
    let mut machine = two_containers();
    cards(&mut machine, "suspended\n");
    let mut driver = Driver::new(machine.folder(), 2);
    driver.state.recorded = true;
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    let mut watch = Watch::new(&exporter);
    settled(&mut watch);
    draw(&mut driver, &[100, 0]);
    shows(&mut watch, 100.0);
    let power = |scrape: &Scrape| {
        scrape.value("noether_domain_power_watts", &[("meter", "nvml"), ("domain", "gpu-1")])
    };
    watch.until("it draws nothing", |scrape| power(scrape) == Some(0.0));
    // Longer than the time between two searches for new devices.
    watch.during(Duration::from_secs(12));
    assert_eq!(asked(&driver), 0, "{:?}", driver.calls());
    assert_eq!(lines(&exporter, "GPU 1 (0000:18:00.0) is suspended"), 1, "{}", exporter.log());
    let text = driver.doctor(&machine.flags(), &[]);
    assert!(text.contains("GPU 1 (0000:18:00.0) is suspended by the kernel"), "{text}");
    assert_eq!(asked(&driver), 0, "{:?}", driver.calls());

    machine.tree().put(STATUS, "active\n");
    watch.until("it is there", |scrape| {
        scrape.value("noether_gpu_temperature_celsius", &[("gpu", "1")]).is_some()
    });
    sleep(Duration::from_secs(1));
    draw(&mut driver, &[0, 50]);
    assert_eq!(total(&shows(&mut watch, 150.0)), 150.0);

    machine.tree().put(STATUS, "suspended\n");
    sleep(Duration::from_secs(1));
    let before = asked(&driver);
    watch.until("it draws nothing", |scrape| power(scrape) == Some(0.0));
    watch.during(Duration::from_secs(12));
    assert_eq!(asked(&driver), before);
    assert_eq!(lines(&exporter, "0000:18:00.0) is suspended"), 2, "{}", exporter.log());
    machine.tree().put(STATUS, "active\n");
    draw(&mut driver, &[0, 20]);
    assert_eq!(total(&shows(&mut watch, 170.0)), 170.0);
}

/// Four slices of which two are held, idle: the same with and without their utilisation, with and without processes.
#[test]
fn free_slices_are_nobodys_with_and_without_gpm() {
    let _guard = together();
    for (utilization, compute) in [(None, false), (None, true), (Some(0.0), true)] {
        let mut machine = two_containers();
        for (pid, instance) in [(1000, "0:0"), (1001, "0:1")] {
            let environment = format!("NVIDIA_VISIBLE_DEVICES={instance}\0");
            machine.tree().put(&format!("proc/{pid}/environ"), &environment);
        }
        let mut driver = Driver::new(machine.folder(), 1);
        let instances = (0..4).map(|place| {
            let mut instance = Instance::new(0, place, 1);
            instance.utilization = utilization;
            if compute && place < 2 {
                instance.compute = vec![process(place + 1, 100)];
            }
            Some(instance)
        });
        driver.gpu(0).mig = Some(Mig { most: 4, instances: instances.collect() });
        driver.write();
        let exporter = driver.exporter(machine.flags(), &[QUICK]);
        let mut watch = Watch::new(&exporter);
        settled(&mut watch);
        // Holders are asked for after the first look, and utilisation is known from the second on.
        let step = Duration::from_secs(3);
        sleep(step);
        let before = watch.scrape();
        draw(&mut driver, &[400]);
        let scrape = shows(&mut watch, total(&before) + 400.0);
        let case = format!("GPM {utilization:?}, processes {compute}");
        within(0.01, scrape.joules(A, "gpu") - before.joules(A, "gpu"), 100.0, &format!("A, {case}"));
        within(0.01, scrape.joules(B, "gpu") - before.joules(B, "gpu"), 100.0, &format!("B, {case}"));
        within(0.01, nobodys(&scrape) - nobodys(&before), 200.0, &format!("nobody, {case}"));
    }
}

/// A library that only the loader's cache knows, and a device of another name than NVIDIA's: as under WSL.
#[test]
fn a_driver_is_found_wherever_it_is() {
    const NAME: &str = "a_driver_is_found_wherever_it_is";
    let _guard = together();
    if !rustix::process::geteuid().is_root() || !installed("unshare") || !installed("ldconfig") {
        return cannot_run(NAME, "it takes root, unshare and ldconfig");
    }
    let machine = two_containers();
    // In a folder that a confined thread may read.
    let mut driver = Driver::new(&machine.root(), 1);
    let folder = machine.folder().join("wsl/lib");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::copy(&driver.library, folder.join("libnvidia-ml.so.1")).expect("the library");
    let cache = machine.folder().join("ld.so.cache");
    let configuration = machine.folder().join("ld.so.conf");
    std::fs::write(&configuration, format!("include /etc/ld.so.conf\n{}\n", folder.display())).unwrap();
    let done =
        Command::new("ldconfig").arg("-X").arg("-C").arg(&cache).arg("-f").arg(&configuration).status();
    assert!(done.is_ok_and(|status| status.success()), "ldconfig");
    driver.state.opens = vec!["/dev/null".into()];
    driver.write();
    let script = format!("mount --bind {} /etc/ld.so.cache && exec \"$0\" \"$@\"", cache.display());
    let starter =
        ["unshare", "-m", "env", &format!("{VARIABLE}={}", driver.file().display()), "sh", "-c", &script];
    for sandbox in ["auto", "on"] {
        let mut flags = machine.flags();
        flags.extend([QUICK.to_owned(), format!("--security.sandbox={sandbox}")]);
        let exporter = Exporter::start_under(&starter, &flags);
        let mut watch = Watch::new(&exporter);
        let before = settled(&mut watch);
        draw(&mut driver, &[100]);
        shows(&mut watch, total(&before) + 100.0);
        assert_eq!(lines(&exporter, "no GPU here"), 0, "{}", exporter.log());
    }
}

/// A device that is opened when the driver is loaded anew, under the sandbox: it was opened at the start, so it may be again.
#[test]
fn a_driver_is_loaded_anew_under_the_sandbox() {
    let _guard = together();
    let machine = two_containers();
    // In a folder that a confined thread may read.
    let mut driver = Driver::new(&machine.root(), 1);
    let elsewhere = tempfile::tempdir_in("/dev/shm").expect("a folder below /dev");
    let device = elsewhere.path().join("dxg");
    std::fs::write(&device, "").expect("a device");
    driver.state.opens = vec![device];
    driver.write();
    let exporter = driver.exporter(machine.flags(), &[QUICK, "--security.sandbox=on"]);
    let mut watch = Watch::new(&exporter);
    let before = settled(&mut watch);
    driver.unload();
    watch.until("it is gone", |scrape| scrape.samples("noether_gpu_info").count() == 0);
    sleep(Duration::from_secs(1));
    driver.write();
    watch.until("it is back", |scrape| scrape.samples("noether_gpu_info").count() == 1);
    sleep(Duration::from_secs(1));
    draw(&mut driver, &[100]);
    shows(&mut watch, total(&before) + 100.0);
}

/// A Jetson without a library is recognised, and doctor says what it lacks.
#[test]
fn a_jetson_is_recognised() {
    let _guard = together();
    let mut machine = two_containers();
    let names = "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0";
    machine.tree().put("sys/firmware/devicetree/base/compatible", names);
    let mut driver = Driver::new(machine.folder(), 0);
    driver.library = "/nowhere/libnvidia-ml.so.1".into();
    let text = driver.doctor(&machine.flags(), &[]);
    let line = nvml(&text);
    assert!(line.starts_with("warning") && line.contains("Jetson (nvidia,p3768-0000+p3767-0005)"), "{text}");
    let exporter = driver.exporter(machine.flags(), &[QUICK]);
    until("the log says so", || (lines(&exporter, "this is a Jetson") == 1).then_some(()));
    assert_eq!(lines(&exporter, "no GPU here"), 0, "{}", exporter.log());
}
