//! How busy the instances of MIG were, as the profiling counters of Hopper and later tell: between two samples of a round.
//!
//! <https://docs.nvidia.com/deploy/nvml-api/group__nvmlGpmFunctions.html>

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use noether_core::gpu::Look;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::gpm::gpm_metrics_get;
use nvml_wrapper::{GpmSample, Nvml};

use super::device::Gpu;

/// NVML wants this much time between two samples.
const APART: Duration = Duration::from_millis(100);

/// The first samples of a round. They cannot outlast the library's handle, so a round takes both.
pub(super) struct Round<'n> {
    nvml: &'n Nvml,
    begun: Instant,
    samples: Vec<First<'n>>,
}

struct First<'n> {
    gpu: Arc<str>,
    /// The instance's id, and its number on its GPU.
    instance: (Arc<str>, u32),
    sample: GpmSample<'n>,
}

impl<'n> Round<'n> {
    /// Takes the first samples, of all instances that are known by now.
    pub(super) fn begin(nvml: &'n Nvml, gpus: &[Gpu]) -> Self {
        let mut samples = Vec::new();
        for gpu in gpus {
            let mut instances = gpu.profiled().peekable();
            if instances.peek().is_none() {
                continue;
            }
            let Ok(handle) = nvml.device_by_uuid(&*gpu.device.uuid) else { continue };
            samples.extend(instances.filter_map(|(uuid, number)| {
                let sample = handle.gpm_mig_sample(number).ok()?;
                let (gpu, uuid) = (Arc::clone(&gpu.device.uuid), Arc::clone(uuid));
                Some(First { gpu, instance: (uuid, number), sample })
            }));
        }
        Self { nvml, begun: Instant::now(), samples }
    }

    /// Takes the second ones, and writes into the looks what lies between.
    pub(super) fn end(self, looks: &mut [Look]) {
        if !self.samples.is_empty() {
            thread::sleep(APART.saturating_sub(self.begun.elapsed()));
        }
        for first in self.samples {
            let instances = looks.iter_mut().flat_map(|look| &mut look.instances);
            let busy = first.until_now(self.nvml);
            if let Some(instance) = instances.into_iter().find(|one| one.uuid == first.instance.0) {
                instance.utilisation = busy;
            }
        }
    }
}

impl First<'_> {
    /// The part of the time since then in which the instance's processors worked.
    fn until_now(&self, nvml: &Nvml) -> Option<f64> {
        let handle = nvml.device_by_uuid(&*self.gpu).ok()?;
        let second = handle.gpm_mig_sample(self.instance.1).ok()?;
        let metrics = gpm_metrics_get(nvml, &self.sample, &second, &[GpmMetricId::SmUtil]).ok()?;
        let percent = metrics.into_iter().next()?.ok()?.value;
        percent.is_finite().then(|| (percent / 100.0).clamp(0.0, 1.0))
    }
}
