//! Remarks on accelerators: what changes the meaning of their figures.

use noether_core::gpu::{Look, Process, UnreportedWork};

/// What there is to say of a meter's devices.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remarks {
    /// One sentence each.
    pub(super) said: Vec<String>,
    /// What to do, where the split is a guess.
    pub(super) fix: Option<&'static str>,
}

const FIX: &str = "Linux 5.19 or later reports times on engines; of compute (ROCm) it reports none, but where amdkfd shows \
    cu_occupancy, that is used instead of memory";

/// The remarks on these devices, all of one meter.
pub(super) fn remarks(looks: &[&Look]) -> Remarks {
    let mut remarks = Remarks::default();
    for look in looks {
        let gpu = &look.device.gpu;
        if look.gauges.suspended {
            remarks.said.push(format!("{gpu} is suspended to save power: not read, 0 W"));
        }
        let shares_meter = looks.iter().filter(|other| other.device.domain.name == look.device.domain.name);
        if shares_meter.count() > 1 && look.device.domain.name != *gpu {
            let meter = &look.device.domain.name;
            remarks.said.push(format!("{gpu} has no meter of its own: {meter} measures both, split by use"));
        }
        let processes = || look.instances.iter().flat_map(|instance| &instance.processes);
        let guessed = processes().filter(|process| is_guessed(process)).count();
        // The only process on a device has all of it, whatever is reported.
        if guessed > 0 && processes().count() > 1 {
            remarks.said.push(format!(
                "the kernel reports no times of {guessed} of {} processes on {gpu}: their part is split by memory",
                processes().count()
            ));
            remarks.fix = Some(FIX);
        }
    }
    remarks
}

fn is_guessed(process: &Process) -> bool {
    process.unreported == UnreportedWork::Possible
}
