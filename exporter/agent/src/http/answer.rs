//! What is answered to a request.

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};

use super::Shared;
use super::body::Page;
use super::clients::Caller;
use super::negotiate::{self, Encoding};
use super::visit::Visit;

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

/// The answer to `request`, whose body is not looked at.
pub(super) fn answer<B>(shared: &Shared, visit: &Arc<Visit>, request: &Request<B>) -> Response<Page> {
    let mut response = match Place::at(request.uri().path(), &shared.settings.telemetry_path) {
        None => line(visit, StatusCode::NOT_FOUND, "not found\n"),
        Some(_) if request.method() != Method::GET && request.method() != Method::HEAD => {
            let mut response = line(visit, StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        Some(Place::Telemetry) => telemetry(shared, visit, request),
        Some(Place::Landing) => landing(shared, visit),
        Some(Place::Healthy) => line(visit, StatusCode::OK, "healthy\n"),
        Some(Place::Ready) if shared.show.generation().is_none() => not_yet(visit),
        Some(Place::Ready) => line(visit, StatusCode::OK, "ready\n"),
    };
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    shared.counters.answered(response.status().as_u16());
    response
}

fn telemetry<B>(shared: &Shared, visit: &Arc<Visit>, request: &Request<B>) -> Response<Page> {
    let wanted = negotiate::format(&all(request.headers(), &ACCEPT));
    let encoding = negotiate::encoding(&all(request.headers(), &ACCEPT_ENCODING));
    let mut response = match shared.cache.newest(&*shared.show, wanted.format, encoding) {
        None => not_yet(visit),
        Some(copy) => {
            let page = if request.method() == Method::GET {
                Page::snapshot(copy.bytes, copy.generation, caller(request.headers()), Arc::clone(visit))
            } else {
                Page::new(copy.bytes, Arc::clone(visit))
            };
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

/// The values of a header that may come in several lines; what is no text is left out.
fn caller(headers: &HeaderMap) -> Caller {
    Caller { agent: all(headers, &USER_AGENT).into(), scraper: headers.contains_key(SCRAPE_TIMEOUT) }
}

fn all(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn landing(shared: &Shared, visit: &Arc<Visit>) -> Response<Page> {
    let mut response = Response::new(Page::new(shared.landing.clone(), Arc::clone(visit)));
    response.headers_mut().insert(CONTENT_TYPE, HTML);
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn not_yet(visit: &Arc<Visit>) -> Response<Page> {
    let mut response = line(visit, StatusCode::SERVICE_UNAVAILABLE, "nothing measured yet\n");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn line(visit: &Arc<Visit>, status: StatusCode, text: &'static str) -> Response<Page> {
    let mut response = Response::new(Page::new(Bytes::from_static(text.as_bytes()), Arc::clone(visit)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}
