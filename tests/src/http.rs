//! A small HTTP client that hides nothing: it sends what it is told and returns what came back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::outcome::PATIENCE;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as it was sent.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body in UTF-8")
    }
}

/// A connection that is kept between requests, as a scraper's is.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    agent: String,
}

impl Client {
    /// Connects; `agent` goes into every request's `User-Agent`.
    pub fn connect(address: &str, agent: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), agent: agent.to_owned() })
    }

    /// Sends a request and reads its answer.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
        let mut text =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {}\r\n", self.agent);
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        self.stream.get_mut().write_all(text.as_bytes())?;
        receive(&mut self.stream, method == "HEAD")
    }

    /// Fetches a page over this connection.
    pub fn fetch(&mut self, path: &str) -> io::Result<Response> {
        self.request("GET", path, &[])
    }

    /// Sends raw bytes and returns whatever comes until the other side closes.
    pub fn raw(mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        // A server may close in the middle of either; what came until then is the answer.
        let _ = self.stream.get_mut().write_all(bytes);
        let _ = self.stream.read_to_end(&mut answer);
        answer
    }
}

/// One request over a connection of its own, with a user agent of its own: a one-shot fetch.
pub fn once(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let agent = format!("once/{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let headers: Vec<_> = headers.iter().copied().chain([("Connection", "close")]).collect();
    Client::connect(address, &agent)?.request(method, path, &headers)
}

fn receive(stream: &mut impl BufRead, bodiless: bool) -> io::Result<Response> {
    let status_line = line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new() };
    if bodiless || status == 204 || status == 304 {
        return Ok(response);
    }
    if response.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
        response.body = chunks(stream)?;
    } else if let Ok(length) = response.header("content-length").parse() {
        response.body.resize(length, 0);
        stream.read_exact(&mut response.body)?;
    } else {
        stream.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream)?;
        let length = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let begun = body.len();
        body.resize(begun + length, 0);
        stream.read_exact(&mut body[begun..])?;
        line(stream)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_each_kind() {
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n";
        let open = "HTTP/1.1 200 OK\r\n\r\nhi";
        for text in [sized, chunked, open] {
            let response = receive(&mut text.as_bytes(), false).unwrap();
            assert_eq!((response.status, response.text().as_str()), (200, "hi"));
        }
        let head = receive(&mut sized.as_bytes(), true).unwrap();
        assert_eq!((head.header("content-length"), head.body.len()), ("2", 0));
        assert!(receive(&mut "garbage\r\n\r\n".as_bytes(), false).is_err());
        assert!(receive(&mut "".as_bytes(), false).is_err());
    }
}
