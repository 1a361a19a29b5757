//! A `libnvidia-ml.so.1` without a GPU: the functions that the exporter calls, answered from a file.
//!
//! So the real wrapper, loader and error paths run on any machine. The file is read at every call, so a test may rewrite it
//! at any time. A library in which functions are missing, as in an old driver's, is a copy whose names are spoilt:
//! [`without`]. What the functions promise: <https://docs.nvidia.com/deploy/nvml-api/>.
#![allow(unsafe_code, reason = "a C library's functions take and fill raw pointers")]

pub mod state;

mod answer;
mod process;
mod profile;

use std::ffi::{c_char, c_uint, c_ulonglong};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use nvml_wrapper_sys::bindings as ffi;

use answer::{Answer, answer, fill, fill_text, intern, mig, of_device, support};

/// Where cargo puts this library: beside the tests.
pub fn library() -> io::Result<PathBuf> {
    let test = env::current_exe()?;
    Ok(test.with_file_name("libnoether_nvml_stub.so"))
}

/// A copy of the library in `folder` that lacks these functions.
pub fn without(functions: &[&str], folder: &Path) -> io::Result<PathBuf> {
    let mut content = fs::read(library()?)?;
    for function in functions {
        let name = [b"\0", function.as_bytes(), b"\0"].concat();
        let places: Vec<usize> = content
            .windows(name.len())
            .enumerate()
            .filter(|(_, window)| *window == name)
            .map(|(place, _)| place)
            .collect();
        if places.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no function {function}")));
        }
        for place in places {
            // The table of hashes still leads here, but the name is another one.
            if let Some(letter) = content.get_mut(place + 1) {
                *letter = b'X';
            }
        }
    }
    let path = folder.join("libnvidia-ml-old.so.1");
    fs::write(&path, content)?;
    Ok(path)
}

/// Defines a function of the library: its errors and its delay come first, then its own work.
macro_rules! functions {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),*) $work:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// Pointers must be null or point to what NVML documents.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $kind),*) -> ffi::nvmlReturn_t {
                let work: &dyn Fn(&state::State) -> Answer = &$work;
                answer(stringify!($name), work)
            }
        )*
    };
}

functions! {
    /// Starts the library.
    fn nvmlInit_v2() |state| answer::open(state);
    /// Ends it.
    fn nvmlShutdown() |_| Ok(());
    /// The driver's version.
    fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint)
        |state| fill_text(version, length as usize, &state.driver);
    /// How many GPUs there are.
    fn nvmlDeviceGetCount_v2(count: *mut c_uint)
        |state| fill(count, c_uint::try_from(state.gpus.len()).unwrap_or(0));
    /// A handle.
    fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut ffi::nvmlDevice_t)
        |state| {
            let gpu = state.gpus.get(index as usize).ok_or(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)?;
            state.record("nvmlDeviceGetHandleByIndex_v2", &gpu.uuid);
            answer::inflicted(&gpu.errors, "nvmlDeviceGetHandleByIndex_v2")?;
            fill(device, intern(&gpu.uuid))
        };
    /// A handle by the unique id. All devices are looked through for it, so one that is lost spoils it for all.
    fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut ffi::nvmlDevice_t)
        |state| {
            let uuid = answer::text(uuid)?;
            let known = state.gpus.iter().any(|gpu| gpu.uuid == uuid);
            known.then_some(()).ok_or(ffi::nvmlReturn_enum_NVML_ERROR_NOT_FOUND)?;
            state.gpus.iter().try_for_each(|gpu| answer::inflicted(&gpu.errors, "nvmlDeviceGetHandleByUUID"))?;
            fill(device, intern(&uuid))
        };
    /// The unique id.
    fn nvmlDeviceGetUUID(device: ffi::nvmlDevice_t, uuid: *mut c_char, length: c_uint)
        |state| match mig(state, device) {
            Some((_, instance)) => fill_text(uuid, length as usize, &instance.uuid),
            None => of_device(state, device, "nvmlDeviceGetUUID", |gpu| fill_text(uuid, length as usize, &gpu.uuid)),
        };
    /// The model, and the profile of a MIG instance.
    fn nvmlDeviceGetName(device: ffi::nvmlDevice_t, name: *mut c_char, length: c_uint)
        |state| match mig(state, device) {
            Some((gpu, instance)) => fill_text(name, length as usize, &format!("{} MIG {}", gpu.name, instance.profile)),
            None => of_device(state, device, "nvmlDeviceGetName", |gpu| fill_text(name, length as usize, &gpu.name)),
        };
    /// Where it is plugged in.
    fn nvmlDeviceGetPciInfo_v3(device: ffi::nvmlDevice_t, pci: *mut ffi::nvmlPciInfo_t)
        |state| of_device(state, device, "nvmlDeviceGetPciInfo_v3", |gpu| fill(pci, answer::pci(&gpu.pci)));
    /// The number of its device file.
    fn nvmlDeviceGetMinorNumber(device: ffi::nvmlDevice_t, minor: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetMinorNumber", |gpu| fill(minor, support(gpu.minor)?));
    /// Energy in millijoules since the driver was loaded.
    fn nvmlDeviceGetTotalEnergyConsumption(device: ffi::nvmlDevice_t, energy: *mut c_ulonglong)
        |state| of_device(state, device, "nvmlDeviceGetTotalEnergyConsumption", |gpu| fill(energy, support(gpu.energy_mj)?));
    /// Power in milliwatts.
    fn nvmlDeviceGetPowerUsage(device: ffi::nvmlDevice_t, power: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetPowerUsage", |gpu| {
            fill(power, answer::small(support(gpu.average_mw.or(gpu.power_mw))?))
        });
    /// The limit that holds, in milliwatts.
    fn nvmlDeviceGetEnforcedPowerLimit(device: ffi::nvmlDevice_t, limit: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetEnforcedPowerLimit", |gpu| fill(limit, answer::small(support(gpu.limit_mw)?)));
    /// Between which limits one can be set, in milliwatts.
    fn nvmlDeviceGetPowerManagementLimitConstraints(device: ffi::nvmlDevice_t, least: *mut c_uint, most: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetPowerManagementLimitConstraints", |gpu| {
            fill(least, 100_000)?;
            fill(most, answer::small(support(gpu.max_limit_mw)?))
        });
    /// Utilisation in percent.
    fn nvmlDeviceGetUtilizationRates(device: ffi::nvmlDevice_t, rates: *mut ffi::nvmlUtilization_t)
        |state| of_device(state, device, "nvmlDeviceGetUtilizationRates", |gpu| {
            let (gpu, memory) = support(gpu.utilization.filter(|_| gpu.mig.is_none()))?;
            fill(rates, ffi::nvmlUtilization_t { gpu, memory })
        });
    /// Memory in bytes.
    fn nvmlDeviceGetMemoryInfo_v2(device: ffi::nvmlDevice_t, memory: *mut ffi::nvmlMemory_v2_t)
        |state| match mig(state, device) {
            Some((_, instance)) => fill(memory, answer::memory(support(instance.memory)?)),
            None => of_device(state, device, "nvmlDeviceGetMemoryInfo_v2", |gpu| fill(memory, answer::memory(support(gpu.memory)?))),
        };
    /// Temperature in degrees Celsius.
    fn nvmlDeviceGetTemperature(device: ffi::nvmlDevice_t, _sensor: c_uint, temperature: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetTemperature", |gpu| fill(temperature, support(gpu.temperature)?));
    /// A clock in MHz.
    fn nvmlDeviceGetClockInfo(device: ffi::nvmlDevice_t, kind: c_uint, clock: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetClockInfo", |gpu| {
            let (graphics, sm, memory) = support(gpu.clocks)?;
            fill(clock, match kind { 0 => graphics, 1 => sm, 2 => memory, _ => return Err(ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED) })
        });
    /// Values by the ids of their fields: here, the two powers.
    fn nvmlDeviceGetFieldValues(device: ffi::nvmlDevice_t, count: i32, values: *mut ffi::nvmlFieldValue_t)
        |state| of_device(state, device, "nvmlDeviceGetFieldValues", |gpu| answer::fields(gpu, count, values));
    /// Samples of the processes' utilisation.
    fn nvmlDeviceGetProcessUtilization(device: ffi::nvmlDevice_t, samples: *mut ffi::nvmlProcessUtilizationSample_t, count: *mut c_uint, since: c_ulonglong)
        |state| of_device(state, device, "nvmlDeviceGetProcessUtilization", |gpu| process::samples(gpu, samples, count, since));
    /// The same with all engines, as newer drivers have it.
    fn nvmlDeviceGetProcessesUtilizationInfo(device: ffi::nvmlDevice_t, request: *mut ffi::nvmlProcessesUtilizationInfo_t)
        |state| of_device(state, device, "nvmlDeviceGetProcessesUtilizationInfo", |gpu| process::samples_of_engines(gpu, request));
    /// Utilisation of the encoder in percent.
    fn nvmlDeviceGetEncoderUtilization(device: ffi::nvmlDevice_t, busy: *mut c_uint, period: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetEncoderUtilization", |gpu| {
            fill(busy, support(gpu.engines)?.0)?;
            fill(period, 1_000_000)
        });
    /// Utilisation of the decoder in percent.
    fn nvmlDeviceGetDecoderUtilization(device: ffi::nvmlDevice_t, busy: *mut c_uint, period: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetDecoderUtilization", |gpu| {
            fill(busy, support(gpu.engines)?.1)?;
            fill(period, 1_000_000)
        });
    /// Processes that compute.
    fn nvmlDeviceGetComputeRunningProcesses_v3(device: ffi::nvmlDevice_t, count: *mut c_uint, into: *mut ffi::nvmlProcessInfo_t)
        |state| match mig(state, device) {
            Some((_, instance)) => process::list(&instance.compute, instance.gpu_instance, count, into),
            None => of_device(state, device, "nvmlDeviceGetComputeRunningProcesses_v3", |gpu| process::all(gpu, count, into)),
        };
    /// Processes that draw.
    fn nvmlDeviceGetGraphicsRunningProcesses_v3(device: ffi::nvmlDevice_t, count: *mut c_uint, into: *mut ffi::nvmlProcessInfo_t)
        |state| of_device(state, device, "nvmlDeviceGetGraphicsRunningProcesses_v3", |gpu| process::list(&gpu.graphics, process::NONE, count, into));
    /// Clients of MPS.
    fn nvmlDeviceGetMPSComputeRunningProcesses_v3(device: ffi::nvmlDevice_t, count: *mut c_uint, into: *mut ffi::nvmlProcessInfo_t)
        |state| of_device(state, device, "nvmlDeviceGetMPSComputeRunningProcesses_v3", |gpu| process::list(&gpu.mps, process::NONE, count, into));
    /// Whether it is in instances.
    fn nvmlDeviceGetMigMode(device: ffi::nvmlDevice_t, current: *mut c_uint, pending: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetMigMode", |gpu| {
            let on = c_uint::from(gpu.mig.is_some());
            fill(current, on)?;
            fill(pending, on)
        });
    /// How many instances there can be.
    fn nvmlDeviceGetMaxMigDeviceCount(device: ffi::nvmlDevice_t, count: *mut c_uint)
        |state| of_device(state, device, "nvmlDeviceGetMaxMigDeviceCount", |gpu| fill(count, gpu.mig.as_ref().map_or(0, |mig| mig.most)));
    /// An instance's handle.
    fn nvmlDeviceGetMigDeviceHandleByIndex(device: ffi::nvmlDevice_t, index: c_uint, instance: *mut ffi::nvmlDevice_t)
        |state| of_device(state, device, "nvmlDeviceGetMigDeviceHandleByIndex", |gpu| {
            let instances = gpu.mig.as_ref().map(|mig| &mig.instances);
            let found = instances.and_then(|all| all.get(index as usize)?.as_ref());
            fill(instance, intern(&found.ok_or(ffi::nvmlReturn_enum_NVML_ERROR_NOT_FOUND)?.uuid))
        });
    /// An instance's slices.
    fn nvmlDeviceGetAttributes_v2(device: ffi::nvmlDevice_t, attributes: *mut ffi::nvmlDeviceAttributes_t)
        |state| {
            let (_, instance) = mig(state, device).ok_or(ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)?;
            fill(attributes, answer::attributes(instance))
        };
    /// Whether instances can be profiled.
    fn nvmlGpmQueryDeviceSupport(device: ffi::nvmlDevice_t, support: *mut ffi::nvmlGpmSupport_t)
        |state| of_device(state, device, "nvmlGpmQueryDeviceSupport", |gpu| {
            let mut instances = gpu.mig.iter().flat_map(|mig| mig.instances.iter().flatten());
            let yes = u32::from(instances.any(|one| one.utilization.is_some()));
            fill(support, ffi::nvmlGpmSupport_t { version: ffi::NVML_GPM_SUPPORT_VERSION, isSupportedDevice: yes })
        });
    /// Room for a sample.
    fn nvmlGpmSampleAlloc(sample: *mut ffi::nvmlGpmSample_t) |_| profile::alloc(sample);
    /// Gives it back.
    fn nvmlGpmSampleFree(sample: ffi::nvmlGpmSample_t) |_| profile::free(sample);
    /// A sample of an instance.
    fn nvmlGpmMigSampleGet(device: ffi::nvmlDevice_t, instance: c_uint, sample: ffi::nvmlGpmSample_t)
        |state| of_device(state, device, "nvmlGpmMigSampleGet", |gpu| profile::take(gpu, instance, sample));
    /// What lies between two samples.
    fn nvmlGpmMetricsGet(request: *mut ffi::nvmlGpmMetricsGet_t) |_| profile::metrics(request);
}

/// What an error means.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(_: ffi::nvmlReturn_t) -> *const c_char {
    c"an error of the stub".as_ptr()
}
