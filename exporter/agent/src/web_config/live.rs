//! The configuration while the server runs: read again when its file, or one that it names, has changed.
//!
//! Asked at each handshake and each request. What it costs is a `stat` of each file; what is broken is logged once, and
//! the one before stays in force.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use noether_sources::regular;

use super::WebConfig;

/// No file of this kind is larger: one that is was named by mistake.
const LARGEST: u64 = 4 << 20;

/// Of two changes within a tick of the kernel's clock the second leaves the file's time as it is: so soon after a change
/// it is read once more.
const UNSETTLED: Duration = Duration::from_millis(50);

/// A configuration that follows its file.
#[derive(Debug)]
pub struct Live {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<WebConfig>,
    seen: Vec<(PathBuf, Stamp)>,
    /// What was last complained of.
    complaint: Option<String>,
}

/// By what a change is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    Absent,
    /// It changed a moment ago, and may again.
    Unsettled,
    Settled {
        device: u64,
        inode: u64,
        size: u64,
        changed: (i64, i64),
        modified: (i64, i64),
    },
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let Ok(file) = std::fs::metadata(path) else { return Self::Absent };
        let changed = u64::try_from(file.ctime()).ok().and_then(|seconds| {
            let nanoseconds = u32::try_from(file.ctime_nsec()).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
        });
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if age.is_some_and(|age| age < UNSETTLED) {
            return Self::Unsettled;
        }
        Self::Settled {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            changed: (file.ctime(), file.ctime_nsec()),
            modified: (file.mtime(), file.mtime_nsec()),
        }
    }

    fn holds(&self, path: &Path) -> bool {
        *self != Self::Unsettled && *self == Self::of(path)
    }
}

/// What the file says now, and the state of every file that this took. Each is looked at before it is read, so that no
/// change falls in between.
fn load(path: &Path) -> (Result<WebConfig, String>, Vec<(PathBuf, Stamp)>) {
    let mut seen = Vec::new();
    let loaded = WebConfig::load(path, &mut |path| {
        seen.push((path.to_owned(), Stamp::of(path)));
        regular::read(path, LARGEST)
    });
    (loaded, seen)
}

impl Live {
    /// Reads the file for the first time. An error is a sentence that begins with the place.
    pub fn open(path: &Path) -> Result<Self, String> {
        let (loaded, seen) = load(path);
        let state = State { current: Arc::new(loaded?), seen, complaint: None };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// The files that it was read from: its own and those that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen.iter().map(|(path, _)| path.clone()).collect()
    }

    /// What holds now.
    pub fn current(&self) -> Arc<WebConfig> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.seen.iter().all(|(path, stamp)| stamp.holds(path)) {
            state.renew(&self.path);
        }
        Arc::clone(&state.current)
    }
}

impl State {
    fn renew(&mut self, path: &Path) {
        let (loaded, seen) = load(path);
        self.seen = seen;
        let checked = loaded.and_then(|config| match config.weaker_than(&self.current) {
            Some(complaint) => Err(format!("{}: {complaint}", path.display())),
            None => Ok(config),
        });
        match checked {
            Ok(config) => {
                if self.complaint.take().is_some() {
                    tracing::info!("{} is right again: {}", path.display(), config.summary());
                }
                self.current = Arc::new(config);
            }
            Err(complaint) if self.complaint.as_ref() != Some(&complaint) => {
                tracing::error!("{complaint}; what held before holds on");
                self.complaint = Some(complaint);
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::thread::sleep;

    fn hash(cost: u32) -> String {
        bcrypt::hash("secret", cost).unwrap()
    }

    #[test]
    fn changes_are_seen_and_broken_ones_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let write = |text: &str| fs::write(&path, text).unwrap();
        write(&format!("basic_auth_users: {{a: {}}}", hash(4)));
        let live = Live::open(&path).unwrap();
        let users = |live: &Live| live.current().users.len();
        assert_eq!(users(&live), 1);
        write(&format!("basic_auth_users: {{a: {}, b: {}}}", hash(4), hash(4)));
        assert_eq!(users(&live), 2);
        for broken in ["basic_auth_users: [", "users: {}", "", "basic_auth_users: {}"] {
            write(broken);
            assert_eq!(users(&live), 2, "{broken:?}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(users(&live), 2);
        // Nothing is read while nothing changes.
        write(&format!("basic_auth_users: {{a: {}}}", hash(4)));
        sleep(2 * UNSETTLED);
        assert_eq!(users(&live), 1);
        let before = live.current();
        assert!(Arc::ptr_eq(&before, &live.current()));
    }

    #[test]
    fn changes_within_one_tick_of_the_clock_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let hashes = [hash(4), hash(4)];
        fs::write(&path, format!("basic_auth_users: {{a: {}}}", hashes[0])).unwrap();
        let live = Live::open(&path).unwrap();
        for round in 1..50 {
            let hash = &hashes[round % 2];
            fs::write(&path, format!("basic_auth_users: {{a: {hash}}}")).unwrap();
            assert_eq!(live.current().users.hash("a").0, hash, "{round}");
        }
    }
}
