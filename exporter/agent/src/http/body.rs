//! A response's body: one piece of shared memory, which tells its connection when it is done with.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::visit::{Fetch, Visit};
use noether_core::snapshot::Generation;

use super::clients::Caller;

/// The body.
#[derive(Debug)]
pub(super) struct Page {
    rest: Bytes,
    /// What is fetched with it, if it is a snapshot.
    generation: Option<Generation>,
    caller: Caller,
    visit: Arc<Visit>,
}

impl Page {
    pub(super) fn new(bytes: Bytes, visit: Arc<Visit>) -> Self {
        Self { rest: bytes, generation: None, caller: Caller::default(), visit }
    }

    /// A snapshot: once it is out, `caller` has fetched `generation`.
    pub(super) fn snapshot(bytes: Bytes, generation: Generation, caller: Caller, visit: Arc<Visit>) -> Self {
        Self { rest: bytes, generation: Some(generation), caller, visit }
    }
}

impl Body for Page {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.rest);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Hyper drops a body once it has taken all of it, or where none is to be sent (`HEAD`, a connection that broke).
impl Drop for Page {
    fn drop(&mut self) {
        let taken = self.generation.filter(|_| self.rest.is_empty());
        let caller = std::mem::take(&mut self.caller);
        self.visit.handed_over(taken.map(|generation| Fetch { generation, caller }));
    }
}
