//! The cluster goes on: its exporters answer Prometheus over HTTP, with the counters of this very moment.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::SystemTime;

use crate::scrape::Scraper;

/// Answers `/NODE/metrics` and `/grid/metrics`, one request after the other, until it is ended.
pub(crate) fn serve(scraper: &mut Scraper<'_>, listener: &TcpListener) {
    for stream in listener.incoming() {
        // Who hangs up in the middle is asked no questions.
        let _ = stream.and_then(|stream| answer(scraper, stream));
    }
}

fn answer(scraper: &mut Scraper<'_>, mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let target = path.strip_prefix('/').and_then(|path| path.strip_suffix("/metrics")).unwrap_or_default();
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs() as i64;
    let (status, page) = match scraper.answer(target, now) {
        Some(page) => ("200 OK", page),
        None => ("404 Not Found", Vec::new()),
    };
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&page)
}
