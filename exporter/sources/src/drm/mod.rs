//! GPUs whose energy or power the kernel shows in sysfs: cards of `/sys/class/drm` with a hwmon folder of their driver.
//!
//! What the drivers have in common is here; what differs is in [`crate::amdgpu`], [`crate::i915`] and [`crate::xe`].
//! <https://docs.kernel.org/hwmon/sysfs-interface.html>

mod clients;
mod fdinfo;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu::{Clock, Device, Gauges, Instance, Look as DeviceLook};
use noether_core::reading::{Component, Domain, DomainReading, Moment, Place, Quality, Reading, Role};
use noether_core::units::{Energy, Power};

use crate::file::{Unexpected, number};
use crate::meter::{Look, Meter, Opened};
use crate::{Error, Machine};
use clients::Clients;

/// What is particular to a driver. Files of `hwmon` lie in the hwmon folder, the others in the device's.
pub(crate) struct Kind {
    /// The meter, and the driver's name in `hwmon/name`.
    pub(crate) name: &'static str,
    /// Counters of energy, in µJ; the first that is there counts.
    pub(crate) energy: &'static [&'static str],
    /// Power in µW, where there is no counter: now, and averaged.
    pub(crate) power: &'static [&'static str],
    /// The limit in µW that holds, and the highest.
    pub(crate) limits: (&'static str, &'static str),
    /// Temperature in thousandths of a degree.
    pub(crate) temperature: &'static [&'static str],
    /// Clocks of the processors and of the memory, in hertz.
    pub(crate) clocks: (&'static str, &'static str),
    /// Of the device: utilisation in percent, of its processors and of its memory.
    pub(crate) busy: (&'static str, &'static str),
    /// Of the device: memory in bytes, used and all.
    pub(crate) memory: (&'static str, &'static str),
    /// Of the device: its id, and its model.
    pub(crate) names: (&'static str, &'static str),
    /// Whether the figures are of the device alone. Those of a processor with graphics hold the processor's too.
    pub(crate) alone: fn(device: &Path, hwmon: &Path) -> bool,
}

/// Opens the cards of a driver.
pub(crate) fn open(machine: &Machine, kind: &'static Kind) -> Opened {
    let class = machine.sysfs.join("class/drm");
    let mut cards =
        Cards { kind, class, cards: Vec::new(), clients: Clients::new(machine), looks: Vec::new() };
    cards.rescan()?;
    Ok((!cards.cards.is_empty()).then(|| Box::new(cards) as Box<dyn Meter>))
}

/// The cards of one driver.
struct Cards {
    kind: &'static Kind,
    class: PathBuf,
    cards: Vec<Card>,
    clients: Clients,
    looks: Vec<Arc<DeviceLook>>,
}

struct Card {
    device: Arc<Device>,
    folder: PathBuf,
    hwmon: PathBuf,
    /// The counter, or else the power.
    file: PathBuf,
    looked: Option<Moment>,
}

impl Meter for Cards {
    fn read(&mut self, look: &Look<'_>, readings: &mut Vec<DomainReading>, faults: &mut Vec<Error>) {
        self.clients.read();
        for card in &mut self.cards {
            let result = card.energy();
            let at = (look.now)();
            let reading = result.map_err(|error| {
                let fault = error.fault();
                faults.push(error);
                fault
            });
            if reading.is_ok() {
                self.looks.push(Arc::new(card.look(self.kind, at, &mut self.clients)));
            }
            readings.push(DomainReading { domain: Arc::clone(&card.device.domain), at, reading });
        }
    }

    fn looks(&mut self) -> Vec<Arc<DeviceLook>> {
        std::mem::take(&mut self.looks)
    }

    fn rescan(&mut self) -> Result<(), Error> {
        let mut found = Vec::new();
        for name in names(&self.class) {
            let folder = self.class.join(&name).join("device");
            let Some(hwmon) = hwmon(&folder, self.kind.name) else { continue };
            let index = u32::try_from(found.len()).unwrap_or(u32::MAX);
            let Some(card) = Card::new(self.kind, &name, index, folder, hwmon) else { continue };
            let known = self.cards.iter_mut().find(|known| known.device == card.device);
            let looked = known.and_then(|known| known.looked);
            found.push(Card { looked, ..card });
        }
        self.cards = found;
        self.clients.scan();
        Ok(())
    }
}

/// `card0`, `card1`, …; connectors are called `card0-DP-1`.
fn names(class: &Path) -> Vec<String> {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("card")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| format!("card{number}")).collect()
}

/// The hwmon folder of the driver itself: i915 has one for each of a device's tiles besides.
fn hwmon(device: &Path, driver: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(device.join("hwmon")).ok()?.flatten();
    entries
        .map(|entry| entry.path())
        .find(|folder| text(&folder.join("name")).is_some_and(|name| name == driver))
}

impl Card {
    /// `None` where it shows neither energy nor power.
    fn new(kind: &Kind, name: &str, index: u32, folder: PathBuf, hwmon: PathBuf) -> Option<Self> {
        let there = |files: &[&str]| files.iter().map(|file| hwmon.join(file)).find(|path| path.exists());
        let counter = there(kind.energy);
        let quality = if counter.is_some() { Quality::Measured } else { Quality::Integrated };
        let file = counter.or_else(|| there(kind.power))?;
        let pci = slot(&folder).unwrap_or_default();
        let domain = Domain {
            meter: kind.name,
            name: name.into(),
            component: Component::Gpu,
            role: if (kind.alone)(&folder, &hwmon) { Role::Part } else { Role::Nested },
            place: Place { device: Some(place(&pci).unwrap_or(index)), ..Place::default() },
            quality,
            max_power: figure(&hwmon.join(kind.limits.1))
                .filter(|limit| *limit > 0)
                .map(Power::from_microwatts),
            may_mirror: false,
        };
        let device = Device {
            domain: Arc::new(domain),
            gpu: name.into(),
            index,
            uuid: text(&folder.join(kind.names.0)).unwrap_or_else(|| pci.clone()).into(),
            model: text(&folder.join(kind.names.1)).unwrap_or_else(|| ids(&folder)).into(),
            driver: kind.name.into(),
            pci: pci.into(),
            // Its files in /dev/dri are numbered across drivers, and are called by its name.
            minor: None,
        };
        Some(Self { device: Arc::new(device), folder, hwmon, file, looked: None })
    }

    fn energy(&self) -> Result<Reading, Error> {
        let measured = self.device.domain.quality == Quality::Measured;
        if !measured && self.sleeps() {
            return Ok(Reading::Power(Power::ZERO));
        }
        let content = fs::read(&self.file).map_err(|error| Error::io(&self.file, error))?;
        let unexpected = || Unexpected { expected: "a number", found: &content }.at(&self.file);
        let figure = number(&content).ok_or_else(unexpected)?;
        Ok(match measured {
            true => Reading::Total(Energy::from_microjoules(figure)),
            false => Reading::Power(Power::from_microwatts(figure)),
        })
    }

    /// Whether the kernel has switched it off: to ask it for its power would wake it.
    /// <https://docs.kernel.org/power/runtime_pm.html>
    fn sleeps(&self) -> bool {
        text(&self.folder.join("power/runtime_status")).is_some_and(|status| status == "suspended")
    }

    fn look(&mut self, kind: &Kind, at: Moment, clients: &mut Clients) -> DeviceLook {
        let time = self.looked.map_or(Duration::from_secs(1), |before| at.since(before));
        self.looked = Some(at);
        let passed = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let instance =
            Instance { slices: 1, processes: clients.of(&self.device.pci, passed), ..Instance::default() };
        DeviceLook {
            device: Arc::clone(&self.device),
            at,
            time,
            gauges: if self.sleeps() { Gauges::default() } else { self.gauges(kind) },
            slices: 0,
            instances: vec![instance],
            clock: Clock::Engines,
        }
    }

    fn gauges(&self, kind: &Kind) -> Gauges {
        let hwmon = |file: &str| figure(&self.hwmon.join(file));
        let device = |file: &str| figure(&self.folder.join(file));
        let percent = |file: &str| device(file).map(|percent| percent as f64 / 100.0);
        let power = |file: &str| hwmon(file).map(Power::from_microwatts);
        Gauges {
            power: power("power1_input").or_else(|| power("power1_average")),
            average_power: power("power1_average"),
            power_limit: power(kind.limits.0),
            utilisation: percent(kind.busy.0),
            memory_utilisation: percent(kind.busy.1),
            memory: device(kind.memory.0).zip(device(kind.memory.1)),
            temperature: kind
                .temperature
                .iter()
                .find_map(|file| hwmon(file))
                .map(|milli| milli as f64 / 1000.0),
            clock: hwmon(kind.clocks.0),
            memory_clock: hwmon(kind.clocks.1),
        }
    }
}

/// A file's text; `None` where there is none.
fn text(path: &Path) -> Option<String> {
    let content = fs::read_to_string(path).ok()?;
    Some(content.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A file's number. A name that is empty leads to a folder, which has none.
fn figure(path: &Path) -> Option<u64> {
    number(&fs::read(path).ok()?)
}

/// The PCI address, from `uevent`.
fn slot(device: &Path) -> Option<String> {
    let content = text(&device.join("uevent"))?;
    content.lines().find_map(|line| line.strip_prefix("PCI_SLOT_NAME=")).map(str::to_owned)
}

/// Vendor and device as numbers, where no name is to be had.
fn ids(device: &Path) -> String {
    let id = |file: &str| text(&device.join(file)).unwrap_or_default();
    format!("{}:{}", id("vendor").trim_start_matches("0x"), id("device").trim_start_matches("0x"))
}

/// `0000:03:00.0` in 32 bits.
fn place(pci: &str) -> Option<u32> {
    let mut parts = pci.split([':', '.']).map(|part| u32::from_str_radix(part, 16).ok());
    let mut part = || parts.next().flatten();
    let (domain, bus, device, function) = (part()?, part()?, part()?, part()?);
    Some((domain & 0xffff) << 16 | (bus & 0xff) << 8 | (device & 0x1f) << 3 | (function & 7))
}

#[cfg(test)]
mod tests;
