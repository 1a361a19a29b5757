//! Cards of the three drivers, as their folders look.

use super::*;
use crate::stat::CpuTimes;
use crate::{amdgpu, i915, xe};
use noether_core::gpu::Gauges;
use noether_core::reading::{DeviceLocation, Fault, Quality, Role};
use noether_core::units::{Energy, Power};
use std::os::unix::fs::symlink;
use tempfile::TempDir;

const ID: &str = "aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9";

fn machine(folder: &TempDir) -> Machine {
    let root = folder.path().to_owned();
    Machine {
        procfs: root.join("proc"),
        sysfs: root.join("sys"),
        cgroupfs: root.join("sys/fs/cgroup"),
        rootfs: root,
        nvml_library: PathBuf::new(),
        clock_ticks: 100,
        page_size: 4096,
    }
}

fn put(folder: &TempDir, path: &str, content: &str) {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{content}\n")).unwrap();
}

/// A card at a PCI address, with these files in its hwmon folder.
fn card(folder: &TempDir, number: u32, pci: &str, hwmon: &str, files: &[(&str, &str)]) {
    let device = format!("sys/class/drm/card{number}/device");
    put(folder, &format!("{device}/uevent"), &format!("DRIVER=x\nPCI_SLOT_NAME={pci}"));
    put(folder, &format!("{device}/vendor"), "0x1002");
    put(folder, &format!("{device}/device"), "0x73bf");
    put(folder, &format!("{device}/hwmon/hwmon{number}/name"), hwmon);
    for (file, content) in files {
        put(folder, &format!("{device}/hwmon/hwmon{number}/{file}"), content);
    }
}

fn process(folder: &TempDir, pid: u32, client: u64, engine: &str) {
    let base = folder.path().join(format!("proc/{pid}"));
    fs::create_dir_all(base.join("fd")).unwrap();
    for descriptor in ["3", "4"] {
        let _ = symlink("/dev/dri/renderD128", base.join("fd").join(descriptor));
        let content = format!("drm-pdev:\t0000:03:00.0\ndrm-client-id:\t{client}\n{engine}");
        put(folder, &format!("proc/{pid}/fdinfo/{descriptor}"), &content);
    }
    put(folder, &format!("proc/{pid}/cgroup"), &format!("0::/docker/{ID}"));
}

type Seen = (Vec<DomainReading>, Vec<Arc<DeviceLook>>);

fn look(meter: &mut dyn Meter, second: u64) -> Seen {
    let (mut readings, mut faults) = (Vec::new(), Vec::new());
    let now = || Moment::from_boot(Duration::from_secs(second));
    meter.read(&Look { now: &now, cpu: &CpuTimes::default() }, &mut readings, &mut faults);
    (readings, meter.looks())
}

#[test]
fn a_card_of_amd_integrates_power_and_tells_its_processes() {
    let folder = TempDir::new().unwrap();
    let files = [
        ("power1_average", "123000000"),
        ("power1_cap", "300000000"),
        ("power1_cap_max", "330000000"),
        ("temp1_input", "45000"),
        ("freq1_input", "1800000000"),
    ];
    card(&folder, 1, "0000:03:00.0", "amdgpu", &files);
    for (file, content) in
        [("gpu_busy_percent", "30"), ("mem_info_vram_vendor", "samsung"), ("unique_id", "5d2f")]
    {
        put(&folder, &format!("sys/class/drm/card1/device/{file}"), content);
    }
    put(&folder, "sys/class/drm/card1-DP-1/status", "connected");
    process(&folder, 7, 1, "drm-engine-gfx:\t5000000 ns\ndrm-memory-vram:\t8 KiB");
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    let (readings, looks) = look(&mut *meter, 10);
    let domain = &readings[0].domain;
    assert_eq!((&*domain.name, domain.role, domain.quality), ("card1", Role::Part, Quality::Integrated));
    assert_eq!(domain.max_power, Some(Power::from_watts(330.0)));
    assert_eq!(domain.place.device, PciAddress::parse("0000:03:00.0").map(DeviceLocation::Pci));
    assert_eq!(readings[0].reading, Ok(Reading::Power(Power::from_watts(123.0))));
    let device = &looks[0].device;
    assert_eq!((&*device.uuid, &*device.model, &*device.pci), ("5d2f", "1002:73bf", "0000:03:00.0"));
    assert_eq!(looks[0].gauges.utilisation, Some(0.3));
    assert_eq!(looks[0].instances[0].processes[0].time, Some(0), "what was before is of no interval");
    process(&folder, 7, 1, "drm-engine-gfx:\t9000000 ns\ndrm-memory-vram:\t8 KiB");
    process(&folder, 8, 2, "drm-engine-gfx:\t1000000 ns");
    meter.rescan().unwrap();
    let (_, looks) = look(&mut *meter, 11);
    let processes = &looks[0].instances[0].processes;
    assert_eq!(processes.iter().map(|one| one.time).collect::<Vec<_>>(), [Some(4000), Some(1000)]);
    assert_eq!(processes[0].memory, Some(8192), "two files of one client count once");
    assert!(processes[0].owner.is_some() && looks[0].time == Duration::from_secs(1));
}

#[test]
fn graphics_in_a_processor_are_shown_and_never_summed() {
    let folder = TempDir::new().unwrap();
    card(&folder, 0, "0000:c1:00.0", "amdgpu", &[("power1_input", "15000000")]);
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    assert_eq!(look(&mut *meter, 1).0[0].domain.role, Role::Nested);
}

#[test]
fn cards_of_intel_count_energy() {
    let folder = TempDir::new().unwrap();
    card(&folder, 0, "0000:00:02.0", "i915_gt0", &[("energy1_input", "1")]);
    card(&folder, 1, "0000:03:00.0", "i915", &[("energy1_input", "1234567")]);
    card(&folder, 2, "0000:04:00.0", "xe", &[("energy2_input", "77"), ("temp2_input", "50000")]);
    let total = |uj| Ok(Reading::Total(Energy::from_microjoules(uj)));
    let mut meter = (i915::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    let (readings, _) = look(&mut *meter, 1);
    assert_eq!((readings.len(), readings[0].reading), (1, total(1_234_567)));
    let mut meter = (xe::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    let (readings, looks) = look(&mut *meter, 1);
    assert_eq!((readings.len(), readings[0].reading), (1, total(77)));
    assert_eq!(looks[0].gauges.temperature, Some(50.0));
    put(&folder, "sys/class/drm/card2/device/hwmon/hwmon2/energy2_input", "many");
    assert_eq!(look(&mut *meter, 2).0[0].reading, Err(Fault::Malformed));
    assert!((amdgpu::PROBE.open)(&machine(&folder)).unwrap().is_none());
}

const SUSPENDED: Gauges = Gauges {
    power: Some(Power::ZERO),
    suspended: true,
    average_power: None,
    power_limit: None,
    utilisation: None,
    engines: None,
    memory_utilisation: None,
    memory: None,
    temperature: None,
    clock: None,
    memory_clock: None,
};

/// What every reading of a suspended card would resume is not read: it would be malformed here.
#[test]
fn a_suspended_card_is_not_read() {
    let folder = TempDir::new().unwrap();
    let status = |number: u32, status: &str| {
        put(&folder, &format!("sys/class/drm/card{number}/device/power/runtime_status"), status);
    };
    let unreadable = [("power1_average", "read"), ("power1_cap", "read"), ("power1_cap_max", "read")];
    card(&folder, 1, "0000:03:00.0", "amdgpu", &unreadable);
    put(&folder, "sys/class/drm/card1/device/mem_info_vram_vendor", "samsung");
    for (number, driver, file) in [(2, "i915", "energy1_input"), (3, "xe", "energy1_input")] {
        card(&folder, number, &format!("0000:0{}:00.0", number + 2), driver, &[(file, "read")]);
    }
    for (number, probe) in [(1, amdgpu::PROBE), (2, i915::PROBE), (3, xe::PROBE)] {
        for asleep in ["suspended", "suspending"] {
            status(number, asleep);
            let mut meter = (probe.open)(&machine(&folder)).unwrap().unwrap();
            meter.rescan().unwrap();
            let (readings, looks) = look(&mut *meter, 1);
            assert_eq!(readings[0].reading, Ok(Reading::Power(Power::ZERO)), "{}", probe.name);
            assert_eq!((readings[0].domain.max_power, looks[0].gauges), (None, SUSPENDED));
        }
    }
    // Resumed, and suspended again: its counter stands still.
    let counter = "sys/class/drm/card2/device/hwmon/hwmon2/energy1_input";
    let mut meter = (i915::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    status(2, "active");
    put(&folder, counter, "5000");
    let total = Ok(Reading::Total(Energy::from_microjoules(5000)));
    assert_eq!(look(&mut *meter, 2).0[0].reading, total);
    status(2, "suspended");
    put(&folder, counter, "read");
    assert_eq!(look(&mut *meter, 3).0[0].reading, total);
}

/// Some drivers resume a card for the fdinfo of its clients, too.
#[test]
fn clients_of_a_suspended_card_are_not_read() {
    let folder = TempDir::new().unwrap();
    card(&folder, 1, "0000:03:00.0", "xe", &[("energy1_input", "5")]);
    process(&folder, 7, 1, "drm-engine-rcs:\t5000000 ns");
    let mut meter = (xe::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    look(&mut *meter, 1);
    put(&folder, "sys/class/drm/card1/device/power/runtime_status", "suspended");
    process(&folder, 7, 1, "drm-engine-rcs:\t9000000 ns");
    let time = |looks: &[Arc<DeviceLook>]| looks[0].instances[0].processes[0].time;
    assert_eq!(time(&look(&mut *meter, 2).1), Some(0));
    put(&folder, "sys/class/drm/card1/device/power/runtime_status", "active");
    assert_eq!(time(&look(&mut *meter, 3).1), Some(4000));
}

fn amd(folder: &TempDir, number: u32, pci: &str, power: &[(&str, &str)], busy: &str) {
    card(folder, number, pci, "amdgpu", power);
    for (file, content) in [("mem_info_vram_vendor", "hynix"), ("gpu_busy_percent", busy)] {
        put(folder, &format!("sys/class/drm/card{number}/device/{file}"), content);
    }
}

/// A process with one client of a device.
fn client(folder: &TempDir, pid: u32, node: &str, content: &str) {
    let base = folder.path().join(format!("proc/{pid}"));
    fs::create_dir_all(base.join("fd")).unwrap();
    let _ = symlink(format!("/dev/dri/{node}"), base.join("fd/3"));
    put(folder, &format!("proc/{pid}/fdinfo/3"), content);
    put(folder, &format!("proc/{pid}/cgroup"), &format!("0::/docker/{ID}"));
}

const POWER: [(&str, &str); 2] = [("power1_average", "250000000"), ("power1_cap", "300000000")];

/// A process's time, memory and unreported work.
type Work = (Option<u64>, Option<u64>, UnreportedWork);

fn works(look: &DeviceLook) -> Vec<Work> {
    look.instances[0].processes.iter().map(|one| (one.time, one.memory, one.unreported)).collect()
}

#[test]
fn compute_that_is_not_reported_has_the_busy_time_that_no_engine_explains() {
    let folder = TempDir::new().unwrap();
    amd(&folder, 1, "0000:03:00.0", &POWER, "100");
    let pdev = "drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\ndrm-client-id";
    client(&folder, 7, "renderD128", &format!("{pdev}:\t1\ndrm-memory-vram:\t12582912 KiB"));
    let compositor =
        |ms: u64| client(&folder, 8, "renderD128", &format!("{pdev}:\t2\ndrm-engine-gfx:\t{ms}000000 ns"));
    compositor(1000);
    let decoder =
        |ms: u64| client(&folder, 9, "renderD128", &format!("{pdev}:\t3\ndrm-engine-dec:\t{ms}000000 ns"));
    decoder(0);
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    look(&mut *meter, 1);
    compositor(1005);
    decoder(300);
    let (_, looks) = look(&mut *meter, 2);
    let memory = Some(12_582_912 << 10);
    let possible = UnreportedWork::Possible;
    let seen = |compositor| {
        [(None, memory, possible), (Some(5000), None, compositor), (Some(300_000), None, possible)].to_vec()
    };
    assert_eq!(works(&looks[0]), seen(UnreportedWork::No));
    assert_eq!(looks[0].instances[0].unexplained, 995_000, "decoding is beside what utilisation counts");
    // Whoever has /dev/kfd open may compute unreported, and nobody else.
    symlink("/dev/kfd", folder.path().join("proc/8/fd/5")).unwrap();
    meter.rescan().unwrap();
    let (_, looks) = look(&mut *meter, 3);
    let no = UnreportedWork::No;
    assert_eq!(works(&looks[0]), [(Some(0), memory, no), (Some(0), None, possible), (Some(0), None, no)]);
}

/// Whoever begins to work between two scans is found at once, by the work.
#[test]
fn unseen_work_makes_clients_be_looked_for() {
    let folder = TempDir::new().unwrap();
    amd(&folder, 1, "0000:03:00.0", &POWER, "100");
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    look(&mut *meter, 10);
    let content = "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t1\ndrm-memory-vram:\t12582912 KiB";
    client(&folder, 7, "renderD128", content);
    let found = |meter: &mut dyn Meter, second| works(&look(meter, second).1[0]).len();
    assert_eq!([11, 12, 13, 14].map(|second| found(&mut *meter, second)), [0, 0, 0, 1]);
}

#[test]
fn amdkfd_lists_who_computes_and_what_they_occupy() {
    let folder = TempDir::new().unwrap();
    amd(&folder, 1, "0000:03:00.0", &POWER, "60");
    amd(&folder, 2, "0000:83:00.0", &POWER, "0");
    let kfd = |path: &str, content: &str| put(&folder, &format!("sys/class/kfd/kfd/{path}"), content);
    for (node, gpu, location) in [(0, 0, 0), (1, 2312, 0x300), (2, 51_234, 0x8300)] {
        let minor = if location == 0 { 0 } else { 127 + node };
        kfd(&format!("topology/nodes/{node}/gpu_id"), &gpu.to_string());
        let properties = format!("location_id {location}\ndomain 0\ndrm_render_minor {minor}");
        kfd(&format!("topology/nodes/{node}/properties"), &properties);
    }
    for (pid, units) in [(7, "48"), (9, "12")] {
        kfd(&format!("proc/{pid}/vram_2312"), "1048576");
        kfd(&format!("proc/{pid}/stats_2312/cu_occupancy"), units);
        kfd(&format!("proc/{pid}/vram_51234"), "0");
        kfd(&format!("proc/{pid}/stats_51234/cu_occupancy"), "0");
    }
    let idle = "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t2\ndrm-memory-vram:\t8 KiB";
    client(&folder, 8, "renderD128", idle);
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    let (_, looks) = look(&mut *meter, 1);
    let occupies = UnreportedWork::Occupies;
    let seen = [
        (None, Some(1 << 20), occupies(48)),
        (Some(0), Some(8192), UnreportedWork::No),
        (None, Some(1 << 20), occupies(12)),
    ];
    assert_eq!(works(&looks[0]), seen);
    assert!(works(&looks[1]).is_empty(), "nothing of theirs is on the other card");
    assert_eq!(looks[0].instances[0].unexplained, 600_000);
}

#[test]
fn kernels_before_5_19_give_memory_alone() {
    let folder = TempDir::new().unwrap();
    amd(&folder, 1, "0000:03:00.0", &POWER, "100");
    let old = |pid: u32, memory: u64| {
        let content = format!("pdev:\t0000:03:00.0\npasid:\t{pid}\nvram mem:\t{memory} kB\ngfx0:\t12.5%");
        client(&folder, pid, "renderD128", &content);
    };
    old(7, 3000);
    old(8, 1000);
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    look(&mut *meter, 1);
    let (_, looks) = look(&mut *meter, 2);
    let possible = UnreportedWork::Possible;
    assert_eq!(works(&looks[0]), [(None, Some(3_072_000), possible), (None, Some(1_024_000), possible)]);
}

/// The second die of a package shows 0 W, or nothing, or an error: it is a part of the first one's.
#[test]
fn dies_of_a_package_are_one_meter() {
    for second in [&[("power1_average", "0"), ("power1_cap", "0")][..], &[("power1_average", "")], &[]] {
        let folder = TempDir::new().unwrap();
        amd(&folder, 0, "0000:c1:00.0", &POWER, "0");
        amd(&folder, 1, "0000:c6:00.0", second, "100");
        amd(&folder, 2, "0000:c9:00.0", &POWER, "0");
        amd(&folder, 3, "0000:ce:00.0", second, "100");
        let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
        for second in 1..3 {
            let (readings, looks) = look(&mut *meter, second);
            let read: Vec<&str> = readings.iter().map(|one| &*one.domain.name).collect();
            assert_eq!(read, ["card0", "card2"]);
            let of: Vec<(&str, &str)> =
                looks.iter().map(|one| (&*one.device.gpu, &*one.device.domain.name)).collect();
            assert_eq!(of, [("card0", "card0"), ("card1", "card0"), ("card2", "card2"), ("card3", "card2")]);
            assert_eq!(looks[1].gauges.power, None);
        }
    }
}

/// A die whose driver shows no hwmon folder at all.
#[test]
fn a_die_without_hwmon_is_a_part_of_its_package() {
    let folder = TempDir::new().unwrap();
    amd(&folder, 0, "0000:c1:00.0", &POWER, "0");
    amd(&folder, 1, "0000:c6:00.0", &[], "100");
    fs::remove_dir_all(folder.path().join("sys/class/drm/card1/device/hwmon")).unwrap();
    put(&folder, "sys/class/drm/card1/device/uevent", "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:c6:00.0");
    // Another driver's, and another part.
    for (number, driver, id) in [(2, "nouveau", "0x73bf"), (3, "amdgpu", "0x1638")] {
        let device = format!("sys/class/drm/card{number}/device");
        put(
            &folder,
            &format!("{device}/uevent"),
            &format!("DRIVER={driver}\nPCI_SLOT_NAME=0000:0{number}:00.0"),
        );
        put(&folder, &format!("{device}/vendor"), "0x1002");
        put(&folder, &format!("{device}/device"), id);
    }
    // Whose driver is not known: another meter may count it.
    put(&folder, "sys/class/drm/card4/device/uevent", "PCI_SLOT_NAME=0000:04:00.0");
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    let (readings, looks) = look(&mut *meter, 1);
    assert_eq!((readings.len(), looks.len(), &*looks[1].device.domain.name), (1, 2, "card0"));
    assert_eq!(looks[1].gauges.utilisation, Some(1.0));
}

/// What is being resumed may show 0 W for a moment: it is its own meter all the same.
#[test]
fn a_card_that_was_suspended_is_no_die_at_once() {
    let folder = TempDir::new().unwrap();
    amd(&folder, 0, "0000:03:00.0", &POWER, "50");
    amd(&folder, 1, "0000:83:00.0", &[("power1_average", "0"), ("power1_cap", "1")], "0");
    let status = "sys/class/drm/card1/device/power/runtime_status";
    put(&folder, status, "suspended");
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    let joined = |meter: &mut dyn Meter, second| &*look(meter, second).1[1].device.domain.name == "card0";
    assert!(!joined(&mut *meter, 1));
    put(&folder, status, "active");
    assert!((2..11).all(|second| !joined(&mut *meter, second)));
    assert!(joined(&mut *meter, 12));
}

/// Two cards of a kind are two meters, though one rests at 0 W at times; one that never shows power while it works, and
/// has no other die, measures nothing.
#[test]
fn cards_that_measure_are_no_dies() {
    let folder = TempDir::new().unwrap();
    amd(&folder, 0, "0000:03:00.0", &POWER, "50");
    amd(&folder, 1, "0000:83:00.0", &POWER, "50");
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    assert_eq!(look(&mut *meter, 1).0.len(), 2);
    put(&folder, "sys/class/drm/card1/device/hwmon/hwmon1/power1_average", "0");
    assert_eq!(look(&mut *meter, 2).0[1].reading, Ok(Reading::Power(Power::ZERO)));
    let folder = TempDir::new().unwrap();
    amd(&folder, 0, "0000:03:00.0", &[("power1_average", "0"), ("power1_cap", "1")], "50");
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    assert_eq!(look(&mut *meter, 1).0[0].reading, Err(Fault::Malformed));
    put(&folder, "sys/class/drm/card0/device/hwmon/hwmon0/power1_average", "9000000");
    assert_eq!(look(&mut *meter, 2).0[0].reading, Ok(Reading::Power(Power::from_watts(9.0))));
}

/// The partitions of an accelerator have cards and files of their own, and its meter.
#[test]
fn clients_of_partitions_are_on_their_accelerator() {
    let folder = TempDir::new().unwrap();
    amd(&folder, 0, "0000:c1:00.0", &POWER, "100");
    amd(&folder, 2, "0000:c9:00.0", &POWER, "100");
    for (node, device) in [("renderD128", "0000:c1:00.0"), ("renderD130", "0000:c9:00.0")] {
        put(&folder, &format!("sys/class/drm/{node}/device/uevent"), &format!("PCI_SLOT_NAME={device}"));
    }
    for (node, partition) in [("renderD129", 1), ("card1", 1), ("renderD131", 2), ("card3", 2)] {
        let modalias = format!("MODALIAS=platform:amdgpu_xcp_{partition}");
        put(&folder, &format!("sys/class/drm/{node}/device/uevent"), &modalias);
    }
    let engine = "drm-engine-compute:\t9000000 ns";
    client(&folder, 7, "renderD129", &format!("drm-driver:\tamdgpu\ndrm-client-id:\t1\n{engine}"));
    client(&folder, 8, "renderD131", &format!("drm-driver:\tamdgpu\ndrm-client-id:\t2\n{engine}"));
    let named = "drm-pdev:\tamdgpu_xcp_2\ndrm-client-id:\t3";
    client(&folder, 9, "renderD131", &format!("{named}\n{engine}"));
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    let (readings, looks) = look(&mut *meter, 1);
    assert_eq!(readings.len(), 2, "partitions are no cards");
    assert_eq!(looks.iter().map(|one| works(one).len()).collect::<Vec<_>>(), [1, 2]);
}

/// VMD and Hyper-V number PCI domains above 16 bits.
#[test]
fn domains_above_16_bits_are_two_places() {
    let folder = TempDir::new().unwrap();
    amd(&folder, 0, "0000:03:00.0", &POWER, "0");
    amd(&folder, 1, "10000:03:00.0", &POWER, "0");
    client(&folder, 7, "renderD129", "drm-pdev:\t10000:03:00.0\ndrm-client-id:\t3\ndrm-engine-gfx:\t5 ns");
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    let (readings, looks) = look(&mut *meter, 1);
    assert_ne!(readings[0].domain.place, readings[1].domain.place);
    assert_eq!((&*looks[1].device.pci, works(&looks[1]).len()), ("10000:03:00.0", 1));
}

/// A kernel that shows two powers may answer for one of them only.
#[test]
fn the_power_that_can_be_read_counts() {
    let folder = TempDir::new().unwrap();
    let powers = [("power1_average", ""), ("power1_input", "70000000"), ("power1_cap", "1")];
    amd(&folder, 0, "0000:03:00.0", &powers, "0");
    let mut meter = (amdgpu::PROBE.open)(&machine(&folder)).unwrap().unwrap();
    assert_eq!(look(&mut *meter, 1).0[0].reading, Ok(Reading::Power(Power::from_watts(70.0))));
}
