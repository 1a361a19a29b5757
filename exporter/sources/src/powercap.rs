//! The power zones that the kernel's powercap framework lists: where they are, and what their names mean.
//!
//! <https://docs.kernel.org/power/powercap/powercap.html>; the names are given in
//! <https://github.com/torvalds/linux/blob/master/drivers/powercap/intel_rapl_common.c>.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use noether_core::reading::{Component, Place, Role};

use crate::file::{names, number};
use crate::{Error, hanging};

/// The numbers of a zone: `[1, 0]` of `intel-rapl:1:0`. In their order a zone comes before its sub-zones.
pub type ZoneId = Vec<u32>;

/// Deeper than any driver nests; a tree that links to itself ends here.
const DEEPEST: usize = 4;

/// The zones of a control type (`intel-rapl`) and their folders, whatever order the system lists them in.
///
/// `None` where the control type does not exist. Zones are listed side by side in `class`, and each within the folder
/// of the one above it; the first is taken, so that each appears once.
pub fn zones(class: &Path, control: &str) -> Result<Option<BTreeMap<ZoneId, PathBuf>>, Error> {
    let mut zones = BTreeMap::new();
    let names = match names(class) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names.map_err(|error| Error::io(class, error))?,
    };
    let names = names.into_iter().collect::<BTreeSet<_>>();
    for name in &names {
        if let Some(id) = zone_id(name.as_encoded_bytes(), control) {
            zones.insert(id, class.join(name));
        }
    }
    let top = class.join(control);
    descend(&top, control, 0, &mut zones);
    for folder in zones.values().cloned().collect::<Vec<_>>() {
        descend(&folder, control, 1, &mut zones);
    }
    if zones.is_empty() && is_dangling(&top) {
        // The control type shows but all below it is hidden: there is one zone at least, or the driver would be gone.
        zones.insert(vec![0], top);
    }
    Ok((!zones.is_empty()).then_some(zones))
}

fn descend(folder: &Path, control: &str, depth: usize, zones: &mut BTreeMap<ZoneId, PathBuf>) {
    if depth == DEEPEST {
        return;
    }
    // What cannot be listed has been named by `class` already.
    for name in names(folder).into_iter().flatten() {
        let Some(id) = zone_id(name.as_encoded_bytes(), control) else { continue };
        let nested = folder.join(name);
        descend(&nested, control, depth + 1, zones);
        zones.entry(id).or_insert(nested);
    }
}

/// The numbers of `control:N:M`; `None` for another control type's zone and for what is no zone.
fn zone_id(name: &[u8], control: &str) -> Option<ZoneId> {
    let mut parts = name.split(|byte| *byte == b':');
    if parts.next()? != control.as_bytes() {
        return None;
    }
    let id = parts.map(|part| u32::try_from(number(part)?).ok()).collect::<Option<ZoneId>>()?;
    (1..=DEEPEST).contains(&id.len()).then_some(id)
}

/// Whether there is a link that leads nowhere: container runtimes hide what it leads to (they mount an empty folder
/// over `/sys/devices/virtual/powercap`, because of CVE-2020-8694) but not the link.
pub fn is_dangling(path: &Path) -> bool {
    path.is_symlink() && hanging::at(path, || path.try_exists()).is_ok_and(|exists| !exists)
}

/// What a zone's name says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The domain's name.
    pub name: String,
    /// What it is a part of.
    pub component: Component,
    /// Whether and how it feeds the node's total.
    pub role: Role,
    /// What it meters.
    pub place: Place,
    /// Whether the name is one of those that the kernel's driver gives.
    pub known: bool,
}

/// The meaning of the zone `id` called `name`, which lies inside `parent`.
///
/// A package whose number cannot be read from its name has its zone's.
pub fn meaning(id: &[u32], name: &str, parent: Option<&Meaning>) -> Meaning {
    let place = parent.map_or(Place::default(), |parent| parent.place);
    let inside = |stem: &str| match parent.and_then(|parent| parent.name.strip_prefix("package")) {
        Some(suffix) => format!("{stem}{suffix}"),
        None => stem.to_owned(),
    };
    let of = |name, component, role| Meaning { name, component, role, place, known: true };
    match name {
        "dram" => of(inside("dram"), Component::Dram, Role::Part),
        "core" | "uncore" => of(inside(name), Component::Cpu, Role::Nested),
        _ if name == "package" || name.starts_with("package-") => package(id, name),
        _ if name == "psys" || name.starts_with("psys-") => {
            of(sanitized(name, id), Component::Other, Role::Whole)
        }
        _ => {
            let component = if parent.is_some() { Component::Cpu } else { Component::Other };
            Meaning { known: false, ..of(inside(&sanitized(name, id)), component, Role::Nested) }
        }
    }
}

/// Whether the driver could have given the zone `id` this name.
pub fn is_plausible(id: &[u32], name: &str) -> bool {
    let is_package = name.starts_with("package");
    meaning(id, name, None).known && (id.len() == 1 || !is_package)
}

/// `package-N`, and on processors of several dies `package-N-die-M`.
fn package(id: &[u32], name: &str) -> Meaning {
    let index = id.first().and_then(|index| u16::try_from(*index).ok());
    let small = |digits: &str| number(digits.as_bytes()).and_then(|value| u16::try_from(value).ok());
    let rest = name.strip_prefix("package-").unwrap_or_default();
    let (package, die, whole) = match rest.split_once("-die-") {
        Some((package, die)) => (small(package), small(die), small(die).is_some()),
        None => (small(rest), None, true),
    };
    let place = Place { socket: package.or(index), die, device: None };
    let name = match (place.socket, die) {
        (Some(socket), Some(die)) => format!("package-{socket}-die-{die}"),
        (Some(socket), None) => format!("package-{socket}"),
        (None, _) => sanitized(name, id),
    };
    Meaning { name, component: Component::Cpu, role: Role::Part, place, known: package.is_some() && whole }
}

/// A name as a label can carry it: short, and of plain characters.
fn sanitized(name: &str, id: &[u32]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    match name.trim() {
        "" => numbered("zone", id),
        name => name.chars().take(64).map(plain).collect(),
    }
}

/// `stem-N-M`.
fn numbered(stem: &str, id: &[u32]) -> String {
    id.iter().fold(stem.to_owned(), |name, number| format!("{name}-{number}"))
}

/// Makes each name the only one, and the first psys the only whole. The zones come in the order of their numbers.
///
/// Of several psys zones at most one counts the machine: the register is valid on one package alone, the master, whose
/// zone the driver calls `psys` or `psys-N`; on the others it reads 0 and no zone is made. Should a platform have more
/// nonetheless, what each of them covers is unknown, and adding them up could count the machine twice.
pub fn distinguish(zones: &mut [(&ZoneId, Meaning)]) {
    let mut taken = BTreeSet::new();
    let mut whole = false;
    for (id, meaning) in zones {
        if meaning.role == Role::Whole && std::mem::replace(&mut whole, true) {
            meaning.role = Role::Nested;
        }
        if taken.contains(&meaning.name) {
            // By the zone's own number, so that the name does not depend on what else is there.
            meaning.name = numbered(&format!("{}-zone", meaning.name), id);
        }
        taken.insert(meaning.name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn place(socket: u16, die: Option<u16>) -> Place {
        Place { socket: Some(socket), die, device: None }
    }

    #[test]
    fn names_mean_domains() {
        let package = meaning(&[5], "package-1", None);
        let die = meaning(&[1], "package-0-die-1", None);
        let rows = [
            (&package, "package-1", Component::Cpu, Role::Part, place(1, None)),
            (&die, "package-0-die-1", Component::Cpu, Role::Part, place(0, Some(1))),
            (
                &meaning(&[5, 0], "dram", Some(&package)),
                "dram-1",
                Component::Dram,
                Role::Part,
                place(1, None),
            ),
            (
                &meaning(&[1, 0], "dram", Some(&die)),
                "dram-0-die-1",
                Component::Dram,
                Role::Part,
                place(0, Some(1)),
            ),
            (
                &meaning(&[5, 1], "core", Some(&package)),
                "core-1",
                Component::Cpu,
                Role::Nested,
                place(1, None),
            ),
            (
                &meaning(&[5, 2], "uncore", Some(&package)),
                "uncore-1",
                Component::Cpu,
                Role::Nested,
                place(1, None),
            ),
            (&meaning(&[2], "psys", None), "psys", Component::Other, Role::Whole, Place::default()),
            (&meaning(&[2], "psys-1", None), "psys-1", Component::Other, Role::Whole, Place::default()),
            (&meaning(&[3], "package-x", None), "package-3", Component::Cpu, Role::Part, place(3, None)),
            (&meaning(&[4], "package", None), "package-4", Component::Cpu, Role::Part, place(4, None)),
            (
                &meaning(&[2, 1], "l3 é", Some(&package)),
                "l3__-1",
                Component::Cpu,
                Role::Nested,
                place(1, None),
            ),
            (&meaning(&[2, 1], "", None), "zone-2-1", Component::Other, Role::Nested, Place::default()),
        ];
        for (found, name, component, role, place) in rows {
            assert_eq!(
                (&*found.name, found.component, found.role, found.place),
                (name, component, role, place)
            );
        }
    }

    #[test]
    fn equal_names_are_told_apart_and_one_psys_is_the_whole() {
        let ids: Vec<ZoneId> = vec![vec![0], vec![1], vec![2], vec![3]];
        let names = ["package-0", "package-0", "psys", "psys"];
        let mut zones: Vec<_> =
            ids.iter().zip(names).map(|(id, name)| (id, meaning(id, name, None))).collect();
        distinguish(&mut zones);
        let found: Vec<_> = zones.iter().map(|(_, meaning)| (&*meaning.name, meaning.role)).collect();
        let expected = [
            ("package-0", Role::Part),
            ("package-0-zone-1", Role::Part),
            ("psys", Role::Whole),
            ("psys-zone-3", Role::Nested),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn flat_and_nested_zones_appear_once() {
        let folder = tempfile::tempdir().unwrap();
        let (class, devices) = (folder.path().join("class"), folder.path().join("devices"));
        for zone in
            ["intel-rapl:0/intel-rapl:0:0", "intel-rapl:10", "intel-rapl:2", "intel-rapl-mmio:0", "power"]
        {
            fs::create_dir_all(devices.join("intel-rapl").join(zone)).unwrap();
        }
        fs::create_dir(&class).unwrap();
        symlink(devices.join("intel-rapl"), class.join("intel-rapl")).unwrap();
        let ids = || zones(&class, "intel-rapl").unwrap().unwrap().into_keys().collect::<Vec<_>>();
        let expected = [vec![0], vec![0, 0], vec![2], vec![10]];
        assert_eq!(ids(), expected);
        symlink(devices.join("intel-rapl/intel-rapl:0"), class.join("intel-rapl:0")).unwrap();
        symlink(devices.join("intel-rapl/intel-rapl:0/intel-rapl:0:0"), class.join("intel-rapl:0:0"))
            .unwrap();
        assert_eq!(ids(), expected);
    }

    #[test]
    fn a_control_type_without_zones_is_no_meter_and_a_hidden_one_is() {
        let class = tempfile::tempdir().unwrap();
        assert_eq!(zones(&class.path().join("absent"), "intel-rapl").unwrap(), None);
        assert_eq!(zones(class.path(), "intel-rapl").unwrap(), None);
        fs::create_dir(class.path().join("intel-rapl-mmio")).unwrap();
        assert_eq!(zones(class.path(), "intel-rapl-mmio").unwrap(), None);
        symlink("nowhere", class.path().join("intel-rapl")).unwrap();
        assert!(zones(class.path(), "intel-rapl").unwrap().is_some());
    }

    #[test]
    fn a_tree_that_links_to_itself_ends() {
        let class = tempfile::tempdir().unwrap();
        let zone = class.path().join("intel-rapl:0");
        fs::create_dir(&zone).unwrap();
        symlink(&zone, zone.join("intel-rapl:0:0")).unwrap();
        assert_eq!(zones(class.path(), "intel-rapl").unwrap().unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn no_name_panics(name in "(package|psys|dram)?(-[0-9]{0,7})?(-die-)?.{0,80}", id in prop::collection::vec(any::<u32>(), 0..4)) {
            let outer = meaning(&id, &name, None);
            let inner = meaning(&id, &name, Some(&outer));
            prop_assert!(!inner.name.is_empty() && inner.name.is_ascii());
        }

        #[test]
        fn no_zone_number_panics(name: Vec<u8>) {
            let _ = zone_id(&[b"intel-rapl:", &name[..]].concat(), "intel-rapl");
        }
    }
}
