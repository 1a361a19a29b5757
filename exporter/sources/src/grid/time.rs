//! Instants as providers write them, as time since the begin of 1970.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// An instant in ISO 8601, seconds and minutes optional; without an offset it is UTC. `None` before 1970.
pub(super) fn instant(text: &str) -> Option<Duration> {
    let text = text.trim();
    let utc = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    since_epoch(text.parse::<Timestamp>().ok().or_else(utc)?)
}

/// An instant as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(text: &str) -> Option<Duration> {
    since_epoch(rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?)
}

/// What `Retry-After` asks for: seconds, or an instant.
pub(super) fn retry_after(text: &str, now: Duration) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    seconds.or_else(|| http_date(text).map(|at| at.saturating_sub(now)))
}

/// `at` in the format of `strftime`, in UTC; empty where no calendar has it.
pub(super) fn written(at: Duration, format: &str) -> String {
    let seconds = i64::try_from(at.as_secs()).ok();
    let timestamp = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.map(|timestamp| timestamp.strftime(format).to_string()).unwrap_or_default()
}

fn since_epoch(timestamp: Timestamp) -> Option<Duration> {
    Duration::try_from(timestamp.as_duration()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_as_providers_write_them() {
        let noon = Duration::from_secs(1_516_449_600);
        for text in [
            "2018-01-20T12:00Z",
            "2018-01-20T12:00:00Z",
            "2018-01-20T12:00:00.000Z",
            "2018-01-20T13:00:00+01:00",
            "2018-01-20T12:00:00+00:00",
            "2018-01-20T12",
            "2018-01-20 12:00",
        ] {
            assert_eq!(instant(text), Some(noon), "{text}");
        }
        assert_eq!(written(noon, "%Y%m%d%H%M"), "201801201200");
        for wrong in ["", "null", "yesterday", "1969-12-31T23:00Z", "2018-13-01T00:00Z", "12:00"] {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Duration::from_secs(784_111_777);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:51:37 GMT", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        for wrong in ["soon", "-1", "", "1.5"] {
            assert_eq!(retry_after(wrong, now), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}", at: Duration) {
            let _ = (instant(&text), http_date(&text), retry_after(&text, at), written(at, "%Y%m%d%H%M"));
        }
    }
}
