//! The asking, against servers that count and behave badly.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use noether_core::carbon::{Basis, Signal};
use noether_core::grid::IntensityRow;

use super::server::{Reply, Server, ok, reply};
use crate::grid::web::{Patience, client, fetch, now};
use crate::grid::{
    Chosen, Credential, Live, Plan, Provider, Reason, Request, Secret, electricitymaps, time, zones,
};
use crate::grid::{eia, entsoe, file, watttime};

const CADENCE: Duration = Duration::from_millis(200);
const MAX_AGE: Duration = Duration::from_secs(7200);
const PATIENCE: Patience =
    Patience { connect: Duration::from_millis(500), total: Duration::from_millis(500) };

/// `provider`, but in a hurry.
fn hurried(provider: Provider, cadence: Duration) -> &'static Provider {
    Box::leak(Box::new(Provider { cadence, ..provider }))
}

fn live(provider: &'static Provider, url: String, credential: Credential, zones: &[&str]) -> Arc<Live> {
    let zones = zones.iter().map(|&zone| zone.to_owned()).collect();
    let chosen = Chosen { provider, url: Some(url), credential };
    Arc::new(Live::with(Plan { zones, providers: vec![chosen], max_age: MAX_AGE }, PATIENCE).unwrap())
}

fn given(secret: &str) -> Credential {
    Credential::Given(Secret::new(secret))
}

/// Electricity Maps at `server`.
fn maps(server: &Server, zones: &[&str]) -> Arc<Live> {
    live(hurried(electricitymaps::PROVIDER, CADENCE), server.url(), given("t0ken-of-mine"), zones)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Lets it ask for that long.
fn ask(live: &Arc<Live>, time: Duration) {
    run(async { tokio::time::timeout(time, live.clone().run()).await.unwrap_err() });
}

/// Lets it ask until `done`.
fn ask_until(live: &Arc<Live>, done: impl Fn() -> bool) {
    run(async {
        tokio::spawn(live.clone().run());
        for _ in 0..1000 {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", live.rows(now()));
    });
}

/// An answer of Electricity Maps for the zone that `head` asks for, of `ago` hours.
fn answer(head: &str, grams: &str, ago: u32) -> Reply {
    let zone = head.split("zone=").nth(1).unwrap().split([' ', '&']).next().unwrap();
    let at = time::written(now() - Duration::from_secs(3600) * ago, "%Y-%m-%dT%H:%M:%SZ");
    let body =
        format!(r#"{{"zone":"{zone}","carbonIntensity":{grams},"datetime":"{at}","isEstimated":false}}"#);
    ok(body)
}

fn requests(live: &Live) -> u64 {
    live.rows(now()).1[0].requests
}

fn failures(live: &Live) -> Vec<(&'static str, u64)> {
    let (_, providers) = live.rows(now());
    assert_eq!(providers[0].failures.len(), Reason::ALL.len());
    providers[0].failures.iter().copied().filter(|(_, count)| *count > 0).collect()
}

fn grams(rows: &[IntensityRow], zone: &str) -> Option<f64> {
    let row = rows.iter().find(|row| &*row.provenance.zone == zone).unwrap();
    row.observation.map(|observation| observation.intensity.grams_per_kwh())
}

#[test]
fn every_reason_is_counted_from_the_start() {
    let live = maps(&Server::new(|_| Reply::Silence), &["FR"]);
    let (intensities, providers) = live.rows(now());
    assert_eq!((providers[0].requests, failures(&live)), (0, Vec::new()));
    assert_eq!((intensities.len(), intensities[0].observation, intensities[0].last_success), (1, None, None));
}

#[test]
fn each_kind_of_bad_answer_is_one_request_and_one_failure_by_its_reason() {
    let html = "<!DOCTYPE html><html><body>Sign in to the proxy</body></html>";
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"zone\":".to_vec();
    let rows = [
        (reply(401, "", r#"{"error":"Invalid auth-token"}"#), "unauthorized"),
        (reply(403, "", ""), "forbidden"),
        (reply(404, "", r#"{"error":"Zone 'FR' does not exist."}"#), "not_found"),
        (reply(429, "retry-after: 3600\r\n", ""), "rate_limited"),
        (reply(500, "", html), "server"),
        (reply(503, "", ""), "server"),
        (reply(302, "location: https://login.example/?token=x\r\n", ""), "status"),
        (reply(418, "", ""), "status"),
        (ok(html), "malformed"),
        (ok(""), "malformed"),
        (ok([0xff, 0xfe, 0x00]), "malformed"),
        (Reply::Raw(cut), "interrupted"),
        (Reply::Raw(Vec::new()), "interrupted"),
        (Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "interrupted"),
        (Reply::Silence, "timeout"),
    ];
    for (reply, reason) in rows {
        let told = reply.clone();
        let server = Server::new(move |_| reply.clone());
        // Long enough for one request alone.
        let slow = hurried(electricitymaps::PROVIDER, Duration::from_secs(60));
        let live = live(slow, server.url(), given("t0ken"), &["FR"]);
        ask_until(&live, || !failures(&live).is_empty());
        assert_eq!(failures(&live), [(reason, 1)], "{told:?}");
        assert_eq!((requests(&live), server.heard("").len()), (1, 1), "{told:?}");
        assert_eq!(grams(&live.rows(now()).0, "FR"), None);
    }
}

#[test]
fn values_that_are_absent_late_or_from_the_future_are_told_apart() {
    type Answering = fn(&str) -> Reply;
    let rows: [(Answering, &str); 4] = [
        (|head| answer(head, "null", 0), "no_data"),
        (|head| answer(head, "58", 4), "stale"),
        (|_| ok(future("")), "clock"),
        // The provider's clock says that ours is wrong.
        (|head| with_date(answer(head, "58", 4)), "clock"),
    ];
    for (reply, reason) in rows {
        let live = maps(&Server::new(reply), &["FR"]);
        ask_until(&live, || {
            failures(&live).first().is_some_and(|(found, count)| *found == reason && *count > 1)
        });
        let (intensities, _) = live.rows(now());
        assert_eq!((grams(&intensities, "FR"), intensities[0].last_success), (None, None));
    }
}

/// A value of an hour that begins in an hour, with the date of the provider.
fn future(_: &str) -> String {
    let at = time::written(now() + Duration::from_secs(3600), "%Y-%m-%dT%H:%M:%SZ");
    format!(r#"{{"zone":"FR","carbonIntensity":58,"datetime":"{at}","isEstimated":false}}"#)
}

/// The same, by a clock that is four hours behind.
fn with_date(reply: Reply) -> Reply {
    let Reply::Raw(bytes) = reply else { return reply };
    let date = time::written(now() - Duration::from_secs(4 * 3600), "%a, %d %b %Y %H:%M:%S GMT");
    let text = String::from_utf8(bytes).unwrap();
    Reply::Raw(text.replacen("\r\n", &format!("\r\ndate: {date}\r\n"), 1).into_bytes())
}

#[test]
fn one_zone_that_fails_or_hangs_hurts_no_other() {
    let server = Server::new(|head| match () {
        () if head.contains("zone=DE") => reply(500, "", ""),
        () if head.contains("zone=ES") => Reply::Silence,
        () => answer(head, "58", 0),
    });
    let live = maps(&server, &["FR", "DE", "ES", "IT"]);
    ask(&live, Duration::from_millis(1500));
    let (rows, _) = live.rows(now());
    assert_eq!(["FR", "DE", "ES", "IT"].map(|zone| grams(&rows, zone)), [Some(58.0), None, None, Some(58.0)]);
    assert!(rows.is_sorted_by_key(|row| &row.provenance));
    assert!(server.heard("zone=FR").len() > 2, "{:?}", server.heard("zone=FR").len());
}

#[test]
fn the_last_good_value_stays_until_it_is_too_old() {
    let count = Arc::new(AtomicU32::new(0));
    let server = Server::new(move |head| match count.fetch_add(1, Ordering::SeqCst) {
        0 => answer(head, "\"58.5\"", 0),
        _ => reply(503, "", ""),
    });
    let live = maps(&server, &["FR"]);
    ask_until(&live, || failures(&live) == [("server", 1)]);
    let (rows, _) = live.rows(now());
    assert_eq!(grams(&rows, "FR"), Some(58.5));
    assert!(rows[0].last_success.is_some_and(|at| at <= now()));
    let later = |hours: u64| live.rows(now() + Duration::from_secs(3600 * hours)).0;
    // The hour that it holds for, and two more.
    assert_eq!((grams(&later(2), "FR"), grams(&later(4), "FR")), (Some(58.5), None));
    assert_eq!(later(4)[0].last_success, rows[0].last_success);
}

#[test]
fn fifty_zones_are_one_request_each_per_cadence_also_when_started_again_and_again() {
    let server =
        Server::new(|head| if head.contains("zone=A") { reply(500, "", "") } else { answer(head, "58", 0) });
    // Those of Andorra to Austria fail.
    let known = zones::all().iter().filter(|zone| zone.average(Basis::Lifecycle).is_some());
    let zones: Vec<&str> = known.map(|zone| zone.code).take(50).collect();
    let cadence = Duration::from_millis(700);
    let live = live(hurried(electricitymaps::PROVIDER, cadence), server.url(), given("t0ken"), &zones);
    for _ in 0..12 {
        ask(&live, Duration::from_millis(250));
    }
    for zone in &zones {
        let heard = server.heard(&format!("zone={zone} "));
        assert!((1..=5).contains(&heard.len()), "{zone}: {}", heard.len());
        for pair in heard.windows(2) {
            // What lies between begin and arrival is the machine's, not ours.
            assert!(pair[1] - pair[0] > cadence.mul_f64(0.2), "{zone}: {:?}", pair[1] - pair[0]);
        }
    }
    // What was stopped on its way to the server was counted, and not heard.
    let (counted, heard) = (requests(&live), server.heard("").len() as u64);
    assert!((heard..=5 * zones.len() as u64).contains(&counted), "{counted} counted, {heard} heard");
}

#[test]
fn a_provider_that_wants_to_be_left_alone_is() {
    let server = Server::new(|_| reply(429, "retry-after: 2\r\n", "slow down"));
    let live = live(
        hurried(electricitymaps::PROVIDER, Duration::from_millis(50)),
        server.url(),
        given("t0ken"),
        &["FR"],
    );
    ask_until(&live, || server.heard("").len() >= 2);
    let heard = server.heard("");
    assert!(heard[1] - heard[0] > Duration::from_millis(1900), "{:?}", heard[1] - heard[0]);
    assert_eq!(failures(&live)[0].0, "rate_limited");
}

#[test]
fn failures_back_off() {
    let server = Server::new(|_| reply(500, "", ""));
    let live = maps(&server, &["FR"]);
    ask(&live, Duration::from_secs(2));
    // At 0, 0.2, 0.6 and 1.4 s, or a little later.
    assert!((2..=4).contains(&server.heard("").len()), "{}", server.heard("").len());
}

#[test]
fn no_error_holds_a_secret_and_each_names_a_mend() {
    let server = Server::new(|head| reply(401, "", head.replace("\r\n", " ")));
    let secret = Secret::new("t0ken-of-mine");
    let request = Request::new(&server.url(), "/api", &[("securityToken", secret.expose())]).unwrap();
    let client = client(PATIENCE).unwrap();
    let failure = run(fetch(&client, request.with("auth-token", secret.expose().to_owned()))).unwrap_err();
    assert!(failure.text.contains("t0ken-of-mine"), "the server repeats it: {failure}");
    let failure = failure.without(Some(&secret));
    assert!(!failure.to_string().contains("t0ken-of-mine"), "{failure}");
    assert!(failure.to_string().contains("--grid.token-file"), "{failure}");
    // Nobody listens there: the address with its query is in reqwest's own error.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let request = Request::new(&format!("http://{gone}"), "/api", &[("api_key", secret.expose())]).unwrap();
    let failure = run(fetch(&client, request)).unwrap_err();
    assert_eq!(failure.reason, Reason::Connect);
    assert!(!failure.to_string().contains("t0ken") && failure.text.contains("refused"), "{failure}");
    let request = Request::new(&server.url(), "/", &[]).unwrap().with("auth-token", "two\nlines".to_owned());
    assert_eq!(run(fetch(&client, request)).unwrap_err().reason, Reason::Credential);
}

/// A place that a log is written to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_change_is_logged_once_with_who_what_and_the_mend() {
    let count = Arc::new(AtomicU32::new(0));
    let server = Server::new(move |head| match count.fetch_add(1, Ordering::SeqCst) {
        0..=2 => ok(format!("<html>{}</html>", head.rsplit("auth-token: ").next().unwrap())),
        3 => reply(403, "", ""),
        _ => answer(head, "58", 0),
    });
    let provider = hurried(electricitymaps::PROVIDER, Duration::from_millis(20));
    let live = live(provider, server.url(), given("t0ken-of-mine"), &["IS"]);
    // For the whole process: a scoped one misses what other tests' threads, which have none, switched off.
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    ask_until(&live, || grams(&live.rows(now()).0, "IS").is_some());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<_> =
        log.lines().filter(|line| line.contains("provider electricitymaps, zone IS: ")).collect();
    assert_eq!(ours.len(), 3, "{log}");
    for (line, words) in ours.iter().zip([
        &["WARN", "expected the JSON", "found \"<html>", "--grid.url"][..],
        &["WARN", "expected status 200, found 403", "plan"],
        &["INFO", "answers again"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
    assert!(!log.contains("t0ken-of-mine"), "{log}");
    assert_eq!(failures(&live), [("forbidden", 1), ("malformed", 3)]);
}

#[test]
fn answers_are_limited_in_size_and_may_be_compressed() {
    let client = client(Patience { total: Duration::from_secs(20), ..PATIENCE }).unwrap();
    let get = |server: &Server| run(fetch(&client, Request::new(&server.url(), "/", &[]).unwrap()));
    let failure = get(&Server::new(|_| Reply::Endless)).unwrap_err();
    assert_eq!(failure.reason, Reason::Malformed);
    assert!(failure.text.contains("4 MiB"), "{failure}");
    const ZIPPED: [u8; 33] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 74, 175, 202, 44, 80, 178, 42, 41, 42, 77, 173, 5, 0, 249,
        234, 244, 54, 13, 0, 0, 0,
    ];
    let server = Server::new(|head| {
        assert!(head.contains("accept-encoding: gzip") && head.contains("user-agent: noether/"), "{head}");
        reply(200, "content-encoding: gzip\r\n", ZIPPED)
    });
    assert_eq!(get(&server).unwrap().body, br#"{"gzip":true}"#);
    let server = Server::new(|_| reply(200, "content-encoding: gzip\r\n", &ZIPPED[..20]));
    assert_eq!(get(&server).unwrap_err().reason, Reason::Interrupted);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_a_failure_of_tls() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut stream);
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let slow = hurried(electricitymaps::PROVIDER, Duration::from_secs(60));
    let live = live(slow, format!("https://localhost:{port}"), given("t0ken"), &["FR"]);
    ask_until(&live, || !failures(&live).is_empty());
    assert_eq!(failures(&live), [("tls", 1)]);
}

#[test]
fn a_token_file_is_read_anew_and_an_empty_one_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "").unwrap();
    let server = Server::new(|head| match () {
        () if head.contains("auth-token: second") => answer(head, "58", 0),
        () => reply(401, "", ""),
    });
    let provider = hurried(electricitymaps::PROVIDER, Duration::from_millis(50));
    let live = live(provider, server.url(), Credential::File(path.clone()), &["FR"]);
    ask_until(&live, || failures(&live).iter().any(|(reason, _)| *reason == "credential"));
    assert_eq!((requests(&live), server.heard("").len()), (0, 0));
    fs::write(&path, "first\n").unwrap();
    ask_until(&live, || failures(&live).iter().any(|(reason, _)| *reason == "unauthorized"));
    fs::write(&path, "second\n").unwrap();
    ask_until(&live, || grams(&live.rows(now()).0, "FR") == Some(58.0));
}

/// WattTime with a login that gives `token-1`, `token-2`, …, of which `good` says whether data is given for it.
fn watttime_server(good: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let logins = AtomicU32::new(0);
    Server::new(move |head| {
        if head.starts_with("GET /login ") {
            if !head.contains("authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") {
                return reply(401, "", "");
            }
            return ok(format!(r#"{{"token":"token-{}"}}"#, logins.fetch_add(1, Ordering::SeqCst) + 1));
        }
        if !good(head) {
            return reply(401, "", "");
        }
        watttime_answer(head)
    })
}

/// The value of the region that `head` asks for.
fn watttime_answer(head: &str) -> Reply {
    let region = head.split("region=").nth(1).unwrap().split('&').next().unwrap();
    let at = time::written(now() - Duration::from_secs(300), "%Y-%m-%dT%H:%M:00+00:00");
    ok(format!(
        r#"{{"data":[{{"point_time":"{at}","value":412.5}}],"meta":{{"region":"{region}",
        "data_point_period_seconds":300,"signal_type":"co2_moer","units":"lbs_co2_per_mwh"}}}}"#
    ))
}

const REGIONS: [&str; 3] = ["US-CAL-CISO", "PJM_DC", "US-TEN-TVA"];

fn watttime_live(server: &Server, credential: &str) -> Arc<Live> {
    live(hurried(watttime::PROVIDER, CADENCE), server.url(), given(credential), &REGIONS)
}

#[test]
fn one_login_serves_all_regions() {
    let server = watttime_server(|head| head.contains("Bearer token-1"));
    let live = watttime_live(&server, "Aladdin:open sesame");
    ask(&live, Duration::from_secs(1));
    let (rows, _) = live.rows(now());
    assert_eq!(server.heard("/login").len(), 1);
    for zone in REGIONS {
        assert!((grams(&rows, zone).unwrap() - 187.1).abs() < 0.05);
    }
    assert!(rows.iter().all(|row| row.provenance.signal == Signal::Marginal));
    assert_eq!(requests(&live), server.heard("").len() as u64);
}

#[test]
fn a_token_that_ended_is_fetched_anew_once() {
    let server = watttime_server(|head| !head.contains("Bearer token-1"));
    let live = watttime_live(&server, "Aladdin:open sesame");
    ask_until(&live, || REGIONS.iter().all(|zone| grams(&live.rows(now()).0, zone).is_some()));
    assert_eq!(server.heard("/login").len(), 2);
    assert_eq!(failures(&live), []);
    // Where no token is good, it ends after the second.
    let server = watttime_server(|_| false);
    let slow = hurried(watttime::PROVIDER, Duration::from_secs(60));
    let live = self::live(slow, server.url(), given("Aladdin:open sesame"), &["PJM_DC"]);
    ask_until(&live, || !failures(&live).is_empty());
    assert_eq!(failures(&live), [("unauthorized", 1)]);
    assert_eq!((server.heard("/login").len(), server.heard("/historical").len()), (2, 2));
}

#[test]
fn a_token_that_ended_is_fetched_anew_also_where_that_is_403() {
    let refusing = |refuses: fn(&str) -> bool| {
        let logins = AtomicU32::new(0);
        Server::new(move |head| match () {
            () if head.starts_with("GET /login ") => {
                ok(format!(r#"{{"token":"token-{}"}}"#, logins.fetch_add(1, Ordering::SeqCst) + 1))
            }
            () if refuses(head) => reply(403, "", ""),
            () => watttime_answer(head),
        })
    };
    let server = refusing(|head| head.contains("Bearer token-1"));
    let live = watttime_live(&server, "Aladdin:open sesame");
    ask_until(&live, || REGIONS.iter().all(|zone| grams(&live.rows(now()).0, zone).is_some()));
    assert_eq!((server.heard("/login").len(), failures(&live)), (2, Vec::new()));
    // A region that the plan lacks is no reason to log in again and again.
    let server = refusing(|head| head.contains("region=PJM_DC"));
    let live = watttime_live(&server, "Aladdin:open sesame");
    ask_until(&live, || {
        failures(&live).first().is_some_and(|(reason, count)| *reason == "forbidden" && *count > 2)
    });
    assert_eq!(server.heard("/login").len(), 2);
}

#[test]
fn a_credential_that_is_refused_is_named_whatever_the_status() {
    let key = r#"{"error":{"code":"API_KEY_INVALID","message":"An invalid api_key was supplied."}}"#;
    for (provider, credential, zone, status, body) in [
        (watttime::PROVIDER, "Aladdin:wrong", "PJM_DC", 403, ""),
        (watttime::PROVIDER, "Aladdin:wrong", "PJM_DC", 401, ""),
        (eia::PROVIDER, "t0ken", "US-MIDA-PJM", 403, key),
        (eia::PROVIDER, "t0ken", "US-MIDA-PJM", 400, key),
        (electricitymaps::PROVIDER, "t0ken", "FR", 403, r#"{"message":"Invalid auth-token"}"#),
    ] {
        let server = Server::new(move |_| reply(status, "", body));
        let live = live(hurried(provider, Duration::from_secs(60)), server.url(), given(credential), &[zone]);
        ask_until(&live, || !failures(&live).is_empty());
        assert_eq!(failures(&live), [("unauthorized", 1)], "{} {status}", provider.name);
    }
}

#[test]
fn no_matching_data_is_absence_whatever_the_status() {
    let absent = "<Acknowledgement_MarketDocument><mRID>x</mRID><Reason><code>999</code>\
        <text>No matching data found for Data item X</text></Reason></Acknowledgement_MarketDocument>";
    for status in [200, 400, 404] {
        let server = Server::new(move |_| reply(status, "", absent));
        let live = live(hurried(entsoe::PROVIDER, CADENCE), server.url(), given("t0ken"), &["DE"]);
        // Each cadence, without a longer wait in between.
        ask_until(&live, || failures(&live).first().is_some_and(|(_, count)| *count > 5));
        assert_eq!(failures(&live).len(), 1, "{status}");
        assert_eq!(failures(&live)[0].0, "no_data", "{status}");
    }
    let refusal = absent.replace("No matching data found", "The number of instances exceeds the maximum");
    let padded = refusal.replace("<mRID>x", &format!("<mRID>{}", "x".repeat(500)));
    let server = Server::new(move |_| reply(400, "", &padded));
    let client = client(PATIENCE).unwrap();
    let failure = run(fetch(&client, Request::new(&server.url(), "/", &[]).unwrap())).unwrap_err();
    assert_eq!(failure.reason, Reason::Status);
    assert!(failure.text.contains("The number of instances exceeds the maximum"), "{failure}");
}

#[test]
fn the_fourth_version_is_asked_where_the_third_is_gone() {
    for status in [404, 410] {
        let server = Server::new(move |head| match () {
            () if head.starts_with("GET /v4/carbon-intensity/latest") => answer(head, "58", 0),
            () => reply(status, "", r#"{"error":"This version has ended"}"#),
        });
        let live = maps(&server, &["FR"]);
        ask_until(&live, || server.heard("/v4/").len() > 2);
        assert_eq!(grams(&live.rows(now()).0, "FR"), Some(58.0));
        assert_eq!((server.heard("/v3/").len(), failures(&live)), (1, Vec::new()));
    }
    // Where a version is set, it alone is asked.
    let server = Server::new(|head| match () {
        () if head.starts_with("GET /v3/carbon-intensity/latest") => answer(head, "58", 0),
        () => reply(404, "", ""),
    });
    for (base, found) in [("/v3", Some(58.0)), ("/v3/", Some(58.0)), ("/v4", None)] {
        let slow = hurried(electricitymaps::PROVIDER, Duration::from_secs(60));
        let live = live(slow, server.url() + base, given("t0ken"), &["FR"]);
        ask_until(&live, || grams(&live.rows(now()).0, "FR").is_some() || !failures(&live).is_empty());
        assert_eq!((grams(&live.rows(now()).0, "FR"), requests(&live)), (found, 1), "{base}");
    }
}

#[test]
fn a_wrong_password_is_tried_once_for_all_regions() {
    let server = watttime_server(|_| true);
    let slow = hurried(watttime::PROVIDER, Duration::from_secs(60));
    let live = live(slow, server.url(), given("Aladdin:wrong"), &REGIONS);
    ask_until(&live, || failures(&live) == [("unauthorized", 3)]);
    assert_eq!((server.heard("").len(), requests(&live)), (1, 1));
}

#[test]
fn a_file_is_read_when_it_changes_and_a_mistake_in_it_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.csv");
    let provider = hurried(file::PROVIDER, Duration::from_millis(20));
    let live = live(provider, format!("file://{}", path.display()), Credential::None, &["FR"]);
    let shown = || grams(&live.rows(now()).0, "FR");
    ask_until(&live, || failures(&live).iter().any(|(reason, _)| *reason == "not_found"));
    fs::write(&path, "zone,grams_per_kwh\nFR,56\n").unwrap();
    ask_until(&live, || shown() == Some(56.0));
    ask(&live, Duration::from_millis(300));
    assert_eq!(requests(&live), 1);
    fs::write(&path, "zone,grams\nFR,570\n").unwrap();
    let malformed =
        || failures(&live).iter().find(|(reason, _)| *reason == "malformed").map(|(_, count)| *count);
    ask_until(&live, || malformed().is_some());
    ask(&live, Duration::from_millis(300));
    assert_eq!((malformed(), shown(), requests(&live)), (Some(1), Some(56.0), 2));
    fs::write(&path, "zone,grams_per_kwh\nDE,380\n").unwrap();
    ask_until(&live, || shown().is_none());
    fs::write(&path, "zone,grams_per_kwh,from\nFR,57,2000-01-01\nFR,99,2999-01-01\n").unwrap();
    ask_until(&live, || shown() == Some(57.0));
    let rows = live.rows(Duration::from_secs(32_472_144_000)).0;
    assert_eq!(grams(&rows, "FR"), Some(99.0));
    fs::write(&path, "zone,grams_per_kwh,from\nFR,99,2999-01-01\n").unwrap();
    ask_until(&live, || shown().is_none());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    ask_until(&live, || malformed() == Some(2));
}

#[test]
fn static_values_hold_now_and_uncovered_zones_are_told() {
    let provider = crate::grid::provider("static").unwrap();
    let live = live(provider, "FR=56".to_owned(), Credential::None, &["FR", "DE"]);
    assert_eq!(live.uncovered().collect::<Vec<_>>(), ["DE"]);
    ask(&live, Duration::from_millis(20));
    let at = Duration::from_secs(5_000_000);
    let (rows, providers) = live.rows(at);
    assert_eq!((rows.len(), grams(&rows, "FR"), rows[0].last_success), (1, Some(56.0), Some(at)));
    assert_eq!((rows[0].observation.unwrap().at, providers[0].requests), (at, 0));
}
