//! How every function answers: errors and delays as the state inflicts them, handles, and what is written where.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_uint};
use std::fs::OpenOptions;
use std::os::fd::IntoRawFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nvml_wrapper_sys::bindings as ffi;

use crate::state::{Gpu, Instance, State};

/// Success, or NVML's code of an error.
pub(crate) type Answer<T = ()> = Result<T, ffi::nvmlReturn_t>;

/// The devices that were ever seen: a handle is a place in this list, counted from 1.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs a function: after its delay, unless the state inflicts an error.
pub(crate) fn answer(function: &str, work: &dyn Fn(&State) -> Answer) -> ffi::nvmlReturn_t {
    let Some(state) = State::present() else { return ffi::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED };
    let delay = state.delays_ms.get(function).copied().unwrap_or(state.delay_ms);
    std::thread::sleep(Duration::from_millis(delay));
    let result = inflicted(&state.errors, function).and_then(|()| work(&state));
    result.err().unwrap_or(ffi::nvmlReturn_enum_NVML_SUCCESS)
}

/// The error that is inflicted on a function, if one is.
pub(crate) fn inflicted(errors: &BTreeMap<String, String>, function: &str) -> Answer {
    errors.get(function).or_else(|| errors.get("*")).map_or(Ok(()), |name| Err(code(name)))
}

fn code(name: &str) -> ffi::nvmlReturn_t {
    match name {
        "UNINITIALIZED" => ffi::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED,
        "INVALID_ARGUMENT" => ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT,
        "NOT_SUPPORTED" => ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED,
        "NO_PERMISSION" => ffi::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION,
        "NOT_FOUND" => ffi::nvmlReturn_enum_NVML_ERROR_NOT_FOUND,
        "DRIVER_NOT_LOADED" => ffi::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED,
        "FUNCTION_NOT_FOUND" => ffi::nvmlReturn_enum_NVML_ERROR_FUNCTION_NOT_FOUND,
        "GPU_IS_LOST" => ffi::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
        "RESET_REQUIRED" => ffi::nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED,
        "LIB_RM_VERSION_MISMATCH" => ffi::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        _ => ffi::nvmlReturn_enum_NVML_ERROR_UNKNOWN,
    }
}

/// The handle of the device with this id.
pub(crate) fn intern(uuid: &str) -> ffi::nvmlDevice_t {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let place = seen.iter().position(|known| known == uuid).unwrap_or_else(|| {
        seen.push(uuid.to_owned());
        seen.len() - 1
    });
    std::ptr::without_provenance_mut(place + 1)
}

fn uuid(device: ffi::nvmlDevice_t) -> Option<String> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.get(device.addr().checked_sub(1)?).cloned()
}

/// Answers for a whole GPU; one that is not there any more fell off the bus.
pub(crate) fn of_device(
    state: &State,
    device: ffi::nvmlDevice_t,
    function: &str,
    work: impl Fn(&Gpu) -> Answer,
) -> Answer {
    let uuid = uuid(device).ok_or(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)?;
    let gpu = state.gpus.iter().find(|gpu| gpu.uuid == uuid);
    let gpu = gpu.ok_or(match uuid.starts_with("MIG-") {
        true => ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED,
        false => ffi::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
    })?;
    state.record(function, &uuid);
    inflicted(&gpu.errors, function)?;
    work(gpu)
}

/// Opens the files that the library needs, and keeps them, as a driver does its devices.
pub(crate) fn open(state: &State) -> Answer {
    for path in &state.opens {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|_| ffi::nvmlReturn_enum_NVML_ERROR_OPERATING_SYSTEM)?;
        let _ = file.into_raw_fd();
    }
    Ok(())
}

/// The instance of a handle, and its GPU.
pub(crate) fn mig(state: &State, device: ffi::nvmlDevice_t) -> Option<(&Gpu, &Instance)> {
    let uuid = uuid(device)?;
    state.gpus.iter().find_map(|gpu| {
        let instances = gpu.mig.as_ref()?.instances.iter().flatten();
        Some((gpu, instances.into_iter().find(|instance| instance.uuid == uuid)?))
    })
}

/// What there is; what there is not is not supported.
pub(crate) fn support<T>(value: Option<T>) -> Answer<T> {
    value.ok_or(ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)
}

/// Writes a value where the caller wants it.
pub(crate) fn fill<T>(into: *mut T, value: T) -> Answer {
    if into.is_null() {
        return Err(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    }
    // SAFETY: the caller gives room for one value, as NVML documents.
    unsafe { into.write(value) };
    Ok(())
}

/// Writes a text with its end.
pub(crate) fn fill_text(into: *mut c_char, room: usize, text: &str) -> Answer {
    if into.is_null() || text.len() >= room {
        return Err(ffi::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE);
    }
    for (place, byte) in text.bytes().chain([0]).enumerate() {
        // SAFETY: `place` is below `room`, which the caller gives.
        unsafe { into.add(place).write(byte as c_char) };
    }
    Ok(())
}

/// A text that the caller gives.
pub(crate) fn text(from: *const c_char) -> Answer<String> {
    if from.is_null() {
        return Err(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    }
    // SAFETY: the caller gives a text with its end, as NVML documents.
    Ok(unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned())
}

/// A figure in NVML's width.
pub(crate) fn small(figure: u64) -> c_uint {
    c_uint::try_from(figure).unwrap_or(c_uint::MAX)
}

/// An address as the library spells it.
pub(crate) fn pci(address: &str) -> ffi::nvmlPciInfo_t {
    let mut parts = address.split([':', '.']).map(|part| c_uint::from_str_radix(part, 16).unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    let mut info = ffi::nvmlPciInfo_t {
        busIdLegacy: [0; 16],
        domain: part(),
        bus: part(),
        device: part(),
        pciDeviceId: 0x20b0_10de,
        pciSubSystemId: 0,
        busId: [0; 32],
    };
    // The last byte stays 0.
    for (letter, byte) in info.busId.iter_mut().take(31).zip(address.bytes()) {
        *letter = byte as c_char;
    }
    info
}

pub(crate) fn memory((total, used): (u64, u64)) -> ffi::nvmlMemory_v2_t {
    ffi::nvmlMemory_v2_t { version: 0, total, reserved: 0, free: total.saturating_sub(used), used }
}

pub(crate) fn attributes(instance: &Instance) -> ffi::nvmlDeviceAttributes_t {
    ffi::nvmlDeviceAttributes_t {
        multiprocessorCount: instance.slices * 14,
        sharedCopyEngineCount: 1,
        sharedDecoderCount: 0,
        sharedEncoderCount: 0,
        sharedJpegCount: 0,
        sharedOfaCount: 0,
        gpuInstanceSliceCount: instance.slices,
        computeInstanceSliceCount: instance.slices,
        memorySizeMB: instance.memory.map_or(0, |(total, _)| total >> 20),
    }
}

/// The fields that the stub knows: power now, and power averaged.
pub(crate) fn fields(gpu: &Gpu, count: i32, values: *mut ffi::nvmlFieldValue_t) -> Answer {
    if values.is_null() {
        return Err(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    }
    for place in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller gives `count` initialised values.
        let value = unsafe { &mut *values.add(place) };
        let figure = match value.fieldId {
            ffi::field_id::NVML_FI_DEV_POWER_INSTANT => gpu.power_mw,
            ffi::field_id::NVML_FI_DEV_POWER_AVERAGE => gpu.average_mw,
            _ => None,
        };
        value.valueType = ffi::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
        value.nvmlReturn = match figure {
            Some(_) => ffi::nvmlReturn_enum_NVML_SUCCESS,
            None => ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED,
        };
        value.value.uiVal = small(figure.unwrap_or(0));
    }
    Ok(())
}
