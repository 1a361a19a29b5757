//! The server behind a web configuration, asked by real TLS and HTTP/2 clients, and by those that mean it harm.
//!
//! Limits are short where a test waits for one; none asserts how long anything takes.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use h2::client::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::tests::{House, Reply, clock, closes, here, settings, until};
use super::*;
use crate::settings::ListenAddress;

/// A folder with a CA, and what it signed.
struct Office {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key";

impl Office {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.crt"), certificate.pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let office = Self { folder, issuer: Issuer::new(params, key), roots };
        office.renew();
        office
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn signed(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Gives the server another certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let (certificate, key) = self.signed("localhost");
        fs::write(self.path("server.crt"), certificate.pem()).unwrap();
        fs::write(self.path("server.key"), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    fn write(&self, web: &str) {
        fs::write(self.path("web.yml"), web).unwrap();
    }

    fn settings(&self, web: &str) -> Settings {
        self.write(web);
        Settings { web: Some(Arc::new(Live::open(&self.path("web.yml")).unwrap())), ..settings() }
    }

    fn house(&self, web: &str) -> House {
        House::with(self.settings(web), 1, 0)
    }

    fn client(&self, protocol: &str, own: Option<&str>) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let (certificate, key) = self.signed(name);
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(config)
    }

    /// A request over HTTP/1.1 on a connection of its own: the answer, and the server's certificate.
    fn get(&self, house: &House, own: Option<&str>) -> std::io::Result<(String, CertificateDer<'static>)> {
        let connection =
            ClientConnection::new(self.client("http/1.1", own), "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, house.connect());
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut all = String::new();
        stream.read_to_string(&mut all)?;
        Ok((all, stream.conn.peer_certificates().unwrap()[0].clone()))
    }
}

/// A client that speaks HTTP/2.
struct Client {
    runtime: Runtime,
    requests: SendRequest<hyper::body::Bytes>,
}

impl Client {
    fn new(office: &Office, house: &House) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (config, address) = (office.client("h2", None), house.address);
        let requests = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let name = "localhost".try_into().unwrap();
            let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (requests, connection) = handshake(stream).await.unwrap();
            tokio::spawn(async move { drop(connection.await) });
            requests
        });
        Self { runtime, requests }
    }

    /// Begins a request; the body is not read.
    fn begin(&self, method: Method, path: &str) -> Result<hyper::Response<h2::RecvStream>, h2::Error> {
        let request =
            Request::builder().method(method).uri(format!("https://localhost{path}")).body(()).unwrap();
        self.runtime.block_on(async {
            let mut requests = self.requests.clone().ready().await?;
            requests.send_request(request, true)?.0.await
        })
    }

    fn read(&self, body: &mut h2::RecvStream) -> Result<usize, h2::Error> {
        self.runtime.block_on(async {
            let mut length = 0;
            while let Some(chunk) = body.data().await {
                let chunk = chunk?;
                length += chunk.len();
                body.flow_control().release_capacity(chunk.len())?;
            }
            Ok(length)
        })
    }
}

#[test]
fn both_protocols_over_tls() {
    let office = Office::new();
    let house = office.house(&format!("{TLS}}}"));
    let (answer, _) = office.get(&house, None).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("Text 1\n"), "{answer}");
    let client = Client::new(&office, &house);
    for (method, path, status, length) in [
        (Method::GET, "/metrics", 200, 7),
        (Method::HEAD, "/metrics", 200, 0),
        (Method::GET, "/-/healthy", 200, 8),
        (Method::GET, "/nothing", 404, 10),
        (Method::POST, "/metrics", 405, 18),
    ] {
        let mut response = client.begin(method.clone(), path).unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        assert_eq!(client.read(response.body_mut()).unwrap(), length, "{method} {path}");
        assert_eq!(house.server.facts().connections_overdue, 0);
    }
    // Plain HTTP gets nothing out of it.
    let mut plain = house.connect();
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let _ = plain.read_to_end(&mut all);
    assert!(!all.starts_with(b"HTTP"), "{all:?}");
}

#[test]
fn http2_can_be_left_out() {
    let office = Office::new();
    let house = office.house(&format!("{TLS}}}\nhttp_server_config: {{http2: false}}"));
    let config = office.client("h2", None);
    let mut connection = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    assert!(connection.complete_io(&mut house.connect()).is_err(), "no protocol in common");
    assert!(office.get(&house, None).is_ok());
}

#[test]
fn what_was_not_sent_whole_is_not_acknowledged() {
    let office = Office::new();
    let house = House::with(office.settings(&format!("{TLS}}}")), 1, 1 << 20);
    let client = Client::new(&office, &house);
    let mut response = client.begin(Method::GET, "/metrics").unwrap();
    // The window is full; all else is written and flushed in the meantime.
    for _ in 0..3 {
        assert_eq!(client.begin(Method::HEAD, "/metrics").unwrap().status(), StatusCode::OK);
    }
    assert_eq!(house.acknowledged(), None);
    assert_eq!(client.read(response.body_mut()).unwrap(), (1 << 20) + 7);
    until("acknowledged", || house.acknowledged() == Some(1));
    // One that gives up has fetched nothing.
    house.stage.generation.store(2, std::sync::atomic::Ordering::SeqCst);
    let given_up = client.begin(Method::GET, "/metrics").unwrap();
    drop(given_up);
    let mut whole = client.begin(Method::GET, "/-/ready").unwrap();
    client.read(whole.body_mut()).unwrap();
    assert_eq!(house.acknowledged(), Some(1));
}

#[test]
fn http2_has_time_limits_too() {
    let office = Office::new();
    let limits = Limits { answer: Duration::from_millis(300), ..Limits::default() };
    let house = House::with(Settings { limits, ..office.settings(&format!("{TLS}}}")) }, 1, 1 << 20);
    let client = Client::new(&office, &house);
    let mut response = client.begin(Method::GET, "/metrics").unwrap();
    until("given up", || house.server.facts().connections_overdue == 1);
    assert!(client.read(response.body_mut()).is_err());
    assert_eq!(house.acknowledged(), None);

    let limits = Limits { head: Duration::from_millis(200), ..Limits::default() };
    let house = House::with(Settings { limits, ..office.settings(&format!("{TLS}}}")) }, 1, 0);
    let silent = Client::new(&office, &house);
    until("no request in time", || house.server.facts().connections_overdue == 1);
    assert!(silent.begin(Method::GET, "/metrics").is_err());
    let client = Client::new(&office, &house);
    for _ in 0..3 {
        let mut response = client.begin(Method::GET, "/metrics").expect("idle is not overdue");
        client.read(response.body_mut()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Rapid reset, CVE-2023-44487: whether the connection is ended for it or not, nobody else suffers.
#[test]
fn streams_that_are_taken_back_at_once_harm_nobody() {
    let office = Office::new();
    let house = House::with(office.settings(&format!("{TLS}}}")), 1, 1 << 20);
    let client = Client::new(&office, &house);
    let sent = client.runtime.block_on(async {
        let mut requests = client.requests.clone();
        for sent in 0..5000 {
            let Ok(ready) = requests.ready().await else { return sent };
            requests = ready;
            let request = Request::get("https://localhost/metrics").body(()).unwrap();
            let Ok((_, mut stream)) = requests.send_request(request, false) else { return sent };
            tokio::task::yield_now().await;
            stream.send_reset(h2::Reason::CANCEL);
            tokio::task::yield_now().await;
        }
        5000
    });
    assert!(sent > 0);
    assert!(office.get(&house, None).is_ok());
    drop(client);
    until("all left", || house.server.facts().connections_open == 0);
    assert_eq!(house.server.facts().connections_overdue, 0);
}

#[test]
fn slow_handshakes_are_dropped() {
    let office = Office::new();
    let limits = Limits { head: Duration::from_millis(200), ..Limits::default() };
    let house = House::with(Settings { limits, ..office.settings(&format!("{TLS}}}")) }, 1, 0);
    let silent = house.connect();
    let mut slow = house.connect();
    slow.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    assert!(closes(silent) && closes(slow));
    until("counted", || house.server.facts().connections_overdue == 2);
    assert!(office.get(&house, None).is_ok());
}

#[test]
fn a_certificate_is_changed_without_a_restart() {
    let office = Office::new();
    let house = office.house(&format!("{TLS}}}"));
    let (_, first) = office.get(&house, None).unwrap();
    let renewed = office.renew();
    let (_, second) = office.get(&house, None).unwrap();
    assert!(first != second && second == renewed);
    // A certificate whose key has not come yet, then nonsense, then nothing.
    let key = fs::read(office.path("server.key")).unwrap();
    let third = office.renew();
    let new_key = fs::read(office.path("server.key")).unwrap();
    for broken in [Some(&key[..]), Some(b"nonsense"), None] {
        match broken {
            Some(text) => fs::write(office.path("server.key"), text).unwrap(),
            None => fs::remove_file(office.path("server.key")).unwrap(),
        }
        assert_eq!(office.get(&house, None).unwrap().1, second);
    }
    fs::write(office.path("server.key"), new_key).unwrap();
    assert_eq!(office.get(&house, None).unwrap().1, third);
}

#[test]
fn clients_certificates_by_all_policies() {
    let (office, stranger) = (Office::new(), Office::new());
    fs::copy(office.path("ca.crt"), office.path("clients.crt")).unwrap();
    // A stranger trusts our server, and has a certificate of its own CA.
    let stranger = Office { roots: office.roots.clone(), ..stranger };
    let ca = "client_ca_file: clients.crt";
    for (policy, none, known, unknown) in [
        ("client_auth_type: NoClientCert".to_owned(), true, true, true),
        ("client_auth_type: RequestClientCert".to_owned(), true, true, true),
        ("client_auth_type: RequireAnyClientCert".to_owned(), false, true, true),
        (format!("client_auth_type: VerifyClientCertIfGiven, {ca}"), true, true, false),
        (format!("client_auth_type: RequireAndVerifyClientCert, {ca}"), false, true, false),
        (
            format!("client_auth_type: RequireAndVerifyClientCert, {ca}, client_allowed_sans: [prometheus]"),
            false,
            true,
            false,
        ),
        (
            format!(
                "client_auth_type: RequireAndVerifyClientCert, {ca}, client_allowed_sans: [grafana, 10.0.0.1]"
            ),
            false,
            false,
            false,
        ),
        (
            "client_auth_type: RequireAnyClientCert, client_allowed_sans: [prometheus]".to_owned(),
            false,
            true,
            true,
        ),
    ] {
        let house = office.house(&format!("{TLS}, {policy}}}"));
        let got = [
            office.get(&house, None).is_ok(),
            office.get(&house, Some("prometheus")).is_ok(),
            stranger.get(&house, Some("prometheus")).is_ok(),
        ];
        assert_eq!(got, [none, known, unknown], "{policy}");
    }
}

fn hash() -> String {
    bcrypt::hash("secret", 4).unwrap()
}

/// `alice:secret`.
const RIGHT: &str = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
/// `alice:wrong`.
const WRONG: &str = "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n";
/// `eve:secret`.
const UNKNOWN: &str = "Authorization: Basic ZXZlOnNlY3JldA==\r\n";

#[test]
fn passwords() {
    let office = Office::new();
    let house = office.house(&format!("basic_auth_users: {{alice: {}}}", hash()));
    for path in ["/metrics", "/", "/-/healthy", "/-/ready", "/nothing"] {
        for credentials in ["", WRONG, UNKNOWN, "Authorization: Bearer x\r\n"] {
            let reply = house.get(path, credentials);
            assert_eq!(reply.status, 401, "{path} {credentials}");
            assert!(reply.header("www-authenticate").unwrap().starts_with("Basic realm="));
        }
    }
    for _ in 0..2 {
        assert_eq!(house.get("/metrics", RIGHT).text(), "Text 1\n");
    }
    assert_eq!(house.get("/nothing", RIGHT).status, 404);
    assert_eq!(house.acknowledged(), Some(1));
    // A user that is taken away is out at once, on an open connection too.
    let mut open = house.connect();
    let mut ask = || {
        write!(open, "GET /metrics HTTP/1.1\r\nHost: x\r\n{RIGHT}\r\n").unwrap();
        Reply::read(&mut open, false).unwrap().status
    };
    assert_eq!(ask(), 200);
    office.write(&format!("basic_auth_users: {{bob: {}}}", hash()));
    assert_eq!(ask(), 401);
    // Not everybody is let in because the file is being written.
    office.write("");
    assert_eq!(ask(), 401);
}

#[test]
fn headers_are_added() {
    let office = Office::new();
    let house = office.house(
        "http_server_config:\n  headers: {X-Frame-Options: deny, Content-Security-Policy: default-src 'self'}",
    );
    let reply = house.get("/", "");
    assert_eq!(reply.header("x-frame-options"), Some("deny"));
    assert_eq!(reply.header("content-security-policy"), Some("default-src 'self'"));
    assert_eq!(reply.head.matches("ontent-").count(), 4, "{}", reply.head);
}

#[test]
fn beyond_the_rate_is_429() {
    let office = Office::new();
    let house = office.house("rate_limit: {interval: 1h, burst: 2}");
    let statuses = [0; 4].map(|_| house.get("/metrics", "").status);
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(house.get("/-/healthy", "").header("retry-after"), Some("1"));
}

#[test]
fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noether.sock");
    let stage = Arc::new(super::tests::Stage { generation: 1.into(), ..Default::default() });
    let server = Server::new(stage, clock, settings());
    let listeners = bind(&[here(), ListenAddress::Unix { path: path.clone(), mode: 0o600 }]).unwrap();
    let (end, told) = tokio::sync::oneshot::channel::<()>();
    let served = server.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(served.serve(listeners, async { drop(told.await) })).unwrap();
    });
    ask_unix(&path);
    until("acknowledged", || server.acknowledged(clock()).map(Generation::number) == Some(1));
    drop(end);
    thread.join().unwrap();
    assert!(!path.exists());
}

fn ask_unix(path: &Path) {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.ends_with("Text 1\n"), "{all}");
}

#[test]
fn slow_heads_do_not_keep_a_scraper_out() {
    let limits = Limits { connections: 20, ..Limits::default() };
    let house = House::with(Settings { limits, ..settings() }, 1, 0);
    let slow: Vec<TcpStream> = (0..300)
        .map(|index| {
            let mut stream = house.connect();
            // Every third says nothing at all. Some were sent away already.
            let _ = if index % 3 == 0 { Ok(0) } else { stream.write(b"GET /metr") };
            stream
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(house.get("/metrics", "").status, 200);
    }
    let facts = house.server.facts();
    assert_eq!((facts.connections_accepted, facts.connections_refused), (310, 0));
    assert!(facts.connections_open <= 20);
    drop(slow);
}

#[test]
fn an_answer_is_given_up_when_the_scraper_has() {
    let house = House::with(settings(), 1, 64 << 20);
    let mut stream = house.connect();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 0.2\r\n\r\n")
        .unwrap();
    until("given up", || house.server.facts().connections_overdue == 1);
    assert_eq!(house.acknowledged(), None);
    assert!(Reply::read(&mut stream, false).is_err());
}
