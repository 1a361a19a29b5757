//! What is answered to a request.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::Shared;
use super::body::Page;
use super::clients::Caller;
use super::gate::Refusal;
use super::negotiate::{self, Encoding};
use super::visit::Answer;

/// Sent by Prometheus, its agent mode, and vmagent with every scrape.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Something that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Telemetry,
    Landing,
    Healthy,
    Ready,
}

impl Place {
    /// Metrics may be at `/` as well; then there is no landing page.
    fn at(path: &str, telemetry_path: &str) -> Option<Self> {
        match path {
            _ if path == telemetry_path => Some(Self::Telemetry),
            "/" => Some(Self::Landing),
            "/-/healthy" => Some(Self::Healthy),
            "/-/ready" => Some(Self::Ready),
            _ => None,
        }
    }
}

/// How long the answer may take: no longer than whoever asks will wait, where that is said.
pub(super) fn patience(headers: &HeaderMap, most: Duration) -> Duration {
    let seconds =
        headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok());
    let said = seconds
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    said.map_or(most, |said| said.min(most))
}

/// The answer to `request`.
pub(super) async fn answer(shared: &Shared, request: &Parts, answer: Answer) -> Response<Page> {
    let config = shared.gate.config();
    let admitted = match &config {
        Some(config) => shared.gate.admit(config, &request.headers, answer.visit.peer).await,
        None => Ok(()),
    };
    let mut response = match admitted {
        Ok(()) => admitted_answer(shared, request, answer),
        Err(refusal) => refused(answer, refusal),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in config.iter().flat_map(|config| &config.headers) {
        headers.insert(name, value.clone());
    }
    if request.method == Method::HEAD {
        let length = response.body_mut().withhold();
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    shared.counters.answered(response.status().as_u16());
    response
}

fn admitted_answer(shared: &Shared, request: &Parts, answer: Answer) -> Response<Page> {
    match Place::at(request.uri.path(), &shared.settings.telemetry_path) {
        None => line(answer, StatusCode::NOT_FOUND, "not found\n"),
        Some(_) if request.method != Method::GET && request.method != Method::HEAD => {
            let mut response = line(answer, StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        Some(Place::Telemetry) => telemetry(shared, &request.headers, answer),
        Some(Place::Landing) => landing(shared, answer),
        Some(place @ (Place::Healthy | Place::Ready)) => health(shared, place, answer),
    }
}

/// Whether it works, or has begun to.
fn health(shared: &Shared, place: Place, answer: Answer) -> Response<Page> {
    let waits = |answer, text: String| {
        let mut response = line(answer, StatusCode::SERVICE_UNAVAILABLE, text);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    };
    match (shared.show.stands_still(), place) {
        (Some(why), _) => waits(answer, format!("nothing is measured: {why}\n")),
        (None, Place::Ready) if shared.show.generation().is_none() => {
            waits(answer, format!("nothing measured yet: {}\n", shared.show.awaits()))
        }
        (None, Place::Ready) => line(answer, StatusCode::OK, "ready\n"),
        (None, _) => line(answer, StatusCode::OK, "healthy\n"),
    }
}

fn refused(answer: Answer, refusal: Refusal) -> Response<Page> {
    let soon = HeaderValue::from_static("1");
    let (status, text, name, value) = match refusal {
        Refusal::Unauthorized => {
            let realm = HeaderValue::from_static("Basic realm=\"noether\", charset=\"UTF-8\"");
            (StatusCode::UNAUTHORIZED, "unauthorized\n", WWW_AUTHENTICATE, realm)
        }
        Refusal::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too many requests\n", RETRY_AFTER, soon),
        Refusal::Busy => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many passwords to check\n", RETRY_AFTER, soon)
        }
        Refusal::Limited(pause) => {
            let seconds = HeaderValue::from(pause.as_secs() + 1);
            (StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords\n", RETRY_AFTER, seconds)
        }
    };
    let mut response = line(answer, status, text);
    response.headers_mut().insert(name, value);
    response
}

fn telemetry(shared: &Shared, headers: &HeaderMap, answer: Answer) -> Response<Page> {
    let wanted = negotiate::format(&all(headers, &ACCEPT));
    let encoding = negotiate::encoding(&all(headers, &ACCEPT_ENCODING));
    let mut response = match shared.cache.newest(&*shared.show, wanted.format, encoding) {
        None => not_yet(answer),
        Some(copy) => {
            let page = Page::snapshot(copy.bytes, copy.generation, caller(headers), answer);
            let mut response = Response::new(page);
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(wanted.content_type()));
            if encoding == Encoding::Gzip {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}

fn caller(headers: &HeaderMap) -> Caller {
    Caller { agent: all(headers, &USER_AGENT).into(), scraper: headers.contains_key(SCRAPE_TIMEOUT) }
}

/// The values of a header that may come in several lines; what is no text is left out.
fn all(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn landing(shared: &Shared, answer: Answer) -> Response<Page> {
    let mut response = Response::new(Page::new(shared.landing.clone(), answer));
    response.headers_mut().insert(CONTENT_TYPE, HTML);
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn not_yet(answer: Answer) -> Response<Page> {
    let mut response = line(answer, StatusCode::SERVICE_UNAVAILABLE, "nothing measured yet\n");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn line(answer: Answer, status: StatusCode, text: impl Into<Bytes>) -> Response<Page> {
    let mut response = Response::new(Page::new(text.into(), answer));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_waited_for_longer_than_it_waits() {
        let most = Duration::from_secs(30);
        let patience = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            patience(&HeaderMap::from_iter([(HeaderName::from_static(SCRAPE_TIMEOUT), value)]), most)
        };
        assert_eq!(patience("10.000000"), Duration::from_secs(10));
        assert_eq!(patience("0.5"), Duration::from_millis(500));
        for wrong in ["60", "", "soon", "0", "-1", "NaN", "inf", "1e300"] {
            assert_eq!(patience(wrong), most, "{wrong:?}");
        }
    }
}
