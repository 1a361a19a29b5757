//! The open connections: how many there may be, and who goes when it is full.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::clients::ConnectionId;
use super::visit::{Phase, Visit};

/// A connection this young has had no chance to ask yet, and an answer that rests so briefly is on its way.
const GRACE: Duration = Duration::from_secs(1);
/// A head that has begun comes in one packet, or in two that follow one another.
const ONE_HEAD: Duration = Duration::from_millis(100);

/// The open connections.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    visits: Mutex<Visits>,
}

#[derive(Debug, Default)]
struct Visits {
    entered: u64,
    present: BTreeMap<ConnectionId, Arc<Visit>>,
}

/// How a newcomer fared.
#[derive(Debug)]
pub(super) enum Entry {
    /// There was room.
    Free(Arc<Visit>),
    /// Another connection was closed for it.
    Displacing(Arc<Visit>),
    /// All others are taking their answers.
    Refused,
}

impl Room {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), visits: Mutex::default() }
    }

    fn visits(&self) -> MutexGuard<'_, Visits> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, peer: IpAddr) -> Entry {
        let mut visits = self.visits();
        let full = visits.present.len() >= self.most;
        if full && !visits.displace() {
            return Entry::Refused;
        }
        visits.entered += 1;
        let visit = Arc::new(Visit::new(ConnectionId::new(visits.entered), peer));
        visits.present.insert(visit.connection, Arc::clone(&visit));
        if full { Entry::Displacing(visit) } else { Entry::Free(visit) }
    }

    pub(super) fn leave(&self, connection: ConnectionId) {
        self.visits().present.remove(&connection);
    }

    pub(super) fn open(&self) -> usize {
        self.visits().present.len()
    }

    /// Closes a connection that can be spared; `false` where there is none.
    pub(super) fn displace(&self) -> bool {
        self.visits().displace()
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        for visit in std::mem::take(&mut self.visits().present).values() {
            visit.dismiss();
        }
    }
}

impl Visits {
    fn displace(&mut self) -> bool {
        let now = Instant::now();
        let ranked = |visit: &Arc<Visit>| {
            let (phase, since) = visit.standing();
            let age = now.saturating_duration_since(since);
            Some((Rank::of(phase, age)?, since, visit.connection))
        };
        let Some((_, _, connection)) = self.present.values().filter_map(ranked).min() else { return false };
        if let Some(visit) = self.present.remove(&connection) {
            visit.dismiss();
        }
        true
    }
}

/// Who goes first when it is full; of those alike, who waits longest.
///
/// Slow heads and connections that never ask must not keep a scraper out, however many come. So a newcomer is let in for
/// one that is younger than it should be rather than turned away: among so many it has the time until it is the oldest
/// itself, and who means to ask needs one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Began a request and does not finish it.
    Dawdling,
    /// Was accepted long ago and said nothing.
    Silent,
    /// Has asked before, and is likely to ask again.
    Idle,
    /// Has had no chance to finish its request yet.
    Young,
    /// Does not take its answer.
    Stalled,
}

impl Rank {
    /// `None` is one that stays: it takes its answer.
    fn of(phase: Phase, age: Duration) -> Option<Self> {
        match phase {
            Phase::Asking { heard: true } if age >= ONE_HEAD => Some(Self::Dawdling),
            Phase::Asking { heard: false } if age >= GRACE => Some(Self::Silent),
            Phase::Asking { .. } => Some(Self::Young),
            Phase::Idle => Some(Self::Idle),
            Phase::Answered => (age >= GRACE).then_some(Self::Stalled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn entered(room: &Room) -> Arc<Visit> {
        match room.enter(PEER) {
            Entry::Free(visit) | Entry::Displacing(visit) => visit,
            Entry::Refused => panic!("refused"),
        }
    }

    const LONG: Duration = Duration::from_secs(10);

    fn answered(visit: &Arc<Visit>) {
        visit.asked(LONG).taken();
        visit.flushed();
    }

    #[test]
    fn the_one_idle_for_longest_makes_room() {
        let room = Room::new(3);
        let [busy, idle, fresh] = [entered(&room), entered(&room), entered(&room)];
        answered(&busy);
        answered(&idle);
        let answer = busy.asked(LONG);
        assert!(matches!(room.enter(PEER), Entry::Displacing(_)));
        assert_eq!(room.open(), 3);
        room.leave(idle.connection);
        assert_eq!(room.open(), 3, "it had left before");
        assert!(matches!(room.enter(PEER), Entry::Displacing(_)), "one busy, two that just came");
        room.leave(fresh.connection);
        assert_eq!(room.open(), 3, "the older of the two had made room");
        drop(answer);
    }

    #[test]
    fn nobody_who_takes_its_answer_is_sent_away() {
        let room = Room::new(0);
        let only = entered(&room);
        let answer = only.asked(LONG);
        assert!(matches!(room.enter(PEER), Entry::Refused));
        assert!(!room.displace());
        drop(answer);
        only.flushed();
        assert!(room.displace());
        room.clear();
        assert_eq!(room.open(), 0);
    }

    #[test]
    fn who_wastes_time_goes_first() {
        let of = |phase, milliseconds| Rank::of(phase, Duration::from_millis(milliseconds));
        let (heard, silent) = (Phase::Asking { heard: true }, Phase::Asking { heard: false });
        let order = [
            of(heard, 150),
            of(silent, 1000),
            of(Phase::Idle, 0),
            of(silent, 999),
            of(Phase::Answered, 1000),
        ];
        assert!(order.is_sorted() && order[0].is_some(), "{order:?}");
        assert_eq!((of(heard, 50), of(Phase::Answered, 999)), (of(silent, 50), None));
    }
}
