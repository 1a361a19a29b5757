//! The machine's own cgroups, where they may be changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use noether_core::sample::Birth;

use super::fixture::{Fixture, options};
use crate::cgroup::CgroupTree;

/// A cgroup of our own; removed at the end.
struct Own(PathBuf);

impl Own {
    fn make(hierarchy: &Path, name: &str) -> Option<Self> {
        let path = hierarchy.join(format!("{name}-{}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                println!("skipped: {}: {error}", path.display());
                None
            }
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for _ in 0..50 {
            match fs::remove_dir(&self.0) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => return,
            }
        }
    }
}

/// Has a process burn CPU time in the cgroup until it has used about 300 ms, and end.
fn burn(cgroup: &Path) {
    let script = "echo $$ > \"$0/cgroup.procs\" && i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    for _ in 0..20 {
        let done =
            Command::new("sh").args(["-c", script]).arg(cgroup).stderr(Stdio::inherit()).status().unwrap();
        assert!(done.success());
        if used(cgroup) > Duration::from_millis(300) {
            return;
        }
    }
}

fn used(cgroup: &Path) -> Duration {
    let text = |name| fs::read_to_string(cgroup.join(name));
    if let Ok(nanos) = text("cpuacct.usage") {
        return Duration::from_nanos(nanos.trim().parse().unwrap());
    }
    let stat = text("cpu.stat").unwrap();
    Duration::from_micros(stat.split_whitespace().nth(1).unwrap().parse().unwrap())
}

/// Born in one tick, burning, emptied and removed, seen through `cgroupfs`.
fn lives_and_dies(cgroupfs: &Path, hierarchy: &Path, final_is_exact: bool) {
    let mut machine = Fixture::v2().machine();
    machine.cgroupfs = cgroupfs.to_owned();
    machine.procfs = "/proc".into();
    let mut tree = CgroupTree::open(&machine, options()).unwrap();
    let mut faults = Vec::new();
    tree.read(&mut faults);
    // On a hybrid machine the same name in the other hierarchy would be its twin.
    let name = if final_is_exact { "wnoether-unified" } else { "wnoether-v1" };
    let Some(own) = Own::make(hierarchy, name) else { return };
    tree.wait(Duration::from_millis(5));
    let find = |tree: &mut CgroupTree| {
        let all: Vec<_> = tree.read(&mut Vec::new()).iter().cloned().enumerate().collect();
        all.into_iter().find(|(id, cgroup)| {
            cgroup.present && tree.path(*id as u32).ends_with(own.0.file_name().unwrap())
        })
    };
    let (id, born) = find(&mut tree).unwrap();
    assert_eq!((born.birth, born.cpu), (Birth::Now, Some(Duration::ZERO)));
    burn(&own.0);
    let (_, cgroup) = find(&mut tree).unwrap();
    let truth = used(&own.0);
    assert_eq!(cgroup.birth, Birth::Earlier);
    assert!(
        cgroup.cpu.unwrap() >= Duration::from_millis(250) && cgroup.cpu.unwrap() <= truth,
        "{cgroup:?}, {truth:?}"
    );
    burn(&own.0);
    let truth = used(&own.0);
    tree.wait(Duration::from_millis(20));
    fs::remove_dir(&own.0).unwrap();
    tree.wait(Duration::from_millis(20));
    let (last, cgroup) = find(&mut tree).unwrap();
    assert_eq!((last, cgroup.gone), (id, true));
    if final_is_exact {
        assert_eq!(cgroup.cpu, Some(truth), "read once more when it emptied");
    } else {
        assert!(cgroup.cpu.unwrap() <= truth);
    }
    assert!(find(&mut tree).is_none());
}

#[test]
fn a_real_v2_cgroup() {
    for root in ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"] {
        if Path::new(root).join("cgroup.controllers").exists() {
            return lives_and_dies(Path::new(root), Path::new(root), true);
        }
    }
    println!("skipped: no unified hierarchy here");
}

#[test]
fn a_real_v1_cgroup() {
    let cpuacct = Path::new("/sys/fs/cgroup/cpuacct");
    if cpuacct.is_dir() {
        lives_and_dies(Path::new("/sys/fs/cgroup"), cpuacct, false);
    } else {
        println!("skipped: no cpuacct hierarchy here");
    }
}
