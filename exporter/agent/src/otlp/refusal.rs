//! Why a request did not arrive, and whether to try again.

use std::time::Duration;

/// Why, as the label `reason` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Nobody there, or nobody that may be trusted.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The credentials are missing or wrong.
    Unauthorized,
    /// The receiver has too much to do.
    Busy,
    /// The receiver does not take it.
    Refused,
}

impl Reason {
    /// All of them, in the order of their discriminants.
    pub(super) const ALL: [Self; 5] =
        [Self::Unreachable, Self::Timeout, Self::Unauthorized, Self::Busy, Self::Refused];

    /// The label.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Busy => "busy",
            Self::Refused => "refused",
        }
    }
}

/// What came instead of an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Why.
    pub(super) reason: Reason,
    /// What was found.
    pub(super) text: String,
    /// Whether the same request may arrive later.
    pub(super) passing: bool,
    /// When the receiver wants to be asked again, where it says.
    pub(super) after: Option<Duration>,
}

impl Refusal {
    /// One that may pass.
    pub(super) fn passing(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), passing: true, after: None }
    }

    /// One that will not.
    pub(super) fn lasting(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), passing: false, after: None }
    }
}

/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_millis(500);

/// How long to wait before try number `again`, which counts from 1: twice as long each time, between half and all of it by
/// `chance`, a number from 0 to 1, so that a cluster's nodes do not all come back at once.
pub(super) fn pause(again: u32, refusal: &Refusal, chance: f64) -> Duration {
    let whole = FIRST.saturating_mul(1 << again.saturating_sub(1).min(10)).min(LONGEST);
    let own = whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
    own.max(refusal.after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_obey_the_receiver() {
        let plain = Refusal::passing(Reason::Busy, "x");
        let pauses: Vec<_> = (1..=7).map(|again| pause(again, &plain, 1.0).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(pause(1, &plain, 0.0), Duration::from_millis(250));
        assert_eq!(pause(u32::MAX, &plain, 7.0), LONGEST);
        let asked = Refusal { after: Some(Duration::from_secs(20)), ..plain };
        assert_eq!(pause(1, &asked, 0.5), Duration::from_secs(20));
    }
}
