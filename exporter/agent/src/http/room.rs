//! The open connections: how many there may be, and who goes when it is full.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::clients::ConnectionId;
use super::visit::{Phase, Visit};

/// A connection this young has had no chance to ask yet: it is not closed for one that is younger still.
const GRACE: Duration = Duration::from_secs(1);

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
    /// An idle connection was closed for it.
    Displacing(Arc<Visit>),
    /// All others are busy.
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
    /// Who has not asked anything goes before who has, for that one is likely to ask again; then who waits longest.
    /// Who is being answered stays.
    fn displace(&mut self) -> bool {
        let now = Instant::now();
        let spared = |visit: &Arc<Visit>| {
            let (phase, since) = visit.standing();
            let idle = match phase {
                Phase::Asking => now.saturating_duration_since(since) >= GRACE,
                Phase::Idle => true,
                Phase::Answered => false,
            };
            idle.then_some((phase, since, visit.connection))
        };
        let Some((_, _, connection)) = self.present.values().filter_map(spared).min() else { return false };
        if let Some(visit) = self.present.remove(&connection) {
            visit.dismiss();
        }
        true
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

    fn answered(visit: &Visit) {
        visit.asked();
        visit.handed_over(None);
        visit.flushed();
    }

    #[test]
    fn the_one_idle_for_longest_makes_room() {
        let room = Room::new(3);
        let [busy, idle, fresh] = [entered(&room), entered(&room), entered(&room)];
        answered(&busy);
        answered(&idle);
        busy.asked();
        assert!(matches!(room.enter(PEER), Entry::Displacing(_)));
        assert_eq!(room.open(), 3);
        room.leave(idle.connection);
        assert_eq!(room.open(), 3, "it had left before");
        assert!(matches!(room.enter(PEER), Entry::Refused), "one busy, two that just came");
        room.leave(fresh.connection);
        assert!(matches!(room.enter(PEER), Entry::Free(_)));
    }

    #[test]
    fn nobody_who_is_answered_is_sent_away() {
        let room = Room::new(0);
        let only = entered(&room);
        only.asked();
        assert!(matches!(room.enter(PEER), Entry::Refused));
        assert!(!room.displace());
        room.clear();
        assert_eq!(room.open(), 0);
    }
}
