//! Whose processors the energy counters measure: those that this system sees, or a larger machine's.
//!
//! A container of LXC sees the host's `/sys`, and a `/proc/stat` that lxcfs makes of its own cgroup
//! (<https://linuxcontainers.org/lxcfs/introduction/>): processors and busy time are the container's, the energy is the
//! host's. So it is in any container that is given the host's `/sys` but a `/proc` of another kernel. And the counters of a
//! virtual machine are the hypervisor's: it makes them up from the host's (<https://www.qemu.org/docs/master/specs/rapl-msr.html>),
//! or shows the host's.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use noether_core::reading::Moment;
use noether_core::sample::NodeUsage;

use crate::file::{beginning, contents, names, number};
use crate::stat::{CpuTimes, Stat};
use crate::topology::{CpuList, Topology};
use crate::{Machine, cpuinfo};

/// More than any list of mounts that is looked at.
const LONGEST: u64 = 1 << 20;

/// What this system is to the machine that its energy counters measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The machine itself.
    #[default]
    Whole,
    /// A part of it, which sees so many of the processors that are online.
    Part {
        /// Processors in `<procfs>/stat`.
        visible: usize,
        /// Processors online in `<sysfs>`.
        online: usize,
    },
    /// A container whose `/proc/stat` shows its own busy time only.
    Container,
    /// A virtual machine.
    Virtual,
}

impl Scope {
    /// Whether the busy time that this system sees is not the measured machine's.
    pub const fn hides_work(self) -> bool {
        matches!(self, Self::Part { .. } | Self::Container)
    }
}

/// What an operator is told of it.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the counters measure this machine"),
            Self::Part { visible, online } => write!(
                f,
                "the counters are the host's: {online} processors are online in <path.sysfs>, {visible} show in <path.procfs>/stat. \
                 Workloads are charged for their CPU time as a part of all processors' time, the rest is unattributed. Run noether on the host, or \
                 give it the host's /proc (--path.procfs)"
            ),
            Self::Container => f.write_str(
                "the counters are the host's: lxcfs shows this container's busy time in /proc/stat. Workloads are charged for their \
                 CPU time as a part of all processors' time, the rest is unattributed. Run noether on the host",
            ),
            Self::Virtual => f.write_str(
                "the counters are the hypervisor's: a virtual machine's are made up from the host's, or are the host's, so they may \
                 count other machines too. Run noether on the host",
            ),
        }
    }
}

/// What was found of it in one look.
#[derive(Clone, Debug, Default)]
pub struct Sighting {
    /// Processors in `<procfs>/stat`.
    visible: Vec<u32>,
    /// Processors online in `<sysfs>`.
    online: Vec<u32>,
    has_lxcfs: bool,
    is_virtual: bool,
}

impl Sighting {
    fn now(machine: &Machine) -> Self {
        let mut times = CpuTimes::default();
        // Where it cannot be read, the source `stat` says so.
        let _ = Stat::new(machine).read(&mut times);
        Self::of(machine, &times)
    }

    /// Looks at the machine whose `<procfs>/stat` says `times`. What cannot be read is not known: each source says so.
    pub fn of(machine: &Machine, times: &CpuTimes) -> Self {
        let cpuinfo = contents(&machine.procfs.join("cpuinfo")).unwrap_or_default();
        Self {
            visible: times.each.iter().map(|(cpu, _)| *cpu).collect(),
            online: online(&machine.sysfs),
            has_lxcfs: has_lxcfs(&machine.procfs),
            is_virtual: cpuinfo::parse(&cpuinfo).is_virtual,
        }
    }
}

/// Finds the scope, and follows it.
#[derive(Debug, Default)]
pub struct ScopeWatch {
    /// The machine, where this looks at it itself.
    machine: Option<Machine>,
    scope: Scope,
    /// Processors that `<procfs>/stat` has shown: they are seen, though they may be offline by now.
    seen: BTreeSet<u32>,
    /// What the last look but one found, where that was something else.
    next: Option<Scope>,
    online: Vec<u32>,
    /// Busy time by socket, as it is shown in the place of what is not known, and when.
    busy: Option<(Moment, Vec<Duration>)>,
}

impl ScopeWatch {
    /// Looks for the first time.
    pub fn new(machine: &Machine) -> Self {
        let mut watch = Self { machine: Some(machine.clone()), ..Self::default() };
        watch.begin(&Sighting::now(machine));
        watch
    }

    /// Looks again at its machine.
    pub fn rescan(&mut self) {
        if let Some(sighting) = self.machine.as_ref().map(Sighting::now) {
            self.observe(&sighting);
        }
    }

    /// Takes the first look.
    pub fn begin(&mut self, sighting: &Sighting) {
        self.scope = self.judge(sighting);
    }

    /// The scope, as last found.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Takes another look. Something else must be found twice: processors may be going online or offline.
    pub fn observe(&mut self, sighting: &Sighting) {
        let found = self.judge(sighting);
        if found == self.scope {
            self.next = None;
        } else if self.next.replace(found) == Some(found) {
            (self.scope, self.next, self.busy) = (found, None, None);
        }
    }

    fn judge(&mut self, sighting: &Sighting) -> Scope {
        self.seen.extend(&sighting.visible);
        self.online.clone_from(&sighting.online);
        let hidden = self.online.iter().filter(|cpu| !self.seen.contains(cpu)).count();
        if hidden > 0 && !sighting.visible.is_empty() {
            return Scope::Part { visible: self.seen.len(), online: self.online.len() };
        }
        match (sighting.has_lxcfs, sighting.is_virtual) {
            (true, _) => Scope::Container,
            (false, true) => Scope::Virtual,
            (false, false) => Scope::Whole,
        }
    }

    /// Puts the time of all processors in the place of the busy time that does not show: so nobody pays for what others may
    /// have used.
    pub fn widen(&mut self, now: Moment, topology: &Topology, usage: &mut NodeUsage) {
        if !self.scope.hides_work() {
            return;
        }
        let (before, busy) = self.busy.get_or_insert_with(|| (now, usage.busy.clone()));
        busy.resize(usage.busy.len(), Duration::ZERO);
        let time = now.since(*before);
        *before = now;
        for cpu in &self.online {
            if let Some(busy) = busy.get_mut(topology.socket_of(*cpu)) {
                *busy = busy.saturating_add(time);
            }
        }
        usage.busy.clone_from(busy);
        usage.cpus = u32::try_from(self.online.len()).unwrap_or(u32::MAX);
    }
}

/// The processors that are online and have a place: one that is offline has no folder `topology`.
fn online(sysfs: &Path) -> Vec<u32> {
    let folder = sysfs.join("devices/system/cpu");
    let list = contents(&folder.join("online")).ok().and_then(|content| CpuList::parse(&content));
    let entries = names(&folder).into_iter().flatten();
    let numbers = entries.filter_map(|name| {
        let cpu = number(name.as_encoded_bytes().strip_prefix(b"cpu")?)?;
        folder.join(name).join("topology").is_dir().then(|| u32::try_from(cpu).ok()).flatten()
    });
    numbers.filter(|cpu| list.as_ref().is_none_or(|list| list.contains(*cpu))).collect()
}

/// Whether lxcfs lies over `/proc/stat`.
fn has_lxcfs(procfs: &Path) -> bool {
    let ours = procfs.join("stat");
    let mounts = ["self/mountinfo", "1/mountinfo"].map(|name| beginning(&procfs.join(name), LONGEST));
    let content = mounts.into_iter().flatten().next().unwrap_or_default();
    String::from_utf8_lossy(&content).lines().any(|line| is_lxcfs(line, &ours))
}

/// A line of `mountinfo`: <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>.
fn is_lxcfs(line: &str, ours: &Path) -> bool {
    let Some((mount, kind)) = line.split_once(" - ") else { return false };
    let point = mount.split(' ').nth(4).map(Path::new);
    let over = point.is_some_and(|point| point == ours || point == Path::new("/proc/stat"));
    over && kind.split(' ').take(2).any(|word| word.contains("lxcfs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use tempfile::TempDir;

    fn machine(folder: &TempDir) -> Machine {
        let root = folder.path().to_owned();
        Machine {
            procfs: root.join("proc"),
            sysfs: root.join("sys"),
            cgroupfs: root.join("sys/fs/cgroup"),
            rootfs: root,
            nvml_library: "libnvidia-ml.so.1".into(),
            clock_ticks: 100,
            page_size: 4096,
        }
    }

    fn put(folder: &TempDir, path: &str, content: &str) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A machine of which so many processors are online, and of which `/proc/stat` shows so many.
    fn tree(online: u32, visible: u32) -> TempDir {
        let folder = TempDir::new().unwrap();
        put(&folder, "sys/devices/system/cpu/online", &format!("0-{}\n", online - 1));
        for cpu in 0..online {
            let package = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
            put(&folder, &package, &format!("{}\n", cpu % 2));
        }
        show(&folder, visible);
        folder
    }

    fn show(folder: &TempDir, visible: u32) {
        let lines: Vec<String> = (0..visible).map(|cpu| format!("cpu{cpu} 1 0 0 1 0 0 0\n")).collect();
        put(folder, "proc/stat", &format!("cpu 1 0 0 1 0 0 0\n{}", lines.concat()));
    }

    #[test]
    fn the_host_behind_a_container_of_lxc() {
        let folder = tree(16, 2);
        assert_eq!(ScopeWatch::new(&machine(&folder)).scope(), Scope::Part { visible: 2, online: 16 });
        let folder = tree(4, 4);
        assert_eq!(ScopeWatch::new(&machine(&folder)).scope(), Scope::Whole);
        put(
            &folder,
            "proc/self/mountinfo",
            "36 35 0:43 /proc/stat /proc/stat rw,nosuid - fuse.lxcfs lxcfs rw\n",
        );
        assert_eq!(ScopeWatch::new(&machine(&folder)).scope(), Scope::Container);
        put(&folder, "proc/self/mountinfo", "36 35 0:43 / /var/lib/lxcfs rw,nosuid - fuse.lxcfs lxcfs rw\n");
        assert_eq!(ScopeWatch::new(&machine(&folder)).scope(), Scope::Whole, "that is the host itself");
        put(&folder, "proc/cpuinfo", "processor: 0\nflags: fpu hypervisor\n");
        assert_eq!(ScopeWatch::new(&machine(&folder)).scope(), Scope::Virtual);
    }

    #[test]
    fn processors_that_come_and_go_change_nothing() {
        let folder = tree(8, 8);
        let mut watch = ScopeWatch::new(&machine(&folder));
        show(&folder, 6);
        for _ in 0..3 {
            watch.rescan();
            assert_eq!(watch.scope(), Scope::Whole);
        }
        // Two more come: they show in /sys first.
        for cpu in [8, 9] {
            put(&folder, &format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"), "0\n");
        }
        put(&folder, "sys/devices/system/cpu/online", "0-9\n");
        watch.rescan();
        show(&folder, 10);
        watch.rescan();
        assert_eq!(watch.scope(), Scope::Whole);
        let offline = tree(8, 6);
        put(&offline, "sys/devices/system/cpu/online", "0-5\n");
        assert_eq!(ScopeWatch::new(&machine(&offline)).scope(), Scope::Whole);
    }

    #[test]
    fn the_time_of_all_processors_stands_for_what_does_not_show() {
        let folder = tree(16, 2);
        let mut watch = ScopeWatch::new(&machine(&folder));
        let topology = Topology::of(&(0..16).map(|cpu| (cpu, Some((cpu % 2) as u16))).collect::<Vec<_>>());
        let second = |second| Moment::from_boot(Duration::from_secs(second));
        let shown = || vec![Duration::from_secs(7), Duration::from_secs(3)];
        let mut usage = NodeUsage { busy: shown(), cpus: 2, ..NodeUsage::default() };
        watch.widen(second(10), &topology, &mut usage);
        assert_eq!(usage.busy, shown());
        usage.busy = shown();
        watch.widen(second(12), &topology, &mut usage);
        assert_eq!((usage.busy, usage.cpus), ([23, 19].map(Duration::from_secs).to_vec(), 16));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".*( /proc/stat )?.*( - )?.*") {
            let _ = is_lxcfs(&line, Path::new("/proc/stat"));
        }
    }
}
