//! Whole regular files, read so that no FIFO, device or endless file holds the reader.
//!
//! `open` waits on a FIFO until somebody writes to it (`fifo(7)`), and a device may never end. Files whose path an operator or a
//! user controls are read through this module.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file for reading; never waits for a writer.
///
/// # Errors
///
/// `InvalidInput` where the path leads to a FIFO, a device, a socket or a folder; else what `open(2)` reports.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    let found = if kind.is_dir() { "a folder" } else { "a FIFO, device or socket" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {found}; expected a regular file")))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
///
/// Those of [`open`]; `FileTooLarge` where the file has more than `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {}", size(most))));
    }
    Ok(bytes)
}

/// A number of bytes in the largest unit that divides it.
fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::os::unix::fs::symlink;

    #[test]
    fn only_regular_files_of_a_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "12345").unwrap();
        symlink("file", path("link")).unwrap();
        assert_eq!(read(&path("link"), 5).unwrap(), b"12345");
        assert_eq!(read(&path("file"), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!([4, 64 << 10, 4 << 20].map(size), ["4 bytes", "64 KiB", "4 MiB"]);
        assert_eq!(read(&path("nothing"), 4).unwrap_err().kind(), io::ErrorKind::NotFound);
        mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        symlink("fifo", path("link to fifo")).unwrap();
        for wrong in [path("fifo"), path("link to fifo"), folder.path().to_owned(), "/dev/zero".into()] {
            let error = read(&wrong, 4).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}: {error}", wrong.display());
        }
    }
}
