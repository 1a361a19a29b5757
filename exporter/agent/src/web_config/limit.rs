//! How often may be asked: a token bucket over all requests, as the toolkit has it.

use std::time::Duration;

use tokio::time::Instant;

use super::Fault;
use super::section::Section;

/// Nobody scrapes more seldom; what is beyond is a slip of the unit.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// One request each `interval`, and `burst` at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Above zero.
    pub interval: Duration,
    /// At least 1.
    pub burst: u32,
}

/// Reads `rate_limit`.
pub(super) fn rate(root: &Section<'_>) -> Result<Option<Rate>, Fault> {
    let section = root.below("rate_limit", "rate_limit", &["interval", "burst"])?;
    let burst = section.plain("burst", "a number")?;
    let number = burst.map(|spot| {
        let number = spot.text.parse::<u32>().ok().filter(|number| *number > 0);
        number.ok_or_else(|| spot.fault(&format!("{:?} is not a whole number from 1 on", spot.text)))
    });
    let number = number.transpose()?;
    let Some(spot) = section.text("interval")? else {
        return match burst {
            Some(burst) => {
                Err(burst.fault("has no effect without interval; give it one, such as interval: 1s"))
            }
            None => Ok(None),
        };
    };
    let interval = duration(spot.text).ok_or_else(|| {
        spot.fault(&format!("{:?} is not a duration such as 1s, 1.5s or 100ms, up to 24h", spot.text))
    })?;
    if interval.is_zero() {
        return Ok(None);
    }
    let burst =
        number.ok_or_else(|| spot.fault("lets nobody in without burst; give it one, such as burst: 20"))?;
    Ok(Some(Rate { interval, burst }))
}

/// Reads a duration as Go writes it: `1h30m`, `1.5s`, `100ms`, `0`.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit)?;
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    let duration = Duration::try_from_secs_f64(seconds).ok();
    duration.filter(|duration| !text.is_empty() && *duration <= LONGEST)
}

/// The bucket of a [`Rate`]. Instants are arguments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// When it will be full again.
    full: Option<Instant>,
}

impl Bucket {
    /// Takes a token, where there is one.
    pub fn admit(&mut self, rate: Rate, now: Instant) -> bool {
        let full = self.full.map_or(now, |full| full.max(now));
        let missing = full.saturating_duration_since(now);
        let admitted = missing.saturating_add(rate.interval) <= rate.interval.saturating_mul(rate.burst);
        if admitted {
            self.full = full.checked_add(rate.interval);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_of_go() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("1s", 1000),
            ("1.5s", 1500),
            ("1m30s", 90_000),
            ("100ms", 100),
            ("24h", 86_400_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "1",
            "5",
            "-1s",
            "s",
            "1 s",
            "1d",
            "1s2",
            ".",
            ".s",
            "1..5s",
            "25h",
            "1e3s",
            "\u{b5}",
            "9".repeat(400).as_str(),
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let rate = Rate { interval: Duration::from_secs(1), burst: 3 };
        let mut at = |milliseconds| bucket.admit(rate, start + Duration::from_millis(milliseconds));
        assert_eq!([at(0), at(0), at(0), at(0)], [true, true, true, false]);
        assert_eq!([at(999), at(1000), at(1001)], [false, true, false]);
        assert_eq!([at(60_000), at(60_000), at(60_000), at(60_000)], [true, true, true, false]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in r"[0-9.nuµmsh]{0,12}|.{0,8}") {
            let _ = duration(&text);
        }

        #[test]
        fn never_more_than_the_rate(gaps in prop::collection::vec(0u64..2000, 1..200), burst in 1u32..5) {
            let (mut bucket, start) = (Bucket::default(), Instant::now());
            let rate = Rate { interval: Duration::from_secs(1), burst };
            let (mut now, mut admitted) = (0, 0);
            for gap in gaps {
                now += gap;
                admitted += u64::from(bucket.admit(rate, start + Duration::from_millis(now)));
                prop_assert!(admitted <= now / 1000 + u64::from(burst));
            }
        }
    }
}
