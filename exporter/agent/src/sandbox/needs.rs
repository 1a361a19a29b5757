//! What is used after the start: files that are read again, devices, capabilities.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use noether_sources::file::contents;
use noether_sources::grid::Credential;
use noether_sources::meter::{METERS, Probe};
use noether_sources::nvml::Early;
use rustix::process::geteuid;
use rustix::thread::CapabilitySet;

use super::{LOOK, READ};
use crate::names;
use crate::node::machine;
use crate::settings::{Command, ListenAddress, NameSource, Settings, Switch};

/// Programs' own: what the resolver and other libraries load when they are first used.
const LIBRARIES: [&str; 6] = ["/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"];
/// Where names of hosts are looked up, besides `/etc/resolv.conf`.
const RESOLVER: [&str; 6] = [
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/resolv.conf",
];
/// Where the system keeps the certificates of authorities.
const AUTHORITIES: [&str; 6] = [
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/var/lib/ca-certificates",
    "/etc/openssl",
    "/etc/static/ssl",
];
/// Variables that name files or folders of certificates. Those of OTLP are its specification's.
const CERTIFICATE_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
const OTLP: &str = "OTEL_EXPORTER_OTLP_";

/// Devices of NVIDIA's drivers, by how their names begin, for what the driver opens later than at the start: on servers, on
/// Jetsons, under WSL. Not `nv`: that would be disks.
const DRIVERS: [&str; 5] = ["nvidia", "nvhost", "nvmap", "nvgpu", "dxg"];

/// What is used after the start.
#[derive(Debug, Default)]
pub struct Needs {
    /// Folders that are read with all that is in them, and single files.
    pub(super) read: Vec<PathBuf>,
    /// Devices.
    pub(super) devices: Vec<PathBuf>,
    /// Folders of sockets that are removed at the end.
    pub(super) sockets: Vec<PathBuf>,
    /// Whether files are read again that may be somebody else's.
    secrets: bool,
}

impl Needs {
    /// Those of a command. `web` are the files of the web configuration; `driver` is what a GPU's driver opened, where a
    /// thread that is confined uses it.
    pub(super) fn of(settings: &Settings, command: Command, web: &[PathBuf], driver: Option<&Early>) -> Self {
        let mut needs = Self::default();
        // The process's own, whatever `--path.procfs` shows.
        needs.read.push("/proc".into());
        needs.files(web);
        needs.grid(settings);
        needs.otlp(settings);
        if command != Command::Grid {
            needs.machine(settings);
            needs.kubernetes(settings);
            if let Some(early) = driver.filter(|_| !is_off(settings, "nvml")) {
                needs.driver(settings, early);
            }
        }
        for address in &settings.listen_addresses {
            if let ListenAddress::Unix { path, .. } = address {
                needs.sockets.extend(path.parent().map(Path::to_owned));
            }
        }
        needs
    }

    /// The capabilities that all this takes; `looks` tells whether other processes are looked into.
    pub(super) fn capabilities(&self, looks: bool) -> CapabilitySet {
        let mut needed = CapabilitySet::empty();
        // Root owns what only root may read, and needs no capability for it.
        needed.set(READ, looks || self.secrets || !geteuid().is_root());
        needed.set(LOOK, looks);
        needed
    }

    fn machine(&mut self, settings: &Settings) {
        for root in [&settings.procfs, &settings.sysfs, &settings.cgroupfs] {
            self.tree(root);
        }
        let jobs = settings.jobs_folder.strip_prefix("/").unwrap_or(&settings.jobs_folder);
        self.file(&settings.rootfs.join(jobs).join("job"));
        self.file(&settings.rootfs.join(jobs));
    }

    fn kubernetes(&mut self, settings: &Settings) {
        let options = names::options(settings);
        if options.choice == NameSource::Off {
            return;
        }
        self.network();
        self.files(&[options.token_file, options.ca_file, options.kubelet_ca_file]);
    }

    fn grid(&mut self, settings: &Settings) {
        for one in &settings.grid.providers {
            self.network();
            if let Credential::File(path) = &one.credential {
                self.files(std::slice::from_ref(path));
            }
            if let (Some(url), "file") = (&one.url, one.provider.name) {
                self.files(&[url.strip_prefix("file://").unwrap_or(url).into()]);
            }
        }
    }

    /// A collector, and the certificates for it, which are read again before each push.
    fn otlp(&mut self, settings: &Settings) {
        let named =
            env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with(OTLP)));
        let values: Vec<PathBuf> = named.map(|(_, value)| PathBuf::from(value)).collect();
        if settings.otlp == Switch::Off || (settings.otlp == Switch::Auto && values.is_empty()) {
            return;
        }
        self.network();
        let paths: Vec<PathBuf> = values.into_iter().filter(|path| path.is_absolute()).collect();
        self.files(&paths);
    }

    /// What asking others takes: who they are, and who vouches for them.
    fn network(&mut self) {
        self.read.extend(LIBRARIES.iter().chain(&RESOLVER).chain(&AUTHORITIES).map(PathBuf::from));
        // Whoever keeps it puts a new one in its place.
        self.file(Path::new("/etc/resolv.conf"));
        let variables = CERTIFICATE_VARIABLES.iter().filter_map(env::var_os);
        self.read.extend(variables.flat_map(|value| env::split_paths(&value).collect::<Vec<_>>()));
    }

    /// What NVIDIA's library takes, should it be loaded anew: what it opened before, and what it may open when a driver or
    /// a device comes later.
    fn driver(&mut self, settings: &Settings, early: &Early) {
        self.devices.extend(early.devices.iter().cloned());
        early.files.iter().for_each(|file| self.file(file));
        self.read.extend(LIBRARIES.map(PathBuf::from));
        if settings.nvml_library.components().count() > 1 {
            self.file(&settings.nvml_library);
        }
        let folders = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        self.read.extend(env::split_paths(&folders).filter(|folder| folder.is_absolute()));
        self.read.push("/run/opengl-driver".into());
        let devices = fs::read_dir("/dev").into_iter().flatten().flatten();
        let is_driver = |name: &str| DRIVERS.iter().any(|prefix| name.starts_with(prefix));
        self.devices.extend(
            devices.filter(|one| one.file_name().to_str().is_some_and(is_driver)).map(|one| one.path()),
        );
    }

    fn files(&mut self, files: &[PathBuf]) {
        self.secrets |= files.iter().any(|file| file.exists());
        files.iter().for_each(|file| self.file(file));
    }

    /// A file that may be replaced by another one of its name: the folder of the name, and that of the file itself, where
    /// links lead elsewhere. Of the root folder only the file.
    fn file(&mut self, path: &Path) {
        for path in [Some(path.to_owned()), fs::canonicalize(path).ok()].into_iter().flatten() {
            match path.parent() {
                Some(folder) if folder == Path::new("") => self.read.push(".".into()),
                Some(folder) if folder != Path::new("/") => self.read.push(folder.to_owned()),
                _ => self.read.push(path),
            }
        }
    }

    /// A tree that is replaced at times: one that is mounted stays where it is, of another one its folder's own name is
    /// given away.
    fn tree(&mut self, root: &Path) {
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        let device = |path: &Path| fs::metadata(path).map(|folder| folder.dev()).ok();
        if root.parent().is_some_and(|above| device(above) == device(&root)) {
            self.file(&root);
        }
        self.read.push(root);
    }
}

/// Why other processes are looked into: their environment tells who holds a GPU and what a job is called, their
/// descriptors how long they were on a GPU. `None` where nothing of that kind is on this machine.
///
/// `early` is what came of opening NVIDIA's library.
pub(super) fn looks(settings: &Settings, command: Command, early: &Early) -> Option<&'static str> {
    if command == Command::Grid {
        return None;
    }
    let gpus = METERS.iter().filter(|probe| probe.slow && !is_off(settings, probe.name));
    if gpus.into_iter().any(|probe| has_gpu(settings, probe, early)) {
        return Some("processes tell who uses and who holds an accelerator");
    }
    has_slurm(settings).then_some("processes tell what Slurm's jobs are called")
}

pub(super) fn is_off(settings: &Settings, meter: &str) -> bool {
    settings.meters.iter().any(|(name, switch)| *name == meter && *switch == Switch::Off)
}

fn has_gpu(settings: &Settings, probe: &Probe, early: &Early) -> bool {
    if probe.name != "nvml" {
        return (probe.open)(&machine(settings)).is_ok_and(|meter| meter.is_some());
    }
    // The loader finds the library, or its driver may come later: the device itself tells, or the operator's own words.
    early.found
        || settings.meters.contains(&(probe.name, Switch::On))
        || settings.nvml_library.components().count() > 1
        || Path::new("/dev/nvidiactl").exists()
        || has_nvidia(&settings.sysfs)
}

/// Whether a display controller (class 3) of NVIDIA (vendor 10de) is on the bus.
///
/// <https://docs.kernel.org/PCI/sysfs-pci.html>
fn has_nvidia(sysfs: &Path) -> bool {
    let read = |folder: &Path, name: &str| {
        String::from_utf8_lossy(&contents(&folder.join(name)).unwrap_or_default()).into_owned()
    };
    let devices = fs::read_dir(sysfs.join("bus/pci/devices")).into_iter().flatten().flatten();
    devices.map(|device| device.path()).any(|device| {
        read(&device, "vendor").trim() == "0x10de" && read(&device, "class").starts_with("0x03")
    })
}

/// Whether this is a node of Slurm: what its packages and daemons leave, and the cgroups of its jobs.
fn has_slurm(settings: &Settings) -> bool {
    let traces = ["etc/slurm", "etc/slurm-llnl", "run/slurm", "var/spool/slurmd", "var/spool/slurm"];
    // On v1 each hierarchy is a folder of its own, whatever it is called.
    let inside = fs::read_dir(&settings.cgroupfs).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders: Vec<_> = std::iter::once(settings.cgroupfs.clone()).chain(inside).collect();
    let slices = folders.iter().map(|folder| folder.join("system.slice"));
    let is_slurm = |name: &str| name.starts_with("slurm") || name.ends_with("slurmstepd.scope");
    traces.iter().any(|trace| settings.rootfs.join(trace).exists())
        || folders.iter().cloned().chain(slices).any(|folder| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.into_iter().any(|entry| entry.file_name().to_str().is_some_and(is_slurm))
        })
}
