//! What the files of a cgroup say: pure parsers.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>, <https://docs.kernel.org/admin-guide/cgroup-v1/index.html>

use std::time::Duration;

/// What a file with one figure in it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// The number, and the end of its line.
    Whole(u64),
    /// A number whose line does not end: the kernel always ends it, so it may have been cut off by a writer at work.
    Cut(u64),
    /// Nothing at all: a file between being truncated and being written.
    Empty,
    /// No such number.
    Malformed,
}

/// Which file holds the CPU time of a cgroup, and in which unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// `cpuacct.usage`, nanoseconds.
    V1,
    /// `usage_usec` of `cpu.stat`, microseconds.
    V2,
}

impl Version {
    pub(super) const fn cpu_file(self) -> &'static str {
        match self {
            Self::V1 => "cpuacct.usage",
            Self::V2 => "cpu.stat",
        }
    }

    pub(super) const fn cpu_expected(self) -> &'static str {
        match self {
            Self::V1 => "CPU time in nanoseconds",
            Self::V2 => "usage_usec and a number of microseconds",
        }
    }

    pub(super) fn cpu_figure(self, text: &[u8]) -> Figure {
        match self {
            Self::V1 => number(text),
            Self::V2 => usage_usec(text),
        }
    }

    pub(super) const fn duration(self, figure: u64) -> Duration {
        match self {
            Self::V1 => Duration::from_nanos(figure),
            Self::V2 => Duration::from_micros(figure),
        }
    }
}

/// The number that `text` begins with.
pub(super) fn number(text: &[u8]) -> Figure {
    let mut value: u64 = 0;
    let mut digits = 0;
    for &byte in text {
        match byte {
            b'0'..=b'9' => {
                let next = value.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(byte - b'0')));
                let Some(next) = next else { return Figure::Malformed };
                value = next;
                digits += 1;
            }
            b'\n' if digits > 0 => return Figure::Whole(value),
            _ => return Figure::Malformed,
        }
    }
    if digits > 0 { Figure::Cut(value) } else { Figure::Empty }
}

/// `usage_usec` of `cpu.stat`: the first line in every kernel so far, which no document promises.
fn usage_usec(text: &[u8]) -> Figure {
    const KEY: &[u8] = b"usage_usec ";
    if let Some(value) = text.strip_prefix(KEY) {
        return number(value);
    }
    if text.is_empty() {
        return Figure::Empty;
    }
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    match lines.find_map(|line| line.strip_prefix(KEY)) {
        Some([]) | None => Figure::Malformed,
        Some(value) => number(value),
    }
}

/// The value of `key` in a file of `key value` lines.
pub(super) fn keyed(text: &[u8], key: &str) -> Option<u64> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let value = line.strip_prefix(key.as_bytes())?.strip_prefix(b" ")?;
        plain(value)
    })
}

/// The path that `/proc/PID/cgroup` has for a controller; for the unified hierarchy, where `controller` is empty.
/// <https://man7.org/linux/man-pages/man7/cgroups.7.html>
pub(crate) fn path_in<'a>(content: &'a [u8], controller: &str) -> Option<&'a [u8]> {
    content.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        controllers.split(|&byte| byte == b',').any(|one| one == controller.as_bytes()).then_some(path)
    })
}

/// How many processors are in a list such as `0-3,8`.
pub(super) fn list_length(text: &[u8]) -> u64 {
    let parts = text.trim_ascii().split(|&byte| byte == b',');
    let lengths = parts.map(|part| {
        let mut ends = part.splitn(2, |&byte| byte == b'-').map(plain);
        match (ends.next().flatten(), ends.next()) {
            (Some(_), None) => 1,
            (Some(first), Some(Some(last))) => last.saturating_sub(first).saturating_add(1),
            _ => 0,
        }
    });
    lengths.fold(0, u64::saturating_add)
}

/// A number alone in its file or field.
pub(super) fn plain(text: &[u8]) -> Option<u64> {
    match number(text.trim_ascii()) {
        Figure::Whole(value) | Figure::Cut(value) => Some(value),
        Figure::Empty | Figure::Malformed => None,
    }
}

/// `memory.max` or `memory.limit_in_bytes`; 0 where nothing is limited.
pub(super) fn memory_limit(text: &[u8]) -> Option<u64> {
    // v1 says "no limit" as the largest multiple of the page size; no machine has an exabyte.
    const UNLIMITED: u64 = 1 << 60;
    match text.trim_ascii() {
        b"max" => Some(0),
        bytes => plain(bytes).map(|bytes| if bytes >= UNLIMITED { 0 } else { bytes }),
    }
}

/// `cpu.max` (`200000 100000`, `max 100000`) in thousandths of a processor; 0 where nothing is limited.
pub(super) fn cpu_max(text: &[u8]) -> Option<u64> {
    let mut fields = text.trim_ascii().split(u8::is_ascii_whitespace);
    match fields.next()? {
        b"max" => Some(0),
        quota => milli(plain(quota)?, plain(fields.next().unwrap_or(b"100000"))?),
    }
}

/// `cpu.cfs_quota_us` and `cpu.cfs_period_us` in thousandths of a processor; 0 where nothing is limited.
pub(super) fn cfs(quota: &[u8], period: &[u8]) -> Option<u64> {
    match quota.trim_ascii() {
        b"-1" => Some(0),
        quota => milli(plain(quota)?, plain(period)?),
    }
}

fn milli(quota: u64, period: u64) -> Option<u64> {
    quota.checked_mul(1000)?.checked_div(period)
}

/// What the kubelet asked for in thousandths of a processor when it set `cpu.shares`.
///
/// 2 is the least that the kernel takes, and what the kubelet writes where nothing is requested.
pub(super) const fn shares_milli(shares: u64) -> u64 {
    if shares <= 2 { 0 } else { shares.saturating_mul(1000) / 1024 }
}

/// The `cpu.shares` that were meant when `cpu.weight` was set, by the kubelet's own formula inverted
/// (<https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2254-cgroup-v2>).
///
/// runc from 1.3.2 and crun from 1.23 take another curve for containers
/// (<https://github.com/kubernetes/kubernetes/issues/131216>). The file does not tell which one was used, so there a
/// container's figure is too large; among containers of one node, whose shares are compared, the order stays right.
pub(super) const fn weight_shares(weight: u64) -> u64 {
    2 + weight.saturating_sub(1).saturating_mul(262_142) / 9999
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cpu_stat_is_found_on_any_line() {
        let v2 = |text: &str| Version::V2.cpu_figure(text.as_bytes());
        assert_eq!(v2("usage_usec 42\nuser_usec 1\n"), Figure::Whole(42));
        assert_eq!(v2("nr_periods 7\nusage_usec 42\n"), Figure::Whole(42));
        assert_eq!(v2("usage_usec 4"), Figure::Cut(4));
        assert_eq!(v2(""), Figure::Empty);
        for bad in
            ["usage_usec -4\n", "usage_usec x\n", "usage_usec\n", "user_usec 1\n", "\n", "usage_usec 4 2\n"]
        {
            assert_eq!(v2(bad), Figure::Malformed, "{bad:?}");
        }
        assert_eq!(v2("usage_usec 99999999999999999999\n"), Figure::Malformed);
    }

    #[test]
    fn limits_in_both_versions() {
        assert_eq!(cpu_max(b"max 100000\n"), Some(0));
        assert_eq!(cpu_max(b"250000 100000\n"), Some(2500));
        assert_eq!(cpu_max(b"50000"), Some(500));
        assert_eq!(cpu_max(b"1 0"), None);
        assert_eq!(cfs(b"-1\n", b"100000\n"), Some(0));
        assert_eq!(cfs(b"50000\n", b"100000\n"), Some(500));
        assert_eq!(memory_limit(b"max\n"), Some(0));
        assert_eq!(memory_limit(b"9223372036854771712\n"), Some(0));
        assert_eq!(memory_limit(b"1048576\n"), Some(1_048_576));
        assert_eq!(memory_limit(b"lots\n"), None);
    }

    #[test]
    fn weights_are_the_requests_again() {
        assert_eq!(shares_milli(1024), 1000);
        assert_eq!(shares_milli(2), 0);
        // 1 CPU = 1024 shares = weight 39, which is 1 % coarse.
        assert_eq!(weight_shares(39), 998);
        assert_eq!(weight_shares(1), 2);
        assert_eq!(weight_shares(10_000), 262_144);
    }

    #[test]
    fn a_process_has_a_path_in_each_hierarchy() {
        let content =
            b"12:cpu,cpuacct:/docker/a:b\n4:memory:/\n1:name=systemd:/s\n0::/system.slice/x.service\n";
        assert_eq!(path_in(content, "cpuacct"), Some(&b"/docker/a:b"[..]));
        assert_eq!(path_in(content, "memory"), Some(&b"/"[..]));
        assert_eq!(path_in(content, ""), Some(&b"/system.slice/x.service"[..]));
        assert_eq!(path_in(content, "cpuset"), None);
    }

    #[test]
    fn processors_of_a_list_are_counted() {
        let all = [("0-3,8\n", 5), ("7\n", 1), ("\n", 0), ("0-5", 6), ("3-1", 1), ("x-2,4", 1)];
        for (list, count) in all {
            assert_eq!(list_length(list.as_bytes()), count, "{list:?}");
        }
    }

    #[test]
    fn keyed_values_need_the_whole_key() {
        let text = b"anon 1\ninactive_file 30\ntotal_inactive_file 40\n";
        assert_eq!(keyed(text, "inactive_file"), Some(30));
        assert_eq!(keyed(text, "total_inactive_file"), Some(40));
        assert_eq!(keyed(text, "file"), None);
        assert_eq!(keyed(text, "inactive"), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            for version in [Version::V1, Version::V2] {
                version.cpu_figure(&text);
            }
            keyed(&text, "a");
            cpu_max(&text);
            cfs(&text, &text);
            memory_limit(&text);
            path_in(&text, "a");
            list_length(&text);
        }

        #[test]
        fn numbers_read_as_written(value: u64) {
            prop_assert_eq!(number(format!("{value}\n").as_bytes()), Figure::Whole(value));
            prop_assert_eq!(usage_usec(format!("usage_usec {value}\n").as_bytes()), Figure::Whole(value));
        }
    }
}
