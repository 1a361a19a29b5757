//! Podman with runc, under a root of its own: it shares nothing with the Podman of the machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::kernel::{clear, used};
use crate::outcome::installed;

/// An image from scratch: one static program.
pub const IMAGE: &str = "noether-test";

/// The exporter's own image, by [`Podman::build`].
pub const EXPORTER: &str = "noether:test";

/// What docker/build needs besides Podman.
const TOOLS: [&str; 7] = ["cargo", "cargo-sbom", "apt-get", "dpkg-deb", "readelf", "jq", "git"];

/// How many were started, so that each has a cgroup of its own.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A Podman with one image.
#[derive(Debug)]
pub struct Podman {
    folder: TempDir,
    /// The cgroup of its containers. Podman's default, `libpod_parent`, would be shared with the containers of others.
    parent: String,
}

/// A running container. It is removed when it is dropped.
#[derive(Debug)]
pub struct Container<'p> {
    podman: &'p Podman,
    id: String,
    parent: String,
}

impl Podman {
    /// Makes the image, and tries it; or says why no container runs here.
    pub fn start() -> Result<Self, String> {
        if let Some(missing) = ["podman", "runc", "busybox"].into_iter().find(|name| !installed(name)) {
            return Err(format!("{missing} is not installed"));
        }
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let parent = format!("noether-test-{}-{number}", std::process::id());
        let podman = Self { folder: crate::machine::scratch(), parent };
        fs::write(podman.path("containers.conf"), configuration(podman.folder.path()))
            .expect("containers.conf");
        podman.import()?;
        let parent = format!("--cgroup-parent=/{}", podman.parent);
        podman.ask(&["run", "--rm", "--network=host", &parent, IMAGE, "/busybox", "true"])?;
        Ok(podman)
    }

    /// The cgroup of its containers, unless they are given another one.
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// Runs a shell script in a container whose cgroup lies in `parent`.
    pub fn run(&self, parent: &str, script: &str) -> Container<'_> {
        let within = format!("--cgroup-parent=/{parent}");
        let command = ["run", "--detach", "--network=host", &within, IMAGE, "/busybox", "sh", "-c", script];
        let said = self.ask(&command).unwrap_or_else(|why| panic!("{why}"));
        Container { podman: self, id: said.trim().to_owned(), parent: parent.to_owned() }
    }

    /// Builds the exporter's image around a binary by `docker/build`; or says what is missing for that.
    pub fn build(&self, binary: &Path) -> Result<(), String> {
        if let Some(missing) = TOOLS.into_iter().find(|name| !installed(name)) {
            return Err(format!("{missing} is not installed"));
        }
        let built = Command::new("timeout")
            .args(["300", concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/build")])
            .args([&format!("--binary={}", binary.display()), &format!("--tag={EXPORTER}"), "--"])
            .args(self.global())
            .env("CONTAINERS_CONF", self.path("containers.conf"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("timeout: {error}"))?;
        let said = String::from_utf8_lossy(&built.stderr);
        // Without a mirror of Debian there is nothing to build it from.
        if said.contains("cannot download") {
            return Err(format!("docker/build: {said}"));
        }
        assert!(built.status.success(), "docker/build: {}: {said}", built.status);
        Ok(())
    }

    /// A program that runs the exporter's image with as little as it may have, these options of `podman run` beside; it takes
    /// the exporter's flags and ends with it.
    pub fn program(&self, name: &str, options: &[&str]) -> PathBuf {
        let mut words = vec!["podman".to_owned()];
        words.extend(self.global());
        let least = ["--rm", "--network=host", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all"];
        words.extend(["run"].iter().chain(&least).map(|&word| word.to_owned()));
        let parent = format!("--cgroup-parent=/{}", self.parent);
        words.extend(
            ["--security-opt=no-new-privileges", &format!("--name={name}"), &parent].map(str::to_owned),
        );
        words.extend(options.iter().chain([&EXPORTER]).map(|&word| word.to_owned()));
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let conf = self.path("containers.conf");
        let script = format!("#!/bin/sh\nCONTAINERS_CONF='{conf}' exec {} \"$@\"\n", quoted.join(" "));
        let path = self.folder.path().join(name);
        fs::write(&path, script).expect("a script");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    /// Writes the image of [`Podman::run`] to an archive.
    pub fn save(&self, archive: &Path) -> Result<(), String> {
        self.ask(&["save", "--quiet", "--output", &archive.display().to_string(), IMAGE]).map(drop)
    }

    /// The process of a running container, as this machine counts them.
    pub fn pid(&self, name: &str) -> u32 {
        let said =
            self.ask(&["inspect", "--format={{.State.Pid}}", name]).unwrap_or_else(|why| panic!("{why}"));
        said.trim().parse().expect("a pid")
    }

    /// What Podman knows of an image, as JSON.
    pub fn inspect(&self, image: &str) -> serde_json::Value {
        let said = self.ask(&["image", "inspect", image]).unwrap_or_else(|why| panic!("{why}"));
        serde_json::from_str::<serde_json::Value>(&said).expect("JSON")[0].take()
    }

    /// Unpacks an image into a folder.
    pub fn unpack(&self, image: &str, folder: &Path) {
        let id = self.ask(&["create", image]).unwrap_or_else(|why| panic!("{why}"));
        let archive = self.path("unpacked.tar");
        self.ask(&["export", "--output", &archive, id.trim()]).unwrap_or_else(|why| panic!("{why}"));
        let done = Command::new("tar").args(["-xf", &archive, "-C"]).arg(folder).status();
        assert!(done.is_ok_and(|status| status.success()), "tar cannot unpack {archive}");
    }

    fn import(&self) -> Result<(), String> {
        let archive = self.path("image.tar");
        let packed = Command::new("sh")
            .args(["-c", r#"tar -chf "$0" -C "$(dirname "$(command -v busybox)")" busybox"#])
            .arg(&archive)
            .status();
        if !packed.is_ok_and(|status| status.success()) {
            return Err("tar cannot pack busybox".to_owned());
        }
        // Told nothing, it stays alive: as the sandbox of a pod does.
        let command = "--change=CMD [\"/busybox\", \"sleep\", \"2147483\"]";
        self.ask(&["import", "--quiet", command, &archive, IMAGE]).map(drop)
    }

    /// What a podman command says; an error where it fails or hangs.
    fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("timeout")
            .args(["60", "podman"])
            .args(self.global())
            .args(arguments)
            .env("CONTAINERS_CONF", self.path("containers.conf"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("timeout: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("podman {}: {}: {}", arguments.join(" "), output.status, text(&output.stderr)))
    }

    /// What each command of this Podman begins with.
    fn global(&self) -> Vec<String> {
        let mut options = vec!["--storage-driver=vfs".to_owned(), "--runtime=runc".to_owned()];
        options.extend(["root", "runroot", "tmpdir"].map(|name| format!("--{name}={}", self.path(name))));
        options
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // An exporter that was killed leaves its container running.
        if let Err(why) = self.ask(&["rm", "--all", "--force", "--time=0"]) {
            eprintln!("{why}");
        }
        clear(&self.parent);
    }
}

impl Container<'_> {
    /// Its id: 64 hex digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// CPU seconds that its cgroup has used.
    pub fn used(&self) -> f64 {
        used(&format!("{}/libpod-{}", self.parent, self.id)).expect("the container's cgroup")
    }

    /// Kills and removes it.
    pub fn remove(self) {}
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Err(why) = self.podman.ask(&["rm", "--force", "--time=0", &self.id]) {
            eprintln!("{why}");
        }
        if self.parent != self.podman.parent {
            clear(&self.parent);
        }
    }
}

/// What a machine without an init, and a user without `CAP_SYS_RESOURCE`, can have; locks and networks of its own.
fn configuration(folder: &Path) -> String {
    format!(
        "[containers]\n\
         pids_limit = 0\n\
         default_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\n\
         log_driver = \"none\"\n\
         [engine]\n\
         cgroup_manager = \"cgroupfs\"\n\
         events_logger = \"none\"\n\
         lock_type = \"file\"\n\
         [network]\n\
         network_config_dir = {:?}\n",
        folder.join("networks")
    )
}
