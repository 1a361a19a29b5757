//! The library, opened before the process gives anything up: what the driver opens then is what it needs.
//!
//! Where the library lies and which devices it opens differs by platform (`/dev/nvidia*`, `/dev/dxg` under WSL, `/dev/nvmap`
//! and `/dev/nvhost-*` on a Jetson), so the loader and the driver are asked instead of lists of places.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::bus::Bus;
use crate::Machine;

/// The library that was opened early, until the meter takes it over: to open it twice may take seconds each.
static OPENED: Mutex<Option<(PathBuf, Nvml)>> = Mutex::new(None);

/// What opening the library early came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Early {
    /// Whether the loader finds the library, whatever comes of it.
    pub found: bool,
    /// The devices that it opened, below `/dev`.
    pub devices: Vec<PathBuf>,
    /// The files that it opened or mapped.
    pub files: Vec<PathBuf>,
}

/// Opens the library and its devices, and keeps them open for the meter. It may take long, and a driver in trouble may never
/// answer.
pub fn open_early(machine: &Machine) -> Early {
    let before = open_files();
    let nvml = match initialise(&machine.nvml_library) {
        Err(error) => return Early { found: !is_absent(&error), ..Early::default() },
        Ok(nvml) => nvml,
    };
    let bus = Bus::new(&machine.sysfs);
    let cards = bus.cards();
    let count = nvml.device_count().unwrap_or(0);
    for index in 0..count {
        let card = cards.get(index as usize).filter(|_| cards.len() == count as usize);
        // A device is opened with its handle, which would wake it.
        if !card.is_some_and(|address| bus.is_suspended(address)) {
            let _ = nvml.device_by_index(index).map(|device| {
                // Some devices are opened when they are asked first.
                let _ = (device.total_energy_consumption(), device.utilization_rates());
            });
        }
    }
    let opened = open_files().difference(&before).cloned().collect::<Vec<_>>();
    let (devices, files) = opened.into_iter().partition(|path| path.starts_with("/dev"));
    *OPENED.lock().unwrap_or_else(PoisonError::into_inner) = Some((machine.nvml_library.clone(), nvml));
    Early { found: true, devices, files }
}

/// The library, if it is there and its driver is loaded: the one that was opened early, or a new one.
pub(super) fn load(library: &Path) -> Result<Option<Nvml>, NvmlError> {
    let early = OPENED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((_, nvml)) = early.filter(|(path, _)| path == library) {
        return Ok(Some(nvml));
    }
    match initialise(library) {
        Ok(nvml) => Ok(Some(nvml)),
        Err(error) if is_absent(&error) || matches!(error, NvmlError::DriverNotLoaded) => Ok(None),
        Err(error) => Err(error),
    }
}

fn initialise(library: &Path) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(library.as_os_str()).init()
}

const fn is_absent(error: &NvmlError) -> bool {
    matches!(error, NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound)
}

/// What this process has open or mapped.
/// <https://man7.org/linux/man-pages/man5/proc_pid_fd.5.html>, <https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html>
fn open_files() -> BTreeSet<PathBuf> {
    let links = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let held = links.filter_map(|entry| fs::read_link(entry.path()).ok());
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mapped = maps.lines().filter_map(|line| line.find('/').and_then(|begin| line.get(begin..)));
    held.chain(mapped.map(PathBuf::from)).filter(|path| path.is_absolute() && path.exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_or_mapped_is_known() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let files = open_files();
        assert!(files.contains(file.path()));
        assert!(files.contains(&std::env::current_exe().unwrap()));
    }

    #[test]
    fn no_library_opens_nothing() {
        let machine = Machine {
            procfs: "/proc".into(),
            sysfs: "/sys".into(),
            cgroupfs: "/sys/fs/cgroup".into(),
            rootfs: "/".into(),
            nvml_library: "/nowhere/libnvidia-ml.so.1".into(),
            clock_ticks: 100,
            page_size: 4096,
        };
        assert_eq!(open_early(&machine), Early::default());
    }
}
