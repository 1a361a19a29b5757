//! What a provider is: which zones, what to ask, what an answer means. Nothing here reads, waits or sends.

use std::fmt;
use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};
use reqwest::Url;

use super::credential::Secret;
use super::failure::{Failure, Reason};

/// One source of live carbon intensity.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// Its name: `--grid.provider` and the `provider` label.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Where it is asked, unless `--grid.url` says otherwise.
    pub url: &'static str,
    /// Which plants it speaks of.
    pub signal: Signal,
    /// Which emissions it counts.
    pub basis: Basis,
    /// How often its data changes: no zone is asked for more often.
    pub cadence: Duration,
    /// What it wants to be shown.
    pub need: Need,
    /// Its own code of a grid zone; `None` where it does not cover that.
    pub covers: fn(zone: &str) -> Option<String>,
    /// How it is asked.
    pub access: Access,
}

/// The credential that a provider wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// None.
    Nothing,
    /// A token, or key.
    Token,
    /// A user and a password: `USER:PASSWORD`, or one under the other.
    Login,
}

/// How a provider is asked.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Over HTTP.
    Web {
        /// Builds the request.
        request: fn(&Asked<'_>) -> Result<Request, Failure>,
        /// Understands the answer.
        parse: fn(&Asked<'_>, &[u8]) -> Quotes,
        /// How to get the token that requests carry, where the credential is not that itself.
        login: Option<Login>,
        /// What a refusal with that reason is, where its status misleads.
        refusal: Option<fn(reason: &str) -> Option<Reason>>,
    },
    /// By a file that the operator maintains, at the path that `--grid.url` names.
    File {
        /// Understands the file; `modified` is when it was last written.
        parse: fn(zone: &str, body: &[u8], modified: Duration) -> Quotes,
    },
    /// Not at all: the operator gave the values in `--grid.url`.
    Fixed {
        /// The value of a zone; `None` where none was given for it.
        parse: fn(url: &str, zone: &str) -> Result<Option<noether_core::units::Intensity>, Failure>,
    },
}

/// How a user and a password become a token.
#[derive(Clone, Copy, Debug)]
pub struct Login {
    /// Builds the request.
    pub request: fn(url: &str, credential: &Secret) -> Result<Request, Failure>,
    /// Finds the token in the answer.
    pub parse: fn(&[u8]) -> Result<Secret, Failure>,
    /// How long a token is used.
    pub valid: Duration,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The provider's URL.
    pub url: &'a str,
    /// The provider's own code of the zone.
    pub code: &'a str,
    /// The token or key, where there is one.
    pub secret: Option<&'a Secret>,
    /// The time, since the begin of 1970.
    pub now: Duration,
    /// Whether the provider has ended its third version, where it has a fourth.
    pub is_v3_gone: bool,
}

impl Asked<'_> {
    /// A request for `path` below the provider's URL.
    pub(super) fn request(&self, path: &str, query: &[(&str, &str)]) -> Result<Request, Failure> {
        Request::new(self.url, path, query)
    }

    /// The token or key as text; empty where there is none, which the provider then refuses.
    pub(super) fn token(&self) -> &str {
        self.secret.map(Secret::expose).unwrap_or_default()
    }
}

/// A GET request. Its query and headers may be secret, so that only the address shows.
#[derive(Clone)]
pub struct Request {
    /// The whole address.
    pub url: Url,
    /// Headers besides those that every request has.
    pub headers: Vec<(&'static str, String)>,
}

impl Request {
    /// For `path` below `url`. What `url` has of `path` already, as the `/v3` of a documented base, is not repeated.
    pub(super) fn new(url: &str, path: &str, query: &[(&str, &str)]) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/');
        let address = format!("{base}{}", path.get(shared(base, path)..).unwrap_or(path));
        let url =
            if query.is_empty() { Url::parse(&address) } else { Url::parse_with_params(&address, query) };
        let url =
            url.map_err(|error| Failure::new(Reason::Connect, format!("{}: {error}", shown_url(&address))))?;
        Ok(Self { url, headers: Vec::new() })
    }

    /// With one more header.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}", shown_url(self.url.as_str()))
    }
}

/// How many bytes at the begin of `path` stand at the end of the path of `base`, in whole segments.
fn shared(base: &str, path: &str) -> usize {
    let base = path_of(base);
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.filter(|end| path.get(..*end).is_some_and(|begin| base.ends_with(begin))).max().unwrap_or(0)
}

/// The path of an address, from its first slash on; empty where there is none.
fn path_of(address: &str) -> &str {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    host.find('/').and_then(|slash| host.get(slash..)).unwrap_or_default()
}

/// The segment of an address that is a version, as `v3`.
pub(super) fn version(address: &str) -> Option<&str> {
    path_of(address).split('/').find(|segment| is_version(segment))
}

/// `address` without a version at its end.
pub(super) fn without_version(address: &str) -> &str {
    let address = address.trim_end_matches('/');
    match address.rsplit_once('/') {
        Some((before, last)) if is_version(last) && !path_of(address).is_empty() => before,
        _ => address,
    }
}

fn is_version(segment: &str) -> bool {
    let digits = segment.strip_prefix('v').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// An address without what may be secret in it: user, password, query and fragment.
pub(super) fn shown_url(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    match (bare.find("://"), bare.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!(
                "{}{}",
                bare.get(..scheme + 3).unwrap_or_default(),
                bare.get(at + 1..).unwrap_or_default()
            )
        }
        _ => bare.to_owned(),
    }
}

/// What an answer says of a zone: nothing, one period or several.
pub type Quotes = Result<Vec<Quote>, Failure>;

/// What a provider says of one zone and period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quote {
    /// Which plants.
    pub signal: Signal,
    /// Which emissions.
    pub basis: Basis,
    /// The value, and the begin of the period.
    pub observation: Observation,
    /// The end of the period; `None` where it holds until another one does.
    pub until: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_as_documented_is_not_repeated() {
        for (base, path, address) in [
            ("https://host", "/v3/carbon-intensity/latest", "https://host/v3/carbon-intensity/latest"),
            ("https://host/v3", "/v3/carbon-intensity/latest", "https://host/v3/carbon-intensity/latest"),
            ("https://host/v3//", "/v3/carbon-intensity/latest", "https://host/v3/carbon-intensity/latest"),
            ("https://host/em/v3/", "/v3/x", "https://host/em/v3/x"),
            ("https://host/v3/x", "/v3/x", "https://host/v3/x"),
            ("https://v3", "/v3/x", "https://v3/v3/x"),
            ("https://host/not-v3", "/v3/x", "https://host/not-v3/v3/x"),
            (
                "https://host/api/explore/v2.1",
                "/api/explore/v2.1/catalog",
                "https://host/api/explore/v2.1/catalog",
            ),
            ("https://web-api.tp.entsoe.eu/api", "/api", "https://web-api.tp.entsoe.eu/api"),
        ] {
            assert_eq!(Request::new(base, path, &[]).unwrap().url.as_str(), address);
        }
        assert_eq!((version("https://v1.host/em/v4/"), version("https://host/v2.1")), (Some("v4"), None));
        for (address, bare) in [
            ("https://host/v3/", "https://host"),
            ("https://v3/", "https://v3"),
            ("https://h/x", "https://h/x"),
        ] {
            assert_eq!(without_version(address), bare);
        }
    }

    #[test]
    fn an_address_shows_without_its_secrets() {
        let request = Request::new("https://user:pass@host/base/", "/api", &[("securityToken", "t0ken&x")])
            .unwrap()
            .with("auth-token", "t0ken".to_owned());
        assert_eq!(request.url.as_str(), "https://user:pass@host/base/api?securityToken=t0ken%26x");
        assert_eq!(format!("{request:?}"), "GET https://host/base/api");
        let fault = Request::new("https://[bad?key=s3cret", "/x", &[]).unwrap_err();
        assert!(!fault.text.contains("s3cret"), "{fault}");
    }
}
