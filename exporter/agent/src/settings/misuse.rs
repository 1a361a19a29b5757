//! Why the program ends before it begins: a wrong setting, or help that was asked for.

use std::fmt;

use super::given::Origin;

/// Why there are no settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// Help or version was asked for: the text, for standard output.
    Asked(String),
    /// Something is wrong: what, where, and what would be right, for standard error.
    Wrong(String),
}

impl Misuse {
    /// `key`, written at `origin`, is wrong as the `complaint` says.
    pub(super) fn at(origin: &Origin, key: &str, complaint: &str) -> Self {
        Self::Wrong(format!("{}: {complaint}", origin.place(key)))
    }

    /// With what the process ends: 0 for what was asked for, else 64 (`EX_USAGE` of sysexits.h).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Asked(_) => 0,
            Self::Wrong(_) => 64,
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(text) | Self::Wrong(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Misuse {}
