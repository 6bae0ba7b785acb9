//! The head of a request, read strictly: a caller, the front and the relay must never disagree about where a message
//! ends (RFC 9112 §6.3, §11.2), so that what is ambiguous is refused. Pure: bytes in, verdict out.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use smallvec::SmallVec;
use switchboard_fleet::number;

use crate::{
    refusal::Refusal,
    route,
    wire::{
        body::Body,
        field::{Field, Fields, Place, Span},
        name::{Name, Names},
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
    fields: SmallVec<[Place; 12]>,
    /// Which headers there are.
    names: Names,
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
    pub(crate) fn target(&self) -> &[u8] {
        self.target.bytes(&self.bytes)
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        std::str::from_utf8(route::path(self.target())).unwrap_or_default()
    }

    /// Whether there is such a header.
    pub(crate) fn has(&self, name: Name) -> bool {
        self.names.has(name)
    }

    /// All headers as a map.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let named = |field: Field<'_>| {
            Some((HeaderName::from_bytes(field.text).ok()?, HeaderValue::from_bytes(field.value).ok()?))
        };
        let mut map = HeaderMap::new();
        self.fields().filter_map(named).for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    /// A head with these headers, each line ended.
    #[cfg(test)]
    pub(crate) fn of(fields: &str) -> Box<Self> {
        let mut bytes = BytesMut::from(format!("POST / HTTP/1.1\r\n{fields}\r\n").as_bytes());
        Self::take(&mut bytes, HeadLimits { bytes: 1 << 16, headers: HEADERS_MAX }).unwrap().unwrap()
    }
}

impl Fields for Head {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().map(|place| place.field(&self.bytes))
    }

    fn field(&self, name: Name) -> Option<&[u8]> {
        if !self.has(name) {
            return None;
        }
        let place = self.fields.iter().find(|place| place.name == name)?;
        Some(place.field(&self.bytes).value)
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
        names: Names::default(),
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
            let place = Place::of(header.name.as_bytes(), header.value, bytes);
            match place.name {
                Name::ContentLength if length.is_some() => return Err(bad("more than one Content-Length")),
                Name::ContentLength => {
                    let number = content_length(header.value);
                    length = Some(number.ok_or_else(|| bad("Content-Length is no number of bytes"))?);
                }
                Name::TransferEncoding if chunked || !header.value.eq_ignore_ascii_case(b"chunked") => {
                    return Err(bad("Transfer-Encoding other than one chunked"));
                }
                Name::TransferEncoding => chunked = true,
                Name::Connection => self.is_last |= has_token(header.value, b"close"),
                Name::Expect => {
                    self.expects_continue = header.value.eq_ignore_ascii_case(b"100-continue");
                }
                _ => {}
            }
            self.names.insert(place.name);
            self.fields.push(place);
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
    number(value).filter(|_| value.len() <= 19)
}

/// Whether a comma-separated list names `token`.
fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
