//! EIA-930 of the US Energy Information Administration, v2: hourly generation by fuel of each balancing authority.
//!
//! <https://www.eia.gov/opendata/documentation.php>, <https://www.eia.gov/electricity/930-content/EIA930_Reference_Tables.xlsx>

use std::time::Duration;

use noether_core::carbon::{Basis, Signal};

use super::failure::Failure;
use super::mix::{Kind, Method, Mix};
use super::provider::{Access, Asked, Need, Provider, Quotes, Request};
use super::{json, time};

/// The provider.
pub(super) const PROVIDER: Provider = Provider {
    name: "eia",
    summary: "US EIA v2: generation by fuel of the balancing authorities of the United States",
    url: "https://api.eia.gov",
    signal: Signal::Average,
    basis: Basis::Lifecycle,
    cadence: HOUR,
    need: Need::Token,
    covers,
    access: Access::Web { request, parse, login: None, refusal: None },
};

const HOUR: Duration = Duration::from_secs(3600);

/// So far back is asked: hours come up to a day late, and the newest is compared with a day before it.
const LOOK_BACK: Duration = Duration::from_secs(48 * 3600);

/// Balancing authorities that report generation by fuel, named as in our zones: `US-<region>-<authority>`.
const RESPONDENTS: &[&str] = &[
    "US-CAL-BANC",
    "US-CAL-CISO",
    "US-CAL-IID",
    "US-CAL-LDWP",
    "US-CAL-TIDC",
    "US-CAR-CPLE",
    "US-CAR-CPLW",
    "US-CAR-DUK",
    "US-CAR-SC",
    "US-CAR-SCEG",
    "US-CAR-YAD",
    "US-CENT-SPA",
    "US-CENT-SWPP",
    "US-FLA-FMPP",
    "US-FLA-FPC",
    "US-FLA-FPL",
    "US-FLA-GVL",
    "US-FLA-HST",
    "US-FLA-JEA",
    "US-FLA-SEC",
    "US-FLA-TAL",
    "US-FLA-TEC",
    "US-MIDA-PJM",
    "US-MIDW-AECI",
    "US-MIDW-LGEE",
    "US-MIDW-MISO",
    "US-NE-ISNE",
    "US-NW-AVA",
    "US-NW-BPAT",
    "US-NW-CHPD",
    "US-NW-DOPD",
    "US-NW-GCPD",
    "US-NW-GRID",
    "US-NW-IPCO",
    "US-NW-NEVP",
    "US-NW-NWMT",
    "US-NW-PACE",
    "US-NW-PACW",
    "US-NW-PGE",
    "US-NW-PSCO",
    "US-NW-PSEI",
    "US-NW-SCL",
    "US-NW-TPWR",
    "US-NW-WACM",
    "US-NW-WAUW",
    "US-NY-NYIS",
    "US-SE-SEPA",
    "US-SE-SOCO",
    "US-SW-AZPS",
    "US-SW-EPE",
    "US-SW-PNM",
    "US-SW-SRP",
    "US-SW-TEPC",
    "US-SW-WALC",
    "US-TEN-TVA",
    "US-TEX-ERCO",
];

/// `US` is the lower 48 states together.
fn covers(zone: &str) -> Option<String> {
    if zone == "US" {
        return Some("US48".to_owned());
    }
    let respondent = RESPONDENTS.iter().find(|respondent| **respondent == zone)?.rsplit('-').next()?;
    Some(respondent.to_owned())
}

fn request(asked: &Asked<'_>) -> Result<Request, Failure> {
    let start = time::written(asked.now.saturating_sub(LOOK_BACK), "%Y-%m-%dT%H");
    let query = [
        ("api_key", asked.token()),
        ("frequency", "hourly"),
        ("data[0]", "value"),
        ("facets[respondent][]", asked.code),
        ("start", &*start),
        ("sort[0][column]", "period"),
        ("sort[0][direction]", "desc"),
        ("length", "1000"),
    ];
    asked.request("/v2/electricity/rto/fuel-type-data/data/", &query)
}

fn parse(asked: &Asked<'_>, body: &[u8]) -> Quotes {
    let answer = json::document(body, "the JSON of fuel-type-data")?;
    let mut mix = Mix::default();
    for row in json::list(&answer, "/response/data")? {
        if json::text(row, "/respondent").is_some_and(|respondent| respondent != asked.code) {
            return Err(json::wrong(&format!("the respondent {}", asked.code), row));
        }
        let Some(megawatthours) = json::number(row, "/value")? else { continue };
        let fuel = json::text(row, "/fueltype").ok_or_else(|| json::wrong("fueltype", row))?;
        // The period is named by the end of its hour.
        let at = json::instant(row, "/period")?.saturating_sub(HOUR);
        mix.add(at, fuel, kind(fuel), megawatthours);
    }
    mix.quotes(HOUR, asked.now)
}

/// Fuels, with those of 2025 that tell storage apart.
fn kind(fuel: &str) -> Kind {
    Kind::Plant(match fuel {
        "BAT" | "OES" | "PS" | "UES" => return Kind::Storage,
        "COL" => Method::Coal,
        "GEO" => Method::Geothermal,
        "NG" => Method::Gas,
        "NUC" => Method::Nuclear,
        "OIL" => Method::Oil,
        "SNB" | "SUN" => Method::Solar,
        "WAT" => Method::Hydro,
        "WNB" | "WND" => Method::Wind,
        _ => Method::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Reason;
    use crate::grid::tests::{asked, fault, only};

    const BODY: &str = r#"{"response":{"total":"5","dateFormat":"YYYY-MM-DD\"T\"HH24","frequency":"hourly","data":[
        {"period":"2018-01-20T12","respondent":"CISO","respondent-name":"California Independent System Operator",
         "fueltype":"NG","type-name":"Natural Gas","value":"841","value-units":"megawatthours"},
        {"period":"2018-01-20T12","respondent":"CISO","fueltype":"WND","value":65.5},
        {"period":"2018-01-20T12","respondent":"CISO","fueltype":"SUN","value":"-12"},
        {"period":"2018-01-20T12","respondent":"CISO","fueltype":"BAT","value":"500"},
        {"period":"2018-01-20T12","respondent":"CISO","fueltype":"OIL","value":null},
        {"period":"2018-01-20T11","respondent":"CISO","fueltype":"NG","value":"900"}]},
        "request":{"command":"/v2/electricity/rto/fuel-type-data/data/","params":{}},"apiVersion":"2.1.10"}"#;

    #[test]
    fn the_newest_hour_weighed() {
        let (grams, quote) = only(parse(&asked("CISO"), BODY.as_bytes()));
        assert!((grams - (841.0 * 490.0 + 65.5 * 11.0) / 906.5).abs() < 1e-9, "{grams}");
        assert_eq!((quote.signal, quote.basis), (Signal::Average, Basis::Lifecycle));
        // The hour that ends at noon.
        assert_eq!(quote.observation.at, Duration::from_secs(1_516_446_000));
        assert_eq!(quote.until, Some(Duration::from_secs(1_516_449_600)));
    }

    /// Hours up to noon, each with all of `fuels`, but the last few as `last` has them.
    fn answer(fuels: &[(&str, &str)], last: &[&[(&str, &str)]]) -> String {
        let usual = std::iter::repeat_n(fuels, 24 - last.len()).chain(last.iter().copied());
        let rows = (1..=24).zip(usual).flat_map(|(hour, fuels)| {
            fuels.iter().map(move |(fuel, value)| {
                let (day, hour) = if hour <= 12 { (19, hour + 11) } else { (20, hour - 12) };
                format!(
                    r#"{{"period":"2018-01-{day}T{hour:02}","respondent":"PJM","fueltype":"{fuel}","value":{value}}}"#
                )
            })
        });
        format!(r#"{{"response":{{"data":[{}]}}}}"#, rows.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn a_mix_is_compared_with_the_hours_before_it() {
        let usual = [
            ("COL", "15000"),
            ("NG", "40000"),
            ("NUC", "32000"),
            ("SUN", "0"),
            ("WAT", "1000"),
            ("WND", "4000"),
        ];
        let grams = (15.0 * 820.0 + 40.0 * 490.0 + 32.0 * 12.0 + 24.0 + 4.0 * 11.0) / 92.0;
        let filled =
            usual.map(|(fuel, value)| (fuel, if matches!(fuel, "COL" | "NG") { "0" } else { value }));
        let zeros = usual.map(|(fuel, _)| (fuel, "0"));
        let absent = &usual[2..];
        let outlier = usual.map(|(fuel, value)| (fuel, if fuel == "WND" { "400000" } else { value }));
        for (last, hours) in [
            (vec![&filled[..]; 3], 3),
            (vec![&zeros[..]; 1], 1),
            (vec![absent; 5], 5),
            (vec![&outlier[..]; 1], 1),
            (vec![&filled[..], &zeros[..]], 2),
        ] {
            let (found, quote) = only(parse(&asked("PJM"), answer(&usual, &last).as_bytes()));
            assert!((found - grams).abs() < 1e-9, "{found} {grams}");
            assert!(!quote.observation.estimated);
            assert_eq!(quote.until, Some(Duration::from_secs(1_516_449_600) - HOUR * hours));
        }
        let failure = parse(&asked("PJM"), answer(&zeros, &[]).as_bytes()).unwrap_err();
        assert_eq!(failure.reason, Reason::NoData);
        assert!(failure.text.contains("all usual types"), "{failure}");
    }

    #[test]
    fn bad_answers() {
        assert_eq!(parse(&asked("CISO"), br#"{"response":{"data":[]}}"#), Ok(Vec::new()));
        for wrong in [
            "<html>".to_owned(),
            r#"{"error":"…","code":400}"#.to_owned(),
            BODY.replace("841", "lots"),
            BODY.replace("CISO", "PJM"),
            BODY.replace("\"fueltype\":\"WND\",", ""),
            BODY.replace("2018-01-20T11", "2018"),
            BODY[..400].to_owned(),
        ] {
            assert_eq!(fault(parse(&asked("CISO"), wrong.as_bytes())), Reason::Malformed, "{wrong}");
        }
    }

    #[test]
    fn zones_are_balancing_authorities() {
        assert_eq!(covers("US-CAL-CISO").as_deref(), Some("CISO"));
        assert_eq!(covers("US").as_deref(), Some("US48"));
        assert_eq!(covers("US-CA"), None);
        let request = request(&asked("CISO")).unwrap();
        assert!(request.url.as_str().contains("facets%5Brespondent%5D%5B%5D=CISO"), "{}", request.url);
        assert!(request.url.as_str().contains("start=2018-01-18T12"), "{}", request.url);
        assert!(!format!("{request:?}").contains("t0ken"));
    }
}
