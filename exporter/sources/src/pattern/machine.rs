//! Virtual machines, and containers that systemd-machined knows as machines.

use std::sync::Arc;

use noether_core::workload::Workload;

use super::{Place, is_number};

/// So many characters of a machine's name are kept: of `DRIVER-N-NAME`.
///
/// <https://gitlab.com/libvirt/libvirt/-/blob/master/src/hypervisor/domain_driver.c>
/// (`virDomainDriverGenerateMachineName`)
const LONGEST_MACHINE: usize = 64;

/// `machine-DRIVER\x2dN\x2dNAME.scope`. libvirt drops what a host name may not hold and cuts at 64 characters, so the
/// name is the domain's as far as the path still tells; of one that may have been cut, the number of the running domain
/// keeps it apart from another with the same beginning.
///
/// <https://libvirt.org/cgroups.html>
pub(super) fn libvirt_scope(place: &Place<'_>, name: &str) -> Option<Workload> {
    let machine = unescape(name.strip_prefix("machine-")?.strip_suffix(".scope")?);
    let (driver, domain) = machine.split_once('-')?;
    domain_of(place, driver, domain)
}

/// `DRIVER-N-NAME.libvirt-DRIVER`, in older versions `NAME.libvirt-DRIVER`.
pub(super) fn libvirt_folder(place: &Place<'_>, name: &str) -> Option<Workload> {
    let (machine, driver) = name.rsplit_once(".libvirt-")?;
    let domain = machine.strip_prefix(driver).and_then(|rest| rest.strip_prefix('-')).unwrap_or(machine);
    domain_of(place, driver, domain)
}

/// `qemu.slice/VMID.scope`.
///
/// <https://pve.proxmox.com/wiki/Manual:_qm.conf>
pub(super) fn proxmox(place: &Place<'_>, name: &str) -> Option<Workload> {
    let id = name.strip_suffix(".scope").filter(|id| is_number(id))?;
    (place.parent == "qemu.slice").then(|| Workload::Vm { name: Arc::from(id) })
}

/// `firecracker/ID`: the parent is named after the program that the jailer starts, which releases name with their version.
///
/// <https://github.com/firecracker-microvm/firecracker/blob/main/docs/jailer.md>
pub(super) fn firecracker(place: &Place<'_>, name: &str) -> Option<Workload> {
    let started = place.parent == "firecracker" || place.parent.starts_with("firecracker-v");
    let valid = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (started && valid && !place.inside).then(|| Workload::Vm { name: Arc::from(name) })
}

/// `systemd-nspawn@NAME.service`, NixOS's `container@NAME.service`, or `machine-NAME.scope` for one that was started
/// by hand.
///
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd-nspawn.html>
pub(super) fn nspawn(place: &Place<'_>, name: &str) -> Option<Workload> {
    let service = |prefix| name.strip_prefix(prefix)?.strip_suffix(".service");
    let scope = || name.strip_prefix("machine-")?.strip_suffix(".scope");
    let instance = service("systemd-nspawn@")
        .or_else(|| place.machines.then(|| service("container@").or_else(scope)).flatten())
        .filter(|instance| !instance.is_empty())?;
    let id = Arc::from(unescape(instance));
    Some(Workload::Container { id, runtime: "systemd-nspawn", pod: place.pod.clone() })
}

/// A domain by its driver and what follows it: the running number, which old versions lack, and the name.
fn domain_of(place: &Place<'_>, driver: &str, domain: &str) -> Option<Workload> {
    let cut = driver.len() + 1 + domain.len() >= LONGEST_MACHINE;
    let name: Arc<str> = match domain.split_once('-') {
        // A name of nothing but dropped characters: the number is all there is.
        Some((number, "")) if is_number(number) => number.into(),
        Some((number, name)) if is_number(number) && cut => format!("{name}~{number}").into(),
        Some((number, name)) if is_number(number) => name.into(),
        _ => domain.into(),
    };
    match driver {
        _ if name.is_empty() => None,
        "qemu" | "ch" => Some(Workload::Vm { name }),
        "lxc" => Some(Workload::Container { id: name, runtime: "lxc", pod: place.pod.clone() }),
        _ => None,
    }
}

/// systemd's `\xHH` undone; bytes that are no UTF-8 then are replaced.
///
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html>
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after_one)) = rest.split_first() {
        let (byte, after) = escaped(rest).unwrap_or((first, after_one));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The byte that `text` begins with, if it does so with an escape, and what comes after.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = text.strip_prefix(br"\x")?.split_at_checked(2)?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
    let byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    Some((byte, after))
}
