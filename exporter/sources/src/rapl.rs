//! RAPL: the energy counters in processors of Intel and AMD, as the kernel's powercap tree shows them.
//!
//! The driver's name stays `intel-rapl` on AMD. `intel-rapl-mmio` shows the same counters of some Intel parts by
//! another way; it is a meter of its own here, so that the core can tell twins by what they meter.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use noether_core::granularity::SHORTEST_INTERVAL;
use noether_core::plausible::Bounds;
use noether_core::reading::{Domain, DomainReading, Fault, Quality, Reading};
use noether_core::units::{Energy, Power};

use crate::cpuinfo;
use crate::file::{HeldFile, Unexpected, contents, if_there, number};
use crate::meter::{Longest, Look, Meter, Opened, Probe};
use crate::powercap::{self, Meaning, ZoneId};
use crate::scope::{Scope, ScopeWatch};
use crate::zone_names::ZoneNames;
use crate::{Error, Machine};

/// The counters read by the processor's registers.
pub const PROBE: Probe = Probe {
    name: "rapl",
    summary: "energy counters of Intel and AMD processors (RAPL)",
    reads: "<sysfs>/class/powercap/intel-rapl:*",
    mend: MEND,
    slow: false,
    open: |machine| open(machine, "rapl", "intel-rapl"),
};

/// The counters read by memory-mapped registers.
pub const MMIO_PROBE: Probe = Probe {
    name: "rapl_mmio",
    summary: "energy counters of Intel processors by memory-mapped registers (a twin of rapl)",
    reads: "<sysfs>/class/powercap/intel-rapl-mmio:*",
    mend: MEND,
    slow: false,
    open: |machine| open(machine, "rapl_mmio", "intel-rapl-mmio"),
};

const MEND: &str = "energy_uj is readable by root only (since CVE-2020-8694): run noether as root, or give it \
    CAP_DAC_READ_SEARCH (systemd: AmbientCapabilities=CAP_DAC_READ_SEARCH), or let a group read it at every boot with \
    a udev rule: SUBSYSTEM==\"powercap\", RUN+=\"/bin/sh -c 'chgrp -R noether /sys%p && chmod -R g=rX /sys%p'\". \
    In a container the runtime hides it: mount the host's /sys read-only elsewhere (-v /sys:/host/sys:ro) and pass \
    --path.sysfs=/host/sys. On a machine without any: modprobe intel_rapl_msr; most virtual machines have none.";

fn open(machine: &Machine, meter: &'static str, control: &'static str) -> Opened {
    let class = machine.sysfs.join("class/powercap");
    let scope = Some(ScopeWatch::new(machine));
    let mut rapl = Rapl { meter, control, class, scope, ..Rapl::default() };
    rapl.mirrors = mirrors(machine, &mut rapl.notes);
    rapl.rescan()?;
    Ok((!rapl.zones.is_empty()).then(|| Box::new(rapl) as Box<dyn Meter>))
}

/// All zones of one control type.
#[derive(Default)]
struct Rapl {
    meter: &'static str,
    control: &'static str,
    class: PathBuf,
    mirrors: Mirrors,
    /// Whose processors the counters measure.
    scope: Option<ScopeWatch>,
    zones: Vec<Zone>,
    names: ZoneNames,
    /// How often a name has passed to another counter, by name.
    generations: BTreeMap<String, u32>,
    /// What the next reading says once, for the log.
    notes: Vec<Error>,
    buffer: Vec<u8>,
}

impl Meter for Rapl {
    fn read(&mut self, look: &Look<'_>, readings: &mut Vec<DomainReading>, faults: &mut Vec<Error>) {
        faults.append(&mut self.notes);
        for zone in &mut self.zones {
            let result = zone.read(&mut self.buffer);
            let at = (look.now)();
            let reading = result.map_err(|error| {
                let fault = error.fault();
                faults.push(error);
                fault
            });
            readings.push(DomainReading { domain: Arc::clone(&zone.domain), at, reading });
        }
    }

    fn longest_interval(&self) -> Option<Longest> {
        let of = |zone: &Zone| {
            let (domain, range) = (Arc::clone(&zone.domain), zone.range?);
            let interval = Bounds::of(&domain).longest_interval(range).max(SHORTEST_INTERVAL);
            Some(Longest { domain, range, interval })
        };
        self.zones.iter().filter_map(of).min_by_key(|longest| longest.interval)
    }

    fn rescan(&mut self) -> Result<(), Error> {
        self.scope.iter_mut().for_each(ScopeWatch::rescan);
        let folders = powercap::zones(&self.class, self.control)?.unwrap_or_default();
        let mut earlier = std::mem::take(&mut self.zones);
        let read = folders.iter().filter_map(|(id, folder)| Some((id, folder, name(folder, id)?)));
        let read: Vec<_> = read.collect();
        let renamed = self.names.observe(&read);
        let zones = read.iter().map(|(id, folder, _)| (*id, self.names.of(folder)));
        let meanings = meanings(zones);
        for (id, meaning) in &meanings {
            if let Some(zone) = earlier.iter().find(|zone| folders.get(*id) == Some(&zone.folder))
                && renamed.contains(&zone.folder)
            {
                for name in [&*zone.domain.name, &*meaning.name] {
                    *self.generations.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
        for (id, meaning) in meanings {
            let Some(folder) = folders.get(id) else { continue };
            let held = earlier.iter().position(|zone| zone.folder == *folder);
            if held.is_none() && !meaning.known && !powercap::is_dangling(folder) {
                self.notes.push(unknown(folder));
            }
            let held = held.map(|place| earlier.swap_remove(place));
            let max_power = max_power(folder, &mut self.notes);
            let domain = self.domain(meaning, max_power);
            self.zones.push(Zone::new(folder, domain, held, &mut self.notes));
        }
        Ok(())
    }
}

impl Rapl {
    fn domain(&self, meaning: Meaning, max_power: Option<Power>) -> Domain {
        Domain {
            generation: self.generations.get(&meaning.name).copied().unwrap_or_default(),
            meter: self.meter,
            name: meaning.name.into(),
            component: meaning.component,
            role: meaning.role,
            may_mirror: match self.mirrors {
                Mirrors::None => false,
                Mirrors::Dies => meaning.place.die.is_some(),
                Mirrors::All => true,
            },
            place: meaning.place,
            quality: match self.scope.as_ref().map(ScopeWatch::scope) {
                None | Some(Scope::Whole) => Quality::Measured,
                Some(_) => Quality::Host,
            },
            max_power,
        }
    }
}

/// What each zone is, in the order of their numbers.
fn meanings<'a>(zones: impl Iterator<Item = (&'a ZoneId, &'a str)>) -> Vec<(&'a ZoneId, Meaning)> {
    let mut meanings: Vec<(&ZoneId, Meaning)> = Vec::new();
    for (id, name) in zones {
        let parent =
            meanings.iter().rev().find(|(above, _)| id.starts_with(above)).map(|(_, meaning)| meaning);
        meanings.push((id, powercap::meaning(id, name, parent)));
    }
    powercap::distinguish(&mut meanings);
    meanings
}

/// A zone's name. A hidden zone counts as a package, which will say that it cannot be read; hidden sub-zones add nothing
/// to that and are left out.
fn name(folder: &Path, id: &[u32]) -> Option<String> {
    if powercap::is_dangling(folder) {
        return (id.len() == 1).then(|| "package".to_owned());
    }
    let mut buffer = Vec::new();
    let content = HeldFile::new(folder.join("name")).read(&mut buffer).unwrap_or_default();
    Some(String::from_utf8_lossy(content.trim_ascii()).into_owned())
}

fn unknown(folder: &Path) -> Error {
    let path = folder.join("name");
    let name = contents(&path).unwrap_or_default();
    Error::malformed(&path, "a name that the driver gives; this zone is shown but never summed", &name)
}

/// Which zones of a machine are known to repeat a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mirrors {
    /// None: Intel's dies count for themselves.
    #[default]
    None,
    /// AMD's driver makes a zone for each die, though the counter is the socket's.
    Dies,
    /// A hypervisor may show one counter of the host in each package of a virtual machine.
    All,
}

fn mirrors(machine: &Machine, notes: &mut Vec<Error>) -> Mirrors {
    let content = if_there(&machine.procfs.join("cpuinfo"));
    let content = content.map_err(|error| notes.push(error)).ok().flatten();
    let cpu = content.map(|content| cpuinfo::parse(&content)).unwrap_or_default();
    match (cpu.is_virtual, &*cpu.vendor) {
        (true, _) => Mirrors::All,
        (false, "GenuineIntel") => Mirrors::None,
        (false, _) => Mirrors::Dies,
    }
}

/// The largest of the constraints' `max_power_uw`. Some drivers say 0 where the firmware gives no figure.
fn max_power(folder: &Path, notes: &mut Vec<Error>) -> Option<Power> {
    // Long term, short term and peak power are all that the driver has.
    let constraints =
        (0..4).filter_map(|n| small(&folder.join(format!("constraint_{n}_max_power_uw")), notes));
    constraints.max().map(Power::from_microwatts)
}

/// A positive number in a file; `None` for 0, for what is no number and for what cannot be read, which is noted.
fn small(path: &Path, notes: &mut Vec<Error>) -> Option<u64> {
    let content = if_there(path).map_err(|error| notes.push(error)).ok()??;
    number(&content).filter(|value| *value > 0)
}

/// One counter.
struct Zone {
    folder: PathBuf,
    domain: Arc<Domain>,
    range: Option<Energy>,
    energy: HeldFile,
}

impl Zone {
    /// Keeps what `earlier` holds of the same zone, unless another one has taken its place.
    fn new(folder: &Path, domain: Domain, earlier: Option<Self>, notes: &mut Vec<Error>) -> Self {
        let mut zone = earlier.unwrap_or_else(|| Self {
            folder: folder.to_owned(),
            domain: Arc::new(domain.clone()),
            range: None,
            energy: HeldFile::new(folder.join("energy_uj")),
        });
        if *zone.domain != domain {
            zone.domain = Arc::new(domain);
        }
        // A range once known stays, should the file be unreadable for a moment: without it a wrap would look like a reset.
        let range = small(&folder.join("max_energy_range_uj"), notes).map(Energy::from_microjoules);
        zone.range = range.or(zone.range);
        zone.energy.reopen_if_replaced();
        zone
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Reading, Error> {
        let content = match self.energy.read(buffer) {
            Err(error) if error.fault() == Fault::Vanished && powercap::is_dangling(&self.folder) => {
                return Err(hidden(&self.folder));
            }
            content => content?,
        };
        reading(content, self.range).map_err(|unexpected| unexpected.at(self.energy.path()))
    }
}

/// What a link that leads nowhere means: see [`powercap::is_dangling`].
fn hidden(folder: &Path) -> Error {
    let why = "the link leads nowhere: a container runtime hides the counters";
    Error::io(folder, io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// The content of `energy_uj`.
fn reading(content: &[u8], range: Option<Energy>) -> Result<Reading, Unexpected<'_>> {
    let unexpected = |expected| Unexpected { expected, found: content };
    let uj = number(content).ok_or(unexpected("microjoules"))?;
    let total = Energy::from_microjoules(uj);
    match range {
        None => Ok(Reading::Total(total)),
        Some(range) if total > range => Err(unexpected("at most max_energy_range_uj")),
        Some(range) => Ok(Reading::Counter { total, range }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat::CpuTimes;
    use noether_core::reading::{Component, Moment, Place, Role};
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;
    use tempfile::TempDir;

    const RANGE: u64 = 262_143_328_850;

    fn machine(folder: &TempDir) -> Machine {
        let root = folder.path().to_owned();
        Machine {
            procfs: root.join("proc"),
            sysfs: root.join("sys"),
            cgroupfs: root.join("sys/fs/cgroup"),
            rootfs: root,
            nvml_library: "libnvidia-ml.so.1".into(),
            clock_ticks: 100,
            page_size: 4096,
        }
    }

    fn class(folder: &TempDir) -> PathBuf {
        let class = folder.path().join("sys/class/powercap");
        fs::create_dir_all(&class).unwrap();
        class
    }

    fn put(zone: &Path, name: &str, energy: &str) {
        fs::create_dir_all(zone).unwrap();
        fs::write(zone.join("name"), format!("{name}\n")).unwrap();
        fs::write(zone.join("energy_uj"), energy).unwrap();
        fs::write(zone.join("max_energy_range_uj"), format!("{RANGE}\n")).unwrap();
    }

    fn look(meter: &mut dyn Meter) -> (Vec<DomainReading>, Vec<Error>) {
        let (tick, mut readings, mut faults) = (Cell::new(0), Vec::new(), Vec::new());
        let now = || {
            tick.set(tick.get() + 1);
            Moment::from_boot(Duration::from_secs(tick.get()))
        };
        meter.read(&Look { now: &now, cpu: &CpuTimes::default() }, &mut readings, &mut faults);
        (readings, faults)
    }

    /// Each domain's name and value in microjoules, or its fault.
    fn values(meter: &mut dyn Meter) -> Vec<(String, Result<u64, Fault>)> {
        let value = |reading| match reading {
            Reading::Counter { total, .. } | Reading::Total(total) => total.microjoules(),
            Reading::Power(_) => unreachable!(),
        };
        let readings = look(meter).0.into_iter();
        readings.map(|reading| (reading.domain.name.to_string(), reading.reading.map(value))).collect()
    }

    fn pairs(expected: &[(&str, Result<u64, Fault>)]) -> Vec<(String, Result<u64, Fault>)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    fn opened(folder: &TempDir) -> Box<dyn Meter> {
        (PROBE.open)(&machine(folder)).unwrap().unwrap()
    }

    /// Two sockets, flat; their zones come in no good order and psys lies between them.
    fn two_sockets(folder: &TempDir) -> PathBuf {
        let class = class(folder);
        let zones = [
            ("intel-rapl:1", "psys", 70),
            ("intel-rapl:0", "package-1", 11),
            ("intel-rapl:2", "package-0", 10),
            ("intel-rapl:2:1", "dram", 20),
            ("intel-rapl:2:0", "core", 30),
            ("intel-rapl:0:0", "dram", 21),
            ("intel-rapl:0:1", "uncore", 40),
            ("intel-rapl-mmio:0", "package-0", 10),
            ("intel-rapl-mmio:0:0", "dram", 20),
        ];
        for (zone, name, energy) in zones {
            put(&class.join(zone), name, &format!("{energy}\n"));
        }
        fs::write(class.join("intel-rapl:2/constraint_0_max_power_uw"), "165000000\n").unwrap();
        fs::write(class.join("intel-rapl:2/constraint_1_max_power_uw"), "413000000\n").unwrap();
        fs::write(class.join("intel-rapl:0/constraint_0_max_power_uw"), "0\n").unwrap();
        class
    }

    #[test]
    fn two_sockets_with_everything() {
        let folder = TempDir::new().unwrap();
        two_sockets(&folder);
        let mut rapl = opened(&folder);
        let expected = [
            ("package-1", Ok(11)),
            ("dram-1", Ok(21)),
            ("uncore-1", Ok(40)),
            ("psys", Ok(70)),
            ("package-0", Ok(10)),
            ("core-0", Ok(30)),
            ("dram-0", Ok(20)),
        ];
        assert_eq!(values(&mut *rapl), pairs(&expected));
        // The machine's own counter turns first: it counts up to 15 kW.
        let longest = rapl.longest_interval().unwrap();
        assert_eq!((&*longest.domain.name, longest.interval.as_secs()), ("psys", 15));
        let (readings, faults) = look(&mut *rapl);
        assert!(faults.is_empty());
        let of = |name| readings.iter().find(|reading| &*reading.domain.name == name).unwrap();
        let package = &of("package-0").domain;
        assert_eq!(package.max_power, Some(Power::from_watts(413.0)));
        assert_eq!(
            (package.role, package.place),
            (Role::Part, Place { socket: Some(0), ..Place::default() })
        );
        assert_eq!(of("package-1").domain.max_power, None);
        assert_eq!((of("dram-1").domain.component, of("dram-1").domain.role), (Component::Dram, Role::Part));
        assert_eq!((of("uncore-1").domain.role, of("psys").domain.role), (Role::Nested, Role::Whole));
        let range = Energy::from_microjoules(RANGE);
        assert_eq!(of("psys").reading, Ok(Reading::Counter { total: Energy::from_microjoules(70), range }));
        assert!(readings.is_sorted_by(|a, b| a.at < b.at), "each has its own instant");
    }

    #[test]
    fn the_twins_by_mmio_are_a_meter_of_their_own() {
        let folder = TempDir::new().unwrap();
        two_sockets(&folder);
        let mut mmio = (MMIO_PROBE.open)(&machine(&folder)).unwrap().unwrap();
        assert_eq!(values(&mut *mmio), pairs(&[("package-0", Ok(10)), ("dram-0", Ok(20))]));
        assert!(look(&mut *mmio).0.iter().all(|reading| reading.domain.meter == "rapl_mmio"));
    }

    #[test]
    fn links_into_nested_folders_as_on_a_real_machine() {
        let folder = TempDir::new().unwrap();
        let class = class(&folder);
        let control = folder.path().join("sys/devices/virtual/powercap/intel-rapl");
        let package = control.join("intel-rapl:0");
        put(&package, "package-0-die-0", "1");
        put(&control.join("intel-rapl:1"), "package-0-die-1", "2");
        put(&package.join("intel-rapl:0:0"), "core", "3");
        for target in [&control, &package, &control.join("intel-rapl:1"), &package.join("intel-rapl:0:0")] {
            symlink(target, class.join(target.file_name().unwrap())).unwrap();
        }
        let expected = [("package-0-die-0", Ok(1)), ("core-0-die-0", Ok(3)), ("package-0-die-1", Ok(2))];
        assert_eq!(values(&mut *opened(&folder)), pairs(&expected));
        let die = look(&mut *opened(&folder)).0.pop().unwrap().domain.place;
        assert_eq!(die, Place { socket: Some(0), die: Some(1), device: None });
    }

    #[test]
    fn no_control_type_is_no_meter() {
        let folder = TempDir::new().unwrap();
        assert!((PROBE.open)(&machine(&folder)).unwrap().is_none());
        fs::create_dir(class(&folder).join("intel-rapl")).unwrap();
        assert!((PROBE.open)(&machine(&folder)).unwrap().is_none());
    }

    #[test]
    fn what_a_container_hides_is_found_but_not_readable() {
        let folder = TempDir::new().unwrap();
        for zone in ["intel-rapl", "intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"] {
            symlink("../../devices/virtual/powercap/intel-rapl/gone", class(&folder).join(zone)).unwrap();
        }
        let mut rapl = opened(&folder);
        let expected = [("package-0", Err(Fault::Permission)), ("package-1", Err(Fault::Permission))];
        assert_eq!(values(&mut *rapl), pairs(&expected));
        assert!(look(&mut *rapl).1.iter().all(|fault| fault.to_string().contains("container")));
    }

    /// Tests may run as root, who may read a file of mode 0400 and even 0000. Where that is so, a folder in the file's
    /// place stands for what cannot be read; the mapping of EACCES itself is `Error::fault`'s.
    #[test]
    fn unreadable_at_first_works_at_the_next_reading() {
        use std::os::unix::fs::PermissionsExt;
        let folder = TempDir::new().unwrap();
        let zone = class(&folder).join("intel-rapl:0");
        put(&zone, "package-0", "5");
        let energy = zone.join("energy_uj");
        fs::set_permissions(&energy, fs::Permissions::from_mode(0o000)).unwrap();
        let fault = if fs::read(&energy).is_err() {
            Fault::Permission
        } else {
            fs::remove_file(&energy).unwrap();
            fs::create_dir(&energy).unwrap();
            Fault::Io
        };
        let mut rapl = opened(&folder);
        assert_eq!(values(&mut *rapl), pairs(&[("package-0", Err(fault))]));
        let _ = fs::remove_dir(&energy).or_else(|_| fs::remove_file(&energy));
        fs::write(&energy, "6").unwrap();
        assert_eq!(values(&mut *rapl), pairs(&[("package-0", Ok(6))]));
    }

    #[test]
    fn malformed_content_is_a_fault_and_the_others_go_on() {
        let folder = TempDir::new().unwrap();
        let class = two_sockets(&folder);
        let mut rapl = opened(&folder);
        let too_much = (RANGE + 1).to_string();
        let bad = ["", "\n", "-1", "1e3", "12 13", "18446744073709551616", "\u{fffd}", &too_much];
        for content in bad.map(str::as_bytes).into_iter().chain([&b"\xff\xfe"[..], &[b'9'; 9000]]) {
            fs::write(class.join("intel-rapl:2/energy_uj"), content).unwrap();
            let values = values(&mut *rapl);
            assert_eq!(values.get(4), Some(&("package-0".to_owned(), Err(Fault::Malformed))), "{content:?}");
            assert_eq!(values.iter().filter(|(_, value)| value.is_ok()).count(), 6);
        }
    }

    #[test]
    fn without_a_range_the_counter_is_a_total() {
        let folder = TempDir::new().unwrap();
        let zone = class(&folder).join("intel-rapl:0");
        for range in ["0", "", "x"] {
            put(&zone, "package-0", "7");
            fs::write(zone.join("max_energy_range_uj"), range).unwrap();
            let reading = look(&mut *opened(&folder)).0.pop().unwrap().reading;
            assert_eq!(reading, Ok(Reading::Total(Energy::from_microjoules(7))));
        }
    }

    #[test]
    fn zones_appear_are_replaced_and_vanish() {
        let folder = TempDir::new().unwrap();
        let class = class(&folder);
        let first = class.join("intel-rapl:0");
        put(&first, "package-0", "1");
        let mut rapl = opened(&folder);
        let domain = Arc::clone(&look(&mut *rapl).0[0].domain);
        put(&class.join("intel-rapl:0:0"), "dram", "2");
        fs::rename(&first, class.join("old")).unwrap();
        put(&first, "package-0", "3");
        rapl.rescan().unwrap();
        assert_eq!(values(&mut *rapl), pairs(&[("package-0", Ok(3)), ("dram-0", Ok(2))]));
        assert!(
            Arc::ptr_eq(&domain, &look(&mut *rapl).0[0].domain),
            "the same domain is the same allocation"
        );
        fs::remove_dir_all(class.join("intel-rapl:0:0")).unwrap();
        rapl.rescan().unwrap();
        assert_eq!(values(&mut *rapl), pairs(&[("package-0", Ok(3))]));
        fs::remove_dir_all(&class).unwrap();
        rapl.rescan().unwrap();
        assert_eq!(values(&mut *rapl), []);
    }

    #[test]
    fn what_vanished_says_so_until_the_rescan() {
        let folder = TempDir::new().unwrap();
        let zone = class(&folder).join("intel-rapl:0");
        put(&zone, "package-0", "1");
        let mut rapl = opened(&folder);
        // Gone before it was ever opened: as ENODEV on a held descriptor, which no plain file gives.
        fs::remove_dir_all(&zone).unwrap();
        for _ in 0..2 {
            assert_eq!(values(&mut *rapl), pairs(&[("package-0", Err(Fault::Vanished))]));
        }
    }

    #[test]
    fn a_name_that_is_torn_for_a_while_changes_no_domain() {
        let folder = TempDir::new().unwrap();
        let class = two_sockets(&folder);
        let mut rapl = opened(&folder);
        let before = values(&mut *rapl);
        for zone in ["intel-rapl:2", "intel-rapl:2:1", "intel-rapl:1"] {
            let path = class.join(zone).join("name");
            let good = fs::read(&path).unwrap();
            for bad in [&b""[..], b"packa", b"dra", b"\xff\xfe\x00", b"package-0-die-"] {
                fs::write(&path, bad).unwrap();
                for _ in 0..6 {
                    rapl.rescan().unwrap();
                    assert_eq!(values(&mut *rapl), before, "{zone} {bad:?}");
                }
            }
            fs::write(&path, good).unwrap();
            rapl.rescan().unwrap();
            assert_eq!(values(&mut *rapl), before);
        }
    }

    #[test]
    fn names_that_pass_to_another_counter_say_so() {
        let folder = TempDir::new().unwrap();
        let class = two_sockets(&folder);
        let mut rapl = opened(&folder);
        let generations = |rapl: &mut dyn Meter| -> BTreeMap<String, u32> {
            let readings = look(rapl).0.into_iter();
            readings.map(|one| (one.domain.name.to_string(), one.domain.generation)).collect()
        };
        fs::write(class.join("intel-rapl:2/name"), "package-1\n").unwrap();
        fs::write(class.join("intel-rapl:0/name"), "package-0\n").unwrap();
        for _ in 0..2 {
            rapl.rescan().unwrap();
            assert!(generations(&mut *rapl).values().all(|generation| *generation == 0));
        }
        rapl.rescan().unwrap();
        let found = generations(&mut *rapl);
        assert!(found["package-0"] > 0 && found["package-1"] > 0 && found["psys"] == 0, "{found:?}");
        let package = look(&mut *rapl).0.into_iter().find(|one| &*one.domain.name == "package-1").unwrap();
        assert_eq!(package.domain.place.socket, Some(1));
    }

    #[test]
    fn an_unknown_name_is_shown_and_noted_once() {
        let folder = TempDir::new().unwrap();
        let class = class(&folder);
        put(&class.join("intel-rapl:0"), "package-0", "1");
        put(&class.join("intel-rapl:0:0"), "npu", "2");
        let mut rapl = opened(&folder);
        let (readings, notes) = look(&mut *rapl);
        assert_eq!((&*readings[1].domain.name, readings[1].domain.role), ("npu-0", Role::Nested));
        assert!(notes.len() == 1 && notes[0].to_string().contains("npu"), "{notes:?}");
        rapl.rescan().unwrap();
        assert!(look(&mut *rapl).1.is_empty());
    }

    proptest! {
        #[test]
        fn no_content_panics(content: Vec<u8>, range: Option<u64>) {
            let _ = reading(&content, range.map(Energy::from_microjoules));
        }

        #[test]
        fn every_number_within_the_range_is_read(uj in 0..=RANGE) {
            let range = Energy::from_microjoules(RANGE);
            let total = Energy::from_microjoules(uj);
            let content = format!("{uj}\n");
            prop_assert_eq!(reading(content.as_bytes(), Some(range)), Ok(Reading::Counter { total, range }));
        }
    }
}
