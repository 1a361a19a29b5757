//! Electricity Maps, v3: average intensity of more than 350 zones of the world, traced through imports.
//!
//! <https://portal.electricitymaps.com/developer-hub/api/reference>

use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};
use serde_json::Value;

use super::failure::Failure;
use super::provider::{Access, Asked, Need, Provider, Quote, Quotes, Request};
use super::{json, zones};

/// The provider.
pub(super) const PROVIDER: Provider = Provider {
    name: "electricitymaps",
    summary: "Electricity Maps v3: consumption-based average of zones all over the world",
    url: "https://api.electricitymaps.com",
    signal: Signal::Average,
    basis: Basis::Lifecycle,
    // Values are hourly, but the running hour's is an estimate that is revised as measurements come in.
    cadence: Duration::from_secs(900),
    need: Need::Token,
    covers,
    access: Access::Web { request, parse, login: None },
};

/// Our zones are named as theirs, but for the US states, of which only direct emissions are shipped.
fn covers(zone: &str) -> Option<String> {
    let known = zones::find(zone).ok().filter(|known| known.code == zone)?;
    known.average(Basis::Lifecycle).map(|_| zone.to_owned())
}

fn request(asked: &Asked<'_>) -> Result<Request, Failure> {
    let request = asked.request("/v3/carbon-intensity/latest", &[("zone", asked.code)])?;
    Ok(request.with("auth-token", asked.token().to_owned()))
}

fn parse(asked: &Asked<'_>, body: &[u8]) -> Quotes {
    let answer = json::document(body, "the JSON of /v3/carbon-intensity/latest")?;
    if answer.pointer("/carbonIntensity").is_none() {
        return Err(json::wrong("carbonIntensity", &answer));
    }
    // Without a zone that they know, they answer for the place that the request seems to come from.
    if json::text(&answer, "/zone").is_some_and(|zone| zone != asked.code) {
        return Err(json::wrong(&format!("the zone {}", asked.code), &answer));
    }
    let Some(intensity) = json::intensity(&answer, "/carbonIntensity")? else { return Ok(Vec::new()) };
    let at = json::instant(&answer, "/datetime")?;
    let period = match json::text(&answer, "/temporalGranularity") {
        Some("5_minutes") => 300,
        Some("15_minutes") => 900,
        _ => 3600,
    };
    let direct = json::text(&answer, "/emissionFactorType") == Some("direct");
    // Absent in answers of old plans, which do not tell: then it may well be.
    let estimated = answer.pointer("/isEstimated").and_then(Value::as_bool).unwrap_or(true);
    Ok(vec![Quote {
        signal: Signal::Average,
        basis: if direct { Basis::Direct } else { Basis::Lifecycle },
        observation: Observation { intensity, estimated, at },
        until: Some(at.saturating_add(Duration::from_secs(period))),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Reason;
    use crate::grid::tests::{asked, fault, only};

    const BODY: &str = r#"{"zone":"FR","carbonIntensity":58,"datetime":"2023-03-20T17:00:00.000Z",
        "updatedAt":"2023-03-20T16:51:02.892Z","createdAt":"2023-03-17T17:54:01.319Z",
        "emissionFactorType":"lifecycle","isEstimated":true,"estimationMethod":"TIME_SLICER_AVERAGE"}"#;

    #[test]
    fn a_recorded_answer() {
        let (grams, quote) = only(parse(&asked("FR"), BODY.as_bytes()));
        assert_eq!((grams, quote.observation.estimated), (58.0, true));
        assert_eq!((quote.signal, quote.basis), (Signal::Average, Basis::Lifecycle));
        assert_eq!(quote.observation.at, Duration::from_secs(1_679_331_600));
        assert_eq!(quote.until, Some(Duration::from_secs(1_679_335_200)));
        let measured = BODY.replace(r#""isEstimated":true"#, r#""isEstimated":false"#);
        let measured = measured.replace("58", "\"58.25\"").replace("lifecycle", "direct");
        let (grams, quote) = only(parse(&asked("FR"), measured.as_bytes()));
        assert_eq!((grams, quote.observation.estimated, quote.basis), (58.25, false, Basis::Direct));
    }

    #[test]
    fn null_is_absence_and_the_rest_is_malformed() {
        assert_eq!(parse(&asked("FR"), BODY.replace("58", "null").as_bytes()), Ok(Vec::new()));
        for wrong in [
            "<html>Just a moment…</html>".to_owned(),
            "{}".to_owned(),
            "[]".to_owned(),
            BODY[..60].to_owned(),
            BODY.replace("58", "-58"),
            BODY.replace("58", "{}"),
            BODY.replace("\"zone\":\"FR\"", "\"zone\":\"DE\""),
            BODY.replace("2023-03-20T17:00:00.000Z", "today"),
        ] {
            assert_eq!(fault(parse(&asked("FR"), wrong.as_bytes())), Reason::Malformed, "{wrong}");
        }
    }

    #[test]
    fn the_token_goes_into_a_header_and_zones_are_theirs() {
        let request = request(&asked("US-CAL-CISO")).unwrap();
        assert!(request.url.as_str().ends_with("/v3/carbon-intensity/latest?zone=US-CAL-CISO"));
        assert_eq!(request.headers, [("auth-token", "t0ken".to_owned())]);
        for zone in ["FR", "US-CAL-CISO", "DK-DK1", "AU-NSW"] {
            assert_eq!(covers(zone), Some(zone.to_owned()));
        }
        for zone in ["", "CAISO_NORTH", "france", "GB-LONDON", "GB-13", "FR-", "US-CA", "XX"] {
            assert_eq!(covers(zone), None, "{zone}");
        }
    }
}
