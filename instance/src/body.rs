//! The bodies of answers.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    relay::{Broken, Relay},
    watch::Busy,
};

/// The body of an answer. While it exists its connection counts as busy.
pub(crate) struct AnswerBody {
    content: Content,
    /// Held for its drop.
    _busy: Option<Busy>,
    /// Held for its drop: what lasts as long as the answer is on its way.
    _lasts: Option<Box<dyn std::any::Any>>,
}

/// What an answer carries.
pub(crate) enum Content {
    /// Nothing.
    Empty,
    /// A text of ours.
    Text(Bytes),
    /// The other side's body.
    Relay(Relay),
}

impl AnswerBody {
    pub(crate) fn new(content: Content) -> Self {
        Self { content, _busy: None, _lasts: None }
    }

    pub(crate) fn empty() -> Self {
        Self::new(Content::Empty)
    }

    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self::new(Content::Text(text.into()))
    }

    /// Keeps `thing` until this answer has been sent or given up.
    pub(crate) fn keeping(mut self, thing: impl std::any::Any) -> Self {
        self._lasts = Some(Box::new(thing));
        self
    }

    /// Keeps the connection marked as busy until this answer has been sent or given up.
    pub(crate) fn busy(mut self, busy: Busy) -> Self {
        self._busy = Some(busy);
        self
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.content {
            Content::Relay(relay) => Pin::new(relay).poll_frame(cx),
            Content::Empty => Poll::Ready(None),
            Content::Text(text) if text.is_empty() => Poll::Ready(None),
            Content::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Relay(relay) => relay.is_end_stream(),
            Content::Empty => true,
            Content::Text(text) => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Relay(relay) => relay.size_hint(),
            Content::Empty => SizeHint::with_exact(0),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
        }
    }
}
