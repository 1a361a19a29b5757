//! The whole exporter, as it is shipped, on real cgroups of this machine, beside bare reads of the same files.
//!
//! `cargo bench -p noether --bench whole -- [CGROUPS…]`, as root. Ticks and bare reads both come once a second: caches
//! are as cold for the one as for the other. A bare read is a `pread` on a held descriptor, and nothing else.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark may fail by panicking, and its output is its purpose"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

const CGROUPFS: &str = "/sys/fs/cgroup";
const SECOND: Duration = Duration::from_secs(1);
/// After so many ticks everything is open and has been read.
const WARM: usize = 8;
const TICKS: usize = 30;

fn main() {
    let counts: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![100, 1000, 10_000] } else { counts };
    for count in counts {
        let cgroups = match Cgroups::make(count) {
            Ok(cgroups) => cgroups,
            Err(error) => return eprintln!("skipped: no cgroups can be made in {CGROUPFS}: {error}"),
        };
        for dram in [false, true] {
            measure(&cgroups, dram);
        }
    }
}

fn measure(cgroups: &Cgroups, dram: bool) {
    let count = cgroups.names.len();
    let meters = Meters::make(dram);
    let exporter = Exporter::start(&meters, count);
    let bare = cgroups.open();
    (0..WARM).for_each(|_| sleep(SECOND));
    let (mut reads, mut ticks) = (Vec::new(), Vec::new());
    for _ in 0..TICKS {
        let (before, began) = (exporter.cpu(), Instant::now());
        meters.turn();
        // Half way between two ticks, so that neither disturbs the other.
        reads.push(read_all(&bare));
        sleep(SECOND.saturating_sub(began.elapsed()));
        ticks.push(exporter.cpu() - before);
    }
    let resident = exporter.resident() as f64 / f64::from(1 << 20);
    let (bare, tick) = (Spread::of(&mut reads), Spread::of(&mut ticks));
    let label = if dram { ", with a dram domain" } else { "" };
    println!("{count} containers{label}");
    println!("  bare reads    {bare}");
    println!(
        "  whole process {tick}: {:.2} of bare reads, {:.2} % of a core",
        tick.mean / bare.mean,
        tick.mean / 1e4
    );
    println!("  resident      {resident:.1} MiB");
    for (name, headers) in [("plain", ""), ("gzip", "Accept-Encoding: gzip\r\n")] {
        scrape(&exporter, name, headers);
    }
    println!("  resident      {:.1} MiB after scrapes", exporter.resident() as f64 / f64::from(1 << 20));
}

fn scrape(exporter: &Exporter, name: &str, headers: &str) {
    let mut client = BufReader::new(TcpStream::connect(&exporter.address).expect("the exporter listens"));
    let (mut times, mut length) = (Vec::new(), 0);
    for _ in 0..12 {
        // Another tick, so that no copy of the page is there yet.
        sleep(SECOND);
        let began = Instant::now();
        length = fetch(&mut client, headers);
        times.push(began.elapsed());
    }
    println!("  scrape, {name:5} {}: {length} bytes", Spread::of(&mut times));
}

/// Fetches the metrics; the length of the body.
fn fetch(client: &mut BufReader<TcpStream>, headers: &str) -> usize {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nUser-Agent: bench\r\n{headers}\r\n");
    client.get_mut().write_all(request.as_bytes()).expect("a connection");
    let mut length = 0;
    loop {
        let mut line = String::new();
        client.read_line(&mut line).expect("an answer");
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            break;
        }
    }
    client.read_exact(&mut vec![0; length]).expect("a body");
    length
}

/// CPU time of this thread for reading all files once.
fn read_all(files: &[File]) -> Duration {
    let before = thread_cpu();
    let mut text = [0; 128];
    for file in files {
        std::hint::black_box(file.read_at(&mut text, 0).expect("a living cgroup"));
    }
    thread_cpu() - before
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Times, in microseconds.
struct Spread {
    mean: f64,
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(times: &mut [Duration]) -> Self {
        times.sort_unstable();
        let micros = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e6);
        let sum: Duration = times.iter().sum();
        Self {
            mean: sum.as_secs_f64() * 1e6 / times.len() as f64,
            least: micros(times.first()),
            median: micros(times.get(times.len() / 2)),
            most: micros(times.last()),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mean, least, median, most } = self;
        write!(f, "mean {mean:.0} µs (least {least:.0}, median {median:.0}, most {most:.0})")
    }
}

/// Containers as Docker makes them, empty; removed when they are dropped.
struct Cgroups {
    folders: Vec<PathBuf>,
    names: Vec<String>,
}

impl Cgroups {
    fn make(count: usize) -> std::io::Result<Self> {
        let root = Path::new(CGROUPFS);
        let v2 = root.join("cgroup.controllers").exists();
        let mounts = if v2 { &["."][..] } else { &["cpu", "cpuacct", "memory"] };
        let mounts = mounts.iter().filter_map(|name| root.join(name).canonicalize().ok());
        let mut folders: Vec<PathBuf> = mounts.map(|mount| mount.join("docker")).collect();
        folders.dedup();
        let id = |n| format!("{n:08x}{:056x}", std::process::id());
        let cgroups = Self { folders, names: (0..count).map(id).collect() };
        for folder in &cgroups.folders {
            fs::create_dir_all(folder)?;
            if v2 {
                fs::write(root.join("cgroup.subtree_control"), "+cpu +memory")?;
                fs::write(folder.join("cgroup.subtree_control"), "+cpu +memory")?;
            }
            cgroups.names.iter().try_for_each(|name| fs::create_dir(folder.join(name)))?;
        }
        Ok(cgroups)
    }

    /// The files with the CPU time.
    fn open(&self) -> Vec<File> {
        let found =
            |folder: &&PathBuf| folder.join("cpuacct.usage").exists() || folder.join("cpu.stat").exists();
        let accounts = |folder: &&PathBuf| folder.ends_with("cpuacct/docker");
        let folder = self.folders.iter().find(accounts).or_else(|| self.folders.iter().find(found));
        let folder = folder.expect("a cgroup that counts CPU time");
        let file = if folder.join("cpuacct.usage").exists() { "cpuacct.usage" } else { "cpu.stat" };
        self.names.iter().map(|name| File::open(folder.join(name).join(file)).expect("CPU time")).collect()
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for folder in &self.folders {
            for name in &self.names {
                let _ = fs::remove_dir(folder.join(name));
            }
            let _ = fs::remove_dir(folder);
        }
    }
}

/// A powercap class of plain files: this machine may have none, and what is measured is what comes after it.
struct Meters {
    sysfs: PathBuf,
    began: Instant,
    zones: Vec<PathBuf>,
}

impl Meters {
    fn make(dram: bool) -> Self {
        let sysfs = std::env::temp_dir().join(format!("noether-bench-{}", std::process::id()));
        let names = [("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "dram")];
        let class = sysfs.join("class/powercap");
        let zones: Vec<PathBuf> = names
            .iter()
            .take(1 + usize::from(dram))
            .map(|(zone, name)| {
                let zone = class.join(zone);
                fs::create_dir_all(&zone).expect("a temporary folder");
                fs::write(zone.join("name"), format!("{name}\n")).expect("a file");
                fs::write(zone.join("max_energy_range_uj"), "262143328850\n").expect("a file");
                zone
            })
            .collect();
        let meters = Self { sysfs, began: Instant::now(), zones };
        meters.turn();
        meters
    }

    /// 50 W in each.
    fn turn(&self) {
        let energy = 1000 + self.began.elapsed().as_micros() * 50;
        for zone in &self.zones {
            fs::write(zone.join("energy_uj"), format!("{energy}\n")).expect("a file");
        }
    }
}

impl Drop for Meters {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.sysfs);
    }
}

/// The running binary.
struct Exporter {
    child: Child,
    address: String,
}

impl Exporter {
    fn start(meters: &Meters, count: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_noether"))
            .arg(format!("--path.sysfs={}", meters.sysfs.display()))
            .arg(format!("--path.cgroupfs={CGROUPFS}"))
            .arg(format!("--workload.max={}", count.max(5000)))
            .arg("--web.listen-address=127.0.0.1:0")
            .arg("--log.format=json")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut log = BufReader::new(child.stderr.take().expect("its log"));
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).expect("its log") > 0, "it ended");
            if let Some((_, rest)) = line.split_once("listening on http://") {
                break rest.split('"').next().unwrap_or_default().to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::stderr()));
        Self { child, address }
    }

    /// CPU time of all its threads.
    fn cpu(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        let nanos = threads.map(|thread| {
            let text =
                fs::read_to_string(thread.expect("a thread").path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Resident memory, in bytes.
    fn resident(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
