//! The file of `--web.config.file`: TLS, users, headers and a rate limit, in the format of Prometheus' exporter-toolkit.
//!
//! Stricter than the toolkit where that is silent: whatever would have no effect, or less protection than it says, is
//! refused with its line, its key and the mend. `docs/web.md` lists every difference.

mod client_auth;
mod document;
mod headers;
mod limit;
mod live;
mod san;
mod section;
mod suites;
#[cfg(test)]
mod tests;
mod tls;
mod users;

use std::io;
use std::path::Path;

use hyper::header::{HeaderName, HeaderValue};

pub use limit::{Bucket, Rate};
pub use live::Live;
pub use tls::Tls;
pub use users::Users;

use section::Section;

/// What a file says, ready for use.
#[derive(Clone, Debug, Default)]
pub struct WebConfig {
    /// How TLS is spoken; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// What every answer says beside its own headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who may ask.
    pub users: Users,
    /// How often may be asked; `None` is without a limit.
    pub rate: Option<Rate>,
}

/// What is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    /// From 1; 0 where it is the whole file.
    line: usize,
    /// The full name, empty where there is none.
    key: String,
    complaint: String,
}

impl Fault {
    fn new(line: usize, key: &str, complaint: &str) -> Self {
        Self { line, key: key.to_owned(), complaint: complaint.to_owned() }
    }

    fn text(&self, path: &Path) -> String {
        let mut text = format!("{}:", path.display());
        if self.line > 0 {
            text += &format!("{}:", self.line);
        }
        if !self.key.is_empty() {
            text += &format!(" {}:", self.key);
        }
        text + " " + &self.complaint
    }
}

/// Reads a file that a configuration names, or itself.
type Read<'a> = dyn FnMut(&Path) -> io::Result<Vec<u8>> + 'a;

impl WebConfig {
    /// Reads the file at `path` and those that it names. An error is a sentence that begins with the place.
    pub fn load(path: &Path, read: &mut Read<'_>) -> Result<Self, String> {
        let content = read(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        Self::parse(path, &content, read).map_err(|fault| fault.text(path))
    }

    fn parse(path: &Path, content: &[u8], read: &mut Read<'_>) -> Result<Self, Fault> {
        let entries = document::read(content)?;
        let known = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"];
        let root = Section::root(&entries, &known)?;
        let http = root.below("http_server_config", "http_server_config", &["http2", "headers"])?;
        let http2 = http.boolean("http2", true)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self {
            headers: headers::headers(&http)?,
            users: Users::parse(root.entries("basic_auth_users")?)?,
            rate: limit::rate(&root)?,
            tls: tls::server(&root, http2, folder, read)?,
        })
    }

    /// Why `self` may not take the place of `before` while the server runs: a file that is just being written may look as
    /// if it asked for less protection.
    fn weaker_than(&self, before: &Self) -> Option<&'static str> {
        if before.tls.is_some() != self.tls.is_some() {
            return Some("TLS is switched on or off with a restart only");
        }
        let requires = |config: &Self| config.tls.as_ref().is_some_and(|tls| tls.requires_certificate);
        if requires(before) && !requires(self) {
            return Some("clients' certificates are given up with a restart only");
        }
        (self.users.is_empty() && !before.users.is_empty())
            .then_some("basic_auth_users has nobody any more, which takes effect with a restart only")
    }

    /// In a few words, for the log.
    pub fn summary(&self) -> String {
        let tls = if self.tls.is_some() { "TLS" } else { "no TLS" };
        let rate = if self.rate.is_some() { "a rate limit" } else { "no rate limit" };
        format!("{tls}, {} users, {rate}", self.users.len())
    }
}
