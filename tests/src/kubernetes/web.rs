//! The kubelet's `/pods` and the API server's `/api/v1/pods` with its watch, over TLS.

use std::convert::Infallible;
use std::future::pending;
use std::net::TcpListener;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::cluster::{Call, Cluster, Kind, Mood};
use super::server::Server;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A running server.
#[derive(Debug)]
pub struct Web {
    url: String,
    _server: Server,
}

impl Web {
    /// Serves the pods on a free port of 127.0.0.1.
    pub fn start(acceptor: TlsAcceptor, cluster: &Cluster) -> Self {
        Self::start_at("127.0.0.1:0", acceptor, cluster)
    }

    /// Serves them where a server was before.
    pub fn start_at(address: &str, acceptor: TlsAcceptor, cluster: &Cluster) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let cluster = cluster.clone();
        let server = Server::run(move || async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, cluster) = (acceptor.clone(), cluster.clone());
                tokio::spawn(async move {
                    // Who does not trust the certificate hangs up here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let connection = cluster.connect();
                    let service = service_fn(move |request| answer(cluster.clone(), connection, request));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, _server: server }
    }

    /// Its address and port.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("https://").expect("a URL of ours")
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }
}

async fn answer(
    cluster: Cluster,
    connection: usize,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let what = request.uri().to_string();
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
    match cluster.call(Call { connection, what: what.clone(), token }) {
        Mood::Hang => pending().await,
        Mood::Status(status) => {
            let said = json!({"kind": "Status", "code": status, "message": "as the test wants it"});
            return Ok(whole(status, &said));
        }
        Mood::Well => {}
    }
    Ok(if request.uri().path() == "/pods" || !what.contains("watch=1") {
        list(&cluster, request.uri().path())
    } else {
        watch(&cluster, &what)
    })
}

fn list(cluster: &Cluster, path: &str) -> Response<Body> {
    let (version, pods) = cluster.pods();
    let items: Vec<Value> = pods.iter().map(|(version, pod)| pod.json(*version)).collect();
    match path {
        "/pods" => {
            whole(200, &json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
        }
        "/api/v1/pods" => whole(
            200,
            &json!({"kind": "PodList", "metadata": {"resourceVersion": version.to_string()}, "items": items}),
        ),
        _ => whole(404, &json!({"message": "no such path"})),
    }
}

fn whole(status: u16, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string())).boxed_unsync();
    Response::builder().status(status).body(body).expect("an answer")
}

/// Events as an API server sends them: a line each, with bookmarks between, until what is wanted is forgotten.
fn watch(cluster: &Cluster, what: &str) -> Response<Body> {
    let from = what.split("resourceVersion=").nth(1).map(|rest| rest.split('&').next().unwrap_or_default());
    let version = from.and_then(|version| version.parse().ok()).unwrap_or(0);
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(send(cluster.clone(), version, sender));
    let body = StreamBody::new(UnboundedReceiverStream::new(receiver)).boxed_unsync();
    Response::new(body)
}

async fn send(cluster: Cluster, mut version: u64, sender: UnboundedSender<Result<Frame<Bytes>, Infallible>>) {
    let line = |kind: &str, object: Value| {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        // In two pieces, as a network may bring it.
        let (head, tail) = line.split_at(line.len() / 2);
        [head, tail].iter().all(|part| sender.send(Ok(Frame::data(Bytes::from((*part).to_owned())))).is_ok())
    };
    let mut alive = true;
    while alive {
        let Some((now, events)) = cluster.since(version) else {
            line("ERROR", json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}));
            return;
        };
        for (at, kind, pod) in events {
            let kind = match kind {
                Kind::Added => "ADDED",
                Kind::Modified => "MODIFIED",
                Kind::Deleted => "DELETED",
            };
            alive &= line(kind, pod.json(at));
        }
        version = now;
        let bookmark = json!({"kind": "Pod", "metadata": {"resourceVersion": now.to_string()}});
        alive &= line("BOOKMARK", bookmark);
        if alive {
            cluster.beyond(version).await;
        }
    }
}
