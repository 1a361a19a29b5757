//! The thread that looks up records of jobs.

use std::io;
use std::sync::Arc;

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

/// The thread.
pub(super) type Clerk = crate::clerk::Clerk<Question, Answer>;

/// Starts it; at most `capacity` questions wait for it.
pub(super) fn start(records: Records, capacity: usize) -> io::Result<Clerk> {
    Clerk::start("slurm", capacity, move |Question { id, workload, pids }| {
        let (known, complete) = records.look_up(&workload, &pids);
        Answer { id, workload, known, complete }
    })
}
