//! ENTSO-E Transparency Platform: generation by type of each bidding zone of Europe, each quarter of an hour or hour.
//!
//! Document A75 (actual generation per type), process A16 (realised).
//! <https://transparencyplatform.zendesk.com/hc/en-us/articles/15692855254548>

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use noether_core::carbon::{Basis, Signal};
use roxmltree::{Document, Node, ParsingOptions};

use super::explanation::line;
use super::failure::{Failure, Reason};
use super::mix::{Kind, Method, Mix};
use super::provider::{Access, Asked, Need, Provider, Quotes, Request};
use super::time;

/// The provider.
pub(super) const PROVIDER: Provider = Provider {
    name: "entsoe",
    summary: "ENTSO-E Transparency Platform: generation by type in Europe",
    url: "https://web-api.tp.entsoe.eu",
    signal: Signal::Average,
    basis: Basis::Lifecycle,
    cadence: Duration::from_secs(900),
    need: Need::Token,
    covers,
    access: Access::Web { request, parse, login: None, refusal: Some(refusal) },
};

/// So far back is asked: values are published up to some hours after their period, and the newest are compared with the
/// day before them.
const LOOK_BACK: Duration = Duration::from_secs(26 * 3600);

/// An answer to what is asked has far fewer.
const MOST_NODES: u32 = 200_000;

/// Energy identification codes of zones: <https://www.entsoe.eu/data/energy-identification-codes-eic/>
const AREAS: &[(&str, &str)] = &[
    ("AL", "10YAL-KESH-----5"),
    ("AT", "10YAT-APG------L"),
    ("BA", "10YBA-JPCC-----D"),
    ("BE", "10YBE----------2"),
    ("BG", "10YCA-BULGARIA-R"),
    ("CH", "10YCH-SWISSGRIDZ"),
    ("CY", "10YCY-1001A0003J"),
    ("CZ", "10YCZ-CEPS-----N"),
    ("DE", "10Y1001A1001A83F"),
    ("DK", "10Y1001A1001A65H"),
    ("DK-DK1", "10YDK-1--------W"),
    ("DK-DK2", "10YDK-2--------M"),
    ("EE", "10Y1001A1001A39I"),
    ("ES", "10YES-REE------0"),
    ("FI", "10YFI-1--------U"),
    ("FR", "10YFR-RTE------C"),
    ("GB-NIR", "10Y1001A1001A016"),
    ("GE", "10Y1001A1001B012"),
    ("GR", "10YGR-HTSO-----Y"),
    ("HR", "10YHR-HEP------M"),
    ("HU", "10YHU-MAVIR----U"),
    ("IE", "10YIE-1001A00010"),
    ("IT", "10YIT-GRTN-----B"),
    ("IT-CNO", "10Y1001A1001A70O"),
    ("IT-CSO", "10Y1001A1001A71M"),
    ("IT-NO", "10Y1001A1001A73I"),
    ("IT-SAR", "10Y1001A1001A74G"),
    ("IT-SIC", "10Y1001A1001A75E"),
    ("IT-SO", "10Y1001A1001A788"),
    ("LT", "10YLT-1001A0008Q"),
    ("LU", "10YLU-CEGEDEL-NQ"),
    ("LV", "10YLV-1001A00074"),
    ("MD", "10Y1001A1001A990"),
    ("ME", "10YCS-CG-TSO---S"),
    ("MK", "10YMK-MEPSO----8"),
    ("NL", "10YNL----------L"),
    ("NO", "10YNO-0--------C"),
    ("NO-NO1", "10YNO-1--------2"),
    ("NO-NO2", "10YNO-2--------T"),
    ("NO-NO3", "10YNO-3--------J"),
    ("NO-NO4", "10YNO-4--------9"),
    ("NO-NO5", "10Y1001A1001A48H"),
    ("PL", "10YPL-AREA-----S"),
    ("PT", "10YPT-REN------W"),
    ("RO", "10YRO-TEL------P"),
    ("RS", "10YCS-SERBIATSOV"),
    ("SE", "10YSE-1--------K"),
    ("SE-SE1", "10Y1001A1001A44P"),
    ("SE-SE2", "10Y1001A1001A45N"),
    ("SE-SE3", "10Y1001A1001A46L"),
    ("SE-SE4", "10Y1001A1001A47J"),
    ("SI", "10YSI-ELES-----O"),
    ("SK", "10YSK-SEPS-----K"),
    ("XK", "10Y1001C--00100H"),
];

fn covers(zone: &str) -> Option<String> {
    AREAS.iter().find(|(ours, _)| *ours == zone).map(|(_, area)| (*area).to_owned())
}

fn request(asked: &Asked<'_>) -> Result<Request, Failure> {
    let written = |at: Duration| time::written(at, "%Y%m%d%H00");
    let query = [
        ("securityToken", asked.token()),
        ("documentType", "A75"),
        ("processType", "A16"),
        ("in_Domain", asked.code),
        ("periodStart", &*written(asked.now.saturating_sub(LOOK_BACK))),
        ("periodEnd", &*written(asked.now.saturating_add(Duration::from_secs(3600)))),
    ];
    asked.request("/api", &query)
}

fn parse(asked: &Asked<'_>, body: &[u8]) -> Quotes {
    const EXPECTED: &str = "the XML of a GL_MarketDocument";
    let text = std::str::from_utf8(body).map_err(|_| Failure::malformed(EXPECTED, body))?;
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim_start_matches('\u{feff}').trim(), options)
        .map_err(|_| Failure::malformed(EXPECTED, body))?;
    let root = document.root_element();
    match root.tag_name().name() {
        "GL_MarketDocument" => generation(asked, root),
        "Acknowledgement_MarketDocument" => acknowledgement(root),
        _ => Err(Failure::malformed(EXPECTED, body)),
    }
}

/// That there are no data is said in a document of its own, with the same code as an error.
fn acknowledgement(root: Node<'_, '_>) -> Quotes {
    let reasons: Vec<&str> = children(root, "Reason").filter_map(|reason| text(reason, "text")).collect();
    let reason = reasons.join("; ");
    if is_absence(&reason) {
        return Ok(Vec::new());
    }
    Err(Failure::new(Reason::Status, format!("expected generation, found a refusal: {:?}", line(&reason))))
}

fn is_absence(reason: &str) -> bool {
    reason.to_ascii_lowercase().contains("no matching data")
}

/// That there are no data comes with the status 400 as well.
/// <https://transparencyplatform.zendesk.com/hc/en-us/articles/15692855254548>
fn refusal(reason: &str) -> Option<Reason> {
    is_absence(reason).then_some(Reason::NoData)
}

fn generation(asked: &Asked<'_>, root: Node<'_, '_>) -> Quotes {
    let mut points = Vec::new();
    for series in children(root, "TimeSeries") {
        let kind = child(series, "MktPSRType").and_then(|kind| text(kind, "psrType"));
        let code = kind.ok_or_else(|| wrong("psrType in each TimeSeries", series))?;
        if is_consumption(asked, series)? {
            continue;
        }
        let blocks = text(series, "curveType") == Some("A03");
        for period in children(series, "Period") {
            points.extend(spread(period, blocks)?.into_iter().map(|point| (code, point)));
        }
    }
    let Some(step) = points.iter().map(|(_, point)| point.length).min() else { return Ok(Vec::new()) };
    let mut mix = Mix::default();
    for ((at, code), megawatts) in by_step(&points, step) {
        mix.add(at, code, kind(code), megawatts);
    }
    mix.quotes(step, asked.now)
}

/// Whether a series has the zone as its *out* domain: pumps, and what plants use themselves. It must not be another of the
/// zones that can be asked for; a country's answer may name its bidding zone instead.
fn is_consumption(asked: &Asked<'_>, series: Node<'_, '_>) -> Result<bool, Failure> {
    let into = text(series, "inBiddingZone_Domain.mRID");
    let out = text(series, "outBiddingZone_Domain.mRID");
    if let Some(other) = into.or(out).filter(|zone| is_another(asked, zone)) {
        return Err(Failure::malformed(&format!("the zone {}", asked.code), other.as_bytes()));
    }
    Ok(into.is_none() && out.is_some())
}

fn is_another(asked: &Asked<'_>, zone: &str) -> bool {
    zone != asked.code && AREAS.iter().any(|(_, code)| *code == zone)
}

/// The power of each type in each period of length `step`. Hourly series hold in each of the quarters. Of a type that is
/// given by the hour and by the quarter, the quarters count; but zeros beside an amount are filled in.
fn by_step<'a>(points: &[(&'a str, Point)], step: Duration) -> BTreeMap<(Duration, &'a str), f64> {
    let mut chosen: BTreeMap<(Duration, &str), (bool, Reverse<Duration>, f64)> = BTreeMap::new();
    for (code, point) in points {
        let pieces = (point.length.as_secs() / step.as_secs().max(1)).clamp(1, 60);
        let found = (point.megawatts > 0.0, Reverse(point.length), point.megawatts);
        for piece in 0..pieces {
            let at = point.at.saturating_add(step.saturating_mul(u32::try_from(piece).unwrap_or(0)));
            let known = chosen.entry((at, *code)).or_insert(found);
            if found > *known {
                *known = found;
            }
        }
    }
    chosen.into_iter().map(|(key, (_, _, megawatts))| (key, megawatts)).collect()
}

/// Mean power in an interval.
struct Point {
    at: Duration,
    length: Duration,
    megawatts: f64,
}

/// The points of a period. With variable sized blocks (curve A03) a point that is missing repeats the one before it.
/// <https://eepublicdownloads.entsoe.eu/clean-documents/EDI/Library/cim_based/Introduction_of_different_Timeseries_possibilities__curvetypes__with_ENTSO-E_electronic_document_v1.4.pdf>
fn spread(period: Node<'_, '_>, blocks: bool) -> Result<Vec<Point>, Failure> {
    let interval = child(period, "timeInterval").ok_or_else(|| wrong("timeInterval", period))?;
    let bound =
        |name| text(interval, name).and_then(time::instant).ok_or_else(|| wrong("start and end", interval));
    let (start, end) = (bound("start")?, bound("end")?);
    let length = text(period, "resolution").and_then(resolution).ok_or_else(|| wrong("PT15M", period))?;
    let last =
        u32::try_from(end.saturating_sub(start).as_secs() / length.as_secs()).unwrap_or(u32::MAX).min(10_000);
    let mut points: Vec<Point> = Vec::new();
    for point in children(period, "Point") {
        let position = text(point, "position").and_then(|position| position.parse::<u32>().ok());
        let position = position.filter(|position| (1..=last).contains(position));
        let position = position.ok_or_else(|| wrong(&format!("a position from 1 to {last}"), point))?;
        let megawatts = text(point, "quantity").and_then(|quantity| quantity.parse::<f64>().ok());
        let megawatts = megawatts.filter(|quantity| quantity.is_finite());
        let megawatts = megawatts.ok_or_else(|| wrong("a number as quantity", point))?;
        if blocks {
            repeat(&mut points, start, length, position - 1);
        }
        points.push(Point { at: start + length * (position - 1), length, megawatts });
    }
    if blocks {
        repeat(&mut points, start, length, last);
    }
    Ok(points)
}

/// Repeats the last of `points` until there are `count` of them.
fn repeat(points: &mut Vec<Point>, start: Duration, length: Duration, count: u32) {
    let Some(megawatts) = points.last().map(|point| point.megawatts) else { return };
    let known = points.last().map_or(start, |point| point.at + length);
    let known = u32::try_from(known.saturating_sub(start).as_secs() / length.as_secs()).unwrap_or(count);
    points.extend((known..count).map(|place| Point { at: start + length * place, length, megawatts }));
}

fn resolution(text: &str) -> Option<Duration> {
    let minutes = match text {
        "PT1M" => 1,
        "PT5M" => 5,
        "PT15M" => 15,
        "PT30M" => 30,
        "PT60M" | "PT1H" => 60,
        _ => return None,
    };
    Some(Duration::from_secs(minutes * 60))
}

/// Types of production, code list `StandardAssetTypeList`.
fn kind(code: &str) -> Kind {
    Kind::Plant(match code {
        // Pumped storage, and storage of other kinds.
        "B10" | "B25" => return Kind::Storage,
        // Other renewable plants burn landfill and sewage gas, most of them.
        "B01" | "B15" => Method::Biomass,
        "B02" => Method::Lignite,
        // Gas of coke ovens and blast furnaces carries the carbon of their coal.
        "B03" | "B05" => Method::Coal,
        "B04" => Method::Gas,
        "B06" => Method::Oil,
        "B07" => Method::OilShale,
        "B08" => Method::Peat,
        "B09" => Method::Geothermal,
        "B11" | "B12" => Method::Hydro,
        "B13" => Method::Ocean,
        "B14" => Method::Nuclear,
        "B16" => Method::Solar,
        "B17" => Method::Waste,
        "B18" => Method::WindOffshore,
        "B19" => Method::WindOnshore,
        _ => Method::Unknown,
    })
}

fn children<'a>(node: Node<'a, 'a>, name: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn child<'a>(node: Node<'a, 'a>, name: &'a str) -> Option<Node<'a, 'a>> {
    children(node, name).next()
}

fn text<'a>(node: Node<'a, 'a>, name: &'a str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim)
}

fn wrong(expected: &str, node: Node<'_, '_>) -> Failure {
    let found = node.document().input_text().get(node.range()).unwrap_or_default();
    Failure::malformed(expected, found.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::tests::{asked, fault, only};

    const NL: &str = "10YNL----------L";

    fn series(code: &str, domain: &str, curve: &str, resolution: &str, points: &[(u32, &str)]) -> String {
        let points: String = points
            .iter()
            .map(|(position, quantity)| {
                format!("<Point><position>{position}</position><quantity>{quantity}</quantity></Point>\n")
            })
            .collect();
        format!(
            r#"<TimeSeries><mRID>1</mRID><businessType>A01</businessType><objectAggregation>A08</objectAggregation>
            <{domain}BiddingZone_Domain.mRID codingScheme="A01">10YNL----------L</{domain}BiddingZone_Domain.mRID>
            <quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name><curveType>{curve}</curveType>
            <MktPSRType><psrType>{code}</psrType></MktPSRType>
            <Period><timeInterval><start>2018-01-20T10:00Z</start><end>2018-01-20T12:00Z</end></timeInterval>
            <resolution>{resolution}</resolution>{points}</Period></TimeSeries>"#
        )
    }

    fn document(series: &[String]) -> String {
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?>
            <GL_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0">
            <mRID>x</mRID><type>A75</type><process.processType>A16</process.processType>{}</GL_MarketDocument>"#,
            series.concat()
        )
    }

    const NO_DATA: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <Acknowledgement_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0">
        <mRID>1baecd4d-6a8a-4</mRID><Reason><code>999</code>
        <text>No matching data found for Data item AGGREGATED_GENERATION_PER_TYPE [16.1.B&amp;C]</text></Reason>
        </Acknowledgement_MarketDocument>"#;

    #[test]
    fn generation_is_weighed_and_consumption_and_storage_are_not_in_it() {
        let body = document(&[
            series("B04", "in", "A01", "PT60M", &[(1, "200"), (2, "300")]),
            series("B18", "in", "A01", "PT60M", &[(1, "500"), (2, "700.0")]),
            series("B10", "in", "A01", "PT60M", &[(2, "900")]),
            series("B10", "out", "A01", "PT60M", &[(1, "900"), (2, "900")]),
        ]);
        let (grams, quote) = only(parse(&asked(NL), body.as_bytes()));
        assert!((grams - (0.3 * 490.0 + 0.7 * 12.0)).abs() < 1e-9, "{grams}");
        assert_eq!(quote.observation.at, Duration::from_secs(1_516_446_000));
        assert_eq!(quote.until, Some(Duration::from_secs(1_516_449_600)));
        assert!(!quote.observation.estimated);
    }

    #[test]
    fn points_left_out_of_a_block_repeat_the_one_before() {
        // Gas stays at 300 from the second quarter on; wind changes at the seventh. Lignite is hourly.
        let body = document(&[
            series("B04", "in", "A03", "PT15M", &[(1, "100"), (2, "300")]),
            series("B19", "in", "A03", "PT15M", &[(1, "500"), (7, "600")]),
            series("B02", "in", "A03", "PT60M", &[(1, "100")]),
        ]);
        let (grams, quote) = only(parse(&asked(NL), body.as_bytes()));
        assert!((grams - (300.0 * 490.0 + 600.0 * 11.0 + 100.0 * 1054.0) / 1000.0).abs() < 1e-9, "{grams}");
        assert_eq!(quote.observation.at, Duration::from_secs(1_516_448_700));
        assert_eq!(quote.until, Some(Duration::from_secs(1_516_449_600)));
        // In a curve of fixed blocks a missing point is a gap: the last quarter that has all of them counts.
        let body = document(&[
            series("B04", "in", "A01", "PT15M", &[(1, "100"), (2, "300"), (3, "300")]),
            series("B19", "in", "A01", "PT15M", &[(1, "700"), (2, "700")]),
        ]);
        let (_, quote) = only(parse(&asked(NL), body.as_bytes()));
        assert_eq!(quote.observation.at, Duration::from_secs(1_516_443_300));
    }

    #[test]
    fn a_type_given_by_the_hour_and_by_the_quarter_counts_once() {
        let quarters = |quantity| (1..=8).map(|position| (position, quantity)).collect::<Vec<_>>();
        let gas = |points: &[(u32, &str)]| series("B04", "in", "A01", "PT15M", points);
        let hourly = series("B04", "in", "A01", "PT60M", &[(1, "100"), (2, "200")]);
        let wind = series("B19", "in", "A03", "PT15M", &[(1, "100")]);
        let grams = |gas: f64| (gas * 490.0 + 100.0 * 11.0) / (gas + 100.0);
        for (series, expected) in [
            (vec![hourly.clone(), gas(&quarters("100")), wind.clone()], 100.0),
            (vec![gas(&quarters("100")), wind.clone(), hourly.clone()], 100.0),
            // The same series twice.
            (vec![gas(&quarters("100")), wind.clone(), gas(&quarters("100"))], 100.0),
            // Where quarters are not there yet, or are filled with zeros, the hour holds.
            (vec![gas(&quarters("150")[..4]), hourly.clone(), wind.clone()], 200.0),
            (vec![gas(&quarters("0")), hourly.clone(), wind.clone()], 200.0),
        ] {
            let (found, quote) = only(parse(&asked(NL), document(&series).as_bytes()));
            assert!((found - grams(expected)).abs() < 1e-9, "{found} {expected}");
            assert_eq!(quote.until, Some(Duration::from_secs(1_516_449_600)));
        }
    }

    #[test]
    fn what_is_filled_to_the_end_of_what_was_asked_is_no_data() {
        // Solar power is there until 13:00, an hour ahead of the clock; the rest ends at 11:00.
        let solar = series("B16", "in", "A03", "PT15M", &[(1, "400"), (5, "0")]);
        let solar = solar.replace("12:00Z", "13:00Z");
        let gas = series("B04", "in", "A01", "PT60M", &[(1, "600")]);
        let (grams, quote) = only(parse(&asked(NL), document(&[solar, gas.clone()]).as_bytes()));
        assert!((grams - (0.6 * 490.0 + 0.4 * 45.0)).abs() < 1e-9, "{grams}");
        assert_eq!(quote.until, Some(Duration::from_secs(1_516_446_000)));
        // Everything is zero for what is not known yet.
        let wind = series("B19", "in", "A01", "PT60M", &[(1, "400"), (2, "0")]);
        let gas = series("B04", "in", "A01", "PT60M", &[(1, "600"), (2, "0")]);
        let (grams, _) = only(parse(&asked(NL), document(&[wind, gas]).as_bytes()));
        assert!((grams - (0.6 * 490.0 + 0.4 * 11.0)).abs() < 1e-9, "{grams}");
    }

    #[test]
    fn no_data_is_absence_and_a_refusal_is_not() {
        assert_eq!(parse(&asked(NL), NO_DATA.as_bytes()), Ok(Vec::new()));
        assert_eq!(parse(&asked(NL), document(&[]).as_bytes()), Ok(Vec::new()));
        let refused = NO_DATA.replace("No matching data found", "Too many requests");
        let refused =
            refused.replace("</Reason>", "</Reason><Reason><code>1</code><text>of this key</text></Reason>");
        let failure = parse(&asked(NL), refused.as_bytes()).unwrap_err();
        assert_eq!(failure.reason, Reason::Status);
        assert!(failure.text.contains("Too many requests for Data item"), "{failure}");
        assert!(failure.text.contains("of this key"), "{failure}");
        assert_eq!(refusal("999 No matching data found for Data item X"), Some(Reason::NoData));
        assert_eq!(refusal("999 The number of instances exceeds the allowed maximum"), None);
    }

    #[test]
    fn bad_answers() {
        let good = document(&[series("B04", "in", "A01", "PT15M", &[(1, "100")])]);
        let failure = parse(&asked("10YFR-RTE------C"), good.as_bytes()).unwrap_err();
        assert_eq!(failure.reason, Reason::Malformed);
        assert!(failure.text.contains("10YFR-RTE------C") && failure.text.contains(NL), "{failure}");
        assert!(parse(&asked(NL), good.as_bytes()).is_ok());
        for wrong in [
            "<html><body>Service Unavailable</body></html>".to_owned(),
            "{}".to_owned(),
            String::new(),
            good[..good.len() / 2].to_owned(),
            good.replace("PT15M", "P1Y"),
            good.replace("PT15M", "PT0M"),
            good.replace(">100<", ">viel<"),
            good.replace(">100<", ">NaN<"),
            good.replace("<position>1<", "<position>0<"),
            good.replace("<position>1<", "<position>4000000000<"),
            good.replace("2018-01-20T10:00Z", "now"),
            good.replace("<psrType>B04</psrType>", ""),
            format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{}", good.trim_start_matches(|c| c != '\n')),
            "<a>".repeat(100_000),
            format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)),
        ] {
            assert_eq!(fault(parse(&asked(NL), wrong.as_bytes())), Reason::Malformed);
        }
        assert_eq!(fault(parse(&asked(NL), &[0xff, 0xfe])), Reason::Malformed);
    }

    #[test]
    fn areas_are_unique_and_well_formed() {
        assert!(AREAS.is_sorted());
        assert!(AREAS.iter().all(|(_, area)| area.len() == 16));
        assert_eq!(covers("DE").as_deref(), Some("10Y1001A1001A83F"));
        assert_eq!(covers("US"), None);
        let request = request(&asked("10YNL----------L")).unwrap();
        let address = request.url.as_str();
        assert!(address.contains("/api?securityToken=t0ken&documentType=A75&processType=A16"), "{address}");
        assert!(address.ends_with("periodStart=201801191000&periodEnd=201801201300"), "{address}");
    }
}
