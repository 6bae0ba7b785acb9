//! A connection's socket: plain TCP, or TLS over it, with one set of verbs.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::wire::pipe::Pipe;

/// One end of a connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    /// Boxed, so that a plain connection has not the size of one with TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Whether its bytes are the messages themselves.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Moves what is there into an empty pipe, at most `most` bytes; 0 at the end. Of a plain socket only.
    pub(crate) fn poll_fill_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp().poll_read_ready(cx))?;
            match self.tcp().try_io(Interest::READABLE, || pipe.fill(self.tcp(), most)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => return Poll::Ready(moved),
            }
        }
    }

    /// Moves what is in a pipe on. Of a plain socket only.
    pub(crate) fn poll_empty_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp().poll_write_ready(cx))?;
            match self.tcp().try_io(Interest::WRITABLE, || pipe.empty(self.tcp())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => return Poll::Ready(moved),
            }
        }
    }

    /// Waits until there may be something to read. A TLS layer may have it already.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(tcp) => tcp.poll_read_ready(cx).map(drop),
            Self::Tls(_) => Poll::Ready(()),
        }
    }

    /// Waits until something may be taken. A TLS layer takes it at once.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(tcp) => tcp.poll_write_ready(cx).map(drop),
            Self::Tls(_) => Poll::Ready(()),
        }
    }

    /// Reads what is there, 0 at the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        let read = match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, &mut into),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, &mut into),
        };
        read.map_ok(|()| into.filled().len())
    }

    /// Writes of `first` and then of `second` as much as the socket takes, which is not nothing.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match self {
            Self::Plain(tcp) if first.is_empty() => Pin::new(tcp).poll_write(cx, second),
            Self::Plain(tcp) if second.is_empty() => Pin::new(tcp).poll_write(cx, first),
            Self::Plain(tcp) => {
                Pin::new(tcp).poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(second)])
            }
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, if first.is_empty() { second } else { first }),
        };
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => written,
        }
    }

    /// Sends what the TLS layer holds.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    /// Whether the peer has hung up. Unlike reading this sees it past bytes that nobody wants yet.
    pub(crate) fn has_hung_up(&self) -> bool {
        let mut asked = [PollFd::new(self.tcp().as_fd(), PollFlags::from_bits_retain(nix::libc::POLLRDHUP))];
        let over = PollFlags::POLLHUP | PollFlags::POLLERR;
        // `None` is the flag asked for: nix has no name for it.
        poll(&mut asked, PollTimeout::ZERO).is_ok()
            && asked[0].revents().is_none_or(|told| told.intersects(over))
    }

    /// Whether the peer has hung up, as far as the runtime has been told: asks the system only if there is news.
    pub(crate) fn is_known_dead(&self) -> bool {
        let tcp = self.tcp();
        let mut one = [MaybeUninit::uninit()];
        match tcp.try_io(Interest::READABLE, || SockRef::from(tcp).peek(&mut one)) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}
