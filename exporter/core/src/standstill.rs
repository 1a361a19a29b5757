//! A counter that stands still while the processors work: it can be read, but it measures nothing.

use core::time::Duration;

use crate::reading::Moment;
use crate::units::Energy;

/// A counter stands still for so long at least. Some meters update their counters only every ten seconds or so.
const TIME: Duration = Duration::from_secs(20);
/// So much CPU time was used meanwhile. A core takes tens of millijoules at least for one second of it, and the coarsest
/// counters count in steps of 61 µJ; so a machine that is nearly idle takes longer to be judged, and none is judged wrongly.
const WORK: Duration = Duration::from_secs(2);
/// So often it was read meanwhile.
const LOOKS: u32 = 2;

/// The reason under which a meter's errors count it.
pub const REASON: &str = "standstill";

/// What is known of one counter's movement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standstill {
    last: Option<Seen>,
    stands: bool,
    has_moved: bool,
}

/// The value that it has had since.
#[derive(Clone, Copy, Debug)]
struct Seen {
    raw: Energy,
    since: Moment,
    /// CPU time of all processors by then, in ns.
    work: u64,
    looks: u32,
}

impl Standstill {
    /// Takes a reading made at `at`, when the processors had used `work` nanoseconds since some start (it may wrap). Returns
    /// whether it has just been found to stand still.
    pub fn observe(&mut self, raw: Energy, at: Moment, work: u64) -> bool {
        let Some(seen) = self.last.as_mut().filter(|seen| seen.raw == raw) else {
            self.has_moved |= self.last.is_some();
            self.stands = false;
            self.last = Some(Seen { raw, since: at, work, looks: 0 });
            return false;
        };
        seen.looks = seen.looks.saturating_add(1);
        let worked = Duration::from_nanos(work.wrapping_sub(seen.work));
        let stands = seen.looks >= LOOKS && at.since(seen.since) >= TIME && worked >= WORK;
        // It ends when the counter moves, not when the processors rest.
        let begins = stands && !self.stands;
        self.stands |= stands;
        begins
    }

    /// Whether it stands still.
    pub const fn stands(&self) -> bool {
        self.stands
    }

    /// Whether it never moved, as far as one can tell by now.
    pub const fn is_inert(&self) -> bool {
        self.stands && !self.has_moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    /// Reads a counter each `pace` seconds for `seconds`, while `busy` processors work.
    fn watch(pace: u64, seconds: u64, busy: f64, raw: impl Fn(u64) -> u64) -> Standstill {
        let mut standstill = Standstill::default();
        for second in (0..=seconds).step_by(pace as usize) {
            let work = (busy * second as f64 * SECOND as f64) as u64;
            let at = Moment::from_boot(Duration::from_secs(second));
            standstill.observe(Energy::from_microjoules(raw(second)), at, work);
        }
        standstill
    }

    #[test]
    fn a_minute_of_work_without_a_move_is_a_standstill() {
        for start in [0, 7_000_000] {
            assert!(watch(1, 60, 0.5, |_| start).is_inert());
        }
        assert!(watch(15, 60, 4.0, |_| 0).stands(), "also at a slow pace");
        let stopped = watch(1, 90, 0.5, |second| second.min(30));
        assert!(stopped.stands() && !stopped.is_inert());
    }

    #[test]
    fn a_counter_that_updates_seldom_and_an_idle_machine_are_none() {
        assert!(!watch(1, 600, 64.0, |second| second / 15).stands());
        assert!(!watch(1, 60, 0.0, |_| 5).stands());
        assert!(!watch(1, 60, 0.005, |_| 5).stands());
        assert!(!watch(60, 60, 4.0, |_| 5).stands(), "one look more says too little");
    }

    #[test]
    fn it_ends_with_the_next_move_and_is_counted_once() {
        let mut standstill = Standstill::default();
        let mut observe = |raw, second: u64| {
            let at = Moment::from_boot(Duration::from_secs(second));
            (standstill.observe(Energy::from_microjoules(raw), at, second * SECOND), standstill.stands())
        };
        let found =
            [(5, 0), (5, 10), (5, 20), (5, 30), (5, 31), (6, 32), (6, 40)].map(|(raw, at)| observe(raw, at));
        let expected = [
            (false, false),
            (false, false),
            (true, true),
            (false, true),
            (false, true),
            (false, false),
            (false, false),
        ];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn what_moves_within_twenty_seconds_never_stands(paces in prop::collection::vec(1..20_u64, 1..100), busy: u32) {
            let (mut standstill, mut second) = (Standstill::default(), 0);
            for (raw, pace) in paces.into_iter().enumerate() {
                for _ in 0..pace {
                    second += 1;
                    let at = Moment::from_boot(Duration::from_secs(second));
                    standstill.observe(Energy::from_microjoules(raw as u64), at, second.wrapping_mul(u64::from(busy)));
                    prop_assert!(!standstill.stands());
                }
            }
        }
    }
}
