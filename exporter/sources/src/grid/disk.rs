//! Files of values: read when they changed, and never for longer than a thread of their own has to wait.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::failure::{Failure, Reason};
use crate::regular;

/// No file of values is longer.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What a file is known by: when it was written, its length and its inode.
pub(super) type Stamp = (i64, i64, u64, u64);

/// A file's content and when it was written.
pub(super) type Content = (Vec<u8>, Duration);

/// The file, without its content where it is the one that is known. On a thread of its own: a file on a network may take
/// its time.
pub(super) async fn read(path: PathBuf, known: Option<Stamp>) -> Result<(Stamp, Option<Content>), Failure> {
    let read = tokio::task::spawn_blocking(move || read_now(&path, known)).await;
    read.unwrap_or_else(|error| Err(Failure::new(Reason::Interrupted, error.to_string())))
}

fn read_now(path: &Path, known: Option<Stamp>) -> Result<(Stamp, Option<Content>), Failure> {
    let failure = |error: io::Error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => Reason::NotFound,
            io::ErrorKind::PermissionDenied => Reason::Forbidden,
            io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge => Reason::Malformed,
            _ => Reason::Interrupted,
        };
        Failure::new(reason, format!("{}: {error}", path.display()))
    };
    let about = fs::metadata(path).map_err(failure)?;
    let stamp = (about.mtime(), about.mtime_nsec(), about.len(), about.ino());
    if known == Some(stamp) {
        return Ok((stamp, None));
    }
    let body = regular::read(path, LONGEST).map_err(failure)?;
    let modified = about.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    Ok((stamp, Some((body, modified.unwrap_or_default()))))
}
