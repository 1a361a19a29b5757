//! Splits an amount among weights, to the microjoule: the parts add up to the whole.

use alloc::vec::Vec;

use crate::units::Energy;

/// Room for splitting, kept between splits so that a steady tick allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    remainders: Vec<Remainder>,
}

#[derive(Clone, Copy, Debug)]
struct Remainder {
    rest: u64,
    tie: u64,
    place: usize,
}

impl Splitter {
    /// Splits `whole` in proportion to `weights` by largest remainder: each part is within 1 µJ of fair, no weight gets
    /// nothing, and the parts add up. Among equal remainders the smallest of `ties` comes first, so that the order of the
    /// weights does not matter. Where all weights are 0, nothing is handed out and `false` comes back.
    ///
    /// `parts` is overwritten, one part per weight. `ties` stands beside `weights`; a missing one counts as the largest.
    pub fn split(&mut self, whole: Energy, weights: &[u64], ties: &[u64], parts: &mut Vec<Energy>) -> bool {
        parts.clear();
        let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        if sum == 0 {
            parts.resize(weights.len(), Energy::ZERO);
            return false;
        }
        // Beyond 2^64 the lowest bits of the weights are dropped; this moves no share by a microjoule.
        let shift = (sum >> 63).checked_ilog2().map_or(0, |bits| bits + 1);
        let sum = weights.iter().map(|weight| weight >> shift).sum::<u64>().max(1);
        let mut left = whole.microjoules();
        self.remainders.clear();
        for (place, weight) in weights.iter().enumerate() {
            let product = u128::from(whole.microjoules()) * u128::from(weight >> shift);
            // The quotient is at most `whole`, the remainder less than `sum`: both fit.
            let (part, rest) = ((product / u128::from(sum)) as u64, (product % u128::from(sum)) as u64);
            parts.push(Energy::from_microjoules(part));
            left -= part;
            if rest > 0 {
                let tie = ties.get(place).copied().unwrap_or(u64::MAX);
                self.remainders.push(Remainder { rest, tie, place });
            }
        }
        self.hand_out(left, parts);
        true
    }

    /// One microjoule more for each of the `left` largest remainders.
    fn hand_out(&mut self, left: u64, parts: &mut [Energy]) {
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if left == 0 {
            return;
        }
        if left < self.remainders.len() {
            self.remainders.select_nth_unstable_by_key(left, |one| (core::cmp::Reverse(one.rest), one.tie));
        }
        for one in self.remainders.iter().take(left) {
            if let Some(part) = parts.get_mut(one.place) {
                *part += Energy::from_microjoules(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn split(whole: u64, weights: &[u64]) -> Vec<u64> {
        let ties: Vec<u64> = (0..weights.len() as u64).collect();
        let mut parts = Vec::new();
        Splitter::default().split(Energy::from_microjoules(whole), weights, &ties, &mut parts);
        parts.into_iter().map(Energy::microjoules).collect()
    }

    #[test]
    fn the_largest_remainder_gets_the_odd_microjoule() {
        assert_eq!(split(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(split(100, &[995, 5]), [100, 0]);
        assert_eq!(split(7, &[0, 3, 0]), [0, 7, 0]);
        assert_eq!(split(7, &[0, 0]), [0, 0]);
        assert_eq!(split(7, &[]), []);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_are_fair(whole in any::<u64>(), weights in prop::collection::vec(prop_oneof![Just(0), 0..1000_u64, any::<u64>()], 1..60)) {
            let parts = split(whole, &weights);
            let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            if sum == 0 {
                prop_assert!(parts.iter().all(|part| *part == 0));
                return Ok(());
            }
            prop_assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(whole));
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!(*weight > 0 || *part == 0);
                // Weights near 2^64 lose their lowest bits, so check fairness where the product is exact.
                if sum < 1 << 63 && whole < 1 << 60 {
                    let (scaled, fair) = (u128::from(*part) * sum, u128::from(whole) * u128::from(*weight));
                    prop_assert!(scaled.abs_diff(fair) <= sum, "{part} of {whole} for {weight} of {sum}");
                }
            }
        }

        #[test]
        fn permuting_permutes(whole in any::<u64>(), pairs in prop::collection::vec((0..50_u64, any::<u64>()), 1..40), turn in 0..40_usize) {
            let order: Vec<usize> = (0..pairs.len()).map(|place| (place + turn) % pairs.len()).collect();
            let run = |pairs: &[(u64, u64)]| {
                let (weights, ties): (Vec<u64>, Vec<u64>) = pairs.iter().copied().unzip();
                let mut parts = vec![];
                Splitter::default().split(Energy::from_microjoules(whole), &weights, &ties, &mut parts);
                parts
            };
            let straight = run(&pairs);
            let turned = run(&order.iter().map(|place| pairs[*place]).collect::<Vec<_>>());
            for (place, part) in order.into_iter().zip(turned) {
                prop_assert_eq!(straight[place], part);
            }
        }
    }
}
