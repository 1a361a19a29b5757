//! A login shared by all zones of a provider: one token for all, fetched anew before it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Client;

use super::credential::Secret;
use super::failure::{Failure, Reason};
use super::provider::Login;
use super::web::fetch;

/// What came of the last login.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    credential: Option<Secret>,
    token: Option<(Secret, Duration)>,
    refused: Option<(Failure, Duration)>,
    /// What the account may not see, as a new token has shown.
    forbidden: BTreeSet<String>,
}

/// A login to make.
pub(super) struct Door<'a> {
    /// How.
    pub(super) login: &'a Login,
    /// Where.
    pub(super) url: &'a str,
    /// With what.
    pub(super) credential: &'a Secret,
    /// How long a failed one is not tried again: it would fail for each zone.
    pub(super) cadence: Duration,
}

impl Session {
    /// The token to show at `clock`; `count` is called where that takes a request.
    pub(super) async fn token(
        &mut self,
        client: &Client,
        door: Door<'_>,
        clock: Duration,
        count: impl Fn(),
    ) -> Result<Secret, Failure> {
        if self.credential.as_ref() != Some(door.credential) {
            *self = Self { credential: Some(door.credential.clone()), ..Self::default() };
        }
        if let Some((token, _)) = self.token.as_ref().filter(|(_, end)| clock < *end) {
            return Ok(token.clone());
        }
        if let Some((failure, _)) = self.refused.as_ref().filter(|(_, end)| clock < *end) {
            return Err(failure.clone());
        }
        count();
        let request = (door.login.request)(door.url, door.credential)?;
        let answer = fetch(client, request).await;
        let token = answer
            .and_then(|answer| (door.login.parse)(&answer.body))
            .map_err(|failure| of_login(failure).without(Some(door.credential)));
        match &token {
            Ok(token) => self.token = Some((token.clone(), clock.saturating_add(door.login.valid))),
            Err(failure) => self.refused = Some((failure.clone(), clock.saturating_add(door.cadence))),
        }
        token
    }

    /// Whether a new login may help after a request for `code` was refused for `reason`: a token that ended early is
    /// refused with 401 or 403, but 403 also says that the account's plan lacks a region.
    pub(super) fn may_help(&self, code: &str, reason: Reason) -> bool {
        match reason {
            Reason::Unauthorized => true,
            Reason::Forbidden => !self.forbidden.contains(code),
            _ => false,
        }
    }

    /// Notes whether `code` is forbidden to a token that is new.
    pub(super) fn note(&mut self, code: &str, is_forbidden: bool) {
        if is_forbidden {
            self.forbidden.insert(code.to_owned());
        } else {
            self.forbidden.remove(code);
        }
    }

    /// Gives up the token, if it is still `used`.
    pub(super) fn forget(&mut self, used: Option<&Secret>) {
        if self.token.as_ref().map(|(token, _)| token) == used {
            self.token = None;
        }
    }
}

/// A refusal to log in is about the credential alone: nothing else was asked for.
fn of_login(mut failure: Failure) -> Failure {
    if failure.reason == Reason::Forbidden {
        failure.reason = Reason::Unauthorized;
    }
    failure
}
