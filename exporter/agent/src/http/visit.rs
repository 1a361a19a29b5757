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

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Limits;
use super::clients::{Caller, ConnectionId};
use noether_core::snapshot::Generation;

/// What a connection is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// A request's head is awaited, since the connection was accepted or since the head's first byte.
    Asking,
    /// Between two requests.
    Idle,
    /// A request is being answered, since it was complete.
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
    phase: Phase,
    since: Instant,
    /// The answer's last byte was given to hyper.
    handed_over: bool,
    fetch: Option<Fetch>,
}

impl Visit {
    pub(super) fn new(connection: ConnectionId, peer: IpAddr) -> Self {
        let course = Course { phase: Phase::Asking, since: Instant::now(), handed_over: false, fetch: None };
        Self { connection, peer, task: OnceLock::new(), course: Mutex::new(course) }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is busy with, and since when.
    pub(super) fn standing(&self) -> (Phase, Instant) {
        let course = self.course();
        (course.phase, course.since)
    }

    /// When it has to be over with what it is busy with.
    pub(super) fn deadline(&self, limits: &Limits) -> Instant {
        let (phase, since) = self.standing();
        since
            + match phase {
                Phase::Asking => limits.head,
                Phase::Idle => limits.idle,
                Phase::Answered => limits.answer,
            }
    }

    /// A request is complete.
    pub(super) fn asked(&self) {
        let mut course = self.course();
        // Pipelined requests get no more time than one: the answers before are still on their way.
        if course.phase != Phase::Answered {
            course.phase = Phase::Answered;
            course.since = Instant::now();
        }
        course.handed_over = false;
    }

    /// Hyper has taken the answer's body, and with it perhaps a snapshot.
    pub(super) fn handed_over(&self, fetch: Option<Fetch>) {
        let mut course = self.course();
        course.handed_over = true;
        course.fetch = fetch.or(course.fetch.take());
    }

    fn received(&self) {
        let mut course = self.course();
        if course.phase == Phase::Idle {
            course.phase = Phase::Asking;
            course.since = Instant::now();
        }
    }

    /// All that hyper had was taken by the kernel: what was fetched by that.
    pub(super) fn flushed(&self) -> Option<Fetch> {
        let mut course = self.course();
        if course.phase == Phase::Answered && course.handed_over {
            course.phase = Phase::Idle;
            course.since = Instant::now();
        }
        course.fetch.take()
    }

    /// Closes the connection from outside of its task.
    pub(super) fn dismiss(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
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
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Hyper calls this when it has written everything that it has buffered.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let wire = &mut *self;
        if let Some(fetch) = wire.visit.flushed() {
            (wire.fetched)(&wire.visit, fetch);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
