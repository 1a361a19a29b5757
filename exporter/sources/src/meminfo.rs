//! `<procfs>/meminfo`: the machine's memory, and what of it is in use.
//!
//! <https://docs.kernel.org/filesystems/proc.html#meminfo>

use crate::file::{HeldFile, Unexpected, number};
use crate::{Error, Machine};

/// The figures of one reading, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `MemTotal`
    pub total: u64,
    /// `MemFree`
    pub free: u64,
    /// `Inactive(file)`: page cache that nobody asked for lately.
    pub inactive_file: u64,
    /// Whether there is a pool of huge pages; `None` where the file does not say.
    pub huge_pages: Option<bool>,
}

impl Memory {
    /// What is in use: `MemTotal − MemFree − Inactive(file)`.
    pub fn held(&self) -> u64 {
        self.total.saturating_sub(self.free).saturating_sub(self.inactive_file)
    }
}

/// The opened file.
#[derive(Debug)]
pub struct Meminfo {
    file: HeldFile,
    buffer: Vec<u8>,
}

impl Meminfo {
    /// The file of `machine`; it is opened at the first reading.
    pub fn new(machine: &Machine) -> Self {
        Self { file: HeldFile::new(machine.procfs.join("meminfo")), buffer: Vec::new() }
    }

    /// Reads it anew.
    pub fn read(&mut self) -> Result<Memory, Error> {
        let content = self.file.read(&mut self.buffer)?;
        parse(content).map_err(|unexpected| unexpected.at(self.file.path()))
    }

    /// Looks whether another file has its name by now.
    pub fn rescan(&mut self) {
        self.file.reopen_if_replaced();
    }
}

/// Takes the three figures out of the content. One that is not there is 0, but for the total.
pub fn parse(content: &[u8]) -> Result<Memory, Unexpected<'_>> {
    let mut memory = Memory::default();
    let mut has_total = false;
    for line in content.split(|byte| *byte == b'\n') {
        if let Some(pool) = pool(line) {
            memory.huge_pages = Some(pool || memory.huge_pages == Some(true));
            continue;
        }
        let place = match line.split(|byte| *byte == b':').next() {
            Some(b"MemTotal") => &mut memory.total,
            Some(b"MemFree") => &mut memory.free,
            Some(b"Inactive(file)") => &mut memory.inactive_file,
            _ => continue,
        };
        *place = bytes(line).ok_or(Unexpected { expected: "name: number kB", found: line })?;
        has_total |= line.starts_with(b"MemTotal");
    }
    if has_total { Ok(memory) } else { Err(Unexpected { expected: "a line `MemTotal`", found: content }) }
}

/// Whether a line speaks of a pool of huge pages, and whether anything is in it. `HugePages_Total` counts those of the
/// default size, `Hugetlb` (from Linux 4.17 on) those of all sizes.
/// <https://docs.kernel.org/admin-guide/mm/hugetlbpage.html>
fn pool(line: &[u8]) -> Option<bool> {
    let value = line.strip_prefix(b"HugePages_Total:").or_else(|| line.strip_prefix(b"Hugetlb:"))?;
    let value = value.trim_ascii();
    number(value.strip_suffix(b"kB").unwrap_or(value).trim_ascii()).map(|value| value > 0)
}

fn bytes(line: &[u8]) -> Option<u64> {
    let (_, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')? + 1)?;
    // Whatever the unit is called, it is 1024 bytes.
    number(value.trim_ascii().strip_suffix(b"kB")?)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kilobytes_become_bytes() {
        let content = b"MemTotal:       16000 kB\nMemFree:         4000 kB\nMemAvailable:    9000 kB\n\
            Inactive:         500 kB\nInactive(file):  2000 kB\nHugePages_Total:       0\n";
        let memory = parse(content).unwrap();
        assert_eq!(
            memory,
            Memory { total: 16_384_000, free: 4_096_000, inactive_file: 2_048_000, huge_pages: Some(false) }
        );
        assert_eq!(memory.held(), 10_240_000);
    }

    #[test]
    fn a_pool_of_huge_pages_of_any_size_is_seen() {
        let pool = |lines: &str| parse(format!("MemTotal: 1 kB\n{lines}").as_bytes()).unwrap().huge_pages;
        assert_eq!(pool(""), None);
        assert_eq!(pool("HugePages_Total:       0\nHugetlb:               0 kB\n"), Some(false));
        assert_eq!(pool("HugePages_Total:       0\nHugetlb:         1048576 kB\n"), Some(true));
        assert_eq!(pool("HugePages_Total:     512\nHugePages_Free:        0\n"), Some(true));
        assert_eq!(pool("HugePages_Total: many\n"), None);
    }

    #[test]
    fn only_the_total_has_to_be_there() {
        assert_eq!(parse(b"MemTotal: 1 kB").unwrap(), Memory { total: 1024, ..Memory::default() });
        assert_eq!(parse(b"MemTotal: 1 kB\nMemFree: 5 kB").unwrap().held(), 0);
        for bad in [
            &b""[..],
            b"MemFree: 1 kB",
            b"MemTotal: -1 kB",
            b"MemTotal:",
            b"MemTotal 1 kB",
            b"MemTotal: 1",
            b"MemTotal: 18446744073709551615 kB",
            b"MemTotal: 1 kB\nMemFree: x kB",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_content_panics(content in "((MemTotal|MemFree|Inactive\\(file\\)):? {0,3}[0-9k-]{0,22}( kB)?\n){0,4}.*") {
            let _ = parse(content.as_bytes());
        }
    }
}
