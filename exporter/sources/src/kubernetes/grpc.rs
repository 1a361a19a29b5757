//! A gRPC client over a Unix socket: as much of it as three calls without compression need.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::failure::Failure;

/// A kubelet on the same machine answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than the pods of any machine; a kubelet that says more is none.
const LONGEST_MESSAGE: usize = 64 << 20;

/// gRPC servers hang up on clients that ping more often than every five minutes.
const PING: Duration = Duration::from_secs(6 * 60);

/// The length of what stands before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The messages of an answer, one after the other.
#[derive(Debug)]
pub(super) struct Messages {
    body: Incoming,
    buffer: Vec<u8>,
    /// The status, where the headers have it already.
    status: Option<Status>,
}

/// `grpc-status` and `grpc-message`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Status {
    code: u32,
    message: String,
}

impl Connection {
    /// Connects to the socket.
    pub(super) async fn open(socket: &Path) -> Result<Self, Failure> {
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", socket.display());
        let stream = within(UnixStream::connect(socket)).await?.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::Refused(said(&error)),
            io::ErrorKind::NotFound => Failure::Absent(said(&error)),
            _ => Failure::Broken(said(&error)),
        })?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING);
        let handshake = within(builder.handshake(TokioIo::new(stream))).await?;
        let (sender, connection) = handshake.map_err(|error| Failure::Broken(said(&error)))?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer hears of it.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Calls `/package.Service/Method` with an empty message.
    pub(super) async fn call(&mut self, method: &str) -> Result<Messages, Failure> {
        let request = Request::post(format!("http://localhost{method}"))
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(Full::new(Bytes::from_static(&[0; PREFIX])))
            .map_err(|error| Failure::Malformed(error.to_string()))?;
        let answer = within(self.sender.send_request(request)).await?;
        let answer = answer.map_err(|error| Failure::Broken(format!("{method}: {error}")))?;
        Messages::of(method, answer)
    }
}

impl Messages {
    fn of(method: &str, answer: Response<Incoming>) -> Result<Self, Failure> {
        if answer.status() != 200 {
            return Err(Failure::Malformed(format!("{method}: HTTP status {}, not 200", answer.status())));
        }
        let status = status(answer.headers());
        Ok(Self { body: answer.into_body(), buffer: Vec::new(), status })
    }

    /// The only message of the answer, soon.
    pub(super) async fn only(mut self) -> Result<Vec<u8>, Failure> {
        let message = within(self.next()).await??;
        message.ok_or_else(|| Failure::Malformed("an answer without a message".into()))
    }

    /// The next message, whenever it comes; `None` after the last one of a call that went well.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(message) = split(&mut self.buffer)? {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else { return self.end() };
            let frame = frame.map_err(|error| Failure::Broken(error.to_string()))?;
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => self.status = frame.trailers_ref().and_then(status).or(self.status.take()),
            }
        }
    }

    fn end(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.status.take() {
            Some(Status { code: 0, .. }) if self.buffer.is_empty() => Ok(None),
            Some(status) => Err(status.into()),
            None => Err(Failure::Broken("the answer ended without a status".into())),
        }
    }
}

impl From<Status> for Failure {
    /// <https://grpc.io/docs/guides/status-codes/>
    fn from(Status { code, message }: Status) -> Self {
        let said = format!("gRPC status {code}: {message}");
        match code {
            12 => Self::Absent(said),
            7 | 16 => Self::Refused(said),
            9 => Self::Starting(said),
            _ => Self::Broken(said),
        }
    }
}

fn status(headers: &HeaderMap) -> Option<Status> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?.parse().unwrap_or(u32::MAX);
    Some(Status { code, message: text("grpc-message").unwrap_or_default().chars().take(200).collect() })
}

/// Takes a whole message from the front of the buffer, if there is one.
fn split(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Failure> {
    let Some((&[compressed, a, b, c, d], rest)) = buffer.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if compressed != 0 || length > LONGEST_MESSAGE {
        return Err(Failure::Malformed(format!("a message of {length} bytes, compressed: {compressed}")));
    }
    let Some(message) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
    buffer.drain(..PREFIX + length);
    Ok(Some(message))
}

/// What comes soon, or not at all.
async fn within<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(PATIENCE, future).await.map_err(|_| Failure::Broken(format!("no answer within {PATIENCE:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_split_where_they_end() {
        let mut buffer = vec![0, 0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(split(&mut buffer), Ok(Some(b"ab".to_vec())));
        assert_eq!(split(&mut buffer), Ok(Some(Vec::new())));
        assert_eq!((split(&mut buffer), buffer.len()), (Ok(None), 3));
        assert!(split(&mut vec![1, 0, 0, 0, 0]).is_err(), "compressed");
        assert!(split(&mut vec![0, 255, 0, 0, 0]).is_err(), "longer than anything");
    }

    #[test]
    fn statuses_say_what_to_do() {
        let failure = |code| Failure::from(Status { code, message: "m".into() });
        assert!(matches!(failure(12), Failure::Absent(_)) && matches!(failure(9), Failure::Starting(_)));
        assert!(matches!(failure(7), Failure::Refused(_)) && matches!(failure(14), Failure::Broken(_)));
        let mut headers = HeaderMap::new();
        assert_eq!(status(&headers), None);
        headers.insert("grpc-status", "x".parse().unwrap());
        assert_eq!(status(&headers).map(|status| status.code), Some(u32::MAX));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut buffer = bytes.clone();
            while let Ok(Some(message)) = split(&mut buffer) {
                prop_assert!(message.len() < bytes.len());
            }
        }
    }
}
