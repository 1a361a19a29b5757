//! Passwords against their bcrypt hashes: on a thread of its own, one at a time, and each only once.
//!
//! A comparison is made to be dear, some 70 ms of a processor. Who fills the queue with guesses delays the first scrape of
//! somebody new, and nothing else: neither ticks nor whoever was let in before.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::SystemRandom;
use rustix::process::setpriority_process;
use tokio::sync::watch;

use crate::web_config::Users;

/// How many comparisons may wait.
const QUEUE: usize = 16;
/// How many of them may come from one address.
const QUEUE_OF_ONE: usize = 4;
/// How many right passwords are remembered: more than there are users.
const MOST_RIGHT: usize = 256;
/// How many wrong ones: those of a few scrapers that are set up wrongly.
const MOST_WRONG: usize = 256;
/// After a wrong password the thread rests this many times as long as it worked, so that guesses take no more than a
/// fourth of a processor.
const REST: u32 = 3;
/// But never longer than this.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// What stands for a user, hash and password: nobody without the key can tell which.
type Digest = [u8; 32];

/// Checks passwords.
pub(super) struct Verifier {
    /// `None` where the system has no randomness: then nobody is let in.
    key: Option<Key>,
    state: Arc<Mutex<State>>,
    queue: OnceLock<Option<SyncSender<Job>>>,
}

#[derive(Default)]
struct State {
    right: VecDeque<Digest>,
    wrong: VecDeque<Digest>,
    waiting: Vec<Waiting>,
}

/// A comparison that is to be made; several may wait for the same.
struct Waiting {
    digest: Digest,
    peer: IpAddr,
    verdict: watch::Receiver<Option<bool>>,
}

struct Job {
    digest: Digest,
    hash: String,
    password: Vec<u8>,
    /// Whether a match counts.
    counts: bool,
    verdict: watch::Sender<Option<bool>>,
}

impl Verifier {
    pub(super) fn new() -> Self {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new()).ok();
        Self { key, state: Arc::default(), queue: OnceLock::new() }
    }

    /// Whether `user` has this password; `None` where too many wait.
    pub(super) async fn verify(
        &self,
        users: &Users,
        user: &str,
        password: Vec<u8>,
        peer: IpAddr,
    ) -> Option<bool> {
        let (hash, counts) = users.hash(user);
        let digest = digest(self.key.as_ref()?, [user.as_bytes(), hash.as_bytes(), &password])?;
        let mut verdict = {
            let mut state = lock(&self.state);
            if let Some(known) = state.known(&digest) {
                return Some(known && counts);
            }
            match state.waiting.iter().find(|waiting| waiting.digest == digest) {
                Some(same) => same.verdict.clone(),
                None => {
                    let (sender, verdict) = watch::channel(None);
                    let job = Job { digest, hash: hash.to_owned(), password, counts, verdict: sender };
                    self.enqueue(&mut state, job, peer, &verdict)?;
                    verdict
                }
            }
        };
        let verdict = verdict.wait_for(Option::is_some).await.ok()?;
        *verdict
    }

    fn enqueue(
        &self,
        state: &mut State,
        job: Job,
        peer: IpAddr,
        verdict: &watch::Receiver<Option<bool>>,
    ) -> Option<()> {
        let of_peer = state.waiting.iter().filter(|waiting| waiting.peer == peer).count();
        if of_peer >= QUEUE_OF_ONE {
            return None;
        }
        let queue = self.queue.get_or_init(|| start(Arc::clone(&self.state))).as_ref()?;
        let digest = job.digest;
        queue.try_send(job).ok()?;
        state.waiting.push(Waiting { digest, peer, verdict: verdict.clone() });
        Some(())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Guesses push out guesses, never a right password.
    fn learn(&mut self, digest: Digest, right: bool) {
        self.waiting.retain(|waiting| waiting.digest != digest);
        let (list, most) = if right { (&mut self.right, MOST_RIGHT) } else { (&mut self.wrong, MOST_WRONG) };
        if list.len() >= most {
            list.pop_front();
        }
        list.push_back(digest);
    }
}

/// Starts the thread. It ends with the server.
fn start(state: Arc<Mutex<State>>) -> Option<SyncSender<Job>> {
    let (sender, jobs) = sync_channel(QUEUE);
    thread::Builder::new().name("passwords".into()).spawn(move || work(&state, &jobs)).ok()?;
    Some(sender)
}

fn work(state: &Mutex<State>, jobs: &Receiver<Job>) {
    // Ticks come first. On Linux a priority is a thread's own; where it may not be lowered, it stays.
    let _ = setpriority_process(Some(rustix::thread::gettid()), 19);
    while let Ok(job) = jobs.recv() {
        let begun = Instant::now();
        let right = bcrypt::verify(&job.password, &job.hash).unwrap_or(false) && job.counts;
        lock(state).learn(job.digest, right);
        job.verdict.send_replace(Some(right));
        if !right {
            thread::sleep((begun.elapsed() * REST).min(LONGEST_REST));
        }
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
        let state = lock(&verifier.state);
        assert_eq!((state.right.len(), state.wrong.len(), state.waiting.len()), (2, 4, 0));
    }

    #[test]
    fn guesses_do_not_push_out_who_is_in() {
        let mut state = State::default();
        state.learn([1; 32], true);
        for guess in 0..10_000u32 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&guess.to_le_bytes());
            state.learn(digest, false);
        }
        assert_eq!((state.known(&[1; 32]), state.wrong.len()), (Some(true), MOST_WRONG));
    }

    #[test]
    fn the_queue_is_bounded_and_the_same_question_is_asked_once() {
        let (verifier, users) = (Verifier::new(), users());
        let (sender, verdict) = watch::channel(Some(true));
        let (hash, _) = users.hash("alice");
        let same = digest(verifier.key.as_ref().unwrap(), [b"alice", hash.as_bytes(), b"same"]).unwrap();
        let waiting = |digest| Waiting { digest, peer: HERE, verdict: verdict.clone() };
        let others = (1..QUEUE_OF_ONE).map(|other| waiting([other as u8; 32]));
        lock(&verifier.state).waiting.extend(others.chain([waiting(same)]));
        let verify = |password: &str, peer| run(verifier.verify(&users, "alice", password.into(), peer));
        assert_eq!(verify("same", HERE), Some(true), "the verdict on the one that waits");
        assert_eq!(verify("secret", HERE), None);
        assert_eq!(verify("secret", IpAddr::from([192, 0, 2, 1])), Some(true));
        assert_eq!(verify("secret", HERE), Some(true), "known, so no queue is needed");
        drop(sender);
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
