//! A response's body: one piece of shared memory, which tells its connection when the last of it was written.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Buf, Bytes, Frame, SizeHint};
use noether_core::snapshot::Generation;

use super::clients::Caller;
use super::visit::{Answer, Fetch};

/// The body.
#[derive(Debug)]
pub(super) struct Page(Option<Piece>);

impl Page {
    pub(super) fn new(rest: Bytes, answer: Answer) -> Self {
        Self((!rest.is_empty()).then_some(Piece { rest, answer: Some(answer) }))
    }

    /// A snapshot: once it is out, `caller` has fetched `generation`.
    pub(super) fn snapshot(bytes: Bytes, generation: Generation, caller: Caller, mut answer: Answer) -> Self {
        answer.fetch = Some(Fetch { generation, caller });
        Self::new(bytes, answer)
    }

    /// None of it is to be sent. Returns how long it would have been.
    pub(super) fn withhold(&mut self) -> usize {
        self.0.take().map_or(0, |piece| piece.rest.len())
    }
}

impl Body for Page {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        Poll::Ready(self.0.take().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |piece| piece.rest.len() as u64))
    }
}

/// What is left to be written.
///
/// Hyper takes a body at once, but over HTTP/2 the client's window decides when it is written, and other streams' frames
/// are flushed in the meantime. So not the taking of the body counts, but that of its last byte.
#[derive(Debug)]
pub(super) struct Piece {
    rest: Bytes,
    answer: Option<Answer>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.rest
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
        if self.rest.is_empty()
            && let Some(answer) = self.answer.take()
        {
            answer.taken();
        }
    }
}
