//! What somebody who may reach the port, or the operator's own files, can do to a running exporter.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use noether_tests::exporter::{Exporter, run};
use noether_tests::http::once;
use noether_tests::machine::{Hardware, Load, Machine, Simulation, scratch};
use noether_tests::outcome::{PATIENCE, alone, together, until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

fn start(flags: &[String]) -> (Simulation, Exporter) {
    let loads = vec![Load::at("").cpu(&[0.2, 0.2]), Load::docker(1).cpu(&[0.5, 0.5])];
    let simulation = Simulation::start(Machine::new(Hardware::intel(), loads));
    let mut all = simulation.flags();
    all.push("--sample.interval=200ms".to_owned());
    all.extend_from_slice(flags);
    let exporter = Exporter::start_guarded(&all);
    (simulation, exporter)
}

/// A folder with a web configuration in which alice has the password `secret`, and the flag that names it.
fn web_config(cost: u32) -> (TempDir, String) {
    let folder = scratch();
    let hash = bcrypt::hash("secret", cost).expect("a hash");
    let path = folder.path().join("web.yml");
    std::fs::write(&path, format!("basic_auth_users: {{alice: {hash}}}\n")).expect("web.yml");
    let flag = format!("--web.config.file={}", path.display());
    (folder, flag)
}

fn make_fifo(path: &std::path::Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo {}", path.display());
}

/// A request over a connection of its own whose source is `from`: a status, or nothing where the connection broke.
fn ask(exporter: &str, from: [u8; 4], password: &str) -> Option<u16> {
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).ok()?;
    rustix::net::bind(&socket, &SocketAddr::from((from, 0))).ok()?;
    rustix::net::connect(&socket, &exporter.parse::<SocketAddr>().ok()?).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let authorization = format!("Basic {}", STANDARD.encode(format!("alice:{password}")));
    let head = format!(
        "GET /metrics HTTP/1.1\r\nHost: noether\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    std::str::from_utf8(&answer).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// Ends the guessers, however the test ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ten addresses guess as fast as they can. Whoever has the password is let in, known before or not.
#[test]
fn guesses_keep_no_scraper_out() {
    let _guard = alone();
    let (_folder, flag) = web_config(11);
    let (_simulation, exporter) = start(&[flag]);
    let address = exporter.address().to_owned();
    let known = || ask(&address, [127, 0, 0, 1], "secret");
    until("it has measured", || (known() == Some(200)).then_some(()));
    let (over, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    let guess = |from: u8| {
        for number in 0.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let status = ask(&address, [127, 0, 0, from], &format!("guess {from} {number}"));
            // The system may run out of ports for a moment.
            let Some(status) = status else { continue };
            assert!([401, 429, 503].contains(&status), "a guess is answered {status}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for from in 2..12 {
            let guess = &guess;
            scope.spawn(move || guess(from));
        }
        let _over = Over(&over);
        until("a guess is refused", || (answered.load(Ordering::Relaxed) > 0).then_some(()));
        for newcomer in 20..23 {
            until("the right password is let in", || {
                let status = ask(&address, [127, 0, 0, newcomer], "secret");
                assert_eq!(known(), Some(200), "one that was let in before");
                (status == Some(200)).then_some(())
            });
        }
    });
    let lines = exporter.log().matches("sends wrong passwords").count();
    assert!(lines <= 10, "at most one line for each address: {}", exporter.log());
}

#[test]
fn a_web_configuration_that_becomes_a_fifo_leaves_the_old_one_in_force() {
    let _guard = together();
    let (folder, flag) = web_config(4);
    let (_simulation, exporter) = start(&[flag]);
    let path = folder.path().join("web.yml");
    let text = std::fs::read(&path).expect("web.yml");
    let ask = |password| ask(exporter.address(), [127, 0, 0, 1], password);
    until("it has measured", || (ask("secret") == Some(200)).then_some(()));
    std::fs::remove_file(&path).expect("rm");
    make_fifo(&path);
    for _ in 0..20 {
        assert_eq!((ask("secret"), ask("wrong")), (Some(200), Some(401)));
        assert_eq!(once(exporter.address(), "GET", "/-/healthy", &[]).expect("an answer").status, 401);
    }
    let complaint = "web.yml: cannot be read: it is a FIFO, device or socket; expected a regular file";
    assert_eq!(exporter.log().matches(complaint).count(), 1, "{}", exporter.log());
    std::fs::remove_file(&path).expect("rm");
    std::fs::write(&path, text).expect("web.yml");
    until("the file is taken again", || {
        assert_eq!(ask("secret"), Some(200));
        exporter.log().contains("web.yml is right again").then_some(())
    });
}

#[test]
fn configuration_files_that_are_no_regular_files_are_refused_at_the_start() {
    let folder = scratch();
    let fifo = folder.path().join("fifo");
    make_fifo(&fifo);
    let fifo = fifo.display().to_string();
    for flag in ["config.file", "web.config.file"] {
        for wrong in [fifo.as_str(), "/dev/zero", "/proc"] {
            let output = run(&[format!("--{flag}={wrong}"), "--web.listen-address=127.0.0.1:0".to_owned()]);
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert_eq!(output.status.code(), Some(64), "{flag} {wrong}: {said}");
            assert!(
                said.contains(wrong) && said.contains("expected a regular file"),
                "{flag} {wrong}: {said}"
            );
        }
    }
}

#[test]
fn signals_to_reload_do_not_end_it() {
    let _guard = together();
    let (_simulation, mut exporter) = start(&[]);
    let pid = Pid::from_raw(exporter.pid().cast_signed()).expect("a pid");
    for (signal, name) in [(Signal::HUP, "SIGHUP"), (Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")] {
        kill_process(pid, signal).expect("a signal");
        until("the log says so", || exporter.log().contains(&format!("{name} is ignored")).then_some(()));
    }
    exporter.scrape();
    assert!(exporter.terminate().success(), "SIGTERM ends it");
}

/// A TLS connection that speaks HTTP/2 by hand: as many requests as are asked for, each taken back at once.
fn reset_streams(address: &str, config: Arc<tokio_rustls::rustls::ClientConfig>, count: u32) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    for number in 0..count {
        // :method GET, :scheme https, :path /, all from HPACK's static table (RFC 7541, appendix A).
        bytes.extend(frame(1, 0x5, 2 * number + 1, &[0x82, 0x87, 0x84]));
        bytes.extend(frame(3, 0, 2 * number + 1, &8_u32.to_be_bytes()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let name = "127.0.0.1".try_into().expect("a name");
        let connector = tokio_rustls::TlsConnector::from(config);
        let mut stream = connector.connect(name, stream).await.expect("TLS");
        // The server may close in the middle of either.
        let _ = stream.write_all(&bytes).await;
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut rest)).await;
    });
}

#[test]
fn connections_full_of_resets_fill_no_log() {
    let _guard = together();
    let folder = scratch();
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("crt", &key.cert.pem());
    write("key", &key.signing_key.serialize_pem());
    write("web.yml", "tls_server_config: {cert_file: crt, key_file: key}\n");
    let (_simulation, exporter) =
        start(&[format!("--web.config.file={}", folder.path().join("web.yml").display())]);
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(key.cert.der().clone()).expect("a root");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    for _ in 0..60 {
        reset_streams(exporter.address(), Arc::clone(&config), 50);
    }
    let log = exporter.log();
    let lines = log.lines().filter(|line| line.contains("reset")).count();
    assert_eq!(lines, 1, "the library's warning, once: {log}");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        sleep(Duration::from_millis(50));
    }
    assert_eq!(exporter.log().lines().count(), log.lines().count(), "nothing follows");
}
