//! Huge pages in use, which the memory controller does not count.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v1/hugetlb.html>,
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html#hugetlb-interface-files>

use std::fs;
use std::path::Path;

use super::CgroupTree;
use super::folder::Folder;
use super::parse::{self, Version};
use super::tree::NodeId;

/// What is known of the machine's huge pages.
#[derive(Debug)]
pub(super) struct HugePages {
    pool: Pool,
    /// The files that the controller has in a folder, one for each size of page; empty while none was seen.
    files: Vec<String>,
    /// Whether the memory controller counts huge pages: the mount option `memory_hugetlb_accounting` (Linux 6.7).
    accounted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pool {
    /// The machine has none, or nobody wants to know.
    None,
    /// The machine does not say.
    Unknown,
    /// The machine has some.
    Some,
}

impl HugePages {
    pub(super) fn new(procfs: &Path) -> Self {
        // Of this process, and of the host's first one: a container may see another mount of the same hierarchy.
        let lists = ["self/mountinfo", "1/mountinfo", "mounts"].map(|list| fs::read(procfs.join(list)));
        let option = b"memory_hugetlb_accounting";
        let accounted =
            lists.into_iter().flatten().any(|list| list.windows(option.len()).any(|part| part == option));
        Self { pool: Pool::None, files: Vec::new(), accounted }
    }

    /// Takes what the machine says of its pool; tells whether all cgroups are to be read anew.
    pub(super) fn want(&mut self, pool: Option<bool>) -> bool {
        let pool = match pool {
            Some(false) => Pool::None,
            None => Pool::Unknown,
            Some(true) => Pool::Some,
        };
        let before = std::mem::replace(&mut self.pool, pool);
        before != pool && pool != Pool::None
    }
}

impl CgroupTree {
    /// Bytes of huge pages in use in the cgroup and in all below it. `young` ones are looked through for files of the
    /// controller. Where the controller does not serve a workload, its processes are asked.
    pub(super) fn huge_pages(&mut self, node: NodeId, recognised: bool, young: bool) -> u64 {
        if self.huge_pages.pool == Pool::None || self.huge_pages.accounted {
            return 0;
        }
        if let Some(bytes) = self.huge_pages_by_controller(node, young) {
            return bytes;
        }
        let asks = recognised && self.huge_pages.pool == Pool::Some;
        let pids = if asks { self.pids_below(node).unwrap_or_default() } else { Vec::new() };
        pids.into_iter().filter_map(|pid| self.huge_pages_of(pid)).fold(0, u64::saturating_add)
    }

    fn huge_pages_by_controller(&mut self, node: NodeId, young: bool) -> Option<u64> {
        let controller = self.controllers.hugetlb.clone()?;
        let path = self.place(&controller, node, young)?;
        if self.huge_pages.files.is_empty() && (young || self.huge_pages.pool == Pool::Some) {
            self.huge_pages.files = files(&controller.folder.full(&path), controller.version);
        }
        let figures = self.huge_pages.files.iter().filter_map(|file| figure(&controller.folder, &path, file));
        figures.fold(None, |sum, bytes| Some(sum.unwrap_or(0_u64).saturating_add(bytes)))
    }

    /// `HugetlbPages` of `/proc/PID/status`: pages that processes share count for each.
    fn huge_pages_of(&self, pid: u32) -> Option<u64> {
        let status = fs::read(self.procfs.join(format!("{pid}/status"))).ok()?;
        let mut lines = status.split(|&byte| byte == b'\n');
        let value = lines.find_map(|line| line.strip_prefix(b"HugetlbPages:"))?;
        parse::plain(value.trim_ascii().strip_suffix(b"kB")?)?.checked_mul(1024)
    }
}

/// The names of the controller's files with what is in use: one for each size, and not what is reserved only.
fn files(folder: &Path, version: Version) -> Vec<String> {
    let ending = match version {
        Version::V1 => ".usage_in_bytes",
        Version::V2 => ".current",
    };
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let is_one = |name: &str| {
        let size = name.strip_prefix("hugetlb.").and_then(|rest| rest.strip_suffix(ending));
        size.is_some_and(|size| !size.contains('.'))
    };
    names.filter(|name| is_one(name)).collect()
}

fn figure(folder: &Folder, path: &[u8], name: &str) -> Option<u64> {
    let file = folder.file(path, name).ok()?;
    let mut text = [0; 32];
    let length = rustix::io::pread(&file, &mut text, 0).ok()?;
    parse::plain(text.get(..length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_reserved_is_not_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let all = [
            "hugetlb.2MB.current",
            "hugetlb.1GB.current",
            "hugetlb.2MB.rsvd.current",
            "hugetlb.2MB.max",
            "hugetlb.2MB.usage_in_bytes",
            "hugetlb.2MB.rsvd.usage_in_bytes",
            "hugetlb.2MB.max_usage_in_bytes",
        ];
        all.iter().for_each(|name| fs::write(folder.path().join(name), "0\n").unwrap());
        let mut found = files(folder.path(), Version::V2);
        found.sort_unstable();
        assert_eq!(found, ["hugetlb.1GB.current", "hugetlb.2MB.current"]);
        assert_eq!(files(folder.path(), Version::V1), ["hugetlb.2MB.usage_in_bytes"]);
    }
}
