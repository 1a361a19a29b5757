//! What the exporter tells of its own process and its server.

use std::fs;
use std::time::Duration;

use noether_core::vitals::Vitals;

use crate::clock;
use crate::http::Facts;

/// The process, as it does not change often.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    start: Duration,
    page_size: u64,
    descriptors: (u64, u64),
}

impl Process {
    /// This process, which may open `most` descriptors.
    pub fn new(most: u64) -> Self {
        let page_size = rustix::param::page_size() as u64;
        Self { start: clock::unix(), page_size, descriptors: (open_descriptors(), most) }
    }

    /// How many descriptors it may open.
    pub const fn most_descriptors(&self) -> u64 {
        self.descriptors.1
    }

    /// Counts the open descriptors anew, which takes longer than the rest.
    pub fn recount(&mut self) {
        self.descriptors.0 = open_descriptors();
    }

    /// Writes what it knows of itself, and what its server counted.
    pub fn tell(&self, vitals: &mut Vitals, facts: &Facts) {
        vitals.version = env!("CARGO_PKG_VERSION");
        vitals.requests.clear();
        // The code of every good scrape is there from the start: a counter that starts above 0 is not seen to rise.
        let good = (!facts.requests.contains_key(&200)).then(|| ("200".to_owned(), 0));
        let counted = facts.requests.iter().map(|(code, count)| (code.to_string(), *count));
        vitals.requests.extend(good.into_iter().chain(counted));
        vitals.connections = facts.connections_open;
        vitals.pushes.clone_from(&facts.pushes);
        vitals.cpu = clock::process_cpu();
        vitals.resident = resident(self.page_size);
        vitals.start = self.start;
        vitals.descriptors = self.descriptors;
    }
}

/// How many descriptors this process holds. Since Linux 6.2 the folder's size tells; before, each is an entry.
fn open_descriptors() -> u64 {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).map_or(0, |metadata| metadata.len()) {
        0 => fs::read_dir(folder).map_or(0, |entries| entries.count() as u64),
        count => count,
    }
}

/// Resident memory of this process, in bytes. Always of the real `/proc`: `--path.procfs` may show another machine.
fn resident(page_size: u64) -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * page_size
}
