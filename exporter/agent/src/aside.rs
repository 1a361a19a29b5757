//! Work on a thread of its own for somebody who must not wait for ever: a question, and its answer if it comes in time.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use noether_sources::hanging::Place;

/// A thread that has been at one file for so long is left to it, and a new one goes on without that file.
pub const GIVE_UP: Duration = Duration::from_secs(3);
/// So many threads at most are left to their files.
const MOST: usize = 16;

/// What a new thread does with each question.
type Serve<Q, A> = Arc<dyn Fn() -> Box<dyn FnMut(Q) -> A> + Send + Sync>;

/// The thread, as whoever asks sees it. It is started with the first question, and ends with the process.
pub struct Aside<Q, A> {
    name: &'static str,
    serve: Serve<Q, A>,
    thread: Option<Thread<Q, A>>,
    left: Vec<JoinHandle<()>>,
}

struct Thread<Q, A> {
    questions: Sender<Q>,
    answers: Receiver<A>,
    /// Since when it owes an answer.
    asked: Option<Instant>,
    place: Place,
    handle: JoinHandle<()>,
}

/// A thread that does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hang {
    /// Who.
    pub name: &'static str,
    /// At which file, where that is known.
    pub file: Option<PathBuf>,
}

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = GIVE_UP.as_secs();
        match &self.file {
            Some(file) => write!(
                f,
                "{}: no answer for {seconds} s: {} hangs; it is left alone until it answers, and the rest goes on",
                self.name,
                file.display()
            ),
            None => {
                write!(f, "{}: no answer for {seconds} s; it is waited for, and the rest goes on", self.name)
            }
        }
    }
}

impl<Q: Send + 'static, A: Send + 'static> Aside<Q, A> {
    /// `serve` makes, on a new thread, what answers its questions.
    pub fn new(
        name: &'static str,
        serve: impl Fn() -> Box<dyn FnMut(Q) -> A> + Send + Sync + 'static,
    ) -> Self {
        Self { name, serve: Arc::new(serve), thread: None, left: Vec::new() }
    }

    /// Asks, and waits for the answer for at most `patience`. Answers to earlier questions that came meanwhile stand first;
    /// while one is owed, nothing more is asked. An error is told once for each thread that hangs.
    pub fn ask(&mut self, question: Q, patience: Duration) -> (Vec<A>, Option<Hang>) {
        let mut hang = None;
        let mut answers = self.late_answers();
        if self.owes_for().is_some_and(|time| time >= GIVE_UP) {
            hang = Some(self.give_up());
        }
        if self.owes_for().is_none() {
            self.put(question);
        }
        if let Some(thread) = &mut self.thread
            && thread.asked.is_some()
            && hang.as_ref().is_none_or(|hang| hang.file.is_some())
            && let Ok(answer) =
                thread.answers.recv_timeout(if answers.is_empty() { patience } else { patience / 2 })
        {
            thread.asked = None;
            answers.push(answer);
        }
        (answers, hang)
    }

    /// Asks until there is an answer, at most for `limit`: without the files that hang.
    pub fn insist(&mut self, mut question: impl FnMut() -> Q, limit: Duration) -> (Option<A>, Vec<Hang>) {
        let (begun, mut hangs) = (Instant::now(), Vec::new());
        loop {
            let (mut answers, hang) = self.ask(question(), GIVE_UP.min(limit));
            hangs.extend(hang.filter(|hang| !hangs.contains(hang)));
            if let Some(answer) = answers.pop() {
                return (Some(answer), hangs);
            }
            if begun.elapsed() >= limit {
                return (None, hangs);
            }
        }
    }

    fn late_answers(&mut self) -> Vec<A> {
        let Some(thread) = &mut self.thread else { return Vec::new() };
        let answers: Vec<A> = thread.answers.try_iter().collect();
        if !answers.is_empty() {
            thread.asked = None;
        }
        answers
    }

    fn owes_for(&self) -> Option<Duration> {
        Some(self.thread.as_ref()?.asked?.elapsed())
    }

    /// Leaves the thread to its file, where it is at one.
    fn give_up(&mut self) -> Hang {
        self.left.retain(|handle| !handle.is_finished());
        let place = self.thread.as_ref().filter(|_| self.left.len() < MOST).map(|thread| &thread.place);
        let file = place.and_then(Place::give_up);
        if file.is_some() {
            self.left.extend(self.thread.take().map(|thread| thread.handle));
        }
        Hang { name: self.name, file }
    }

    fn put(&mut self, question: Q) {
        if self.thread.is_none() {
            self.thread = self.start();
        }
        if let Some(thread) = &mut self.thread {
            if thread.questions.send(question).is_ok() {
                thread.asked = Some(Instant::now());
            } else {
                // It has ended, which it does only by a panic.
                self.thread = None;
            }
        }
    }

    fn start(&self) -> Option<Thread<Q, A>> {
        let (questions, asked) = channel::<Q>();
        let (answer, answers) = channel();
        let (show, shown) = channel();
        let serve = Arc::clone(&self.serve);
        let work = move || {
            let mut serve = serve();
            if show.send(Place::of_this_thread()).is_ok() {
                // It ends when nobody asks any more.
                for question in asked {
                    if answer.send(serve(question)).is_err() {
                        break;
                    }
                }
            }
        };
        let handle = match Builder::new().name(self.name.into()).spawn(work) {
            Ok(handle) => handle,
            Err(error) => {
                tracing::error!("{}: no thread: {error}", self.name);
                return None;
            }
        };
        let place = shown.recv().ok()?;
        Some(Thread { questions, answers, asked: None, place, handle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_sources::hanging;
    use std::io;
    use std::path::Path;
    use std::sync::Mutex;

    #[test]
    fn questions_are_answered_one_after_the_other() {
        let mut doubler = Aside::new("doubler", || Box::new(|number: u32| number * 2));
        for number in 0..100 {
            assert_eq!(doubler.insist(|| number, Duration::from_secs(60)), (Some(number * 2), vec![]));
        }
    }

    #[test]
    fn who_hangs_at_a_file_is_left_and_another_one_goes_on_without_it() {
        let path = Path::new("/simulated/aside");
        let (go_on, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let mut reader = Aside::new("reader", move || {
            let wait = Arc::clone(&wait);
            Box::new(move |(): ()| {
                hanging::at(path, || wait.lock().unwrap().recv().map_err(io::Error::other)).is_ok()
            })
        });
        let (answer, hangs) = reader.insist(|| (), Duration::from_secs(60));
        assert_eq!(answer, Some(false), "the file is refused");
        assert_eq!(hangs, [Hang { name: "reader", file: Some(path.to_owned()) }]);
        assert!(hangs[0].to_string().contains("/simulated/aside hangs"));
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        // The first thread comes back from its file, and it is read again.
        while !reader.left.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(reader.insist(|| (), Duration::from_secs(60)), (Some(true), vec![]));
    }

    #[test]
    fn an_answer_that_comes_late_is_not_lost() {
        let (go_on, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let mut slow = Aside::new("slow", move || {
            let wait = Arc::clone(&wait);
            Box::new(move |number: u32| wait.lock().unwrap().recv().map(|()| number).unwrap())
        });
        assert_eq!(slow.ask(1, Duration::ZERO), (vec![], None));
        assert_eq!(slow.ask(2, Duration::ZERO), (vec![], None), "not asked while one is owed");
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        let (answers, _) = slow.ask(3, Duration::from_secs(60));
        assert_eq!(answers.first(), Some(&1));
    }
}
