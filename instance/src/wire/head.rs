//! The head of a request, read strictly: a caller, the front and the relay must never disagree about where a message
//! ends (RFC 9112 §6.3, §11.2), so that what is ambiguous is refused. Pure: bytes in, verdict out.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode};
use smallvec::SmallVec;

use crate::{
    refusal::Refusal,
    route,
    wire::{
        body::Body,
        field::{Fields, Span},
    },
};

/// Most headers of a request that a configuration can allow.
const HEADERS_MAX: usize = 256;

/// The bounds of a request's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// Bytes, request line and empty line included.
    pub(crate) bytes: usize,
    /// Headers.
    pub(crate) headers: usize,
}

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    target: Span,
    fields: SmallVec<[(Span, Span); 16]>,
    bytes: Box<[u8]>,
    /// What follows it.
    pub(crate) body: Body,
    /// Whether the caller waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// Whether this is the last request on its connection.
    pub(crate) is_last: bool,
}

impl Head {
    /// Takes a head from the beginning of `bytes`; `None` if it is not whole.
    ///
    /// # Errors
    /// What is wrong with it. Nothing may be read from these bytes then.
    pub(crate) fn take(bytes: &mut BytesMut, limits: HeadLimits) -> Result<Option<Box<Self>>, Refusal> {
        let Some((used, mut head)) = parse(bytes, limits)? else { return Ok(None) };
        head.bytes = bytes[..used].into();
        bytes.advance(used);
        Ok(Some(head))
    }

    /// What the request is for, as it came.
    pub(crate) fn target(&self) -> &str {
        self.target.text(&self.bytes)
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        route::path(self.target())
    }
}

impl Fields for Head {
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.bytes(&self.bytes), value.bytes(&self.bytes)))
    }
}

/// A head that is not whole has grown to so many bytes.
///
/// # Errors
/// 431 if that is too many.
pub(crate) fn check_size(bytes: usize, limits: HeadLimits) -> Result<(), Refusal> {
    if bytes <= limits.bytes {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head too large").closing())
}

/// Reads one head: its length and what it says, or `None` if it is not whole.
fn parse(bytes: &[u8], limits: HeadLimits) -> Result<Option<(usize, Box<Head>)>, Refusal> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let bad = |reason| Refusal::bad(reason).closing();
    let looked_at = &bytes[..bytes.len().min(limits.bytes)];
    let most = limits.headers.min(HEADERS_MAX);
    let used = match request.parse_with_uninit_headers(looked_at, &mut headers[..most]) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return check_size(bytes.len(), limits).map(|()| None),
        Err(httparse::Error::TooManyHeaders) => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Refusal::new(status, "too many headers").closing());
        }
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => {
            return Err(bad("malformed header"));
        }
        Err(httparse::Error::Version) => return Err(other_version()),
        Err(_) => return Err(bad("malformed request line")),
    };
    if request.version != Some(1) {
        return Err(other_version());
    }
    let target = request.path.unwrap_or_default();
    if !is_plain(target) && target.parse::<http::Uri>().is_err() {
        return Err(bad("malformed request target"));
    }
    let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes());
    let mut head = Box::new(Head {
        method: method.map_err(|_| bad("malformed request line"))?,
        target: Span::of(target.as_bytes(), bytes),
        fields: SmallVec::new(),
        bytes: Box::default(),
        body: Body::EMPTY,
        expects_continue: false,
        is_last: false,
    });
    head.read_fields(request.headers, bytes)?;
    Ok(Some((used, head)))
}

/// Whether a target is a path of letters and digits, as all of ours are: then there is nothing more to look at.
fn is_plain(target: &str) -> bool {
    target.starts_with('/') && target.bytes().all(|byte| byte == b'/' || byte.is_ascii_alphanumeric())
}

fn other_version() -> Refusal {
    Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here").closing()
}

impl Head {
    fn read_fields(&mut self, headers: &[httparse::Header<'_>], bytes: &[u8]) -> Result<(), Refusal> {
        let bad = |reason| Refusal::bad(reason).closing();
        let (mut length, mut chunked) = (None, false);
        for header in headers {
            let is = |name| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                if length.is_some() {
                    return Err(bad("more than one Content-Length"));
                }
                let number = content_length(header.value);
                length = Some(number.ok_or_else(|| bad("Content-Length is no number of bytes"))?);
            } else if is("transfer-encoding") {
                if chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(bad("Transfer-Encoding other than one chunked"));
                }
                chunked = true;
            } else if is("connection") {
                self.is_last |= has_token(header.value, b"close");
            } else if is("expect") {
                self.expects_continue = header.value.eq_ignore_ascii_case(b"100-continue");
            }
            let span = |part| Span::of(part, bytes);
            self.fields.push((span(header.name.as_bytes()), span(header.value)));
        }
        self.body = match (length, chunked) {
            (Some(_), true) => return Err(bad("Content-Length together with Transfer-Encoding")),
            (None, true) => Body::CHUNKED,
            (length, false) => Body::exact(length.unwrap_or(0)),
        };
        Ok(())
    }
}

fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Whether a comma-separated list names `token`.
fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
