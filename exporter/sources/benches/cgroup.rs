//! What it costs to read the cgroups, beside the least that it can: the same files, read on held descriptors, with
//! nothing done to them.
//!
//! On real cgroups where some can be made (as root), else on plain files.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark; criterion makes its main"
)]

use std::fs::{self, File};
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use noether_sources::cgroup::{CgroupTree, Options};
use noether_sources::{Machine, pattern};

/// A cgroup file system with containers in it, which are removed when it is dropped.
struct Host {
    cgroupfs: PathBuf,
    docker: PathBuf,
    file: &'static str,
    names: Vec<String>,
    /// The folder of a made-up one.
    fixture: Option<tempfile::TempDir>,
}

impl Host {
    fn new(count: usize) -> Self {
        let real = [("", "cpu.stat"), ("cpuacct", "cpuacct.usage"), ("unified", "cpu.stat")];
        let root = Path::new("/sys/fs/cgroup");
        for (hierarchy, file) in
            real.into_iter().filter(|(hierarchy, file)| root.join(hierarchy).join(file).exists())
        {
            if let Ok(host) = Self::make(root.to_owned(), hierarchy, file, count, None) {
                return host;
            }
        }
        println!("no cgroups can be made here: plain files stand in");
        let fixture = tempfile::tempdir().expect("a temporary folder");
        fs::write(fixture.path().join("cgroup.controllers"), "cpu\n").expect("a file");
        Self::make(fixture.path().to_owned(), "", "cpu.stat", count, Some(fixture)).expect("plain files")
    }

    fn make(
        cgroupfs: PathBuf,
        hierarchy: &str,
        file: &'static str,
        count: usize,
        fixture: Option<tempfile::TempDir>,
    ) -> io::Result<Self> {
        let docker = cgroupfs.join(hierarchy).join("docker");
        let names = (0..count).map(|n| format!("{n:08x}{:056x}", std::process::id())).collect();
        let host = Self { cgroupfs, docker, file, names, fixture };
        fs::create_dir_all(&host.docker)?;
        for name in &host.names {
            fs::create_dir(host.docker.join(name))?;
        }
        if host.fixture.is_some() {
            let content = "usage_usec 123456789\nuser_usec 100000000\nsystem_usec 23456789\n";
            host.paths().try_for_each(|path| fs::write(path, content))?;
        }
        Ok(host)
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.names.iter().map(|name| self.docker.join(name).join(self.file))
    }

    fn machine(&self) -> Machine {
        Machine {
            procfs: "/proc".into(),
            sysfs: "/sys".into(),
            cgroupfs: self.cgroupfs.clone(),
            rootfs: "/".into(),
            nvml_library: "libnvidia-ml.so.1".into(),
            clock_ticks: 100,
            page_size: 4096,
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.fixture.is_none() {
            for name in &self.names {
                let _ = fs::remove_dir(self.docker.join(name));
            }
            let _ = fs::remove_dir(&self.docker);
        }
    }
}

fn cgroup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cgroup");
    for count in [100, 1000, 10_000] {
        let host = Host::new(count);
        group.throughput(Throughput::Elements(count as u64));
        let files: Vec<File> = host.paths().map(|path| File::open(path).expect("CPU time")).collect();
        group.bench_function(BenchmarkId::new("bare reads", count), |bencher| {
            let mut text = [0; 128];
            bencher.iter(|| {
                for file in &files {
                    black_box(file.read_at(&mut text, 0).expect("a living cgroup"));
                }
            });
        });
        drop(files);
        let options = Options {
            recognise: pattern::recognise,
            sockets: None,
            memory: false,
            reserved: false,
            inotify: true,
            max_descriptors: 15_000,
        };
        let mut tree = CgroupTree::open(&host.machine(), options).expect("cgroups");
        group.bench_function(BenchmarkId::new("CgroupTree::read", count), |bencher| {
            let mut faults = Vec::new();
            bencher.iter(|| black_box(tree.read(&mut faults)).len());
        });
    }
    group.finish();
}

criterion_group!(benches, cgroup);
criterion_main!(benches);
