//! HTTP as all providers are asked by: verified TLS, proxies from the environment, limits on time and size.

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};

use super::explanation;
use super::failure::{Failure, Reason};
use super::provider::{Request, shown_url};
use super::time;

/// No answer of a provider is longer.
const MOST: usize = 4 * 1024 * 1024;

/// How long is waited for a provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the connection, TLS included.
    pub(super) connect: Duration,
    /// For the whole answer.
    pub(super) total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), total: Duration::from_secs(30) }
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The body of a success.
    pub(super) body: Vec<u8>,
    /// The time by the provider's own clock.
    pub(super) date: Option<Duration>,
}

/// A client for all providers.
pub(super) fn client(patience: Patience) -> Result<Client, reqwest::Error> {
    // A second call changes nothing: whichever provider of cryptography is there already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("noether/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience.connect)
        .timeout(patience.total)
        // A redirect to another host would carry the token there.
        .redirect(redirect::Policy::none())
        .build()
}

/// The time, since the begin of 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Sends `request` and waits for the whole answer.
pub(super) async fn fetch(client: &Client, request: Request) -> Result<Answer, Failure> {
    let headers = headers(&request)?;
    let sent = client.get(request.url).headers(headers).send().await;
    let mut response = sent.map_err(|error| failure(&error))?;
    let (status, date) = (response.status(), date(&response));
    let body = body(&mut response).await;
    if status.is_success() {
        return Ok(Answer { body: body?, date });
    }
    Err(refused(status, response.headers(), &body.unwrap_or_default()))
}

fn headers(request: &Request) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            let text = "expected a credential of one line of ASCII, found another character in it";
            Failure::new(Reason::Credential, text)
        })?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

async fn body(response: &mut Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > MOST {
            let text = "expected an answer of at most 4 MiB, found a longer one";
            return Err(Failure::new(Reason::Malformed, text));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn date(response: &Response) -> Option<Duration> {
    time::http_date(response.headers().get(DATE)?.to_str().ok()?)
}

/// What a status that is no success means.
fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let reason = match status.as_u16() {
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        404 | 410 => Reason::NotFound,
        408 => Reason::Timeout,
        429 => Reason::RateLimited,
        500..=599 => Reason::Server,
        _ => Reason::Status,
    };
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let mut text = format!("expected status 200, found {}", status.as_u16());
    if let Some(location) = header(LOCATION) {
        text += &format!(" to {}", shown_url(location));
    }
    let explanation = explanation::reason(body);
    if !explanation.is_empty() {
        text += &format!(" and {explanation:?}");
    }
    let retry_after = header(RETRY_AFTER).and_then(|value| time::retry_after(value, now()));
    Failure { reason, text, retry_after, explanation }
}

/// What went wrong below HTTP. The innermost cause says it best; the outermost holds the address, secrets included.
fn failure(error: &reqwest::Error) -> Failure {
    let causes = causes(error);
    let tls = causes.iter().copied().find_map(rustls_error);
    let reason = match tls {
        Some(_) => Reason::Tls,
        None if error.is_timeout() => Reason::Timeout,
        None if error.is_connect() => Reason::Connect,
        None => Reason::Interrupted,
    };
    let cause = match tls {
        Some(error) => error.to_string(),
        None if error.is_timeout() => "nothing in time".to_owned(),
        None => causes.last().map_or_else(|| "an error without a cause".to_owned(), ToString::to_string),
    };
    Failure::new(reason, format!("expected an answer, found: {cause}"))
}

/// The causes of `error`, the innermost last.
pub(super) fn causes<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause);
        next = cause.source();
    }
    causes
}

/// The error of rustls that `error` is or carries. An `io::Error` skips what it carries in its own `source`.
fn rustls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error
        .downcast_ref()
        .or_else(|| carried?.downcast_ref())
        .or_else(|| carried?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref())
}
