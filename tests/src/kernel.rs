//! Real cgroups of the machine under the test, with real processes in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::outcome::until;

const ROOT: &str = "/sys/fs/cgroup";

/// A real cgroup, in every hierarchy that counts. It is emptied and removed when it is dropped.
#[derive(Debug)]
pub struct Group {
    folders: Vec<PathBuf>,
    children: Vec<Child>,
}

impl Group {
    /// Makes the cgroup at `path` below the root.
    pub fn make(path: &str) -> io::Result<Self> {
        let mut group = Self { folders: Vec::new(), children: Vec::new() };
        for mount in mounts() {
            let folder = mount.join(path);
            fs::create_dir_all(&folder)?;
            group.folders.push(folder);
        }
        Ok(group)
    }

    /// Runs a shell script in it; the shell is inside before the script begins.
    pub fn run(&mut self, script: &str) {
        let enter =
            "for folder; do echo $$ >\"$folder/cgroup.procs\" || exit 1; done; set --; eval \"$SCRIPT\"";
        let child = Command::new("sh")
            .args(["-c", enter, "sh"])
            .args(&self.folders)
            .env("SCRIPT", script)
            .stdin(Stdio::null())
            .spawn()
            .expect("a shell");
        self.children.push(child);
    }

    /// CPU seconds that it has used, its dead children's included.
    pub fn used(&self) -> f64 {
        seconds(&self.folders).expect("CPU time")
    }

    fn pids(&self) -> Vec<Pid> {
        let lists = self.folders.iter().filter_map(|folder| read(&folder.join("cgroup.procs")));
        let all: Vec<String> =
            lists.flat_map(|list| list.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        all.iter().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only what was started in this very cgroup; a script that forks may have to be told more than once.
        until("the cgroup is empty", || {
            let pids = self.pids();
            for pid in &pids {
                let _ = kill_process(*pid, Signal::KILL);
            }
            for child in &mut self.children {
                let _ = child.try_wait();
            }
            pids.is_empty().then_some(())
        });
        for folder in &self.folders {
            remove(folder);
        }
    }
}

/// CPU seconds that the cgroup at `path` has used, its dead children's included; `None` where there is none.
pub fn used(path: &str) -> Option<f64> {
    let folders: Vec<PathBuf> = mounts().iter().map(|mount| mount.join(path)).collect();
    seconds(&folders)
}

/// Removes what a runtime left behind: the cgroup at `path`, those below it and those above, wherever nothing lives in them.
pub fn clear(path: &str) {
    let begun = Instant::now();
    let folders: Vec<PathBuf> = hierarchies().iter().map(|hierarchy| hierarchy.join(path)).collect();
    // What was killed takes a moment to leave.
    while folders.iter().any(|folder| folder.exists()) && begun.elapsed() < Duration::from_secs(3) {
        for folder in &folders {
            remove_tree(folder);
        }
        sleep(Duration::from_millis(20));
    }
    for above in folders.iter().flat_map(|folder| folder.ancestors().skip(1)) {
        // It fails where something is left, and always at a hierarchy's root.
        let _ = fs::remove_dir(above);
    }
}

fn remove_tree(folder: &Path) {
    for inside in fs::read_dir(folder).into_iter().flatten().flatten() {
        if inside.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&inside.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

/// Removes a cgroup, and those above it that are empty now.
fn remove(folder: &Path) {
    let begun = Instant::now();
    while folder.exists() && fs::remove_dir(folder).is_err() && begun.elapsed().as_secs() < 5 {
        sleep(Duration::from_millis(20));
    }
    let above = folder.ancestors().skip(1).take_while(|path| mounts().iter().all(|mount| mount != path));
    for path in above {
        if fs::remove_dir(path).is_err() {
            return;
        }
    }
}

/// Where cgroups are made: the unified tree, and on v1 and hybrid hosts the controllers that are read.
fn mounts() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    if root.join("cgroup.controllers").exists() {
        return vec![root];
    }
    let names = ["cpu", "cpuacct", "memory", "unified"].map(|name| root.join(name));
    let mut mounts: Vec<PathBuf> = names.iter().filter_map(|path| path.canonicalize().ok()).collect();
    mounts.dedup();
    mounts
}

/// Every hierarchy, whether it counts or only confines.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    if root.join("cgroup.controllers").exists() {
        return vec![root];
    }
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    folders
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn seconds(folders: &[PathBuf]) -> Option<f64> {
    let nanoseconds = folders.iter().find_map(|folder| read(&folder.join("cpuacct.usage")));
    let seconds = nanoseconds.and_then(|text| text.trim().parse::<f64>().ok()).map(|used| used / 1e9);
    seconds.or_else(|| folders.iter().find_map(|folder| usage(&folder.join("cpu.stat"))))
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn usage(path: &Path) -> Option<f64> {
    let text = read(path)?;
    let used: f64 = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse().ok()?;
    Some(used / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::cannot_run;

    #[test]
    fn a_group_counts_its_processes_and_goes() {
        let path = format!("noether-test-{}/inner", std::process::id());
        let mut group = match Group::make(&path) {
            Ok(group) => group,
            Err(error) => return cannot_run("a_group_counts_its_processes_and_goes", &error.to_string()),
        };
        group.run("while :; do :; done & while :; do sh -c :; done");
        until("the processes have used time", || (group.used() > 0.05).then_some(()));
        let folders = group.folders.clone();
        drop(group);
        assert!(
            folders.iter().all(|folder| !folder.exists() && !folder.parent().unwrap().exists()),
            "{folders:?}"
        );
    }
}
