//! Who draws power, from when to when, and how much: a pure function of the seed and the time.

use std::sync::Arc;

use noether_core::workload::{Info, Key};

/// Power is constant within a slot of this many seconds.
pub(crate) const SLOT: i64 = 300;
const DAY: i64 = 86_400;

/// Watts or joules by component: cpu, dram, gpu, other.
pub(crate) type Parts = [f64; 4];

/// How a load goes over the day.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Always the same.
    Steady,
    /// High by day, low at night.
    Daily,
    /// Office hours of working days; next to nothing else.
    Office,
    /// Now and then much.
    Bursty,
}

/// Something that energy is charged to.
#[derive(Debug)]
pub(crate) struct Draw {
    /// Its exported labels; `None` for what no workload causes.
    pub(crate) key: Option<Arc<Key>>,
    /// What its info series carries beyond them.
    pub(crate) info: Arc<Info>,
    /// The same from some instant on: it was restarted, under another id.
    pub(crate) restarted: Option<(i64, Arc<Info>)>,
    /// Index of its node.
    pub(crate) node: usize,
    /// Unix times of its begin and end.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Watts at full load, by component.
    pub(crate) watts: Parts,
    pub(crate) shape: Shape,
    pub(crate) seed: u64,
    /// The device that its gpu part comes from.
    pub(crate) gpu: usize,
}

impl Draw {
    /// Joules from one instant to another, which lie in one slot or at its borders.
    pub(crate) fn joules(&self, from: i64, to: i64) -> Parts {
        let seconds = (to.min(self.to) - from.max(self.from)).max(0);
        if seconds == 0 {
            return [0.0; 4];
        }
        let load = self.load(from.div_euclid(SLOT));
        // Of an accelerator that is held, but idle, the holder pays for the watts that it draws all the same.
        let gpu = 0.2 + 0.8 * load;
        let seconds = seconds as f64;
        let [cpu, dram, graphics, other] = self.watts;
        [cpu * load * seconds, dram * seconds, graphics * gpu * seconds, other * load * seconds]
    }

    /// What was known of it at an instant.
    pub(crate) fn info(&self, at: i64) -> &Arc<Info> {
        match &self.restarted {
            Some((since, info)) if at >= *since => info,
            _ => &self.info,
        }
    }

    /// Joules over any time.
    pub(crate) fn joules_over(&self, from: i64, to: i64) -> Parts {
        let mut sum = [0.0; 4];
        let mut at = from;
        while at < to {
            let next = ((at.div_euclid(SLOT) + 1) * SLOT).min(to);
            add(&mut sum, &self.joules(at, next));
            at = next;
        }
        sum
    }

    /// How busy it is in a slot, from about 0 to 1.
    pub(crate) fn load(&self, slot: i64) -> f64 {
        let jitter = random(self.seed, slot as u64);
        let seconds = (slot * SLOT).rem_euclid(DAY) as f64;
        let hour = seconds / 3600.0;
        // The first day of 1970 was a Thursday.
        let weekday = (slot * SLOT).div_euclid(DAY).rem_euclid(7);
        let weekend = weekday == 2 || weekday == 3;
        match self.shape {
            Shape::Steady => 0.9 + 0.1 * jitter,
            Shape::Daily => {
                let phase = (hour - 14.0) / 24.0 * std::f64::consts::TAU;
                let day = 0.55 + 0.4 * phase.cos();
                (if weekend { day * 0.7 } else { day }) * (0.9 + 0.2 * jitter)
            }
            Shape::Office if (8.0..18.0).contains(&hour) && !weekend => 0.7 + 0.3 * jitter,
            Shape::Office => 0.0,
            Shape::Bursty if random(self.seed, (slot / 6) as u64 ^ 0xb0) > 0.7 => 0.7 + 0.3 * jitter,
            Shape::Bursty => 0.1 + 0.05 * jitter,
        }
    }
}

/// Adds the parts of one to another.
pub(crate) fn add(sum: &mut Parts, more: &Parts) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// A number in [0, 1) that two others determine (SplitMix64).
pub(crate) fn random(seed: u64, place: u64) -> f64 {
    let mut z =
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(place.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
