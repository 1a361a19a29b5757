//! The library's errors in the words of every source: which device, what is wrong, and what helps.

use std::io;
use std::path::Path;

use noether_core::gpu::Device;
use nvml_wrapper::error::NvmlError;

use crate::Error;

/// What helps against a device that is lost. Xids: <https://docs.nvidia.com/deploy/xid-errors/>
const RESET: &str = "reset it (nvidia-smi --gpu-reset, with nothing running on it) or restart the machine; the kernel's log says why (Xid)";

/// Which device, as every line of it begins.
pub(super) fn name(device: &Device) -> String {
    let pci = if device.pci.is_empty() { String::new() } else { format!(", {}", device.pci) };
    format!("GPU {} ({}{pci})", device.gpu, device.uuid)
}

/// An error of the library, or of one of its devices.
pub(super) fn fault(library: &Path, device: &str, error: &NvmlError) -> Error {
    let kind = match error {
        NvmlError::NoPermission | NvmlError::OperatingSystem => io::ErrorKind::PermissionDenied,
        NvmlError::GpuLost
        | NvmlError::NotFound
        | NvmlError::DriverNotLoaded
        | NvmlError::Uninitialized
        | NvmlError::ResetRequired => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    let what = match error {
        NvmlError::GpuLost => format!("is lost, it does not answer on the bus: {RESET}"),
        NvmlError::ResetRequired => format!("has to be reset before it can be used: {RESET}"),
        NvmlError::NotFound => "is not among the driver's devices any more".to_owned(),
        error => error.to_string(),
    };
    let what = if device.is_empty() { what } else { format!("{device}: {what}") };
    Error::io(library, io::Error::new(kind, what))
}

/// Whether the device is not there, rather than there and in trouble.
pub(super) const fn is_gone(error: &NvmlError) -> bool {
    matches!(error, NvmlError::NotFound | NvmlError::DriverNotLoaded | NvmlError::Uninitialized)
}
