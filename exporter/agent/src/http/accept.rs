//! Connections from their arrival to their end.

use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, sleep_until};

use super::Shared;
use super::answer::answer;
use super::facts::count;
use super::room::Entry;
use super::visit::{Fetch, Visit, Wire};

/// How long to wait before accepting again when the system has no descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);
/// The least that hyper accepts as a buffer.
const LEAST_BUFFER: usize = 8192;

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Becomes `true` when the server ends.
type Ending = watch::Receiver<bool>;

/// Accepts connections until the server ends. No error ends it sooner.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, mut ending: Ending) {
    while let Some(accepted) = before(&mut ending, listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => welcome(&shared, stream, peer.ip().to_canonical(), &ending),
            Err(error) if is_the_peers(&error) => {}
            Err(_) => {
                count(&shared.counters.failures);
                before(&mut ending, make_way(&shared)).await;
            }
        }
    }
}

/// Out of descriptors or memory, and the newcomer stays in the queue: an idle connection gives up its own, else time
/// may help.
async fn make_way(shared: &Shared) {
    if shared.room.displace() {
        count(&shared.counters.displaced);
        // Its task has to run to let go of it.
        yield_now().await;
    } else {
        sleep(PAUSE).await;
    }
}

/// Errors of a connection that broke before it was accepted.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What `work` gives, or `None` where the server ends before.
async fn before<T>(ending: &mut Ending, work: impl Future<Output = T>) -> Option<T> {
    let (mut end, mut work) = (pin!(ended(ending)), pin!(work));
    poll_fn(|cx| match end.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}

async fn ended(ending: &mut Ending) {
    // An error says that the sender is gone, and with it the server.
    let _ = ending.wait_for(|ended| *ended).await;
}

fn welcome(shared: &Arc<Shared>, stream: TcpStream, peer: IpAddr, ending: &Ending) {
    count(&shared.counters.accepted);
    let visit = match shared.room.enter(peer) {
        Entry::Free(visit) => visit,
        Entry::Displacing(visit) => {
            count(&shared.counters.displaced);
            visit
        }
        Entry::Refused => {
            count(&shared.counters.refused);
            // Into the empty buffer of a new connection, or not at all: nobody is waited for here.
            let _ = stream.try_write(REFUSAL);
            return;
        }
    };
    // An answer's end must not wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let guest = Guest { shared: Arc::clone(shared), visit: Arc::clone(&visit) };
    let task = tokio::spawn(attend(stream, guest, ending.clone()));
    let _ = visit.task.set(task.abort_handle());
}

/// A connection's claim to its place in the room, given up however its task ends.
struct Guest {
    shared: Arc<Shared>,
    visit: Arc<Visit>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.shared.room.leave(self.visit.connection);
        self.shared.clients().closed(self.visit.connection, (self.shared.clock)());
    }
}

/// Answers the requests of one connection.
async fn attend<S>(stream: S, guest: Guest, mut ending: Ending)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Guest { shared, visit } = &guest;
    let limits = &shared.settings.limits;
    let service = service_fn(|request: Request<Incoming>| {
        visit.asked();
        ready(Ok::<_, Infallible>(answer(shared, visit, &request)))
    });
    let wire = Wire::new(stream, Arc::clone(visit), |visit: &Visit, fetch| fetched(shared, visit, &fetch));
    let mut connection = pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(limits.head_bytes)
            .max_buf_size(limits.head_bytes.max(LEAST_BUFFER))
            .serve_connection(TokioIo::new(wire), service)
    );
    let mut overdue = pin!(sleep_until(visit.deadline(limits)));
    let mut end = pin!(ended(&mut ending));
    let mut is_ending = false;
    let outcome = poll_fn(|cx| {
        if !is_ending && end.as_mut().poll(cx).is_ready() {
            is_ending = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        // What it is busy with changes only while it is polled: here is where a new deadline is seen.
        let deadline = visit.deadline(limits);
        if overdue.deadline() != deadline {
            overdue.as_mut().reset(deadline);
        }
        overdue.as_mut().poll(cx).map(|()| None)
    })
    .await;
    match outcome {
        // Hyper answers what it cannot parse by itself; the service never hears of it.
        Some(Err(error)) if error.is_parse_too_large() => shared.counters.answered(431),
        Some(Err(error)) if error.is_parse() => shared.counters.answered(400),
        Some(_) => {}
        None => count(&shared.counters.overdue),
    }
}

fn fetched(shared: &Shared, visit: &Visit, fetch: &Fetch) {
    let now = (shared.clock)();
    shared.clients().fetched(visit.connection, visit.peer, &fetch.caller, fetch.generation, now);
}
