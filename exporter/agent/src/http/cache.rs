//! The newest snapshot as it goes over the wire: written and compressed once, however many fetch it.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;

use super::Show;
use super::negotiate::{Encoding, Format};
use noether_core::snapshot::Generation;

/// A snapshot in one format and encoding.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) generation: Generation,
    pub(super) bytes: Bytes,
}

/// The copies of one generation: at most one for each format and encoding.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Copies>);

#[derive(Debug, Default)]
struct Copies {
    made: Vec<(Format, Encoding, Copy)>,
    /// The length of the last page: the next one is about as long.
    length: usize,
}

impl Cache {
    /// The newest snapshot; `None` before the first.
    ///
    /// The lock is held while a copy is made, so that of two who ask at once the second waits instead of making
    /// the same copy again.
    pub(super) fn newest(&self, show: &dyn Show, format: Format, encoding: Encoding) -> Option<Copy> {
        let newest = show.generation()?;
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        copies.made.retain(|(_, _, copy)| copy.generation >= newest);
        let found = copies.made.iter().find(|(form, code, _)| (*form, *code) == (format, encoding));
        if let Some((_, _, copy)) = found {
            return Some(copy.clone());
        }
        let copy = copy(show, format, encoding, &mut copies.length)?;
        copies.made.push((format, encoding, copy.clone()));
        Some(copy)
    }
}

fn copy(show: &dyn Show, format: Format, encoding: Encoding, length: &mut usize) -> Option<Copy> {
    let mut page = Vec::with_capacity(*length + *length / 16);
    let generation = show.render(format, &mut page)?;
    *length = page.len();
    page.shrink_to_fit();
    let bytes = match encoding {
        Encoding::Identity => page,
        Encoding::Gzip => compressed(&page),
    };
    Some(Copy { generation, bytes: bytes.into() })
}

/// At the lowest level: a scrape every few seconds within a node is worth no more processor time.
fn compressed(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 8), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(page);
    encoder.finish().unwrap_or_default()
}
