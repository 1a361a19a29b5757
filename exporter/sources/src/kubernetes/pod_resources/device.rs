//! How device plugins and drivers of claims call the devices that they give away.
//!
//! - NVIDIA's plugin: ids of GPUs and MIG instances, with `::3` for a replica of a shared one
//!   (<https://github.com/NVIDIA/k8s-device-plugin#shared-access-to-gpus>). GKE's: `nvidia0`, and `nvidia0/vgpu2` for a shared
//!   one.
//! - Plugins of schedulers that share GPUs (HAMi, Volcano, gpushare) number replicas by `-3`. The kubelet takes any of them;
//!   which GPU it is, their scheduler has chosen: see [`is_stand_in`].
//! - AMD's plugin: PCI addresses (<https://github.com/ROCm/k8s-device-plugin>).
//! - Intel's plugin: `card1-0`, the last number that of a replica
//!   (<https://intel.github.io/intel-device-plugins-for-kubernetes/cmd/gpu_plugin/README.html>).
//! - NVIDIA's driver of claims: `gpu-0`; `gpu-0-mig-1g5gb-19-4`, of `1g.5gb+me` `gpu-0-mig-1g5gb-me-20-4`, before
//!   `gpu-0-mig-19-4-1`: the number of the device file, the profile by its name, or by its number and where it lies
//!   (<https://github.com/NVIDIA/k8s-dra-driver-gpu>, `ToCanonicalName`).
//! - CDI: `nvidia.com/gpu=0`, `=GPU-…`, `=0:1`, or a driver's own name after the claim's uid
//!   (<https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md>).

use noether_core::gpu::Name;
use noether_core::pci::PciAddress;

use super::answer::Claimed;

/// The length of a uid, or of the id of a GPU behind its prefix.
const UID: usize = 36;

/// Who only watches: it is given every device, and holds none.
const WATCHER: &str = "_monitoring";

/// The device that a plugin calls so; `None` where the resource is no GPU, or the name tells nothing.
pub(super) fn of_plugin(resource: &str, id: &str) -> Option<Name> {
    let (vendor, kind) = resource.split_once('/')?;
    if kind.ends_with(WATCHER) {
        return None;
    }
    let (device, _) = id.split_once("::").unwrap_or((id, ""));
    let numbered = || (kind.starts_with("gpu") || kind.starts_with("mig-")).then(|| number(device))?;
    match vendor {
        _ if is_id(device) => Some(Name::Uuid(without_replica(device).into())),
        "nvidia.com" => of_gke(device).or_else(numbered),
        "amd.com" => address(device),
        "gpu.intel.com" => card(device.split_once('-').map_or(device, |(card, _)| card)),
        _ => None,
    }
}

/// The device of a claim: as its driver calls it, else as the container's runtime is told.
pub(super) fn of_claim(claimed: &Claimed) -> Vec<Name> {
    let own = of_driver(&claimed.driver, &claimed.device);
    if own.is_some() {
        return own.into_iter().collect();
    }
    claimed.cdi.iter().filter_map(|device| of_cdi(&device.name)).collect()
}

/// Whether the id is that of a replica which stands for any GPU of the node: the plugin hands out another one than the
/// kubelet took, that which its scheduler has chosen and written into the pod's annotations and its container's environment.
/// <https://github.com/Project-HAMi/HAMi> (`GetNextDeviceRequest` in `Allocate`)
pub(super) fn is_stand_in(id: &str) -> bool {
    let whole = without_replica(id);
    is_id(id) && whole.len() < id.len() && !id.contains("::")
}

fn of_driver(driver: &str, device: &str) -> Option<Name> {
    match driver {
        "gpu.nvidia.com" => of_nvidia(device),
        // The numbers of its two files: `gpu-1-129`.
        "gpu.amd.com" => {
            let (card, _) = device.strip_prefix("gpu-")?.split_once('-')?;
            Some(Name::Card(format!("card{}", card.parse::<u32>().ok()?).into()))
        }
        // Its address and its kind: `0000-03-00-0-0x56a0`.
        "gpu.intel.com" => {
            let parts: Vec<&str> = device.split('-').collect();
            let [domain, bus, slot, function, ..] = parts.as_slice() else { return None };
            address(&format!("{domain}:{bus}:{slot}.{function}"))
        }
        _ => None,
    }
}

fn of_cdi(name: &str) -> Option<Name> {
    let (kind, device) = name.split_once('=')?;
    match kind {
        "nvidia.com/gpu" if device == "all" => Some(Name::All),
        "nvidia.com/gpu" if is_id(device) => Some(Name::Uuid(device.into())),
        "nvidia.com/gpu" => number(device),
        _ if kind.starts_with("k8s.gpu.nvidia.com/") => of_nvidia(without_uid(device)),
        _ => None,
    }
}

/// `gpu-0` or `gpu-0-mig-…`
fn of_nvidia(device: &str) -> Option<Name> {
    let rest = device.strip_prefix("gpu-")?;
    let Some((minor, instance)) = rest.split_once("-mig-") else {
        return Some(Name::Minor(rest.parse().ok()?));
    };
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let named: Vec<&str> = instance.split('-').take_while(|part| !is_number(part)).collect();
    let profile = if named.is_empty() {
        let (number, _) = instance.split_once('-').unwrap_or((instance, ""));
        profile_of(number)?.to_owned()
    } else {
        named.join("-")
    };
    Some(Name::Profile(minor.parse().ok()?, profile.as_str().into())).filter(|_| profile.contains('g'))
}

/// What the numbers of profiles stand for: how many slices they have, and the media engines.
/// <https://docs.nvidia.com/datacenter/tesla/mig-user-guide/>
fn profile_of(number: &str) -> Option<&'static str> {
    Some(match number {
        "15" | "19" => "1g",
        "20" | "21" => "1g-me",
        "14" => "2g",
        "9" => "3g",
        "5" => "4g",
        "0" => "7g",
        _ => return None,
    })
}

/// `nvidia0`, or `nvidia0/vgpu2`; of `nvidia0/gi1` nobody tells which instance that is.
fn of_gke(device: &str) -> Option<Name> {
    let rest = device.strip_prefix("nvidia")?;
    let (minor, share) = rest.split_once('/').unwrap_or((rest, ""));
    let minor = minor.parse().ok()?;
    (share.is_empty() || share.starts_with("vgpu")).then_some(Name::Minor(minor))
}

/// `0`, or `0:1` for an instance.
fn number(device: &str) -> Option<Name> {
    Some(match device.split_once(':') {
        Some((gpu, instance)) => Name::Instance(gpu.parse().ok()?, instance.parse().ok()?),
        None => Name::Index(device.parse().ok()?),
    })
}

fn card(name: &str) -> Option<Name> {
    name.strip_prefix("card")?.parse::<u32>().ok().map(|_| Name::Card(name.into()))
}

/// `0000:03:00.0`
fn address(text: &str) -> Option<Name> {
    PciAddress::parse(text).map(|address| Name::Pci(address.to_string().into()))
}

/// Whether it is the id of a GPU or of an instance.
pub(crate) fn is_id(device: &str) -> bool {
    device.starts_with("GPU-") || device.starts_with("MIG-")
}

/// An id with its replica's number cut off. Older drivers' ids of instances, `MIG-GPU-…/7/0`, are longer and end otherwise.
fn without_replica(id: &str) -> &str {
    let is_uid =
        |text: &str| text.len() == UID && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    match id.split_at_checked(4 + UID) {
        Some((whole, _)) if whole.get(4..).is_some_and(is_uid) => whole,
        _ => id,
    }
}

/// What stands behind a claim's uid.
fn without_uid(device: &str) -> &str {
    device.split_at_checked(UID).and_then(|(_, rest)| rest.strip_prefix('-')).unwrap_or(device)
}

#[cfg(test)]
mod tests {
    use super::super::answer::Cdi;
    use super::*;
    use proptest::prelude::*;

    const GPU: &str = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6";
    const MIG: &str = "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f";
    const CLAIM: &str = "7a1f0c6e-6b5a-4a54-9f3c-0d9a3e2b1c4d";

    fn uuid(id: &str) -> Option<Name> {
        Some(Name::Uuid(id.into()))
    }

    fn claimed(driver: &str, device: &str, cdi: &str) -> Vec<Name> {
        let cdi = if cdi.is_empty() { vec![] } else { vec![Cdi { name: cdi.into() }] };
        of_claim(&Claimed { cdi, driver: driver.into(), device: device.into() })
    }

    #[test]
    fn plugins_call_devices_by_ids_with_replicas() {
        let gpu = |id: &str| of_plugin("nvidia.com/gpu", id);
        assert_eq!(gpu(GPU), uuid(GPU));
        for replica in ["::0", "::12", "-3"] {
            assert_eq!(gpu(&format!("{GPU}{replica}")), uuid(GPU), "{replica}");
        }
        assert_eq!(of_plugin("nvidia.com/gpu.shared", &format!("{GPU}::7")), uuid(GPU));
        assert_eq!(of_plugin("nvidia.com/mig-1g.5gb", MIG), uuid(MIG));
        assert_eq!(of_plugin("nvidia.com/mig-1g.5gb.shared", &format!("{MIG}::1")), uuid(MIG));
        let old = format!("MIG-{GPU}/7/0");
        assert_eq!(of_plugin("nvidia.com/gpu", &old), uuid(&old));
        assert_eq!(of_plugin("example.com/a100", GPU), uuid(GPU), "under another name");
        assert_eq!((gpu("3"), gpu("0:1")), (Some(Name::Index(3)), Some(Name::Instance(0, 1))));
        assert_eq!((gpu("nvidia2"), gpu("nvidia2/vgpu1")), (Some(Name::Minor(2)), Some(Name::Minor(2))));
        assert_eq!((gpu("nvidia2/gi1"), gpu(""), gpu("x")), (None, None, None));
    }

    #[test]
    fn plugins_of_others_call_them_by_address_and_card() {
        let pci = Some(Name::Pci("0000:c1:00.0".into()));
        assert_eq!(of_plugin("amd.com/gpu", "0000:C1:00.0"), pci);
        let wide = Some(Name::Pci("10000:c1:00.0".into()));
        assert_eq!(of_plugin("amd.com/gpu", "10000:C1:00.0"), wide);
        assert_eq!(of_plugin("amd.com/gpu", "amdgpu_xcp_1"), None);
        assert_eq!(of_plugin("gpu.intel.com/xe", "card1-0"), Some(Name::Card("card1".into())));
        assert_eq!(of_plugin("gpu.intel.com/i915", "card12"), Some(Name::Card("card12".into())));
        assert_eq!(of_plugin("gpu.intel.com/i915_monitoring", "card1-0"), None);
    }

    #[test]
    fn a_replica_of_a_sharing_scheduler_stands_for_any_gpu() {
        for stand_in in [format!("{GPU}-3"), format!("{GPU}-_-17")] {
            assert!(is_stand_in(&stand_in), "{stand_in}");
        }
        for own in [GPU.to_owned(), format!("{GPU}::3"), MIG.to_owned(), format!("MIG-{GPU}/7/0"), "0".into()]
        {
            assert!(!is_stand_in(&own), "{own}");
        }
    }

    #[test]
    fn what_is_no_gpu_is_none() {
        for (resource, id) in [
            ("intel.com/sriov", "0000:03:00.0"),
            ("nvidia.com/hostdev", "1"),
            ("nvidia.com/hostdev", "0000:03:00.0"),
            ("hugepages", GPU),
            ("smarter-devices/fuse", "0"),
        ] {
            assert_eq!(of_plugin(resource, id), None, "{resource} {id}");
        }
    }

    #[test]
    fn claims_are_called_by_their_driver_or_else_by_cdi() {
        let nvidia = |device: &str| claimed("gpu.nvidia.com", device, "");
        assert_eq!(nvidia("gpu-3"), [Name::Minor(3)]);
        assert_eq!(nvidia("gpu-1-mig-1g5gb-19-4"), [Name::Profile(1, "1g5gb".into())]);
        assert_eq!(nvidia("gpu-1-mig-9-4-4"), [Name::Profile(1, "3g".into())]);
        assert_eq!(nvidia("gpu-0-mig-1g10gb-me-20-0"), [Name::Profile(0, "1g10gb-me".into())]);
        assert_eq!(nvidia("gpu-0-mig-1g10gb-me"), [Name::Profile(0, "1g10gb-me".into())]);
        assert_eq!(nvidia("gpu-0-mig-1g24gb-meall-65-2"), [Name::Profile(0, "1g24gb-meall".into())]);
        assert_eq!(nvidia("gpu-0-mig-20-0-1"), [Name::Profile(0, "1g-me".into())]);
        assert_eq!((nvidia("gpu-0-mig-"), nvidia("gpu-0-mig--me")), (vec![], vec![]));
        assert_eq!(nvidia("gpu-1-mig-77-4-4"), []);
        assert_eq!(nvidia("imex-channel-0"), []);
        assert_eq!(claimed("gpu.amd.com", "gpu-1-129", ""), [Name::Card("card1".into())]);
        assert_eq!(claimed("gpu.intel.com", "0000-03-00-0-0x56a0", ""), [Name::Pci("0000:03:00.0".into())]);
        let cdi = |name: &str| claimed("", "", name);
        assert_eq!(cdi(&format!("k8s.gpu.nvidia.com/device={CLAIM}-gpu-2")), [Name::Minor(2)]);
        assert_eq!(
            cdi(&format!("k8s.gpu.nvidia.com/claim={CLAIM}-gpu-0-mig-2g10gb-14-0")),
            [Name::Profile(0, "2g10gb".into())]
        );
        assert_eq!(cdi(&format!("nvidia.com/gpu={MIG}")), [Name::Uuid(MIG.into())]);
        assert_eq!(
            (cdi("nvidia.com/gpu=1"), cdi("nvidia.com/gpu=1:0")),
            (vec![Name::Index(1)], vec![Name::Instance(1, 0)])
        );
        assert_eq!(cdi("nvidia.com/gpu=all"), [Name::All]);
        for other in ["vendor.com/nic=0", "nvidia.com/gpu", "nvidia.com/gpu=", ""] {
            assert_eq!(cdi(other), [], "{other}");
        }
        // What the driver says is not said twice.
        assert_eq!(
            claimed("gpu.nvidia.com", "gpu-3", &format!("k8s.gpu.nvidia.com/device={CLAIM}-gpu-3")),
            [Name::Minor(3)]
        );
    }

    proptest! {
        #[test]
        fn any_name_is_read(
            resource in "(nvidia|amd|gpu.intel).com/?[a-z_.]{0,8}",
            driver in "gpu.(nvidia|amd|intel).com",
            id in "(GPU-|MIG-|card|nvidia|gpu-)?[0-9a-gé:./=-]{0,50}",
        ) {
            of_plugin(&resource, &id);
            claimed(&driver, &id, &format!("nvidia.com/gpu={id}"));
            claimed("", "", &format!("k8s.gpu.nvidia.com/device={id}"));
        }
    }
}
