//! One open connection: what it is busy with, since when, and until when it may be.
//!
//! Hyper has one time limit, from the end of an answer to the end of the next request's head. A scraper must be
//! allowed to be idle for minutes and nobody to spend minutes on a head, so the limits are kept here, from what
//! goes over the wire.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Limits;
use super::clients::{Caller, ConnectionId};
use noether_core::snapshot::Generation;

/// What a connection is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A request's head is awaited, since the connection was accepted or since the head's first byte.
    Asking {
        /// Whether some of it has come.
        heard: bool,
    },
    /// Between two requests.
    Idle,
    /// A request is being answered.
    Answered,
}

/// A snapshot that is on its way to a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) generation: Generation,
    pub(super) caller: Caller,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) connection: ConnectionId,
    pub(super) peer: IpAddr,
    /// The task that serves it: aborting it closes the connection.
    pub(super) task: OnceLock<AbortHandle>,
    course: Mutex<Course>,
}

#[derive(Debug)]
struct Course {
    /// What it is busy with where nothing is being answered: asking or idle.
    phase: Phase,
    since: Instant,
    /// Answers of which hyper has not taken all, with the end of their time. Several only over HTTP/2.
    answers: Vec<(u64, Instant)>,
    asked: u64,
    /// The end of the time of what hyper has taken and the kernel not.
    leaving: Option<Instant>,
    /// The last time that the kernel took something.
    moved: Instant,
    /// Snapshots that were taken whole since the last flush.
    fetches: Vec<Fetch>,
    /// HTTP/2: what comes in between two requests is not yet the next one's head.
    framed: bool,
}

impl Visit {
    pub(super) fn new(connection: ConnectionId, peer: IpAddr) -> Self {
        let now = Instant::now();
        let course = Course {
            phase: Phase::Asking { heard: false },
            since: now,
            answers: Vec::new(),
            asked: 0,
            leaving: None,
            moved: now,
            fetches: Vec::new(),
            framed: false,
        };
        Self { connection, peer, task: OnceLock::new(), course: Mutex::new(course) }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It speaks HTTP/2.
    pub(super) fn framed(&self) {
        self.course().framed = true;
    }

    /// What it is busy with, and since when; while it is answered, since when nothing has moved.
    pub(super) fn standing(&self) -> (Phase, Instant) {
        let course = self.course();
        match course.is_answered() {
            true => (Phase::Answered, course.moved),
            false => (course.phase, course.since),
        }
    }

    /// When it has to be over with what it is busy with.
    pub(super) fn deadline(&self, limits: &Limits) -> Instant {
        let course = self.course();
        let answers = course.answers.iter().map(|(_, until)| *until).chain(course.leaving);
        let idle = match course.phase {
            Phase::Asking { .. } => limits.head,
            Phase::Idle | Phase::Answered => limits.idle,
        };
        answers.min().unwrap_or(course.since + idle)
    }

    /// A request is complete, and `patience` is how long its answer may take.
    pub(super) fn asked(self: &Arc<Self>, patience: Duration) -> Answer {
        let mut course = self.course();
        let now = Instant::now();
        if !course.is_answered() {
            course.moved = now;
        }
        course.asked += 1;
        let number = course.asked;
        course.answers.push((number, now + patience));
        Answer { visit: Arc::clone(self), number, fetch: None }
    }

    /// Nothing more of an answer is to come from us.
    fn over(&self, number: u64, fetch: Option<Fetch>) {
        let mut course = self.course();
        let Some(index) = course.answers.iter().position(|(other, _)| *other == number) else { return };
        let (_, until) = course.answers.swap_remove(index);
        // Pipelined requests get no more time than one: the answers before are still on their way.
        course.leaving = Some(course.leaving.map_or(until, |leaving| leaving.min(until)));
        course.fetches.extend(fetch);
    }

    fn received(&self) {
        let mut course = self.course();
        match course.phase {
            _ if course.framed => {}
            Phase::Asking { .. } => course.phase = Phase::Asking { heard: true },
            _ if course.is_answered() => {}
            _ => {
                course.phase = Phase::Asking { heard: true };
                course.since = Instant::now();
            }
        }
    }

    fn moved(&self) {
        self.course().moved = Instant::now();
    }

    /// All that hyper had was taken by the kernel: what was fetched by that.
    pub(super) fn flushed(&self) -> Vec<Fetch> {
        let mut course = self.course();
        if course.leaving.take().is_some() && course.answers.is_empty() {
            course.phase = Phase::Idle;
            course.since = Instant::now();
        }
        std::mem::take(&mut course.fetches)
    }

    /// Closes the connection from outside of its task.
    pub(super) fn dismiss(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Course {
    fn is_answered(&self) -> bool {
        !self.answers.is_empty() || self.leaving.is_some()
    }
}

/// The answer to one request, from the request's end until hyper has taken its last byte, or will take none.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) visit: Arc<Visit>,
    number: u64,
    /// What is fetched with it, if it is a snapshot.
    pub(super) fetch: Option<Fetch>,
}

impl Answer {
    /// The last byte was taken.
    pub(super) fn taken(mut self) {
        let fetch = self.fetch.take();
        self.visit.over(self.number, fetch);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.visit.over(self.number, None);
    }
}

/// The stream of a connection, which tells its [`Visit`] what goes over it.
///
/// A snapshot counts as fetched when the kernel has taken its last byte. Whether the client got it, only the client
/// knows: if the connection breaks in that moment, a counter's zero may be missed by one client.
#[derive(Debug)]
pub(super) struct Wire<S, F> {
    stream: S,
    visit: Arc<Visit>,
    fetched: F,
}

impl<S, F: FnMut(&Visit, Fetch)> Wire<S, F> {
    /// `fetched` is told of every snapshot that went out.
    pub(super) fn new(stream: S, visit: Arc<Visit>, fetched: F) -> Self {
        Self { stream, visit, fetched }
    }
}

impl<S: AsyncRead + Unpin, F: Unpin> AsyncRead for Wire<S, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.visit.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, F: FnMut(&Visit, Fetch) + Unpin> AsyncWrite for Wire<S, F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.visit.moved();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.visit.moved();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Hyper calls this when it has written everything that it has buffered.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let wire = &mut *self;
        for fetch in wire.visit.flushed() {
            (wire.fetched)(&wire.visit, fetch);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
