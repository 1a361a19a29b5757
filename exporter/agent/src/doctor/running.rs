//! The exporter that runs here: another process, so it is asked by its own page, as Prometheus would.
//!
//! What it has counted is known to nobody else: steps that it left out, sources that failed, a tick that stands still.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};
use tokio::runtime::Builder;

use super::{Finding, State};
use crate::clock;
use crate::settings::{ListenAddress, Settings};

/// For the whole answer: the doctor is not kept waiting by an exporter that hangs.
const PATIENCE: Duration = Duration::from_secs(2);
/// No page is larger.
const LONGEST: usize = 256 << 20;
/// A tick older than this, and than three intervals, stands still.
const STALE: Duration = Duration::from_secs(60);

/// What came of asking.
enum Answer {
    /// Nobody listens there.
    Nobody,
    /// Somebody does, and this is what is wrong with it.
    Wrong(String),
    Page(String),
}

/// Findings on the exporter at the listen addresses that are set.
pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![finding("running", State::Failed, error.to_string(), None)],
    };
    let mut tried = Vec::new();
    for address in &settings.listen_addresses {
        for place in Place::of(address) {
            match runtime.block_on(place.ask(&settings.telemetry_path)) {
                Answer::Nobody => tried.push(place.to_string()),
                Answer::Wrong(what) => {
                    let detail = format!("{place} {what}");
                    return vec![finding("running", State::Warning, detail, Some(LOOK.into()))];
                }
                Answer::Page(page) => {
                    return judged(&place.to_string(), &page, clock::unix(), settings.sample_interval);
                }
            }
        }
    }
    let detail = match tried.is_empty() {
        true => "where it listens is not known: the port is picked when it starts".to_owned(),
        false => format!("no exporter runs at {}", tried.join(" or ")),
    };
    vec![finding("running", State::Absent, detail, None)]
}

const LOOK: &str = "look at its log, and at noether_meter_errors_total and noether_last_tick_timestamp_seconds on its page; if it \
    listens elsewhere, pass --web.listen-address and --web.telemetry-path to doctor, too";

/// Where a client on this machine reaches a listen address.
#[derive(Debug)]
enum Place {
    Tcp(String),
    Unix(std::path::PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(authority) => f.write_str(authority),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Place {
    fn of(address: &ListenAddress) -> Vec<Self> {
        match address {
            ListenAddress::Tcp { port: 0, .. } => Vec::new(),
            ListenAddress::Unix { path, .. } => vec![Self::Unix(path.clone())],
            ListenAddress::Tcp { host, port } => {
                let hosts = match host.as_deref() {
                    None | Some("::") => vec!["127.0.0.1", "[::1]"],
                    Some("0.0.0.0") => vec!["127.0.0.1"],
                    Some(host) if host.contains(':') => return vec![Self::Tcp(format!("[{host}]:{port}"))],
                    Some(host) => vec![host],
                };
                hosts.into_iter().map(|host| Self::Tcp(format!("{host}:{port}"))).collect()
            }
        }
    }

    async fn ask(&self, path: &str) -> Answer {
        // A second call changes nothing: whichever provider of cryptography there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("noether-doctor/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none())
            .no_proxy();
        let authority = match self {
            Self::Tcp(authority) => authority.as_str(),
            Self::Unix(path) => {
                builder = builder.unix_socket(path.clone());
                "localhost"
            }
        };
        let client = match builder.build() {
            Ok(client) => client,
            Err(error) => return Answer::Wrong(format!("cannot be asked: {error}")),
        };
        match client.get(format!("http://{authority}{path}")).send().await {
            Ok(response) => page(response).await,
            Err(error) if error.is_timeout() => Answer::Wrong(silent()),
            Err(error) if error.is_connect() => Answer::Nobody,
            Err(_) => Answer::Wrong("does not answer in plain HTTP: with TLS, doctor cannot look".to_owned()),
        }
    }
}

fn silent() -> String {
    format!("did not answer within {PATIENCE:?}: it hangs, or the machine is overloaded")
}

async fn page(mut response: reqwest::Response) -> Answer {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => {
            return Answer::Wrong("asks for a password, so that doctor cannot look".to_owned());
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            return Answer::Wrong("has not measured yet, or is overloaded (HTTP status 503)".to_owned());
        }
        other => return Answer::Wrong(format!("answers with HTTP status {other}")),
    }
    let mut text = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if text.len() + chunk.len() <= LONGEST => text.extend_from_slice(&chunk),
            Ok(Some(_)) => return Answer::Wrong("has a page that is longer than any".to_owned()),
            Ok(None) => break,
            Err(error) if error.is_timeout() => return Answer::Wrong(silent()),
            Err(error) => return Answer::Wrong(format!("breaks off its answer: {error}")),
        }
    }
    Answer::Page(String::from_utf8_lossy(&text).into_owned())
}

/// What its page says, at the Unix time `now`.
fn judged(place: &str, page: &str, now: Duration, interval: Duration) -> Vec<Finding> {
    let samples: Vec<Sample<'_>> = page.lines().filter_map(Sample::parse).collect();
    let of = |name: &'static str| samples.iter().filter(move |sample| sample.name == name);
    let Some(version) = of("noether_build_info").find_map(|sample| sample.label("version")) else {
        return vec![finding(
            "running",
            State::Absent,
            format!("what answers at {place} is no Noether"),
            None,
        )];
    };
    let mut findings =
        vec![tick(place, version, of("noether_last_tick_timestamp_seconds").next(), now, interval)];
    let down = of("noether_meter_up").filter(|sample| sample.value == 0.0).filter_map(|s| s.label("meter"));
    let errors = counts(of("noether_meter_errors_total"), "meter");
    findings.push(troubles(
        "meters",
        &down.collect::<Vec<_>>(),
        &errors,
        "all of its meters can be read, and no step was left out",
    ));
    let down = of("noether_source_up").filter(|sample| sample.value == 0.0).filter_map(|s| s.label("source"));
    let errors = counts(of("noether_source_errors_total"), "source");
    findings.push(troubles("sources", &down.collect::<Vec<_>>(), &errors, "all of its sources can be read"));
    findings
}

fn tick(place: &str, version: &str, tick: Option<&Sample<'_>>, now: Duration, interval: Duration) -> Finding {
    let about = format!("version {version} at {place}");
    let Some(tick) = tick else {
        return finding("running", State::Ok, format!("{about}, which takes no ticks"), None);
    };
    let age = now.as_secs_f64() - tick.value;
    if age > STALE.max(interval.saturating_mul(3)).as_secs_f64() {
        let detail = format!("{about}: its last tick was {age:.0} s ago, so what it shows stands still");
        return finding("running", State::Failed, detail, Some(LOOK.into()));
    }
    finding("running", State::Ok, format!("{about}, last tick {:.1} s ago", age.max(0.0)), None)
}

/// Counts above 0 by reason, of each meter or source.
fn counts<'a>(samples: impl Iterator<Item = &'a Sample<'a>>, label: &str) -> BTreeMap<&'a str, Vec<String>> {
    let mut counts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for sample in samples.filter(|sample| sample.value > 0.0) {
        if let (Some(of), Some(reason)) = (sample.label(label), sample.label("reason")) {
            counts.entry(of).or_default().push(format!("{} {reason}", sample.value));
        }
    }
    counts
}

fn troubles(name: &str, down: &[&str], errors: &BTreeMap<&str, Vec<String>>, well: &str) -> Finding {
    let mut parts = Vec::new();
    if !down.is_empty() {
        parts.push(format!("cannot read {}", down.join(", ")));
    }
    let counts = errors.iter().map(|(of, counts)| format!("{of}: {}", counts.join(", ")));
    let counts: Vec<String> = counts.collect();
    if !counts.is_empty() {
        parts.push(format!("counted since its start: {}", counts.join("; ")));
    }
    if parts.is_empty() {
        return finding(name, State::Ok, well.to_owned(), None);
    }
    let state = if down.is_empty() { State::Warning } else { State::Failed };
    let fix =
        "its log has a line for each cause; docs/alerts/NoetherMeterErrors.md says what the reasons mean";
    finding(name, state, parts.join("; "), Some(fix.into()))
}

fn finding(name: &str, state: State, detail: String, mend: Option<String>) -> Finding {
    Finding { kind: "exporter", name: name.to_owned(), state, detail, mend }
}

/// One line of the page.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    /// Only names of ours and plain label values are looked for, so no escape is undone.
    fn parse(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some(Self { name, labels: labels.trim_end_matches('}'), value: value.parse().ok()? })
    }

    fn label(&self, name: &str) -> Option<&'a str> {
        let (_, rest) = self.labels.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"# HELP noether_meter_up Whether
noether_build_info{version="0.1.0"} 1
noether_last_tick_timestamp_seconds 1000.5
noether_meter_up{meter="model"} 1
noether_meter_up{meter="rapl"} 1
noether_meter_errors_total{meter="rapl",reason="jump"} 0
noether_source_up{source="stat"} 1
noether_source_errors_total{source="stat",reason="io"} 0
"#;

    fn states(page: &str, now: u64, interval: u64) -> Vec<(String, State, String)> {
        let found = judged("a:1", page, Duration::from_secs(now), Duration::from_secs(interval));
        found.into_iter().map(|one| (one.name, one.state, one.detail)).collect()
    }

    #[test]
    fn all_is_well() {
        let found = states(PAGE, 1001, 1);
        assert!(found.iter().all(|(_, state, _)| *state == State::Ok), "{found:?}");
        assert_eq!(found[0].2, "version 0.1.0 at a:1, last tick 0.5 s ago");
    }

    #[test]
    fn steps_left_out_and_meters_down_are_no_ok() {
        let page = PAGE.replace(r#"reason="jump"} 0"#, r#"reason="jump"} 12"#);
        let found = states(&page, 1001, 1);
        assert_eq!((found[1].1, &*found[1].2), (State::Warning, "counted since its start: rapl: 12 jump"));
        let page = page.replace(r#"up{meter="rapl"} 1"#, r#"up{meter="rapl"} 0"#);
        let found = states(&page, 1001, 1);
        assert_eq!(found[1].1, State::Failed);
        assert!(found[1].2.starts_with("cannot read rapl; counted"), "{found:?}");
        let page = PAGE.replace(r#"reason="io"} 0"#, r#"reason="io"} 3"#);
        assert_eq!(states(&page, 1001, 1)[2].1, State::Warning);
    }

    #[test]
    fn a_tick_that_stands_still_is_no_ok() {
        assert_eq!(states(PAGE, 1050, 1)[0].1, State::Ok);
        assert_eq!(states(PAGE, 1070, 1)[0].1, State::Failed);
        assert_eq!(states(PAGE, 1070, 30)[0].1, State::Ok);
    }

    #[test]
    fn what_is_no_exporter_is_absent() {
        assert_eq!(states("<html>\nup 1\n", 1000, 1)[0].1, State::Absent);
    }

    #[test]
    fn where_a_listen_address_is_reached() {
        let tcp = |host: Option<&str>, port| ListenAddress::Tcp { host: host.map(str::to_owned), port };
        let of = |address| Place::of(&address).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of(tcp(None, 18823)), ["127.0.0.1:18823", "[::1]:18823"]);
        assert_eq!(of(tcp(Some("::1"), 1)), ["[::1]:1"]);
        assert_eq!(of(tcp(Some("a"), 1)), ["a:1"]);
        assert!(of(tcp(None, 0)).is_empty());
    }
}
