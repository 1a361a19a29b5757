//! Carbon Intensity API of Great Britain's system operator NESO: the whole and its regions, each half-hour.
//!
//! <https://carbon-intensity.github.io/api-definitions/>

use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};
use serde_json::Value;

use super::failure::Failure;
use super::json;
use super::provider::{Access, Asked, Need, Provider, Quote, Quotes, Request};

/// The provider.
pub(super) const PROVIDER: Provider = Provider {
    name: "uk",
    summary: "NESO Carbon Intensity API: Great Britain and its regions",
    url: "https://api.carbonintensity.org.uk",
    signal: Signal::Average,
    basis: Basis::Direct,
    cadence: Duration::from_secs(1800),
    need: Need::Nothing,
    covers,
    access: Access::Web { request, parse, login: None, refusal: None },
};

/// The path to a region, up to its number.
const REGIONAL: &str = "/regional/regionid/";

/// The regions in the order of their numbers, from 1; each is `GB-` and its name or its number.
const REGIONS: [&str; 17] = [
    "NORTH-SCOTLAND",
    "SOUTH-SCOTLAND",
    "NORTH-WEST-ENGLAND",
    "NORTH-EAST-ENGLAND",
    "YORKSHIRE",
    "NORTH-WALES",
    "SOUTH-WALES",
    "WEST-MIDLANDS",
    "EAST-MIDLANDS",
    "EAST-ENGLAND",
    "SOUTH-WEST-ENGLAND",
    "SOUTH-ENGLAND",
    "LONDON",
    "SOUTH-EAST-ENGLAND",
    "ENGLAND",
    "SCOTLAND",
    "WALES",
];

fn region(zone: &str) -> Option<usize> {
    let name = zone.strip_prefix("GB-")?;
    let mut numbers = (1..).zip(REGIONS);
    numbers.find(|(number, region)| *region == name || number.to_string() == name).map(|(number, _)| number)
}

/// The code of a zone is the path to it.
fn covers(zone: &str) -> Option<String> {
    match zone {
        "GB" => Some("/intensity".to_owned()),
        _ => region(zone).map(|number| format!("{REGIONAL}{number}")),
    }
}

fn request(asked: &Asked<'_>) -> Result<Request, Failure> {
    asked.request(asked.code, &[])
}

/// The half-hours of the answer; for a region they lie one list deeper.
fn parse(asked: &Asked<'_>, body: &[u8]) -> Quotes {
    let answer = json::document(body, "the JSON of /intensity")?;
    let list = json::list(&answer, "/data")?;
    let half_hours = match asked.code.strip_prefix(REGIONAL) {
        Some(number) if !list.is_empty() => {
            let is_asked = |region: &&Value| id(region).as_deref() == Some(number);
            let region = list.iter().find(is_asked);
            json::list(region.ok_or_else(|| json::wrong(&format!("regionid {number}"), &answer))?, "/data")?
        }
        _ => list,
    };
    half_hours.iter().map(quote).filter_map(Result::transpose).collect()
}

/// The number of the region that a part of the answer is of.
fn id(part: &Value) -> Option<String> {
    match part.pointer("/regionid")? {
        Value::String(text) => Some(text.trim().to_owned()),
        number => Some(number.to_string()),
    }
}

/// `actual` is what metered generation gave, and comes late; regions have a forecast alone.
fn quote(half_hour: &Value) -> Result<Option<Quote>, Failure> {
    // A list of regions where the whole was asked for has no intensity of its own.
    if half_hour.pointer("/intensity").is_none() || half_hour.pointer("/regions").is_some() {
        return Err(json::wrong("intensity", half_hour));
    }
    let actual = json::intensity(half_hour, "/intensity/actual")?;
    let forecast = json::intensity(half_hour, "/intensity/forecast")?;
    let Some(intensity) = actual.or(forecast) else { return Ok(None) };
    let (at, until) = (json::instant(half_hour, "/from")?, json::instant(half_hour, "/to")?);
    Ok(Some(Quote {
        signal: Signal::Average,
        basis: Basis::Direct,
        observation: Observation { intensity, estimated: actual.is_none(), at },
        until: Some(until),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Reason;
    use crate::grid::tests::{asked, fault, only};

    const NATIONAL: &str = r#"{"data":[{"from":"2018-01-20T12:00Z","to":"2018-01-20T12:30Z",
        "intensity":{"forecast":266,"actual":263,"index":"moderate"}}]}"#;
    const REGION: &str = r#"{"data":[{"regionid":13,"dnoregion":"UKPN London","shortname":"London",
        "data":[{"from":"2018-01-20T12:00Z","to":"2018-01-20T12:30Z",
        "intensity":{"forecast":266,"index":"moderate"},
        "generationmix":[{"fuel":"gas","perc":43.6},{"fuel":"wind","perc":31.2}]}]}]}"#;

    #[test]
    fn actual_before_forecast() {
        let (grams, quote) = only(parse(&asked("/intensity"), NATIONAL.as_bytes()));
        assert_eq!((grams, quote.observation.estimated), (263.0, false));
        assert_eq!(quote.observation.at, Duration::from_secs(1_516_449_600));
        assert_eq!(quote.until, Some(Duration::from_secs(1_516_451_400)));
        let running = NATIONAL.replace("263", "null");
        let (grams, quote) = only(parse(&asked("/intensity"), running.as_bytes()));
        assert_eq!((grams, quote.observation.estimated), (266.0, true));
        let nothing = running.replace("266", "null");
        assert_eq!(parse(&asked("/intensity"), nothing.as_bytes()), Ok(Vec::new()));
        let (grams, quote) = only(parse(&asked("/regional/regionid/13"), REGION.as_bytes()));
        assert_eq!((grams, quote.observation.estimated), (266.0, true));
    }

    #[test]
    fn bad_answers() {
        assert_eq!(parse(&asked("/intensity"), br#"{"data":[]}"#), Ok(Vec::new()));
        for wrong in [
            "<!DOCTYPE html>".to_owned(),
            r#"{"error":{"code":"400 Bad Request","message":"…"}}"#.to_owned(),
            r#"{"data":[{}]}"#.to_owned(),
            NATIONAL.replace("263", "\"much\""),
            NATIONAL.replace("2018-01-20T12:30Z", "12:30"),
            REGION[..REGION.len() - 9].to_owned(),
        ] {
            assert_eq!(fault(parse(&asked("/intensity"), wrong.as_bytes())), Reason::Malformed, "{wrong}");
        }
    }

    #[test]
    fn an_answer_for_another_region_is_malformed() {
        let london = asked("/regional/regionid/13");
        for wrong in [
            REGION.replace("\"regionid\":13", "\"regionid\":1"),
            REGION.replace("\"regionid\":13,", ""),
            NATIONAL.to_owned(),
        ] {
            assert_eq!(fault(parse(&london, wrong.as_bytes())), Reason::Malformed, "{wrong}");
        }
        assert_eq!(fault(parse(&asked("/intensity"), REGION.as_bytes())), Reason::Malformed);
        assert_eq!(parse(&london, br#"{"data":[]}"#), Ok(Vec::new()));
        assert_eq!(only(parse(&london, REGION.replace(":13", ":\"13\"").as_bytes())).0, 266.0);
    }

    #[test]
    fn regions_by_name_and_by_number() {
        for zone in ["GB-13", "GB-LONDON"] {
            assert_eq!(covers(zone).as_deref(), Some("/regional/regionid/13"));
        }
        assert_eq!(covers("GB-17"), covers("GB-WALES"));
        let request = request(&asked(&covers("GB").unwrap())).unwrap();
        assert!(request.url.as_str().ends_with(".org.uk/intensity"), "{request:?}");
        for zone in ["GB-0", "GB-18", "GB-NIR", "GB-013", "FR", ""] {
            assert_eq!(covers(zone), None, "{zone}");
        }
    }
}
