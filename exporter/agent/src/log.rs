//! The log, on standard error: each fault is logged when it begins and when it is over, not at every tick.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::time::Duration;

use noether_core::reading::Moment;
use noether_sources::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::prelude::*;

use crate::library_log::LibraryLimit;
use crate::settings::{Format, LogLevel};

/// So many faults are told apart at once; beyond, the log would be no help.
const MOST: usize = 1000;
/// A fault that has not come for this long is over: several rescans, so that one that only a rescan meets goes on.
const QUIET: Duration = Duration::from_secs(20);

/// Starts logging, as `--log.format` and `--log.level` say.
pub fn start(format: Format, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Of the libraries no more than what concerns an operator: at the level of a step the HTTP/2 one shows every frame, and
    // with it passwords.
    let libraries = level.min(LevelFilter::INFO);
    let registry = tracing_subscriber::registry()
        .with(Targets::new().with_default(libraries).with_target("noether", level));
    let lines = layer().with_writer(io::stderr).with_target(false);
    match format {
        Format::Text => registry.with(lines.with_ansi(false).with_filter(LibraryLimit::default())).init(),
        Format::Json => registry.with(lines.json().with_filter(LibraryLimit::default())).init(),
    }
}

/// The faults that are going on. Each is logged when it begins, and once more when it is over, with how often it came.
/// What tells faults apart is their cause (the file and what is wrong with it), never the values in the text: a value
/// that changes with every reading is one fault.
#[derive(Debug, Default)]
pub struct Once {
    going_on: BTreeMap<String, Episode>,
    /// Whether the log says already that there are more causes than are kept apart.
    full: bool,
}

/// One fault, from its first occurrence to its last.
#[derive(Debug)]
struct Episode {
    last: Moment,
    count: u64,
    /// Whether its end is logged too.
    announced: bool,
}

impl Once {
    /// Warns of a fault with the words of `text`, unless this cause is going on already.
    pub fn warn(&mut self, now: Moment, cause: String, text: &impl Display) {
        if self.begins(now, cause) {
            tracing::warn!("{text}");
        } else {
            tracing::debug!("{text}");
        }
    }

    /// Warns of an error of a source.
    pub fn error(&mut self, now: Moment, error: &Error) {
        self.warn(now, error.cause(), error);
    }

    /// Counts an occurrence of `cause`; whether it is the first, so that the caller logs it. The end will be logged.
    pub fn begins(&mut self, now: Moment, cause: String) -> bool {
        self.occurs(now, cause, true)
    }

    /// The same, for what has no end that anybody wants to read of.
    pub fn begins_quietly(&mut self, now: Moment, cause: String) -> bool {
        self.occurs(now, cause, false)
    }

    /// Prolongs the episode of `cause`, if there is one.
    pub fn goes_on(&mut self, now: Moment, cause: &str) {
        if let Some(episode) = self.going_on.get_mut(cause) {
            episode.last = now;
        }
    }

    fn occurs(&mut self, now: Moment, cause: String, announced: bool) -> bool {
        if let Some(episode) = self.going_on.get_mut(&cause) {
            (episode.last, episode.count) = (now, episode.count.saturating_add(1));
            return false;
        }
        if self.going_on.len() >= MOST {
            if !std::mem::replace(&mut self.full, true) {
                tracing::warn!(
                    "{MOST} different faults are going on: no other one is logged until some are over"
                );
            }
            return false;
        }
        self.going_on.insert(cause, Episode { last: now, count: 1, announced });
        true
    }

    /// Logs which faults are over: those that have not come for a while. `interval` is the time between ticks.
    pub fn settle(&mut self, now: Moment, interval: Duration) {
        let patience = QUIET.max(interval.saturating_mul(3));
        self.going_on.retain(|cause, episode| {
            let over = now.since(episode.last) >= patience;
            if over && episode.announced {
                tracing::info!("over, after {} occurrence(s): {cause}", episode.count);
            }
            !over
        });
        self.full &= self.going_on.len() >= MOST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn at(seconds: u64) -> Moment {
        Moment::from_boot(Duration::from_secs(1000 + seconds))
    }

    fn above(value: u64) -> Error {
        let expected = "at most max_energy_range_uj";
        Error::malformed(Path::new("/sys/energy_uj"), expected, value.to_string().as_bytes())
    }

    #[test]
    fn a_value_that_changes_is_one_cause_until_it_is_over() {
        let mut once = Once::default();
        let begun = (0..60).filter(|second| {
            let begins = once.begins(at(*second), above(*second).cause());
            once.settle(at(*second), Duration::from_secs(1));
            begins
        });
        assert_eq!(begun.count(), 1);
        assert_eq!(once.going_on.values().map(|episode| episode.count).collect::<Vec<_>>(), [60]);
        // It comes and goes: still the same.
        once.settle(at(75), Duration::from_secs(1));
        assert!(!once.begins(at(75), above(7).cause()));
        once.settle(at(120), Duration::from_secs(1));
        assert!(once.going_on.is_empty(), "over");
        assert!(once.begins(at(121), above(8).cause()), "and begun anew");
    }

    #[test]
    fn other_files_and_other_faults_are_other_causes() {
        let mut once = Once::default();
        let io = || Error::io(Path::new("/sys/energy_uj"), io::ErrorKind::PermissionDenied.into());
        assert!(once.begins(at(0), above(1).cause()));
        assert!(once.begins(at(0), io().cause()));
        assert!(once.begins(at(0), Error::malformed(Path::new("/sys/b"), "a number", b"1").cause()));
        assert!(!once.begins(at(1), io().cause()));
    }

    #[test]
    fn long_intervals_have_long_patience() {
        let mut once = Once::default();
        let interval = Duration::from_secs(60);
        for tick in 0..5 {
            assert_eq!(once.begins(at(tick * 60), "a".into()), tick == 0);
            once.settle(at(tick * 60), interval);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut once = Once::default();
        let begun = (0..2 * MOST).filter(|number| once.begins(at(0), number.to_string())).count();
        assert_eq!((begun, once.going_on.len(), once.full), (MOST, MOST, true));
        once.settle(at(3600), Duration::from_secs(1));
        assert!(!once.full && once.begins(at(3600), "a".into()));
    }
}
