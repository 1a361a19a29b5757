//! Whether ticks still come, and what the tick is at: for the health pages and the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// However short the interval is, so long a silence may be a busy machine.
const SHORTEST_SILENCE: Duration = Duration::from_secs(5);
/// How often the log looks.
const LOOK: Duration = Duration::from_secs(1);

/// What a tick is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is opened yet.
    Starting,
    /// Meters, processors and memory.
    Reading,
    /// Cgroups.
    Cgroups,
    /// Attribution, the snapshot.
    Accounting,
    /// Between two ticks, when cgroups that come and go are looked at.
    Waiting,
}

impl Stage {
    const fn words(self) -> &'static str {
        match self {
            Self::Starting => "opening the sources",
            Self::Reading => "reading processors, memory and meters",
            Self::Cgroups => "reading cgroups",
            Self::Accounting => "accounting",
            Self::Waiting => "watching cgroups",
        }
    }
}

/// The last tick, and the stage of the present one. Instants do not go on while the machine sleeps.
#[derive(Debug)]
pub struct Pulse {
    most: Duration,
    state: Mutex<(Instant, Stage)>,
}

impl Pulse {
    /// Of ticks that come at this interval.
    pub fn new(interval: Duration) -> Self {
        let most = interval.saturating_mul(3).max(SHORTEST_SILENCE);
        Self { most, state: Mutex::new((Instant::now(), Stage::Starting)) }
    }

    /// The tick is at another stage.
    pub fn enters(&self, stage: Stage) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = stage;
    }

    /// A tick has ended.
    pub fn ticked(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), Stage::Waiting);
    }

    /// What the tick is at, in words.
    pub fn stage(&self) -> &'static str {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.words()
    }

    /// Why nothing is measured any more; `None` while ticks come.
    pub fn stands_still(&self) -> Option<String> {
        let (last, stage) = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let silence = last.elapsed();
        let what = if stage == Stage::Starting { "start" } else { "last tick" };
        (silence > self.most).then(|| {
            format!("{} s since the {what}: the tick hangs while {}", silence.as_secs(), stage.words())
        })
    }

    /// Logs when ticks stop to come, and when they come again. One late look is no proof: the process may have been stopped.
    pub async fn watch(&self) {
        let (mut late, mut logged) = (0, false);
        loop {
            tokio::time::sleep(LOOK).await;
            let stands_still = self.stands_still();
            late = if stands_still.is_some() { late + 1 } else { 0 };
            match stands_still {
                Some(why) if late > 1 && !logged => {
                    tracing::error!("nothing is measured: {why}; /-/healthy and /-/ready say so");
                    logged = true;
                }
                None if logged => {
                    tracing::info!("ticks come again");
                    logged = false;
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_has_a_reason() {
        let pulse = Pulse { most: Duration::from_millis(20), ..Pulse::new(Duration::from_secs(1)) };
        std::thread::sleep(Duration::from_millis(30));
        assert!(pulse.stands_still().is_some_and(|why| why.contains("since the start")));
        pulse.ticked();
        let most = Duration::from_secs(3600);
        let pulse = Pulse { most, ..pulse };
        assert_eq!(pulse.stands_still(), None);
        let pulse = Pulse { most: Duration::ZERO, ..pulse };
        pulse.enters(Stage::Cgroups);
        std::thread::sleep(Duration::from_millis(1));
        assert!(pulse.stands_still().is_some_and(|why| why.ends_with("reading cgroups")));
    }

    #[test]
    fn long_intervals_have_long_silences() {
        assert_eq!(Pulse::new(Duration::from_millis(100)).most, SHORTEST_SILENCE);
        assert_eq!(Pulse::new(Duration::from_secs(15)).most, Duration::from_secs(45));
    }
}
