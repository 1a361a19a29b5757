//! Connections from their arrival to their end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::answer::{answer, patience};
use super::body::Page;
use super::facts::count;
use super::room::Entry;
use super::visit::{Fetch, Visit, Wire};

/// How long to wait before accepting again when the system has no descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);
/// The least that hyper accepts as a buffer.
const LEAST_BUFFER: usize = 8192;

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Stands for whoever comes over a Unix socket: no machine's address.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How many requests of one connection are answered at once over HTTP/2; a scraper has one.
const MOST_STREAMS: u32 = 16;
/// How many streams that the client took back may wait, and how many faults it may make, before it is cut off:
/// rapid reset, CVE-2023-44487.
const MOST_RESETS: usize = 32;
/// What is buffered of one answer over HTTP/2; the snapshot itself is shared.
const SEND_BUFFER: usize = 64 * 1024;

/// Where connections come from.
pub(super) enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// One of them.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Door {
    async fn accept(&self) -> io::Result<(Stream, IpAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Tcp(stream), peer.ip().to_canonical()))
            }
            Self::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), LOCAL)),
        }
    }
}

/// Becomes `true` when the server ends.
type Ending = watch::Receiver<bool>;

/// Accepts connections until the server ends. No error ends it sooner.
pub(super) async fn accept(shared: Arc<Shared>, door: Door, mut ending: Ending) {
    while let Some(accepted) = before(&mut ending, door.accept()).await {
        match accepted {
            Ok((stream, peer)) => welcome(&shared, stream, peer, &ending),
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

fn welcome(shared: &Arc<Shared>, stream: Stream, peer: IpAddr, ending: &Ending) {
    count(&shared.counters.accepted);
    let visit = match shared.room.enter(peer) {
        Entry::Free(visit) => visit,
        Entry::Displacing(visit) => {
            count(&shared.counters.displaced);
            visit
        }
        Entry::Refused => {
            count(&shared.counters.refused);
            return refuse(&stream, shared.speaks_tls());
        }
    };
    let guest = Guest { shared: Arc::clone(shared), visit: Arc::clone(&visit) };
    let task = match stream {
        Stream::Tcp(stream) => {
            // An answer's end must not wait for the client's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            tokio::spawn(attend(stream, guest, ending.clone()))
        }
        Stream::Unix(stream) => tokio::spawn(attend(stream, guest, ending.clone())),
    };
    let _ = visit.task.set(task.abort_handle());
}

/// Into the empty buffer of a new connection, or not at all: nobody is waited for here.
fn refuse(stream: &Stream, speaks_tls: bool) {
    let _ = match stream {
        _ if speaks_tls => Ok(0),
        Stream::Tcp(stream) => stream.try_write(REFUSAL),
        Stream::Unix(stream) => stream.try_write(REFUSAL),
    };
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
async fn attend<S>(stream: S, guest: Guest, ending: Ending)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tls = guest.shared.gate.config().and_then(|config| config.tls.clone());
    match tls {
        None => over_http1(stream, &guest, ending).await,
        // On the heap, so that connections without TLS do not have its size.
        Some(tls) => Box::pin(over_tls(stream, tls.server, &guest, ending)).await,
    }
}

async fn over_tls<S>(stream: S, config: Arc<ServerConfig>, guest: &Guest, mut ending: Ending)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(stream) = handshake(stream, config, guest, &mut ending).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        over_http2(stream, guest, ending).await;
    } else {
        over_http1(stream, guest, ending).await;
    }
}

/// Handshake and first request together have the time of a request's head.
async fn handshake<S>(
    stream: S,
    config: Arc<ServerConfig>,
    guest: &Guest,
    ending: &mut Ending,
) -> Option<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Guest { shared, visit } = guest;
    let deadline = visit.deadline(&shared.settings.limits);
    let shaken = before(ending, timeout_at(deadline, TlsAcceptor::from(config).accept(stream))).await?;
    match shaken {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!("no TLS with {}: {error}", visit.peer);
            None
        }
        Err(_) => {
            count(&shared.counters.overdue);
            None
        }
    }
}

async fn over_http1<S>(stream: S, guest: &Guest, ending: Ending)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let head_bytes = guest.shared.settings.limits.head_bytes;
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(head_bytes)
        .max_buf_size(head_bytes.max(LEAST_BUFFER))
        .serve_connection(TokioIo::new(guest.wire(stream)), service_fn(|request| guest.answer(request)));
    drive(connection, http1::Connection::graceful_shutdown, guest, ending).await;
}

async fn over_http2<S>(stream: S, guest: &Guest, ending: Ending)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    guest.visit.framed();
    let head_bytes = guest.shared.settings.limits.head_bytes;
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(MOST_RESETS)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(guest.wire(stream)), service_fn(|request| guest.answer(request)));
    drive(connection, http2::Connection::graceful_shutdown, guest, ending).await;
}

impl Guest {
    fn wire<S>(&self, stream: S) -> Wire<S, impl FnMut(&Visit, Fetch) + Unpin + use<S>> {
        let shared = Arc::clone(&self.shared);
        Wire::new(stream, Arc::clone(&self.visit), move |visit: &Visit, fetch| {
            fetched(&shared, visit, &fetch);
        })
    }

    /// The request's time begins here; its body is not looked at.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Page>, Infallible>> + use<> {
        let (head, _) = request.into_parts();
        let patience = patience(&head.headers, self.shared.settings.limits.answer);
        let (shared, begun) = (Arc::clone(&self.shared), self.visit.asked(patience));
        async move { Ok(answer(&shared, &head, begun).await) }
    }
}

/// Lets hyper work until the connection ends, its time is over, or the server ends.
async fn drive<C>(connection: C, end_gracefully: fn(Pin<&mut C>), guest: &Guest, mut ending: Ending)
where
    C: Future<Output = hyper::Result<()>>,
{
    let Guest { shared, visit } = guest;
    let limits = &shared.settings.limits;
    let mut connection = pin!(connection);
    let mut overdue = pin!(sleep_until(visit.deadline(limits)));
    let mut end = pin!(ended(&mut ending));
    let mut is_ending = false;
    let outcome = poll_fn(|cx| {
        if !is_ending && end.as_mut().poll(cx).is_ready() {
            is_ending = true;
            end_gracefully(connection.as_mut());
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
