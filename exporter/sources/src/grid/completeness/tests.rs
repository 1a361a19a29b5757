//! The rule, on series as operators publish them.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const QUARTER: Duration = Duration::from_secs(900);
const NOON: Duration = Duration::from_secs(1_516_449_600);

/// The types with their g/kWh.
const TYPES: [(&str, f64); 9] = [
    ("lignite", 1054.0),
    ("coal", 820.0),
    ("gas", 490.0),
    ("oil", 650.0),
    ("biomass", 230.0),
    ("nuclear", 12.0),
    ("hydro", 24.0),
    ("solar", 45.0),
    ("wind", 11.0),
];

/// A mix that each test spoils.
struct Series {
    step: Duration,
    periods: BTreeMap<Duration, Amounts<'static>>,
}

impl Series {
    /// `count` periods up to noon, each with `usual`, in MW.
    fn of(step: Duration, count: u32, usual: &[(&'static str, f64)]) -> Self {
        let amounts: Amounts<'static> =
            usual.iter().map(|(code, amount)| (*code, amount_of(code, *amount))).collect();
        let periods = (1..=count).map(|back| (NOON - step * back, amounts.clone())).collect();
        Self { step, periods }
    }

    /// Germany on a windy winter's day, without the sun.
    fn germany() -> Self {
        let usual = [
            ("lignite", 14_000.0),
            ("coal", 10_000.0),
            ("gas", 12_000.0),
            ("biomass", 4_500.0),
            ("hydro", 1_800.0),
            ("wind", 9_000.0),
        ];
        Self::of(QUARTER, 104, &usual)
    }

    /// California's balancing authority: gas alone of the fossil types.
    fn california() -> Self {
        let usual =
            [("gas", 9_000.0), ("nuclear", 2_200.0), ("hydro", 2_500.0), ("wind", 2_000.0), ("oil", 30.0)];
        Self::of(HOUR, 24, &usual)
    }

    /// Changes each type in the last `count` periods.
    fn last(mut self, count: usize, change: impl Fn(usize, &str, f64) -> Option<f64>) -> Self {
        for (back, amounts) in self.periods.values_mut().rev().take(count).enumerate() {
            let found = std::mem::take(amounts);
            let changed = |(code, amount): (&'static str, Amount)| {
                Some((code, Amount { amount: change(back, code, amount.amount)?, ..amount }))
            };
            *amounts = found.into_iter().filter_map(changed).collect();
        }
        self
    }

    /// Sets a type in the period that begins `back` periods before the last one.
    fn with(mut self, back: usize, code: &'static str, amount: f64) -> Self {
        let period = self.periods.values_mut().rev().nth(back).unwrap();
        period.insert(code, amount_of(code, amount));
        self
    }

    /// How many periods before the last one the believed period lies, and whether it is doubtful.
    fn believed(&self) -> Option<(usize, bool)> {
        let believed = newest_complete(&self.periods, self.step)?;
        let back = self.periods.keys().rev().position(|at| *at == believed.at);
        Some((back.unwrap(), believed.is_doubtful))
    }
}

fn amount_of(code: &str, amount: f64) -> Amount {
    let (_, grams_per_kwh) = TYPES.into_iter().find(|(name, _)| *name == code).unwrap();
    Amount { amount, grams_per_kwh, is_solar: code == "solar" }
}

fn is_fossil(code: &str) -> bool {
    matches!(code, "lignite" | "coal" | "gas" | "oil")
}

#[test]
fn a_whole_mix_is_believed_at_once() {
    for series in [Series::germany(), Series::california(), Series::of(HOUR, 1, &[("wind", 5.0)])] {
        assert_eq!(series.believed(), Some((0, false)));
    }
    assert_eq!(Series::of(HOUR, 0, &[]).believed(), None);
    assert_eq!(Series::of(HOUR, 3, &[("wind", 0.0)]).believed(), None);
}

#[test]
fn types_that_are_published_later_are_waited_for() {
    // Wind is there up to now, all others ended two and a half hours before.
    for count in [1, 10, 50, 100] {
        let series = Series::germany().last(count, |_, code, amount| (code == "wind").then_some(amount));
        assert_eq!(series.believed(), Some((count, false)));
    }
    // One large type alone.
    for count in [1, 3, 20] {
        let series = Series::california().last(count, |_, code, amount| (code != "gas").then_some(amount));
        assert_eq!(series.believed(), Some((count, false)));
    }
    // Not a type that changes next to nothing.
    let series = Series::california().last(5, |_, code, amount| (code != "oil").then_some(amount));
    assert_eq!(series.believed(), Some((0, false)));
}

#[test]
fn zeros_in_place_of_what_is_not_known_are_no_data() {
    for count in [1, 3, 12] {
        let fossil = |_: usize, code: &str, amount| Some(if is_fossil(code) { 0.0 } else { amount });
        assert_eq!(Series::germany().last(count, fossil).believed(), Some((count, false)));
        assert_eq!(Series::california().last(count, fossil).believed(), Some((count, false)));
        assert_eq!(Series::california().last(count, |_, _, _| Some(0.0)).believed(), Some((count, false)));
    }
    // Also where a gap of the same kind lies behind.
    let gap =
        |back, code: &str, amount| Some(if code == "gas" && !(2..8).contains(&back) { 0.0 } else { amount });
    assert_eq!(Series::california().last(10, gap).believed(), Some((2, false)));
}

#[test]
fn a_part_of_a_type_is_no_whole() {
    let part = |back, code: &str, amount: f64| {
        Some(if is_fossil(code) && back < 2 { amount / 10.0 } else { amount })
    };
    assert_eq!(Series::california().last(2, part).believed(), Some((2, false)));
    let doubtful =
        |back, code: &str, amount: f64| Some(if code == "coal" && back < 1 { amount / 4.0 } else { amount });
    assert_eq!(Series::germany().last(1, doubtful).believed(), Some((0, true)));
}

#[test]
fn a_single_outlier_is_not_believed() {
    assert_eq!(Series::california().with(0, "wind", 40_000.0).believed(), Some((1, false)));
    assert_eq!(Series::california().with(0, "oil", 40_000.0).believed(), Some((1, false)));
    assert_eq!(Series::california().with(0, "solar", 40_000.0).believed(), Some((1, false)));
    assert_eq!(Series::germany().with(0, "wind", 90_000.0).believed(), Some((1, false)));
    // Once it is past, it spoils nothing.
    assert_eq!(Series::california().with(1, "gas", 90_000.0).believed(), Some((0, false)));
    assert_eq!(Series::california().with(5, "wind", 40_000.0).believed(), Some((0, false)));
    // What plants may do is believed, as an estimate.
    let (back, is_doubtful) = Series::germany().with(0, "lignite", 40_000.0).believed().unwrap();
    assert!(back == 1 || is_doubtful);
    let coal = Series::germany().with(0, "coal", 26_000.0).believed();
    assert_eq!(coal, Some((0, true)));
}

#[test]
fn the_sun_sets_and_rises() {
    // From noon on: the day before, the night, and this morning.
    let day = [9000.0, 8500.0, 7000.0, 4000.0, 1200.0, 60.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let morning = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 300.0, 3500.0, 7000.0, 8500.0, 9000.0];
    let sun: Vec<f64> = day.into_iter().chain(morning).collect();
    for with_zeros in [true, false] {
        let mut series = Series::california();
        for (amounts, megawatts) in series.periods.values_mut().zip(&sun) {
            if with_zeros || *megawatts > 0.0 {
                amounts.insert("solar", amount_of("solar", *megawatts));
            }
        }
        for left in 2..=24 {
            let periods =
                series.periods.iter().take(left).map(|(at, amounts)| (*at, amounts.clone())).collect();
            let part = Series { step: HOUR, periods };
            assert_eq!(part.believed(), Some((0, false)), "{left} hours, zeros {with_zeros}");
        }
    }
    // It does not set at noon.
    let series = Series::california();
    let bright = (1..24).fold(series, |series, back| series.with(back, "solar", 9000.0));
    assert_eq!(bright.believed(), Some((1, false)));
}

#[test]
fn plants_that_stand_still_are_an_estimate_where_that_is_known_of_them() {
    // A few that are reported as zero.
    let few = Series::of(HOUR, 24, &[("nuclear", 5_000.0), ("hydro", 1_000.0), ("gas", 200.0)]);
    let few = few.last(2, |_, code, amount| Some(if code == "gas" { 0.0 } else { amount }));
    assert_eq!(few.believed(), Some((0, true)));
    // A peaking plant, which stood still the night before as well.
    let peaking = Series::of(HOUR, 24, &[("hydro", 800.0), ("gas", 200.0)]);
    let nights = |back, code: &str, amount| {
        Some(if code == "gas" && (back < 2 || (10..14).contains(&back)) { 0.0 } else { amount })
    };
    assert_eq!(peaking.last(20, nights).believed(), Some((0, true)));
    // Power plants that were off all the time are not waited for.
    let off = Series::california().last(24, |_, code, amount| (code != "nuclear").then_some(amount));
    assert_eq!(off.believed(), Some((0, false)));
}

#[test]
fn ramps_of_plants_are_believed() {
    let ramp = |back: usize, code: &str, amount: f64| {
        Some(if code == "gas" { amount * (1.0 - 0.3 * (5 - back.min(5)) as f64 / 5.0) } else { amount })
    };
    assert_eq!(Series::germany().last(6, ramp).believed(), Some((0, false)));
    let doubled =
        |back, code: &str, amount: f64| Some(if code == "wind" && back < 1 { amount * 1.9 } else { amount });
    assert_eq!(Series::california().last(1, doubled).believed(), Some((0, false)));
    // After six hours, a fall is the new state.
    let fall = |_, code: &str, amount: f64| Some(if code == "gas" { amount / 10.0 } else { amount });
    assert_eq!(Series::california().last(5, fall).believed(), Some((5, false)));
    assert_eq!(Series::california().last(9, fall).believed(), Some((0, false)));
}
