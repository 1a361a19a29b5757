//! What can go wrong when a source is read: with the path, what was expected and what was found.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use noether_core::reading::Fault;

/// An error of a source.
#[derive(Debug)]
pub enum Error {
    /// The operating system refused.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The content is not what the file's documentation says.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What should have been there.
        expected: &'static str,
        /// What was there, shortened.
        found: String,
    },
}

impl Error {
    /// The operating system's `error` at `path`.
    pub fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }

    /// `found` stood in `path` where `expected` should have been.
    pub fn malformed(path: &Path, expected: &'static str, found: &[u8]) -> Self {
        let found =
            String::from_utf8_lossy(found.get(..found.len().min(80)).unwrap_or(found)).trim().to_owned();
        Self::Malformed { path: path.to_owned(), expected, found }
    }

    /// What tells this error apart from others in the log: the file and what is wrong with it, without the value that
    /// was found, which may be another one at every reading.
    pub fn cause(&self) -> String {
        match self {
            Self::Io { .. } => self.to_string(),
            Self::Malformed { path, .. } => format!("{}: {}", path.display(), self.kind()),
        }
    }

    /// What is wrong, wherever it is.
    pub fn kind(&self) -> String {
        match self {
            Self::Io { error, .. } => error.to_string(),
            Self::Malformed { expected, .. } => format!("expected {expected}"),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } | Self::Malformed { path, .. } => path,
        }
    }

    /// The reason that metrics carry.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Malformed { .. } => Fault::Malformed,
            Self::Io { error, .. } => match error.kind() {
                io::ErrorKind::PermissionDenied => Fault::Permission,
                io::ErrorKind::NotFound => Fault::Vanished,
                // A read on a held descriptor of a removed cgroup or device.
                _ if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Fault::Vanished,
                _ => Fault::Io,
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Malformed { path, expected, found } => {
                write!(f, "{}: expected {expected}, found {found:?}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Malformed { .. } => None,
        }
    }
}
