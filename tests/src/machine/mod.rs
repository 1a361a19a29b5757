//! The simulated machine: a fixture tree that moves as a kernel would move it, and the truth about every joule.

pub mod cgroup;
pub mod driver;
pub mod hardware;
pub mod load;
pub mod model;
pub mod powercap;
pub mod procfs;
pub mod tree;
pub mod truth;

use std::path::{Path, PathBuf};

pub use driver::Simulation;
pub use hardware::{Hardware, Hierarchy};
pub use load::Load;
pub use powercap::Fault;
pub use truth::{Component, Truth};

use model::{Event, Model};
use tempfile::TempDir;
use tree::Tree;

/// A machine under `<root>/{proc,sys}`. It stands still until it is advanced, or animated by [`Simulation`].
#[derive(Debug)]
pub struct Machine {
    model: Model,
    tree: Tree,
    faults: Vec<(String, Fault)>,
    // Dropped last: it removes the folder.
    folder: TempDir,
}

impl Machine {
    /// A machine of this hardware, on which `loads` come and go. The tree stands when this returns, at time 0.
    pub fn new(hardware: Hardware, loads: Vec<Load>) -> Self {
        let folder = scratch();
        let mut tree = Tree::new(folder.path());
        cgroup::mount(&mut tree, &hardware);
        powercap::build(&mut tree, &hardware);
        let mut machine = Self { model: Model::new(hardware), tree, faults: Vec::new(), folder };
        for load in loads {
            machine.model.add(load);
        }
        machine.advance_to(0.0);
        machine
    }

    /// The machine's root folder.
    pub fn root(&self) -> PathBuf {
        self.tree.root().to_owned()
    }

    /// The flags that make an exporter look at this machine.
    pub fn flags(&self) -> Vec<String> {
        flags(self.tree.root())
    }

    /// Seconds since the machine began.
    pub fn now(&self) -> f64 {
        self.model.now()
    }

    /// What every owner has cost up to now.
    pub fn truth(&self) -> &Truth {
        self.model.truth()
    }

    /// Adds a load; its times are seconds since the machine began.
    pub fn add(&mut self, load: Load) {
        self.model.add(load);
    }

    /// Other physics from now on.
    pub fn physics(&mut self, physics: hardware::Physics) {
        self.model.physics(physics);
    }

    /// Takes processors offline, or puts them online again.
    pub fn switch(&mut self, cpus: &[u32], online: bool) {
        self.model.switch(cpus, online);
        self.write();
    }

    /// The tree itself, for contents that no model gives. What is written here stays until the model has something
    /// new for that file.
    pub fn tree(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// From now on this zone of `powercap` misbehaves.
    pub fn inflict(&mut self, zone: &str, fault: Fault) {
        powercap::inflict(&mut self.tree, &self.model, zone, &fault);
        self.faults.retain(|(other, _)| other != zone);
        self.faults.push((zone.to_owned(), fault));
        self.write();
    }

    /// Lets time pass.
    pub fn advance(&mut self, seconds: f64) {
        self.advance_to(self.model.now() + seconds);
    }

    /// Lets time pass until `moment`, through every birth and death on the way.
    pub fn advance_to(&mut self, moment: f64) {
        while let Some(events) = self.model.advance(moment) {
            for event in events {
                self.apply(&event);
            }
        }
        self.write();
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Made(path) => cgroup::make(&mut self.tree, &self.model, path),
            // A kernel's last figures stand before the folder goes: once here, and again at the next write.
            Event::Emptied(path) => {
                cgroup::write(&mut self.tree, &self.model, path);
                self.write();
            }
            Event::Removed(path) => cgroup::remove(&mut self.tree, self.model.hardware(), path),
        }
    }

    /// Writes every counter as it is now: leaf before parent, then the whole, then energy.
    fn write(&mut self) {
        for path in self.model.paths_leaf_first() {
            cgroup::write(&mut self.tree, &self.model, &path);
        }
        procfs::write(&mut self.tree, &self.model);
        powercap::write(&mut self.tree, &self.model, &self.faults);
    }

    /// The folder that goes with the machine; for what else a test wants to put there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The flags that make an exporter look at the machine under `root`.
pub fn flags(root: &Path) -> Vec<String> {
    let at = |name: &str| root.join(name).display().to_string();
    vec![
        format!("--path.procfs={}", at("proc")),
        format!("--path.sysfs={}", at("sys")),
        format!("--path.rootfs={}", root.display()),
        // Where the tests themselves run in a pod, its service account is no business of this machine's.
        format!("--kubernetes.token-file={}", at("token")),
    ]
}

/// A folder in memory where there is one: thousands of small writes a second are no load for a disk to bear. Others may
/// look into it, for exporters that run as nobody.
pub fn scratch() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let memory = Path::new("/dev/shm");
    let folder = TempDir::with_prefix_in("noether-", memory).or_else(|_| TempDir::with_prefix("noether-"));
    let folder = folder.expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    folder
}

/// A figure as a kernel's counter shows it: whole units, without those that only rounding took away.
fn whole(figure: f64) -> u64 {
    (figure + 1e-6) as u64
}

#[cfg(test)]
mod tests;
