//! Passwords against their bcrypt hashes: on a thread of its own, one at a time, and each only once.
//!
//! A comparison is slow on purpose: 70 ms of a processor at cost 10, over a second at cost 14. Guesses are limited per address, and
//! an address without wrong passwords comes first, so guesses delay neither ticks nor a scraper with the right password.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::SystemRandom;
use rustix::process::setpriority_process;
use tokio::sync::watch;

use super::guesses::{Guesses, network};
use crate::web_config::Users;

/// How many comparisons may wait; beyond, the one of the address with the most wrong passwords gives way.
const QUEUE: usize = 64;
/// How many of them may come from one address.
const QUEUE_OF_ONE: usize = 4;
/// How many right passwords are remembered: more than there are users.
const MOST_RIGHT: usize = 256;
/// How many wrong ones: those of a few scrapers that are set up wrongly.
const MOST_WRONG: usize = 256;
/// After a wrong password the thread rests this many times as long as it worked before it serves an address with wrong
/// passwords again, so that guesses take no more than a fourth of a processor.
const REST: u32 = 3;

/// What stands for a user, hash and password: nobody without the key can tell which.
type Digest = [u8; 32];

/// Why a password is not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unchecked {
    /// Its address sent too many wrong ones: for this long none of its passwords is checked.
    Limited(Duration),
    /// Too many wait.
    Busy,
}

/// Checks passwords.
pub(super) struct Verifier {
    /// `None` where the system has no randomness: then nobody is let in.
    key: Option<Key>,
    shared: Arc<Shared>,
    /// Whether the thread runs.
    worker: OnceLock<bool>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Signalled when a job is queued.
    queued: Condvar,
}

#[derive(Default)]
struct State {
    right: VecDeque<Digest>,
    wrong: VecDeque<Digest>,
    queue: Vec<Job>,
    /// The comparison that is under way.
    current: Option<Job>,
    guesses: Guesses,
    /// Until when no address with wrong passwords is served.
    rests_until: Option<Instant>,
}

/// A comparison that is to be made; several requests may wait for the same.
struct Job {
    digest: Digest,
    hash: String,
    password: Vec<u8>,
    /// Whether a match counts.
    counts: bool,
    address: IpAddr,
    verdict: watch::Sender<Option<bool>>,
}

impl Verifier {
    pub(super) fn new() -> Self {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new()).ok();
        Self { key, shared: Arc::default(), worker: OnceLock::new() }
    }

    /// Whether `user` has this password.
    ///
    /// # Errors
    ///
    /// Where it is not checked: see [`Unchecked`].
    pub(super) async fn verify(
        &self,
        users: &Users,
        user: &str,
        password: Vec<u8>,
        peer: IpAddr,
    ) -> Result<bool, Unchecked> {
        let (hash, counts) = users.hash(user);
        let key = self.key.as_ref().ok_or(Unchecked::Busy)?;
        let digest = digest(key, [user.as_bytes(), hash.as_bytes(), &password]).ok_or(Unchecked::Busy)?;
        let mut verdict = {
            let mut state = self.shared.lock();
            if let Some(known) = state.known(&digest) {
                return Ok(known && counts);
            }
            let same = state.jobs().find(|job| job.digest == digest);
            match same.map(|same| same.verdict.subscribe()) {
                Some(verdict) => verdict,
                None => {
                    let (sender, verdict) = watch::channel(None);
                    let (hash, address) = (hash.to_owned(), network(peer));
                    let job = Job { digest, hash, password, counts, address, verdict: sender };
                    self.enqueue(&mut state, job)?;
                    verdict
                }
            }
        };
        // An error says that its job gave way to another.
        let verdict = verdict.wait_for(Option::is_some).await.map_err(|_| Unchecked::Busy)?;
        verdict.ok_or(Unchecked::Busy)
    }

    fn enqueue(&self, state: &mut State, job: Job) -> Result<(), Unchecked> {
        if !*self.worker.get_or_init(|| start(Arc::clone(&self.shared))) {
            return Err(Unchecked::Busy);
        }
        state.admit(&job, Instant::now())?;
        state.queue.push(job);
        self.shared.queued.notify_one();
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each part with its length before it, so that none can pass for the end of another.
fn digest(key: &Key, parts: [&[u8]; 3]) -> Option<Digest> {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    context.sign().as_ref().try_into().ok()
}

impl State {
    fn known(&self, digest: &Digest) -> Option<bool> {
        let right = self.right.contains(digest);
        (right || self.wrong.contains(digest)).then_some(right)
    }

    /// The comparisons that are under way or wait.
    fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.current.iter().chain(&self.queue)
    }

    /// Makes room in the queue for a job.
    fn admit(&mut self, job: &Job, now: Instant) -> Result<(), Unchecked> {
        if let Some(pause) = self.guesses.pause(job.address, now) {
            return Err(Unchecked::Limited(pause));
        }
        // The clients of the others have gone.
        self.queue.retain(|job| job.verdict.receiver_count() > 0);
        if self.jobs().filter(|other| other.address == job.address).count() >= QUEUE_OF_ONE {
            return Err(Unchecked::Busy);
        }
        if self.queue.len() < QUEUE {
            return Ok(());
        }
        let wrong = |job: &Job| self.guesses.count(job.address, now);
        let most = self.queue.iter().enumerate().map(|(place, job)| (wrong(job), place)).max();
        match most.filter(|(most, _)| *most > wrong(job)) {
            Some((_, place)) => drop(self.queue.remove(place)),
            None => return Err(Unchecked::Busy),
        }
        Ok(())
    }

    /// Takes the job that is served next out of the queue: of the address with the fewest wrong passwords, and of those the
    /// first. `Err` is for how long to rest before, or `None` where nothing waits.
    fn choose(&mut self, now: Instant) -> Result<&Job, Option<Duration>> {
        debug_assert!(self.current.is_none(), "one comparison at a time");
        let wrong = |job: &Job| self.guesses.count(job.address, now);
        let next = self.queue.iter().enumerate().map(|(place, job)| (wrong(job), place)).min();
        let (wrong, place) = next.ok_or(None)?;
        let rest = self.rests_until.map(|until| until.saturating_duration_since(now));
        if let Some(rest) = rest.filter(|rest| wrong > 0 && !rest.is_zero()) {
            return Err(Some(rest));
        }
        Ok(self.current.insert(self.queue.remove(place)))
    }

    /// Takes the verdict on the comparison that was under way. Guesses push out guesses, never a right password.
    fn learn(&mut self, right: bool, took: Duration, now: Instant) {
        let Some(job) = self.current.take() else { return };
        self.remember(job.digest, right);
        if !right {
            self.rests_until = Some(now + took * REST);
            if self.guesses.record(job.address, now) {
                tracing::warn!(
                    "{} sends wrong passwords: they are checked less often from now on",
                    job.address
                );
            }
        }
        job.verdict.send_replace(Some(right));
    }

    fn remember(&mut self, digest: Digest, right: bool) {
        let (list, most) = if right { (&mut self.right, MOST_RIGHT) } else { (&mut self.wrong, MOST_WRONG) };
        if list.len() >= most {
            list.pop_front();
        }
        list.push_back(digest);
    }
}

/// Starts the thread, which ends with the process. Returns whether it runs.
fn start(shared: Arc<Shared>) -> bool {
    thread::Builder::new().name("passwords".into()).spawn(move || work(&shared)).is_ok()
}

fn work(shared: &Shared) {
    // Ticks come first. On Linux a priority is a thread's own; where it may not be lowered, it stays.
    let _ = setpriority_process(Some(rustix::thread::gettid()), 19);
    loop {
        let (hash, password, counts) = next(shared);
        let begun = Instant::now();
        let right = bcrypt::verify(&password, &hash).unwrap_or(false) && counts;
        let now = Instant::now();
        shared.lock().learn(right, now - begun, now);
    }
}

/// Waits for the next job: its hash, its password, and whether a match counts.
fn next(shared: &Shared) -> (String, Vec<u8>, bool) {
    let mut state = shared.lock();
    loop {
        let rest = match state.choose(Instant::now()) {
            Ok(job) => return (job.hash.clone(), job.password.clone(), job.counts),
            Err(rest) => rest,
        };
        state = match rest {
            Some(rest) => shared.queued.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0,
            None => shared.queued.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web_config::WebConfig;
    use std::path::Path;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn users() -> Users {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let text = format!("basic_auth_users: {{alice: {hash}, bob: {hash}}}");
        WebConfig::load(Path::new("w"), &mut |_| Ok(text.clone().into())).unwrap().users
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn right_and_wrong_are_remembered() {
        let (verifier, users) = (Verifier::new(), users());
        let verify = |user: &str, password: &str| {
            run(verifier.verify(&users, user, password.into(), HERE)).expect("not busy")
        };
        for _ in 0..2 {
            assert!(verify("alice", "secret") && verify("bob", "secret"));
            assert!(
                !verify("alice", "")
                    && !verify("alice", "Secret")
                    && !verify("", "")
                    && !verify("eve", "secret")
            );
        }
        let state = verifier.shared.lock();
        assert_eq!((state.right.len(), state.wrong.len(), state.jobs().count()), (2, 4, 0));
        assert_eq!(state.guesses.count(HERE, Instant::now()), 4, "a known guess is not counted again");
    }

    #[test]
    fn guesses_do_not_push_out_who_is_in() {
        let mut state = State::default();
        state.remember([1; 32], true);
        for guess in 0..10_000u32 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&guess.to_le_bytes());
            state.remember(digest, false);
        }
        assert_eq!((state.known(&[1; 32]), state.wrong.len()), (Some(true), MOST_WRONG));
    }

    /// A job of this address, and what keeps it waited for.
    fn job(number: u8, address: u8) -> (Job, watch::Receiver<Option<bool>>) {
        let (verdict, waits) = watch::channel(None);
        let address = IpAddr::from([192, 0, 2, address]);
        let (hash, password) = (String::new(), Vec::new());
        (Job { digest: [number; 32], hash, password, counts: true, address, verdict }, waits)
    }

    fn push(
        state: &mut State,
        number: u8,
        address: u8,
        now: Instant,
    ) -> Result<watch::Receiver<Option<bool>>, Unchecked> {
        let (job, waits) = job(number, address);
        state.admit(&job, now)?;
        state.queue.push(job);
        Ok(waits)
    }

    fn guess_wrong(state: &mut State, address: u8, times: u32, now: Instant) {
        for _ in 0..times {
            state.guesses.record(IpAddr::from([192, 0, 2, address]), now);
        }
    }

    #[test]
    fn an_address_without_wrong_passwords_is_served_first() {
        let (mut state, now) = (State::default(), Instant::now());
        guess_wrong(&mut state, 1, 2, now);
        guess_wrong(&mut state, 2, 1, now);
        let _waits =
            [(1, 1), (2, 2), (3, 3), (4, 4)].map(|(n, from)| push(&mut state, n, from, now).unwrap());
        state.rests_until = Some(now + Duration::from_secs(3));
        let mut order = Vec::new();
        while let Ok(job) = state.choose(now) {
            order.push(job.digest[0]);
            state.learn(true, Duration::ZERO, now);
        }
        assert_eq!(order, [3, 4], "the others wait for the end of the rest");
        assert_eq!(state.choose(now).err(), Some(Some(Duration::from_secs(3))));
        let later = now + Duration::from_secs(3);
        assert_eq!(state.choose(later).map(|job| job.digest[0]).ok(), Some(2));
    }

    #[test]
    fn the_queue_is_bounded_for_all_and_for_one() {
        let (mut state, now) = (State::default(), Instant::now());
        guess_wrong(&mut state, 200, 1, now);
        let mut waits = vec![push(&mut state, 200, 200, now).unwrap()];
        waits.extend((0..QUEUE_OF_ONE as u8).map(|n| push(&mut state, n, 0, now).unwrap()));
        assert_eq!(push(&mut state, 9, 0, now).err(), Some(Unchecked::Busy), "its part of the queue is full");
        while state.queue.len() < QUEUE {
            let n = state.queue.len() as u8;
            waits.push(push(&mut state, n, n, now).unwrap());
        }
        waits.push(push(&mut state, 100, 100, now).unwrap());
        assert!(state.queue.iter().all(|job| job.digest[0] != 200), "the guess gave way");
        assert_eq!(push(&mut state, 101, 101, now).err(), Some(Unchecked::Busy));
        drop(waits);
        assert!(push(&mut state, 102, 102, now).is_ok(), "those whose clients have gone do not count");
        guess_wrong(&mut state, 103, 10, now);
        assert!(matches!(push(&mut state, 103, 103, now), Err(Unchecked::Limited(_))));
    }

    #[test]
    fn the_same_question_is_asked_once() {
        let (verifier, users) = (Verifier::new(), users());
        let (hash, _) = users.hash("alice");
        let same = digest(verifier.key.as_ref().unwrap(), [b"alice", hash.as_bytes(), b"same"]).unwrap();
        let (mut waiting, _waits) = job(0, 0);
        waiting.digest = same;
        waiting.verdict.send_replace(Some(true));
        verifier.shared.lock().current = Some(waiting);
        assert_eq!(run(verifier.verify(&users, "alice", b"same".to_vec(), HERE)), Ok(true));
    }

    #[test]
    fn parts_cannot_pass_for_one_another() {
        let key = Key::new(HMAC_SHA256, b"key");
        let of = |parts: [&str; 3]| digest(&key, parts.map(str::as_bytes)).unwrap();
        assert_ne!(of(["a", "b", "c"]), of(["ab", "", "c"]));
        assert_ne!(of(["a", "b", "c"]), of(["a", "bc", ""]));
        assert_eq!(of(["a", "b", "c"]), of(["a", "b", "c"]));
    }
}
