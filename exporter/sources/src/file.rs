//! A file that is held open and read again and again, as the pseudo file systems of the kernel allow.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{self, Mode, OFlags, Stat};
use rustix::io::{Errno, pread};

use crate::Error;

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
        self.fill(buffer).map_err(|errno| Error::io(&self.path, errno.into()))?;
        Ok(buffer)
    }

    fn fill(&mut self, buffer: &mut Vec<u8>) -> Result<(), Errno> {
        if self.held(buffer).is_err() {
            // A descriptor whose device or process is gone fails for ever; the name may lead to a new one.
            self.descriptor = None;
            self.held(buffer)?;
        }
        // A file that is rewritten in place is empty for a moment: its writer gets a little time.
        for _ in 0..TRIES {
            if !buffer.is_empty() {
                break;
            }
            thread::sleep(PAUSE);
            self.held(buffer)?;
        }
        Ok(())
    }

    fn held(&mut self, buffer: &mut Vec<u8>) -> Result<(), Errno> {
        let descriptor = match &mut self.descriptor {
            Some(descriptor) => descriptor,
            none => none.insert(open(&self.path)?),
        };
        read_whole(descriptor, buffer)
    }

    /// Lets go of the descriptor where the name leads to another file by now, or to none: the next read opens it.
    pub fn reopen_if_replaced(&mut self) {
        let Some(descriptor) = &self.descriptor else { return };
        let same = |held: Stat, named: Stat| (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino);
        let (held, named) = (fs::fstat(descriptor), fs::stat(&self.path));
        if !held.and_then(|held| Ok(same(held, named?))).unwrap_or(false) {
            self.descriptor = None;
        }
    }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    // NONBLOCK: a fifo where a file should be must not stop the tick.
    loop {
        match fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
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
    // NONBLOCK: a fifo is opened at once, and then turned down.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(nonblock).open(path).ok()?;
    let mut content = Vec::new();
    file.metadata().ok()?.is_file().then_some(())?;
    file.take(most).read_to_end(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::reading::Fault;
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
    fn numbers_are_digits_only() {
        assert_eq!(number(b"42\n"), Some(42));
        assert_eq!(number(b" 18446744073709551615 "), Some(u64::MAX));
        for bad in [&b""[..], b"\n", b"-1", b"+1", b"1.5", b"1 2", b"0x1", b"18446744073709551616", b"\xff1"]
        {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
