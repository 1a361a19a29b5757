//! Requests to the kubelet and the API server: verified, with a token that is read anew for each.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::failure::Failure;
use super::object::or_empty;
use crate::regular;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);

/// Until a whole list is there.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// More than the pods of any machine.
const LONGEST: usize = 64 << 20;

/// The largest file of a token, in bytes.
const LONGEST_TOKEN: u64 = 64 << 10;

/// A server, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Up to the path, without a slash at the end.
    pub(super) url: String,
    pub(super) token_file: PathBuf,
    /// Who vouches for it. Where there is no such file: whoever this machine trusts.
    pub(super) ca_file: PathBuf,
}

/// A list of pods, each still in JSON.
#[derive(Debug, Deserialize)]
pub(super) struct List<'a> {
    #[serde(default)]
    pub(super) metadata: Versioned,
    #[serde(default, borrow, deserialize_with = "or_empty")]
    pub(super) items: Vec<&'a RawValue>,
}

/// The one field of any metadata that a watch needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Versioned {
    #[serde(deserialize_with = "or_empty")]
    pub(super) resource_version: String,
}

impl Server {
    /// A client, with what the file of certificates holds now.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        // A second call changes nothing: whichever provider of cryptography is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("noether/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            // A redirect to another host would carry the token there; so would a proxy see who asks for what.
            .redirect(redirect::Policy::none())
            .no_proxy();
        if self.ca_file.exists() {
            builder = builder.tls_certs_only(certificates(&self.ca_file)?);
        }
        builder.build().map_err(|error| Failure::Broken(chain(&error)))
    }

    /// Asks for `path`; the answer's head is there, and says that all is well.
    pub(super) async fn get(&self, client: &Client, path: &str) -> Result<Response, Failure> {
        let mut request = client.get(format!("{}{path}", self.url));
        // What goes in the clear goes without the token.
        if self.url.starts_with("https://")
            && let Some(token) = self.token()?
        {
            request = request.header(AUTHORIZATION, token);
        }
        let answer = within(request.send()).await?.map_err(|error| Failure::Broken(chain(&error)))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let said = within(body(answer)).await.and_then(|body| body).unwrap_or_default();
        Err(refusal(status, &said))
    }

    /// Asks for `path` and waits for the whole answer.
    pub(super) async fn fetch(&self, client: &Client, path: &str) -> Result<Vec<u8>, Failure> {
        let answer = self.get(client, path).await?;
        within(body(answer)).await?
    }

    /// The token as it is now: the kubelet replaces the file before it expires.
    fn token(&self) -> Result<Option<HeaderValue>, Failure> {
        let said = |what: &dyn std::fmt::Display| format!("{}: {what}", self.token_file.display());
        if !self.token_file.exists() {
            return Ok(None);
        }
        let token =
            regular::read(&self.token_file, LONGEST_TOKEN).map_err(|error| Failure::Refused(said(&error)))?;
        let token = String::from_utf8(token).map_err(|_| Failure::Malformed(said(&"is not UTF-8")))?;
        let mut header = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| Failure::Malformed(said(&"holds no token")))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

/// Reads a list of pods.
pub(super) fn list(body: &[u8]) -> Result<List<'_>, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Malformed(format!("no list of pods: {error}")))
}

async fn body(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| Failure::Broken(chain(&error)))? {
        if body.len() + chunk.len() > LONGEST {
            return Err(Failure::Malformed(format!("an answer of more than {LONGEST} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let said = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let text = regular::read(path, LONGEST as u64).map_err(|error| Failure::Refused(said(&error)))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|error| Failure::Malformed(said(&error)))?;
    if found.is_empty() {
        return Err(Failure::Malformed(said(&"holds no certificate")));
    }
    Ok(found)
}

/// What an answer that is no success means. Kubernetes says why in a `Status`, the kubelet in plain words.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    let plain = || String::from_utf8_lossy(body).into_owned();
    let why = serde_json::from_slice(body).map_or_else(|_| plain(), |Status { message }| message);
    let why: String = why.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    let said = format!("HTTP status {status}: {why}");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Refused(said),
        StatusCode::NOT_FOUND => Failure::Absent(said),
        StatusCode::GONE => Failure::Expired,
        _ => Failure::Broken(said),
    }
}

async fn within<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(PATIENCE, future).await.map_err(|_| Failure::Broken(format!("no answer within {PATIENCE:?}")))
}

/// An error with all its causes: the last one is what helps.
pub(super) fn chain(error: &dyn Error) -> String {
    let (mut said, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.ends_with(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_be_empty_in_three_ways() {
        for text in [r#"{"items":[]}"#, r#"{"items":null,"metadata":{}}"#, r#"{"kind":"PodList"}"#] {
            assert_eq!(list(text.as_bytes()).map(|list| list.items.len()), Ok(0), "{text}");
        }
        let text = r#"{"metadata":{"resourceVersion":"7"},"items":[{"a":1},{}]}"#;
        let list_of_two = list(text.as_bytes()).unwrap();
        assert_eq!((list_of_two.items.len(), &*list_of_two.metadata.resource_version), (2, "7"));
        assert!(matches!(list(b"<html>"), Err(Failure::Malformed(_))));
    }

    #[test]
    fn statuses_say_what_to_do() {
        let told = refusal(StatusCode::FORBIDDEN, br#"{"kind":"Status","message":"pods is\nforbidden"}"#);
        assert_eq!(told, Failure::Refused("HTTP status 403 Forbidden: pods is forbidden".into()));
        assert!(matches!(refusal(StatusCode::UNAUTHORIZED, b"Unauthorized"), Failure::Refused(_)));
        assert!(matches!(refusal(StatusCode::INTERNAL_SERVER_ERROR, b""), Failure::Broken(_)));
        assert_eq!(refusal(StatusCode::GONE, b""), Failure::Expired);
    }
}
