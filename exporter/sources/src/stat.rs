//! `<procfs>/stat`: what each processor did since boot.
//!
//! <https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat>

use std::mem;
use std::time::Duration;

use crate::file::{HeldFile, Unexpected, number};
use crate::{Error, Machine};

/// The times of one processor, or of all, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// user + nice + system + irq + softirq. Guest time is inside user and nice already; steal is nobody's here.
    pub busy: Duration,
    /// idle + iowait.
    pub idle: Duration,
}

/// What one reading of `<procfs>/stat` gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// The `cpu` line: the sum of the processors that are online, which leaps when one comes or goes.
    pub all: CpuTime,
    /// The `cpuN` lines, of the processors that are online: number and times, in the order of the numbers.
    pub each: Vec<(u32, CpuTime)>,
}

impl CpuTimes {
    /// Whether the same processors are online as in `other`.
    pub fn same_processors(&self, other: &Self) -> bool {
        self.each.len() == other.each.len()
            && self.each.iter().zip(&other.each).all(|((a, _), (b, _))| a == b)
    }

    /// What all processors that were online both times did since `earlier`.
    pub fn since(&self, earlier: &Self) -> CpuTime {
        gains(earlier, self).fold(CpuTime::default(), |sum, (_, gain)| CpuTime {
            busy: sum.busy.saturating_add(gain.busy),
            idle: sum.idle.saturating_add(gain.idle),
        })
    }
}

/// What each processor that was online both times did in between, by its number; of the line `cpu`, without a number, where
/// there are no others. One that comes or goes has no figure: where its counters go on from is not documented. Counters of a
/// processor may fall, `iowait` above all: that is no time.
pub fn gains<'t>(
    earlier: &'t CpuTimes,
    now: &'t CpuTimes,
) -> impl Iterator<Item = (Option<u32>, CpuTime)> + 't {
    let gain = |earlier: CpuTime, now: CpuTime| CpuTime {
        busy: now.busy.saturating_sub(earlier.busy),
        idle: now.idle.saturating_sub(earlier.idle),
    };
    let mut before = earlier.each.iter().peekable();
    let each = now.each.iter().filter_map(move |(cpu, now)| {
        while before.next_if(|(other, _)| other < cpu).is_some() {}
        let (_, earlier) = before.next_if(|(other, _)| other == cpu)?;
        Some((Some(*cpu), gain(*earlier, *now)))
    });
    let sums = earlier.each.is_empty() && now.each.is_empty();
    each.chain(sums.then(|| (None, gain(earlier.all, now.all))))
}

/// The opened file.
#[derive(Debug)]
pub struct Stat {
    file: HeldFile,
    clock_ticks: u64,
    buffer: Vec<u8>,
    next: CpuTimes,
}

impl Stat {
    /// The file of `machine`; it is opened at the first reading.
    pub fn new(machine: &Machine) -> Self {
        let file = HeldFile::new(machine.procfs.join("stat"));
        Self { file, clock_ticks: machine.clock_ticks, buffer: Vec::new(), next: CpuTimes::default() }
    }

    /// Reads it anew. Where that fails, `into` stays as it was.
    pub fn read(&mut self, into: &mut CpuTimes) -> Result<(), Error> {
        let content = self.file.read(&mut self.buffer)?;
        parse(content, self.clock_ticks, &mut self.next)
            .map_err(|unexpected| unexpected.at(self.file.path()))?;
        mem::swap(into, &mut self.next);
        Ok(())
    }

    /// Looks whether another file has its name by now.
    pub fn rescan(&mut self) {
        self.file.reopen_if_replaced();
    }
}

/// Takes the `cpu` lines out of the content; `clock_ticks` of its numbers make a second.
pub fn parse<'a>(content: &'a [u8], clock_ticks: u64, into: &mut CpuTimes) -> Result<(), Unexpected<'a>> {
    into.each.clear();
    let mut all = None;
    // The cpu lines come first, and what follows is long: a number per interrupt.
    for line in content.split(|byte| *byte == b'\n').take_while(|line| line.starts_with(b"cpu")) {
        let unexpected = Unexpected { expected: "cpuN user nice system idle …", found: line };
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let name = words.next().and_then(|word| word.strip_prefix(b"cpu")).ok_or(unexpected)?;
        let time = time(words, clock_ticks).ok_or(unexpected)?;
        if name.is_empty() {
            all = Some(time);
        } else {
            let cpu = number(name).and_then(|cpu| u32::try_from(cpu).ok()).ok_or(unexpected)?;
            into.each.push((cpu, time));
        }
    }
    // The kernel writes them in order already.
    into.each.sort_unstable_by_key(|(cpu, _)| *cpu);
    into.all = all.ok_or(Unexpected { expected: "a line that starts with `cpu `", found: content })?;
    Ok(())
}

/// user nice system idle [iowait irq softirq]; what follows (steal, guest, guest_nice) is not looked at.
fn time<'a>(mut words: impl Iterator<Item = &'a [u8]>, clock_ticks: u64) -> Option<CpuTime> {
    let mut ticks = [0; 7];
    for (column, place) in ticks.iter_mut().enumerate() {
        match words.next() {
            Some(word) => *place = number(word)?,
            // The first kernels of 2.6 had the first four columns only.
            None if column >= 4 => break,
            None => return None,
        }
    }
    let [user, nice, system, idle, iowait, irq, softirq] = ticks;
    let sum = |columns: &[u64]| columns.iter().fold(0, |sum: u64, ticks| sum.saturating_add(*ticks));
    let busy = duration(sum(&[user, nice, system, irq, softirq]), clock_ticks);
    Some(CpuTime { busy, idle: duration(sum(&[idle, iowait]), clock_ticks) })
}

fn duration(ticks: u64, clock_ticks: u64) -> Duration {
    let per_second = clock_ticks.max(1);
    let nanos = u128::from(ticks % per_second) * 1_000_000_000 / u128::from(per_second);
    Duration::new(ticks / per_second, u32::try_from(nanos).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::reading::Fault;
    use proptest::prelude::*;
    use std::path::Path;

    const TWO: &[u8] = b"cpu  100 20 30 4000 50 6 7 8 90 10\n\
        cpu0 60 10 20 2000 25 3 3 4 45 5\n\
        cpu3 40 10 10 2000 25 3 4 4 45 5\n\
        intr 123 0 0\nctxt 5\n";

    fn machine(procfs: &Path) -> Machine {
        let procfs = procfs.to_owned();
        Machine {
            sysfs: procfs.clone(),
            cgroupfs: procfs.clone(),
            rootfs: procfs.clone(),
            procfs,
            nvml_library: "libnvidia-ml.so.1".into(),
            clock_ticks: 100,
            page_size: 4096,
        }
    }

    #[test]
    fn busy_is_without_guest_steal_and_idle() {
        let mut times = CpuTimes::default();
        parse(TWO, 100, &mut times).unwrap();
        assert_eq!(
            times.all,
            CpuTime { busy: Duration::from_millis(1630), idle: Duration::from_millis(40_500) }
        );
        let third = CpuTime { busy: Duration::from_millis(670), idle: Duration::from_millis(20_250) };
        assert_eq!(times.each.get(1), Some(&(3, third)));
        assert_eq!(times.each.len(), 2);
    }

    #[test]
    fn gains_are_those_of_who_was_there_both_times() {
        let at = |content: &str| {
            let mut times = CpuTimes::default();
            parse(content.as_bytes(), 1, &mut times).unwrap();
            times
        };
        let earlier = at("cpu 60 0 0 90\ncpu0 10 0 0 30\ncpu2 20 0 0 30\ncpu7 30 0 0 30\n");
        let now = at("cpu 1072 0 0 76\ncpu7 32 0 0 29\ncpu0 11 0 0 33\ncpu3 999 0 0 9\n");
        let seconds =
            |busy, idle| CpuTime { busy: Duration::from_secs(busy), idle: Duration::from_secs(idle) };
        let found: Vec<_> = gains(&earlier, &now).collect();
        assert_eq!(found, [(Some(0), seconds(1, 3)), (Some(7), seconds(2, 0))]);
        assert_eq!(now.since(&earlier), seconds(3, 3));
        assert!(!now.same_processors(&earlier) && now.same_processors(&now));
        let sums = [at("cpu 5 0 0 5\n"), at("cpu 7 0 0 4\n")];
        assert_eq!(gains(&sums[0], &sums[1]).collect::<Vec<_>>(), [(None, seconds(2, 0))]);
    }

    #[test]
    fn old_kernels_have_fewer_columns() {
        let mut times = CpuTimes::default();
        parse(b"cpu 1 2 3 4\n", 1000, &mut times).unwrap();
        assert_eq!(times.all, CpuTime { busy: Duration::from_millis(6), idle: Duration::from_millis(4) });
    }

    #[test]
    fn what_is_no_stat_is_said_to_be_none() {
        let mut times = CpuTimes::default();
        for bad in [
            &b""[..],
            b"\n",
            b"intr 1",
            b"cpu 1 2 3",
            b"cpu 1 2 x 4",
            b"cpu0 1 2 3 4",
            b"cpux 1 2 3 4",
            b"cpu -1 2 3 4",
        ] {
            assert!(parse(bad, 100, &mut times).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_failed_reading_leaves_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat");
        std::fs::write(&path, TWO).unwrap();
        let (mut stat, mut times) = (Stat::new(&machine(folder.path())), CpuTimes::default());
        stat.read(&mut times).unwrap();
        let before = times.clone();
        std::fs::write(&path, "cpu 9 9 9 9\ncpu0 torn").unwrap();
        assert_eq!(stat.read(&mut times).unwrap_err().fault(), Fault::Malformed);
        assert_eq!(times, before);
        std::fs::remove_file(&path).unwrap();
        stat.rescan();
        assert_eq!(stat.read(&mut times).unwrap_err().fault(), Fault::Vanished);
    }

    #[test]
    fn this_machine_has_processors() {
        let mut times = CpuTimes::default();
        Stat::new(&machine(Path::new("/proc"))).read(&mut times).unwrap();
        assert!(!times.each.is_empty() && times.all.busy > Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_content_panics(content in "(cpu[0-9]{0,12}( [0-9a-z]{0,22}){0,12}\n){0,4}.*", clock_ticks: u64) {
            let _ = parse(content.as_bytes(), clock_ticks, &mut CpuTimes::default());
        }

        #[test]
        fn no_bytes_panic(content: Vec<u8>) {
            let _ = parse(&[b"cpu ", &content[..]].concat(), 100, &mut CpuTimes::default());
        }
    }
}
