//! One connection: its socket, what was read from it and not used, what was said on it and not sent, and who may speak.
//!
//! Two tasks may have to do with a line at a time, on the one thread of an instance. Its own task reads from it. What is
//! written comes from whoever has the say: its own task, or, while it is lent, the holder of the
//! [`Speaker`](super::speaker::Speaker).

use std::{
    cell::{Cell, Ref, RefCell, RefMut},
    io,
    net::IpAddr,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, BytesMut};

use crate::{
    hub::Answer,
    server::Place,
    wire::{
        body::Body,
        pipe::Pipe,
        socket::Socket,
        speaker::Speaker,
        traffic::Traffic,
        watch::{Doing, Expired, Watched},
    },
};

/// Bytes that are read ahead while a request is answered; what comes then waits in the system.
const AHEAD_MAX: usize = 8 << 10;

/// What is read at once where no body is expected: of a long one most is to be passed on as it is read, and not kept.
const FILL_MAX: usize = 16 << 10;
/// Up to this, data is copied behind a head: two writes, or one of two pieces, cost more.
const TOGETHER_MAX: usize = 8 << 10;

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

/// Who may speak on a line, and how it came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    /// Its own task.
    Own,
    /// The holder of the speaker, who has said nothing yet.
    Lent,
    /// The holder of the speaker, in the middle of an answer.
    Begun,
    /// It came back.
    Back(Back),
}

/// How the say on a line came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// Nothing was said.
    Unused,
    /// This is to be said: see [`Line::take_word`].
    Word,
    /// A whole answer has been said.
    Whole,
    /// An answer broke off in the middle.
    Cut,
}

/// What ended a wait for the say on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Back(Back),
    Expired(Expired),
    /// The peer has hung up.
    PeerLeft,
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

/// Reading: by the line's own task.
impl Line {
    /// Reads once and shows `see` what came, empty at the end.
    pub(crate) fn poll_read<T>(
        &self,
        cx: &mut Context<'_>,
        most: usize,
        see: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        let mut scratch = self.watched.lines().scratch.borrow_mut();
        let most = most.min(scratch.len());
        let into = &mut scratch[..most];
        self.socket.borrow_mut().poll_read(cx, into).map_ok(|bytes| see(&into[..bytes]))
    }

    /// Reads once, into what is unread; `false` at the end.
    pub(crate) fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.poll_fill_at_most(cx, FILL_MAX)
    }

    fn poll_fill_at_most(&self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<bool>> {
        self.poll_read(cx, most, |bytes| {
            if !bytes.is_empty() {
                self.unread().extend_from_slice(bytes);
            }
            !bytes.is_empty()
        })
    }

    /// Moves what comes into an empty pipe, at most `most` bytes.
    ///
    /// # Errors
    /// The peer has left.
    pub(super) fn poll_fill_pipe(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        most: u64,
    ) -> Poll<io::Result<u64>> {
        let moved = self.socket.borrow_mut().poll_fill_pipe(cx, pipe, most);
        self.watched.reading(moved.is_pending());
        moved.map(|moved| match moved? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => Ok(bytes as u64),
        })
    }

    /// Waits until the say comes back, while the peer is listened to: what it says meanwhile is for later.
    pub(crate) fn poll_back(&self, cx: &mut Context<'_>) -> Poll<Waited> {
        if let Some(back) = self.take_back() {
            return Poll::Ready(Waited::Back(back));
        }
        if let Some(expired) = self.watched.expired(cx.waker()) {
            return Poll::Ready(Waited::Expired(expired));
        }
        while !self.is_ahead_full() {
            match self.poll_fill_at_most(cx, AHEAD_MAX - self.ahead()) {
                Poll::Pending => break,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false) | Err(_)) => return Poll::Ready(Waited::PeerLeft),
            }
        }
        self.account();
        Poll::Pending
    }

    /// Whether nothing more is read ahead.
    pub(crate) fn is_ahead_full(&self) -> bool {
        self.ahead() >= AHEAD_MAX
    }

    /// Bytes that were read and not used.
    pub(crate) fn ahead(&self) -> usize {
        self.traffic.borrow().as_ref().map_or(0, |traffic| traffic.unread.len())
    }
}

/// Speaking: by whoever has the say.
impl Line {
    /// Gives the say away.
    pub(crate) fn lend(self: &Rc<Self>) -> Speaker {
        self.say.set(Say::Lent);
        Speaker::new(self.clone())
    }

    /// The holder of the say begins an answer.
    pub(super) fn begin(&self) {
        self.say.set(Say::Begun);
        self.watched.begin(Doing::Busy);
    }

    /// Whether nothing has been said about the present request.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.say.get(), Say::Own | Say::Lent)
    }

    /// Whether an answer has begun that another gives.
    pub(super) fn has_begun(&self) -> bool {
        self.say.get() == Say::Begun
    }

    /// Whether another has the say.
    pub(super) fn is_lent(&self) -> bool {
        matches!(self.say.get(), Say::Lent | Say::Begun)
    }

    /// The say comes back.
    pub(super) fn come_back(&self, back: Back, word: Option<Answer>) {
        if let Some(word) = word {
            self.traffic().word = Some(Box::new(word));
        }
        self.say.set(Say::Back(back));
        self.watched.wake();
    }

    /// How the say came back, if it has; from then on it is the line's own.
    pub(crate) fn take_back(&self) -> Option<Back> {
        let Say::Back(back) = self.say.get() else { return None };
        self.say.set(Say::Own);
        Some(back)
    }

    /// Whether the say came back like this.
    pub(crate) fn is_back(&self, how: Back) -> bool {
        self.say.get() == Say::Back(how)
    }

    /// What is to be said after [`Back::Word`].
    pub(crate) fn take_word(&self) -> Option<Answer> {
        self.traffic().word.take().map(|word| *word)
    }

    /// What is to be sent, to which more can be added.
    pub(crate) fn unsent(&self) -> RefMut<'_, BytesMut> {
        RefMut::map(self.traffic(), |traffic| &mut traffic.unsent)
    }

    /// Adds `data` to what is unsent, and may send of that at once what the socket takes. What is left waits for
    /// [`Line::poll_flush`].
    ///
    /// # Errors
    /// The peer has left.
    pub(crate) fn push(&self, cx: &mut Context<'_>, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let mut traffic = self.traffic();
        if data.len() <= TOGETHER_MAX && !traffic.unsent.is_empty() {
            traffic.unsent.extend_from_slice(data);
            return Ok(());
        }
        let sent = match self.socket.borrow_mut().poll_write(cx, &traffic.unsent, data) {
            Poll::Ready(sent) => sent?,
            Poll::Pending => 0,
        };
        let old = sent.min(traffic.unsent.len());
        traffic.unsent.advance(old);
        traffic.unsent.extend_from_slice(&data[sent - old..]);
        Ok(())
    }

    /// Sends what is unsent, all of it.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.socket.borrow_mut();
        let mut traffic = self.traffic.borrow_mut();
        let Some(traffic) = traffic.as_mut() else { return Poll::Ready(Ok(())) };
        while !traffic.unsent.is_empty() {
            match socket.poll_write(cx, &traffic.unsent, &[]) {
                Poll::Ready(sent) => traffic.unsent.advance(sent?),
                Poll::Pending => {
                    self.watched.writing(true);
                    return Poll::Pending;
                }
            }
            self.watched.writing(false);
        }
        // A TLS layer takes more than the peer does.
        let flushed = socket.poll_flush(cx);
        self.watched.writing(flushed.is_pending());
        flushed
    }

    /// Sends all that is in a pipe. Nothing may be unsent.
    pub(super) fn poll_empty_pipe(&self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<()>> {
        while !pipe.is_empty() {
            let moved = self.socket.borrow_mut().poll_empty_pipe(cx, pipe);
            self.watched.writing(moved.is_pending());
            ready!(moved)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether something is unsent.
    pub(super) fn is_unsent(&self) -> bool {
        self.traffic.borrow().as_ref().is_some_and(|traffic| !traffic.unsent.is_empty())
    }

    /// Whether its bytes are the messages themselves.
    pub(super) fn is_plain(&self) -> bool {
        self.socket.borrow().is_plain()
    }

    /// Remembers the task that speaks, so that it learns when the line is given up.
    pub(super) fn spoken_by(&self, waker: &Waker) {
        let mut traffic = self.traffic();
        if !traffic.speaker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            traffic.speaker = Some(waker.clone());
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.borrow_mut().poll_shutdown(cx)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(traffic) = self.traffic.get_mut() {
            self.watched.holds(traffic.held, 0);
        }
    }
}
