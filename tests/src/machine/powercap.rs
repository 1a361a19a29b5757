//! `/sys/class/powercap` of a simulated machine, and what can be wrong with it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::hardware::{Hardware, Layout, Zone};
use super::model::Model;
use super::tree::Tree;
use super::whole;

/// What is wrong with a zone's `energy_uj`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is well again.
    Healed,
    /// It holds this text instead of a number.
    Text(String),
    /// It is a folder: even root cannot read it.
    Folder,
    /// Its mode is 0400: nobody but root can read it.
    Private,
    /// It stands still.
    Stuck,
    /// It has jumped by so many microjoules, and counts on from there.
    Jump(i64),
    /// The whole zone is gone.
    Vanished,
}

const CLASS: &str = "sys/class/powercap";

/// Makes every zone.
pub fn build(tree: &mut Tree, hardware: &Hardware) {
    for zone in &hardware.zones {
        make(tree, hardware, zone);
    }
}

fn make(tree: &mut Tree, hardware: &Hardware, zone: &Zone) {
    let folder = place(hardware.layout, &zone.folder);
    let mut put =
        |name: &str, content: String| tree.put(&format!("{folder}/{name}"), &format!("{content}\n"));
    put("name", zone.name.clone());
    put("enabled", "1".to_owned());
    put("max_energy_range_uj", zone.range_uj.to_string());
    if let Some(limit) = zone.max_power_uw {
        put("constraint_0_name", "long_term".to_owned());
        put("constraint_0_power_limit_uw", limit.to_string());
        put("constraint_0_max_power_uw", limit.to_string());
        put("constraint_0_time_window_us", "999424".to_owned());
    }
    put("energy_uj", (zone.start_uj % zone.range_uj).to_string());
    let class = format!("{CLASS}/{}", zone.folder);
    let (kind, _) = zone.folder.split_once(':').expect("a zone's name has a colon");
    if hardware.layout == Layout::Linked {
        tree.link(&class, &format!("../../../{folder}"));
        let control = format!("{CLASS}/{kind}");
        if !tree.root().join(&control).exists() {
            tree.put(&format!("sys/devices/virtual/powercap/{kind}/enabled"), "1\n");
            tree.link(&control, &format!("../../devices/virtual/powercap/{kind}"));
        }
    } else {
        tree.put(&format!("{CLASS}/{kind}/enabled"), "1\n");
    }
}

/// Where a zone's files are, below the machine's root.
fn place(layout: Layout, zone: &str) -> String {
    if layout == Layout::Flat {
        return format!("{CLASS}/{zone}");
    }
    let colons = zone.char_indices().filter(|(_, c)| *c == ':').map(|(at, _)| &zone[..at]);
    // `intel-rapl:0:1` lies in `intel-rapl/intel-rapl:0/intel-rapl:0:1`.
    let above: Vec<&str> = colons.chain([zone]).collect();
    format!("sys/devices/virtual/powercap/{}", above.join("/"))
}

/// Makes a zone misbehave, or heals it.
pub fn inflict(tree: &mut Tree, model: &Model, zone: &str, fault: &Fault) {
    let hardware = model.hardware();
    let folder = place(hardware.layout, zone);
    let file = format!("{folder}/energy_uj");
    match fault {
        Fault::Vanished => {
            for zone in hardware.zones.iter().filter(|other| within(&other.folder, zone)) {
                tree.remove(&format!("{CLASS}/{}", zone.folder));
                tree.remove(&place(hardware.layout, &zone.folder));
            }
        }
        Fault::Folder => {
            tree.remove(&file);
            tree.folder(&file);
        }
        Fault::Private => mode(tree, &file, 0o400),
        Fault::Healed => {
            for zone in hardware.zones.iter().filter(|other| within(&other.folder, zone)) {
                tree.remove(&format!("{CLASS}/{}", zone.folder));
                tree.remove(&place(hardware.layout, &zone.folder));
            }
            for zone in hardware.zones.iter().filter(|other| within(&other.folder, zone)) {
                make(tree, hardware, zone);
            }
        }
        Fault::Text(_) | Fault::Stuck | Fault::Jump(_) => {}
    }
}

/// Whether a zone is `above` itself or nested in it.
fn within(zone: &str, above: &str) -> bool {
    zone.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

fn mode(tree: &Tree, file: &str, mode: u32) {
    fs::set_permissions(tree.root().join(file), Permissions::from_mode(mode)).expect("chmod");
}

/// Writes every counter as it is now.
pub fn write(tree: &mut Tree, model: &Model, faults: &[(String, Fault)]) {
    for (index, zone) in model.hardware().zones.iter().enumerate() {
        let hits = |(other, fault): &&(String, Fault)| {
            *other == zone.folder || (*fault == Fault::Vanished && within(&zone.folder, other))
        };
        let fault = faults.iter().find(hits).map(|(_, fault)| fault);
        let file = format!("{}/energy_uj", place(model.hardware().layout, &zone.folder));
        let total = zone.start_uj + whole(model.energy(index) * 1e6);
        match fault {
            None | Some(Fault::Healed | Fault::Private) => {
                tree.put(&file, &format!("{}\n", total % zone.range_uj));
            }
            Some(Fault::Jump(by)) => {
                tree.put(&file, &format!("{}\n", total.saturating_add_signed(*by) % zone.range_uj));
            }
            Some(Fault::Text(text)) => tree.put(&file, text),
            Some(Fault::Stuck | Fault::Folder | Fault::Vanished) => {}
        }
    }
}
