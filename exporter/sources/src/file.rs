//! A file that is held open and read again and again, as the pseudo file systems of the kernel allow.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use noether_core::reading::Fault;
use rustix::fs::{self, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, pread};

use crate::{Error, hanging};

/// How often an empty file is read again, and after how long.
const TRIES: usize = 4;
const PAUSE: Duration = Duration::from_micros(50);

/// A file and its descriptor, which is opened at the first read, kept, and opened anew where it fails.
#[derive(Debug)]
pub struct HeldFile {
    path: PathBuf,
    descriptor: Option<OwnedFd>,
}

impl HeldFile {
    /// The file at `path`; nothing is opened yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, descriptor: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole content, read into `buffer`.
    pub fn read<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        let Self { path, descriptor } = self;
        hanging::at(path, || fill(path, descriptor, buffer)).map_err(|error| Error::io(path, error))?;
        Ok(buffer)
    }

    /// Lets go of the descriptor where the name leads to another file by now, or to none: the next read opens it.
    pub fn reopen_if_replaced(&mut self) {
        let Some(descriptor) = &self.descriptor else { return };
        let same = |held: Stat, named: Stat| (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino);
        let is_same = hanging::at(&self.path, || {
            let named = fs::stat(&self.path)?;
            Ok::<_, io::Error>(same(fs::fstat(descriptor)?, named))
        });
        if !is_same.unwrap_or(false) {
            self.descriptor = None;
        }
    }
}

fn fill(path: &Path, descriptor: &mut Option<OwnedFd>, buffer: &mut Vec<u8>) -> io::Result<()> {
    if held(path, descriptor, buffer).is_err() {
        // A descriptor whose device or process is gone fails for ever; the name may lead to a new one.
        *descriptor = None;
        held(path, descriptor, buffer)?;
    }
    // A file that is rewritten in place is empty for a moment: its writer gets a little time.
    for _ in 0..TRIES {
        if !buffer.is_empty() {
            break;
        }
        thread::sleep(PAUSE);
        held(path, descriptor, buffer)?;
    }
    Ok(())
}

fn held(path: &Path, descriptor: &mut Option<OwnedFd>, buffer: &mut Vec<u8>) -> io::Result<()> {
    let descriptor = match descriptor {
        Some(descriptor) => descriptor,
        none => none.insert(open(path)?),
    };
    Ok(read_whole(descriptor, buffer)?)
}

/// Opens a regular file, as all are that kernels show: a fifo or a device in its place is turned down, and not waited for.
fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let descriptor = loop {
        match fs::open(path, flags, Mode::empty()) {
            Err(Errno::INTR) => {}
            done => break done?,
        }
    };
    match FileType::from_raw_mode(fs::fstat(&descriptor)?.st_mode) {
        FileType::RegularFile => Ok(descriptor),
        other => Err(io::Error::other(format!("this should be a regular file, and is {}", kind(other)))),
    }
}

const fn kind(of: FileType) -> &'static str {
    match of {
        FileType::Directory => "a folder",
        FileType::Fifo => "a fifo",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "none",
    }
}

/// The content of a file that is read seldom and not held open.
pub fn contents(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || {
        let mut buffer = Vec::new();
        let mut descriptor = None;
        held(path, &mut descriptor, &mut buffer).map(|()| buffer)
    };
    hanging::at(path, read).map_err(|error| Error::io(path, error))
}

/// The same of a file that need not be there: `None` where it is not.
pub fn if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match contents(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.fault() == Fault::Vanished => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in a folder.
pub fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    hanging::at(folder, || Ok(folder.read_dir()?.flatten().map(|entry| entry.file_name()).collect()))
}

/// More than any file that is read this way on the largest machines; what is longer is cut, and its parser complains.
const LONGEST: usize = 16 << 20;

/// Reads it in one call, with room to spare: for a second one, even for one that finds the end, the kernel would write
/// all of it anew. What is read this way (`stat` and `meminfo` of procfs, attributes of sysfs) is one record of
/// `seq_file`, so that a short read is the end of it.
fn read_whole(descriptor: &OwnedFd, buffer: &mut Vec<u8>) -> Result<(), Errno> {
    let mut room = buffer.capacity().max(4096);
    loop {
        buffer.resize(room, 0);
        match pread(descriptor, buffer.as_mut_slice(), 0) {
            Ok(length) if length < room || room >= LONGEST => {
                buffer.truncate(length);
                return Ok(());
            }
            Ok(_) => room *= 2,
            Err(Errno::INTR) => {}
            Err(errno) => {
                buffer.clear();
                return Err(errno);
            }
        }
    }
}

/// What a pure parser says of content that is not as documented: the parser knows no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unexpected<'a> {
    /// What should have been there.
    pub expected: &'static str,
    /// What was there.
    pub found: &'a [u8],
}

impl Unexpected<'_> {
    /// The error, with the file that the content came from.
    pub fn at(self, path: &Path) -> Error {
        Error::malformed(path, self.expected, self.found)
    }
}

/// A whole number in decimal digits, with white space around it or none.
pub fn number(content: &[u8]) -> Option<u64> {
    let digits = content.trim_ascii();
    // `parse` would take a sign.
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first `most` bytes of a regular file. Whatever is wrong with it, it tells nothing: for those to whom no record is no
/// error.
pub(crate) fn beginning(path: &Path, most: u64) -> Option<Vec<u8>> {
    let read = || {
        let mut content = Vec::new();
        File::from(open(path)?).take(most).read_to_end(&mut content)?;
        Ok::<_, io::Error>(content)
    };
    hanging::at(path, read).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn reads_again_what_was_rewritten_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "12\n").unwrap();
        let (mut file, mut buffer) = (HeldFile::new(path.clone()), Vec::new());
        assert_eq!(file.read(&mut buffer).unwrap(), b"12\n");
        fs::write(&path, "3\n").unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), b"3\n");
        fs::write(&path, "").unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), b"");
    }

    #[test]
    fn reads_more_than_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let long: Vec<u8> = (0..300_000_u32).map(|i| b'a' + (i % 26) as u8).collect();
        fs::write(&path, &long).unwrap();
        let (mut file, mut buffer) = (HeldFile::new(path), Vec::new());
        for _ in 0..3 {
            assert!(file.read(&mut buffer).unwrap() == long);
        }
    }

    #[test]
    fn a_replaced_file_is_found_at_the_check_and_a_lost_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("f"), folder.path().join("g"));
        fs::write(&path, "1").unwrap();
        fs::write(&other, "2").unwrap();
        let (mut file, mut buffer) = (HeldFile::new(path.clone()), Vec::new());
        file.read(&mut buffer).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), b"1");
        file.reopen_if_replaced();
        assert_eq!(file.read(&mut buffer).unwrap(), b"2");
        fs::remove_file(&path).unwrap();
        file.reopen_if_replaced();
        assert_eq!(file.read(&mut buffer).unwrap_err().fault(), Fault::Vanished);
        fs::write(&path, "3").unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), b"3");
    }

    #[test]
    fn a_folder_is_an_error_and_not_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = HeldFile::new(folder.path().to_owned());
        assert_eq!(file.read(&mut Vec::new()).unwrap_err().fault(), Fault::Io);
    }

    #[test]
    fn a_fifo_is_turned_down_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0).unwrap();
        let mut held = HeldFile::new(path.clone());
        let errors = [held.read(&mut Vec::new()).unwrap_err(), contents(&path).unwrap_err()];
        for error in errors {
            assert!(
                error.to_string().ends_with("f: this should be a regular file, and is a fifo"),
                "{error}"
            );
        }
        assert_eq!(if_there(&folder.path().join("g")).unwrap(), None);
        fs::write(folder.path().join("g"), "1").unwrap();
        assert_eq!(contents(&folder.path().join("g")).unwrap(), b"1");
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(number(b"42\n"), Some(42));
        assert_eq!(number(b" 18446744073709551615 "), Some(u64::MAX));
        for bad in [&b""[..], b"\n", b"-1", b"+1", b"1.5", b"1 2", b"0x1", b"18446744073709551616", b"\xff1"]
        {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
