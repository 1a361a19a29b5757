//! Podman with runc, under a root of its own: it shares nothing with the Podman of the machine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::kernel::{clear, used};
use crate::outcome::installed;

/// Where Podman puts the cgroups of its containers, unless it is told otherwise.
pub const PARENT: &str = "libpod_parent";

/// In an image from scratch: one static program.
const IMAGE: &str = "noether-test";

/// A Podman with one image.
#[derive(Debug)]
pub struct Podman {
    folder: TempDir,
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
        let podman = Self { folder: crate::machine::scratch() };
        fs::write(podman.path("containers.conf"), configuration(podman.folder.path()))
            .expect("containers.conf");
        podman.import()?;
        podman.ask(&["run", "--rm", "--network=host", IMAGE, "/busybox", "true"])?;
        Ok(podman)
    }

    /// Runs a shell script in a container whose cgroup lies in `parent`.
    pub fn run(&self, parent: &str, script: &str) -> Container<'_> {
        let mut command = vec!["run", "--detach", "--network=host"];
        let elsewhere = format!("--cgroup-parent=/{parent}");
        command.extend((parent != PARENT).then_some(elsewhere.as_str()));
        command.extend([IMAGE, "/busybox", "sh", "-c", script]);
        let said = self.ask(&command).unwrap_or_else(|why| panic!("{why}"));
        Container { podman: self, id: said.trim().to_owned(), parent: parent.to_owned() }
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
        self.ask(&["import", "--quiet", &archive, IMAGE]).map(drop)
    }

    /// What a podman command says; an error where it fails or hangs.
    fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("timeout")
            .args(["60", "podman", "--storage-driver=vfs", "--runtime=runc"])
            .args(["root", "runroot", "tmpdir"].map(|name| format!("--{name}={}", self.path(name))))
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

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        clear(PARENT);
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
        if self.parent != PARENT {
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
