//! Blocks of Prometheus' database, made by `promtool` from text.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Seconds of a block: one of the lengths that Prometheus itself makes (2 h times powers of 3), so that blocks do not
/// overlap.
pub(crate) const LENGTH: i64 = 18 * 3600;

/// Writes blocks, two at a time.
#[derive(Debug)]
pub(crate) struct Blocks {
    folder: PathBuf,
    running: Vec<(Child, PathBuf)>,
}

impl Blocks {
    /// Into this folder, which is made anew.
    pub(crate) fn new(folder: &Path) -> Self {
        if folder.exists() {
            fs::remove_dir_all(folder).expect("the old data can be removed");
        }
        fs::create_dir_all(folder).expect("a folder for the data");
        Self { folder: folder.to_owned(), running: Vec::new() }
    }

    /// Makes a block of samples that lie in one [`LENGTH`].
    pub(crate) fn add(&mut self, mut lines: Vec<u8>, number: i64) {
        if lines.is_empty() {
            return;
        }
        lines.extend_from_slice(b"# EOF\n");
        let path = self.folder.with_extension(format!("{number}.openmetrics"));
        fs::write(&path, lines).expect("the samples");
        while self.running.len() >= 2 {
            self.finish();
        }
        let child = Command::new("promtool")
            .args([
                "tsdb",
                "create-blocks-from",
                "--quiet",
                &format!("--max-block-duration={LENGTH}s"),
                "openmetrics",
            ])
            .args([&path, &self.folder])
            .stdout(Stdio::null())
            .spawn()
            .expect("promtool (Debian package prometheus)");
        self.running.push((child, path));
    }

    /// Waits until all are there.
    pub(crate) fn end(mut self) {
        while !self.running.is_empty() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let (mut child, path) = self.running.remove(0);
        let status = child.wait().expect("promtool ends");
        assert!(status.success(), "promtool: {status}; its input stays at {}", path.display());
        fs::remove_file(path).expect("the samples can be removed");
    }
}
