//! A list of devices as somebody wrote it, who may be anybody: each device once, and no more than a machine can have.

use std::collections::BTreeSet;

use noether_core::gpu::Name;

/// No machine has more devices, MIG instances included: NVIDIA's driver numbers at most 255 device files, and the largest
/// machines have 16 GPUs of 7 instances each.
pub(super) const MOST: usize = 256;

/// So many bytes of a list are read: as many ids as there may be devices fit in.
const LONGEST: usize = 16 << 10;

/// The longest name of a device, `MIG-GPU-` with a uuid and two numbers, has 52 bytes.
pub(crate) const LONGEST_NAME: usize = 64;

/// Devices, and whether any were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DeviceNames {
    names: BTreeSet<Name>,
    /// Whether the list had more than is read of it.
    pub(super) cut: bool,
}

impl DeviceNames {
    /// The items of a list with commas, each of which stands for the names that `names_of` gives.
    pub(super) fn of_list<I: IntoIterator<Item = Name>>(list: &[u8], names_of: impl Fn(&str) -> I) -> Self {
        let (list, cut) = match list.split_at_checked(LONGEST) {
            // What was cut off may have been in the middle of an item.
            Some((start, _)) => (start.rsplitn(2, |byte| *byte == b',').nth(1).unwrap_or_default(), true),
            None => (list, false),
        };
        let list = String::from_utf8_lossy(list);
        let items = list.split(',').map(str::trim).filter(|item| item.len() <= LONGEST_NAME);
        let mut devices: Self = items.flat_map(names_of).collect();
        devices.cut |= cut;
        devices
    }

    /// Only those that are fit.
    pub(super) fn retain(&mut self, fit: impl Fn(&Name) -> bool) {
        self.names.retain(fit);
    }

    /// Whether this one is among them.
    pub(super) fn contains(&self, name: &Name) -> bool {
        self.names.contains(name)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl FromIterator<Name> for DeviceNames {
    /// Takes names until there are too many: a range may stand for millions.
    fn from_iter<I: IntoIterator<Item = Name>>(all: I) -> Self {
        let mut devices = Self::default();
        for name in all {
            if devices.names.len() < MOST {
                devices.names.insert(name);
            } else if !devices.names.contains(&name) {
                devices.cut = true;
                break;
            }
        }
        devices
    }
}

impl IntoIterator for DeviceNames {
    type Item = Name;
    type IntoIter = std::collections::btree_set::IntoIter<Name>;

    fn into_iter(self) -> Self::IntoIter {
        self.names.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(item: &str) -> Option<Name> {
        item.parse().ok().map(Name::Index)
    }

    #[test]
    fn each_device_counts_once_and_no_more_than_a_machine_can_have() {
        let few = DeviceNames::of_list(b"3, 1,3,x,", index);
        assert!(!few.cut);
        assert_eq!(few.into_iter().collect::<Vec<_>>(), [Name::Index(1), Name::Index(3)]);
        let many: DeviceNames = (0..u32::MAX).map(Name::Index).collect();
        assert!(many.cut);
        assert_eq!(many.into_iter().count(), MOST);
    }

    #[test]
    fn a_long_list_is_read_from_its_beginning_and_never_to_half_an_item() {
        let list: Vec<u8> = b"12345,".iter().copied().cycle().take(130_000).collect();
        let devices = DeviceNames::of_list(&list, index);
        assert!(devices.cut);
        assert_eq!(devices.into_iter().collect::<Vec<_>>(), [Name::Index(12345)]);
        let one = DeviceNames::of_list(&[b'1'; 130_000], index);
        assert!(one.cut && one.is_empty());
    }
}
