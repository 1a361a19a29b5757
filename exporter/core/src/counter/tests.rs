use super::*;
use crate::reading::{Component, Domain, Place, Quality, Role};
use alloc::vec::Vec;
use core::time::Duration;
use proptest::prelude::*;

/// Intel's and, in 15.3 µJ, AMD's range: `max_energy_range_uj`.
const RANGE: u64 = 262_143_328_850;
const AMD: u64 = 65_532_610_987;

fn bounds(component: Component, role: Role) -> Bounds {
    Bounds::of(&Domain {
        meter: "rapl",
        name: "a".into(),
        component,
        role,
        place: Place::default(),
        quality: Quality::Measured,
        max_power: None,
        may_mirror: false,
        generation: 0,
    })
}

fn package() -> Bounds {
    bounds(Component::Cpu, Role::Part)
}

fn at(seconds: u64) -> Moment {
    Moment::from_boot(Duration::from_secs(seconds))
}

/// An instant after so many seconds awake, and so many asleep.
fn slept(awake: u64, asleep: u64) -> Moment {
    Moment::new(Duration::from_secs(awake + asleep), Duration::from_secs(awake))
}

fn joules(joules: f64) -> Energy {
    Energy::from_joules(joules)
}

fn of(range: u64, total: f64) -> Reading {
    Reading::Counter { total: joules(total), range: Energy::from_microjoules(range) }
}

fn wrapping(total: f64) -> Reading {
    of(RANGE, total)
}

/// A counter that has advanced at `watts` from `total`, a second at a time, up to second 10.
fn running(range: u64, total: f64, watts: f64) -> Counter {
    let mut counter = Counter::default();
    for second in 0..=10 {
        counter.advance(at(second), of(range, total + watts * (second as f64 - 10.0)), &package());
    }
    counter
}

fn doubt(step: Step) -> Option<Doubt> {
    match step {
        Step::Reset(left_out) => Some(left_out.doubt),
        _ => None,
    }
}

/// What these values of a package add, a second each after a counter that stood at 1000 J and drew 34 W.
fn after_1000(values: &[f64]) -> Vec<Step> {
    let mut counter = running(RANGE, 1000.0, 34.0);
    let seconds = 11..;
    seconds
        .zip(values)
        .map(|(second, value)| counter.advance(at(second), wrapping(*value), &package()))
        .collect()
}

fn sum(steps: &[Step]) -> f64 {
    steps.iter().map(|step| step.energy()).sum::<Energy>().joules()
}

#[test]
fn a_wrap_is_range_minus_previous_plus_current() {
    let mut counter = running(RANGE, 262_143.0, 80.0);
    let step = counter.advance(at(11), wrapping(79.671150), &package());
    assert_eq!(step, Step::Wrapped(joules(80.0)));
}

#[test]
fn a_client_part_draws_several_times_what_it_states() {
    for watts in [12.0, 34.4, 253.0, 420.0, 600.0, 1900.0] {
        let mut counter = Counter::default();
        let seconds = 0..=8;
        let steps: Vec<Step> =
            seconds.map(|at_| counter.advance(at(at_), wrapping(watts * at_ as f64), &package())).collect();
        assert!((sum(&steps) - 8.0 * watts).abs() < 0.01, "{watts} W: {steps:?}");
    }
    let psys = bounds(Component::Other, Role::Whole);
    let mut counter = Counter::default();
    counter.advance(at(0), wrapping(0.0), &psys);
    assert_eq!(counter.advance(at(1), wrapping(12_000.0), &psys), Step::Advanced(joules(12_000.0)));
}

#[test]
fn garbage_is_a_jump() {
    let mut counter = running(RANGE, 1000.0, 34.0);
    let step = counter.advance(at(11), wrapping(101_000.0), &package());
    let Step::Reset(left_out) = step else { panic!("{step:?}") };
    let values = Some((joules(1000.0), joules(101_000.0)));
    let time = Duration::from_secs(1);
    assert_eq!(left_out, LeftOut { doubt: Doubt::Jump, values, time, bound: Power::from_watts(3000.0) });
}

#[test]
fn long_intervals_count_as_long_as_no_turn_can_hide() {
    // A socket of AMD at 450 W, every 15 s: 6.75 kJ of 65.5 kJ.
    let mut counter = Counter::default();
    let mut told = Energy::ZERO;
    for tick in 0..40_u32 {
        let total = (f64::from(tick) * 6750.0) % (AMD as f64 / 1e6);
        told += counter.advance(at(u64::from(tick) * 15), of(AMD, total), &package()).energy();
    }
    assert!((told.joules() - 39.0 * 6750.0).abs() < 0.01, "{told}");
    // Stalls at a steady pace of a second.
    for (range, watts, stall) in [(AMD, 450.0, 20), (RANGE, 100.0, 60), (AMD, 100.0, 60), (RANGE, 28.0, 600)]
    {
        let mut counter = running(range, 1000.0, watts);
        let gain = watts * f64::from(stall);
        let step = counter.advance(at(10 + u64::from(stall as u32)), of(range, 1000.0 + gain), &package());
        assert_eq!(step, Step::Advanced(joules(gain)), "{watts} W for {stall} s");
    }
    let dram = bounds(Component::Dram, Role::Part);
    let mut counter = Counter::default();
    for second in (0..=45).step_by(15) {
        let step = counter.advance(at(second), of(65_712_999_613, 30.0 * second as f64), &dram);
        assert_eq!(step.energy(), joules(if second == 0 { 0.0 } else { 450.0 }));
    }
}

#[test]
fn a_turn_that_could_hide_is_ambiguous() {
    let mut counter = running(RANGE, 1000.0, 100.0);
    let step = counter.advance(at(48 * 3600), wrapping(1500.0), &package());
    assert_eq!(doubt(step), Some(Doubt::Ambiguous));
    assert!(!counter.keeps_open());
    // 1 kW for 60 s is a turn of AMD's counter, and nothing is known of the package.
    let mut counter = Counter::default();
    counter.advance(at(0), of(AMD, 0.0), &package());
    assert_eq!(doubt(counter.advance(at(90), of(AMD, 500.0), &package())), Some(Doubt::Ambiguous));
}

#[test]
fn a_total_never_wraps() {
    let total = |joules_| Reading::Total(joules(joules_));
    let mut counter = Counter::default();
    counter.advance(at(0), total(10_000.0), &package());
    assert_eq!(counter.advance(at(1), total(10_009.0), &package()), Step::Advanced(joules(9.0)));
    assert_eq!(doubt(counter.advance(at(2), total(9.0), &package())), Some(Doubt::Fall));
    // A range that becomes known makes no other counter of it.
    let mut counter = Counter::default();
    counter.advance(at(0), total(10.0), &package());
    assert_eq!(counter.advance(at(1), wrapping(19.0), &package()), Step::Advanced(joules(9.0)));
}

#[test]
fn a_counter_that_updates_seldom_may_gain_at_once() {
    let mut counter = Counter::default();
    for second in 0..10 {
        counter.advance(at(second), wrapping(7.0), &package());
    }
    let step = counter.advance(at(10), wrapping(10_007.0), &package());
    assert_eq!(step, Step::Advanced(joules(10_000.0)));
}

#[test]
fn power_is_integrated_over_the_time_awake() {
    let watts = |watts| Reading::Power(Power::from_watts(watts));
    let mut counter = Counter::default();
    counter.advance(at(0), watts(80.0), &package());
    assert_eq!(counter.advance(at(4), watts(50.0), &package()), Step::Advanced(joules(200.0)));
    assert_eq!(counter.advance(slept(6, 3600), watts(50.0), &package()), Step::Advanced(joules(100.0)));
    // 0xffff is no power of a card.
    assert_eq!(doubt(counter.advance(slept(7, 3600), watts(65_535.0), &package())), Some(Doubt::Jump));
    assert_eq!(counter.advance(slept(8, 3600), watts(50.0), &package()), Step::Advanced(joules(50.0)));
}

#[test]
fn a_fall_across_a_sleep_is_a_start_from_zero() {
    // 28 W, at 201 kJ; asleep for a minute and for a night; then the counter shows what was used since.
    for asleep in [60, 8 * 3600] {
        let mut counter = running(RANGE, 201_000.0, 28.0);
        let step = counter.advance(slept(11, asleep), wrapping(30.0), &package());
        assert_eq!(step, Step::Restarted(joules(30.0)), "{asleep} s asleep");
        let step = counter.advance(slept(12, asleep), wrapping(58.0), &package());
        assert_eq!(step, Step::Advanced(joules(28.0)));
    }
    // Even where a turn would explain the fall.
    let mut counter = running(RANGE, 262_130.0, 28.0);
    assert_eq!(counter.advance(slept(11, 60), wrapping(20.0), &package()), Step::Restarted(joules(20.0)));
    // The machine ran for a while before the image of a hibernation was loaded: that was nobody's.
    let mut counter = running(RANGE, 201_000.0, 28.0);
    assert_eq!(doubt(counter.advance(slept(11, 60), wrapping(1500.0), &package())), Some(Doubt::Fall));
    assert_eq!(counter.advance(slept(12, 60), wrapping(1528.0), &package()), Step::Advanced(joules(28.0)));
}

#[test]
fn a_counter_that_sleep_did_not_reset_counts_on() {
    // Suspended to idle, a watt for a night: no turn can hide in that.
    let mut counter = running(RANGE, 201_000.0, 28.0);
    let step = counter.advance(slept(11, 8 * 3600), wrapping(229_828.0), &package());
    assert_eq!(step, Step::Advanced(joules(28_828.0)));
    // Sleep hides no garbage either.
    let mut counter = running(RANGE, 1000.0, 28.0);
    assert_eq!(doubt(counter.advance(slept(11, 60), wrapping(101_000.0), &package())), Some(Doubt::Jump));
}

#[test]
fn a_zero_between_good_readings_is_counted_once() {
    // Once, twice and for long; a torn value; a torn one, then another; a huge one; one that falls further.
    let between: [&[f64]; 8] =
        [&[0.0], &[0.0, 0.0], &[0.0; 30], &[10.0], &[1.0, 106.0], &[101_000.0], &[106.0, 0.0], &[1.0, 10.0]];
    for values in between {
        let back = 1000.0 + 34.0 * (values.len() as f64 + 1.0);
        let steps = after_1000(&[values, &[back, back + 34.0]].concat());
        assert!((sum(&steps) - (back + 34.0 - 1000.0)).abs() < 0.001, "{values:?}: {steps:?}");
        assert!(steps.iter().any(|step| doubt(*step).is_some()), "{values:?} is said: {steps:?}");
    }
}

#[test]
fn a_counter_that_starts_over_counts_on() {
    let steps = after_1000(&[5.0, 39.0, 73.0, 107.0]);
    assert_eq!(doubt(steps[0]), Some(Doubt::Fall));
    assert_eq!(steps[1..], [Step::Advanced(joules(34.0)); 3], "at a power that is known");
    let steps = after_1000(&[5.0, 205.0, 405.0, 605.0]);
    assert_eq!(steps[1..], [Step::Held, Step::Advanced(joules(400.0)), Step::Advanced(joules(200.0))]);
    // Past the old value, too, however small that was.
    let mut counter = running(RANGE, 400.0, 34.0);
    let values = (0..30).map(|second| (11 + second, 34.0 * second as f64));
    let steps: Vec<Step> =
        values.map(|(second, value)| counter.advance(at(second), wrapping(value), &package())).collect();
    assert!((sum(&steps) - 29.0 * 34.0).abs() < 0.001, "{steps:?}");
    // Idle at first.
    let steps = after_1000(&[0.0, 0.0, 0.0, 34.0, 68.0, 102.0]);
    assert!((sum(&steps) - 102.0).abs() < 0.001, "{steps:?}");
}

#[test]
fn a_leap_that_stays_is_left_out() {
    let steps = after_1000(&[41_000.0, 41_034.0, 41_068.0, 41_102.0]);
    assert_eq!(doubt(steps[0]), Some(Doubt::Jump));
    assert!((sum(&steps) - 102.0).abs() < 0.001, "{steps:?}");
    // It stands still for so long that the leap would be possible.
    let mut steps = after_1000(&[&[41_000.0; 300][..], &[41_034.0, 41_068.0]].concat());
    assert!((sum(&steps) - 68.0).abs() < 0.001, "{:?}", steps.split_off(298));
}

#[test]
fn an_interval_stays_open_until_it_is_sure() {
    let mut counter = running(RANGE, 1000.0, 34.0);
    counter.advance(at(11), wrapping(0.0), &package());
    assert!(counter.keeps_open());
    counter.advance(at(12), wrapping(1068.0), &package());
    assert!(!counter.keeps_open());
    // But not for long.
    for second in 13..40 {
        counter.advance(at(second), wrapping(0.0), &package());
    }
    assert!(!counter.keeps_open());
}

/// Values as a broken meter may show them for some readings. Those that climb again and again are a counter.
fn garbage() -> impl Strategy<Value = Vec<u64>> {
    let value = prop_oneof![Just(0), 0..1_000_u64, 0..RANGE / 2];
    prop::collection::vec(value, 0..4).prop_map(|mut values| {
        values.get_mut(1..).unwrap_or_default().sort_unstable_by(|one, other| other.cmp(one));
        values
    })
}

proptest! {
    /// Whatever the true power of a real part, the counter tells the true energy, through any number of wraps.
    #[test]
    fn the_truth_comes_out(start in 0..RANGE, gains in prop::collection::vec(0..400_000_000_u64, 1..1000)) {
        let mut counter = Counter::default();
        let (mut raw, mut told, mut truth) = (start, Energy::ZERO, Energy::ZERO);
        counter.advance(at(0), of(RANGE, 0.0).at(raw), &package());
        for (second, gain) in gains.into_iter().enumerate() {
            // What `range − previous + current` undoes: the value after `range` is 0, and `range` itself is 0.
            raw = (raw + gain) % RANGE;
            truth += Energy::from_microjoules(gain);
            told += counter.advance(at(second as u64 + 1), of(RANGE, 0.0).at(raw), &package()).energy();
        }
        prop_assert_eq!(told, truth);
    }

    /// Garbage between good readings adds nothing and takes nothing away.
    #[test]
    fn garbage_adds_and_takes_nothing(
        start in 20_000_000_000..150_000_000_000_u64,
        rounds in prop::collection::vec((garbage(), 4..20_u64, 5_000_000..80_000_000_u64), 1..10),
    ) {
        let mut counter = Counter::default();
        let (mut second, mut raw, mut told) = (0, start, Energy::ZERO);
        let mut read = |second: u64, raw: u64| counter.advance(at(second), of(RANGE, 0.0).at(raw), &package()).energy();
        told += read(0, raw);
        for (values, good, power) in rounds {
            for value in values {
                (second, raw) = (second + 1, raw + power);
                // What is near the truth, or grows like a counter, is no garbage.
                let far = value < raw / 2 || value > raw + 20_000_000_000;
                told += read(second, if far { value } else { 0 });
            }
            for _ in 0..good {
                (second, raw) = (second + 1, raw + power);
                told += read(second, raw);
            }
        }
        prop_assert_eq!(told.microjoules(), raw - start);
    }

    /// No sequence of values makes it panic or tell more than is plausible.
    #[test]
    fn never_more_than_plausible(values in prop::collection::vec((any::<u64>(), any::<u64>(), 0..1000_u64, 0..100_u64), 2..50)) {
        let mut counter = Counter::default();
        let (mut awake, mut asleep) = (0, 0);
        for (total, range, seconds, sleeps) in values {
            let reading = of(range, 0.0).at(total);
            (awake, asleep) = (awake + seconds, asleep + sleeps);
            let told = counter.advance(slept(awake, asleep), reading, &package()).energy();
            let most = package().most.during(Duration::from_secs(awake)) + ASLEEP.during(Duration::from_secs(asleep));
            prop_assert!(told <= most);
        }
    }
}

impl Reading {
    fn at(self, microjoules: u64) -> Self {
        match self {
            Self::Counter { range, .. } => {
                Self::Counter { total: Energy::from_microjoules(microjoules), range }
            }
            other => other,
        }
    }
}
