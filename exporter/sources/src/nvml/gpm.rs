//! How busy the instances of MIG were, as the profiling counters of Hopper and later tell: between two samples of a round.
//!
//! <https://docs.nvidia.com/deploy/nvml-api/group__nvmlGpmFunctions.html>

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use noether_core::gpu::Look;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::gpm::gpm_metrics_get;
use nvml_wrapper::{Device, GpmSample, Nvml};

use super::device::Gpu;

/// NVML wants this much time between two samples.
const APART: Duration = Duration::from_millis(100);

/// Processors, decoders, JPEG decoders, optical flow. MIG has no encoder.
const ENGINES: [GpmMetricId; 18] = [
    GpmMetricId::SmUtil,
    GpmMetricId::Nvdec0Util,
    GpmMetricId::Nvdec1Util,
    GpmMetricId::Nvdec2Util,
    GpmMetricId::Nvdec3Util,
    GpmMetricId::Nvdec4Util,
    GpmMetricId::Nvdec5Util,
    GpmMetricId::Nvdec6Util,
    GpmMetricId::Nvdec7Util,
    GpmMetricId::Nvjpg0Util,
    GpmMetricId::Nvjpg1Util,
    GpmMetricId::Nvjpg2Util,
    GpmMetricId::Nvjpg3Util,
    GpmMetricId::Nvjpg4Util,
    GpmMetricId::Nvjpg5Util,
    GpmMetricId::Nvjpg6Util,
    GpmMetricId::Nvjpg7Util,
    GpmMetricId::Nvofa0Util,
];

/// The first samples of a round. They cannot outlast the library's handle, so a round takes both.
pub(super) struct Round<'n> {
    nvml: &'n Nvml,
    begun: Instant,
    devices: Vec<(Device<'n>, Vec<First<'n>>)>,
}

struct First<'n> {
    /// The instance's id, and its number on its GPU.
    instance: (Arc<str>, u32),
    sample: GpmSample<'n>,
}

impl<'n> Round<'n> {
    /// Takes the first samples, of all instances that are known by now, of the devices that may be asked.
    pub(super) fn begin<'g>(nvml: &'n Nvml, gpus: impl Iterator<Item = &'g Gpu>) -> Self {
        let mut devices = Vec::new();
        for gpu in gpus {
            let mut instances = gpu.profiled().peekable();
            if instances.peek().is_none() {
                continue;
            }
            let Ok(handle) = gpu.handle(nvml) else { continue };
            let first = |(uuid, number): (&Arc<str>, u32)| {
                let sample = handle.gpm_mig_sample(number).ok()?;
                Some(First { instance: (Arc::clone(uuid), number), sample })
            };
            let samples = instances.filter_map(first).collect();
            devices.push((handle, samples));
        }
        Self { nvml, begun: Instant::now(), devices }
    }

    /// Takes the second ones, and writes into the looks what lies between.
    pub(super) fn end(self, looks: &mut [Look]) {
        if self.devices.iter().any(|(_, samples)| !samples.is_empty()) {
            thread::sleep(APART.saturating_sub(self.begun.elapsed()));
        }
        for (handle, samples) in &self.devices {
            for first in samples {
                let busy = first.until_now(self.nvml, handle);
                let mut instances = looks.iter_mut().flat_map(|look| &mut look.instances);
                if let Some(instance) = instances.find(|one| one.uuid == first.instance.0) {
                    instance.utilisation = busy;
                }
            }
        }
    }
}

impl<'n> First<'n> {
    /// The part of the time since then in which the instance's engines worked, as a process's samples add them up.
    fn until_now(&self, nvml: &'n Nvml, handle: &Device<'n>) -> Option<f64> {
        let second = handle.gpm_mig_sample(self.instance.1).ok()?;
        let metrics = gpm_metrics_get(nvml, &self.sample, &second, &ENGINES).ok()?;
        let mut percents = metrics.into_iter().map(|metric| metric.ok().map(|metric| metric.value));
        // An instance whose processors are not known is not known; other engines it may lack.
        let processors = percents.next()??;
        let percent = processors + percents.flatten().filter(|percent| percent.is_finite()).sum::<f64>();
        percent.is_finite().then(|| (percent / 100.0).clamp(0.0, 1.0))
    }
}
