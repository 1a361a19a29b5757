//! How busy each process kept the engines of a GPU: processors, encoder, decoder, JPEG and optical flow.
//!
//! The newer call has all five, the older one lacks the last two.
//! <https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html>

use std::ptr;

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::struct_wrappers::device::ProcessUtilizationSample;
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlProcessUtilizationInfo_v1_t, nvmlProcessesUtilizationInfo_t,
    nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE as INSUFFICIENT_SIZE, nvmlReturn_t,
};

/// `NVML_STRUCT_VERSION(ProcessesUtilizationInfo, 1)`: the size, and the version above it.
const VERSION: u32 = size_of::<nvmlProcessesUtilizationInfo_t>() as u32 | 1 << 24;
/// No driver keeps as many samples; a number beyond is none.
const MOST: u32 = 1 << 16;

/// One sample of a process: percents of the time since the sample before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EngineSample {
    pub(super) pid: u32,
    /// When, in µs of the driver's clock, which follows the wall clock.
    pub(super) at: u64,
    /// Of the processors.
    pub(super) sm: u32,
    /// Of the encoder, the decoder, the JPEG decoder and the optical flow accelerator.
    pub(super) others: [u32; 4],
}

impl EngineSample {
    /// Percents of all engines together, or `None` for what is no sample: some drivers give processors more than 100 %.
    /// An engine that does not exist may show anything, and counts as idle.
    pub(super) fn busy(&self) -> Option<u32> {
        let others: u32 = self.others.iter().filter(|busy| **busy <= 100).sum();
        (self.sm <= 100 && self.at > 0).then_some(self.sm + others)
    }
}

/// The samples after an instant; none where there is nothing newer.
pub(super) fn samples(device: &Device<'_>, since: u64) -> Result<Vec<EngineSample>, NvmlError> {
    let found = newer(device, since).or_else(|error| match error {
        NvmlError::NotFound => Err(error),
        _ => older(device, since),
    });
    match found {
        Err(NvmlError::NotFound) => Ok(Vec::new()),
        found => found,
    }
}

fn older(device: &Device<'_>, since: u64) -> Result<Vec<EngineSample>, NvmlError> {
    let sample = |one: ProcessUtilizationSample| EngineSample {
        pid: one.pid,
        at: one.timestamp,
        sm: one.sm_util,
        others: [one.enc_util, one.dec_util, 0, 0],
    };
    Ok(device.process_utilization_stats(since)?.into_iter().map(sample).collect())
}

fn newer(device: &Device<'_>, since: u64) -> Result<Vec<EngineSample>, NvmlError> {
    let function = *nvml_sym(device.nvml().lib().nvmlDeviceGetProcessesUtilizationInfo.as_ref())?;
    let mut request = nvmlProcessesUtilizationInfo_t {
        version: VERSION,
        processSamplesCount: 0,
        lastSeenTimeStamp: since,
        procUtilArray: ptr::null_mut(),
    };
    match call(device, function, &mut request) {
        INSUFFICIENT_SIZE => {}
        code => nvml_try(code)?,
    }
    let count = request.processSamplesCount.min(MOST);
    let empty = nvmlProcessUtilizationInfo_v1_t {
        timeStamp: 0,
        pid: 0,
        smUtil: 0,
        memUtil: 0,
        encUtil: 0,
        decUtil: 0,
        jpgUtil: 0,
        ofaUtil: 0,
    };
    let mut found = vec![empty; count as usize];
    if count > 0 {
        (request.processSamplesCount, request.procUtilArray) = (count, found.as_mut_ptr());
        nvml_try(call(device, function, &mut request))?;
    }
    found.truncate(request.processSamplesCount.min(count) as usize);
    let sample = |one: nvmlProcessUtilizationInfo_v1_t| EngineSample {
        pid: one.pid,
        at: one.timeStamp,
        sm: one.smUtil,
        others: [one.encUtil, one.decUtil, one.jpgUtil, one.ofaUtil],
    };
    Ok(found.into_iter().map(sample).collect())
}

type Function = unsafe extern "C" fn(nvmlDevice_t, *mut nvmlProcessesUtilizationInfo_t) -> nvmlReturn_t;

/// The wrapper lacks this call, and JPEG and optical flow are in no other one.
#[allow(unsafe_code, reason = "a C library's function takes pointers")]
fn call(
    device: &Device<'_>,
    function: Function,
    request: &mut nvmlProcessesUtilizationInfo_t,
) -> nvmlReturn_t {
    // SAFETY: the handle lives as long as the library that the function is of. The request's array is null, or has room
    // for the count beside it, and NVML writes no more than that.
    unsafe { function(device.handle(), request) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_add_up_and_what_is_no_sample_is_none() {
        let busy = |sm, others| EngineSample { pid: 1, at: 1, sm, others }.busy();
        assert_eq!(busy(2, [0, 0, 0, 0]), Some(2));
        assert_eq!(busy(0, [60, 30, 5, 1]), Some(96));
        assert_eq!(busy(7, [u32::MAX, 3, 101, 0]), Some(10));
        assert_eq!(busy(400, [1, 0, 0, 0]), None);
        assert_eq!(EngineSample { pid: 1, at: 0, sm: 1, others: [0; 4] }.busy(), None);
    }
}
