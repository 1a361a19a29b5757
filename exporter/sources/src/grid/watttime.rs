//! WattTime, v3: what one kilowatt-hour more would emit, every five minutes.
//!
//! <https://docs.watttime.org>

use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};
use noether_core::units::Intensity;
use serde_json::Value;

use super::credential::Secret;
use super::failure::{Failure, Reason};
use super::provider::{Access, Asked, Login, Need, Provider, Quote, Quotes, Request, without_version};
use super::{json, time};

/// The provider.
pub(super) const PROVIDER: Provider = Provider {
    name: "watttime",
    summary: "WattTime v3: marginal operating emissions rate (MOER)",
    url: "https://api.watttime.org",
    signal: Signal::Marginal,
    basis: Basis::Direct,
    cadence: Duration::from_secs(300),
    need: Need::Login,
    covers,
    access: Access::Web {
        request,
        parse,
        // A token is good for 30 minutes.
        login: Some(Login { request: login, parse: token, valid: Duration::from_secs(25 * 60) }),
        refusal: None,
    },
};

/// So far back is asked: enough for one value, also where the newest are late.
const LOOK_BACK: Duration = Duration::from_secs(7200);

/// Regions of zones that lie in one alone. Where WattTime divides a zone further, as those of ERCOT, PJM, MISO, NYISO,
/// ISO-NE and SPP, the operator names the region instead of the zone. California is the exception: `CAISO_NORTH` is the
/// region that every account may ask for.
const REGIONS: &[(&str, &str)] = &[
    ("US-CAL-CISO", "CAISO_NORTH"),
    ("US-CAL-IID", "IID"),
    ("US-CAL-LDWP", "LDWP"),
    ("US-CAR-CPLE", "CPLE"),
    ("US-CAR-CPLW", "CPLW"),
    ("US-CAR-DUK", "DUK"),
    ("US-FLA-FMPP", "FMPP"),
    ("US-FLA-FPC", "FPC"),
    ("US-FLA-FPL", "FPL"),
    ("US-NW-BPAT", "BPA"),
    ("US-NW-CHPD", "CHPD"),
    ("US-NW-DOPD", "DOPD"),
    ("US-NW-IPCO", "IPCO"),
    ("US-NW-NEVP", "NEVP"),
    ("US-NW-PACW", "PACW"),
    ("US-SE-SOCO", "SOCO"),
    ("US-SW-AZPS", "AZPS"),
    ("US-TEN-TVA", "TVA"),
];

/// A region of theirs, known by its underscore or from the table, or a zone of ours that lies in one region.
fn covers(zone: &str) -> Option<String> {
    let is_region = zone.contains('_')
        && zone.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        || REGIONS.iter().any(|(_, region)| *region == zone);
    if is_region {
        return Some(zone.to_owned());
    }
    REGIONS.iter().find(|(ours, _)| *ours == zone).map(|(_, region)| (*region).to_owned())
}

/// The history up to now, never the forecast: what is shown is what WattTime says that was.
fn request(asked: &Asked<'_>) -> Result<Request, Failure> {
    let written = |at| time::written(at, "%Y-%m-%dT%H:%M+00:00");
    let query = [
        ("region", asked.code),
        ("signal_type", "co2_moer"),
        ("start", &*written(asked.now.saturating_sub(LOOK_BACK))),
        ("end", &*written(asked.now)),
        ("include_imputed_marker", "true"),
    ];
    let request = asked.request("/v3/historical", &query)?;
    Ok(request.with("authorization", format!("Bearer {}", asked.token())))
}

fn parse(asked: &Asked<'_>, body: &[u8]) -> Quotes {
    let answer = json::document(body, "the JSON of /v3/historical")?;
    for (pointer, expected) in
        [("/meta/units", "lbs_co2_per_mwh"), ("/meta/signal_type", "co2_moer"), ("/meta/region", asked.code)]
    {
        let found = json::text(&answer, pointer);
        if found != Some(expected) {
            return Err(json::wrong(&format!("{expected:?} at {pointer}"), &answer));
        }
    }
    let period = json::number(&answer, "/meta/data_point_period_seconds")?;
    let period = Duration::try_from_secs_f64(period.unwrap_or(300.0)).unwrap_or(PROVIDER.cadence);
    let mut newest: Option<Quote> = None;
    for point in json::list(&answer, "/data")? {
        let Some(pounds) = json::number(point, "/value")? else { continue };
        let intensity = Intensity::from_pounds_per_mwh(pounds)
            .ok_or_else(|| json::wrong("pounds per megawatt-hour at /value", point))?;
        let at = json::instant(point, "/point_time")?;
        // What a fallback model filled in.
        let estimated = point.pointer("/imputed_data_used").and_then(Value::as_bool).unwrap_or(false);
        if newest.is_none_or(|newest| newest.observation.at <= at) {
            newest = Some(Quote {
                signal: Signal::Marginal,
                basis: Basis::Direct,
                observation: Observation { intensity, estimated, at },
                until: Some(at.saturating_add(period)),
            });
        }
    }
    Ok(newest.into_iter().collect())
}

fn login(url: &str, credential: &Secret) -> Result<Request, Failure> {
    let pair = credential.expose();
    let Some((user, password)) = pair.split_once('\n').or_else(|| pair.split_once(':')) else {
        let text = "expected USER:PASSWORD, found neither a colon nor a second line";
        return Err(Failure::new(Reason::Credential, text));
    };
    let pair = base64(format!("{}:{}", user.trim(), password.trim()).as_bytes());
    // The login lies outside of the version that the documented base of the data ends with.
    Ok(Request::new(without_version(url), "/login", &[])?.with("authorization", format!("Basic {pair}")))
}

fn token(body: &[u8]) -> Result<Secret, Failure> {
    let answer = json::document(body, "the JSON of /login")?;
    let token = json::text(&answer, "/token").filter(|token| !token.is_empty());
    // Not what was found: it may be a token by another name.
    token.map(Secret::new).ok_or_else(|| Failure::new(Reason::Malformed, "expected a token, found none"))
}

/// RFC 4648, section 4: all that basic authentication needs of it.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET.get((bits >> (18 - 6 * place) & 63) as usize);
            let digit = digit.filter(|_| place <= chunk.len());
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::tests::{asked, fault, only};

    const BODY: &str = r#"{"data":[
        {"point_time":"2022-07-15T00:05:00+00:00","value":412.5,"imputed_data_used":false},
        {"point_time":"2022-07-15T00:00:00+00:00","value":870,"imputed_data_used":true},
        {"point_time":"2022-07-15T00:10:00+00:00","value":null}],
        "meta":{"data_point_period_seconds":300,"region":"CAISO_NORTH","warnings":[],
        "signal_type":"co2_moer","model":{"type":"binned_regression","date":"2023-03-01"},
        "units":"lbs_co2_per_mwh"}}"#;

    #[test]
    fn the_newest_value_in_grams() {
        let (grams, quote) = only(parse(&asked("CAISO_NORTH"), BODY.as_bytes()));
        assert!((grams - 187.1).abs() < 0.05, "{grams}");
        assert_eq!((quote.signal, quote.basis), (Signal::Marginal, Basis::Direct));
        assert_eq!(quote.observation.at, Duration::from_secs(1_657_843_500));
        assert_eq!(quote.until, Some(Duration::from_secs(1_657_843_800)));
        assert!(!quote.observation.estimated);
        let imputed = BODY.replace("\"imputed_data_used\":false", "\"imputed_data_used\":true");
        assert!(only(parse(&asked("CAISO_NORTH"), imputed.as_bytes())).1.observation.estimated);
    }

    #[test]
    fn bad_answers() {
        let nothing = BODY.replace("412.5", "null").replace("870", "\"\"");
        assert_eq!(parse(&asked("CAISO_NORTH"), nothing.as_bytes()), Ok(Vec::new()));
        for wrong in [
            "<html>".to_owned(),
            BODY.replace("lbs_co2_per_mwh", "percentile"),
            BODY.replace("co2_moer", "health_damage"),
            BODY.replace("CAISO_NORTH", "PJM_DC"),
            BODY.replace("\"data\"", "\"dat\""),
            BODY.replace("412.5", "-412.5"),
            BODY[..BODY.len() / 2].to_owned(),
        ] {
            assert_eq!(fault(parse(&asked("CAISO_NORTH"), wrong.as_bytes())), Reason::Malformed, "{wrong}");
        }
    }

    #[test]
    fn a_login_takes_a_user_and_a_password_in_either_form() {
        for pair in ["Aladdin:open sesame", "Aladdin\nopen sesame", "Aladdin\r\nopen sesame"] {
            let request = login("https://host", &Secret::new(pair)).unwrap();
            // The example of RFC 7617.
            assert_eq!(request.headers, [("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned())]);
        }
        for base in ["https://host/v3", "https://host/v3/", "https://host/"] {
            let request = login(base, &Secret::new("a:b")).unwrap();
            assert_eq!(request.url.as_str(), "https://host/login");
        }
        assert_eq!(login("https://host", &Secret::new("alone")).unwrap_err().reason, Reason::Credential);
        assert_eq!(token(br#"{"token":"abc"}"#).unwrap().expose(), "abc");
        for wrong in [&b"{}"[..], br#"{"token":""}"#, br#"{"token":7}"#, b"<html>"] {
            assert_eq!(token(wrong).unwrap_err().reason, Reason::Malformed);
        }
        assert_eq!([&b""[..], b"a", b"ab", b"abc"].map(base64), ["", "YQ==", "YWI=", "YWJj"]);
    }

    #[test]
    fn regions_are_named_by_zone_or_by_themselves() {
        assert_eq!(covers("US-CAL-CISO").as_deref(), Some("CAISO_NORTH"));
        assert_eq!(covers("PJM_DC").as_deref(), Some("PJM_DC"));
        assert_eq!(covers("BPA").as_deref(), Some("BPA"));
        for zone in ["FR", "US-MIDA-PJM", "", "caiso_north"] {
            assert_eq!(covers(zone), None);
        }
        let request = request(&asked("CAISO_NORTH")).unwrap();
        let query: Vec<_> = request.url.query_pairs().map(|(_, value)| value.into_owned()).collect();
        assert_eq!(query[2..4], ["2018-01-20T10:00+00:00", "2018-01-20T12:00+00:00"]);
        assert_eq!(request.headers, [("authorization", "Bearer t0ken".to_owned())]);
    }
}
