//! The headers that a configuration may add: the toolkit's closed list.

use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS, X_XSS_PROTECTION,
};

use super::Fault;
use super::section::Section;

/// The keys, with the values that they may have; any where the list is empty.
const KNOWN: [(&str, HeaderName, &[&str]); 5] = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY, &[]),
    ("X-Frame-Options", X_FRAME_OPTIONS, &["deny", "sameorigin"]),
    ("X-Content-Type-Options", X_CONTENT_TYPE_OPTIONS, &["nosniff"]),
    ("X-XSS-Protection", X_XSS_PROTECTION, &[]),
    ("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY, &[]),
];

/// Reads `http_server_config.headers`.
pub(super) fn headers(http: &Section<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Fault> {
    let section = http.below("headers", "http_server_config.headers", &KNOWN.map(|(key, ..)| key))?;
    let mut headers = Vec::new();
    for (key, name, words) in KNOWN {
        let Some(spot) = section.text(key)? else { continue };
        if !words.is_empty() && !words.contains(&spot.text) {
            return Err(spot.fault(&format!("{:?} is not {}", spot.text, words.join(" or "))));
        }
        let value = HeaderValue::from_str(spot.text)
            .map_err(|_| spot.fault(&format!("{:?} cannot stand in a header", spot.text)))?;
        headers.push((name, value));
    }
    Ok(headers)
}
