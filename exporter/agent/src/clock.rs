//! The clocks: the only place that asks what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use noether_core::reading::Moment;
use rustix::time::{ClockId, clock_gettime};

/// So often are the two clocks read again where something came between them.
const TRIES: usize = 4;
/// Two readings of a clock this near have had nothing between them.
const NEAR: Duration = Duration::from_micros(100);

/// The present instant, with and without the time that the machine was asleep.
pub fn now() -> Moment {
    let mut awake = duration(ClockId::Monotonic);
    for _ in 0..TRIES {
        let (boot, after) = (duration(ClockId::Boottime), duration(ClockId::Monotonic));
        if after.saturating_sub(awake) <= NEAR {
            return Moment::new(boot, awake);
        }
        awake = after;
    }
    // A machine so busy that it cannot do this is not asleep; what is off by less than a sleep counts as none.
    Moment::new(duration(ClockId::Boottime), awake)
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
