//! One connection: its socket, what was read from it and not used, what was said on it and not sent, and who may speak.
//!
//! Two tasks may have to do with a line at a time, on the one thread of an instance. Its own task reads from it. What is
//! written comes from whoever has the say: its own task, or, while it is lent, the holder of the
//! [`Speaker`](super::speaker::Speaker).

mod reading;
mod speaking;

use std::{
    cell::{Cell, Ref, RefCell, RefMut},
    net::IpAddr,
    rc::Rc,
};

use bytes::BytesMut;

use crate::{
    server::Place,
    wire::{body::Body, socket::Socket, traffic::Traffic, watch::Watched},
};

pub(crate) use reading::Waited;
pub(crate) use speaking::Back;
use speaking::Say;

/// One connection.
pub(crate) struct Line {
    socket: RefCell<Socket>,
    pub(crate) watched: Watched,
    /// The other end.
    pub(crate) peer: IpAddr,
    /// Held for its drop.
    _place: Place,
    say: Cell<Say>,
    /// Nothing more can be said: the peer has left, or the line was given up.
    gone: Cell<bool>,
    /// Whether it ends with the answer it is at.
    is_last: Cell<bool>,
    /// Gone while there is nothing in it: most lines wait most of the time.
    traffic: RefCell<Option<Box<Traffic>>>,
}

impl Line {
    /// `place` is kept as long as the line.
    pub(crate) fn new(socket: Socket, peer: IpAddr, watched: Watched, place: Place) -> Rc<Self> {
        Rc::new(Self {
            socket: RefCell::new(socket),
            watched,
            peer,
            _place: place,
            say: Cell::new(Say::Own),
            gone: Cell::new(false),
            is_last: Cell::new(false),
            traffic: RefCell::default(),
        })
    }

    pub(crate) fn socket(&self) -> Ref<'_, Socket> {
        self.socket.borrow()
    }

    fn traffic(&self) -> RefMut<'_, Traffic> {
        RefMut::map(self.traffic.borrow_mut(), |traffic| {
            &mut **traffic.get_or_insert_with(|| self.watched.lines().spares.take())
        })
    }

    /// What was read and not used.
    pub(crate) fn unread(&self) -> RefMut<'_, BytesMut> {
        RefMut::map(self.traffic(), |traffic| &mut traffic.unread)
    }

    /// What is still to come of the present request's body.
    pub(crate) fn body(&self) -> RefMut<'_, Body> {
        RefMut::map(self.traffic(), |traffic| &mut traffic.body)
    }

    /// A request has come; `continues` says whether its caller waits to be told to go on with the body.
    pub(crate) fn expect(&self, body: Body, continues: bool) {
        let mut traffic = self.traffic();
        (traffic.body, traffic.continues) = (body, continues && !body.is_over());
    }

    /// Whether the caller waits to be told to go on with the body.
    pub(crate) fn waits_to_go_on(&self) -> bool {
        self.traffic().continues
    }

    /// The caller does not wait for that any more. Gives whether it did.
    pub(super) fn take_continues(&self) -> bool {
        std::mem::take(&mut self.traffic().continues)
    }

    /// Whether all of the present request has been read.
    pub(crate) fn is_request_over(&self) -> bool {
        self.traffic.borrow().as_ref().is_none_or(|traffic| traffic.body.is_over())
    }

    /// Gives back what memory is not needed between requests and in long waits.
    pub(crate) fn rest(&self) {
        self.account();
        let traffic = self.traffic.borrow_mut().take_if(|traffic| traffic.is_empty());
        if let Some(traffic) = traffic {
            self.watched.lines().spares.put(traffic);
        }
    }

    /// Tells the whole instance how much this line holds.
    pub(crate) fn account(&self) {
        if let Some(traffic) = self.traffic.borrow_mut().as_mut() {
            let now = traffic.unread.len() + traffic.unsent.len();
            self.watched.holds(traffic.held, now);
            traffic.held = now;
        }
    }

    /// The line ends with the answer it is at.
    pub(crate) fn end_after_this(&self) {
        self.is_last.set(true);
    }

    /// Whether the line ends with the answer it is at.
    pub(crate) fn is_last(&self) -> bool {
        self.is_last.get()
    }

    /// Nothing more can be said here; whoever speaks is told.
    pub(crate) fn give_up(&self) {
        self.gone.set(true);
        if let Some(speaker) = self.traffic.borrow_mut().as_mut().and_then(|traffic| traffic.speaker.take()) {
            speaker.wake();
        }
    }

    /// Whether nothing more can be said here.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Whether nothing more can be said here, or the system knows that the peer has left.
    pub(crate) fn is_dead(&self) -> bool {
        self.gone.get() || self.socket.borrow().is_known_dead()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(traffic) = self.traffic.get_mut() {
            self.watched.holds(traffic.held, 0);
        }
    }
}
