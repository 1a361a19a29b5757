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

use super::device_names::DeviceNames;
use crate::kubernetes::pod_resources::is_id;

/// What a process's environment says of devices.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The devices that it gives to its workload.
    pub(super) devices: DeviceNames,
    /// The variable whose list was too long to be read to its end.
    pub(super) too_long: Option<&'static str>,
}

/// The devices that a process's environment gives to its workload; `None` where it says nothing of them. Whoever runs the
/// process may write anything there.
pub(crate) fn held(workload: &Workload, environment: &[u8]) -> Option<Said> {
    let value = |name: &'static str| {
        let entry =
            |entry: &'_ [u8]| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
        Some((name, environment.split(|byte| *byte == 0).find_map(entry)?))
    };
    match workload {
        Workload::Job { .. } => {
            let given = value("SLURM_JOB_GPUS").or_else(|| value("SLURM_STEP_GPUS"))?;
            let mut ids =
                value("CUDA_VISIBLE_DEVICES").map(|list| Said::of(list, visible)).unwrap_or_default();
            // The numbers of instances are no device's. Those of devices are ours to find; the program's own begin at 0.
            ids.devices.retain(|name| matches!(name, Name::Uuid(id) if id.starts_with("MIG-")));
            Some(if ids.devices.is_empty() { Said::of(given, numbers) } else { ids })
        }
        // Images that bring CUDA say `all` whether or not a pod asked for a GPU.
        Workload::Container { pod: Some(_), .. } | Workload::NestedContainer { .. } => {
            let said = Said::of(value("NVIDIA_VISIBLE_DEVICES")?, visible);
            (!said.devices.contains(&Name::All)).then_some(said)
        }
        Workload::Container { .. } | Workload::UserContainer { .. } => {
            Some(Said::of(value("NVIDIA_VISIBLE_DEVICES")?, visible))
        }
        Workload::Pod { .. } | Workload::Unit { .. } | Workload::Vm { .. } => None,
    }
}

impl Said {
    fn of<I: IntoIterator<Item = Name>>(
        (variable, list): (&'static str, Vec<u8>),
        names_of: impl Fn(&str) -> I,
    ) -> Self {
        let devices = DeviceNames::of_list(&list, names_of);
        let too_long = devices.cut.then_some(variable);
        Self { devices, too_long }
    }
}

/// `2`, or `0-3`, which may be written to be endless: it is not walked before somebody counts along.
fn numbers(item: &str) -> impl Iterator<Item = Name> + use<> {
    let (from, to) = item.split_once('-').unwrap_or((item, item));
    let range = from.parse::<u32>().ok().zip(to.parse::<u32>().ok());
    range.into_iter().flat_map(|(from, to)| from..=to).map(Name::File)
}

/// `all`, `none`, `void`, a number, `GPU:INSTANCE`, or an id.
fn visible(item: &str) -> Option<Name> {
    match item {
        "all" => Some(Name::All),
        "" | "none" | "void" => None,
        item if is_id(item) => Some(Name::Uuid(item.into())),
        item => match item.split_once(':') {
            Some((gpu, instance)) => Some(Name::Instance(gpu.parse().ok()?, instance.parse().ok()?)),
            None => item.parse().ok().map(Name::Index),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holder::device_names::MOST;
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
        let is = |workload: &Workload, environment: &[u8]| {
            let said = held(workload, environment)?;
            assert_eq!(said.too_long, None);
            Some(said.devices.into_iter().collect::<Vec<_>>())
        };
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
        let ids = vec![Name::Instance(0, 3), Name::Uuid("GPU-1".into()), Name::Uuid("MIG-2".into())];
        assert_eq!(is(&container(Some("p")), b"NVIDIA_VISIBLE_DEVICES=GPU-1,MIG-2,0:3"), Some(ids));
    }

    /// Lists of 130 kB, as any user may set them: an end is put to each, and that is said.
    #[test]
    fn no_list_is_endless() {
        let numbers = (0..30_000).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
        let instances = (0..3_000).map(|number| format!("MIG-{number:036}")).collect::<Vec<_>>().join(",");
        let ranges = "0-99999999,".repeat(11_800);
        for (workload, variable, list) in [
            (job(), "SLURM_JOB_GPUS", &ranges),
            (job(), "SLURM_STEP_GPUS", &numbers),
            (container(None), "NVIDIA_VISIBLE_DEVICES", &numbers),
            (container(Some("p")), "NVIDIA_VISIBLE_DEVICES", &instances),
        ] {
            let said = held(&workload, format!("A=1\0{variable}={list}\0").as_bytes()).unwrap();
            assert_eq!(said.too_long, Some(variable));
            assert_eq!(said.devices.into_iter().count(), MOST, "{variable}");
        }
        let said = held(&job(), format!("SLURM_JOB_GPUS=1\0CUDA_VISIBLE_DEVICES={instances}").as_bytes());
        let said = said.unwrap();
        assert_eq!(said.too_long, Some("CUDA_VISIBLE_DEVICES"));
        assert_eq!(said.devices.into_iter().count(), MOST);
        // The longest that any machine has is read to its end.
        let whole = (0..112).map(|number| format!("MIG-{number:036}")).collect::<Vec<_>>().join(",");
        let said = held(&container(None), format!("NVIDIA_VISIBLE_DEVICES={whole}").as_bytes()).unwrap();
        assert_eq!((said.too_long, said.devices.into_iter().count()), (None, 112));
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
