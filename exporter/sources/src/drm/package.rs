//! Dies of one package, or GPUs of one board, whose power is measured at one of them.
//!
//! AMD's MI250 and MI250X are two devices; the driver reports the power of both at the first, and 0 at the second
//! (`aldebaran_is_primary` in
//! <https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/pm/swsmu/smu13/aldebaran_ppt.c>).

use std::fs;
use std::path::{Path, PathBuf};

use noether_core::pci::PciAddress;

use super::text;

/// What tells which devices belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Board {
    address: Option<PciAddress>,
    /// Vendor and device.
    ids: Option<(String, String)>,
    /// That of the board, where it has one.
    serial: Option<String>,
    /// The device's folder, with the bridges that it is behind.
    folder: Option<PathBuf>,
}

impl Board {
    pub(super) fn read(device: &Path, address: Option<PciAddress>) -> Self {
        let id = |file: &str| text(&device.join(file));
        Self {
            address,
            ids: id("vendor").zip(id("device")),
            serial: id("serial_number"),
            folder: fs::canonicalize(device).ok(),
        }
    }

    /// Whether both may be of one package: the same part, and no serial numbers that say otherwise.
    pub(super) fn may_join(&self, other: &Self) -> bool {
        let differ = self.serial.as_ref().zip(other.serial.as_ref()).is_some_and(|(one, two)| one != two);
        self.ids == other.ids && !differ
    }

    /// How many folders both lie in: bridges that they share.
    fn shared(&self, other: &Self) -> usize {
        let both = self.folder.as_ref().zip(other.folder.as_ref());
        both.map_or(0, |(one, two)| {
            one.components().zip(two.components()).take_while(|(one, two)| one == two).count()
        })
    }

    fn number(&self) -> u64 {
        self.address.map_or(0, |address| u64::from(address.domain()) << 16 | u64::from(address.location()))
    }
}

/// The device whose meter counts `board` too, out of those that measure. Each comes with the count of the devices that it
/// counts by now: where packages have two dies, each meter gets one of the others. Of several, the one with the same serial
/// number, behind the same bridge, that is free, before it on the bus, and near.
pub(super) fn meter_of<'a, T>(
    board: &Board,
    measuring: impl Iterator<Item = (T, &'a Board, usize)>,
) -> Option<T> {
    let rank = |other: &Board, joined: usize| {
        let serial = other.serial.is_some() && other.serial == board.serial;
        let distance = board.number().abs_diff(other.number());
        let free = std::cmp::Reverse(joined);
        (serial, board.shared(other), free, other.number() < board.number(), std::cmp::Reverse(distance))
    };
    let candidates = measuring.filter(|(_, other, _)| board.may_join(other));
    candidates.max_by_key(|(_, other, joined)| rank(other, *joined)).map(|(key, ..)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(address: &str, folder: &str, serial: &str) -> Board {
        Board {
            address: PciAddress::parse(address),
            ids: Some(("0x1002".into(), "0x7408".into())),
            serial: Some(serial).filter(|serial| !serial.is_empty()).map(str::to_owned),
            folder: Some(folder.into()),
        }
    }

    fn meter<'a>(of: &Board, measuring: &[(&'a str, &Board, usize)]) -> Option<&'a str> {
        meter_of(of, measuring.iter().copied())
    }

    #[test]
    fn a_die_belongs_to_the_one_before_it() {
        let at = |address: &str| board(address, "/sys/devices", "");
        let (first, third) = (at("0000:c1:00.0"), at("0000:c9:00.0"));
        let all = [("c1", &first, 0), ("c9", &third, 0)];
        assert_eq!(meter(&at("0000:c6:00.0"), &all), Some("c1"));
        assert_eq!(meter(&at("0000:ce:00.0"), &all), Some("c9"));
        assert_eq!(meter(&at("0000:ce:00.0"), &[]), None);
        // Each meter has one: where the one before is taken, the next.
        assert_eq!(meter(&at("0000:c6:00.0"), &[("c1", &first, 1), ("c9", &third, 0)]), Some("c9"));
    }

    #[test]
    fn bridges_and_serial_numbers_are_nearer_than_the_order() {
        let before = board("0000:01:00.0", "/sys/devices/pci0000:00/a/0000:01:00.0", "");
        let after = board("0000:0a:00.0", "/sys/devices/pci0000:00/b/0000:0a:00.0", "");
        let all = [("before", &before, 0), ("after", &after, 0)];
        let die = board("0000:08:00.0", "/sys/devices/pci0000:00/b/0000:08:00.0", "");
        assert_eq!(meter(&die, &all), Some("after"));
        let one = board("0000:01:00.0", "/sys/devices/pci0000:00/a/0000:01:00.0", "7");
        let two = board("0000:0a:00.0", "/sys/devices/pci0000:00/b/0000:0a:00.0", "8");
        let die = board("0000:08:00.0", "/sys/devices/pci0000:00/b/0000:08:00.0", "7");
        assert_eq!(meter(&die, &[("one", &one, 0), ("two", &two, 0)]), Some("one"));
        assert_eq!(meter(&die, &[("two", &two, 0)]), None, "another board");
    }

    #[test]
    fn other_parts_are_no_dies() {
        let mut other = board("0000:01:00.0", "/sys", "");
        other.ids = Some(("0x1002".into(), "0x73bf".into()));
        let nameless = Board::default();
        let die = board("0000:02:00.0", "/sys", "");
        assert_eq!(meter(&die, &[("other", &other, 0), ("nameless", &nameless, 0)]), None);
    }
}
