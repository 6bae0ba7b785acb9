//! A body as it goes out.

use std::{
    cell::Cell,
    fmt::Write as _,
    rc::Rc,
    task::{Context, Poll},
};

use super::{Outlet, Passage};
use crate::wire::speaker::Speaker;

impl Outlet {
    /// On the line of `speaker`, whose head said how the body is framed: in chunks, or by its length.
    pub(crate) fn new(speaker: Speaker, chunked: bool, counter: Rc<Cell<u64>>) -> Self {
        Self { speaker, chunked, ended: Cell::new(false), counter }
    }

    /// Adds data, and sends what the socket takes.
    pub(crate) fn add(&self, cx: &mut Context<'_>, data: &[u8]) -> Result<(), Passage> {
        let line = self.speaker.line();
        self.counter.set(self.counter.get() + data.len() as u64);
        if !self.chunked {
            return line.push(cx, data).map_err(|_| Passage::ReaderLeft);
        }
        let mut unsent = line.unsent();
        // Writing to memory does not fail.
        let _ = write!(unsent, "{:x}\r\n", data.len());
        unsent.extend_from_slice(data);
        unsent.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The body ends, whoever says so first.
    pub(crate) fn end(&self) {
        if !self.ended.replace(true) && self.chunked {
            self.speaker.line().unsent().extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Sends everything.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Passage>> {
        let line = self.speaker.line();
        self.speaker.speaks(cx.waker());
        if line.is_gone() {
            return Poll::Ready(Err(Passage::ReaderLeft));
        }
        line.poll_flush(cx).map_err(|_| Passage::ReaderLeft)
    }
}
