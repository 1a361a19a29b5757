//! The fixture tree: files whose values are rewritten in place, as a reader that holds them open expects of a kernel.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

/// A folder of files, and what was last written into each.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    written: HashMap<PathBuf, String>,
}

impl Tree {
    /// A tree at `<folder>/machine`; new files are prepared beside it.
    pub fn new(folder: &Path) -> Self {
        let root = folder.join("machine");
        fs::create_dir(&root).expect("the machine's root");
        Self { root, written: HashMap::new() }
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes `path` hold `content`. A file that exists keeps its inode.
    pub fn put(&mut self, path: &str, content: &str) {
        let path = self.root.join(path);
        if self.written.get(&path).is_some_and(|last| last == content) {
            return;
        }
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => rewrite(&file, content).unwrap_or_else(|error| fail(&path, &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.appear(&path, content),
            Err(error) => fail(&path, &error),
        }
        self.written.insert(path, content.to_owned());
    }

    /// A new file has its content from the first instant, as in a kernel's file systems.
    fn appear(&self, path: &Path, content: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).unwrap_or_else(|error| fail(path, &error));
        let draft = self.root.with_file_name("draft");
        fs::write(&draft, content).unwrap_or_else(|error| fail(&draft, &error));
        fs::rename(&draft, path).unwrap_or_else(|error| fail(path, &error));
    }

    /// Makes a folder, and those above it.
    pub fn folder(&mut self, path: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(&path).unwrap_or_else(|error| fail(&path, &error));
    }

    /// Makes a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).unwrap_or_else(|error| fail(&path, &error));
        symlink(target, &path).unwrap_or_else(|error| fail(&path, &error));
    }

    /// Removes a file or a whole folder, if it is there.
    pub fn remove(&mut self, path: &str) {
        let path = self.root.join(path);
        self.written.retain(|file, _| !file.starts_with(&path));
        let done = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        done.unwrap_or_else(|error| fail(&path, &error));
    }

    /// Forgets what was written to `path`, so that the next [`Tree::put`] writes whatever it is given.
    pub fn forget(&mut self, path: &str) {
        self.written.remove(&self.root.join(path));
    }
}

/// One write, then a cut if the old content was longer: a reader sees old or new, or for a moment new with an old tail
/// after its newline.
fn rewrite(file: &File, content: &str) -> io::Result<()> {
    file.write_all_at(content.as_bytes(), 0)?;
    if file.metadata()?.len() > content.len() as u64 {
        file.set_len(content.len() as u64)?;
    }
    Ok(())
}

fn fail(path: &Path, error: &io::Error) {
    panic!("{}: {error}", path.display());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_value_changes_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::new(folder.path());
        tree.put("a/b", "1000\n");
        let held = File::open(tree.root().join("a/b")).unwrap();
        tree.put("a/b", "7\n");
        let mut buffer = [0; 16];
        let length = held.read_at(&mut buffer, 0).unwrap();
        assert_eq!(&buffer[..length], b"7\n");
        assert_eq!(held.metadata().unwrap().ino(), fs::metadata(tree.root().join("a/b")).unwrap().ino());
    }

    #[test]
    fn what_is_removed_can_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::new(folder.path());
        tree.put("a/b", "1\n");
        tree.remove("a");
        tree.remove("a");
        assert!(!tree.root().join("a").exists());
        tree.put("a/b", "1\n");
        assert_eq!(fs::read_to_string(tree.root().join("a/b")).unwrap(), "1\n");
    }
}
