//! The split of a device whose processes' times are those of its engines, some of which the kernel does not report.

use alloc::vec::Vec;

use super::{Instance, Method, Process, UnreportedWork};

/// Weights are thousandths of a microsecond, so that small shares of an unexplained time are kept.
const FINE: u128 = 1000;

/// The weights of the instance's processes: the time that is reported of each, and of the busy time that no reported time
/// explains a part for each process whose work is not reported. `None` where times say nothing: none is known, or all are
/// 0 though the device was `busy`.
pub(super) fn weigh(instance: &Instance, busy: bool) -> Option<(Method, Vec<u64>)> {
    let processes = &instance.processes;
    let reported: u128 = processes.iter().map(|process| u128::from(process.time.unwrap_or(0))).sum();
    let (basis, parts) = unreported(processes);
    let whole: u128 = parts.iter().sum();
    if whole == 0 {
        let timed = processes.iter().any(|process| process.time.is_some());
        let times = || processes.iter().map(|process| process.time.unwrap_or(0)).collect();
        return (timed && (reported > 0 || !busy)).then(|| (Method::EngineTime, times()));
    }
    // Where nothing is seen of anybody's work, the device is still theirs who have it in a way that shows no work.
    let unexplained = u128::from(instance.unexplained).max(u128::from(reported == 0));
    let weigh = |(process, part): (&Process, &u128)| {
        let own = u128::from(process.time.unwrap_or(0)) * FINE;
        let rest = (unexplained * FINE).saturating_mul(*part) / whole;
        u64::try_from(own.saturating_add(rest)).unwrap_or(u64::MAX)
    };
    let weights = processes.iter().zip(&parts).map(weigh).collect();
    Some((if unexplained > reported { basis } else { Method::EngineTime }, weights))
}

/// The part of each process in the work that is not reported: by the compute units that it occupies, where any is seen
/// on some, else by its memory, else in equal parts.
fn unreported(processes: &[Process]) -> (Method, Vec<u128>) {
    let occupied = |process: &Process| match process.unreported {
        UnreportedWork::Occupies(units) => u128::from(units),
        UnreportedWork::No | UnreportedWork::Possible => 0,
    };
    let is_possible = |process: &Process| process.unreported != UnreportedWork::No;
    let held = |process: &Process| match is_possible(process) {
        true => u128::from(process.memory.unwrap_or(0)),
        false => 0,
    };
    let parts = |part: &dyn Fn(&Process) -> u128| processes.iter().map(part).collect::<Vec<_>>();
    if processes.iter().any(|process| occupied(process) > 0) {
        (Method::ComputeUnits, parts(&occupied))
    } else if processes.iter().any(|process| held(process) > 0) {
        (Method::Memory, parts(&held))
    } else {
        (Method::Equal, parts(&|process| u128::from(is_possible(process))))
    }
}
