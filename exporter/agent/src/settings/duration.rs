//! Durations as Prometheus writes them: `1m30s`, `150s`, `100ms`.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/>: units in descending order, each at
//! most once, no sign, no fraction; `0` alone needs no unit.

use std::time::Duration;

/// The units, in descending order, with their milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest, which is also that of Prometheus: 2^63 ns, 292 years. Sums with instants cannot overflow.
const LONGEST: u64 = i64::MAX as u64 / 1_000_000;

/// Reads a duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    milliseconds(text).map(Duration::from_millis).ok_or_else(|| {
        "is not a duration such as 1m30s (whole numbers, each with one of the units y, w, d, h, m, s, ms in this order, \
         292y at most)"
            .into()
    })
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut units = UNITS.iter();
    let mut rest = Some(text).filter(|text| !text.is_empty())?;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let length = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        // What was passed over is used up: that keeps the order and refuses a second `s`.
        let (_, size) = units.find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*size)?)?;
        rest = after;
    }
    (sum <= LONGEST).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(mut milliseconds: u64) -> String {
        let mut text = String::new();
        for (unit, size) in UNITS {
            if milliseconds >= size {
                text += &format!("{}{unit}", milliseconds / size);
                milliseconds %= size;
            }
        }
        if text.is_empty() { "0".into() } else { text }
    }

    #[test]
    fn durations_are_those_of_prometheus() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("100ms", 100),
            ("1m30s", 90_000),
            ("150s", 150_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
            ("1y", 31_536_000_000),
            ("1h1ms", 3_600_001),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            " ",
            "1",
            "s",
            "00",
            "1.5h",
            "-1s",
            "+1s",
            "1 s",
            " 1s",
            "1s ",
            "1S",
            "1s1m",
            "1s1s",
            "1m1h",
            "1µs",
            "300y",
            "99999999999999999999s",
            "1s2",
            "5min",
            "٣s",
            "ms1",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(milliseconds in 0..=LONGEST) {
            prop_assert_eq!(duration(&written(milliseconds)), Ok(Duration::from_millis(milliseconds)));
        }

        #[test]
        fn nothing_panics(text in "[0-9ywdhms. ]{0,12}|.{0,12}") {
            let _ = duration(&text);
        }
    }
}
