//! The reason that a refusal gives: taken out of the XML, JSON or HTML around it.

use roxmltree::{Document, ParsingOptions};
use serde_json::Value;

/// So many characters of a reason are shown.
const SHOWN: usize = 300;

/// Fields of JSON in which a reason stands, the plainest first.
const FIELDS: [&str; 11] = [
    "message",
    "error_message",
    "error_description",
    "detail",
    "details",
    "description",
    "reason",
    "title",
    "code",
    "error",
    "errors",
];

/// The reason in the body of a refusal, as one line; without one, the text of the body.
pub(super) fn reason(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let found = from_json(text).or_else(|| from_xml(text)).or_else(|| from_html(text));
    line(&found.unwrap_or_else(|| text.to_owned()))
}

/// `text` as one line that is not too long.
pub(super) fn line(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(SHOWN) {
        words.truncate(end);
        words.push('…');
    }
    words
}

/// Whether `reason` is that of a credential which is not accepted.
pub(super) fn is_about_credential(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    has(&["api_key", "api key", "apikey", "api-key", "token", "credential", "password", "authentication"])
        && has(&["invalid", "not valid", "expired", "missing", "disabled", "unknown", "wrong", "not found"])
}

fn from_json(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut found = Vec::new();
    collect(&value, 4, &mut found);
    (!found.is_empty()).then(|| found.join("; "))
}

fn collect(value: &Value, depth: u8, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !found.contains(text) => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Array(list) if depth > 0 => list.iter().for_each(|one| collect(one, depth - 1, found)),
        Value::Object(fields) if depth > 0 => {
            for value in FIELDS.iter().filter_map(|name| fields.get(*name)) {
                collect(value, depth - 1, found);
            }
        }
        _ => {}
    }
}

/// The texts below each `Reason`, as ENTSO-E writes it; else below `message` or `error`.
fn from_xml(text: &str) -> Option<String> {
    let options = ParsingOptions { nodes_limit: 10_000, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).ok()?;
    for wanted in ["reason", "message", "error", "fault"] {
        let nodes = document.descendants().filter(|node| node.tag_name().name().eq_ignore_ascii_case(wanted));
        let texts = nodes
            .flat_map(|node| node.descendants().filter_map(|inner| inner.text().filter(|_| inner.is_text())));
        let texts: Vec<&str> = texts.map(str::trim).filter(|text| !text.is_empty()).collect();
        if !texts.is_empty() {
            return Some(texts.join(" "));
        }
    }
    None
}

/// The text between the tags, without scripts and styles.
fn from_html(text: &str) -> Option<String> {
    if !text.starts_with('<') {
        return None;
    }
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        plain += before;
        plain.push(' ');
        let name =
            tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
        let hidden = matches!(&*name, "script" | "style").then(|| format!("</{name}"));
        let after = hidden.map_or(tag, |end| tag.find(&end).and_then(|at| tag.get(at..)).unwrap_or_default());
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    plain += rest;
    (!plain.trim().is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_wherever_it_stands() {
        let padding =
            "<mRID>1baecd4d-6a8a-4</mRID><createdDateTime>2025-01-01T00:00:00Z</createdDateTime>".repeat(20);
        let xml = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Acknowledgement_MarketDocument xmlns="urn:x">{padding}
            <Reason><code>999</code><text>The number of instances (149) exceeds the allowed maximum (100)</text></Reason>
            </Acknowledgement_MarketDocument>"#
        );
        assert_eq!(
            reason(xml.as_bytes()),
            "999 The number of instances (149) exceeds the allowed maximum (100)"
        );
        let style = format!("<style>{}</style>", "p {color: red} ".repeat(50));
        for (body, wanted) in [
            (r#"{"error":"Invalid auth-token"}"#, "Invalid auth-token"),
            (
                r#"{"request":{"command":"/v2/"},"error":{"code":"API_KEY_INVALID","message":"An invalid api_key was supplied."}}"#,
                "An invalid api_key was supplied.; API_KEY_INVALID",
            ),
            (r#"{"errors":[{"detail":"first"},{"detail":"second"}]}"#, "first; second"),
            (r#"{"unlike":1}"#, r#"{"unlike":1}"#),
            ("  slow\n down ", "slow down"),
            (
                &format!(
                    "<!DOCTYPE html><html><head>{style}<title>503</title></head><body><p>Maintenance</p>"
                ),
                "503 Maintenance",
            ),
            ("<html", "<html"),
            ("", ""),
        ] {
            assert_eq!(reason(body.as_bytes()), wanted);
        }
        assert_eq!(line(&"é".repeat(500)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn a_credential_that_is_refused_is_recognised() {
        for reason in [
            "An invalid api_key was supplied. Get a valid one; API_KEY_INVALID",
            "API_KEY_MISSING",
            "Token has expired",
            "Invalid authentication credentials",
        ] {
            assert!(is_about_credential(reason), "{reason}");
        }
        for reason in ["Zone not found", "Your plan does not include this region", "", "invalid parameter"] {
            assert!(!is_about_credential(reason), "{reason}");
        }
    }
}
