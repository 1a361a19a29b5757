//! éCO2mix of France's grid operator RTE, through the open data of ODRÉ: each quarter of an hour.
//!
//! <https://odre.opendatasoft.com/explore/dataset/eco2mix-national-tr/information/>

use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};
use serde_json::Value;

use super::failure::Failure;
use super::json;
use super::provider::{Access, Asked, Need, Provider, Quote, Quotes, Request};

/// The provider.
pub(super) const PROVIDER: Provider = Provider {
    name: "rte",
    summary: "RTE éCO2mix: generation in France",
    url: "https://odre.opendatasoft.com",
    signal: Signal::Average,
    basis: Basis::Direct,
    cadence: Duration::from_secs(900),
    need: Need::Nothing,
    covers,
    access: Access::Web { request, parse, login: None, refusal: None },
};

fn covers(zone: &str) -> Option<String> {
    (zone == "FR").then(|| "eco2mix-national-tr".to_owned())
}

/// The data set holds rows for the rest of the day that are still empty.
fn request(asked: &Asked<'_>) -> Result<Request, Failure> {
    let path = format!("/api/explore/v2.1/catalog/datasets/{}/records", asked.code);
    let query = [
        ("select", "date_heure,taux_co2"),
        ("where", "taux_co2 is not null"),
        ("order_by", "date_heure desc"),
        ("limit", "4"),
        ("timezone", "UTC"),
    ];
    asked.request(&path, &query)
}

fn parse(_: &Asked<'_>, body: &[u8]) -> Quotes {
    let answer = json::document(body, "the JSON of the data set's records")?;
    let quotes = json::list(&answer, "/results")?.iter().map(quote);
    let quotes: Vec<Quote> = quotes.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    Ok(quotes.into_iter().max_by_key(|quote| quote.observation.at).into_iter().collect())
}

fn quote(record: &Value) -> Result<Option<Quote>, Failure> {
    // Only where the data set is another one: this one is of the whole country.
    if json::text(record, "/perimetre").is_some_and(|area| !area.eq_ignore_ascii_case("france")) {
        return Err(json::wrong("the perimetre France", record));
    }
    let Some(intensity) = json::intensity(record, "/taux_co2")? else { return Ok(None) };
    let at = json::instant(record, "/date_heure")?;
    Ok(Some(Quote {
        signal: Signal::Average,
        basis: Basis::Direct,
        // Real-time data is telemetry, replaced by consolidated data the next month.
        observation: Observation { intensity, estimated: true, at },
        until: Some(at.saturating_add(PROVIDER.cadence)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Reason;
    use crate::grid::tests::{asked, fault, only};

    const BODY: &str = r#"{"total_count":3187,"results":[
        {"date_heure":"2022-06-01T02:15:00+00:00","taux_co2":55},
        {"date_heure":"2022-06-01T02:30:00+00:00","taux_co2":null},
        {"date_heure":"2022-06-01T02:00:00+00:00","taux_co2":54}]}"#;

    #[test]
    fn the_newest_that_is_not_null() {
        let (grams, quote) = only(parse(&asked("FR"), BODY.as_bytes()));
        assert_eq!((grams, quote.observation.estimated, quote.basis), (55.0, true, Basis::Direct));
        assert_eq!(quote.observation.at, Duration::from_secs(1_654_049_700));
        assert_eq!(parse(&asked("FR"), br#"{"total_count":0,"results":[]}"#), Ok(Vec::new()));
        let text = BODY.replace(":55", ":\"55.5\"");
        assert_eq!(only(parse(&asked("FR"), text.as_bytes())).0, 55.5);
    }

    #[test]
    fn bad_answers() {
        for wrong in [
            "<html>".to_owned(),
            r#"{"error_code":"ODSQLError","message":"…"}"#.to_owned(),
            BODY.replace(":55", ":\"ND\""),
            BODY.replace("2022-06-01T02:15", "hier"),
            BODY[..80].to_owned(),
        ] {
            assert_eq!(fault(parse(&asked("FR"), wrong.as_bytes())), Reason::Malformed, "{wrong}");
        }
    }

    #[test]
    fn france_alone() {
        assert!(covers("FR").is_some() && covers("FR-COR").is_none());
        let request = request(&asked("eco2mix-national-tr")).unwrap();
        assert!(request.url.path().ends_with("/datasets/eco2mix-national-tr/records"), "{request:?}");
    }
}
