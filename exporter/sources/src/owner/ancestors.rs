//! Where a path leads that was read in a cgroup namespace of one's own. Paths of others begin there with `/..`, once for each
//! ancestor of the namespace's root up to the one that both have in common, and lack that one's name.
//!
//! <https://man7.org/linux/man-pages/man7/cgroup_namespaces.7.html>
//!
//! So of all paths that begin with as many `/..` the same is missing, and the longer ones lack less of the same path. What it
//! is, the cgroup tree tells, where it is mounted from the root on.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

/// So many folders are looked at in search of an ancestor, and so deep they may lie: that of kind's kubelet in a container of
/// a host lies four deep.
const MOST_FOLDERS: usize = 20_000;
const DEEPEST: usize = 6;

/// So many times `/..` are believed.
const MOST_UPS: usize = 64;

/// A hierarchy's ancestors of the namespace's root, as far as they are known.
#[derive(Debug)]
pub(super) struct Ancestors {
    cgroupfs: PathBuf,
    /// By the number of `/..`: the path of the ancestor in its hierarchy.
    known: BTreeMap<usize, String>,
    /// By the number of `/..`: how often there was no answer, and how often it was looked for one.
    missed: BTreeMap<usize, (u32, u32)>,
}

impl Ancestors {
    pub(super) fn new(cgroupfs: PathBuf) -> Self {
        Self { cgroupfs, known: BTreeMap::new(), missed: BTreeMap::new() }
    }

    /// The path from the hierarchy's root; `None` where it is not known.
    pub(super) fn whole(&mut self, path: &str) -> Option<String> {
        let mut rest = path.trim_start_matches('/');
        let mut ups = 0;
        while let Some(inner) =
            rest.strip_prefix("..").filter(|inner| inner.is_empty() || inner.starts_with('/'))
        {
            rest = inner.trim_start_matches('/');
            ups += 1;
        }
        if ups == 0 {
            return Some(rest.to_owned());
        }
        if ups > MOST_UPS || rest.is_empty() || rest.split('/').any(|part| part == "..") {
            return None;
        }
        if let Some(whole) = self.ancestor(ups).map(|ancestor| joined(ancestor, rest))
            && self.is_folder(&whole)
        {
            return Some(whole);
        }
        if !self.is_due(ups) {
            return None;
        }
        let ancestor = self.search(rest)?;
        let whole = joined(&ancestor, rest);
        self.missed.remove(&ups);
        self.known.insert(ups, ancestor);
        Some(whole)
    }

    /// The ancestor, if it or one below it is known.
    fn ancestor(&self, ups: usize) -> Option<&str> {
        let (nearest, path) = self.known.range(..=ups).next_back()?;
        (*nearest..ups).try_fold(path.as_str(), |path, _| match path.rsplit_once('/') {
            Some((above, _)) => Some(above),
            None => (!path.is_empty()).then_some(""),
        })
    }

    /// Whether it is worth to search: what was not found is looked for ever more seldom.
    fn is_due(&mut self, ups: usize) -> bool {
        let (misses, searches) = self.missed.entry(ups).or_default();
        *misses = misses.saturating_add(1);
        let due = *misses >= 1_u32.checked_shl(*searches).unwrap_or(u32::MAX);
        *searches += u32::from(due);
        due
    }

    /// The one folder of all that has `rest` below it; `None` where there are two, for then neither is certain.
    fn search(&self, rest: &str) -> Option<String> {
        let mut found: Option<String> = None;
        let mut seen = 0;
        for root in self.roots() {
            let mut folders = VecDeque::from([(String::new(), 0)]);
            while let Some((folder, depth)) = folders.pop_front() {
                seen += 1;
                if seen > MOST_FOLDERS {
                    return found;
                }
                if root.join(&folder).join(rest).is_dir() {
                    if found.as_ref().is_some_and(|other| *other != folder) {
                        return None;
                    }
                    found = Some(folder.clone());
                }
                if depth < DEEPEST {
                    folders.extend(children(&root, &folder).map(|child| (child, depth + 1)));
                }
            }
        }
        found
    }

    /// The roots of the hierarchies.
    fn roots(&self) -> Vec<PathBuf> {
        if self.cgroupfs.join("cgroup.controllers").exists() {
            return vec![self.cgroupfs.clone()];
        }
        let hierarchies = ["cpuacct", "cpu,cpuacct", "unified", "systemd"];
        let roots = hierarchies.map(|hierarchy| self.cgroupfs.join(hierarchy));
        let there: Vec<PathBuf> = roots.into_iter().filter(|root| root.is_dir()).collect();
        if there.is_empty() { vec![self.cgroupfs.clone()] } else { there }
    }

    fn is_folder(&self, path: &str) -> bool {
        self.roots().iter().any(|root| root.join(path).is_dir())
    }
}

fn children(root: &Path, folder: &str) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let folder = folder.to_owned();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(move |name| joined(&folder, &name))
}

fn joined(folder: &str, rest: &str) -> String {
    if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POD: &str = "kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod1.slice";
    const ABOVE: &str = "kubelet.slice/kubelet-kubepods.slice";

    fn tree(folders: &[&str]) -> (tempfile::TempDir, Ancestors) {
        let root = tempfile::tempdir().unwrap();
        for folder in folders {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("cgroup.controllers"), "cpu").unwrap();
        let ancestors = Ancestors::new(root.path().into());
        (root, ancestors)
    }

    #[test]
    fn the_tree_tells_what_a_path_lacks() {
        let (root, mut ancestors) = tree(&[&format!("{ABOVE}/{POD}/a.scope"), "system.slice/x.service"]);
        let mut whole = |path: &str| ancestors.whole(path);
        assert_eq!(whole("/docker/a").as_deref(), Some("docker/a"));
        assert_eq!(whole(&format!("/../../../{POD}/a.scope")), Some(format!("{ABOVE}/{POD}/a.scope")));
        assert_eq!(
            whole("/../../../../../system.slice/x.service").as_deref(),
            Some("system.slice/x.service")
        );
        fs::create_dir_all(root.path().join("kubelet.slice/y.service")).unwrap();
        fs::create_dir_all(root.path().join("other/y.service")).unwrap();
        assert_eq!(whole("/../../../../y.service").as_deref(), Some("kubelet.slice/y.service"), "one above");
        // What is known of one path is known of all with the same beginning, of what is not unique too.
        fs::create_dir_all(root.path().join(format!("{ABOVE}/init.scope"))).unwrap();
        fs::create_dir_all(root.path().join("init.scope")).unwrap();
        assert_eq!(whole("/../../../init.scope"), Some(format!("{ABOVE}/init.scope")));
        assert_eq!(whole("/../../init.scope"), None, "it may be either");
        assert_eq!(
            (whole("/.."), whole("/../../a/../b"), whole("/..a/b")),
            (None, None, Some("..a/b".into()))
        );
    }

    #[test]
    fn what_is_not_there_is_looked_for_ever_more_seldom() {
        let (root, mut ancestors) = tree(&["a"]);
        let whole = |ancestors: &mut Ancestors| ancestors.whole("/../b/c");
        assert_eq!(whole(&mut ancestors), None);
        fs::create_dir_all(root.path().join("a/b/c")).unwrap();
        let later: Vec<_> = (0..3).map(|_| whole(&mut ancestors)).collect();
        assert!(later.contains(&Some("a/b/c".into())), "{later:?}");
        assert_eq!(whole(&mut ancestors).as_deref(), Some("a/b/c"));
    }

    proptest! {
        #[test]
        fn any_path_is_read(path in "(/?[.]{0,3}[a-c]?){0,20}") {
            let (_root, mut ancestors) = tree(&["a/b"]);
            ancestors.whole(&path);
        }
    }
}
