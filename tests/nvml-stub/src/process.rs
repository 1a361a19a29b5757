//! Lists of processes and of samples: asked for their length first, and then for their content.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings as ffi;

use crate::answer::{Answer, fill};
use crate::state::{Gpu, Process, Sample};

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
    let found: Vec<_> = newer(gpu, since)?
        .into_iter()
        .map(|sample| ffi::nvmlProcessUtilizationSample_t {
            pid: sample.pid,
            timeStamp: sample.at_us,
            smUtil: sample.sm,
            memUtil: 0,
            encUtil: sample.engines[0],
            decUtil: sample.engines[1],
        })
        .collect();
    copy(found, count, into)
}

/// The samples since an instant, of all engines.
pub(crate) fn samples_of_engines(gpu: &Gpu, request: *mut ffi::nvmlProcessesUtilizationInfo_t) -> Answer {
    // SAFETY: the caller gives a request, as NVML documents.
    let request = unsafe { request.as_mut() }.ok_or(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)?;
    let found: Vec<_> = newer(gpu, request.lastSeenTimeStamp)?
        .into_iter()
        .map(|sample| ffi::nvmlProcessUtilizationInfo_v1_t {
            timeStamp: sample.at_us,
            pid: sample.pid,
            smUtil: sample.sm,
            memUtil: 0,
            encUtil: sample.engines[0],
            decUtil: sample.engines[1],
            jpgUtil: sample.engines[2],
            ofaUtil: sample.engines[3],
        })
        .collect();
    copy(found, &raw mut request.processSamplesCount, request.procUtilArray)
}

fn newer(gpu: &Gpu, since: c_ulonglong) -> Answer<Vec<Sample>> {
    let samples = gpu.samples.as_ref().filter(|_| gpu.mig.is_none());
    let samples = samples.ok_or(ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)?;
    let newer: Vec<_> = samples.iter().copied().filter(|sample| sample.at_us > since).collect();
    if newer.is_empty() { Err(ffi::nvmlReturn_enum_NVML_ERROR_NOT_FOUND) } else { Ok(newer) }
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
