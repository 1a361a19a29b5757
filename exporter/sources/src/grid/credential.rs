//! What a provider is shown to let us in: read anew for each request, never written anywhere.

use std::fmt;
use std::path::{Path, PathBuf};

use super::failure::{Failure, Reason};
use crate::regular;

/// The largest file of a credential, in bytes.
const MOST: u64 = 64 * 1024;

/// Text that no log, error or `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// From the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one who sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with each occurrence of the secret, or of a part that is one by itself, left out.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for part in std::iter::once(&*self.0).chain(self.0.split([':', '\n', ' '])) {
            // Shorter than that, hiding it would only spoil the message and tell what it is.
            if part.len() >= 4 {
                clean = clean.replace(part, "[secret]");
            }
        }
        clean
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a credential comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credential {
    /// There is none.
    #[default]
    None,
    /// It was given.
    Given(Secret),
    /// A file holds it, such as a mounted Kubernetes secret: read for each request, so that a new one needs no restart.
    File(PathBuf),
}

impl Credential {
    /// The credential as it is now, trimmed. `None` where there is none to show.
    pub fn read(&self) -> Result<Option<Secret>, Failure> {
        match self {
            Self::None => Ok(None),
            Self::Given(secret) => {
                checked(&secret.0).map(Some).map_err(|found| failure("the given credential", found))
            }
            Self::File(path) => read(path).map(Some),
        }
    }
}

fn failure(what: impl fmt::Display, found: &str) -> Failure {
    Failure::new(Reason::Credential, format!("{what}: expected a credential, found {found}"))
}

fn read(path: &Path) -> Result<Secret, Failure> {
    let text = regular::read(path, MOST)
        .map_err(|error| Failure::new(Reason::Credential, format!("{}: {error}", path.display())))?;
    let text = String::from_utf8(text).map_err(|_| failure(path.display(), "bytes that are no text"))?;
    checked(&text).map_err(|found| failure(path.display(), found))
}

/// The credential in `text`; else what stands there instead. Lines are allowed for those that are a user and a password.
fn checked(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("nothing: it is empty");
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\r') {
        return Err("a control character");
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_secret_shows_nowhere() {
        let credential = Credential::Given(Secret::new("s3cr3t-token"));
        assert!(!format!("{credential:?}").contains("s3cr3t"));
        let told = Failure::new(Reason::Malformed, "found {\"key\":\"s3cr3t-token\"}")
            .without(credential.read().unwrap().as_ref());
        assert!(!told.to_string().contains("s3cr3t"), "{told}");
        assert_eq!(Secret::new("alice:hunter22").hidden_in("alice and hunter22"), "[secret] and [secret]");
    }

    #[test]
    fn a_file_is_read_each_time_and_an_empty_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let credential = Credential::File(path.clone());
        let fault = credential.read().unwrap_err();
        assert!(fault.text.contains("token") && fault.reason == Reason::Credential, "{fault}");
        for (content, told) in
            [("", "it is empty"), (" \n\n", "it is empty"), ("a\0b", "a control character")]
        {
            fs::write(&path, content).unwrap();
            let fault = credential.read().unwrap_err();
            assert!(fault.text.contains(told) && fault.text.contains("token"), "{fault}");
            assert!(fault.to_string().contains("--grid.token-file"), "{fault}");
        }
        fs::write(&path, [b'x'; 70_000]).unwrap();
        assert!(credential.read().unwrap_err().text.contains("64 KiB"));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(credential.read().unwrap_err().text.contains("no text"));
        for token in ["first", "second"] {
            fs::write(&path, format!("{token}\r\n")).unwrap();
            assert_eq!(credential.read().unwrap().unwrap().expose(), token);
        }
    }
}
