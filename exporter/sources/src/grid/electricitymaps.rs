//! Electricity Maps, v3 and v4: average intensity of more than 350 zones of the world, traced through imports.
//!
//! <https://portal.electricitymaps.com/developer-hub/api/reference>

use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};
use serde_json::Value;

use super::explanation::line;
use super::failure::{Failure, Reason};
use super::provider::{Access, Asked, Need, Provider, Quote, Quotes, Request, version};
use super::{json, zones};

/// The provider.
pub(super) const PROVIDER: Provider = Provider {
    name: "electricitymaps",
    summary: "Electricity Maps v3 and v4: consumption-based average of zones all over the world",
    url: "https://api.electricitymaps.com",
    signal: Signal::Average,
    basis: Basis::Lifecycle,
    // Values are hourly, but the running hour's is an estimate that is revised as measurements come in.
    cadence: Duration::from_secs(900),
    need: Need::Token,
    covers,
    access: Access::Web { request, parse, login: None, refusal: None },
};

/// Our zones are named as theirs, but for the US states, of which only direct emissions are shipped.
fn covers(zone: &str) -> Option<String> {
    let known = zones::find(zone).ok().filter(|known| known.code == zone)?;
    known.average(Basis::Lifecycle).map(|_| zone.to_owned())
}

/// The version that the address names; else v3, and v4 where that is gone.
fn request(asked: &Asked<'_>) -> Result<Request, Failure> {
    let usual = if asked.is_v3_gone { "v4" } else { "v3" };
    let path = format!("/{}/carbon-intensity/latest", version(asked.url).unwrap_or(usual));
    let request = asked.request(&path, &[("zone", asked.code)])?;
    Ok(request.with("auth-token", asked.token().to_owned()))
}

/// Both versions answer with one object; v4 lists values as `data` in other answers, which is understood here as well.
fn parse(asked: &Asked<'_>, body: &[u8]) -> Quotes {
    let answer = json::document(body, "the JSON of /carbon-intensity/latest")?;
    refuse_test_data(&answer)?;
    let Some(Value::Array(list)) = answer.pointer("/data") else {
        return Ok(quote(asked, &answer, &answer)?.into_iter().collect());
    };
    let quotes = list.iter().map(|entry| {
        refuse_test_data(entry)?;
        quote(asked, entry, &answer)
    });
    quotes.filter_map(Result::transpose).collect()
}

/// Keys of the sandbox are answered with random values, which only these fields tell from real ones.
fn refuse_test_data(entry: &Value) -> Result<(), Failure> {
    const WORDS: [&str; 4] = ["sandbox", "inaccurate", "random", "test data"];
    let marks =
        ["/_disclaimer", "/disclaimer", "/estimationMethod"].map(|pointer| json::text(entry, pointer));
    let is_test = |mark: &&str| WORDS.iter().any(|word| mark.to_ascii_lowercase().contains(word));
    match marks.into_iter().flatten().find(is_test) {
        None => Ok(()),
        Some(mark) => Err(Failure::new(
            Reason::Unauthorized,
            format!("expected live data, found test data, as a sandbox key gets them: {:?}", line(mark)),
        )),
    }
}

/// The value in `entry` of `answer`, which may hold for all entries what an entry does not say.
fn quote(asked: &Asked<'_>, entry: &Value, answer: &Value) -> Result<Option<Quote>, Failure> {
    let text = |pointer| json::text(entry, pointer).or_else(|| json::text(answer, pointer));
    let pointers = ["/carbonIntensity", "/value"];
    let Some(pointer) = pointers.into_iter().find(|pointer| entry.pointer(pointer).is_some()) else {
        return Err(json::wrong("carbonIntensity", entry));
    };
    // Without a zone that they know, they answer for the place that the request seems to come from.
    if text("/zone").is_some_and(|zone| zone != asked.code) {
        return Err(json::wrong(&format!("the zone {}", asked.code), answer));
    }
    if text("/unit").is_some_and(|unit| !unit.eq_ignore_ascii_case("gCO2eq/kWh")) {
        return Err(json::wrong("gCO2eq/kWh at /unit", answer));
    }
    let Some(intensity) = json::intensity(entry, pointer)? else { return Ok(None) };
    let at = json::instant(entry, "/datetime")?;
    let period = match text("/temporalGranularity") {
        Some("5_minutes") => 300,
        Some("15_minutes") => 900,
        _ => 3600,
    };
    let direct = text("/emissionFactorType") == Some("direct");
    // Absent in answers of old plans, which do not say: then it may well be.
    let estimated = entry.pointer("/isEstimated").and_then(Value::as_bool).unwrap_or(true);
    Ok(Some(Quote {
        signal: Signal::Average,
        basis: if direct { Basis::Direct } else { Basis::Lifecycle },
        observation: Observation { intensity, estimated, at },
        until: Some(at.saturating_add(Duration::from_secs(period))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn both_versions_are_asked_for_and_understood() {
        let path = |asked: Asked<'_>| request(&asked).unwrap().url.path().to_owned();
        let latest = "carbon-intensity/latest";
        for (url, is_v3_gone, found) in [
            ("https://host", false, "/v3/"),
            ("https://host", true, "/v4/"),
            ("https://host/v3/", true, "/v3/"),
            ("https://host/v4", false, "/v4/"),
            ("https://host/proxy/v4//", false, "/proxy/v4/"),
            ("https://host/v4/carbon-intensity/latest", false, "/v4/"),
        ] {
            assert_eq!(path(Asked { url, is_v3_gone, ..asked("FR") }), format!("{found}{latest}"), "{url}");
        }
        let listed = r#"{"zone":"FR","temporalGranularity":"15_minutes","unit":"gCO2eq/kWh","data":[
            {"datetime":"2025-06-01T12:00:00.000Z","isEstimated":false,"estimationMethod":null,"value":31}]}"#;
        let (grams, quote) = only(parse(&asked("FR"), listed.as_bytes()));
        assert_eq!((grams, quote.observation.estimated), (31.0, false));
        assert_eq!(quote.until, Some(quote.observation.at + Duration::from_secs(900)));
        for wrong in [listed.replace("FR", "DE"), listed.replace("gCO2eq/kWh", "MW")] {
            assert_eq!(fault(parse(&asked("FR"), wrong.as_bytes())), Reason::Malformed);
        }
        assert_eq!(parse(&asked("FR"), br#"{"zone":"FR","data":[]}"#), Ok(Vec::new()));
    }

    #[test]
    fn test_data_are_no_live_data() {
        let disclaimer = "This data is intentionally inaccurate as it is returned in SANDBOX MODE.";
        for test in [
            BODY.replace("TIME_SLICER_AVERAGE", "SANDBOX_MODE_DATA"),
            BODY.replace("{\"zone\"", &format!("{{\"_disclaimer\":\"{disclaimer}\",\"zone\"")),
            r#"{"zone":"FR","data":[{"estimationMethod":"SANDBOX_MODE_DATA","value":1,"datetime":"2025-06-01T12:00Z"}]}"#
                .to_owned(),
        ] {
            let failure = parse(&asked("FR"), test.as_bytes()).unwrap_err();
            assert_eq!(failure.reason, Reason::Unauthorized);
            let text = failure.to_string();
            assert!(text.contains("sandbox key") && text.contains("--grid.token-file"), "{text}");
        }
        let owner = BODY.replace("{\"zone\"", r#"{"_disclaimer":"This data is the property of X","zone""#);
        assert!(parse(&asked("FR"), owner.as_bytes()).is_ok());
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
