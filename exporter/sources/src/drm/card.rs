//! One card: its energy or power, its gauges, and whether the kernel has suspended it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu::{Clock, Device, Gauges, Instance, Look, UnreportedWork};
use noether_core::pci::PciAddress;
use noether_core::reading::{Component, DeviceLocation, Domain, Moment, Place, Quality, Reading, Role};
use noether_core::units::{Energy, Power};

use super::clients::Clients;
use super::package::Board;
use super::{Kind, driver, figure, hwmon, slot, text};
use crate::Error;
use crate::file::{Unexpected, contents, number};

/// A card that was suspended and shows no power so often in a row has no meter of its own.
const RESUMED: u32 = 10;

/// A card that was found.
pub(super) struct Card {
    pub(super) device: Arc<Device>,
    pub(super) address: Option<PciAddress>,
    pub(super) board: Board,
    /// The domain of its own energy, which it does not feed while it is a part of another card's package.
    domain: Arc<Domain>,
    folder: PathBuf,
    hwmon: Option<PathBuf>,
    /// The counters, or else the powers; none where it has no meter of its own.
    files: Vec<PathBuf>,
    /// The counter that is read: another one counts something else.
    counter: Option<PathBuf>,
    looked: Option<Moment>,
    /// Its last reading while it was not suspended.
    last: Option<Reading>,
    /// Whether it has ever shown energy or a power above 0.
    measured: bool,
    /// How often in a row it has shown no power. One that is being resumed shows none at first.
    powerless: u32,
    /// Whether it was ever seen suspended.
    rested: bool,
    /// Whether it showed 0 W while it was busy, and nothing else since.
    disbelieved: bool,
    /// Whether its processes' work is reported in part only, at the last look.
    pub(super) unreported: bool,
    /// Whether the kernel reports no times of processes.
    pub(super) dated: bool,
}

impl Card {
    /// `None` where it is not of this driver.
    pub(super) fn new(kind: &Kind, class: &Path, name: &str) -> Option<Self> {
        let folder = class.join(name).join("device");
        let hwmon = hwmon(&folder, kind.name);
        // Without hwmon it may still be a die of a package that has it; devices without an address are no cards.
        if hwmon.is_none() {
            slot(&folder)?;
            driver(&folder).filter(|driver| driver == kind.name)?;
        }
        let there = |files: &[&str]| -> Vec<PathBuf> {
            let paths = hwmon.iter().flat_map(|hwmon| files.iter().map(|file| hwmon.join(file)));
            paths.filter(|path| path.exists()).collect()
        };
        let counters = there(kind.energy);
        let (quality, files) = match counters.is_empty() {
            true => (Quality::Integrated, there(kind.power)),
            false => (Quality::Measured, counters),
        };
        let address = slot(&folder);
        let alone = hwmon.as_ref().is_none_or(|hwmon| (kind.alone)(&folder, hwmon));
        let location = DeviceLocation::Numbered(kind.name, name.trim_start_matches("card").parse().ok()?);
        let domain = Arc::new(Domain {
            meter: kind.name,
            name: name.into(),
            component: Component::Gpu,
            role: if alone { Role::Part } else { Role::Nested },
            place: Place { device: Some(address.map_or(location, DeviceLocation::Pci)), ..Place::default() },
            quality,
            max_power: None,
            may_mirror: false,
            generation: 0,
        });
        Some(Self {
            device: Arc::new(device(kind, name, &folder, address, &domain)),
            address,
            board: Board::read(&folder, address),
            domain,
            folder,
            hwmon,
            files,
            counter: None,
            looked: None,
            last: None,
            measured: false,
            powerless: 0,
            rested: false,
            disbelieved: false,
            unreported: false,
            dated: false,
        })
    }

    /// What is known of `self`, if `found` is the same card as now found.
    pub(super) fn is_same(&self, found: &Self) -> bool {
        let of = |card: &Self| (card.address, card.hwmon.clone(), card.files.clone(), card.domain.role);
        self.device.gpu == found.device.gpu && of(self) == of(found) && self.board == found.board
    }

    /// Its place among the driver's cards; and the most power that it states, read once, for that resumes a suspended card.
    pub(super) fn settle(&mut self, kind: &Kind, index: u32) {
        if self.device.index != index {
            Arc::make_mut(&mut self.device).index = index;
        }
        if self.domain.max_power.is_some() || self.is_suspended() {
            return;
        }
        let limit = self.hwmon.as_ref().and_then(|hwmon| figure(&hwmon.join(kind.limits.1)));
        if let Some(limit) = limit.filter(|limit| *limit > 0) {
            let own = Arc::ptr_eq(&self.domain, &self.device.domain);
            Arc::make_mut(&mut self.domain).max_power = Some(Power::from_microwatts(limit));
            if own {
                Arc::make_mut(&mut self.device).domain = Arc::clone(&self.domain);
            }
        }
    }

    /// Whether it has a meter.
    pub(super) fn has_meter(&self) -> bool {
        !self.files.is_empty()
    }

    /// Whether it has shown that its meter measures something.
    pub(super) fn measures(&self) -> bool {
        self.measured
    }

    /// Whether this reading, or that there is none, leaves open where its energy is measured.
    pub(super) fn lacks_power(&self, reading: Option<&Reading>) -> bool {
        let counts = self.domain.quality == Quality::Measured && self.has_meter();
        let zero = reading.is_none_or(|reading| *reading == Reading::Power(Power::ZERO));
        let certain = !self.rested || self.powerless >= RESUMED;
        !self.measured && !counts && zero && certain
    }

    /// From now on it is a part of what another card's domain measures, or of none.
    pub(super) fn join(&mut self, other: Option<&Arc<Domain>>) {
        let domain = other.unwrap_or(&self.domain);
        if !Arc::ptr_eq(domain, &self.device.domain) {
            let domain = Arc::clone(domain);
            Arc::make_mut(&mut self.device).domain = domain;
        }
    }

    /// Whether it is a part of another card's package by now.
    pub(super) fn is_joined(&self) -> bool {
        self.device.domain.name != self.domain.name
    }

    /// Its energy or power. One that is suspended is not read, which would resume it: it draws nothing, and its counter
    /// stands still.
    pub(super) fn read(&mut self) -> Result<Reading, Error> {
        if self.is_suspended() {
            (self.rested, self.powerless) = (true, 0);
            return Ok(self.at_rest());
        }
        let result = self.figure();
        self.powerless = match result {
            Ok(reading) if reading != Reading::Power(Power::ZERO) => 0,
            _ => self.powerless.saturating_add(1),
        };
        match result {
            Ok(reading) => {
                self.last = Some(reading);
                self.measured |= reading != Reading::Power(Power::ZERO);
                Ok(reading)
            }
            // It was suspended meanwhile; some kernels refuse to answer then.
            Err(_) if self.is_suspended() => Ok(self.at_rest()),
            Err(error) => Err(error),
        }
    }

    fn at_rest(&self) -> Reading {
        match self.last {
            Some(total @ Reading::Total(_)) => total,
            _ => Reading::Power(Power::ZERO),
        }
    }

    /// The counter that was read first, or the first power that is above 0, or that can be read at all.
    fn figure(&mut self) -> Result<Reading, Error> {
        if self.domain.quality == Quality::Measured {
            if let Some(counter) = &self.counter {
                return Ok(Reading::Total(Energy::from_microjoules(read(counter)?)));
            }
            let (counter, total) = first(&self.files, |_| true)?;
            self.counter = Some(counter.to_owned());
            return Ok(Reading::Total(Energy::from_microjoules(total)));
        }
        let found = first(&self.files, |power| power > 0).or_else(|_| first(&self.files, |_| true));
        found.map(|(_, power)| Reading::Power(Power::from_microwatts(power)))
    }

    /// Takes back a reading of 0 W of a card that was seen at work and never showed any power.
    pub(super) fn believe(&mut self, reading: Reading, look: &Look) -> Result<Reading, Error> {
        let zero = reading == Reading::Power(Power::ZERO);
        let worked = look.gauges.utilisation.is_some_and(|busy| busy > 0.0)
            || look.instances.iter().flat_map(|one| &one.processes).any(|one| one.time.unwrap_or(0) > 0);
        self.disbelieved = zero && !self.measured && !look.gauges.suspended && (self.disbelieved || worked);
        match (self.disbelieved, self.files.first()) {
            (true, Some(file)) => Err(Error::malformed(file, "a power above 0 of a GPU that works", b"0")),
            _ => Ok(reading),
        }
    }

    /// Whether the kernel has switched it off, or is about to: to read its files would resume it.
    /// <https://docs.kernel.org/power/runtime_pm.html>
    pub(super) fn is_suspended(&self) -> bool {
        let status = text(&self.folder.join("power/runtime_status"));
        status.is_some_and(|status| status == "suspended" || status == "suspending")
    }

    /// What it was used for since the look before.
    pub(super) fn look(&mut self, kind: &Kind, at: Moment, clients: &mut Clients) -> Look {
        let time = self.looked.map_or(Duration::from_secs(1), |before| at.since(before));
        self.looked = Some(at);
        let passed = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let gauges = match self.is_suspended() {
            true => Gauges { power: Some(Power::ZERO), suspended: true, ..Gauges::default() },
            false => self.gauges(kind),
        };
        let usage = self.address.map(|address| clients.of(address, passed, !gauges.suspended));
        let usage = usage.unwrap_or_default();
        // Where it does not say how busy it was, it may have been all the time.
        let busy = if gauges.suspended { 0.0 } else { gauges.utilisation.unwrap_or(1.0).clamp(0.0, 1.0) };
        let unexplained = ((passed as f64 * busy) as u64).saturating_sub(usage.explained) / 1000;
        self.dated = usage.dated;
        self.unreported = usage.processes.iter().any(|one| one.unreported != UnreportedWork::No);
        let processes = usage.processes;
        let instance = Instance { slices: 1, processes, unexplained, ..Instance::default() };
        Look {
            device: Arc::clone(&self.device),
            at,
            time,
            gauges,
            slices: 0,
            instances: vec![instance],
            clock: Clock::Engines,
        }
    }

    fn gauges(&self, kind: &Kind) -> Gauges {
        let hwmon = |file: &str| figure(&self.hwmon.as_ref()?.join(file));
        let device = |file: &str| figure(&self.folder.join(file));
        let percent = |file: &str| device(file).map(|percent| percent as f64 / 100.0);
        // A die that is measured elsewhere shows 0.
        let power = |file: &str| {
            hwmon(file).filter(|power| *power > 0 || !self.is_joined()).map(Power::from_microwatts)
        };
        Gauges {
            power: power("power1_input").or_else(|| power("power1_average")),
            average_power: power("power1_average"),
            power_limit: power(kind.limits.0),
            utilisation: percent(kind.busy.0),
            engines: None,
            memory_utilisation: percent(kind.busy.1),
            memory: device(kind.memory.0).zip(device(kind.memory.1)),
            temperature: kind
                .temperature
                .iter()
                .find_map(|file| hwmon(file))
                .map(|milli| milli as f64 / 1000.0),
            clock: hwmon(kind.clocks.0),
            memory_clock: hwmon(kind.clocks.1),
            suspended: false,
        }
    }
}

/// The first of the files that holds such a number, or the first error.
fn first(files: &[PathBuf], good: impl Fn(u64) -> bool) -> Result<(&Path, u64), Error> {
    let mut refused = None;
    for file in files {
        match read(file) {
            Ok(figure) if good(figure) => return Ok((file, figure)),
            Ok(_) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let nothing = || Error::malformed(files.first().map_or(Path::new(""), PathBuf::as_path), "a number", b"");
    Err(refused.unwrap_or_else(nothing))
}

fn read(file: &Path) -> Result<u64, Error> {
    let content = contents(file)?;
    number(&content).ok_or_else(|| Unexpected { expected: "a number", found: &content }.at(file))
}

/// The device of a card, whose place among the others is not known yet.
fn device(
    kind: &Kind,
    name: &str,
    folder: &Path,
    address: Option<PciAddress>,
    domain: &Arc<Domain>,
) -> Device {
    let pci = address.map(|address| address.to_string()).unwrap_or_default();
    Device {
        domain: Arc::clone(domain),
        gpu: name.into(),
        index: 0,
        uuid: text(&folder.join(kind.names.0)).unwrap_or_else(|| pci.clone()).into(),
        model: text(&folder.join(kind.names.1)).unwrap_or_else(|| ids(folder)).into(),
        driver: kind.name.into(),
        pci: pci.into(),
        // Its files in /dev/dri are numbered across drivers, and are called by its name.
        minor: None,
    }
}

/// Vendor and device as numbers, where no name is to be had.
fn ids(device: &Path) -> String {
    let id = |file: &str| text(&device.join(file)).unwrap_or_default();
    format!("{}:{}", id("vendor").trim_start_matches("0x"), id("device").trim_start_matches("0x"))
}
