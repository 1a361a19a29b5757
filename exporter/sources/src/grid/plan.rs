//! What is asked of whom, from what the operator chose; mistakes name the flag and its mend.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use noether_core::carbon::Signal;
use reqwest::Url;

use super::credential::Credential;
use super::provider::{Access, Need, Provider, shown_url};
use super::web::causes;

/// What the operator chose.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The grid zones: `--grid.zone`.
    pub zones: Vec<String>,
    /// The providers, the preferred one first: of each signal, a zone is asked for at the first that covers it.
    pub providers: Vec<Chosen>,
    /// How long after the end of its period a value is still shown: `--grid.max-age`.
    pub max_age: Duration,
}

/// A provider that was chosen.
#[derive(Clone)]
pub struct Chosen {
    /// Which: `--grid.provider`.
    pub provider: &'static Provider,
    /// Another address: `--grid.url`. For `file` the path, or `file://`; for `static` the values, `ZONE=GRAMS,…`.
    pub url: Option<String>,
    /// What it is shown: `--grid.token-file`.
    pub credential: Credential,
}

/// Without what may be secret in the address.
impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.provider.name, shown_url(self.address()))
    }
}

impl Chosen {
    /// Where it is asked.
    pub(super) fn address(&self) -> &str {
        self.url.as_deref().unwrap_or(self.provider.url)
    }

    /// Its own code of `zone`, if it covers that.
    fn code(&self, zone: &str) -> Result<Option<String>, Error> {
        let Access::Fixed { parse } = self.provider.access else { return Ok((self.provider.covers)(zone)) };
        let value = parse(self.address(), zone).map_err(|failure| self.misuse("--grid.url", failure.text))?;
        Ok(value.map(|_| zone.to_owned()))
    }

    fn misuse(&self, flag: &'static str, text: impl Into<String>) -> Error {
        Error::Misuse { provider: self.provider.name, flag, text: text.into() }
    }

    fn check(&self) -> Result<(), Error> {
        let has_none = self.credential == Credential::None;
        match self.provider.need {
            Need::Token if has_none => {
                Err(self.misuse("--grid.token-file", "needs a token: name the file that holds it"))
            }
            Need::Login if has_none => {
                let text = "needs a user and a password: name the file that holds USER:PASSWORD";
                Err(self.misuse("--grid.token-file", text))
            }
            Need::Nothing | Need::Token | Need::Login => self.check_address(),
        }
    }

    fn check_address(&self) -> Result<(), Error> {
        let wanted = |what: &str| Err(self.misuse("--grid.url", what));
        match self.provider.access {
            Access::File { .. } if self.address().is_empty() => {
                wanted("needs the path of the file that holds the values")
            }
            Access::Fixed { .. } if self.address().is_empty() => wanted("needs values: ZONE=GRAMS_PER_KWH"),
            Access::File { .. } | Access::Fixed { .. } => Ok(()),
            Access::Web { .. } => match Url::parse(self.address()) {
                Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => Ok(()),
                _ => wanted(&format!("expected an https:// address, found {}", shown_url(self.address()))),
            },
        }
    }
}

/// The path that `--grid.url` names.
pub(super) fn path(address: &str) -> PathBuf {
    PathBuf::from(address.strip_prefix("file://").unwrap_or(address))
}

/// One zone at one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    /// The place of the provider in the plan.
    pub(super) provider: usize,
    /// The grid zone.
    pub(super) zone: Arc<str>,
    /// The provider's own code of it.
    pub(super) code: String,
}

/// Who is asked for which zone.
pub(super) fn errands(plan: &Plan) -> Result<Vec<Errand>, Error> {
    let mut zones: Vec<Arc<str>> = plan.zones.iter().map(|zone| Arc::from(zone.trim())).collect();
    zones.sort_unstable();
    zones.dedup();
    let mut taken: Vec<(Signal, Arc<str>)> = Vec::new();
    let mut errands = Vec::new();
    for (place, chosen) in plan.providers.iter().enumerate() {
        if plan.providers.iter().take(place).any(|other| other.provider.name == chosen.provider.name) {
            return Err(chosen.misuse("--grid.provider", "was given twice: name each provider once"));
        }
        chosen.check()?;
        let mut covers_any = false;
        for zone in &zones {
            let Some(code) = chosen.code(zone)? else { continue };
            covers_any = true;
            let key = (chosen.provider.signal, zone.clone());
            if !taken.contains(&key) {
                taken.push(key);
                errands.push(Errand { provider: place, zone: zone.clone(), code });
            }
        }
        if !covers_any {
            let text = format!(
                "covers none of the zones {:?}: name one that it covers by --grid.zone, or leave the provider out",
                plan.zones
            );
            return Err(chosen.misuse("--grid.provider", text));
        }
    }
    Ok(errands)
}

/// Why nothing can be asked.
#[derive(Debug)]
pub enum Error {
    /// What was chosen does not go together.
    Misuse {
        /// The provider.
        provider: &'static str,
        /// The flag that mends it.
        flag: &'static str,
        /// What is wrong and how to mend it.
        text: String,
    },
    /// HTTP cannot be used at all.
    Client(
        /// Why not.
        String,
    ),
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        Self::Client(causes(&error).last().map_or_else(|| error.to_string(), ToString::to_string))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misuse { provider, flag, text } => write!(f, "{flag}: provider {provider} {text}"),
            Self::Client(cause) => write!(
                f,
                "providers of carbon intensity cannot be asked over HTTPS: {cause}; install the system's CA certificates, or name a bundle by SSL_CERT_FILE"
            ),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{Secret, provider};

    fn chosen(name: &str, url: Option<&str>, token: Option<&str>) -> Chosen {
        let credential = token.map_or(Credential::None, |token| Credential::Given(Secret::new(token)));
        Chosen { provider: provider(name).unwrap(), url: url.map(str::to_owned), credential }
    }

    fn plan(zones: &[&str], providers: Vec<Chosen>) -> Plan {
        let zones = zones.iter().map(|&zone| zone.to_owned()).collect();
        Plan { zones, providers, max_age: Duration::from_secs(7200) }
    }

    fn refused(plan: &Plan, words: &[&str]) {
        let text = errands(plan).unwrap_err().to_string();
        for word in words {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn each_signal_of_a_zone_is_asked_of_the_first_that_covers_it() {
        let providers = vec![
            chosen("uk", None, None),
            chosen("electricitymaps", None, Some("token")),
            chosen("watttime", None, Some("user:password")),
        ];
        let errands = errands(&plan(&["US-CAL-CISO", "GB", "FR", "FR"], providers)).unwrap();
        let found: Vec<_> = errands.iter().map(|e| (e.provider, &*e.zone, &*e.code)).collect();
        let expected = [
            (0, "GB", "/intensity"),
            (1, "FR", "FR"),
            (1, "US-CAL-CISO", "US-CAL-CISO"),
            (2, "US-CAL-CISO", "CAISO_NORTH"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn mistakes_name_the_flag_and_the_mend() {
        let em = || chosen("electricitymaps", None, None);
        refused(&plan(&["FR"], vec![em()]), &["--grid.token-file", "electricitymaps", "token"]);
        refused(
            &plan(&["FR"], vec![chosen("watttime", None, None)]),
            &["--grid.token-file", "USER:PASSWORD"],
        );
        refused(&plan(&["FR"], vec![chosen("uk", None, None)]), &["uk covers none", "FR", "--grid.zone"]);
        refused(&plan(&[], vec![chosen("uk", None, None)]), &["covers none"]);
        refused(&plan(&["FR"], vec![chosen("file", None, None)]), &["--grid.url", "path"]);
        refused(&plan(&["FR"], vec![chosen("static", None, None)]), &["--grid.url", "ZONE=GRAMS"]);
        refused(&plan(&["FR"], vec![chosen("static", Some("FR=many"), None)]), &["--grid.url", "many"]);
        refused(&plan(&["FR"], vec![chosen("static", Some("DE=1"), None)]), &["static covers none"]);
        let twice = vec![chosen("rte", None, None), chosen("rte", None, None)];
        refused(&plan(&["FR"], twice), &["twice"]);
        for url in ["ftp://host/", "host", "https://", "https://user:s3cret@:x/?k=s3cret"] {
            let wrong = plan(&["FR"], vec![chosen("rte", Some(url), None)]);
            refused(&wrong, &["--grid.url", "https://"]);
            assert!(!errands(&wrong).unwrap_err().to_string().contains("s3cret"));
        }
    }
}
