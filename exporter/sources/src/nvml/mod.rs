//! NVIDIA GPUs: the energy counters that NVML reads, and who runs on them.
//!
//! The driver's library is loaded while the exporter runs, so that one binary serves machines with and without GPUs. That
//! there is none, that its driver is loaded anew and that devices come and go are ordinary states.
//! <https://docs.nvidia.com/deploy/nvml-api/>

mod bus;
mod device;
mod early;
mod engines;
mod fault;
mod gpm;
mod samples;
mod stranger;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use noether_core::gpu::Look as DeviceLook;
use noether_core::pci::PciAddress;
use noether_core::reading::{DomainReading, Moment};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::meter::{Look, Meter, Note, Opened, Probe};
use crate::owner::Owners;
use crate::{Error, Machine};
use bus::Bus;
use device::Gpu;
pub use early::{Early, open_early};
use fault::{fault, is_gone};
use stranger::Stranger;

/// The GPUs of NVIDIA.
pub const PROBE: Probe = Probe {
    name: "nvml",
    summary: "energy counters of NVIDIA GPUs (NVML)",
    reads: "libnvidia-ml.so.1, or what --nvml.library names",
    mend: "the library comes with NVIDIA's driver and must be of the driver's version. In a container, let the NVIDIA runtime \
        mount it (NVIDIA_VISIBLE_DEVICES=all, NVIDIA_DRIVER_CAPABILITIES=utility), or pass --nvml.library; processes are \
        only told apart in the host's PID namespace (hostPID: true)",
    slow: true,
    open,
};

fn open(machine: &Machine) -> Opened {
    let mut meter = Meters {
        library: machine.nvml_library.clone(),
        bus: Bus::new(&machine.sysfs),
        jetson: bus::jetson(&machine.sysfs),
        owners: Owners::new(machine),
        nvml: None,
        driver: String::new(),
        gpus: Vec::new(),
        strangers: Vec::new(),
        trouble: None,
        lost: false,
        clock: None,
        looks: Vec::new(),
    };
    // One that is there and cannot be read opens all the same.
    let _ = meter.rescan();
    Ok(meter.is_here().then(|| Box::new(meter) as Box<dyn Meter>))
}

/// All GPUs of the driver.
struct Meters {
    library: PathBuf,
    bus: Bus,
    /// What kind of Jetson this is, if it is one.
    jetson: Option<String>,
    owners: Owners,
    nvml: Option<Nvml>,
    driver: String,
    gpus: Vec<Gpu>,
    /// Devices that cannot be asked what they are.
    strangers: Vec<Stranger>,
    /// Why the library or its driver cannot be used at all.
    trouble: Option<NvmlError>,
    /// Whether nothing answered at the last reading: then the driver is looked for anew.
    lost: bool,
    /// When was read last, by both clocks.
    clock: Option<(Moment, SystemTime)>,
    looks: Vec<Arc<DeviceLook>>,
}

impl Meter for Meters {
    fn read(&mut self, look: &Look<'_>, readings: &mut Vec<DomainReading>, faults: &mut Vec<Error>) {
        self.follow_clock((look.now)());
        let nvml = self.nvml.take();
        let bus = &self.bus;
        let awake = self.gpus.iter().filter(|gpu| !bus.is_suspended(&gpu.device.pci));
        let round = nvml.as_ref().map(|nvml| gpm::Round::begin(nvml, awake));
        let mut looks = Vec::new();
        let mut answered = self.read_strangers(look, readings, faults);
        let mut renumbered = false;
        for place in 0..self.gpus.len() {
            let suspended = self.gpus.get(place).is_some_and(|gpu| self.bus.is_suspended(&gpu.device.pci));
            if suspended {
                answered = true;
                self.pass_over(place, (look.now)(), readings, &mut looks);
                continue;
            }
            if let (Some(nvml), false) = (&nvml, renumbered) {
                renumbered = self.renumber(place, nvml);
            }
            answered |= self.read_gpu(place, nvml.as_ref(), look, readings, faults, &mut looks);
        }
        round.into_iter().for_each(|round| round.end(&mut looks));
        if let (Some(error), true) = (&self.trouble, self.gpus.is_empty()) {
            faults.push(fault(&self.library, "", error));
        }
        self.nvml = nvml;
        self.looks.extend(looks.into_iter().map(Arc::new));
        self.lost = !answered;
        self.owners.forget();
    }

    fn looks(&mut self) -> Vec<Arc<DeviceLook>> {
        std::mem::take(&mut self.looks)
    }

    fn rescan(&mut self) -> Result<(), Error> {
        if self.lost {
            // A driver that was loaded anew knows nothing of the handles of the one before.
            self.nvml = None;
        }
        let result = self.find();
        // The next reading says it where there is no device that could. That no driver is loaded is an ordinary state.
        self.trouble = result.err().filter(|error| !matches!(error, NvmlError::DriverNotLoaded));
        match &self.trouble {
            Some(error) if !self.gpus.is_empty() => Err(fault(&self.library, "", error)),
            _ => Ok(()),
        }
    }

    fn notes(&self) -> Vec<Note> {
        let of_gpu = |gpu: &Gpu| {
            let who = fault::name(&gpu.device);
            if self.bus.is_suspended(&gpu.device.pci) {
                Some(Note::usual(format!(
                    "{who} is suspended by the kernel: it counts as 0 W and is not woken"
                )))
            } else {
                let text = format!(
                    "{who}, {}, reports neither energy nor power: its energy is in no figure here, the rest of it is shown",
                    gpu.device.model
                );
                (!gpu.is_metered()).then(|| Note::lack(text))
            }
        };
        let known = self.gpus.iter().filter_map(of_gpu);
        let suspended = self.strangers.iter().filter_map(Stranger::note);
        known.chain(suspended).chain(self.note_of_absent()).chain(self.note_of_jetson()).collect()
    }
}

impl Meters {
    /// Whether there is anything to be said of NVIDIA on this machine.
    fn is_here(&self) -> bool {
        let devices = !self.gpus.is_empty() || !self.strangers.is_empty();
        devices || self.trouble.is_some() || self.jetson.is_some()
    }

    /// Reads one device that is not suspended; whether it answered.
    fn read_gpu(
        &mut self,
        place: usize,
        nvml: Option<&Nvml>,
        look: &Look<'_>,
        readings: &mut Vec<DomainReading>,
        faults: &mut Vec<Error>,
        looks: &mut Vec<DeviceLook>,
    ) -> bool {
        let Some(gpu) = self.gpus.get_mut(place) else { return false };
        let handle = nvml.ok_or(NvmlError::DriverNotLoaded).and_then(|nvml| gpu.handle(nvml));
        let result = handle.and_then(|handle| Ok((gpu.energy(&handle)?, handle)));
        let at = (look.now)();
        let reading = match result {
            Ok((reading, handle)) => {
                looks.push(gpu.look(&handle, at, &mut self.owners));
                reading.map(Ok)
            }
            Err(error) if is_gone(&error) && !gpu.says_farewell() => return false,
            Err(error) => {
                let error = fault(&self.library, &fault::name(&gpu.device), &error);
                let short = error.fault();
                faults.push(error);
                Some(Err(short))
            }
        };
        let answered = !matches!(reading, Some(Err(_)));
        let domain = Arc::clone(&gpu.device.domain);
        readings.extend(reading.map(|reading| DomainReading { domain, at, reading }));
        answered
    }

    /// A device that is suspended used nothing.
    fn pass_over(
        &mut self,
        place: usize,
        at: Moment,
        readings: &mut Vec<DomainReading>,
        looks: &mut Vec<DeviceLook>,
    ) {
        let Some(gpu) = self.gpus.get_mut(place) else { return };
        looks.push(gpu.asleep_look(at));
        let domain = Arc::clone(&gpu.device.domain);
        readings.extend(gpu.asleep().map(|reading| DomainReading { domain, at, reading: Ok(reading) }));
    }

    /// What is known of the devices that could not be identified; whether all is well with one of them.
    fn read_strangers(
        &self,
        look: &Look<'_>,
        readings: &mut Vec<DomainReading>,
        faults: &mut Vec<Error>,
    ) -> bool {
        let mut well = false;
        for stranger in &self.strangers {
            let reading = stranger.read(&self.library).map_err(|error| {
                let short = error.fault();
                faults.push(error);
                short
            });
            well |= reading.is_ok();
            readings.push(DomainReading { domain: Arc::clone(&stranger.domain), at: (look.now)(), reading });
        }
        well
    }

    /// Finds all devices anew if this one is at another place now; whether it did.
    fn renumber(&mut self, place: usize, nvml: &Nvml) -> bool {
        let Some(gpu) = self.gpus.get(place) else { return false };
        let moved = matches!(gpu.handle(nvml), Err(NvmlError::NotFound)) && gpu.missed == 0;
        if moved {
            // What goes wrong here is said of the device that is read next.
            let _ = self.find_gpus(nvml);
        }
        moved
    }

    fn find(&mut self) -> Result<(), NvmlError> {
        let nvml = match self.nvml.take() {
            Some(nvml) => Some(nvml),
            None => early::load(&self.library)?,
        };
        let Some(nvml) = nvml else { return Ok(()) };
        let result = self.find_gpus(&nvml);
        // Nothing found: the driver is let go, so that it can be unloaded.
        let wanted = !self.gpus.is_empty() || !self.strangers.is_empty();
        self.nvml = wanted.then_some(nvml);
        result
    }

    fn find_gpus(&mut self, nvml: &Nvml) -> Result<(), NvmlError> {
        self.driver = nvml.sys_driver_version().unwrap_or_default();
        let cards = self.bus.cards();
        let known = self.gpus.iter().map(|gpu| gpu.device.index + 1).max().unwrap_or(0);
        let count = match nvml.device_count() {
            Ok(count) => count,
            // One device that is lost may spoil the count of all.
            Err(_) if known > 0 => known,
            Err(error) => answering(nvml).ok_or(error)?,
        };
        // NVML counts the devices in the order of the bus; where both see as many, an address is known before it is asked.
        let address = |index: u32| cards.get(index as usize).filter(|_| cards.len() == count as usize);
        let mut strangers = Vec::new();
        for index in 0..count {
            let address = address(index).map_or("", |address| address);
            strangers.extend(self.find_gpu(nvml, index, address));
        }
        self.strangers = strangers;
        Ok(())
    }

    /// Identifies the device at an index, without waking it; returns it where that cannot be.
    fn find_gpu(&mut self, nvml: &Nvml, index: u32, address: &str) -> Option<Stranger> {
        let is_here = |gpu: &&Gpu| gpu.device.index == index;
        if self.gpus.iter().find(is_here).is_some_and(|gpu| self.bus.is_suspended(&gpu.device.pci)) {
            return None;
        }
        let before = self.strangers.iter().find(|one| one.index == index);
        if let Some(stranger) = before.filter(|one| one.is_suspended(&self.bus)) {
            return Some(stranger.clone());
        }
        if self.bus.is_suspended(address) {
            return Some(Stranger::new(index, address, None));
        }
        let handle = match nvml.device_by_index(index) {
            Ok(handle) => handle,
            Err(error) => return self.unidentified(index, address, error),
        };
        // The first question may be where it is: only then it is known whether it may be asked more.
        let pci = handle.pci_info().ok().and_then(|pci| PciAddress::parse(&pci.bus_id));
        let address = pci.map_or_else(|| address.to_owned(), |pci| pci.to_string());
        if self.bus.is_suspended(&address) {
            return Some(Stranger::new(index, &address, None));
        }
        let uuid = match handle.uuid() {
            Ok(uuid) => uuid,
            Err(error) => return self.unidentified(index, &address, error),
        };
        let known = self.gpus.iter_mut().find(|gpu| *gpu.device.uuid == *uuid);
        match known {
            Some(gpu) if !gpu.is_new_at(index, &self.driver) => {}
            Some(gpu) => {
                let number = gpu.device.gpu.parse().unwrap_or(index);
                gpu.renew(Gpu::new(&handle, &uuid, number, index, &self.driver));
            }
            None => {
                let number = free_number(&self.gpus, index);
                self.gpus.push(Gpu::new(&handle, &uuid, number, index, &self.driver));
            }
        }
        None
    }

    /// A device that does not say what it is. One that was known at this place says itself what is wrong with it, and one
    /// that may not be used here is none of ours.
    fn unidentified(&self, index: u32, address: &str, error: NvmlError) -> Option<Stranger> {
        let known = self.gpus.iter().any(|gpu| gpu.device.index == index);
        if known || matches!(error, NvmlError::NoPermission | NvmlError::InvalidArg) {
            return None;
        }
        Some(Stranger::new(index, address, Some(error.into())))
    }

    /// Tells the samples by how much the wall clock, which the driver's instants follow, was set since the last reading.
    fn follow_clock(&mut self, now: Moment) {
        let wall = SystemTime::now();
        let before = self.clock.replace((now, wall));
        let Some((then, wall_then)) = before else { return };
        let (step, before) =
            (stepped(now.since_boot().saturating_sub(then.since_boot()), wall_then, wall), micros(wall_then));
        if step.unsigned_abs() < LEAST_STEP {
            return;
        }
        self.gpus.iter_mut().for_each(|gpu| gpu.shift_clock(step, before));
    }

    /// The cards of the driver that the library does not show.
    fn note_of_absent(&self) -> Option<Note> {
        let shown = |address: &String| {
            let gpu = self.gpus.iter().any(|gpu| *gpu.device.pci == **address);
            gpu || self.strangers.iter().any(|one| one.address == *address)
        };
        let (here, absent): (Vec<String>, Vec<String>) = self.bus.cards().into_iter().partition(shown);
        let text = format!(
            "{} is on the bus, but the driver does not show it (see the kernel's log); in a container, NVIDIA_VISIBLE_DEVICES=all shows all",
            absent.join(", ")
        );
        (!here.is_empty() && !absent.is_empty()).then(|| Note::lack(text))
    }

    fn note_of_jetson(&self) -> Option<Note> {
        let model = self.jetson.as_ref().filter(|_| !self.gpus.iter().any(Gpu::is_metered))?;
        Some(Note::lack(format!(
            "this is a Jetson ({model}): its GPU is a part of the processor, whose energy NVML does not report, and the board's own sensors (ina3221) are not read"
        )))
    }
}

/// How many devices there are at least, where nobody counts them.
fn answering(nvml: &Nvml) -> Option<u32> {
    let handles = (0..MOST_DEVICES).map(|index| (index, nvml.device_by_index(index)));
    let listed = handles.take_while(|(_, handle)| !matches!(handle, Err(NvmlError::InvalidArg)));
    listed.filter(|(_, handle)| handle.is_ok()).last().map(|(index, _)| index + 1)
}

/// No machine has as many.
const MOST_DEVICES: u32 = 64;
/// Slower than this, time is slewed, not set.
const LEAST_STEP: u64 = 200_000;

/// By how many µs the wall clock was set while `passed` went by.
fn stepped(passed: Duration, before: SystemTime, after: SystemTime) -> i64 {
    let whole = i64::try_from(micros(after)).unwrap_or(i64::MAX);
    let begin = i64::try_from(micros(before)).unwrap_or(i64::MAX);
    let passed = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
    whole.saturating_sub(begin).saturating_sub(passed)
}

/// A wall clock's µs since 1970.
fn micros(wall: SystemTime) -> u64 {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The device's place, if no other one has that as its name: places change when devices are removed, names must not.
fn free_number(gpus: &[Gpu], index: u32) -> u32 {
    let taken = |number: u32| gpus.iter().any(|gpu| gpu.device.gpu.parse() == Ok(number));
    (index..).find(|number| !taken(*number)).unwrap_or(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_set_and_the_other_goes_on() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let second = Duration::from_secs(1);
        assert_eq!(stepped(second, at(10_000), at(10_001)), 0);
        assert_eq!(stepped(second, at(10_000), at(6_401)), -3_600_000_000);
        assert_eq!(stepped(second, at(10_000), at(13_601)), 3_600_000_000);
    }
}
