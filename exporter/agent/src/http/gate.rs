//! Who is let in to a request: by the rate limit, then by user and password, as the web configuration has it now.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use tokio::time::Instant;

use super::verifier::{Unchecked, Verifier};
use crate::web_config::{Bucket, Live, WebConfig};

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No user, or a wrong password.
    Unauthorized,
    /// Beyond the rate limit.
    TooMany,
    /// Too many passwords wait for being checked.
    Busy,
    /// Its address sent too many wrong passwords: for this long none is checked.
    Limited(Duration),
}

/// The gate.
pub(super) struct Gate {
    live: Option<Arc<Live>>,
    bucket: Mutex<Bucket>,
    verifier: Verifier,
}

impl Gate {
    pub(super) fn new(live: Option<Arc<Live>>) -> Self {
        Self { live, bucket: Mutex::default(), verifier: Verifier::new() }
    }

    /// What holds now; `None` where there is no configuration.
    pub(super) fn config(&self) -> Option<Arc<WebConfig>> {
        self.live.as_ref().map(|live| live.current())
    }

    pub(super) async fn admit(
        &self,
        config: &WebConfig,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<(), Refusal> {
        if let Some(rate) = config.rate
            && !self.bucket.lock().unwrap_or_else(PoisonError::into_inner).admit(rate, Instant::now())
        {
            return Err(Refusal::TooMany);
        }
        if config.users.is_empty() {
            return Ok(());
        }
        let (user, password) = credentials(headers).ok_or(Refusal::Unauthorized)?;
        match self.verifier.verify(&config.users, &user, password, peer).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Unauthorized),
            Err(Unchecked::Busy) => Err(Refusal::Busy),
            Err(Unchecked::Limited(pause)) => Err(Refusal::Limited(pause)),
        }
    }
}

/// User and password of basic authentication (RFC 7617).
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at_checked(colon)?;
    Some((String::from_utf8(user.into()).ok()?, password.get(1..)?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_as_they_are_sent() {
        let of = |value: &str| credentials(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]));
        let expected = |user: &str, password: &str| Some((user.to_owned(), password.as_bytes().to_vec()));
        assert_eq!(of("Basic YWxpY2U6c2VjcmV0"), expected("alice", "secret"));
        assert_eq!(of("bAsIc YWxpY2U6YTpiOmM="), expected("alice", "a:b:c"));
        assert_eq!(of("Basic Og=="), expected("", ""));
        for wrong in [
            "Basic",
            "Basic ",
            "Bearer YWxpY2U6c2VjcmV0",
            "Basic YWxpY2U=",
            "Basic !",
            "YWxpY2U6c2VjcmV0",
            "Basic /zph",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(credentials(&HeaderMap::new()), None);
    }
}
