//! Cards in sysfs: work that the kernel does not report, dies of one package, partitions, suspended cards, PCI domains.

use std::thread::sleep;
use std::time::{Duration, Instant};

use noether_tests::exporter::{Exporter, run};
use noether_tests::machine::{Hardware, Load, Machine};
use noether_tests::nvml::{Driver, enter};
use noether_tests::outcome::{together, within};
use noether_tests::scrape::{Sample, Scrape};

use crate::watch::Watch;

const A: &str = "container///00000001c0ff";
const B: &str = "container///00000002c0ff";
const FLAGS: [&str; 2] = ["--sample.interval=200ms", "--meter.nvml=off"];

/// A machine without meters of its own on which two containers run, with the processes 1 and 2 in them.
fn two_containers() -> Machine {
    let mut machine = Machine::new(Hardware::vm(), vec![Load::docker(1), Load::docker(2)]);
    enter(&mut machine, 1, &Load::docker(1).path);
    enter(&mut machine, 2, &Load::docker(2).path);
    machine
}

fn put(machine: &mut Machine, path: &str, content: &str) {
    machine.tree().put(path, &format!("{content}\n"));
}

/// A card with these files in its device's folder; `hwmon/FILE` is in its hwmon folder.
fn card(machine: &mut Machine, number: u32, driver: &str, pci: &str, files: &[(&str, &str)]) {
    let device = format!("sys/class/drm/card{number}/device");
    put(machine, &format!("{device}/uevent"), &format!("DRIVER={driver}\nPCI_SLOT_NAME={pci}"));
    put(machine, &format!("{device}/hwmon/hwmon{number}/name"), driver);
    for (file, content) in files {
        let file = file.replace("hwmon/", &format!("hwmon/hwmon{number}/"));
        put(machine, &format!("{device}/{file}"), content);
    }
}

/// A card of AMD that draws so many watts, as its driver shows them.
fn amd(machine: &mut Machine, number: u32, pci: &str, power: &str, busy: &str) {
    let files = [
        ("vendor", "0x1002"),
        ("device", "0x7408"),
        ("mem_info_vram_vendor", "hynix"),
        ("gpu_busy_percent", busy),
        ("hwmon/power1_average", power),
        ("hwmon/power1_cap", "560000000"),
    ];
    card(machine, number, "amdgpu", pci, &files);
}

/// What process `pid` has open: `node` in `/dev/dri`, with this fdinfo.
fn client(machine: &mut Machine, pid: u32, node: &str, content: &str) {
    put(machine, &format!("proc/{pid}/fdinfo/5"), content);
    let link = format!("proc/{pid}/fd/5");
    if !machine.folder().join("machine").join(&link).is_symlink() {
        machine.tree().link(&link, &format!("/dev/dri/{node}"));
    }
}

fn start(machine: &Machine) -> Exporter {
    let mut flags = machine.flags();
    flags.extend(FLAGS.map(str::to_owned));
    Exporter::start(&flags)
}

fn doctor(machine: &Machine) -> String {
    let mut arguments = vec!["doctor".to_owned()];
    arguments.extend(machine.flags());
    arguments.push("--meter.nvml=off".to_owned());
    String::from_utf8(run(&arguments).stdout).expect("text")
}

fn gpu_total(scrape: &Scrape) -> f64 {
    scrape.account("gpu").map_or(0.0, |account| account.node as f64 / 1e6)
}

fn method(scrape: &Scrape, gpu: &str, method: &str) -> bool {
    scrape.value("noether_gpu_attribution_info", &[("gpu", gpu), ("method", method)]) == Some(1.0)
}

/// Runs for `seconds` of work, which `work` writes for each moment, and gives what the node, A and B gained meanwhile.
fn gains(
    machine: &mut Machine,
    watch: &mut Watch,
    seconds: f64,
    mut work: impl FnMut(&mut Machine, f64),
) -> [f64; 3] {
    let figures = |scrape: &Scrape| [gpu_total(scrape), scrape.joules(A, "gpu"), scrape.joules(B, "gpu")];
    let begun = Instant::now();
    // The work is under way before it is judged.
    let mut first = None;
    loop {
        let passed = begun.elapsed().as_secs_f64();
        work(machine, passed);
        let scrape = watch.scrape();
        let held = scrape.account("gpu").map_or(true, |account| account.pending > 0);
        if first.is_none() && passed > 1.5 && !held {
            first = Some((passed, figures(&scrape)));
        }
        if let Some((from, first)) = &first
            && passed > from + seconds
        {
            let last = figures(&scrape);
            return [0, 1, 2].map(|place| last[place] - first[place]);
        }
        assert!(passed < 60.0 + seconds, "no GPU was shown");
        sleep(Duration::from_millis(50));
    }
}

const MODERN: &str = "drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\ndrm-client-id";

/// ROCm's compute is in no engine time; the compositor beside it is on the engine for 5 ms a second.
fn rocm(busy: &str) {
    let _guard = together();
    let mut machine = two_containers();
    amd(&mut machine, 1, "0000:03:00.0", "250000000", busy);
    client(
        &mut machine,
        1,
        "renderD128",
        &format!("{MODERN}:\t1\ndrm-memory-vram:\t12582912 KiB\ndrm-memory-gtt:\t20 KiB"),
    );
    let composes = |machine: &mut Machine, seconds: f64| {
        let time = (seconds * 5e6) as u64 + 77_000_000;
        let content = format!("{MODERN}:\t2\ndrm-memory-vram:\t90000 KiB\ndrm-engine-gfx:\t{time} ns");
        client(machine, 2, "renderD128", &content);
    };
    composes(&mut machine, 0.0);
    let exporter = start(&machine);
    let mut watch = Watch::new(&exporter);
    let [node, rocm, compositor] = gains(&mut machine, &mut watch, 4.0, composes);
    assert!(node > 200.0, "{node} J");
    within(0.03, rocm / node, 0.995, "ROCm's part");
    assert!(compositor > 0.0 && compositor < 0.03 * node, "{compositor} J of {node} J");
    assert!(method(&watch.scrape(), "card1", "memory"));
    let log = exporter.log();
    assert_eq!(log.matches("reports no times of some processes").count(), 1, "{log}");
    let text = doctor(&machine);
    assert!(text.contains("reports no times of 1 of 2 processes on card1"), "{text}");
    assert!(text.lines().any(|line| line.contains("amdgpu") && line.starts_with("warning")), "{text}");
}

#[test]
fn rocm_pays_beside_a_compositor() {
    rocm("100");
}

/// A card that does not say how busy it is.
#[test]
fn rocm_pays_where_utilisation_cannot_be_read() {
    rocm("");
}

/// Two compute; that one of them decodes a video, which is reported, does not make its compute free, nor the other's.
#[test]
fn who_decodes_a_video_computes_as_well() {
    let _guard = together();
    let mut machine = two_containers();
    amd(&mut machine, 1, "0000:03:00.0", "250000000", "90");
    let memory = "drm-memory-vram:\t4194304 KiB";
    client(&mut machine, 1, "renderD128", &format!("{MODERN}:\t1\n{memory}"));
    let decodes = |machine: &mut Machine, seconds: f64| {
        let time = (seconds * 9e6) as u64;
        client(machine, 2, "renderD128", &format!("{MODERN}:\t2\n{memory}\ndrm-engine-dec:\t{time} ns"));
    };
    decodes(&mut machine, 0.0);
    for pid in [1, 2] {
        machine.tree().link(&format!("proc/{pid}/fd/3"), "/dev/kfd");
    }
    let exporter = start(&machine);
    let mut watch = Watch::new(&exporter);
    let [node, one, two] = gains(&mut machine, &mut watch, 4.0, decodes);
    within(0.03, one / node, 0.495, "who only computes");
    within(0.03, two / node, 0.505, "who decodes, too");
}

/// Linux before 5.19 gives memory alone, under keys of its own.
#[test]
fn an_old_kernel_splits_by_memory_and_says_so() {
    let _guard = together();
    let mut machine = two_containers();
    amd(&mut machine, 1, "0000:03:00.0", "200000000", "70");
    for (pid, memory) in [(1, 3_000_000), (2, 1_000_000)] {
        let content = format!(
            "pdev:\t0000:03:00.0\npasid:\t{}\nvram mem:\t{memory} kB\ngtt mem:\t8 kB\ngfx0:\t12.34%",
            32770 + pid
        );
        client(&mut machine, pid, "renderD128", &content);
    }
    let exporter = start(&machine);
    let mut watch = Watch::new(&exporter);
    let [node, one, two] = gains(&mut machine, &mut watch, 3.0, |_, _| {});
    within(0.03, one / node, 0.75, "three of four");
    within(0.03, two / node, 0.25, "one of four");
    assert!(method(&watch.scrape(), "card1", "memory"));
    let log = exporter.log();
    assert_eq!(log.matches("before 5.19").count(), 1, "{log}");
    assert!(doctor(&machine).contains("reports no times of 2 of 2 processes"), "{}", doctor(&machine));
}

/// MI250X: the first die shows the power of both. A idles on the first, B works on the second.
fn package(second: &str, engine: bool) {
    let _guard = together();
    let mut machine = two_containers();
    amd(&mut machine, 0, "0000:c1:00.0", "420000000", "0");
    amd(&mut machine, 1, "0000:c6:00.0", second, "100");
    let works = |machine: &mut Machine, seconds: f64| {
        for (pid, pci, time) in [(1, "0000:c1:00.0", 0), (2, "0000:c6:00.0", (seconds * 9e8) as u64)] {
            let mut content = format!("drm-pdev:\t{pci}\ndrm-client-id:\t{pid}\ndrm-memory-vram:\t9000 KiB");
            if engine {
                content.push_str(&format!("\ndrm-engine-compute:\t{time} ns"));
            }
            client(machine, pid, &format!("renderD{}", 127 + pid), &content);
        }
    };
    works(&mut machine, 0.0);
    let exporter = start(&machine);
    let mut watch = Watch::new(&exporter);
    let [node, one, two] = gains(&mut machine, &mut watch, 3.0, works);
    assert!(node > 200.0, "{node} J");
    assert!(one < 0.01 * node, "who idles pays {one} J of {node} J");
    within(0.01, two / node, 1.0, "who works on the second die");
    let scrape = watch.scrape();
    let domains: Vec<&str> = scrape
        .samples("noether_domain_energy_joules_total")
        .filter(|one| one.label("meter") == "amdgpu")
        .map(|one| one.label("domain"))
        .collect();
    assert_eq!(domains, ["card0"]);
    assert_eq!(scrape.samples("noether_gpu_info").count(), 2);
    let errors = scrape.samples("noether_meter_errors_total").filter(|one| one.label("meter") == "amdgpu");
    assert_eq!(errors.map(Sample::value).sum::<f64>(), 0.0);
    assert!(exporter.log().contains("card1 (0000:c6:00.0) shows no power of its own"), "{}", exporter.log());
    let text = doctor(&machine);
    assert!(text.contains("card1 has no meter of its own: card0 measures both"), "{text}");
}

#[test]
fn dies_of_a_package_are_split_by_the_use_of_both() {
    package("0", true);
}

/// The same by ROCm, whose times are not reported.
#[test]
fn dies_of_a_package_are_split_by_utilisation_where_no_time_is_reported() {
    package("0", false);
}

#[test]
fn a_die_whose_power_cannot_be_read_is_a_part_of_its_package() {
    package("", true);
}

/// Partitions have devices of their own, that are not on PCI; their clients are on the accelerator.
#[test]
fn partitions_are_on_their_accelerator() {
    let _guard = together();
    let mut machine = two_containers();
    amd(&mut machine, 0, "0000:c1:00.0", "700000000", "100");
    for node in ["card1", "renderD129"] {
        put(&mut machine, &format!("sys/class/drm/{node}/device/uevent"), "MODALIAS=platform:amdgpu_xcp_1");
    }
    put(&mut machine, "sys/class/drm/renderD128/device/uevent", "PCI_SLOT_NAME=0000:c1:00.0");
    let works = |machine: &mut Machine, seconds: f64| {
        for (pid, pdev, share) in [(1, "drm-pdev:\t0000:c1:00.0\n", 2e8), (2, "", 6e8)] {
            let time = (seconds * share) as u64;
            let content =
                format!("drm-driver:\tamdgpu\n{pdev}drm-client-id:\t{pid}\ndrm-engine-compute:\t{time} ns");
            client(machine, pid, &format!("renderD{}", 127 + pid), &content);
        }
    };
    works(&mut machine, 0.0);
    let exporter = start(&machine);
    let mut watch = Watch::new(&exporter);
    let [node, one, two] = gains(&mut machine, &mut watch, 4.0, works);
    within(0.03, one / node, 0.25, "on the first partition");
    within(0.03, two / node, 0.75, "on the second");
}

/// A suspended card's files are not read: here they could not be. Awake, its counter goes on from where it is.
#[test]
fn suspended_cards_are_not_resumed() {
    let _guard = together();
    let mut machine = two_containers();
    let cards = [(0, "amdgpu", "power1_average"), (1, "i915", "energy1_input"), (2, "xe", "energy1_input")];
    let file = |number: u32, file: &str| format!("sys/class/drm/card{number}/device/{file}");
    for (number, driver, meter) in cards {
        let hwmon = format!("hwmon/{meter}");
        let files = [
            (&*hwmon, "read"),
            ("hwmon/power1_cap", "read"),
            ("mem_info_vram_vendor", "samsung"),
            ("gpu_busy_percent", "read"),
            ("power/runtime_status", "suspended"),
        ];
        card(&mut machine, number, driver, &format!("0000:0{}:00.0", number + 3), &files);
    }
    let exporter = start(&machine);
    let mut watch = Watch::new(&exporter);
    let powers =
        |scrape: &Scrape| scrape.samples("noether_gpu_power_watts").map(Sample::value).collect::<Vec<_>>();
    let scrape = watch.until("all are shown", |scrape| powers(scrape).len() == 3);
    assert_eq!(powers(&scrape), [0.0; 3]);
    watch.during(Duration::from_secs(2));
    let scrape = watch.scrape();
    assert_eq!(gpu_total(&scrape), 0.0);
    for (_, driver, _) in cards {
        assert_eq!(scrape.value("noether_meter_up", &[("meter", driver)]), Some(1.0));
    }
    let errors =
        |scrape: &Scrape| -> f64 { scrape.samples("noether_meter_errors_total").map(Sample::value).sum() };
    assert_eq!(errors(&scrape), 0.0, "{}", exporter.log());
    assert_eq!(exporter.log().matches("is suspended to save power").count(), 3, "{}", exporter.log());
    assert_eq!(doctor(&machine).matches("is suspended to save power: not read, 0 W").count(), 3);
    // The card of i915 is resumed, gains 30 J, and is suspended again: 30 J.
    put(&mut machine, &file(1, "hwmon/hwmon1/energy1_input"), "9000000000");
    put(&mut machine, &file(1, "power/runtime_status"), "active");
    sleep(Duration::from_secs(1));
    put(&mut machine, &file(1, "hwmon/hwmon1/energy1_input"), "9030000000");
    let scrape = watch.until("30 J are shown", |scrape| gpu_total(scrape) >= 30.0);
    put(&mut machine, &file(1, "power/runtime_status"), "suspended");
    put(&mut machine, &file(1, "hwmon/hwmon1/energy1_input"), "read");
    assert_eq!((gpu_total(&scrape), errors(&scrape)), (30.0, 0.0));
    watch.during(Duration::from_secs(1));
    let scrape = watch.scrape();
    assert_eq!((gpu_total(&scrape), errors(&scrape)), (30.0, 0.0));
}

/// Two cards whose addresses differ in the domain alone, above its 16 bits.
#[test]
fn cards_in_wide_pci_domains_are_two() {
    let _guard = together();
    let mut machine = two_containers();
    amd(&mut machine, 0, "0000:03:00.0", "100000000", "0");
    amd(&mut machine, 1, "10000:03:00.0", "300000000", "0");
    let exporter = start(&machine);
    let mut watch = Watch::new(&exporter);
    watch.settled();
    let domains = |scrape: &Scrape| -> f64 {
        scrape.samples("noether_domain_energy_joules_total").map(Sample::value).sum()
    };
    let first = watch.until("both are shown", |scrape| scrape.samples("noether_gpu_info").count() == 2);
    watch.during(Duration::from_secs(2));
    let last = watch.scrape();
    let node = gpu_total(&last) - gpu_total(&first);
    assert!(node > 100.0, "{node} J");
    within(0.03, node, domains(&last) - domains(&first), "both feed the node");
}

/// The same by NVML, which spells every domain with eight digits.
#[test]
fn nvidia_gpus_in_wide_pci_domains_are_two() {
    let _guard = together();
    let machine = two_containers();
    let mut driver = Driver::new(machine.folder(), 2);
    driver.gpu(0).pci = "00000000:03:00.0".to_owned();
    driver.gpu(1).pci = "00010000:03:00.0".to_owned();
    driver.write();
    let exporter = driver.exporter(machine.flags(), &["--sample.interval=200ms"]);
    let mut watch = Watch::new(&exporter);
    let shown = |scrape: &Scrape| scrape.samples("noether_gpu_info").count() == 2;
    let scrape = watch.until("both are shown", |scrape| shown(scrape) && scrape.account("gpu").is_ok());
    let before = gpu_total(&scrape);
    for place in [0, 1] {
        let gpu = driver.gpu(place);
        gpu.energy_mj = gpu.energy_mj.map(|energy| energy + 30_000);
    }
    driver.write();
    let all = |scrape: &Scrape| gpu_total(scrape) - before >= 60.0;
    let scrape = watch.until("the energy of both is the node's", all);
    let pci: Vec<&str> = scrape.samples("noether_gpu_info").map(|one| one.label("pci_address")).collect();
    assert_eq!(pci, ["0000:03:00.0", "10000:03:00.0"]);
}
