//! A file that answers for a while and then hangs, as one of a FUSE whose server has died does.
//!
//! The protocol: <https://www.man7.org/linux/man-pages/man4/fuse.4.html>

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const INIT: u32 = 26;
/// Those that take no answer: FORGET and INTERRUPT.
const SILENT: [u32; 2] = [2, 36];
const ENOSYS: i32 = 38;

/// A file that lies over another one. It goes when this is dropped, and whoever hangs in it gets an error.
#[derive(Debug)]
pub struct HangingFile {
    path: PathBuf,
    device: Option<Arc<File>>,
    alive: Arc<AtomicBool>,
}

impl HangingFile {
    /// One that never answers, over `path`; fails where FUSE cannot be used.
    pub fn over(path: &Path) -> io::Result<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse")?;
        let options = format!("fd={},rootmode=100444,user_id=0,group_id=0,allow_other\0", device.as_raw_fd());
        let options = std::ffi::CString::from_vec_with_nul(options.into_bytes()).map_err(io::Error::other)?;
        mount("simulated", path, "fuse.simulated", MountFlags::empty(), &*options)?;
        let alive = Arc::new(AtomicBool::new(false));
        Ok(Self { path: path.to_owned(), device: Some(Arc::new(device)), alive })
    }

    /// One that has this content until [`HangingFile::hang`].
    pub fn answering(path: &Path, content: &'static str) -> io::Result<Self> {
        let file = Self::over(path)?;
        file.alive.store(true, Ordering::SeqCst);
        let (device, alive) = (file.device.clone().expect("just opened"), Arc::clone(&file.alive));
        thread::spawn(move || serve(&device, &alive, content.as_bytes()));
        Ok(file)
    }

    /// From now on it does not answer: the next request is taken and dropped.
    pub fn hang(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }
}

impl Drop for HangingFile {
    fn drop(&mut self) {
        let _ = unmount(&self.path, UnmountFlags::DETACH | UnmountFlags::FORCE);
        // With the last descriptor of the device everything that waits is answered with an error.
        self.device = None;
    }
}

fn serve(device: &File, alive: &AtomicBool, content: &[u8]) {
    let mut request = vec![0; 1 << 17];
    // It ends when the file is unmounted.
    while let Ok(length) = { device }.read(&mut request) {
        if !alive.load(Ordering::SeqCst) {
            return;
        }
        let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().expect("four bytes"));
        let (opcode, unique) = (word(4), &request[8..16]);
        if SILENT.contains(&opcode) || length < 40 {
            continue;
        }
        let (error, body) = match opcode {
            INIT => (0, init()),
            GETATTR => (0, attributes()),
            // Straight from here at each reading, and from no cache.
            OPEN => (0, [0_u64.to_le_bytes(), 1_u64.to_le_bytes()].concat()),
            READ if word(48) == 0 => (0, content.to_vec()),
            READ => (0, Vec::new()),
            _ => (-ENOSYS, Vec::new()),
        };
        let size = u32::try_from(16 + body.len()).expect("a short answer");
        let head = [&size.to_le_bytes()[..], &i32::to_le_bytes(error), unique].concat();
        if { device }.write_all(&[head, body].concat()).is_err() {
            return;
        }
    }
}

/// Version 7.31, nothing optional, writes of a page.
fn init() -> Vec<u8> {
    let words = [7_u32, 31, 0, 0, 0, 4096, 1];
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    body.resize(64, 0);
    body
}

/// A regular file that everybody may read; its attributes are asked for each time.
fn attributes() -> Vec<u8> {
    let mut body = vec![0; 16 + 88];
    body[16] = 1;
    let (mode, links) = (16 + 60, 16 + 64);
    body[mode..mode + 4].copy_from_slice(&0o100_444_u32.to_le_bytes());
    body[links] = 1;
    body
}
