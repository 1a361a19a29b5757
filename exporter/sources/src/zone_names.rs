//! What zones of powercap are called, from one look to the next.
//!
//! The kernel gives a zone its name when it makes it, and never another one
//! (<https://github.com/torvalds/linux/blob/master/drivers/powercap/powercap_sys.c>, `powercap_register_zone`). So a zone keeps
//! its name while its `name` is empty, torn or binary: under another name it would count a second time beside
//! itself. A driver that was loaded anew makes new folders, whose names are taken as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::powercap::{self, ZoneId};

/// A name that the driver could have given, but that is not the zone's, is taken when it is found at so many looks.
const LOOKS: u32 = 3;

/// The names of all zones of a control type.
#[derive(Debug, Default)]
pub struct ZoneNames {
    zones: BTreeMap<PathBuf, ZoneName>,
}

#[derive(Debug)]
struct ZoneName {
    /// Device and inode of its folder: another folder is another zone.
    identity: Option<(u64, u64)>,
    name: String,
    /// Whether the driver could have given the name.
    plausible: bool,
    /// Another name, and how often it was found in a row.
    other: Option<(String, u32)>,
}

impl ZoneNames {
    /// Takes over what `read` found in the folder of each zone. Returns the folders whose zones have another name than before
    /// though they are the same zones.
    pub fn observe(&mut self, zones: &[(&ZoneId, &PathBuf, String)]) -> Vec<PathBuf> {
        self.zones.retain(|folder, _| zones.iter().any(|(_, known, _)| *known == folder));
        for (id, folder, read) in zones {
            let identity = identity(folder);
            let plausible = powercap::is_plausible(id, read);
            match self.zones.get_mut(*folder) {
                Some(zone) if zone.identity == identity => zone.observe(read, plausible),
                _ => {
                    let zone = ZoneName { identity, name: read.clone(), plausible, other: None };
                    self.zones.insert((*folder).clone(), zone);
                }
            }
        }
        self.rename(zones)
    }

    /// The name of the zone in `folder`.
    pub fn of(&self, folder: &Path) -> &str {
        self.zones.get(folder).map_or("", |zone| &zone.name)
    }

    /// Takes the names that persist, unless another zone goes on under one of them.
    fn rename(&mut self, zones: &[(&ZoneId, &PathBuf, String)]) -> Vec<PathBuf> {
        let due = |zone: &ZoneName| zone.other.as_ref().is_some_and(|(_, looks)| *looks >= LOOKS);
        let mut renamed: Vec<PathBuf> = Vec::new();
        let mut taken = BTreeSet::new();
        let mut unique = true;
        for (id, folder, _) in zones {
            let Some(zone) = self.zones.get(*folder) else { continue };
            let name = match &zone.other {
                Some((name, _)) if due(zone) => {
                    renamed.push((*folder).clone());
                    name
                }
                _ => &zone.name,
            };
            let above = id.split_last().map(|(_, above)| above.to_vec());
            unique &= !zone.plausible || taken.insert((above, name.clone()));
        }
        if !unique {
            return Vec::new();
        }
        for folder in &renamed {
            if let Some(zone) = self.zones.get_mut(folder)
                && let Some((name, _)) = zone.other.take()
            {
                zone.name = name;
            }
        }
        renamed
    }
}

impl ZoneName {
    fn observe(&mut self, read: &str, plausible: bool) {
        if read == self.name || !plausible {
            self.other = None;
        } else if !self.plausible {
            // The name could not be read at first.
            (self.name, self.plausible, self.other) = (read.to_owned(), true, None);
        } else {
            let looks = self.other.take().filter(|(other, _)| other == read).map_or(0, |(_, looks)| looks);
            self.other = Some((read.to_owned(), looks + 1));
        }
    }
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(folder).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zones {
        _folder: tempfile::TempDir,
        zones: Vec<(ZoneId, PathBuf)>,
        names: ZoneNames,
    }

    impl Zones {
        fn new(ids: &[&[u32]]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let zones = ids.iter().map(|id| {
                let path = folder.path().join(format!("{id:?}"));
                fs::create_dir(&path).unwrap();
                (id.to_vec(), path)
            });
            Self { zones: zones.collect(), _folder: folder, names: ZoneNames::default() }
        }

        fn look(&mut self, read: &[&str]) -> Vec<String> {
            let zones: Vec<_> = self
                .zones
                .iter()
                .zip(read)
                .map(|((id, path), name)| (id, path, (*name).to_owned()))
                .collect();
            self.names.observe(&zones);
            self.zones.iter().map(|(_, path)| self.names.of(path).to_owned()).collect()
        }
    }

    #[test]
    fn a_name_outlives_what_is_empty_torn_or_binary() {
        let mut zones = Zones::new(&[&[0], &[0, 0], &[10]]);
        let good = ["package-1", "dram", "package-10"];
        assert_eq!(zones.look(&good), good);
        for bad in [
            "",
            "\u{fffd}\u{fffd}",
            "packa",
            "package",
            "package-",
            "Package-1",
            "PACKAGE-1",
            "package-1\u{fffd}",
        ] {
            for _ in 0..7 {
                assert_eq!(zones.look(&[bad, "dram", "package-10"]), good);
                assert_eq!(zones.look(&["package-1", bad, "package-10"]), good);
                assert_eq!(zones.look(&["package-1", "dra", bad]), good);
            }
        }
        for _ in 0..7 {
            assert_eq!(
                zones.look(&["package-1", "dram", "package-1"]),
                good,
                "torn into its neighbour's name"
            );
        }
    }

    #[test]
    fn a_name_that_could_not_be_read_at_first_is_taken_at_once() {
        let mut zones = Zones::new(&[&[0], &[0, 0]]);
        assert_eq!(zones.look(&["package-0", ""]), ["package-0", ""]);
        assert_eq!(zones.look(&["package-0", "\u{fffd}"]), ["package-0", ""], "no second unknown name");
        assert_eq!(zones.look(&["package-0", "dram"]), ["package-0", "dram"]);
        assert_eq!(zones.look(&["package-0", ""]), ["package-0", "dram"]);
    }

    #[test]
    fn another_name_is_taken_when_it_persists_and_at_once_in_a_new_folder() {
        let mut zones = Zones::new(&[&[0], &[1]]);
        zones.look(&["package-0", "package-1"]);
        let swapped = ["package-1", "package-0"];
        assert_eq!(zones.look(&swapped), ["package-0", "package-1"]);
        zones.look(&["", ""]);
        for _ in 0..2 {
            assert_eq!(zones.look(&swapped), ["package-0", "package-1"]);
        }
        assert_eq!(zones.look(&swapped), swapped);
        for (_, path) in &zones.zones {
            fs::rename(path, path.with_extension("old")).unwrap();
            fs::create_dir(path).unwrap();
        }
        assert_eq!(zones.look(&["package-0", "package-1"]), ["package-0", "package-1"]);
    }
}
