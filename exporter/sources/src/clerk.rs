//! A thread that looks things up. Whoever reads memory of other processes may have to wait: a process in the middle of a page
//! fault on a network file system, or one that means to, answers when it pleases. The tick does not wait.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

/// The ends of a conversation with the thread, which ends with it.
#[derive(Debug)]
pub(crate) struct Clerk<Question, Answer> {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
}

impl<Question: Send + 'static, Answer: Send + 'static> Clerk<Question, Answer> {
    /// Starts the thread, named `name`, which answers by `look_up`; at most `capacity` questions wait for it.
    pub(crate) fn start(
        name: &str,
        capacity: usize,
        look_up: impl Fn(Question) -> Answer + Send + 'static,
    ) -> io::Result<Self> {
        let (questions, asked) = sync_channel::<Question>(capacity);
        let (answer, answers) = channel();
        thread::Builder::new().name(name.into()).spawn(move || {
            for question in asked {
                if answer.send(look_up(question)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers })
    }

    /// Asks; `false` where too many questions are waiting.
    pub(crate) fn ask(&self, question: Question) -> bool {
        self.questions.try_send(question).is_ok()
    }

    /// An answer that has come.
    pub(crate) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}
