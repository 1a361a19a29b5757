//! OTLP over HTTP: a request is a POST of protobuf. <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::io::Write;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, Identity, Response, StatusCode, redirect};

use super::credentials::Credentials;
use super::refusal::{Reason, Refusal};
use super::variables::Variables;
use super::{Arrival, innermost, shown};

/// No answer is longer.
const MOST: usize = 64 * 1024;

/// A client for one receiver.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    endpoint: String,
    gzip: bool,
}

impl Http {
    /// Does not connect yet.
    pub(super) fn new(variables: &Variables, credentials: &Credentials) -> Result<Self, String> {
        // A second call changes nothing: whichever provider of cryptography is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("noether/", env!("CARGO_PKG_VERSION")))
            .default_headers(variables.headers.iter().cloned().collect::<HeaderMap>())
            .timeout(variables.timeout)
            // A redirect to another host would carry the headers there.
            .redirect(redirect::Policy::none());
        if let Some(pem) = &credentials.authorities {
            let authorities = Certificate::from_pem_bundle(pem).map_err(|error| innermost(&error))?;
            builder = builder.tls_certs_only(authorities);
        }
        if let Some((certificate, key)) = &credentials.identity {
            let pem = [&key[..], b"\n", certificate].concat();
            builder = builder.identity(Identity::from_pem(&pem).map_err(|error| innermost(&error))?);
        }
        let client = builder.build().map_err(|error| innermost(&error))?;
        Ok(Self { client, endpoint: variables.endpoint.to_string(), gzip: variables.gzip })
    }

    /// Sends one request.
    pub(super) async fn send(&self, request: &ExportMetricsServiceRequest) -> Result<Arrival, Refusal> {
        let mut post = self.client.post(&self.endpoint).header(CONTENT_TYPE, "application/x-protobuf");
        let mut body = request.encode_to_vec();
        if self.gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let packed = encoder.write_all(&body).and_then(|()| encoder.finish());
            body = packed.map_err(|error| Refusal::lasting(Reason::Refused, error.to_string()))?;
            post = post.header(CONTENT_ENCODING, "gzip");
        }
        let response = post.body(body).send().await.map_err(|error| lost(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = answer(response).await.map_err(|error| lost(&error))?;
        if !status.is_success() {
            return Err(refused(status, &headers, &answer));
        }
        // Some receivers answer with nothing, or with something in JSON: that is no reason to send it all again.
        let response = ExportMetricsServiceResponse::decode(&*answer).unwrap_or_default();
        Ok(Arrival::of(response))
    }
}

async fn answer(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if answer.len() + chunk.len() > MOST {
            break;
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

fn lost(error: &reqwest::Error) -> Refusal {
    let reason = if error.is_timeout() { Reason::Timeout } else { Reason::Unreachable };
    let text = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
    Refusal::passing(reason, text)
}

/// What a status means, and whether it passes: <https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes>
fn refused(status: StatusCode, headers: &HeaderMap, answer: &[u8]) -> Refusal {
    let (reason, passing) = match status.as_u16() {
        401 | 403 | 407 => (Reason::Unauthorized, false),
        429 | 503 => (Reason::Busy, true),
        502 => (Reason::Unreachable, true),
        504 => (Reason::Timeout, true),
        _ => (Reason::Refused, false),
    };
    let mut text = format!("status {}", status.as_u16());
    if !answer.is_empty() {
        text += &format!(", {}", shown(answer));
    }
    let after = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
    Refusal { reason, text, passing, after }
}

/// Seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok()
}
