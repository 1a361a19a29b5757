//! Cards of the three drivers, as their folders look.

use super::*;
use crate::stat::CpuTimes;
use crate::{amdgpu, i915, xe};
use noether_core::reading::Fault;
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
    assert_eq!(domain.place.device, Some(0x300));
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
    // Asleep: nobody asks it, and it draws nothing.
    put(&folder, "sys/class/drm/card1/device/power/runtime_status", "suspended");
    fs::remove_file(folder.path().join("sys/class/drm/card1/device/hwmon/hwmon1/power1_average")).unwrap();
    let (readings, looks) = look(&mut *meter, 12);
    assert_eq!(readings[0].reading, Ok(Reading::Power(Power::ZERO)));
    assert_eq!(looks[0].gauges, Gauges::default());
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
