//! GPM: two samples of an instance, between which its utilisation is told. Here a sample is what the state says at once.

use nvml_wrapper_sys::bindings as ffi;

use crate::answer::{Answer, fill};
use crate::state::Gpu;

/// A sample; `None` until it is taken.
type Taken = Option<f64>;

pub(crate) fn alloc(into: *mut ffi::nvmlGpmSample_t) -> Answer {
    fill(into, Box::into_raw(Box::<Taken>::default()).cast())
}

pub(crate) fn free(sample: ffi::nvmlGpmSample_t) -> Answer {
    if !sample.is_null() {
        // SAFETY: it comes from `alloc`, and its owner gives it back once.
        drop(unsafe { Box::from_raw(sample.cast::<Taken>()) });
    }
    Ok(())
}

pub(crate) fn take(gpu: &Gpu, instance: u32, sample: ffi::nvmlGpmSample_t) -> Answer {
    let mut instances = gpu.mig.iter().flat_map(|mig| mig.instances.iter().flatten());
    let found = instances.find(|one| one.gpu_instance == instance);
    let found = found.ok_or(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)?;
    let busy = found.utilization.ok_or(ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)?;
    fill(sample.cast::<Taken>(), Some(busy))
}

pub(crate) fn metrics(request: *mut ffi::nvmlGpmMetricsGet_t) -> Answer {
    if request.is_null() {
        return Err(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    }
    // SAFETY: the caller gives a request.
    let request = unsafe { &mut *request };
    // SAFETY: samples come from `alloc`.
    let second = unsafe { request.sample2.cast::<Taken>().as_ref() }.copied().flatten();
    let busy = second.ok_or(ffi::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)?;
    for metric in request.metrics.iter_mut().take(request.numMetrics as usize) {
        metric.nvmlReturn = match metric.metricId {
            ffi::nvmlGpmMetricId_t_NVML_GPM_METRIC_SM_UTIL => ffi::nvmlReturn_enum_NVML_SUCCESS,
            _ => ffi::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED,
        };
        metric.value = busy;
    }
    Ok(())
}
