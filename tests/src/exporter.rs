//! The real binary as a child process: started, asked, killed, started again.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::http::{self, Response};
use crate::outcome::until;
use crate::scrape::Scrape;

/// What makes `nobody` of root, who may read no file of mode 0400 but his own.
const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// A running exporter. It is killed when it is dropped.
#[derive(Debug)]
pub struct Exporter {
    binary: PathBuf,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    address: String,
    /// What starts the binary, with its arguments; empty where nothing does.
    starter: Vec<String>,
    child: Child,
    log: Arc<Mutex<String>>,
    // Holds the copy of the binary that nobody can reach, where there is one.
    _copy: Option<tempfile::TempDir>,
}

/// The binary under test: `NOETHER_BIN`, else the one that was built beside this test. `./test` builds it first; so must
/// whoever calls `cargo test` alone.
pub fn binary() -> PathBuf {
    let beside = || {
        let test = env::current_exe().expect("the path of this test");
        test.ancestors().nth(2).expect("target/<profile>/deps").join("noether")
    };
    let binary = env::var_os("NOETHER_BIN").map_or_else(beside, PathBuf::from);
    assert!(
        binary.is_file(),
        "{}: no such binary: run `cargo build` first, or set NOETHER_BIN",
        binary.display()
    );
    binary
}

/// Runs the binary to its end.
pub fn run<S: AsRef<OsStr>>(flags: &[S]) -> Output {
    finish(command(&binary()).args(flags))
}

/// Runs the binary to its end, started by a command that becomes it.
pub fn run_under<S: AsRef<OsStr>>(starter: &[&str], flags: &[S]) -> Output {
    finish(command(Path::new(starter[0])).args(&starter[1..]).arg(binary()).args(flags))
}

/// Runs the binary to its end with these variables set.
pub fn run_with(variables: &[(&str, &str)], flags: &[&str]) -> Output {
    finish(command(&binary()).envs(variables.iter().copied()).args(flags))
}

/// What was to end at once but does not is killed; its status tells.
fn finish(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let end = Instant::now() + Duration::from_secs(10);
    while child.try_wait().expect("its state").is_none() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    child.wait_with_output().expect("its output")
}

/// A program, the binary or what starts it, with an environment in which no setting hides.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let hides =
            name.to_str().is_some_and(|name| ["NOETHER_", "OTEL_"].iter().any(|p| name.starts_with(p)));
        if hides {
            command.env_remove(name);
        }
    }
    command
}

impl Exporter {
    /// Starts it on a free port and waits until it has measured.
    pub fn start(flags: &[String]) -> Self {
        Self::start_with(&[], flags)
    }

    /// The same, with these variables set.
    pub fn start_with(variables: &[(&str, &str)], flags: &[String]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self::launch(binary(), flags.to_vec(), variables.iter().map(owned).collect(), Vec::new(), None)
    }

    /// The same by another program that takes the binary's flags, and hands its output on.
    pub fn start_by(program: PathBuf, flags: &[String]) -> Self {
        Self::launch(program, flags.to_vec(), Vec::new(), Vec::new(), None)
    }

    /// The same behind a web configuration, which this harness cannot pass: it waits only until it listens.
    pub fn start_guarded(flags: &[String]) -> Self {
        let binary = binary();
        let (flags, variables, starter) = (flags.to_vec(), Vec::new(), Vec::new());
        let (child, log) = spawn(&binary, &flags, &variables, "127.0.0.1:0", &starter);
        let address = String::new();
        let mut exporter = Self { binary, flags, variables, address, starter, child, log, _copy: None };
        exporter.address = exporter.listening();
        exporter
    }

    /// The same, as `nobody`. Only root can do that.
    pub fn start_as_nobody(flags: &[String]) -> Self {
        Self::start_under(&AS_NOBODY, flags)
    }

    /// The same, started by a command that becomes it, as `setpriv` with its arguments does.
    pub fn start_under(starter: &[&str], flags: &[String]) -> Self {
        let folder = crate::machine::scratch();
        let copy = folder.path().join("noether");
        fs::copy(binary(), &copy).expect("a copy of the binary");
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).expect("chmod");
        let starter = starter.iter().map(|&word| word.to_owned()).collect();
        Self::launch(copy, flags.to_vec(), Vec::new(), starter, Some(folder))
    }

    fn launch(
        binary: PathBuf,
        flags: Vec<String>,
        variables: Vec<(String, String)>,
        starter: Vec<String>,
        copy: Option<tempfile::TempDir>,
    ) -> Self {
        let (child, log) = spawn(&binary, &flags, &variables, "127.0.0.1:0", &starter);
        let mut exporter =
            Self { binary, flags, variables, address: String::new(), starter, child, log, _copy: copy };
        exporter.address = exporter.listening();
        exporter.measured();
        exporter
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    fn listening(&mut self) -> String {
        until("the exporter listens", || {
            // Looked at first, so that what it said before it ended is in the log by then.
            let ended = self.child.try_wait().expect("the exporter's state");
            let log = self.log();
            if let Some(address) = address_in(&log) {
                return Some(address);
            }
            assert!(ended.is_none(), "the exporter ended with {ended:?} before it listened; it said:\n{log}");
            None
        })
    }

    /// Waits for the first tick: it listens before, and says 503.
    fn measured(&self) {
        until("the exporter has measured", || (self.page("/-/ready").status == 200).then_some(()));
    }

    /// A page, fetched once by a client of its own.
    pub fn page(&self, path: &str) -> Response {
        http::once(&self.address, "GET", path, &[])
            .unwrap_or_else(|error| panic!("GET {path}: {error}; the exporter said:\n{}", self.log()))
    }

    /// The metrics as text, fetched once by a client of its own.
    pub fn metrics(&self) -> String {
        let response = self.page("/metrics");
        assert_eq!(response.status, 200, "{}", response.text());
        response.text()
    }

    /// The metrics, fetched once by a client of its own, well-formed.
    pub fn scrape(&self) -> Scrape {
        let text = self.metrics();
        Scrape::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// Scrapes until `good` finds what it looks for.
    pub fn scrape_until(&self, what: &str, mut good: impl FnMut(&Scrape) -> bool) -> Scrape {
        let mut last = None;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(what, || {
                let scrape = self.scrape();
                let hit = good(&scrape).then(|| scrape.clone());
                last = Some(scrape);
                hit
            })
        }));
        found.unwrap_or_else(|cause| {
            eprintln!("the last scrape:\n{}", last.map(|scrape| scrape.text).unwrap_or_default());
            std::panic::resume_unwind(cause)
        })
    }

    /// Kills it with no warning.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("the exporter's end");
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, Signal::TERM).expect("SIGTERM");
        until("the exporter ends", || self.child.try_wait().expect("the exporter's state"))
    }

    /// Starts it again at the same address, after it was killed or has ended.
    pub fn restart(&mut self) {
        (self.child, self.log) =
            spawn(&self.binary, &self.flags, &self.variables, &self.address, &self.starter);
        assert_eq!(self.listening(), self.address);
        self.measured();
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log.lock().map(|log| log.clone()).unwrap_or_default();
            eprintln!("the exporter ({}) said:\n{log}", self.flags.join(" "));
        }
    }
}

fn spawn(
    binary: &Path,
    flags: &[String],
    variables: &[(String, String)],
    address: &str,
    starter: &[String],
) -> (Child, Arc<Mutex<String>>) {
    let words: Vec<&OsStr> = starter.iter().map(OsStr::new).chain([binary.as_os_str()]).collect();
    let mut command = command(Path::new(words[0]));
    command.args(&words[1..]);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    // Where there is a subcommand, it stands first.
    let subcommand = flags.first().filter(|word| !word.starts_with('-'));
    let rest = flags.get(usize::from(subcommand.is_some())..).unwrap_or_default();
    command.args(subcommand).arg(format!("--web.listen-address={address}")).args(rest);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let log = Arc::new(Mutex::new(String::new()));
    collect(child.stdout.take().expect("stdout"), &log);
    collect(child.stderr.take().expect("stderr"), &log);
    (child, log)
}

/// Appends whatever comes, line by line, until the other end closes.
pub fn collect(stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            log.lock().expect("the log").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}

/// The address in a log line that contains `http://127.0.0.1:PORT`, or the same with `https`.
fn address_in(log: &str) -> Option<String> {
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let (_, rest) =
        whole.split_once("http://127.0.0.1:").or_else(|| whole.split_once("https://127.0.0.1:"))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then(|| format!("127.0.0.1:{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_log() {
        let log = "level=info msg=start\nlevel=info msg=\"listening on http://127.0.0.1:40123/metrics\"\n";
        assert_eq!(address_in(log).as_deref(), Some("127.0.0.1:40123"));
        assert_eq!(address_in("http://127.0.0.1:401"), None, "the line may not be complete yet");
        assert_eq!(address_in("nothing\n"), None);
    }
}
