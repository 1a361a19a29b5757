//! Which GPUs the environment of a process gives to its workload.
//!
//! Slurm: `SLURM_JOB_GPUS`, `SLURM_STEP_GPUS`, the numbers at the ends of the names of their device files, as `gres.conf` has
//! them; and `CUDA_VISIBLE_DEVICES`, which tells instances by their ids
//! (<https://slurm.schedmd.com/sbatch.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES>,
//! <https://slurm.schedmd.com/gres.html#MIG_Management>). Containers: `NVIDIA_VISIBLE_DEVICES`, which the
//! NVIDIA runtime reads and the Kubernetes device plugin sets
//! (<https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html>).

use noether_core::gpu::Name;
use noether_core::workload::Workload;

use crate::kubernetes::pod_resources::is_id;

/// No machine has more; a wrong list must not make millions.
const HIGHEST: u32 = 1023;

/// The devices that a process's environment gives to its workload; `None` where it says nothing of them.
pub(super) fn held(workload: &Workload, environment: &[u8]) -> Option<Vec<Name>> {
    let value = |name: &str| {
        let entry = |entry: &[u8]| -> Option<String> {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        environment.split(|byte| *byte == 0).find_map(entry)
    };
    match workload {
        Workload::Job { .. } => {
            let numbers = numbers(&value("SLURM_JOB_GPUS").or_else(|| value("SLURM_STEP_GPUS"))?);
            let mut ids = visible(&value("CUDA_VISIBLE_DEVICES").unwrap_or_default());
            // The numbers of instances are no device's. Those of devices are ours to find; the program's own begin at 0.
            ids.retain(|name| matches!(name, Name::Uuid(id) if id.starts_with("MIG-")));
            Some(if ids.is_empty() { numbers } else { ids })
        }
        // Images that bring CUDA say `all` whether or not a pod asked for a GPU.
        Workload::Container { pod: Some(_), .. } | Workload::NestedContainer { .. } => {
            let names = visible(&value("NVIDIA_VISIBLE_DEVICES")?);
            (!names.contains(&Name::All)).then_some(names)
        }
        Workload::Container { .. } | Workload::UserContainer { .. } => {
            value("NVIDIA_VISIBLE_DEVICES").map(|list| visible(&list))
        }
        Workload::Pod { .. } | Workload::Unit { .. } | Workload::Vm { .. } => None,
    }
}

/// `0,2` or `0-3`.
fn numbers(list: &str) -> Vec<Name> {
    let range = |item: &str| {
        let (from, to) = item.trim().split_once('-').unwrap_or((item.trim(), item.trim()));
        Some((from.parse().ok()?, to.parse::<u32>().ok()?.min(HIGHEST)))
    };
    list.split(',').filter_map(range).flat_map(|(from, to): (u32, u32)| from..=to).map(Name::File).collect()
}

/// `all`, `none`, `void`, or a list of numbers, of `GPU:INSTANCE`, and of ids.
fn visible(list: &str) -> Vec<Name> {
    let name = |item: &str| match item.trim() {
        "all" => Some(Name::All),
        "" | "none" | "void" => None,
        item if is_id(item) => Some(Name::Uuid(item.into())),
        item => match item.split_once(':') {
            Some((gpu, instance)) => Some(Name::Instance(gpu.parse().ok()?, instance.parse().ok()?)),
            None => item.parse().ok().map(Name::Index),
        },
    };
    list.split(',').filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::workload::JobId;
    use proptest::prelude::*;

    fn job() -> Workload {
        Workload::Job { scheduler: "slurm", id: JobId::Number("7".into()), user: None }
    }

    fn container(pod: Option<&str>) -> Workload {
        Workload::Container { id: "c".into(), runtime: "", pod: pod.map(Into::into) }
    }

    #[test]
    fn environments_tell() {
        let is = |workload: &Workload, environment: &[u8]| held(workload, environment);
        let files = |list: &[u32]| Some(list.iter().copied().map(Name::File).collect::<Vec<_>>());
        assert_eq!(is(&job(), b"A=1\0SLURM_JOB_GPUS=0,2\0"), files(&[0, 2]));
        assert_eq!(is(&job(), b"SLURM_STEP_GPUS=1-3"), files(&[1, 2, 3]));
        assert_eq!(is(&job(), b"SLURM_JOB_GPUS=x,-,\xff"), files(&[]));
        assert_eq!(is(&job(), b"SLURM_JOB_GPUS=2\0CUDA_VISIBLE_DEVICES=0"), files(&[2]));
        assert_eq!(is(&job(), b"CUDA_VISIBLE_DEVICES=MIG-1"), None, "his own");
        let instances = vec![Name::Uuid("MIG-1".into()), Name::Uuid("MIG-2".into())];
        assert_eq!(is(&job(), b"SLURM_JOB_GPUS=30,39\0CUDA_VISIBLE_DEVICES=MIG-1,MIG-2\0"), Some(instances));
        assert_eq!(is(&job(), b"NVIDIA_VISIBLE_DEVICES=all"), None);
        assert_eq!(is(&container(None), b"NVIDIA_VISIBLE_DEVICES=all"), Some(vec![Name::All]));
        assert_eq!(is(&container(Some("p")), b"NVIDIA_VISIBLE_DEVICES=all"), None);
        assert_eq!(is(&container(Some("p")), b"NVIDIA_VISIBLE_DEVICES=void"), Some(vec![]));
        assert_eq!(is(&container(None), b"NVIDIA_VISIBLE_DEVICES=none"), Some(vec![]));
        let ids = vec![Name::Uuid("GPU-1".into()), Name::Uuid("MIG-2".into()), Name::Instance(0, 3)];
        assert_eq!(is(&container(Some("p")), b"NVIDIA_VISIBLE_DEVICES=GPU-1,MIG-2,0:3"), Some(ids));
    }

    proptest! {
        #[test]
        fn any_environment_is_read(list in "[0-9,:GPUMI a-z-]{0,60}", noise in any::<Vec<u8>>()) {
            for name in ["SLURM_JOB_GPUS=", "NVIDIA_VISIBLE_DEVICES=", "SLURM_JOB_GPUS=0\0CUDA_VISIBLE_DEVICES="] {
                let environment = [&noise[..], b"\0", name.as_bytes(), list.as_bytes()].concat();
                for workload in [job(), container(None), container(Some("p"))] {
                    held(&workload, &environment);
                }
            }
        }
    }
}
