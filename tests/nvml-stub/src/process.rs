//! Lists of processes and of samples: asked for their length first, and then for their content.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings as ffi;

use crate::answer::{Answer, fill};
use crate::state::{Gpu, Process};

/// No instance.
pub(crate) const NONE: c_uint = c_uint::MAX;
/// Memory that is not known.
const NOT_AVAILABLE: c_ulonglong = c_ulonglong::MAX;

/// The processes of a list.
pub(crate) fn list(
    processes: &[Process],
    instance: c_uint,
    count: *mut c_uint,
    into: *mut ffi::nvmlProcessInfo_t,
) -> Answer {
    copy(processes.iter().map(|process| info(process, instance)).collect(), count, into)
}

/// All that compute on a GPU, those in its instances too.
pub(crate) fn all(gpu: &Gpu, count: *mut c_uint, into: *mut ffi::nvmlProcessInfo_t) -> Answer {
    let whole = gpu.compute.iter().map(|process| info(process, NONE));
    let instances = gpu.mig.iter().flat_map(|mig| mig.instances.iter().flatten());
    let parts = instances.flat_map(|one| one.compute.iter().map(|process| info(process, one.gpu_instance)));
    copy(whole.chain(parts).collect(), count, into)
}

/// The samples since an instant.
pub(crate) fn samples(
    gpu: &Gpu,
    into: *mut ffi::nvmlProcessUtilizationSample_t,
    count: *mut c_uint,
    since: c_ulonglong,
) -> Answer {
    let samples = gpu.samples.as_ref().filter(|_| gpu.mig.is_none());
    let samples = samples.ok_or(ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)?;
    let newer = samples.iter().filter(|sample| sample.at_us > since);
    let found: Vec<_> = newer
        .map(|sample| ffi::nvmlProcessUtilizationSample_t {
            pid: sample.pid,
            timeStamp: sample.at_us,
            smUtil: sample.sm,
            memUtil: 0,
            encUtil: 0,
            decUtil: 0,
        })
        .collect();
    if found.is_empty() {
        return Err(ffi::nvmlReturn_enum_NVML_ERROR_NOT_FOUND);
    }
    copy(found, count, into)
}

fn info(process: &Process, instance: c_uint) -> ffi::nvmlProcessInfo_t {
    ffi::nvmlProcessInfo_t {
        pid: process.pid,
        usedGpuMemory: process.memory.unwrap_or(NOT_AVAILABLE),
        gpuInstanceId: instance,
        computeInstanceId: if instance == NONE { NONE } else { 0 },
    }
}

/// Hands a list out, if there is room; says how long it is.
fn copy<T>(list: Vec<T>, count: *mut c_uint, into: *mut T) -> Answer {
    if count.is_null() {
        return Err(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    }
    // SAFETY: the caller gives the room that `into` has, as NVML documents.
    let room = unsafe { count.read() };
    let length = c_uint::try_from(list.len()).unwrap_or(c_uint::MAX);
    fill(count, length)?;
    if length == 0 {
        return Ok(());
    }
    if into.is_null() || room < length {
        return Err(ffi::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE);
    }
    for (place, one) in list.into_iter().enumerate() {
        // SAFETY: `place` is below `room`.
        unsafe { into.add(place).write(one) };
    }
    Ok(())
}
