//! Which socket each processor sits on, and the kernel's lists of processors.
//!
//! <https://docs.kernel.org/admin-guide/cputopology.html>

use std::io;
use std::path::Path;

use noether_core::sample::Sockets;

use crate::file::{if_there, names, number};
use crate::{Error, Machine};

/// Processors, and their physical package ids where they are told.
pub type Packages = Vec<(u32, Option<u16>)>;

/// The sockets of a machine. They are numbered 0, 1, 2, … in the order of their physical package ids, which may have
/// gaps; one that appears later gets the next number. A meter's domain tells the package id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The sockets' physical package ids, by socket; empty where the machine does not tell, and is one socket.
    packages: Vec<u16>,
    /// Processors whose socket is known, by processor.
    socket_of: Vec<(u32, usize)>,
}

/// Reads `<sysfs>/devices/system/cpu/cpuN/topology/physical_package_id`. What is not there is not known: virtual machines
/// and some ARM systems (which say -1) have nothing, and processors that are offline have no folder `topology`.
pub fn packages(machine: &Machine, troubles: &mut Vec<Error>) -> Packages {
    let folder = machine.sysfs.join("devices/system/cpu");
    let names = match names(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            troubles.push(Error::io(&folder, error));
            Vec::new()
        }
        names => names.unwrap_or_default(),
    };
    let cpus = names.iter().filter_map(|name| cpu_number(name.as_encoded_bytes()));
    cpus.map(|cpu| (cpu, package_of(&folder, cpu, troubles))).collect()
}

impl Topology {
    /// From processors and their physical package ids.
    pub fn of(cpus: &[(u32, Option<u16>)]) -> Self {
        let mut topology = Self::default();
        topology.learn(cpus);
        topology
    }

    /// Learns where processors sit, and tells whether that is news. What was known of others stays: a processor that went
    /// offline is where it was, and a number, once given to a socket, is that socket's.
    pub fn learn(&mut self, cpus: &[(u32, Option<u16>)]) -> bool {
        let before = self.clone();
        let mut packages: Vec<u16> = cpus.iter().filter_map(|(_, package)| *package).collect();
        packages.sort_unstable();
        packages.dedup();
        packages.retain(|package| !self.packages.contains(package));
        self.packages.extend(packages);
        for (cpu, package) in cpus {
            let Some(socket) = package.and_then(|package| self.index_of(package)) else { continue };
            match self.socket_of.binary_search_by_key(cpu, |(known, _)| *known) {
                Ok(place) => self.socket_of.get_mut(place).map_or((), |known| known.1 = socket),
                Err(place) => self.socket_of.insert(place, (*cpu, socket)),
            }
        }
        *self != before
    }

    /// How many sockets there are, at least one.
    pub fn sockets(&self) -> usize {
        self.packages.len().max(1)
    }

    /// The socket that a processor sits on; the first for one that is not known.
    pub fn socket_of(&self, cpu: u32) -> usize {
        let known = self.socket_of.binary_search_by_key(&cpu, |(cpu, _)| *cpu).ok();
        known.and_then(|place| self.socket_of.get(place)).map_or(0, |(_, socket)| *socket)
    }

    /// The sockets' physical package ids; empty where the machine does not tell.
    pub fn packages(&self) -> &[u16] {
        &self.packages
    }

    /// The socket with this physical package id.
    pub fn index_of(&self, package: u16) -> Option<usize> {
        match self.packages.as_slice() {
            [] => (package == 0).then_some(0),
            packages => packages.iter().position(|known| *known == package),
        }
    }

    /// The sockets that the processors of `cpus` sit on, as far as they are known. An empty list is a cpuset that restricts
    /// nothing.
    pub fn sockets_of(&self, cpus: &CpuList) -> Sockets {
        if self.sockets() == 1 || cpus.is_empty() {
            return Sockets::ALL;
        }
        let allowed = self.socket_of.iter().filter(|(cpu, _)| cpus.contains(*cpu));
        match allowed.fold(0, |set, (_, socket)| set | 1_u64.checked_shl(*socket as u32).unwrap_or(0)) {
            0 => Sockets::ALL,
            set => Sockets(set),
        }
    }
}

/// N of `cpuN`; there are other folders beside them (`cpuidle`, `cpufreq`).
fn cpu_number(name: &[u8]) -> Option<u32> {
    number(name.strip_prefix(b"cpu")?).and_then(|cpu| u32::try_from(cpu).ok())
}

fn package_of(folder: &Path, cpu: u32, troubles: &mut Vec<Error>) -> Option<u16> {
    let content = if_there(&folder.join(format!("cpu{cpu}/topology/physical_package_id")));
    let content = content.map_err(|error| troubles.push(error)).ok()??;
    number(&content).and_then(|package| u16::try_from(package).ok())
}

/// A list of processors as the kernel writes it: `0-3,8,10-11`.
///
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html#cpuset-interface-files>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuList {
    /// First and last of each range, as they came: a range may span 2^32 processors without becoming that many.
    ranges: Vec<(u32, u32)>,
}

impl CpuList {
    /// Parses the content of a file such as `cpuset.cpus.effective`; empty content is the empty list.
    pub fn parse(content: &[u8]) -> Option<Self> {
        let content = content.trim_ascii();
        if content.is_empty() {
            return Some(Self::default());
        }
        let ranges = content.split(|byte| *byte == b',').map(range).collect::<Option<_>>()?;
        Some(Self { ranges })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether the processor is in it.
    pub fn contains(&self, cpu: u32) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&cpu))
    }
}

fn range(part: &[u8]) -> Option<(u32, u32)> {
    let mut ends = part.splitn(2, |byte| *byte == b'-').map(|end| u32::try_from(number(end)?).ok());
    let first = ends.next()??;
    let last = ends.next().unwrap_or(Some(first))?;
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn list(content: &str) -> CpuList {
        CpuList::parse(content.as_bytes()).unwrap()
    }

    fn sparse() -> Topology {
        Topology::of(&[(3, Some(3)), (0, Some(0)), (2, Some(3)), (1, Some(0))])
    }

    #[test]
    fn sparse_package_ids_become_dense() {
        let topology = sparse();
        assert_eq!((topology.sockets(), topology.index_of(3), topology.index_of(1)), (2, Some(1), None));
        assert_eq!([0, 1, 2, 3, 99].map(|cpu| topology.socket_of(cpu)), [0, 0, 1, 1, 0]);
    }

    #[test]
    fn a_machine_that_tells_nothing_is_one_socket() {
        for topology in [Topology::default(), Topology::of(&[(0, None), (1, None)])] {
            assert_eq!((topology.sockets(), topology.index_of(0)), (1, Some(0)));
            assert_eq!(topology.sockets_of(&list("0")), Sockets::ALL);
        }
    }

    #[test]
    fn the_tree_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (cpu, package) in [(0, "0\n"), (1, "0\n"), (10, "3\n"), (11, "-1\n")] {
            let topology = folder.path().join(format!("devices/system/cpu/cpu{cpu}/topology"));
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("physical_package_id"), package).unwrap();
        }
        fs::create_dir_all(folder.path().join("devices/system/cpu/cpuidle")).unwrap();
        let root = folder.path().to_owned();
        let machine = Machine {
            procfs: root.clone(),
            sysfs: root.clone(),
            cgroupfs: root.clone(),
            rootfs: root,
            nvml_library: "libnvidia-ml.so.1".into(),
            clock_ticks: 100,
            page_size: 4096,
        };
        let mut troubles = Vec::new();
        let mut found = packages(&machine, &mut troubles);
        assert!(troubles.is_empty());
        found.sort_unstable();
        assert_eq!(found, [(0, Some(0)), (1, Some(0)), (10, Some(3)), (11, None)]);
        assert_eq!(Topology::of(&found).sockets(), 2);
    }

    #[test]
    fn cpusets_bind_to_sockets() {
        let topology = sparse();
        let sockets = ["0-1", "2", "1-2", "", "77"].map(|cpus| topology.sockets_of(&list(cpus)).0);
        assert_eq!(sockets, [0b01, 0b10, 0b11, u64::MAX, u64::MAX]);
    }

    #[test]
    fn a_processor_whose_socket_is_not_known_binds_to_none() {
        // Processors 2 and 3 are offline.
        let mut topology = Topology::of(&[(0, Some(0)), (1, Some(1)), (2, None), (3, None)]);
        assert_eq!(["1-3", "2-3"].map(|cpus| topology.sockets_of(&list(cpus)).0), [0b10, u64::MAX]);
        assert!(topology.learn(&[(0, Some(0)), (1, Some(1)), (2, Some(0)), (3, Some(1))]));
        assert_eq!(["1-3", "2-3", "3"].map(|cpus| topology.sockets_of(&list(cpus)).0), [0b11, 0b11, 0b10]);
        assert!(!topology.learn(&[(0, Some(0))]), "who is offline is where it was");
    }

    #[test]
    fn lists_of_processors() {
        let cpus = list("0-3,8,10-11\n");
        let found: Vec<u32> = (0..20).filter(|cpu| cpus.contains(*cpu)).collect();
        assert_eq!(found, [0, 1, 2, 3, 8, 10, 11]);
        assert!(list("\n").is_empty() && list("0-4294967295").contains(7));
        for bad in ["-1", "3-1", "1,,2", "1-", "a", "0-3,", "4294967296", "1-2-3"] {
            assert_eq!(CpuList::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_content_panics(content in "([0-9]{0,11}[-,]?){0,6}\n?", cpus: Vec<(u32, Option<u16>)>) {
            if let Some(list) = CpuList::parse(content.as_bytes()) {
                let _ = Topology::of(&cpus).sockets_of(&list);
            }
        }
    }
}
