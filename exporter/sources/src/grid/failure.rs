//! Why a provider brought nothing: a small fixed set of reasons, each with its mend.

use std::fmt;
use std::time::Duration;

use super::credential::Secret;

/// So many characters of an answer are shown.
const SHOWN: usize = 80;

/// Why asking a provider brought nothing: the `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No answer in time.
    Timeout,
    /// No connection: the name is unknown, nobody listens, or a proxy refused.
    Connect,
    /// The other side could not prove who it is.
    Tls,
    /// The connection or file ended or failed within the answer.
    Interrupted,
    /// The credential was not accepted.
    Unauthorized,
    /// The credential is good, but not for this.
    Forbidden,
    /// The zone or the address does not exist there.
    NotFound,
    /// Asked too often.
    RateLimited,
    /// The provider failed (5xx).
    Server,
    /// Any other status than success.
    Status,
    /// The answer is not what the provider's documentation says.
    Malformed,
    /// A right answer, without a value for this zone.
    NoData,
    /// A right answer, with a value that is too old.
    Stale,
    /// A value from the future, or one that is old because the clocks differ.
    Clock,
    /// The credential could not be read.
    Credential,
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 15] = [
        Self::Timeout,
        Self::Connect,
        Self::Tls,
        Self::Interrupted,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::RateLimited,
        Self::Server,
        Self::Status,
        Self::Malformed,
        Self::NoData,
        Self::Stale,
        Self::Clock,
        Self::Credential,
    ];

    /// The value of the `reason` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Interrupted => "interrupted",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::NoData => "no_data",
            Self::Stale => "stale",
            Self::Clock => "clock",
            Self::Credential => "credential",
        }
    }

    /// What to do about it.
    pub const fn mend(self) -> &'static str {
        match self {
            Self::Timeout | Self::Connect => {
                "check --grid.url, the network policy, and HTTPS_PROXY and NO_PROXY"
            }
            Self::Tls => {
                "check the system's CA certificates (SSL_CERT_FILE names another bundle) and this machine's clock"
            }
            Self::Interrupted | Self::Server => "it is tried again later; nothing to do unless it lasts",
            Self::Unauthorized => {
                "write a valid credential into the file of --grid.token-file: it is read anew each time"
            }
            Self::Forbidden => {
                "check that the account's plan includes this zone and that the file may be read"
            }
            Self::NotFound => "check --grid.zone and --grid.url",
            Self::RateLimited => {
                "ask for fewer zones, let one noether grid ask for all nodes, or take a larger plan"
            }
            Self::Status | Self::Malformed => "check --grid.url, and whether a proxy answers in its place",
            Self::NoData => {
                "the shipped average stands in meanwhile; check --grid.zone if it lasts for more than some hours"
            }
            Self::Stale => {
                "raise --grid.max-age if the provider is always that late; newer periods without a usual type of generation are not used"
            }
            Self::Clock => "set this machine's clock, by NTP for instance",
            Self::Credential => "name a readable file that holds the credential by --grid.token-file",
        }
    }
}

/// One attempt that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// What was expected and what was found.
    pub text: String,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The reason that the provider gave for a refusal; empty where it gave none.
    pub explanation: String,
}

impl Failure {
    /// For `reason`, explained by `text`.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), retry_after: None, explanation: String::new() }
    }

    /// `found` stood where `expected` should have been.
    pub fn malformed(expected: &str, found: &[u8]) -> Self {
        Self::new(Reason::Malformed, format!("expected {expected}, found {:?}", shown(found)))
    }

    /// The same, with nothing secret in it: an answer may repeat what it was asked.
    #[must_use]
    pub fn without(mut self, secret: Option<&Secret>) -> Self {
        if let Some(secret) = secret {
            self.text = secret.hidden_in(&self.text);
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.text, self.reason.mend())
    }
}

impl std::error::Error for Failure {}

/// The begin of what was found, as one line.
pub(super) fn shown(found: &[u8]) -> String {
    // Four bytes make the longest character; more than that need not be looked at.
    let begin = found.get(..found.len().min(SHOWN * 4)).unwrap_or(found);
    let text = String::from_utf8_lossy(begin);
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(SHOWN) {
        words.truncate(end);
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn reasons_are_listed_once_each_and_in_order() {
        assert!(Reason::ALL.is_sorted());
        let labels: BTreeSet<_> = Reason::ALL.into_iter().map(Reason::label).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
    }

    #[test]
    fn what_was_found_is_short_and_one_line() {
        assert_eq!(shown(b"<html>\n  <body>"), "<html> <body>");
        assert_eq!(shown("é".repeat(500).as_bytes()).chars().count(), SHOWN + 1);
        assert_eq!(shown(&[0xff; 3]), "\u{fffd}\u{fffd}\u{fffd}");
    }
}
