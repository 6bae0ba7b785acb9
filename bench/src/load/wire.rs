//! One keep-alive connection, and as much HTTP as a benchmark needs.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    path::Path,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

/// Bytes read at a time while a head is awaited; heads are much shorter.
const BUFFER_BYTES: usize = 16 << 10;
/// Headers of a message.
const HEADERS_MAX: usize = 32;
/// Bytes of a body.
const BODY_MAX: usize = 64 << 20;

/// The path where an instance says how it is.
const STATUS: &str = "/status";

/// A connection.
pub(crate) struct Wire<S = TcpStream> {
    stream: S,
    buffer: Box<[u8]>,
    /// What has been read and not been taken: `buffer[start..end]`.
    start: usize,
    end: usize,
}

/// What a message's head says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// An answer's status; 0 in a request.
    pub(crate) status: u16,
    /// Bytes of the body.
    pub(crate) length: usize,
    /// `X-IWP-RequestId`.
    pub(crate) request_id: Option<String>,
    /// Whether there is an `X-IWP-ProductUnivId`.
    pub(crate) has_customer: bool,
    /// Whether `X-IWP-ResponseType` says that nobody was there.
    pub(crate) nobody: bool,
    /// Whether the connection ends with this message.
    pub(crate) closes: bool,
    /// Whether a request asks an instance how it is.
    pub(crate) is_check: bool,
    /// A request's path; empty in an answer.
    pub(crate) path: String,
    /// `X-IWP-Signature`.
    pub(crate) signature: Option<String>,
    /// Bytes of a request's head; 0 in an answer.
    pub(crate) bytes: usize,
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

/// From bytes to a head and its length, or `None` if it is not whole.
type Parse = fn(&[u8]) -> anyhow::Result<Option<(usize, Head)>>;

fn parse_answer(bytes: &[u8]) -> anyhow::Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(used) = answer.parse(bytes)? else { return Ok(None) };
    Ok(Some((used, facts(answer.headers, answer.code.unwrap_or_default())?)))
}

fn parse_request(bytes: &[u8]) -> anyhow::Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(used) = request.parse(bytes)? else { return Ok(None) };
    let is_check = request.path == Some(STATUS);
    let path = request.path.unwrap_or_default().to_owned();
    Ok(Some((used, Head { is_check, path, bytes: used, ..facts(request.headers, 0)? })))
}

fn facts(headers: &[httparse::Header<'_>], status: u16) -> anyhow::Result<Head> {
    let mut head = Head { status, ..Head::default() };
    for header in headers {
        let value = || std::str::from_utf8(header.value).context("a header that is no text");
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                head.closes = value()?.eq_ignore_ascii_case("close");
            }
            14 if header.name.eq_ignore_ascii_case("content-length") => head.length = value()?.parse()?,
            15 if header.name.eq_ignore_ascii_case("x-iwp-requestid") => {
                head.request_id = Some(value()?.to_owned());
            }
            15 if header.name.eq_ignore_ascii_case("x-iwp-signature") => {
                head.signature = Some(value()?.to_owned());
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                bail!("a body of unknown length, although the length was told");
            }
            18 if header.name.eq_ignore_ascii_case("x-iwp-responsetype") => head.nobody = value()? == "0",
            19 if header.name.eq_ignore_ascii_case("x-iwp-productunivid") => head.has_customer = true,
            _ => {}
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-IWP-RequestId: a-1\r\nX-IWP-ProductUnivId: 7\r\n\r\nabc";
        let (used, head) = parse_answer(text.as_bytes()).unwrap().unwrap();
        assert_eq!(&text[used..], "abc");
        let expected = Head {
            status: 200,
            length: 3,
            request_id: Some("a-1".into()),
            has_customer: true,
            ..Head::default()
        };
        assert_eq!(head, expected);
        for cut in 0..used {
            assert_eq!(parse_answer(&text.as_bytes()[..cut]).unwrap(), None);
        }
    }

    #[test]
    fn nobody_is_told_from_somebody() {
        let head = |text: &str| {
            parse_answer(format!("HTTP/1.1 200 OK\r\n{text}\r\n").as_bytes()).unwrap().unwrap().1
        };
        assert!(head("X-IWP-ResponseType: 0\r\n").nobody);
        assert!(!head("X-IWP-ResponseType: 1\r\n").nobody);
        assert!(!head("").nobody);
    }

    #[test]
    fn checks_and_last_messages_are_told() {
        let head = |path: &str, text: &str| {
            parse_request(format!("GET {path} HTTP/1.1\r\n{text}\r\n").as_bytes()).unwrap().unwrap().1
        };
        assert!(head("/status", "").is_check && !head("/status/1", "").is_check);
        assert!(head("/", "Connection: Close\r\n").closes && !head("/", "Connection: keep-alive\r\n").closes);
    }

    #[test]
    fn bodies_of_unknown_length_are_refused() {
        assert!(parse_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(parse_request(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n").is_err());
    }
}
