//! What a meter says of itself besides its figures: its faults, and what is no fault and has to be known all the same.

use noether_sources::Error;
use noether_sources::meter::Note;

use super::State;

/// Each cause once.
pub(super) fn causes<'a>(errors: impl Iterator<Item = &'a Error>) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in errors.map(ToString::to_string) {
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    causes
}

/// A detail with the notes behind it. The meter is not as it could be where energy is missing by one of them.
pub(super) fn detail(notes: &[Note], detail: &str) -> (State, String) {
    let state = if notes.iter().any(|note| note.lack) { State::Warning } else { State::Ok };
    let texts = notes.iter().map(|note| &*note.text);
    (state, [detail].into_iter().chain(texts).collect::<Vec<_>>().join("; "))
}
