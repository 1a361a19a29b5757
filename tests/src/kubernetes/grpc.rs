//! gRPC on a Unix socket, by tonic and hyper's server.

use std::convert::Infallible;
use std::fs;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixListener;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::server::Server;

/// Serves on a socket that is made anew; `connect` makes what answers the requests of one connection.
pub(super) fn serve<A, F>(socket: &Path, mut connect: impl FnMut() -> A + Send + 'static) -> Server
where
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<hyper::Response<Body>, Infallible>> + Send + 'static,
{
    fs::create_dir_all(socket.parent().expect("a folder")).expect("the socket's folder");
    let listener = std::os::unix::net::UnixListener::bind(socket).expect("the socket");
    listener.set_nonblocking(true).expect("a socket that does not block");
    Server::run(move || async move {
        let listener = UnixListener::from_std(listener).expect("the socket");
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(connect());
            tokio::spawn(async move {
                let served = http2::Builder::new(TokioExecutor::new());
                let _ = served.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

/// Messages as their bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length)))
    }
}
