//! Why a source of pods does not answer, and so what to do next.

use std::fmt;

use noether_core::reading::Fault;

/// What ended a source's service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is not there, or does not speak what is asked of it.
    Absent(String),
    /// It says that this process may not ask.
    Refused(String),
    /// It says that it is about to be ready.
    Starting(String),
    /// It does not answer, or ended in the middle.
    Broken(String),
    /// It answers something else than it should.
    Malformed(String),
    /// The place from which to go on is forgotten: all has to be listed again.
    Expired,
}

impl Failure {
    /// The `reason` label.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Absent(_) => Fault::Vanished,
            Self::Refused(_) => Fault::Permission,
            Self::Malformed(_) => Fault::Malformed,
            Self::Starting(_) | Self::Broken(_) | Self::Expired => Fault::Io,
        }
    }

    /// Whether asking again will bring the same.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Absent(_) | Self::Refused(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(said)
            | Self::Refused(said)
            | Self::Starting(said)
            | Self::Broken(said)
            | Self::Malformed(said) => f.write_str(said),
            Self::Expired => f.write_str("the version to go on from is forgotten"),
        }
    }
}
