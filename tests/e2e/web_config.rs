//! The guarded endpoint, asked by `curl`: TLS, HTTP/2, passwords, certificates, sockets, and a crowd that wastes time.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use noether_tests::exporter::{Exporter, binary, collect, command, run};
use noether_tests::http::once;
use noether_tests::machine::{Hardware, Load, Machine, Simulation, scratch};
use noether_tests::outcome::{cannot_run, installed, together, until};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A folder with CAs, certificates and a web configuration.
struct Office(TempDir);

impl Office {
    fn new() -> Self {
        Self(scratch())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A new CA, `<ca>.crt`.
    fn ca(&self, ca: &str) -> Issuer<'static, KeyPair> {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, ca);
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{ca}.crt"), &params.self_signed(&key).unwrap().pem());
        Issuer::new(params, key)
    }

    /// A new certificate with its key, `<file>.crt` and `<file>.key`, swapped in as `mv` does it.
    fn certificate(&self, issuer: &Issuer<'static, KeyPair>, file: &str, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, issuer).unwrap();
        for (ending, text) in [("crt", certificate.pem()), ("key", key.serialize_pem())] {
            self.write("new", &text);
            fs::rename(self.path("new"), self.path(&format!("{file}.{ending}"))).unwrap();
        }
    }

    fn flag(&self) -> String {
        format!("--web.config.file={}", self.path("web.yml"))
    }
}

/// What curl says: its exit status, and `<HTTP version> <code>`.
fn curl(arguments: &[&str]) -> (i32, String) {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--max-time",
        "20",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_version} %{http_code}",
    ]);
    let output = curl.args(arguments).stdin(Stdio::null()).output().expect("curl");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn start(flags: &[String]) -> (Simulation, Exporter) {
    let loads = vec![Load::at("").cpu(&[0.2, 0.2]), Load::docker(1).cpu(&[0.5, 0.5])];
    let simulation = Simulation::start(Machine::new(Hardware::intel(), loads));
    let mut all = simulation.flags();
    all.push("--sample.interval=100ms".to_owned());
    all.extend_from_slice(flags);
    let exporter = Exporter::start_guarded(&all);
    (simulation, exporter)
}

fn without_curl(test: &str) -> bool {
    let absent = !installed("curl");
    if absent {
        cannot_run(test, "curl is not installed (Debian package curl)");
    }
    absent
}

#[test]
fn wrong_missing_and_right_passwords() {
    if without_curl("wrong_missing_and_right_passwords") {
        return;
    }
    let _guard = together();
    let office = Office::new();
    office.certificate(&office.ca("ca"), "server", "127.0.0.1");
    let hash = bcrypt::hash("secret", 10).unwrap();
    office.write(
        "web.yml",
        &format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\nbasic_auth_users:\n  alice: {hash}\n"),
    );
    let (_simulation, exporter) = start(&[office.flag()]);
    let ca = office.path("ca.crt");
    let ask = |path: &str, more: &[&str]| {
        let url = format!("https://{}{path}", exporter.address());
        let (status, said) = curl(&[&["--cacert", &ca, &url], more].concat());
        assert_eq!(status, 0, "{said}");
        said
    };
    until("it has measured", || (ask("/-/ready", &["--user", "alice:secret"]) == "2 200").then_some(()));
    for path in ["/metrics", "/", "/-/healthy"] {
        assert_eq!(ask(path, &["--user", "alice:wrong"]), "2 401", "{path}");
        assert_eq!(ask(path, &["--user", "eve:secret"]), "2 401", "{path}");
        assert_eq!(ask(path, &[]), "2 401", "{path}");
        assert_eq!(ask(path, &["--user", "alice:secret"]), "2 200", "{path}");
        assert_eq!(ask(path, &["--http1.1", "--user", "alice:secret"]), "1.1 200", "{path}");
    }
    assert_eq!(ask("/metrics", &["--tls-max", "1.2", "--user", "alice:secret"]), "2 200");
    assert!(exporter.log().contains("listening on https://"), "{}", exporter.log());
    assert!(once(exporter.address(), "GET", "/metrics", &[]).is_err(), "no plain HTTP");
}

#[test]
fn certificates_are_swapped_on_disk() {
    if without_curl("certificates_are_swapped_on_disk") {
        return;
    }
    let _guard = together();
    let office = Office::new();
    let (first, second) = (office.ca("first"), office.ca("second"));
    office.certificate(&first, "server", "127.0.0.1");
    office.write("web.yml", "tls_server_config: {cert_file: server.crt, key_file: server.key}\n");
    let (_simulation, exporter) = start(&[office.flag()]);
    let url = format!("https://{}/-/healthy", exporter.address());
    // 60 is curl's word for a certificate of an unknown CA.
    let by = |ca: &str| curl(&["--cacert", &office.path(ca), &url]).0;
    assert_eq!((by("first.crt"), by("second.crt")), (0, 60));
    office.certificate(&second, "server", "127.0.0.1");
    assert_eq!((by("first.crt"), by("second.crt")), (60, 0));
    office.write("server.crt", "broken");
    assert_eq!((by("first.crt"), by("second.crt"), by("second.crt")), (60, 0, 0));
    assert_eq!(exporter.log().matches("holds no certificate").count(), 1, "{}", exporter.log());
    office.certificate(&first, "server", "127.0.0.1");
    assert_eq!((by("first.crt"), by("second.crt")), (0, 60));
    assert!(exporter.log().contains("is right again"), "{}", exporter.log());
}

#[test]
fn clients_show_their_certificates() {
    if without_curl("clients_show_their_certificates") {
        return;
    }
    let _guard = together();
    let office = Office::new();
    let (ca, stranger) = (office.ca("ca"), office.ca("stranger"));
    office.certificate(&ca, "server", "127.0.0.1");
    for (issuer, file, name) in
        [(&ca, "right", "prometheus"), (&ca, "other", "grafana"), (&stranger, "strange", "prometheus")]
    {
        office.certificate(issuer, file, name);
    }
    office.write(
        "web.yml",
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  min_version: TLS13\n  \
         client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [prometheus]\n",
    );
    let (_simulation, exporter) = start(&[office.flag()]);
    let url = format!("https://{}/-/healthy", exporter.address());
    let with = |file: Option<&str>, more: &[&str]| {
        let own = file.map(|file| [office.path(&format!("{file}.crt")), office.path(&format!("{file}.key"))]);
        let own = own.iter().flat_map(|[crt, key]| ["--cert", crt, "--key", key]).collect::<Vec<_>>();
        curl(&[&["--cacert", &office.path("ca.crt"), &url], &own[..], more].concat()).1
    };
    assert_eq!(with(Some("right"), &[]), "2 200");
    assert_eq!(with(Some("right"), &["--tls-max", "1.2"]), "0 000", "below min_version");
    for refused in [None, Some("other"), Some("strange")] {
        assert!(with(refused, &[]).ends_with(" 000"), "{refused:?}");
    }
}

#[test]
fn a_malformed_configuration_ends_it_at_the_start() {
    let office = Office::new();
    for (text, key) in [
        ("tls_server_confg: {}", "tls_server_confg"),
        (
            "tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}",
            "tls_server_config.min_version",
        ),
        ("basic_auth_users: {alice: secret}", "basic_auth_users.alice"),
        ("rate_limit: {interval: 1s}", "rate_limit.interval"),
    ] {
        office.write("web.yml", text);
        let output = run(&[office.flag(), "--web.listen-address=127.0.0.1:0".into()]);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(64), "{text}: {said}");
        assert!(said.contains(&format!("web.yml:1: {key}:")), "{text}: {said}");
    }
    let output = run(&["--web.config.file=/nowhere/web.yml"]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn a_unix_socket_comes_and_goes() {
    if without_curl("a_unix_socket_comes_and_goes") {
        return;
    }
    let _guard = together();
    let office = Office::new();
    let socket = PathBuf::from(office.path("noether.sock"));
    let flag = format!("--web.listen-address=unix:{}?mode=0600", socket.display());
    let (_simulation, mut exporter) = start(&[flag]);
    let ask = || curl(&["--unix-socket", &socket.display().to_string(), "http://localhost/-/healthy"]).1;
    assert_eq!(ask(), "1.1 200");
    assert_eq!(once(exporter.address(), "GET", "/-/healthy", &[]).unwrap().status, 200, "and over TCP");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    // Killed, it leaves its socket behind, and takes that over when it comes again.
    exporter.kill();
    assert!(socket.exists());
    exporter.restart();
    assert_eq!(ask(), "1.1 200");
    assert!(exporter.terminate().success());
    assert!(!socket.exists());
}

#[test]
fn systemd_passes_a_socket() {
    let _guard = together();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let simulation = Simulation::start(Machine::new(Hardware::intel(), vec![Load::at("").cpu(&[0.2, 0.2])]));
    // As systemd does it: the socket is descriptor 3, and the variables say so to this process alone.
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";
    let mut child = command(Path::new("sh"))
        .args(["-c", script, "sh"])
        .arg(binary())
        .args(simulation.flags())
        .arg("--web.systemd-socket")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Arc::default();
    collect(child.stderr.take().unwrap(), &log);
    let answer = until("it answers", || {
        // The socket would take a request in even if nobody ever answered it.
        let said = log.lock().unwrap().clone();
        assert!(child.try_wait().unwrap().is_none(), "it ended; it said:\n{said}");
        said.contains("listening on").then(|| once(&address, "GET", "/-/healthy", &[]).unwrap())
    });
    assert_eq!(answer.status, 200);
    child.kill().unwrap();
    child.wait().unwrap();
    let output = run(&["--web.systemd-socket"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            .contains("systemd passed no socket")
    );
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// More than there may be connections, each with a head that never ends; who is sent away comes again.
#[test]
fn a_crowd_of_slow_clients_keeps_nobody_out() {
    let _guard = together();
    let (_simulation, exporter) = start(&[]);
    until("it has measured", || (exporter.page("/-/ready").status == 200).then_some(()));
    let join = || {
        let mut stream = TcpStream::connect(exporter.address()).expect("a connection");
        stream.set_nonblocking(true).expect("non-blocking");
        let _ = stream.write(b"GET /metrics HTTP/1.1\r\nX-Slow: ");
        stream
    };
    let mut crowd: Vec<TcpStream> = (0..700).map(|_| join()).collect();
    let before = exporter.scrape().ticked();
    for _ in 0..20 {
        for stream in &mut crowd {
            if stream.write(b"x").is_err() {
                *stream = join();
            }
        }
        assert_eq!(exporter.page("/metrics").status, 200);
        sleep(Duration::from_millis(50));
    }
    until("the ticks go on", || (exporter.scrape().ticked() > before).then_some(()));
    assert!(resident_kib(exporter.pid()) < 64 * 1024, "{} KiB", resident_kib(exporter.pid()));
}
