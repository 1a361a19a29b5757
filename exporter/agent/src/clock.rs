//! The clocks: the only place that asks what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use noether_core::reading::Moment;
use rustix::time::{ClockId, clock_gettime};

/// The present instant. `CLOCK_BOOTTIME` goes on while the machine is asleep, so that a counter's interval is known.
pub fn now() -> Moment {
    Moment::from_boot(duration(ClockId::Boottime))
}

/// The present time since 1970, for timestamps only.
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// CPU time of this process.
pub fn process_cpu() -> Duration {
    duration(ClockId::ProcessCPUTime)
}

fn duration(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
