//! What the fuzz targets of `fuzz/` call: every parser here that meets the network. Not for use.

use bytes::{Buf, BytesMut};
use http::Method;

use crate::{
    announcement, caller,
    refusal::Refusal,
    route,
    wire::{
        body::Body,
        field::{Fields, pass_on},
        head::{Head, HeadLimits},
        name::Names,
    },
};

/// The messages of one connection, found as a connection finds them.
#[derive(Debug)]
pub(crate) struct Messages {
    limits: HeadLimits,
    unread: BytesMut,
    body: Body,
    /// Heads that were whole.
    pub(crate) heads: u32,
    /// All data of all bodies.
    pub(crate) data: Vec<u8>,
}

impl Messages {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { limits, unread: BytesMut::new(), body: Body::EMPTY, heads: 0, data: Vec::new() }
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.unread.extend_from_slice(bytes);
        while !self.unread.is_empty() {
            if self.body.is_over() {
                let Some(head) = Head::take(&mut self.unread, self.limits)? else { return Ok(()) };
                self.body = head.body;
                self.heads += 1;
            } else {
                let piece = self.body.take(&self.unread)?;
                self.data.extend_from_slice(&self.unread[piece.data]);
                self.unread.advance(piece.used);
            }
        }
        Ok(())
    }

    /// Whether the bytes so far end with a message.
    #[cfg(test)]
    pub(crate) fn is_between(&self) -> bool {
        self.unread.is_empty() && self.body.is_over()
    }
}

/// Feeds bytes as a connection does, whole and one by one; both must come to the same verdict.
pub fn framing(bytes: &[u8]) {
    let limits = HeadLimits { bytes: 1024, headers: 16 };
    let mut whole = Messages::new(limits);
    let good = whole.feed(bytes).is_ok();
    let mut single = Messages::new(limits);
    let same = bytes.iter().all(|byte| single.feed(&[*byte]).is_ok());
    // Nonsense in a line that has not ended is seen at once when it comes in one piece.
    assert!(!good || same, "good in one piece, but not byte by byte");
    assert!(!good || (whole.heads, &whole.data) == (single.heads, &single.data));
}

/// Finds the route of a target.
pub fn route(bytes: &[u8]) {
    let _ = route::route(&Method::POST, bytes, 8081);
}

/// Reads the body of `/announce`.
pub fn announcement(bytes: &[u8]) {
    let _ = announcement::parse(bytes);
}

/// Reads the headers of a request, and writes what of them travels on; that is read again.
pub fn headers(bytes: &[u8]) {
    let Some(head) = head_of(bytes, 1 << 16) else { return };
    if caller::check_headers(&*head).is_err() {
        return;
    }
    let _ = (caller::customer(&*head), caller::sender(&head.to_map()));
    let mut passed = BytesMut::new();
    pass_on(&head, Names::default(), &mut passed);
    // A space more for each header, and a CR.
    let again = head_of(&passed, 1 << 17);
    let fields = head.fields().count();
    assert!(
        again.as_ref().is_some_and(|again| again.fields().count() <= fields && again.body == Body::EMPTY)
    );
    let mut twice = BytesMut::new();
    again.iter().for_each(|again| pass_on(again, Names::default(), &mut twice));
    assert!(passed == twice);
}

/// A request with these headers.
fn head_of(fields: &[u8], most: usize) -> Option<Box<Head>> {
    let mut bytes = BytesMut::from(&b"POST / HTTP/1.1\r\n"[..]);
    bytes.extend_from_slice(fields);
    bytes.extend_from_slice(b"\r\n");
    Head::take(&mut bytes, HeadLimits { bytes: most, headers: 64 }).ok().flatten()
}
