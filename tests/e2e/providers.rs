//! Live carbon intensity, from servers that answer as the providers do.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use noether_tests::exporter::Exporter;
use noether_tests::machine::{Hardware, Machine, scratch};
use noether_tests::outcome::{together, until, within};
use noether_tests::scrape::Scrape;

/// A provider on this machine. It answers to the first line of each request with a status and a body.
struct Server {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&heard);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.extend(byte);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let (status, body) = answer(&head);
                log.lock().expect("the requests").push(head.lines().next().unwrap_or_default().to_owned());
                let length = body.len();
                let sent = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                // The exporter may have gone.
                drop(stream.write_all(sent.as_bytes()));
            }
        });
        Self { url, heard }
    }

    fn heard(&self, part: &str) -> usize {
        self.heard.lock().expect("the requests").iter().filter(|line| line.contains(part)).count()
    }
}

/// `noether grid` for one zone at one provider, below `base` of `server`, and what it shows once that has answered.
fn grid(provider: &str, zone: &str, server: &Server, base: &str) -> (Exporter, Scrape) {
    let folder = scratch();
    let token = folder.path().join("token");
    fs::write(&token, "Aladdin:open sesame").expect("a credential");
    let mut flags = vec![
        "grid".to_owned(),
        format!("--grid.zone={zone}"),
        format!("--grid.provider={provider}"),
        format!("--grid.url={provider}={}{base}", server.url),
    ];
    if provider != "uk" {
        flags.push(format!("--grid.token-file={}", token.display()));
    }
    let exporter = Exporter::start(&flags);
    let answered = |scrape: &Scrape| live(scrape, provider).is_some() || !failures(scrape).is_empty();
    let scrape = exporter.scrape_until("the provider has answered", answered);
    (exporter, scrape)
}

/// The live intensity in g/kWh, and whether it is an estimate.
fn live(scrape: &Scrape, provider: &str) -> Option<(f64, bool)> {
    let mut found = scrape.samples("noether_grid_carbon_intensity_grams_per_kwh");
    let sample = found.find(|sample| sample.label("provider") == provider)?;
    Some((sample.value(), sample.label("estimated") == "true"))
}

fn failures(scrape: &Scrape) -> Vec<(String, f64)> {
    let all = scrape.samples("noether_grid_request_failures_total");
    let counted = all.filter(|sample| sample.value() > 0.0);
    counted.map(|sample| (sample.label("reason").to_owned(), sample.value())).collect()
}

/// One failure for `reason`, no value, and a log line with all of `words`.
fn fails(found: (Exporter, Scrape), provider: &str, reason: &str, words: &[&str]) {
    let (exporter, scrape) = found;
    assert_eq!(failures(&scrape), [(reason.to_owned(), 1.0)]);
    assert_eq!(live(&scrape, provider), None);
    // A failure is counted before it is logged.
    let of_provider = format!("provider {provider}");
    let line = until("the failure is logged", || {
        exporter.log().lines().find(|line| line.contains(&of_provider)).map(str::to_owned)
    });
    for word in words {
        assert!(line.contains(word), "no {word:?} in: {line}");
    }
    assert!(!exporter.log().contains("open sesame"), "{}", exporter.log());
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs()
}

/// An instant as ENTSO-E writes it; <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn minute(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}Z")
}

/// A day of quarters of Germany's generation in MW, by type. Each type ends so many quarters before now.
fn generation(types: &[(&str, f64, u64)]) -> String {
    let end = now() / 900 * 900;
    let series = types.iter().map(|(code, megawatts, late)| {
        let count = 96 - late;
        let points: String = (1..=count)
            .map(|n| format!("<Point><position>{n}</position><quantity>{megawatts}</quantity></Point>"))
            .collect();
        format!(
            "<TimeSeries><inBiddingZone_Domain.mRID codingScheme=\"A01\">10Y1001A1001A83F</inBiddingZone_Domain.mRID>\
             <curveType>A01</curveType><MktPSRType><psrType>{code}</psrType></MktPSRType>\
             <Period><timeInterval><start>{}</start><end>{}</end></timeInterval>\
             <resolution>PT15M</resolution>{points}</Period></TimeSeries>",
            minute(end - 86_400),
            minute(end - late * 900),
        )
    });
    let series: String = series.collect();
    format!("<GL_MarketDocument xmlns=\"urn:x\"><mRID>x</mRID>{series}</GL_MarketDocument>")
}

fn entsoe(status: u16, body: String) -> (Exporter, Scrape) {
    grid("entsoe", "DE", &Server::start(move |_| (status, body.clone())), "/api")
}

#[test]
fn a_mix_without_its_usual_types_is_not_the_mix() {
    let _guard = together();
    // Wind is there up to now, all others ended two and a half hours before.
    let mix = [
        ("B02", 18_000.0, 10),
        ("B05", 12_000.0, 10),
        ("B04", 10_000.0, 10),
        ("B12", 2_000.0, 10),
        ("B19", 15_000.0, 0),
    ];
    let factors = [1054.0, 820.0, 490.0, 24.0, 11.0];
    let grams: f64 = mix.iter().zip(factors).map(|((_, megawatts, _), factor)| megawatts * factor).sum();
    let expected = grams / mix.iter().map(|(_, megawatts, _)| megawatts).sum::<f64>();
    let (_, scrape) = entsoe(200, generation(&mix));
    let (grams, estimated) = live(&scrape, "entsoe").unwrap_or_else(|| panic!("{:?}", failures(&scrape)));
    within(1e-6, grams, expected, "g/kWh of the last complete quarter");
    assert!(!estimated);
    // Nothing but zeros is no mix at all, and says so.
    let zeros = mix.map(|(code, _, _)| (code, 0.0, 0));
    fails(entsoe(200, generation(&zeros)), "entsoe", "no_data", &["all usual types of generation"]);
}

#[test]
fn refusals_give_their_reason() {
    let _guard = together();
    let document = |reason: &str| {
        let sender = "<sender_MarketParticipant.mRID codingScheme=\"A01\">10X1001A1001A450</sender_MarketParticipant.mRID>";
        format!(
            "<?xml version=\"1.0\"?><Acknowledgement_MarketDocument xmlns=\"urn:x\"><mRID>x</mRID>{sender}{sender}{sender}\
             <Reason><code>999</code><text>{reason}</text></Reason></Acknowledgement_MarketDocument>"
        )
    };
    let absent = "No matching data found for Data item X";
    fails(entsoe(400, document(absent)), "entsoe", "no_data", &[absent]);
    let refused = "The number of instances (149) exceeds the allowed maximum (100)";
    fails(entsoe(400, document(refused)), "entsoe", "status", &[refused]);
    let html = "<html><head><style>p {}</style></head><body><p>Scheduled maintenance</p></body></html>";
    fails(entsoe(503, html.to_owned()), "entsoe", "server", &["Scheduled maintenance"]);
    let key =
        r#"{"request":{},"error":{"code":"API_KEY_INVALID","message":"An invalid api_key was supplied."}}"#;
    let server = Server::start(move |_| (403, key.to_owned()));
    let found = grid("eia", "US-MIDA-PJM", &server, "/v2/");
    fails(found, "eia", "unauthorized", &["An invalid api_key was supplied", "valid credential"]);
}

#[test]
fn a_login_is_made_anew_once_and_a_refused_one_is_about_the_credential() {
    let _guard = together();
    let at = minute(now() / 300 * 300 - 300);
    let data = format!(
        r#"{{"data":[{{"point_time":"{at}","value":1000}}],"meta":{{"region":"PJM_DC",
        "data_point_period_seconds":300,"signal_type":"co2_moer","units":"lbs_co2_per_mwh"}}}}"#
    );
    let logins = AtomicU32::new(0);
    let server = Server::start(move |head| match () {
        () if head.starts_with("GET /login ") => {
            (200, format!(r#"{{"token":"token-{}"}}"#, logins.fetch_add(1, Ordering::SeqCst) + 1))
        }
        () if head.contains("Bearer token-1") => (403, "Forbidden".to_owned()),
        () => (200, data.clone()),
    });
    let (_, scrape) = grid("watttime", "PJM_DC", &server, "/v3/");
    let (grams, _) = live(&scrape, "watttime").expect("a value");
    within(1e-6, grams, 453.592_37, "g/kWh");
    assert_eq!((server.heard("GET /login"), server.heard("GET /v3/historical")), (2, 2));
    assert_eq!(failures(&scrape), []);
    let server = Server::start(|_| (403, "Forbidden".to_owned()));
    let found = grid("watttime", "PJM_DC", &server, "");
    fails(found, "watttime", "unauthorized", &["valid credential", "--grid.token-file"]);
    assert_eq!(server.heard(""), 1);
}

#[test]
fn versions_of_electricity_maps_and_its_test_keys() {
    let _guard = together();
    let at = minute(now() / 3600 * 3600);
    let answer = |more: &str| {
        format!(r#"{{"zone":"FR","carbonIntensity":58,"datetime":"{at}","isEstimated":false{more}}}"#)
    };
    for (base, version) in
        [("/v3", "/v3/"), ("/v3/", "/v3/"), ("/v4", "/v4/"), ("/proxy/v4/", "/proxy/v4/"), ("", "/v4/")]
    {
        let (body, path) = (answer(""), format!("GET {version}carbon-intensity/latest?zone=FR "));
        let wanted = path.clone();
        let server = Server::start(move |head| match () {
            () if head.starts_with(&wanted) => (200, body.clone()),
            () => (404, "Not Found".to_owned()),
        });
        let (_, scrape) = grid("electricitymaps", "FR", &server, base);
        assert_eq!(live(&scrape, "electricitymaps"), Some((58.0, false)), "{base}");
        assert_eq!(server.heard(&path), 1, "{base}");
    }
    let test = answer(r#","estimationMethod":"SANDBOX_MODE_DATA""#);
    let server = Server::start(move |_| (200, test.clone()));
    let found = grid("electricitymaps", "FR", &server, "");
    fails(
        found,
        "electricitymaps",
        "unauthorized",
        &["sandbox key", "SANDBOX_MODE_DATA", "valid credential"],
    );
}

#[test]
fn an_answer_for_another_zone_is_malformed() {
    let _guard = together();
    let (from, to) = (minute(now() / 1800 * 1800), minute(now() / 1800 * 1800 + 1800));
    let body = format!(
        r#"{{"data":[{{"regionid":1,"shortname":"North Scotland","data":[{{"from":"{from}","to":"{to}",
        "intensity":{{"forecast":9,"index":"very low"}}}}]}}]}}"#
    );
    let right = body.replace(":1,", ":13,");
    let server = Server::start(move |_| (200, right.clone()));
    let (_, scrape) = grid("uk", "GB-LONDON", &server, "");
    assert_eq!(live(&scrape, "uk"), Some((9.0, true)));
    let server = Server::start(move |_| (200, body.clone()));
    fails(grid("uk", "GB-LONDON", &server, ""), "uk", "malformed", &["regionid 13"]);
    let other = generation(&[("B19", 1.0, 0)]).replace("10Y1001A1001A83F", "10YFR-RTE------C");
    fails(entsoe(200, other), "entsoe", "malformed", &["10Y1001A1001A83F", "10YFR-RTE------C"]);
}

#[test]
fn a_node_takes_a_zone_that_only_a_provider_knows() {
    let _guard = together();
    let machine = Machine::new(Hardware::laptop(), vec![]);
    for (zone, warning) in [
        ("GB-LONDON", None),
        ("CAISO_NORTH", None),
        ("my-dam", Some("no grid zone is called")),
        ("DEE", Some("did you mean")),
    ] {
        let mut flags = machine.flags();
        flags.push(format!("--grid.zone={zone}"));
        let exporter = Exporter::start(&flags);
        let scrape = exporter.scrape();
        let zones: Vec<_> =
            scrape.samples("noether_node_grid_info").map(|sample| sample.label("grid_zone")).collect();
        assert_eq!(zones, [zone]);
        let log = exporter.log();
        match warning {
            None => assert!(!log.contains("--grid.zone"), "{log}"),
            Some(warning) => assert!(log.contains("--grid.zone") && log.contains(warning), "{log}"),
        }
    }
}
