//! The server over real sockets, asked by clients that send bytes by hand.
//!
//! Limits are short where a test waits for one; none asserts how long anything takes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use tokio::sync::oneshot;

use super::*;
use crate::settings::ListenAddress;

pub(super) const AGENT: &str = "User-Agent: test\r\n";

/// A snapshot that says its generation, and as much more as is wanted. 0 is before the first.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) generation: AtomicU64,
    pub(super) ballast: usize,
    pub(super) renderings: AtomicU64,
}

impl Show for Stage {
    fn generation(&self) -> Option<Generation> {
        let number = self.generation.load(Ordering::SeqCst);
        (number > 0).then_some(Generation::new(number))
    }

    fn render(&self, format: Format, page: &mut Vec<u8>) -> Option<Generation> {
        let generation = self.generation()?;
        self.renderings.fetch_add(1, Ordering::SeqCst);
        writeln!(page, "{format:?} {}", generation.number()).unwrap();
        page.resize(page.len() + self.ballast, b'x');
        Some(generation)
    }
}

/// A server on its own thread, told to end when dropped.
pub(super) struct House {
    pub(super) stage: Arc<Stage>,
    pub(super) server: Server,
    pub(super) address: SocketAddr,
    pub(super) shutdown: Option<oneshot::Sender<()>>,
    pub(super) thread: Option<JoinHandle<()>>,
}

/// Stands still: nobody's time runs out unless a test says so.
pub(super) fn clock() -> Moment {
    Moment::from_boot(Duration::from_secs(1000))
}

pub(super) fn settings() -> Settings {
    Settings {
        telemetry_path: "/metrics".to_owned(),
        landing: Landing {
            name: "Noether <test>".to_owned(),
            version: "1".to_owned(),
            description: "Tests.".to_owned(),
        },
        limits: Limits::default(),
        first_patience: Duration::from_secs(150),
        web: None,
    }
}

pub(super) fn here() -> ListenAddress {
    ListenAddress::Tcp { host: Some("127.0.0.1".to_owned()), port: 0 }
}

impl House {
    pub(super) fn new() -> Self {
        Self::with(settings(), 1, 0)
    }

    pub(super) fn with_limits(limits: Limits) -> Self {
        Self::with(Settings { limits, ..settings() }, 1, 0)
    }

    pub(super) fn with(settings: Settings, generation: u64, ballast: usize) -> Self {
        let stage = Arc::new(Stage { generation: generation.into(), ballast, ..Stage::default() });
        let server = Server::new(Arc::clone(&stage) as Arc<dyn Show>, clock, settings);
        let listeners = bind(&[here()]).unwrap();
        let address = listeners[0].address().unwrap();
        let (shutdown, told) = oneshot::channel();
        let served = server.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let end = async {
                let _ = told.await;
            };
            runtime.block_on(served.serve(listeners, end)).unwrap();
        });
        Self { stage, server, address, shutdown: Some(shutdown), thread: Some(thread) }
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        // Only so that a failing test ends.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// One request on a connection of its own.
    pub(super) fn ask(&self, request: &str) -> Reply {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Reply::read(&mut stream, request.starts_with("HEAD")).unwrap()
    }

    pub(super) fn get(&self, path: &str, headers: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"))
    }

    pub(super) fn fetch(&self, stream: &mut TcpStream) -> Reply {
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n{AGENT}\r\n").unwrap();
        Reply::read(stream, false).unwrap()
    }

    pub(super) fn acknowledged(&self) -> Option<u64> {
        self.server.acknowledged(clock()).map(Generation::number)
    }

    /// Tells the server to end.
    pub(super) fn tell(&mut self) {
        drop(self.shutdown.take());
    }

    /// Waits for its end.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.tell();
        self.join();
    }
}

/// Waits until something that another thread does is done.
pub(super) fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "not in a minute: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the server closes the connection, with or without saying something first.
pub(super) fn closes(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// Reads exactly one reply, by its `Content-Length`.
    pub(super) fn read(stream: &mut TcpStream, is_head: bool) -> io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Self { status, head, body: Vec::new() };
        if !is_head {
            reply.body = vec![0; reply.length()];
            stream.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn length(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[test]
fn metrics_in_both_formats() {
    let house = House::new();
    let text = house.get("/metrics", "");
    assert_eq!((text.status, text.text()), (200, "Text 1\n"));
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(text.header("vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(text.header("content-encoding"), None);
    let open = house.get(
        "/metrics?name[]=x",
        "Accept: text/plain;q=0.5\r\nAccept: application/openmetrics-text; version=1.0.0\r\n",
    );
    assert_eq!((open.status, open.text()), (200, "OpenMetrics 1\n"));
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
}

#[test]
fn gzip_is_undone_to_the_same_text() {
    let house = House::with(settings(), 7, 100_000);
    let plain = house.get("/metrics", "Accept-Encoding: gzip;q=0\r\n");
    let packed = house.get("/metrics", "Accept-Encoding: deflate, gzip\r\n");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < plain.body.len() / 10);
    let mut unpacked = Vec::new();
    GzDecoder::new(packed.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
}

#[test]
fn a_snapshot_is_written_once_for_many() {
    let house = House::new();
    for _ in 0..5 {
        house.get("/metrics", "");
        house.get("/metrics", "Accept-Encoding: gzip\r\n");
    }
    assert_eq!(house.stage.renderings.load(Ordering::SeqCst), 2);
    house.stage.generation.store(2, Ordering::SeqCst);
    assert_eq!(house.get("/metrics", "").text(), "Text 2\n");
}

#[test]
fn head_says_what_get_would() {
    let house = House::new();
    for path in ["/metrics", "/", "/-/healthy", "/-/ready"] {
        let mut stream = house.connect();
        for _ in 0..2 {
            write!(stream, "HEAD {path} HTTP/1.1\r\nHost: x\r\n{AGENT}\r\n").unwrap();
            let head = Reply::read(&mut stream, true).unwrap();
            let get = house.get(path, "");
            assert_eq!((head.status, head.length()), (200, get.body.len()), "{path}");
            assert_eq!(head.header("content-type"), get.header("content-type"));
        }
    }
}

#[test]
fn before_the_first_snapshot() {
    let house = House::with(settings(), 0, 0);
    assert_eq!(house.get("/-/healthy", "").status, 200);
    assert_eq!(house.get("/-/ready", "").status, 503);
    assert_eq!(house.get("/metrics", "").status, 503);
    assert_eq!(house.acknowledged(), None);
    house.stage.generation.store(1, Ordering::SeqCst);
    assert_eq!(house.get("/-/ready", "").status, 200);
    assert_eq!(house.get("/metrics", "").status, 200);
}

#[test]
fn the_landing_page_links_to_the_metrics() {
    let house = House::with(Settings { telemetry_path: "/probe".to_owned(), ..settings() }, 1, 0);
    let page = house.get("/", "");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("href=\"/probe\"") && page.text().contains("Noether &#60;test&#62;"));
    assert_eq!(house.get("/probe", "").status, 200);
    assert_eq!(house.get("/metrics", "").status, 404);
}

#[test]
fn what_is_not_there_and_what_is_not_allowed() {
    let house = House::new();
    assert_eq!(house.get("/nothing", "").status, 404);
    assert_eq!(house.get("/metrics/", "").status, 404);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let reply = house.ask(&format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let facts = house.server.facts();
    assert_eq!((facts.requests.get(&404), facts.requests.get(&405)), (Some(&2), Some(&5)));
}

#[test]
fn heads_that_are_none_or_too_large() {
    let house = House::new();
    let many: String = (0..4000).map(|number| format!("X-{number}: x\r\n")).collect();
    let long = format!("X: {}\r\n", "x".repeat(17_000));
    assert_eq!(house.get("/metrics", &many).status, 431);
    assert_eq!(house.get("/metrics", &long).status, 431);
    assert_eq!(house.ask("\0\r\n\r\n").status, 400);
    until("counted", || {
        let requests = house.server.facts().requests;
        (requests.get(&431), requests.get(&400)) == (Some(&2), Some(&1))
    });
    assert_eq!(house.get("/metrics", "").status, 200);
}

#[test]
fn a_body_is_not_waited_for() {
    let house = House::new();
    let small = house.ask("GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(small.status, 200);
    let mut stream = house.connect();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
    assert_eq!(Reply::read(&mut stream, false).unwrap().status, 200);
    assert!(closes(stream));
}

#[test]
fn slow_heads_are_dropped() {
    let limits = Limits { head: Duration::from_millis(100), ..Limits::default() };
    let house = House::with_limits(limits);
    let silent = house.connect();
    let mut slow = house.connect();
    let dripping = thread::spawn(move || {
        // A header without end, one byte at a time.
        let start = Instant::now();
        let _ = slow.write_all(b"GET /metrics HTTP/1.1\r\nX: ");
        while slow.write_all(b"x").is_ok() {
            assert!(start.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(5));
        }
    });
    let mut second = house.connect();
    house.fetch(&mut second);
    second.write_all(b"GET /metrics HT").unwrap();
    assert!(closes(silent));
    assert!(closes(second), "a second request's head has a limit too");
    dripping.join().unwrap();
    until("counted", || house.server.facts().connections_overdue == 3);
    assert_eq!(house.get("/metrics", "").status, 200);
}

#[test]
fn idle_connections_have_their_own_time() {
    let limits =
        Limits { head: Duration::from_secs(60), idle: Duration::from_millis(50), ..Limits::default() };
    let house = House::with_limits(limits);
    let mut stream = house.connect();
    house.fetch(&mut stream);
    assert!(closes(stream));
    let limits =
        Limits { head: Duration::from_millis(50), idle: Duration::from_secs(60), ..Limits::default() };
    let house = House::with_limits(limits);
    let mut stream = house.connect();
    write!(stream, "GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    Reply::read(&mut stream, false).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(house.server.facts().connections_open, 1, "a head's time is not an idle connection's");
}

#[test]
fn whoever_does_not_read_is_dropped_and_has_fetched_nothing() {
    let limits = Limits { answer: Duration::from_millis(200), ..Limits::default() };
    let house = House::with(Settings { limits, ..settings() }, 1, 64 << 20);
    let mut stream = house.connect();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("dropped", || house.server.facts().connections_overdue == 1);
    assert_eq!(house.acknowledged(), None);
    assert!(Reply::read(&mut stream, false).is_err());
}

#[test]
fn a_full_house_closes_the_idle_and_refuses_when_none_is() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let house = House::with(Settings { limits, ..settings() }, 1, 64 << 20);
    let mut reader = house.connect();
    write!(reader, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    Reply::read(&mut reader, true).unwrap();
    let busy = || {
        let mut stream = house.connect();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        stream
    };
    let _one = busy();
    let _two = busy();
    assert!(closes(reader), "idle, and so it made room");
    let refused = house.connect();
    assert!(closes(refused));
    let facts = house.server.facts();
    assert_eq!((facts.connections_displaced, facts.connections_refused), (1, 1));
    assert_eq!(facts.connections_open, 2);
}

#[test]
fn hundreds_of_idle_connections_do_not_keep_a_scraper_out() {
    let limits = Limits { connections: 20, ..Limits::default() };
    let house = House::with_limits(limits);
    let idle: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = house.connect();
            house.fetch(&mut stream);
            stream
        })
        .collect();
    assert_eq!(house.get("/metrics", "").status, 200);
    let facts = house.server.facts();
    assert_eq!((facts.connections_accepted, facts.connections_refused), (301, 0));
    assert!(facts.connections_open <= 20);
    drop(idle);
}

#[test]
fn many_scrapes_at_once() {
    let house = House::with(settings(), 1, 200_000);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut stream = house.connect();
                for _ in 0..20 {
                    let reply = house.fetch(&mut stream);
                    assert_eq!((reply.status, reply.body.len()), (200, 200_007));
                }
            });
        }
    });
    assert_eq!(house.server.facts().requests.get(&200), Some(&320));
    until("all left", || house.server.facts().connections_open == 0);
}

#[test]
fn pipelined_requests_are_answered_in_turn() {
    let house = House::new();
    let mut stream = house.connect();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    write!(stream, "{request}{request}GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 3, "{all}");
    assert!(all.ends_with("ready\n"));
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let house = House::new();
    let mut stream = house.connect();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.starts_with("HTTP/1.0 200 OK") && all.ends_with("Text 1\n"), "{all}");
}

#[test]
fn kept_alive_connections_are_clients_and_the_others_are_not() {
    let house = House::new();
    let mut scraper = house.connect();
    house.fetch(&mut scraper);
    until("the first", || house.acknowledged() == Some(1));
    house.stage.generation.store(2, Ordering::SeqCst);
    let mut other = house.connect();
    for request in ["HEAD /metrics", "GET /", "GET /-/ready", "GET /-/healthy", "POST /metrics"] {
        write!(other, "{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
        Reply::read(&mut other, request.starts_with("HEAD")).unwrap();
    }
    let once = house.get("/metrics", "User-Agent: passer-by\r\nConnection: close\r\n");
    assert_eq!(once.text(), "Text 2\n");
    until("left", || house.server.facts().connections_open == 2);
    assert_eq!(house.acknowledged(), Some(1), "the scraper has not seen the second yet");
    house.fetch(&mut scraper);
    until("the second", || house.acknowledged() == Some(2));
}

#[test]
fn the_end_lets_answers_finish() {
    let mut house = House::with(settings(), 1, 16 << 20);
    let idle = house.connect();
    let mut reading = house.connect();
    write!(reading, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("under way", || house.server.facts().requests.get(&200) == Some(&1));
    house.tell();
    assert!(closes(idle), "nobody waits for an idle one");
    let reply = Reply::read(&mut reading, false).unwrap();
    assert_eq!(reply.body.len(), (16 << 20) + 7);
    house.join();
    assert!(TcpStream::connect(house.address).is_err());
}

#[test]
fn the_end_waits_for_nobody_for_ever() {
    let limits = Limits { farewell: Duration::from_millis(50), ..Limits::default() };
    let mut house = House::with(Settings { limits, ..settings() }, 1, 64 << 20);
    let mut stuck = house.connect();
    write!(stuck, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("under way", || house.server.facts().requests.get(&200) == Some(&1));
    house.tell();
    house.join();
    assert!(Reply::read(&mut stuck, false).is_err());
}

#[test]
fn several_listeners_are_one_server() {
    let server = Server::new(Arc::new(Stage { generation: 1.into(), ..Stage::default() }), clock, settings());
    let listeners = bind(&[here(), here()]).unwrap();
    let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.address().unwrap()).collect();
    let (end, told) = oneshot::channel::<()>();
    let served = server.clone();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(served.serve(listeners, async { drop(told.await) })).unwrap();
    });
    for address in addresses {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n").unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert!(all.ends_with("ready\n"));
    }
    drop(end);
    thread.join().unwrap();
    assert_eq!(server.facts().requests.get(&200), Some(&2));
}
