//! The asking itself: each zone at each provider by itself, and what a tick sees of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use noether_core::carbon::{Observation, Provenance};
use noether_core::grid::{IntensityRow, ProviderRow};
use reqwest::Client;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::credential::Secret;
use super::disk::read;
use super::explanation::is_about_credential;
use super::failure::{Failure, Reason};
use super::feed::{Feed, in_force, judge};
use super::plan::{Chosen, Errand, Error, Plan, errands, path};
use super::provider::{Access, Asked, Quote, Quotes};
use super::schedule::{Outcome, Schedule};
use super::session::{Door, Session};
use super::web::{Patience, client, fetch, now};

/// A timer is never longer: what was planned is looked at again.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Live carbon intensity of the configured zones.
#[derive(Debug)]
pub struct Live {
    sources: Vec<Source>,
    tasks: Vec<Task>,
    zones: Vec<String>,
    client: Option<Client>,
    max_age: Duration,
    start: Instant,
}

/// A provider that is asked, and how often.
#[derive(Debug)]
struct Source {
    chosen: Chosen,
    session: tokio::sync::Mutex<Session>,
    /// Whether the provider has ended its third version.
    is_v3_gone: AtomicBool,
    requests: AtomicU64,
    failures: [AtomicU64; Reason::ALL.len()],
}

/// One zone at one provider.
#[derive(Debug)]
struct Task {
    errand: Errand,
    feed: Mutex<Feed>,
}

/// A right answer.
struct Told {
    quotes: Vec<Quote>,
    theirs: Option<Duration>,
}

impl Source {
    fn new(chosen: Chosen) -> Self {
        let failures = std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            chosen,
            session: tokio::sync::Mutex::default(),
            is_v3_gone: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            failures,
        }
    }

    fn name(&self) -> &'static str {
        self.chosen.provider.name
    }

    fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn count_failure(&self, reason: Reason) {
        for (_, count) in Reason::ALL.iter().zip(&self.failures).filter(|(other, _)| **other == reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn row(&self) -> ProviderRow {
        let counts = Reason::ALL.iter().zip(&self.failures);
        ProviderRow {
            provider: self.name(),
            requests: self.requests.load(Ordering::Relaxed),
            failures: counts.map(|(reason, count)| (reason.label(), count.load(Ordering::Relaxed))).collect(),
        }
    }

    async fn ask_web(&self, client: &Client, code: &str, clock: Duration) -> Result<Told, Failure> {
        let credential = self.chosen.credential.read()?;
        let mut is_new = false;
        loop {
            let secret = self.secret(client, credential.as_ref(), clock).await?;
            let told = self.ask_once(client, code, secret.as_ref(), credential.is_some()).await;
            let reason = told.as_ref().err().map(|failure| failure.reason);
            let mut session = self.session.lock().await;
            // The token ended before its time: once, another one is fetched.
            if let Some(reason) = reason
                && !is_new
                && self.has_login()
                && session.may_help(code, reason)
            {
                is_new = true;
                session.forget(secret.as_ref());
                continue;
            }
            if is_new || reason.is_none() {
                session.note(code, reason == Some(Reason::Forbidden));
            }
            return told.map_err(|failure| failure.without(secret.as_ref()).without(credential.as_ref()));
        }
    }

    const fn has_login(&self) -> bool {
        matches!(self.chosen.provider.access, Access::Web { login: Some(_), .. })
    }

    /// What requests carry: the token of a login, or the credential itself.
    async fn secret(
        &self,
        client: &Client,
        credential: Option<&Secret>,
        clock: Duration,
    ) -> Result<Option<Secret>, Failure> {
        let (Access::Web { login: Some(login), .. }, Some(credential)) =
            (&self.chosen.provider.access, credential)
        else {
            return Ok(credential.cloned());
        };
        let cadence = self.chosen.provider.cadence;
        let door = Door { login, url: self.chosen.address(), credential, cadence };
        let mut session = self.session.lock().await;
        session.token(client, door, clock, || self.count_request()).await.map(Some)
    }

    /// One request; a second one where the version of the API that was asked is gone, and there is a newer one.
    async fn ask_once(
        &self,
        client: &Client,
        code: &str,
        secret: Option<&Secret>,
        has_credential: bool,
    ) -> Result<Told, Failure> {
        let Access::Web { request, parse, refusal, .. } = self.chosen.provider.access else {
            return Ok(Told { quotes: Vec::new(), theirs: None });
        };
        let is_v3_gone = self.is_v3_gone.load(Ordering::Relaxed);
        let mut asked = Asked { url: self.chosen.address(), code, secret, now: now(), is_v3_gone };
        let first = request(&asked)?;
        asked.is_v3_gone = true;
        let newer = request(&asked)?;
        let may_be_gone = first.url != newer.url;
        self.count_request();
        let mut answer = fetch(client, first).await;
        if may_be_gone && answer.as_ref().is_err_and(is_gone) {
            self.count_request();
            answer = fetch(client, newer).await;
            let is_there = !answer.as_ref().is_err_and(|failure| failure.reason == Reason::NotFound);
            self.is_v3_gone.store(is_there, Ordering::Relaxed);
        }
        let answer = answer.map_err(|failure| classified(failure, refusal, has_credential))?;
        Ok(Told { quotes: parse(&asked, &answer.body)?, theirs: answer.date })
    }
}

/// Whether the address does not exist, rather than the zone.
fn is_gone(failure: &Failure) -> bool {
    failure.reason == Reason::NotFound && !failure.explanation.to_ascii_lowercase().contains("zone")
}

/// A refusal by what its text says, where the status says less: a wrong key may come as 400 or 403.
fn classified(
    mut failure: Failure,
    refusal: Option<fn(&str) -> Option<Reason>>,
    has_credential: bool,
) -> Failure {
    let is_vague = matches!(failure.reason, Reason::Forbidden | Reason::Status);
    if let Some(reason) = refusal.and_then(|refusal| refusal(&failure.explanation)) {
        failure.reason = reason;
    } else if is_vague && has_credential && is_about_credential(&failure.explanation) {
        failure.reason = Reason::Unauthorized;
    }
    failure
}

impl Live {
    /// For what the operator chose.
    pub fn new(plan: Plan) -> Result<Self, Error> {
        Self::with(plan, Patience::default())
    }

    /// The same, with other limits on waiting.
    pub(super) fn with(plan: Plan, patience: Patience) -> Result<Self, Error> {
        let errands = errands(&plan)?;
        let over_http =
            plan.providers.iter().any(|chosen| matches!(chosen.provider.access, Access::Web { .. }));
        let count = errands.len().max(1) as f64;
        let tasks = errands.into_iter().enumerate().map(|(place, errand)| {
            let cadence =
                plan.providers.get(errand.provider).map_or(LONGEST_SLEEP, |chosen| chosen.provider.cadence);
            let schedule = Schedule::new(cadence, place as f64 / count, chance());
            Task { errand, feed: Mutex::new(Feed::new(schedule)) }
        });
        Ok(Self {
            tasks: tasks.collect(),
            client: over_http.then(|| client(patience)).transpose()?,
            sources: plan.providers.into_iter().map(Source::new).collect(),
            zones: plan.zones,
            max_age: plan.max_age,
            start: Instant::now(),
        })
    }

    /// The zones that no chosen provider covers: for them only the shipped average speaks.
    pub fn uncovered(&self) -> impl Iterator<Item = &str> {
        let covered = |zone: &str| self.tasks.iter().any(|task| &*task.errand.zone == zone.trim());
        self.zones.iter().map(String::as_str).filter(move |zone| !covered(zone))
    }

    /// Asks, until the future is dropped. Started again, it goes on as planned and asks no more often.
    pub async fn run(self: Arc<Self>) {
        let mut followed = JoinSet::new();
        for place in 0..self.tasks.len() {
            let live = Arc::clone(&self);
            followed.spawn(async move { live.follow(place).await });
        }
        while followed.join_next().await.is_some() {}
        // Where nothing is to be asked, that too lasts until it is dropped.
        std::future::pending::<()>().await;
    }

    async fn follow(&self, place: usize) {
        let Some((task, source)) = self.tasks.get(place).and_then(|task| Some((task, self.source(task)?)))
        else {
            return;
        };
        if matches!(source.chosen.provider.access, Access::Fixed { .. }) {
            return;
        }
        loop {
            let next = lock(&task.feed).schedule.next();
            tokio::time::sleep(next.saturating_sub(self.start.elapsed()).min(LONGEST_SLEEP)).await;
            if lock(&task.feed).schedule.begin(self.start.elapsed()) {
                let told = self.ask(task, source).await;
                self.note(task, source, told);
            }
        }
    }

    async fn ask(&self, task: &Task, source: &Source) -> Result<Option<Told>, Failure> {
        match (source.chosen.provider.access, &self.client) {
            (Access::Web { .. }, Some(client)) => {
                source.ask_web(client, &task.errand.code, self.start.elapsed()).await.map(Some)
            }
            (Access::File { parse }, _) => self.ask_file(task, source, parse).await,
            (Access::Web { .. } | Access::Fixed { .. }, _) => Ok(None),
        }
    }

    async fn ask_file(
        &self,
        task: &Task,
        source: &Source,
        parse: ParseFile,
    ) -> Result<Option<Told>, Failure> {
        let known = lock(&task.feed).stamp.take();
        let (stamp, content) = read(path(source.chosen.address()), known).await?;
        // Also where it cannot be understood: what did not change is not read again.
        lock(&task.feed).stamp = Some(stamp);
        let Some((body, modified)) = content else { return Ok(None) };
        source.count_request();
        let quotes = parse(&task.errand.zone, &body, modified)?;
        // The operator has the last word, also where it takes a value away.
        lock(&task.feed).quotes.clone_from(&quotes);
        Ok(Some(Told { quotes, theirs: None }))
    }

    /// Takes in what came of an attempt; `None` is a file that did not change.
    fn note(&self, task: &Task, source: &Source, told: Result<Option<Told>, Failure>) {
        let (now, clock) = (now(), self.start.elapsed());
        let mut feed = lock(&task.feed);
        let judged = match told {
            Ok(None) if feed.trouble == Some(Reason::Malformed) => {
                return feed.schedule.end(Outcome::Nothing, clock, 0.0);
            }
            Ok(None) => judge(&feed.quotes, now, self.max_age, None).map(|()| None),
            Ok(Some(told)) => judge(&told.quotes, now, self.max_age, told.theirs).map(|()| Some(told.quotes)),
            Err(failure) => Err(failure),
        };
        let outcome = match judged {
            Ok(quotes) => {
                feed.quotes = quotes.unwrap_or_else(|| std::mem::take(&mut feed.quotes));
                feed.last_success = Some(now);
                if feed.trouble.take().is_some() {
                    tracing::info!("provider {}, zone {}: answers again", source.name(), task.errand.zone);
                }
                Outcome::Value(next_change(&feed.quotes, now).map(|left| clock.saturating_add(left)))
            }
            Err(mut failure) => {
                // What the operator wrote for later is no matter of clocks, and a file may be looked at as often as planned.
                let is_file = matches!(source.chosen.provider.access, Access::File { .. });
                if is_file && failure.reason == Reason::Clock {
                    failure.reason = Reason::NoData;
                }
                source.count_failure(failure.reason);
                if feed.trouble.replace(failure.reason) != Some(failure.reason) {
                    tracing::warn!("provider {}, zone {}: {failure}", source.name(), task.errand.zone);
                }
                match failure.reason {
                    _ if is_file => Outcome::Nothing,
                    // Nothing was sent, or rightly answered.
                    Reason::Credential | Reason::NoData | Reason::Stale | Reason::Clock => Outcome::Nothing,
                    _ => Outcome::Failure(failure.retry_after),
                }
            }
        };
        feed.schedule.end(outcome, clock, chance());
    }

    /// What is shown at `now`, in Unix time: the intensities sorted by provenance, and the providers.
    pub fn rows(&self, now: Duration) -> (Vec<IntensityRow>, Vec<ProviderRow>) {
        let mut rows: Vec<_> = self.tasks.iter().flat_map(|task| self.task_rows(task, now)).collect();
        rows.sort_by(|a, b| a.provenance.cmp(&b.provenance));
        (rows, self.sources.iter().map(Source::row).collect())
    }

    fn task_rows(&self, task: &Task, now: Duration) -> Vec<IntensityRow> {
        let Some(source) = self.source(task) else { return Vec::new() };
        let provider = source.chosen.provider;
        let row = |signal, basis, observation, last_success| IntensityRow {
            provenance: Provenance { zone: task.errand.zone.clone(), provider: provider.name, signal, basis },
            observation,
            last_success,
        };
        if let Access::Fixed { parse } = provider.access {
            // It holds at every instant, so that it never looks stale.
            let value = parse(source.chosen.address(), &task.errand.zone).ok().flatten();
            let observation = value.map(|intensity| Observation { intensity, estimated: false, at: now });
            return vec![row(provider.signal, provider.basis, observation, Some(now))];
        }
        let feed = lock(&task.feed);
        if feed.quotes.is_empty() {
            return vec![row(provider.signal, provider.basis, None, feed.last_success)];
        }
        let shown = in_force(&feed.quotes, now, self.max_age);
        shown
            .into_iter()
            .map(|((signal, basis), observation)| row(signal, basis, observation, feed.last_success))
            .collect()
    }

    fn source(&self, task: &Task) -> Option<&Source> {
        self.sources.get(task.errand.provider)
    }
}

/// How long the newest value that has begun still holds.
fn next_change(quotes: &[Quote], now: Duration) -> Option<Duration> {
    let begun = quotes.iter().filter(|quote| quote.observation.at <= now);
    begun.max_by_key(|quote| quote.observation.at)?.until?.checked_sub(now)
}

type ParseFile = fn(&str, &[u8], Duration) -> Quotes;

/// A number between 0 and 1, another one at each call.
fn chance() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

/// Whoever panicked while it held the lock left whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
