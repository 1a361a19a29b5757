//! What tests of providers share, and the asking against servers of this machine that behave badly.

use std::sync::LazyLock;
use std::time::Duration;

use super::{Asked, Failure, Quote, Reason, Secret};

/// The zone with `code`, on 2018-01-20 at noon, at a server that is not there.
pub(super) fn asked(code: &str) -> Asked<'_> {
    static TOKEN: LazyLock<Secret> = LazyLock::new(|| Secret::new("t0ken"));
    let url = "https://host.org.uk";
    Asked { url, code, secret: Some(&TOKEN), now: Duration::from_secs(1_516_449_600) }
}

/// The only quote, and its grams.
pub(super) fn only(quotes: Result<Vec<Quote>, Failure>) -> (f64, Quote) {
    let quotes = quotes.unwrap();
    assert_eq!(quotes.len(), 1, "{quotes:?}");
    (quotes[0].observation.intensity.grams_per_kwh(), quotes[0])
}

/// Why there is none.
pub(super) fn fault(quotes: Result<Vec<Quote>, Failure>) -> Reason {
    quotes.unwrap_err().reason
}
