//! NVIDIA GPUs: the energy counters that NVML reads, and who runs on them.
//!
//! The driver's library is loaded while the exporter runs, so that one binary serves machines with and without GPUs. That
//! there is none, that its driver is loaded anew and that devices come and go are ordinary states.
//! <https://docs.nvidia.com/deploy/nvml-api/>

mod device;
mod gpm;
mod samples;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use noether_core::gpu::Look as DeviceLook;
use noether_core::reading::DomainReading;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::meter::{Look, Meter, Opened, Probe};
use crate::owner::Owners;
use crate::{Error, Machine};
use device::Gpu;

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
        owners: Owners::new(machine),
        nvml: None,
        driver: String::new(),
        gpus: Vec::new(),
        lost: false,
        looks: Vec::new(),
    };
    meter.rescan()?;
    Ok((!meter.gpus.is_empty()).then(|| Box::new(meter) as Box<dyn Meter>))
}

/// All GPUs of the driver.
struct Meters {
    library: PathBuf,
    owners: Owners,
    nvml: Option<Nvml>,
    driver: String,
    gpus: Vec<Gpu>,
    /// Whether nothing answered at the last reading: then the driver is looked for anew.
    lost: bool,
    looks: Vec<Arc<DeviceLook>>,
}

impl Meter for Meters {
    fn read(&mut self, look: &Look<'_>, readings: &mut Vec<DomainReading>, faults: &mut Vec<Error>) {
        let round = self.nvml.as_ref().map(|nvml| gpm::Round::begin(nvml, &self.gpus));
        let mut looks = Vec::new();
        let mut answered = false;
        for gpu in &mut self.gpus {
            let result = match &self.nvml {
                Some(nvml) => gpu.energy(nvml),
                None => Err(NvmlError::DriverNotLoaded),
            };
            let at = (look.now)();
            if result.as_ref().is_err_and(is_gone) && !gpu.says_farewell() {
                continue;
            }
            answered |= result.is_ok();
            let reading = result.map_err(|error| {
                let error = fault(&self.library, &gpu.device.uuid, &error);
                let short = error.fault();
                faults.push(error);
                short
            });
            if let (Ok(_), Some(nvml)) = (&reading, &self.nvml) {
                looks.extend(gpu.look(nvml, at, &mut self.owners));
            }
            readings.push(DomainReading { domain: Arc::clone(&gpu.device.domain), at, reading });
        }
        if let Some(round) = round {
            round.end(&mut looks);
        }
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
        if self.nvml.is_none() {
            self.nvml = load(&self.library)?;
        }
        self.find_gpus().map_err(|error| fault(&self.library, "", &error))
    }
}

impl Meters {
    fn find_gpus(&mut self) -> Result<(), NvmlError> {
        let Some(nvml) = &self.nvml else { return Ok(()) };
        self.driver = nvml.sys_driver_version().unwrap_or_default();
        for index in 0..nvml.device_count()? {
            // One that is lost, or that may not be used here, is no reason to leave the others out.
            let Ok(handle) = nvml.device_by_index(index) else { continue };
            let Ok(uuid) = handle.uuid() else { continue };
            let known = self.gpus.iter_mut().find(|gpu| *gpu.device.uuid == *uuid);
            match known {
                Some(gpu) if gpu.device.index == index && *gpu.device.driver == *self.driver => {}
                Some(gpu) => {
                    let number = gpu.device.gpu.parse().unwrap_or(index);
                    gpu.renew(&Gpu::new(&handle, &uuid, number, index, &self.driver).device);
                }
                None => {
                    let number = free_number(&self.gpus, index);
                    self.gpus.push(Gpu::new(&handle, &uuid, number, index, &self.driver));
                }
            }
        }
        // Nothing found: the driver is let go, so that it can be unloaded.
        if self.gpus.is_empty() {
            self.nvml = None;
        }
        Ok(())
    }
}

/// Whether the device is not there, rather than there and in trouble.
const fn is_gone(error: &NvmlError) -> bool {
    matches!(error, NvmlError::NotFound | NvmlError::DriverNotLoaded | NvmlError::Uninitialized)
}

/// The device's place, if no other one has that as its name: places change when devices are removed, names must not.
fn free_number(gpus: &[Gpu], index: u32) -> u32 {
    let taken = |number: u32| gpus.iter().any(|gpu| gpu.device.gpu.parse() == Ok(number));
    (index..).find(|number| !taken(*number)).unwrap_or(index)
}

/// The library, if it is there and its driver is loaded.
fn load(library: &Path) -> Result<Option<Nvml>, Error> {
    match Nvml::builder().lib_path(library.as_os_str()).init() {
        Ok(nvml) => Ok(Some(nvml)),
        Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded) => {
            Ok(None)
        }
        Err(error) => Err(fault(library, "", &error)),
    }
}

/// The library's error of a device, as every source tells its own.
fn fault(library: &Path, device: &str, error: &NvmlError) -> Error {
    let kind = match error {
        NvmlError::NoPermission | NvmlError::OperatingSystem => io::ErrorKind::PermissionDenied,
        NvmlError::GpuLost
        | NvmlError::NotFound
        | NvmlError::DriverNotLoaded
        | NvmlError::Uninitialized
        | NvmlError::ResetRequired => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    let what = if device.is_empty() { error.to_string() } else { format!("{device}: {error}") };
    Error::io(library, io::Error::new(kind, what))
}
