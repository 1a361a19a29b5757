//! A mounted tree of folders: its files are opened, and its folders looked at, relative to a held descriptor.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, fstat, fstatfs, openat, statat};
use rustix::io::Errno;

use crate::Error;

/// A tree and where it is.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    descriptor: OwnedFd,
    /// Device and inode: what is mounted there now may be another tree.
    pub(super) identity: (u64, u64),
    /// Whether it is a cgroup file system and not a fixture: there no file is ever replaced by another one.
    pub(super) genuine: bool,
}

/// What tells a folder from others, and how many folders are in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) inode: u64,
    /// How many folders are in it; `None` where the file system does not count them.
    pub(super) folders: Option<usize>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        // `cpuacct` is a symbolic link to `cpu,cpuacct` on many hosts, and links are not followed from here on.
        let path = path.canonicalize().map_err(|error| Error::io(path, error))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor =
            openat(CWD, &path, flags, Mode::empty()).map_err(|errno| Error::io(&path, errno.into()))?;
        // CGROUP_SUPER_MAGIC and CGROUP2_SUPER_MAGIC of linux/magic.h.
        let genuine = fstatfs(&descriptor)
            .is_ok_and(|system| matches!(system.f_type as u64 & 0xffff_ffff, 0x0027_e0eb | 0x6367_7270));
        let stat = fstat(&descriptor).map_err(|errno| Error::io(&path, errno.into()))?;
        Ok(Self { path, descriptor, identity: (stat.st_dev, stat.st_ino), genuine })
    }

    /// Its path and identity.
    pub(super) fn signature(&self) -> (PathBuf, (u64, u64)) {
        (self.path.clone(), self.identity)
    }

    /// The whole path of the folder `relative`.
    pub(super) fn full(&self, relative: &[u8]) -> PathBuf {
        if relative == b"." { self.path.clone() } else { self.path.join(OsStr::from_bytes(relative)) }
    }

    /// Opens the file `name` in the folder `relative`.
    pub(super) fn file(&self, relative: &[u8], name: &str) -> Result<OwnedFd, Errno> {
        self.open_in(&mut relative.to_vec(), name)
    }

    /// As [`Folder::file`], without another buffer: `path` is the folder's and becomes the file's.
    pub(super) fn open_in(&self, path: &mut Vec<u8>, name: &str) -> Result<OwnedFd, Errno> {
        path.push(b'/');
        path.extend_from_slice(name.as_bytes());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        openat(&self.descriptor, path.as_slice(), flags, Mode::empty())
    }

    /// What the folder `relative` is.
    pub(super) fn look(&self, relative: &[u8]) -> Result<Look, Errno> {
        let stat = statat(&self.descriptor, relative, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        // A folder is linked by its name, its own `.` and the `..` of each folder in it; 1 means "not counted".
        let folders = usize::try_from(stat.st_nlink).ok().and_then(|links| links.checked_sub(2));
        Ok(Look { inode: stat.st_ino, folders })
    }

    /// The inode of the file `name` in the folder `relative`.
    pub(super) fn inode(&self, relative: &[u8], name: &str) -> Result<u64, Errno> {
        let path = [relative, b"/", name.as_bytes()].concat();
        Ok(statat(&self.descriptor, path, AtFlags::SYMLINK_NOFOLLOW)?.st_ino)
    }

    /// The names of the folders in the folder `relative`.
    pub(super) fn folders(&self, relative: &[u8]) -> Result<Vec<Box<[u8]>>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let folder = openat(&self.descriptor, relative, flags, Mode::empty())?;
        let mut found = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(&folder, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            let is_folder = match entry.file_type() {
                FileType::Directory => !matches!(name.to_bytes(), b"." | b".."),
                FileType::Unknown => statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                        && !matches!(name.to_bytes(), b"." | b"..")
                }),
                _ => false,
            };
            if is_folder {
                found.push(name.to_bytes().into());
            }
        }
        Ok(found)
    }
}

/// Whether an error says that what was read, or the folder that it lies in, is not there any more.
pub(super) fn vanished(errno: Errno) -> bool {
    matches!(errno, Errno::NODEV | Errno::NOENT | Errno::NOTDIR)
}
