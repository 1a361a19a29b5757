//! Files that do not answer: of a dead FUSE (lxcfs, a remote mount), of a driver that waits for its device.
//!
//! No call that reads a file has a time limit, so whoever waits for one does so for good. Each thread shows the file that it
//! is at ([`Place`]); when it has been there for too long, another thread gives the file up, and from then on nobody reads
//! it, until the first thread comes back from it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The files that were given up. They are facts of the machine, so there is one list for all threads.
static GIVEN_UP: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// Whether there are any: nearly always there are none, and nobody has to look.
static ANY: AtomicBool = AtomicBool::new(false);

thread_local! {
    static HERE: RefCell<Place> = RefCell::default();
}

/// The file that a thread is at.
#[derive(Clone, Debug, Default)]
pub struct Place(Arc<Mutex<Option<PathBuf>>>);

impl Place {
    /// Of the thread that calls.
    pub fn of_this_thread() -> Self {
        HERE.with(|here| here.borrow().clone())
    }

    /// The file.
    pub fn path(&self) -> Option<PathBuf> {
        lock(&self.0).clone()
    }

    /// Gives the file up that the thread is at, and says which it is.
    pub fn give_up(&self) -> Option<PathBuf> {
        // The lock is held throughout, so that the thread cannot come back in between and leave its file given up.
        let path = lock(&self.0);
        let path = path.as_ref()?;
        lock(&GIVEN_UP).insert(path.clone());
        ANY.store(true, Ordering::Release);
        Some(path.clone())
    }
}

/// Does what has to be done at a file or folder, unless it was given up.
pub fn at<R, E: From<io::Error>>(path: &Path, work: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
    if ANY.load(Ordering::Acquire) && lock(&GIVEN_UP).contains(path) {
        let why = "it does not answer, and is left alone until it does";
        return Err(io::Error::new(io::ErrorKind::TimedOut, why).into());
    }
    let place = Place::of_this_thread();
    *lock(&place.0) = Some(path.to_owned());
    let result = work();
    *lock(&place.0) = None;
    if ANY.load(Ordering::Acquire) {
        let mut given_up = lock(&GIVEN_UP);
        given_up.remove(path);
        ANY.store(!given_up.is_empty(), Ordering::Release);
    }
    result
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_file_is_given_up_until_its_reader_comes_back() {
        let path = Path::new("/simulated/hanging");
        let (go_on, wait) = channel::<()>();
        let (began, begins) = channel();
        let reader = thread::spawn(move || {
            at(path, || {
                began.send(Place::of_this_thread()).unwrap();
                wait.recv().map_err(io::Error::other)
            })
        });
        let place = begins.recv().unwrap();
        assert_eq!(place.give_up().as_deref(), Some(path));
        let refused = at(path, || Ok::<_, io::Error>(())).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        at(Path::new("/simulated/other"), || Ok::<_, io::Error>(())).unwrap();
        go_on.send(()).unwrap();
        reader.join().unwrap().unwrap();
        at(path, || Ok::<_, io::Error>(())).unwrap();
        assert_eq!((place.path(), place.give_up()), (None, None), "nobody is anywhere");
    }
}
