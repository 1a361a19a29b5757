//! Who fetches snapshots, and which one all of them have seen: the tick waits for scrapers, never for a passer-by.
//!
//! A scraper that has fetched only once has acknowledged nothing yet. After a restart the exporter knows none of its
//! scrapers: until the first of them comes a second time, the others have come too, and all have seen the zero.
//!
//! Pure: instants are arguments. What it cannot tell apart, and why that does no harm:
//! - Two scrapers behind one address and user agent that open a connection per scrape are one client; a held
//!   series is then released once the quicker of them has seen its zero.
//! - Several scrapers behind a proxy that shares its connections are one client too.

use std::net::IpAddr;
use std::time::Duration;

use noether_core::reading::Moment;
use noether_core::snapshot::Generation;

/// One accepted connection; no number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The connection with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// How many clients are remembered: enough for any set of scrapers, and no more than some 400 KiB.
const MOST_CLIENTS: usize = 1024;
/// A longer user agent is cut: it only tells clients apart.
const LONGEST_AGENT: usize = 256;
/// A client that stays away longer starts anew when it returns: a query of Prometheus looks back 5 minutes, so who
/// integrates scrapes more often than this.
const LONGEST_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Fetches that lie closer together than this are no rhythm.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// For how many of its intervals a client is waited for: it may fail twice.
const PATIENCE: u32 = 3;

/// Who asks, as the request tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user agent.
    pub agent: Box<str>,
    /// Whether it is a scraper, which will come again: Prometheus and its like say how long they will wait.
    pub scraper: bool,
}

/// The clients that fetched lately.
#[derive(Debug)]
pub struct Clients {
    /// How long a connection that fetched once is waited for.
    first_patience: Duration,
    clients: Vec<Client>,
    newest: Option<Generation>,
}

#[derive(Debug)]
struct Client {
    /// Its open connection; `None` between two of them.
    connection: Option<ConnectionId>,
    peer: IpAddr,
    agent: Box<str>,
    scraper: bool,
    generation: Generation,
    last: Moment,
    rhythm: Rhythm,
}

/// What is known of the times between a client's fetches.
#[derive(Clone, Copy, Debug)]
enum Rhythm {
    /// One fetch so far.
    Unknown,
    /// The last gap, and the one before it where there was one.
    Gaps(Duration, Duration),
}

impl Client {
    fn is(&self, peer: IpAddr, agent: &str) -> bool {
        self.peer == peer && *self.agent == *agent
    }

    fn fetched(&mut self, generation: Generation, at: Moment) {
        let gap = at.since(self.last);
        self.rhythm = match self.rhythm {
            _ if gap > LONGEST_INTERVAL => Rhythm::Unknown,
            Rhythm::Unknown => Rhythm::Gaps(gap, Duration::ZERO),
            Rhythm::Gaps(last, _) => Rhythm::Gaps(gap, last),
        };
        self.last = self.last.max(at);
        self.generation = self.generation.max(generation);
    }

    /// Until when it is waited for; `None` for one that was seen once and left.
    fn active_until(&self, first_patience: Duration) -> Option<Moment> {
        match (self.rhythm, self.connection) {
            (Rhythm::Unknown, None) if !self.scraper => None,
            (Rhythm::Unknown, _) => Some(self.last.after(first_patience)),
            // The larger of two gaps, so that a fetch out of turn does not shorten the wait for the next one.
            (Rhythm::Gaps(one, two), _) => {
                Some(self.last.after(one.max(two).max(SHORTEST_INTERVAL) * PATIENCE))
            }
        }
    }

    /// The newest generation that it has acknowledged.
    fn acknowledged(&self) -> Generation {
        match self.rhythm {
            Rhythm::Unknown if self.scraper => Generation::default(),
            _ => self.generation,
        }
    }

    /// Until when it is remembered: one that was seen once may come back and be a client.
    fn known_until(&self, first_patience: Duration) -> Moment {
        match self.rhythm {
            Rhythm::Unknown => self.last.after(first_patience.max(LONGEST_INTERVAL)),
            Rhythm::Gaps(..) => self.active_until(first_patience).unwrap_or(self.last),
        }
    }
}

impl Clients {
    /// Nobody yet; a connection that fetched once is waited for `first_patience`, its rhythm being unknown.
    pub fn new(first_patience: Duration) -> Self {
        Self { first_patience, clients: Vec::new(), newest: None }
    }

    /// `generation` was handed to `connection` completely.
    pub fn fetched(
        &mut self,
        connection: ConnectionId,
        peer: IpAddr,
        caller: &Caller,
        generation: Generation,
        at: Moment,
    ) {
        let agent = shortened(&caller.agent);
        self.newest = self.newest.max(Some(generation));
        self.prune(at);
        if let Some(client) = self.of(connection, peer, agent) {
            client.connection = Some(connection);
            client.fetched(generation, at);
            return;
        }
        self.make_room();
        self.clients.push(Client {
            connection: Some(connection),
            peer,
            agent: agent.into(),
            scraper: caller.scraper,
            generation,
            last: at,
            rhythm: Rhythm::Unknown,
        });
    }

    /// `connection` is closed: its client is still waited for until its time is up, for it may reconnect.
    pub fn closed(&mut self, connection: ConnectionId, at: Moment) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.connection == Some(connection)) {
            client.connection = None;
        }
        self.prune(at);
    }

    /// The newest generation of which every active client has fetched that or a later one; with no client, the
    /// newest that anybody fetched.
    pub fn acknowledged(&mut self, now: Moment) -> Option<Generation> {
        self.prune(now);
        self.active(now).map(Client::acknowledged).min().or(self.newest)
    }

    /// How many clients are waited for.
    pub fn active_count(&self, now: Moment) -> usize {
        self.active(now).count()
    }

    fn active(&self, now: Moment) -> impl Iterator<Item = &Client> {
        self.clients
            .iter()
            .filter(move |client| client.active_until(self.first_patience).is_some_and(|until| now <= until))
    }

    /// The client of this connection, else the one that left last of those that look the same and have no
    /// connection. (Not the one that left first: a scraper that died would haunt one that reconnects each time.)
    fn of(&mut self, connection: ConnectionId, peer: IpAddr, agent: &str) -> Option<&mut Client> {
        let mut all = self.clients.iter().enumerate();
        let own = all.find(|(_, client)| client.connection == Some(connection));
        let left = || {
            let clients = self.clients.iter().enumerate();
            let alike = clients.filter(|(_, client)| client.connection.is_none() && client.is(peer, agent));
            alike.max_by_key(|(_, client)| client.last)
        };
        let (index, _) = own.or_else(left)?;
        self.clients.get_mut(index)
    }

    fn prune(&mut self, now: Moment) {
        let first_patience = self.first_patience;
        self.clients.retain(|client| now <= client.known_until(first_patience));
    }

    /// Where it is full, whoever was seen once goes first, and of those the one whose fetch is longest ago.
    fn make_room(&mut self) {
        if self.clients.len() < MOST_CLIENTS {
            return;
        }
        let rank = |client: &Client| (matches!(client.rhythm, Rhythm::Gaps(..)), client.last);
        let least = self.clients.iter().enumerate().min_by_key(|(_, client)| rank(client));
        if let Some((index, _)) = least {
            self.clients.swap_remove(index);
        }
    }
}

fn shortened(agent: &str) -> &str {
    let end = (0..=LONGEST_AGENT).rev().find(|end| agent.is_char_boundary(*end));
    end.filter(|_| agent.len() > LONGEST_AGENT).and_then(|end| agent.get(..end)).unwrap_or(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMETHEUS: &str = "Prometheus/2.42.0";

    fn at(seconds: u64) -> Moment {
        Moment::from_boot(Duration::from_secs(seconds))
    }

    fn generation(number: u64) -> Option<Generation> {
        Some(Generation::new(number))
    }

    /// Clients, and fetches in short notation.
    struct Scene(Clients);

    impl Scene {
        fn new() -> Self {
            Self(Clients::new(Duration::from_secs(150)))
        }

        fn fetch(&mut self, connection: u64, agent: &str, number: u64, seconds: u64) {
            self.fetch_as(false, connection, agent, number, seconds);
        }

        fn scrape(&mut self, connection: u64, number: u64, seconds: u64) {
            self.fetch_as(true, connection, PROMETHEUS, number, seconds);
        }

        fn fetch_as(&mut self, scraper: bool, connection: u64, agent: &str, number: u64, seconds: u64) {
            let peer = IpAddr::from([127, 0, 0, 1]);
            let connection = ConnectionId::new(connection);
            let caller = Caller { agent: agent.into(), scraper };
            self.0.fetched(connection, peer, &caller, Generation::new(number), at(seconds));
        }

        fn close(&mut self, connection: u64, seconds: u64) {
            self.0.closed(ConnectionId::new(connection), at(seconds));
        }

        /// A connection for one fetch.
        fn visit(&mut self, connection: u64, agent: &str, number: u64, seconds: u64) {
            self.fetch(connection, agent, number, seconds);
            self.close(connection, seconds);
        }

        fn acknowledged(&mut self, seconds: u64) -> Option<Generation> {
            self.0.acknowledged(at(seconds))
        }
    }

    #[test]
    fn a_scraper_acknowledges_only_when_it_has_come_twice() {
        let mut scene = Scene::new();
        scene.scrape(1, 5, 100);
        assert_eq!(scene.acknowledged(101), generation(0));
        // Another one, out of phase, has its chance to see the zero too.
        scene.scrape(2, 6, 101);
        scene.scrape(1, 7, 102);
        assert_eq!(scene.acknowledged(102), generation(0));
        scene.scrape(2, 8, 103);
        assert_eq!(scene.acknowledged(103), generation(7));
        // One that came once and never again is not waited for without end.
        scene.scrape(3, 9, 104);
        for seconds in (105..260).step_by(2) {
            scene.scrape(1, seconds, seconds);
            scene.scrape(2, seconds, seconds);
        }
        assert_eq!(scene.acknowledged(260), generation(259));
    }

    #[test]
    fn nobody_fetched() {
        assert_eq!(Scene::new().acknowledged(5), None);
    }

    #[test]
    fn one_curl_is_waited_for_never() {
        let mut scene = Scene::new();
        scene.visit(1, "curl/8", 3, 10);
        assert_eq!(scene.acknowledged(11), generation(3));
        assert_eq!(scene.0.active_count(at(11)), 0);
        scene.fetch(2, PROMETHEUS, 5, 12);
        scene.visit(3, "curl/7", 9, 13);
        assert_eq!(
            scene.acknowledged(13),
            generation(5),
            "the scraper's, not the newer one of the passer-by"
        );
    }

    #[test]
    fn a_connection_that_fetched_once_is_waited_for_while_its_rhythm_is_unknown() {
        let mut scene = Scene::new();
        scene.fetch(1, PROMETHEUS, 3, 10);
        scene.visit(2, "curl/8", 7, 11);
        assert_eq!(scene.acknowledged(160), generation(3));
        assert_eq!(scene.acknowledged(161), generation(7));
    }

    #[test]
    fn a_scraper_is_waited_for_three_of_its_intervals() {
        let mut scene = Scene::new();
        scene.fetch(1, PROMETHEUS, 3, 10);
        scene.fetch(1, PROMETHEUS, 4, 25);
        scene.visit(2, "curl/8", 60, 60);
        assert_eq!(scene.acknowledged(70), generation(4));
        assert_eq!(scene.acknowledged(71), generation(60));
    }

    #[test]
    fn two_scrapers_with_one_name_are_two_while_their_connections_last() {
        let mut scene = Scene::new();
        scene.fetch(1, PROMETHEUS, 1, 10);
        scene.fetch(2, PROMETHEUS, 5, 15);
        scene.fetch(1, PROMETHEUS, 10, 20);
        scene.fetch(2, PROMETHEUS, 15, 25);
        assert_eq!(scene.0.active_count(at(25)), 2);
        assert_eq!(scene.acknowledged(25), generation(10));
    }

    #[test]
    fn a_scraper_that_reconnects_is_one_and_not_forgotten_in_between() {
        let mut scene = Scene::new();
        scene.fetch(1, PROMETHEUS, 1, 10);
        scene.fetch(1, PROMETHEUS, 11, 20);
        scene.close(1, 21);
        scene.visit(2, "curl/8", 15, 25);
        assert_eq!(scene.acknowledged(26), generation(11));
        scene.fetch(3, PROMETHEUS, 20, 30);
        assert_eq!(scene.0.active_count(at(30)), 1);
        assert_eq!(scene.acknowledged(30), generation(20));
    }

    #[test]
    fn two_scrapers_that_restart_together_are_two_again() {
        let mut scene = Scene::new();
        for (connection, seconds) in [(1, 10), (2, 15), (1, 20), (2, 25)] {
            scene.fetch(connection, PROMETHEUS, seconds, seconds);
        }
        scene.close(1, 26);
        scene.close(2, 26);
        assert_eq!(scene.0.active_count(at(27)), 2);
        scene.fetch(3, PROMETHEUS, 30, 30);
        assert_eq!(scene.acknowledged(30), generation(20), "one is still missing");
        scene.fetch(4, PROMETHEUS, 35, 35);
        assert_eq!(scene.0.active_count(at(35)), 2);
        assert_eq!(scene.acknowledged(35), generation(30));
    }

    #[test]
    fn a_connection_per_scrape_is_a_client_from_the_second_on() {
        let mut scene = Scene::new();
        scene.visit(1, PROMETHEUS, 1, 10);
        assert_eq!(scene.0.active_count(at(10)), 0);
        scene.visit(2, PROMETHEUS, 11, 20);
        scene.visit(3, "curl/8", 15, 25);
        assert_eq!(scene.acknowledged(50), generation(11));
        assert_eq!(scene.acknowledged(51), generation(15));
    }

    #[test]
    fn a_dead_twin_does_not_haunt_a_scraper_that_reconnects_each_time() {
        let mut scene = Scene::new();
        scene.fetch(1, PROMETHEUS, 1, 10);
        scene.fetch(1, PROMETHEUS, 11, 20);
        scene.visit(2, PROMETHEUS, 12, 21);
        scene.close(1, 22);
        for (connection, seconds) in [(3, 31), (4, 41), (5, 51), (6, 61)] {
            scene.visit(connection, PROMETHEUS, seconds, seconds);
        }
        assert_eq!(scene.acknowledged(61), generation(61));
    }

    #[test]
    fn fetches_in_one_instant_are_no_rhythm() {
        let mut scene = Scene::new();
        scene.visit(1, "curl/8", 1, 10);
        scene.visit(2, "curl/8", 1, 10);
        assert_eq!(scene.0.active_count(at(13)), 1);
        assert_eq!(scene.0.active_count(at(14)), 0);
        // An extra fetch by hand does not shorten the wait for the scraper's next one.
        scene.fetch(3, PROMETHEUS, 20, 20);
        scene.fetch(3, PROMETHEUS, 30, 50);
        scene.fetch(3, PROMETHEUS, 30, 50);
        assert_eq!(scene.0.active_count(at(140)), 1);
    }

    #[test]
    fn whoever_stays_away_too_long_starts_anew() {
        let mut scene = Scene::new();
        scene.visit(1, "curl/8", 1, 0);
        scene.visit(2, "curl/8", 90, 3600);
        assert_eq!(scene.0.active_count(at(3600)), 0);
        assert_eq!(scene.acknowledged(3600), generation(90));
    }

    #[test]
    fn memory_is_bounded_and_scrapers_are_kept() {
        let mut scene = Scene::new();
        scene.fetch(0, PROMETHEUS, 1, 10);
        scene.fetch(0, PROMETHEUS, 2, 310);
        for visitor in 1..5000 {
            scene.visit(visitor, &format!("visitor/{visitor}"), 3, 311);
        }
        assert_eq!(scene.0.clients.len(), MOST_CLIENTS);
        assert_eq!(scene.acknowledged(311), generation(2));
        assert_eq!(scene.acknowledged(5000), generation(3));
        assert!(scene.0.clients.is_empty());
    }

    #[test]
    fn a_clock_that_stands_or_a_generation_that_repeats_does_no_harm() {
        let mut scene = Scene::new();
        scene.fetch(1, &"\u{e9}".repeat(500), 9, 10);
        scene.fetch(1, "", 8, 5);
        assert_eq!(scene.acknowledged(0), generation(9));
        scene.close(77, 0);
    }
}
