//! The thread that looks up records of jobs. Whoever reads memory of other processes may have to wait: a process in the
//! middle of a page fault on a network file system, or one that means to, answers when it pleases. The tick does not wait.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use noether_core::sample::CgroupId;
use noether_core::workload::Workload;

use super::records::{Known, Records};

/// What is known of a job?
#[derive(Debug)]
pub(super) struct Question {
    /// Its cgroup.
    pub(super) id: CgroupId,
    pub(super) workload: Arc<Workload>,
    /// Its processes.
    pub(super) pids: Vec<u32>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: CgroupId,
    pub(super) workload: Arc<Workload>,
    /// `None`: no record at all.
    pub(super) known: Option<Known>,
    /// Whether there will be no more to find.
    pub(super) complete: bool,
}

/// The ends of a conversation with the thread, which ends with it.
#[derive(Debug)]
pub(super) struct Clerk {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
}

impl Clerk {
    /// Starts the thread; at most `capacity` questions wait for it.
    pub(super) fn start(records: Records, capacity: usize) -> io::Result<Self> {
        let (questions, asked) = sync_channel::<Question>(capacity);
        let (answer, answers) = channel();
        thread::Builder::new().name("slurm".into()).spawn(move || {
            for Question { id, workload, pids } in asked {
                let (known, complete) = records.look_up(&workload, &pids);
                if answer.send(Answer { id, workload, known, complete }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers })
    }

    /// Asks; `false` where too many questions are waiting.
    pub(super) fn ask(&self, question: Question) -> bool {
        self.questions.try_send(question).is_ok()
    }

    /// An answer that has come.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}
