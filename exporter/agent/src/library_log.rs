//! Bounds what libraries log: a client that provokes a warning of the HTTP/2 library on each connection writes one line a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Each place in a library's code logs at most once in this time.
const PAUSE: Duration = Duration::from_secs(60);

/// Lets an event of a library pass if the same place in its code has not logged for a minute. The program's own events
/// always pass.
#[derive(Debug, Default)]
pub(crate) struct LibraryLimit(Mutex<HashMap<Identifier, Instant>>);

impl LibraryLimit {
    fn passes(&self, place: Identifier, now: Instant) -> bool {
        // As many entries as there are places in the libraries' code that log.
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = logged.get(&place).is_some_and(|last| now.saturating_duration_since(*last) < PAUSE);
        if !waits {
            logged.insert(place, now);
        }
        !waits
    }
}

impl<S: Subscriber> Filter<S> for LibraryLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        is_ours(metadata.target()) || self.passes(metadata.callsite(), Instant::now())
    }
}

fn is_ours(target: &str) -> bool {
    target.split("::").next().is_some_and(|krate| krate == "noether" || krate.starts_with("noether_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;
    use tracing_subscriber::fmt::layer;
    use tracing_subscriber::prelude::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_library_repeats_nothing_within_a_minute_and_we_do() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = layer().with_writer(move || writer.clone()).with_filter(LibraryLimit::default());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for connection in 0..300 {
                tracing::warn!(target: "h2::proto", "{connection}: many resets");
                tracing::warn!(target: "noether::http", "{connection}: ours");
            }
            tracing::warn!(target: "h2::proto", "from another place");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let count = |what: &str| text.matches(what).count();
        assert_eq!([count("resets"), count("another place"), count("ours")], [1, 1, 300]);
    }

    #[test]
    fn after_a_minute_it_may_log_again() {
        let (limit, now) = (LibraryLimit::default(), Instant::now());
        let place = tracing::callsite!(name: "place", kind: tracing::metadata::Kind::EVENT, fields: message);
        let place = tracing::callsite::Callsite::metadata(place).callsite();
        assert!(limit.passes(place.clone(), now));
        assert!(!limit.passes(place.clone(), now + Duration::from_secs(59)));
        assert!(limit.passes(place, now + Duration::from_secs(60)));
    }
}
