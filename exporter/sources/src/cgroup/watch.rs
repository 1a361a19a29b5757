//! The inotify instance: what was made and removed, as it happens.
//!
//! The kernel reports folders of cgroup v1, v2 and tmpfs alike. <https://man7.org/linux/man-pages/man7/inotify.7.html>

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::tree::{NodeId, UNWATCHED};

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// A folder, for the folders made and removed in it.
    Folder(NodeId),
    /// A folder's `cgroup.events`, which changes when the last process leaves.
    Events(NodeId),
}

/// Something that happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A folder was made.
    Made(NodeId, Box<[u8]>),
    /// A folder was moved here, which no one knows the past of.
    Came(NodeId, Box<[u8]>),
    /// A folder was removed, or moved away.
    Removed(NodeId, Box<[u8]>),
    /// A file was made, or put in the place of another.
    File(NodeId, Box<[u8]>),
    /// `cgroup.events` changed.
    Changed(NodeId),
    /// The watch on the folder ended by itself.
    Ended(NodeId),
    /// Events were lost.
    Overflow,
}

/// The inotify instance.
#[derive(Debug)]
pub(super) struct Watcher {
    inotify: OwnedFd,
    watched: HashMap<i32, Watched>,
    folders: usize,
    buffer: Box<[MaybeUninit<u8>]>,
}

impl Watcher {
    pub(super) fn new() -> Result<Self, Errno> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let buffer = vec![MaybeUninit::uninit(); 16 * 1024].into();
        Ok(Self { inotify, watched: HashMap::new(), folders: 0, buffer })
    }

    /// How many folders are watched.
    pub(super) fn folders(&self) -> usize {
        self.folders
    }

    /// Watches a folder.
    pub(super) fn folder(&mut self, path: &Path, node: NodeId) -> Result<i32, Errno> {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW
            | WatchFlags::EXCL_UNLINK;
        self.add(path, flags, Watched::Folder(node))
    }

    /// Watches a `cgroup.events`.
    pub(super) fn events(&mut self, path: &Path, node: NodeId) -> Result<i32, Errno> {
        self.add(path, WatchFlags::MODIFY | WatchFlags::DONT_FOLLOW, Watched::Events(node))
    }

    fn add(&mut self, path: &Path, flags: WatchFlags, watched: Watched) -> Result<i32, Errno> {
        let watch = inotify::add_watch(&self.inotify, path, flags)?;
        self.folders += usize::from(matches!(watched, Watched::Folder(_)));
        if let Some(Watched::Folder(_)) = self.watched.insert(watch, watched) {
            self.folders -= 1;
        }
        Ok(watch)
    }

    /// Ends a watch. Needed also for what was removed: a watch keeps the inode of a dead `cgroup.events` in memory,
    /// because the kernel removes such files without the steps that would end it.
    pub(super) fn end(&mut self, watch: i32) {
        if watch != UNWATCHED && self.strike(watch).is_some() {
            let _already_ended = inotify::remove_watch(&self.inotify, watch);
        }
    }

    fn strike(&mut self, watch: i32) -> Option<Watched> {
        let watched = self.watched.remove(&watch)?;
        self.folders -= usize::from(matches!(watched, Watched::Folder(_)));
        Some(watched)
    }

    /// Waits until something happened or the time is over; says whether something did.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let start = Instant::now();
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            let mut inotify = [PollFd::new(&self.inotify, PollFlags::IN)];
            match poll(&mut inotify, Timespec::try_from(left).ok().as_ref()) {
                Ok(ready) => return ready > 0,
                Err(Errno::INTR) if !left.is_zero() => {}
                Err(_) => {
                    std::thread::sleep(left);
                    return false;
                }
            }
        }
    }

    /// Appends some of what happened, in order; says whether there may be more.
    pub(super) fn drain(&mut self, events: &mut Vec<Event>) -> bool {
        let mut ended = Vec::new();
        let mut reader = inotify::Reader::new(&self.inotify, &mut self.buffer);
        // One buffer at a time, so that a flood of events is handled while it comes in.
        let more = loop {
            let Ok(event) = reader.next() else { break false };
            if event.events().contains(ReadFlags::IGNORED) {
                ended.push(event.wd());
            }
            events.extend(understand(&self.watched, &event));
            if reader.is_buffer_empty() {
                break true;
            }
        };
        for watch in ended {
            self.strike(watch);
        }
        more
    }
}

fn understand(watched: &HashMap<i32, Watched>, event: &inotify::Event<'_>) -> Option<Event> {
    let what = event.events();
    if what.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Event::Overflow);
    }
    if what.contains(ReadFlags::IGNORED) {
        return match *watched.get(&event.wd())? {
            Watched::Folder(node) => Some(Event::Ended(node)),
            Watched::Events(_) => None,
        };
    }
    let node = match *watched.get(&event.wd())? {
        Watched::Events(node) => return Some(Event::Changed(node)),
        Watched::Folder(node) => node,
    };
    let name = event.file_name()?.to_bytes().into();
    let made = what.intersects(ReadFlags::CREATE);
    let came = what.intersects(ReadFlags::MOVED_TO);
    match (what.contains(ReadFlags::ISDIR), made, came) {
        (true, true, _) => Some(Event::Made(node, name)),
        (true, _, true) => Some(Event::Came(node, name)),
        (true, false, false) => Some(Event::Removed(node, name)),
        (false, true, _) | (false, _, true) => Some(Event::File(node, name)),
        (false, false, false) => None,
    }
}
