//! A scraper that holds every scrape against the law.

use std::thread::sleep;
use std::time::{Duration, Instant};

use noether_tests::exporter::Exporter;
use noether_tests::http::Client;
use noether_tests::outcome::until;
use noether_tests::scrape::{Scrape, law, monotone};

/// A client that keeps its connection, as Prometheus does, and judges all that it sees.
pub(crate) struct Watch {
    client: Client,
    last: Option<Scrape>,
    /// How many scrapes it has seen.
    pub(crate) seen: usize,
}

impl Watch {
    pub(crate) fn new(exporter: &Exporter) -> Self {
        let client = Client::connect(exporter.address(), "watch").expect("the exporter accepts");
        Self { client, last: None, seen: 0 }
    }

    /// One lawful scrape.
    pub(crate) fn scrape(&mut self) -> Scrape {
        let text = self.client.fetch("/metrics").expect("a scrape").text();
        let scrape = Scrape::parse(&text).unwrap_or_else(|violation| panic!("{violation}\n{text}"));
        law(&scrape).unwrap_or_else(|violation| panic!("{violation}\n{text}"));
        if let Some(last) = &self.last {
            monotone(last, &scrape).unwrap_or_else(|violation| panic!("{violation}\n{text}"));
        }
        self.last = Some(scrape.clone());
        self.seen += 1;
        scrape
    }

    /// Lawful scrapes, five a second.
    pub(crate) fn during(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.scrape();
            sleep(Duration::from_millis(200));
        }
    }

    /// Lawful scrapes until one is as wished.
    pub(crate) fn until(&mut self, what: &str, mut good: impl FnMut(&Scrape) -> bool) -> Scrape {
        until(what, || {
            let scrape = self.scrape();
            good(&scrape).then_some(scrape)
        })
    }

    /// The scrape right after a tick.
    pub(crate) fn ticked(&mut self) -> Scrape {
        let last = self.scrape().ticked();
        self.until("the next tick", |scrape| scrape.ticked() > last)
    }

    /// The first scrape that shows energy and holds none back.
    pub(crate) fn settled(&mut self) -> Scrape {
        self.until("some energy is shown and none pending", settled)
    }
}

/// Whether some energy is shown and none held back.
pub(crate) fn settled(scrape: &Scrape) -> bool {
    let accounts: Vec<_> =
        scrape.components().iter().map(|c| scrape.account(c).expect("an account")).collect();
    accounts.iter().any(|account| account.node > 0) && accounts.iter().all(|account| account.pending == 0)
}
