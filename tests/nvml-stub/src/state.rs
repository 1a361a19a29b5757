//! What the stub answers: a machine's GPUs, as a test writes them into the file that `NVML_STUB_STATE` names.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde::{Deserialize, Serialize};

/// The variable that names the state's file.
pub const VARIABLE: &str = "NVML_STUB_STATE";

/// A driver and its GPUs. Without a file, the driver is not loaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The driver's version.
    pub driver: String,
    /// How long every call takes.
    pub delay_ms: u64,
    /// How long a call of one function takes, instead.
    pub delays_ms: BTreeMap<String, u64>,
    /// What a function answers instead of doing its work, by its name: `GPU_IS_LOST`, as in `NVML_ERROR_GPU_IS_LOST`.
    pub errors: BTreeMap<String, String>,
    /// Files that the library opens when it starts, to be read and written: without them it does not.
    pub opens: Vec<PathBuf>,
    /// Whether every call that reaches a device is written down: [`State::calls`].
    pub recorded: bool,
    /// The GPUs, in the order of their indices.
    pub gpus: Vec<Gpu>,
}

/// One GPU. What is `None` is `NOT_SUPPORTED`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// `GPU-…`
    pub uuid: String,
    /// The model.
    pub name: String,
    /// As `00000000:3B:00.0`.
    pub pci: String,
    /// The number of its device file: `/dev/nvidia3`. It need not be its index.
    pub minor: Option<u32>,
    /// The energy counter.
    pub energy_mj: Option<u64>,
    /// Power now; also the average where there is none of its own.
    pub power_mw: Option<u64>,
    /// Power, averaged over a second.
    pub average_mw: Option<u64>,
    /// The limit that holds.
    pub limit_mw: Option<u64>,
    /// The highest limit that can be set.
    pub max_limit_mw: Option<u64>,
    /// Utilisation in percent: of the processors, and of the memory's interface.
    pub utilization: Option<(u32, u32)>,
    /// Utilisation of the encoder and of the decoder in percent.
    pub engines: Option<(u32, u32)>,
    /// Memory in bytes: all, and in use.
    pub memory: Option<(u64, u64)>,
    /// In degrees Celsius.
    pub temperature: Option<u32>,
    /// Clocks in MHz: graphics, processors, memory.
    pub clocks: Option<(u32, u32, u32)>,
    /// Processes that compute.
    pub compute: Vec<Process>,
    /// Processes that draw.
    pub graphics: Vec<Process>,
    /// Clients of MPS.
    pub mps: Vec<Process>,
    /// Samples of the processes' utilisation.
    pub samples: Option<Vec<Sample>>,
    /// MIG, where it is on.
    pub mig: Option<Mig>,
    /// Errors of this device alone, as [`State::errors`]; `*` stands for every function.
    pub errors: BTreeMap<String, String>,
}

/// A process on a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Memory that it holds, in bytes; `None` is not available.
    pub memory: Option<u64>,
}

/// A sample of a process's utilisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Whose.
    pub pid: u32,
    /// When, in microseconds.
    pub at_us: u64,
    /// Of the processors, in percent.
    pub sm: u32,
    /// Of the encoder, the decoder, the JPEG decoder and the optical flow accelerator, in percent.
    #[serde(default)]
    pub engines: [u32; 4],
}

/// A GPU in instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mig {
    /// How many instances there can be.
    pub most: u32,
    /// Those that there are, by their index; an index may be free.
    pub instances: Vec<Option<Instance>>,
}

/// A compute instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// `MIG-…`
    pub uuid: String,
    /// As `1g.5gb`.
    pub profile: String,
    /// The id of its GPU instance.
    pub gpu_instance: u32,
    /// Slices of compute.
    pub slices: u32,
    /// Memory in bytes: all, and in use.
    pub memory: Option<(u64, u64)>,
    /// Utilisation in percent, as GPM tells it.
    pub utilization: Option<f64>,
    /// Processes that compute.
    pub compute: Vec<Process>,
}

impl State {
    /// The state that the variable's file holds.
    pub fn present() -> Option<Self> {
        let path = PathBuf::from(env::var_os(VARIABLE)?);
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Puts this state in the place of the one in `path`, at once and whole.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_extension("draft");
        fs::write(&draft, serde_json::to_vec(self)?)?;
        fs::rename(draft, path)
    }
}

impl State {
    /// The calls that reached a device since the state in `path` says that they are written down: function and id.
    pub fn calls(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path.with_extension("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Writes a call down.
    pub(crate) fn record(&self, function: &str, uuid: &str) {
        let file = env::var_os(VARIABLE).map(|path| PathBuf::from(path).with_extension("calls"));
        let Some(file) = file.filter(|_| self.recorded) else { return };
        if let Ok(mut file) = fs::OpenOptions::new().create(true).append(true).open(file) {
            let _ = file.write_all(format!("{function} {uuid}\n").as_bytes());
        }
    }
}

impl Gpu {
    /// A GPU of the 40-GB kind that supports everything and does nothing.
    pub fn new(index: u32) -> Self {
        Self {
            uuid: format!("GPU-0000000{index}-1111-2222-3333-444444444444"),
            name: "NVIDIA A100-SXM4-40GB".to_owned(),
            pci: format!("00000000:{:02X}:00.0", 0x17 + index),
            minor: Some(index),
            energy_mj: Some(1_000_000),
            power_mw: Some(60_000),
            average_mw: Some(61_000),
            limit_mw: Some(400_000),
            max_limit_mw: None,
            utilization: Some((0, 0)),
            memory: Some((40 << 30, 1 << 30)),
            temperature: Some(40),
            clocks: Some((1410, 1410, 1215)),
            samples: Some(Vec::new()),
            ..Self::default()
        }
    }
}

impl Instance {
    /// An instance of `slices` on the GPU with this index, at this place.
    pub fn new(gpu: u32, place: u32, slices: u32) -> Self {
        Self {
            uuid: format!("MIG-0000000{gpu}-{place:04}-2222-3333-444444444444"),
            profile: format!("{slices}g.{}gb", slices * 5),
            gpu_instance: place + 7,
            slices,
            memory: Some((u64::from(slices) * (5 << 30), 0)),
            utilization: None,
            compute: Vec::new(),
        }
    }
}
