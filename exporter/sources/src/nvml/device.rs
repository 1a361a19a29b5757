//! One NVIDIA GPU: what it is, and one look at it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu::{Clock, Device, Gauges, Instance, Look, Process};
use noether_core::pci::PciAddress;
use noether_core::reading::{Component, DeviceLocation, Domain, Moment, Place, Quality, Reading, Role};
use noether_core::units::{Energy, Power};
use nvml_wrapper::enum_wrappers::device::{Clock as ClockKind, TemperatureSensor};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::{NVML_FI_DEV_POWER_AVERAGE, NVML_FI_DEV_POWER_INSTANT};
use nvml_wrapper::{Device as Handle, Nvml};

use super::engines;
use super::samples::Samples;
use crate::owner::Owners;

/// How often in a row a device that is gone says so; then it is silent.
const FAREWELLS: u32 = 3;

/// In so many looks after its last sample a device is asked whether its clock was set back, although it seems idle.
const SUSPICIOUS: u32 = 10;

/// No GPU has as many.
const MOST_SLICES: u32 = 64;

/// A GPU that was found, whether or not it is still there.
pub(super) struct Gpu {
    pub(super) device: Arc<Device>,
    samples: Samples,
    /// What each instance is, by its id; that does not change while it lives.
    profiles: BTreeMap<Arc<str>, Profile>,
    /// Whether its instances can be profiled.
    tells_use: bool,
    supply: Supply,
    /// Whether that has to be found out anew.
    pub(super) unsure: bool,
    /// The counter's last value.
    counted: Option<Energy>,
    looked: Option<Moment>,
    /// How often in a row it was not there.
    pub(super) missed: u32,
}

/// By what its energy is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supply {
    /// It counts its energy: Volta and later.
    Counter,
    /// It only shows its power.
    Power,
    /// It shows neither, as a virtual GPU in its guest, small cards and Jetsons.
    Nothing,
}

impl Supply {
    fn of(handle: &Handle<'_>) -> Self {
        if !handle.total_energy_consumption().is_err_and(|error| is_unsupported(&error)) {
            Self::Counter
        } else if !handle.power_usage().is_err_and(|error| is_unsupported(&error)) {
            Self::Power
        } else {
            Self::Nothing
        }
    }
}

const fn is_unsupported(error: &NvmlError) -> bool {
    matches!(error, NvmlError::NotSupported | NvmlError::FunctionNotFound | NvmlError::FailedToLoadSymbol(_))
}

#[derive(Clone, Debug)]
struct Profile {
    name: Arc<str>,
    slices: u32,
    /// Its number on the GPU, which only a process in it tells.
    number: Option<u32>,
}

impl Gpu {
    /// The GPU of a handle. `number` is its name as long as the exporter runs, `index` its place at present.
    pub(super) fn new(handle: &Handle<'_>, uuid: &str, number: u32, index: u32, driver: &str) -> Self {
        let address = handle.pci_info().ok().and_then(|pci| PciAddress::parse(&pci.bus_id));
        let supply = Supply::of(handle);
        let limits = handle.power_management_limit_constraints().ok();
        let domain = Domain {
            meter: super::PROBE.name,
            name: format!("gpu-{number}").into(),
            component: Component::Gpu,
            role: Role::Part,
            place: Place { device: Some(location(address, number)), ..Place::default() },
            quality: if supply == Supply::Counter { Quality::Measured } else { Quality::Integrated },
            max_power: limits.map(|limits| milliwatts(limits.max_limit)).filter(|power| *power > Power::ZERO),
            may_mirror: false,
            generation: 0,
        };
        let device = Device {
            domain: Arc::new(domain),
            gpu: number.to_string().into(),
            index,
            uuid: uuid.into(),
            model: handle.name().unwrap_or_default().into(),
            driver: driver.into(),
            pci: address.map(|address| address.to_string()).unwrap_or_default().into(),
            minor: handle.minor_number().ok(),
        };
        Self {
            device: Arc::new(device),
            samples: Samples::default(),
            profiles: BTreeMap::new(),
            tells_use: handle.gpm_support().unwrap_or(false),
            supply,
            unsure: false,
            counted: None,
            looked: None,
            missed: 0,
        }
    }

    /// It is at another place than before, under another driver, or reports its energy in another way; what it was used
    /// for goes on.
    pub(super) fn renew(&mut self, new: Self) {
        (self.supply, self.unsure) = (new.supply, new.unsure);
        if self.device != new.device {
            self.device = new.device;
        }
    }

    /// Whether anything of it may be otherwise than before, at this index under this driver.
    pub(super) fn is_new_at(&self, index: u32, driver: &str) -> bool {
        self.device.index != index || *self.device.driver != *driver || self.unsure || !self.is_metered()
    }

    /// Whether its energy is known in some way.
    pub(super) fn is_metered(&self) -> bool {
        self.supply != Supply::Nothing
    }

    /// Its handle, by its place. By its id would be simpler, but then NVML looks through all GPUs, and one that is lost
    /// makes that fail for the others too.
    pub(super) fn handle<'n>(&self, nvml: &'n Nvml) -> Result<Handle<'n>, NvmlError> {
        let handle = match nvml.device_by_index(self.device.index) {
            // There are fewer than before.
            Err(NvmlError::InvalidArg) => return Err(NvmlError::NotFound),
            handle => handle?,
        };
        // Places change when a device goes.
        if handle.uuid()? == *self.device.uuid { Ok(handle) } else { Err(NvmlError::NotFound) }
    }

    /// The instances whose utilisation can be asked for, with their numbers on the GPU.
    pub(super) fn profiled(&self) -> impl Iterator<Item = (&Arc<str>, u32)> {
        let profiles = self.profiles.iter().filter(|_| self.tells_use);
        profiles.filter_map(|(uuid, profile)| Some((uuid, profile.number?)))
    }

    /// Its energy counter, or its power; `None` where it reports neither.
    pub(super) fn energy(&mut self, handle: &Handle<'_>) -> Result<Option<Reading>, NvmlError> {
        let reading = match self.supply {
            Supply::Counter => handle.total_energy_consumption().map(|millijoules| {
                let energy = Energy::from_microjoules(millijoules.saturating_mul(1000));
                self.counted = Some(energy);
                Reading::Total(energy)
            }),
            Supply::Power => handle.power_usage().map(|power| Reading::Power(milliwatts(power))),
            Supply::Nothing => return Ok(None),
        };
        self.unsure = reading.as_ref().is_err_and(is_unsupported);
        reading.map(Some)
    }

    /// What it used while the kernel had it suspended: nothing.
    pub(super) fn asleep(&self) -> Option<Reading> {
        match self.supply {
            Supply::Counter => self.counted.map(Reading::Total),
            Supply::Power => Some(Reading::Power(Power::ZERO)),
            Supply::Nothing => None,
        }
    }

    /// What there is to be said of it while it is suspended.
    pub(super) fn asleep_look(&mut self, at: Moment) -> Look {
        let time = self.passed(at);
        let gauges =
            Gauges { power: Some(Power::ZERO), utilisation: Some(0.0), suspended: true, ..Gauges::default() };
        let instances = vec![Instance { slices: 1, ..Instance::default() }];
        let device = Arc::clone(&self.device);
        Look { device, at, time, gauges, slices: 0, instances, clock: Clock::Sm }
    }

    fn passed(&mut self, at: Moment) -> Duration {
        let time = self.looked.map_or(Duration::from_secs(1), |before| at.since(before));
        (self.looked, self.missed) = (Some(at), 0);
        time
    }

    /// The wall clock was set by so many µs since it showed `before`.
    pub(super) fn shift_clock(&mut self, step: i64, before: u64) {
        self.samples.shift(step, before);
    }

    /// Whether it is to be told that it is gone.
    pub(super) fn says_farewell(&mut self) -> bool {
        self.missed = self.missed.saturating_add(1);
        self.missed <= FAREWELLS
    }

    /// All else. What cannot be had is absent; it spoils nothing.
    pub(super) fn look(&mut self, handle: &Handle<'_>, at: Moment, owners: &mut Owners) -> Look {
        let time = self.passed(at);
        let gauges = gauges(handle);
        let in_parts = handle.mig_mode().is_ok_and(|mode| mode.current == 1);
        let (slices, instances) = if in_parts {
            self.parts(handle, owners)
        } else {
            let busy = gauges.utilisation.is_none_or(|busy| busy.max(gauges.engines.unwrap_or(0.0)) > 0.0);
            (0, vec![self.whole(handle, (time, busy), owners)])
        };
        Look { device: Arc::clone(&self.device), at, time, gauges, slices, instances, clock: Clock::Sm }
    }

    fn whole(
        &mut self,
        handle: &Handle<'_>,
        (time, busy): (Duration, bool),
        owners: &mut Owners,
    ) -> Instance {
        let lists = [
            handle.running_compute_processes(),
            handle.running_graphics_processes(),
            handle.mps_running_compute_processes(),
        ];
        let mut processes = merged(lists.into_iter().flatten().flatten());
        let times = self.times(handle, time, busy);
        // Who ended since the last look is in the samples alone.
        for pid in times.iter().flat_map(BTreeMap::keys) {
            processes.entry(*pid).or_insert(None);
        }
        let process = |(pid, memory)| Process {
            owner: owners.of(pid),
            time: times.as_ref().map(|times| times.get(&pid).copied().unwrap_or(0)),
            memory,
            ..Process::default()
        };
        Instance { slices: 1, processes: processes.into_iter().map(process).collect(), ..Instance::default() }
    }

    /// Each process's time on the engines since the last look; `None` where the device has no samples.
    fn times(&mut self, handle: &Handle<'_>, time: Duration, busy: bool) -> Option<BTreeMap<u32, u64>> {
        let new = engines::samples(handle, self.samples.seen()).ok()?;
        if new.is_empty() && (busy || self.samples.silent < SUSPICIOUS) {
            // Nobody worked, or the driver's clock was set back: then what is new is older than what was seen.
            let all = engines::samples(handle, 0).unwrap_or_default();
            if self.samples.went_back(&all) {
                self.samples.restart();
                return Some(self.samples.take(&all, time));
            }
        }
        Some(self.samples.take(&new, time))
    }

    /// The instances of MIG, and of how many slices they are a part.
    fn parts(&mut self, handle: &Handle<'_>, owners: &mut Owners) -> (u32, Vec<Instance>) {
        let most = handle.mig_device_count().unwrap_or(0).min(MOST_SLICES);
        let mut profiles = BTreeMap::new();
        let mut instances = Vec::new();
        for place in 0..most {
            let Ok(part) = handle.mig_device_by_index(place) else { continue };
            let Ok(uuid) = part.uuid() else { continue };
            let uuid: Arc<str> = uuid.into();
            let mut profile = self.profiles.remove(&uuid).unwrap_or_else(|| profile(&part));
            let running = part.running_compute_processes().unwrap_or_default();
            profile.number = profile.number.or(running.iter().find_map(|process| process.gpu_instance_id));
            let processes = merged(running.into_iter());
            let process = |(pid, memory)| Process { owner: owners.of(pid), memory, ..Process::default() };
            instances.push(Instance {
                uuid: Arc::clone(&uuid),
                profile: Arc::clone(&profile.name),
                slices: profile.slices,
                utilisation: None,
                memory: part.memory_info().ok().map(|memory| (memory.used, memory.total)),
                processes: processes.into_iter().map(process).collect(),
                ..Instance::default()
            });
            profiles.insert(uuid, profile);
        }
        self.profiles = profiles;
        let cut = instances.iter().map(|one| one.slices).sum::<u32>();
        (most.max(cut).max(1), instances)
    }
}

/// What an instance is, as its name and attributes tell: `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
fn profile(part: &Handle<'_>) -> Profile {
    let name = part.name().unwrap_or_default();
    let name: Arc<str> = name.rsplit_once("MIG ").map_or("", |(_, profile)| profile).into();
    let told = part.attributes().ok().map(|attributes| attributes.compute_instance_slice_count);
    // `1c.3g.20gb` is one slice of compute in an instance of three.
    let named = name.split(['c', 'g']).next().and_then(|digits| digits.parse().ok());
    let slices = told.filter(|slices| *slices > 0).or(named).unwrap_or(1).min(MOST_SLICES);
    Profile { name, slices, number: None }
}

/// Each process once, with the most memory that a list says it holds.
fn merged(lists: impl Iterator<Item = ProcessInfo>) -> BTreeMap<u32, Option<u64>> {
    let mut processes = BTreeMap::new();
    for info in lists {
        let memory = match info.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        };
        let known: &mut Option<u64> = processes.entry(info.pid).or_default();
        *known = (*known).max(memory);
    }
    processes
}

fn gauges(handle: &Handle<'_>) -> Gauges {
    let fields = [NVML_FI_DEV_POWER_INSTANT, NVML_FI_DEV_POWER_AVERAGE].map(FieldId);
    let values = handle.field_values_for(&fields).unwrap_or_default();
    let mut powers = values.into_iter().map(|value| match value.ok()?.value.ok()? {
        SampleValue::U32(power) => Some(milliwatts(power)),
        SampleValue::U64(power) => u32::try_from(power).ok().map(milliwatts),
        SampleValue::F64(_) | SampleValue::I64(_) => None,
    });
    let (instant, average) = (powers.next().flatten(), powers.next().flatten());
    let rates = handle.utilization_rates().ok();
    let engines = [handle.encoder_utilization(), handle.decoder_utilization()];
    let engines = engines.into_iter().flatten().map(|info| f64::from(info.utilization.min(100)) / 100.0);
    let hertz = |clock| handle.clock_info(clock).ok().map(|megahertz| u64::from(megahertz) * 1_000_000);
    Gauges {
        power: instant.or_else(|| handle.power_usage().ok().map(milliwatts)),
        average_power: average,
        power_limit: handle.enforced_power_limit().ok().map(milliwatts),
        utilisation: rates.as_ref().map(|rates| f64::from(rates.gpu) / 100.0),
        engines: engines.reduce(f64::max),
        memory_utilisation: rates.as_ref().map(|rates| f64::from(rates.memory) / 100.0),
        memory: handle.memory_info().ok().map(|memory| (memory.used, memory.total)),
        temperature: handle.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
        clock: hertz(ClockKind::SM),
        memory_clock: hertz(ClockKind::Memory),
        suspended: false,
    }
}

/// Where a device is, by its address, or by its number where that is unknown.
pub(super) fn location(address: Option<PciAddress>, number: u32) -> DeviceLocation {
    address.map_or(DeviceLocation::Numbered(super::PROBE.name, number), DeviceLocation::Pci)
}

fn milliwatts(power: u32) -> Power {
    Power::from_microwatts(u64::from(power) * 1000)
}
