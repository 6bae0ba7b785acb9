//! What is on its way on a line, and where that is kept while a line has nothing on its way.

use std::{cell::RefCell, task::Waker};

use bytes::BytesMut;

use crate::{hub::Answer, wire::body::Body};

/// How many are kept for the next line that needs one.
const SPARES_MAX: usize = 256;
/// Buffers that have grown beyond this are given back.
const KEPT_BYTES: usize = 16 << 10;

/// What is on its way on a line.
#[derive(Debug)]
pub(super) struct Traffic {
    /// Read and not used.
    pub(super) unread: BytesMut,
    /// Said and not sent.
    pub(super) unsent: BytesMut,
    /// What is still to come of the present request's body.
    pub(super) body: Body,
    /// Whether the caller waits to be told to go on with it (RFC 9110 §10.1.1).
    pub(super) continues: bool,
    /// The task that speaks, if it is not the line's own.
    pub(super) speaker: Option<Waker>,
    /// What is to be said when the say comes back.
    pub(super) word: Option<Box<Answer>>,
    /// Bytes in here that are accounted for.
    pub(super) held: usize,
}

impl Traffic {
    fn new() -> Self {
        Self {
            unread: BytesMut::new(),
            unsent: BytesMut::new(),
            body: Body::EMPTY,
            continues: false,
            speaker: None,
            word: None,
            held: 0,
        }
    }

    /// Whether nothing is lost with it.
    pub(super) fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.unsent.is_empty() && self.body.is_over() && self.word.is_none()
    }
}

/// Those that no line needs at the moment.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "they are handed out and taken back as they are")]
pub(super) struct Spares(RefCell<Vec<Box<Traffic>>>);

impl Spares {
    /// An empty one.
    pub(super) fn take(&self) -> Box<Traffic> {
        self.0.borrow_mut().pop().unwrap_or_else(|| Box::new(Traffic::new()))
    }

    /// Takes back one that is empty.
    pub(super) fn put(&self, mut traffic: Box<Traffic>) {
        let mut spares = self.0.borrow_mut();
        let small = |buffer: &BytesMut| buffer.capacity() <= KEPT_BYTES;
        if spares.len() < SPARES_MAX && small(&traffic.unread) && small(&traffic.unsent) {
            (traffic.speaker, traffic.body, traffic.continues) = (None, Body::EMPTY, false);
            spares.push(traffic);
        }
    }
}
