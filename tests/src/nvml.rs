//! A machine's NVIDIA driver, played by the stub: its state is written while the exporter runs.

use std::path::{Path, PathBuf};

pub use noether_nvml_stub::state::{Gpu, Instance, Mig, Process, Sample, State, VARIABLE};

use crate::exporter::{Exporter, run_with};
use crate::machine::Machine;

/// A driver and its GPUs.
#[derive(Debug)]
pub struct Driver {
    /// What it says from the next [`Driver::write`] on.
    pub state: State,
    /// The library that the exporter is to load.
    pub library: PathBuf,
    file: PathBuf,
}

impl Driver {
    /// A driver of so many GPUs, whose state lies in `folder`.
    pub fn new(folder: &Path, gpus: u32) -> Self {
        let state = State {
            driver: "550.54.15".to_owned(),
            gpus: (0..gpus).map(Gpu::new).collect(),
            ..State::default()
        };
        let library = noether_nvml_stub::library().expect("the path of this test");
        assert!(library.is_file(), "{}: cargo did not build the stub", library.display());
        let driver = Self { state, library, file: folder.join("nvml.json") };
        driver.write();
        driver
    }

    /// The same driver, without these functions.
    pub fn without(mut self, functions: &[&str], folder: &Path) -> Self {
        self.library = noether_nvml_stub::without(functions, folder).expect("a copy of the stub");
        self
    }

    /// Says it.
    pub fn write(&self) {
        self.state.write(&self.file).expect("the stub's state");
    }

    /// The driver is not loaded any more.
    pub fn unload(&self) {
        std::fs::remove_file(&self.file).expect("the stub's state");
    }

    /// An exporter that looks at the machine and loads this driver's library.
    pub fn exporter(&self, machine_flags: Vec<String>, more: &[&str]) -> Exporter {
        let mut flags = machine_flags;
        flags.push(format!("--nvml.library={}", self.library.display()));
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        let file = self.file.display().to_string();
        Exporter::start_with(&[(VARIABLE, &file)], &flags)
    }

    /// What `noether doctor` says of the machine and this driver.
    pub fn doctor(&self, machine_flags: &[String], more: &[&str]) -> String {
        let library = format!("--nvml.library={}", self.library.display());
        let machine = machine_flags.iter().map(String::as_str);
        let flags: Vec<&str> =
            ["doctor", &library].into_iter().chain(machine).chain(more.iter().copied()).collect();
        let output = run_with(&[(VARIABLE, &self.file.display().to_string())], &flags);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The file that the state lies in.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The calls that reached a device, as function and id, where the state has them written down.
    pub fn calls(&self) -> Vec<String> {
        State::calls(&self.file)
    }

    /// The GPU at this place.
    pub fn gpu(&mut self, place: usize) -> &mut Gpu {
        &mut self.state.gpus[place]
    }
}

/// A process that computes.
pub fn process(pid: u32, mebibytes: u64) -> Process {
    Process { pid, memory: Some(mebibytes << 20) }
}

/// Makes a process of the machine be in a cgroup.
pub fn enter(machine: &mut Machine, pid: u32, cgroup: &str) {
    machine.tree().put(&format!("proc/{pid}/cgroup"), &format!("0::/{cgroup}\n"));
}
