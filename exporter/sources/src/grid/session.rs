//! A login shared by all zones of a provider: one token for all, fetched anew before it ends.

use std::time::Duration;

use reqwest::Client;

use super::credential::Secret;
use super::failure::Failure;
use super::provider::Login;
use super::web::fetch;

/// What came of the last login.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    credential: Option<Secret>,
    token: Option<(Secret, Duration)>,
    refused: Option<(Failure, Duration)>,
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
            .map_err(|failure| failure.without(Some(door.credential)));
        match &token {
            Ok(token) => self.token = Some((token.clone(), clock.saturating_add(door.login.valid))),
            Err(failure) => self.refused = Some((failure.clone(), clock.saturating_add(door.cadence))),
        }
        token
    }

    /// Gives up the token, if it is still `used`.
    pub(super) fn forget(&mut self, used: Option<&Secret>) {
        if self.token.as_ref().map(|(token, _)| token) == used {
            self.token = None;
        }
    }
}
