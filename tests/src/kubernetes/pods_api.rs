//! The kubelet's Pods API, by tonic, on a Unix socket.

use std::convert::Infallible;
use std::fs;
use std::future::{Ready, ready};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Response, Status, body::Body};

use super::cluster::{Cluster, Kind};
use super::grpc::{Raw, serve};
use super::pod::Message;
use super::server::Server;

/// A running Pods API. Dropped, it takes its socket along.
#[derive(Debug)]
pub struct PodsApi {
    socket: PathBuf,
    _server: Server,
}

impl PodsApi {
    /// Serves the pods under `package` (`v1alpha1`), and says of everything else that it is not implemented.
    pub fn start(socket: &Path, package: &'static str, cluster: &Cluster) -> Self {
        Self::with(socket, package, cluster, None)
    }

    /// The same that answers every call with this code of gRPC.
    pub fn refusing(socket: &Path, cluster: &Cluster, code: tonic::Code) -> Self {
        Self::with(socket, "v1alpha1", cluster, Some(code))
    }

    fn with(socket: &Path, package: &'static str, cluster: &Cluster, code: Option<tonic::Code>) -> Self {
        let cluster = cluster.clone();
        let server = serve(socket, move || {
            let (cluster, connection) = (cluster.clone(), cluster.connect());
            move |request| answer(cluster.clone(), connection, package, code, request)
        });
        Self { socket: socket.to_owned(), _server: server }
    }
}

impl Drop for PodsApi {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

async fn answer(
    cluster: Cluster,
    connection: usize,
    package: &str,
    code: Option<tonic::Code>,
    request: Request<Incoming>,
) -> Result<hyper::Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    cluster.call_openly(connection, &path);
    let method = path.strip_prefix(&format!("/{package}.Pods/"));
    let mut grpc = Grpc::new(Raw);
    Ok(match (code, method) {
        (Some(code), _) => Status::new(code, "as the test wants it").into_http(),
        (_, Some("ListPods")) => grpc.unary(List(cluster), request).await,
        (_, Some("WatchPods")) => grpc.server_streaming(Watch(cluster), request).await,
        _ => Status::unimplemented("unknown service").into_http(),
    })
}

struct List(Cluster);

impl UnaryService<Bytes> for List {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        let mut list = Message::default();
        for (_, pod) in self.0.pods().1 {
            list.bytes(1, &pod.protobuf());
        }
        ready(Ok(Response::new(list.0.into())))
    }
}

struct Watch(Cluster);

impl ServerStreamingService<Bytes> for Watch {
    type Response = Bytes;
    type ResponseStream = UnboundedReceiverStream<Result<Bytes, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    /// As 1.36 does: what is there, that this was all, and then what changes. A pod that is gone comes with its names only.
    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        let (sender, receiver) = mpsc::unbounded_channel();
        let cluster = self.0.clone();
        tokio::spawn(async move {
            let (mut version, pods) = cluster.pods();
            let mut alive = true;
            for (_, pod) in pods {
                alive &= sender.send(Ok(event(1, &pod.protobuf()))).is_ok();
            }
            alive &= sender.send(Ok(event(4, &[]))).is_ok();
            while alive {
                cluster.beyond(version).await;
                let Some((now, events)) = cluster.since(version) else { return };
                version = now;
                for (_, kind, mut pod) in events {
                    let kind = match kind {
                        Kind::Added => 1,
                        Kind::Modified => 2,
                        Kind::Deleted => {
                            (pod.phase, pod.containers, pod.labels) = (None, Vec::new(), Vec::new());
                            3
                        }
                    };
                    alive &= sender.send(Ok(event(kind, &pod.protobuf()))).is_ok();
                }
            }
        });
        ready(Ok(Response::new(UnboundedReceiverStream::new(receiver))))
    }
}

fn event(kind: u64, pod: &[u8]) -> Bytes {
    let mut event = Message::default();
    event.number(1, kind);
    if !pod.is_empty() {
        event.bytes(2, pod);
    }
    event.0.into()
}

/// A socket on which somebody listens who never says a word.
pub fn mute(socket: &Path) -> io::Result<Server> {
    fs::create_dir_all(socket.parent().expect("a folder"))?;
    let listener = std::os::unix::net::UnixListener::bind(socket)?;
    listener.set_nonblocking(true)?;
    Ok(Server::run(move || async move {
        let listener = UnixListener::from_std(listener).expect("the socket");
        let mut streams = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            streams.push(stream);
        }
    }))
}
