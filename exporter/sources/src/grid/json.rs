//! Answers in JSON: numbers may come as text, and `null` is absence.

use std::time::Duration;

use noether_core::units::Intensity;
use serde_json::Value;

use super::failure::{Failure, shown};
use super::time;

/// The whole answer.
pub(super) fn document(body: &[u8], expected: &str) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::malformed(expected, body))
}

/// The list at `pointer` (RFC 6901).
pub(super) fn list<'a>(document: &'a Value, pointer: &str) -> Result<&'a [Value], Failure> {
    match document.pointer(pointer) {
        Some(Value::Array(list)) => Ok(list),
        found => Err(wrong(&format!("a list at {pointer}"), found.unwrap_or(document))),
    }
}

/// The number at `pointer`; `None` where it is absent, `null` or empty.
pub(super) fn number(value: &Value, pointer: &str) -> Result<Option<f64>, Failure> {
    let expected = || format!("a number at {pointer}");
    match value.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(found @ Value::String(text)) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(wrong(&expected(), found)),
        },
        Some(found) => Err(wrong(&expected(), found)),
    }
}

/// The intensity in g/kWh at `pointer`; `None` where it is absent, `null` or empty.
pub(super) fn intensity(value: &Value, pointer: &str) -> Result<Option<Intensity>, Failure> {
    let Some(grams) = number(value, pointer)? else { return Ok(None) };
    let expected = || format!("grams per kilowatt-hour at {pointer}");
    Intensity::from_grams_per_kwh(grams).map(Some).ok_or_else(|| wrong(&expected(), value))
}

/// The instant at `pointer`.
pub(super) fn instant(value: &Value, pointer: &str) -> Result<Duration, Failure> {
    let found = value.pointer(pointer);
    let instant = found.and_then(Value::as_str).and_then(time::instant);
    instant.ok_or_else(|| wrong(&format!("a time at {pointer}"), found.unwrap_or(value)))
}

/// The text at `pointer`.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// `found` stands where `expected` should.
pub(super) fn wrong(expected: &str, found: &Value) -> Failure {
    let found = found.to_string();
    Failure::new(super::Reason::Malformed, format!("expected {expected}, found {}", shown(found.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_come_in_every_dress() {
        let value =
            json!({"a": 58, "b": "58.0", "c": 58.0, "d": null, "e": "", "f": "many", "g": [1], "h": "NaN"});
        for pointer in ["/a", "/b", "/c"] {
            assert_eq!(number(&value, pointer), Ok(Some(58.0)));
        }
        for pointer in ["/d", "/e", "/absent"] {
            assert_eq!(number(&value, pointer), Ok(None));
        }
        for pointer in ["/f", "/g", "/h"] {
            assert!(number(&value, pointer).is_err());
        }
        let fault = intensity(&json!({"x": -3}), "/x").unwrap_err();
        assert!(fault.text.contains("grams per kilowatt-hour at /x"), "{fault}");
    }
}
