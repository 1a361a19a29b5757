//! A server on this machine that answers as it is told, and notes what it was asked.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// This is sent as it stands.
    Raw(Vec<u8>),
    /// Nothing, for longer than anybody waits.
    Silence,
    /// A body without end.
    Endless,
}

/// An answer with `status`, some `headers` that end in line breaks, and `body`.
pub(super) fn reply(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Reply::Raw([head.as_bytes(), body].concat())
}

/// A success.
pub(super) fn ok(body: impl AsRef<[u8]>) -> Reply {
    reply(200, "", body)
}

/// The server; it lasts as long as the tests.
#[derive(Clone)]
pub(super) struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Server {
    /// One that answers to the head of each request by `answer`.
    pub(super) fn new(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), heard: Arc::default() };
        let (heard, answer) = (server.heard.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, answer) = (heard.clone(), answer.clone());
                thread::spawn(move || serve(stream, &heard, &*answer));
            }
        });
        server
    }

    /// Where it is.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// When requests came whose head contains `part`.
    pub(super) fn heard(&self, part: &str) -> Vec<Instant> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|(_, head)| head.contains(part)).map(|(at, _)| *at).collect()
    }
}

fn serve(mut stream: TcpStream, heard: &Mutex<Vec<(Instant, String)>>, answer: &dyn Fn(&str) -> Reply) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    heard.lock().unwrap().push((Instant::now(), head.clone()));
    match answer(&head) {
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
        }
        Reply::Silence => thread::sleep(Duration::from_secs(60)),
        Reply::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            while stream.write_all(&[b' '; 65_536]).is_ok() {}
        }
    }
}
