//! One keep-alive connection, and as much HTTP as a benchmark needs.

use std::{
    io::{self, IoSlice},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UnixStream},
};

use super::head::{Head, Parse, parse_answer, parse_request};

/// Bytes read at a time while a head is awaited; heads are much shorter.
const BUFFER_BYTES: usize = 16 << 10;
/// Bytes of a body.
const BODY_MAX: usize = 64 << 20;

/// A connection.
pub(crate) struct Wire<S = TcpStream> {
    stream: S,
    buffer: Box<[u8]>,
    /// What has been read and not been taken: `buffer[start..end]`.
    start: usize,
    end: usize,
}

/// What a server answers to one `GET`.
///
/// # Errors
/// There is no answer, or its status is not 200.
pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    let mut wire = Wire::open(address).await?;
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes(), &[]).await?;
    let answer = wire.answer().await?;
    let mut body = Vec::new();
    wire.body(answer.length, &mut body).await?;
    if answer.status != 200 {
        bail!("status {} to {path}: {}", answer.status, String::from_utf8_lossy(&body));
    }
    Ok(body)
}

impl Wire {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("{address}: cannot connect"))?;
        Ok(Self::new(stream)?)
    }

    /// Connects from `source`, an address of this machine: each has ports of its own.
    pub(crate) async fn open_from(source: Ipv4Addr, address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into()).with_context(|| format!("{source}: no port is free"))?;
        let stream = socket.connect(address).await;
        Ok(Self::new(stream.with_context(|| format!("{address}: cannot connect from {source}"))?)?)
    }

    /// Connects as from far away: segments of `segment` bytes, as outside, and about `buffer` bytes in the kernel here. Over loopback the
    /// kernel would take megabytes off the server's hands at once, as it reckons in segments of 64 KiB, and nobody were slow.
    pub(crate) async fn open_far(address: SocketAddr, segment: u32, buffer: u32) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket2::SockRef::from(&socket).set_tcp_mss(segment)?;
        socket.set_recv_buffer_size(buffer)?;
        socket.set_send_buffer_size(buffer)?;
        let stream = socket.connect(address).await;
        Ok(Self::new(stream.with_context(|| format!("{address}: cannot connect"))?)?)
    }

    /// Waits until something arrives, and has no buffer meanwhile: for connections that are many and silent.
    /// To be called between messages, as what was read and not taken is lost.
    pub(crate) async fn doze(&mut self) -> io::Result<()> {
        self.buffer = Box::default();
        (self.start, self.end) = (0, 0);
        self.stream.readable().await?;
        self.buffer = vec![0; BUFFER_BYTES].into();
        Ok(())
    }

    /// Takes a connection over.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl Wire<UnixStream> {
    /// Connects to a socket of this machine.
    pub(crate) async fn open_socket(path: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(path).await;
        Ok(Self::over(stream.with_context(|| format!("{}: cannot connect", path.display()))?))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn over(stream: S) -> Self {
        Self { stream, buffer: vec![0; BUFFER_BYTES].into(), start: 0, end: 0 }
    }

    /// Sends a head and a body, in one write if the system takes it.
    pub(crate) async fn send(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let mut pieces = [IoSlice::new(head), IoSlice::new(body)];
        let mut left = &mut pieces[..];
        while !left.is_empty() {
            let sent = self.stream.write_vectored(left).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, sent);
        }
        Ok(())
    }

    /// Reads the head of an answer.
    pub(crate) async fn answer(&mut self) -> anyhow::Result<Head> {
        self.head(parse_answer).await?.context("the connection ended before the answer")
    }

    /// Reads the head of a request; `None` if the peer has gone instead.
    pub(crate) async fn request(&mut self) -> anyhow::Result<Option<Head>> {
        self.head(parse_request).await
    }

    /// Reads a body of `length` bytes into `body`, which is then as long.
    pub(crate) async fn body(&mut self, length: usize, body: &mut Vec<u8>) -> anyhow::Result<()> {
        if length > BODY_MAX {
            bail!("a body of {length} bytes");
        }
        body.resize(length, 0);
        let ready = length.min(self.end - self.start);
        body[..ready].copy_from_slice(&self.buffer[self.start..self.start + ready]);
        self.start += ready;
        self.stream.read_exact(&mut body[ready..]).await.context("the body ended early")?;
        Ok(())
    }

    /// Reads at most `most` bytes of a body, at least one, and forgets them; gives how many.
    pub(crate) async fn skim(&mut self, most: usize) -> anyhow::Result<usize> {
        if self.start == self.end {
            let room = most.min(self.buffer.len());
            self.start = 0;
            self.end = self.stream.read(&mut self.buffer[..room]).await?;
        }
        let some = most.min(self.end - self.start);
        if some == 0 {
            bail!("the body ended early");
        }
        self.start += some;
        Ok(some)
    }

    async fn head(&mut self, parse: Parse) -> anyhow::Result<Option<Head>> {
        loop {
            if let Some((used, head)) = parse(&self.buffer[self.start..self.end])? {
                self.start += used;
                return Ok(Some(head));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let free = &mut self.buffer[self.end..];
            if free.is_empty() {
                bail!("a head of more than {BUFFER_BYTES} bytes");
            }
            match self.stream.read(free).await? {
                0 if self.end == 0 => return Ok(None),
                0 => bail!("the connection ended in a head"),
                more => self.end += more,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{StandIn, echo};

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n";

    #[tokio::test]
    async fn a_connection_that_dozes_wakes_up_with_its_answer() {
        let echo = StandIn::start(echo).await.unwrap();
        let mut wire = Wire::open_from(Ipv4Addr::new(127, 0, 0, 2), echo.address()).await.unwrap();
        let mut body = Vec::new();
        for _ in 0..3 {
            wire.send(HEAD, b"hello").await.unwrap();
            wire.doze().await.unwrap();
            let length = wire.answer().await.unwrap().length;
            wire.body(length, &mut body).await.unwrap();
            assert_eq!(body, b"hello");
        }
    }

    #[tokio::test]
    async fn a_body_can_be_read_in_small_pieces() {
        let echo = StandIn::start(echo).await.unwrap();
        let mut wire = Wire::open_far(echo.address(), 1400, 4096).await.unwrap();
        for _ in 0..3 {
            wire.send(HEAD, b"hello").await.unwrap();
            let mut left = wire.answer().await.unwrap().length;
            while left > 0 {
                let some = wire.skim(left.min(2)).await.unwrap();
                assert!((1..=2).contains(&some));
                left -= some;
            }
        }
    }
}
