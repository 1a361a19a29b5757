//! The log, on standard error: each trouble is said once, not at every tick.

use std::collections::BTreeSet;
use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::prelude::*;

use crate::settings::{Format, LogLevel};

/// So many different troubles are remembered; beyond, the memory starts anew and they are said again.
const MOST: usize = 1000;

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
        Format::Text => registry.with(lines.with_ansi(false)).init(),
        Format::Json => registry.with(lines.json()).init(),
    }
}

/// What was said already.
#[derive(Debug, Default)]
pub struct Once(BTreeSet<String>);

impl Once {
    /// Warns of `trouble`, if it was not said yet.
    pub fn warn(&mut self, trouble: &impl ToString) {
        let trouble = trouble.to_string();
        if self.0.contains(&trouble) {
            tracing::debug!("{trouble}");
            return;
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        tracing::warn!("{trouble}");
        self.0.insert(trouble);
    }
}
