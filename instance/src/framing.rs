//! Where messages begin and end on a connection, checked before the HTTP library sees the bytes.
//!
//! The library is lenient where a relay must not be: it takes `Content-Length` beside `Transfer-Encoding`, and answers
//! what it refuses without a reason. A caller, the front and the relay must never disagree about where a message
//! ends (RFC 9112 §6.3, §11.2), so that what is ambiguous is refused here. Pure: bytes in, verdict out.

use http::StatusCode;

use crate::refusal::Refusal;

/// Bytes of chunk extensions and trailers that one body may bring.
const CHUNK_EXTRA_MAX: usize = 4096;
/// Hexadecimal digits of a chunk's size: 2^60 bytes are enough for one.
const CHUNK_DIGITS_MAX: u32 = 15;

/// The bounds of a request's head.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes, request line and empty line included.
    pub bytes: usize,
    /// Headers.
    pub headers: usize,
}

/// Follows the byte stream of one connection.
#[derive(Debug)]
pub struct Framing {
    limits: HeadLimits,
    place: Place,
    /// The beginning of a head that has not arrived whole.
    partial: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Body { left: u64 },
    Chunked(Chunked),
}

/// Where in a chunked body (RFC 9112 §7.1) the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunked {
    part: ChunkPart,
    extra: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkPart {
    Size { value: u64, digits: u32 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataEnd,
    DataEndLf,
    TrailerStart,
    TrailerLine,
    TrailerLineEnd,
    TrailerEnd,
}

/// What the connection is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// Nothing: the next byte begins a head.
    Requests,
    /// A head.
    Head,
    /// A body.
    Body,
}

impl Framing {
    /// A connection before its first byte.
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, place: Place::Head, partial: Vec::new() }
    }

    /// What the bytes so far end in the middle of.
    pub fn between(&self) -> Between {
        match self.place {
            Place::Head if self.partial.is_empty() => Between::Requests,
            Place::Head => Between::Head,
            _ => Between::Body,
        }
    }

    /// Takes the next bytes; gives how many heads they completed.
    ///
    /// # Errors
    /// What is wrong with the first message that is. Nothing may be fed after an error.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<u32, Refusal> {
        let mut heads = 0;
        while !bytes.is_empty() {
            let used = match &mut self.place {
                Place::Head => match self.feed_head(bytes)? {
                    Some(used) => {
                        heads += 1;
                        used
                    }
                    None => return Ok(heads),
                },
                Place::Body { left } => {
                    let used = (*left).min(bytes.len() as u64);
                    *left -= used;
                    if *left == 0 {
                        self.place = Place::Head;
                    }
                    used as usize
                }
                Place::Chunked(chunked) => {
                    let (used, ended) = chunked.feed(bytes)?;
                    if ended {
                        self.place = Place::Head;
                    }
                    used
                }
            };
            bytes = &bytes[used..];
        }
        Ok(heads)
    }

    /// Looks for a whole head at the beginning of what is buffered and `bytes`; gives how many of `bytes` belong to it.
    fn feed_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        if self.partial.is_empty() {
            return match head(bytes, self.limits)? {
                Some((used, place)) => {
                    self.place = place;
                    Ok(Some(used))
                }
                None => {
                    self.partial.extend_from_slice(bytes);
                    Ok(None)
                }
            };
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        // A head ends with a line's end: without one there is nothing new to see, however slowly the bytes drip in.
        if !bytes.contains(&b'\n') {
            return if self.partial.len() > self.limits.bytes { Err(head_too_large()) } else { Ok(None) };
        }
        let Some((used, place)) = head(&self.partial, self.limits)? else { return Ok(None) };
        self.place = place;
        self.partial = Vec::new();
        Ok(Some(used - before))
    }
}

fn head_too_large() -> Refusal {
    Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head too large").closing()
}

fn other_version() -> Refusal {
    Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here").closing()
}

/// Reads one head: its length and what follows it, or `None` if it is not whole.
fn head(bytes: &[u8], limits: HeadLimits) -> Result<Option<(usize, Place)>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut headers[..limits.headers.min(256)]);
    let bad = |reason| Refusal::bad(reason).closing();
    let used = match request.parse(&bytes[..bytes.len().min(limits.bytes)]) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if bytes.len() > limits.bytes => return Err(head_too_large()),
        Ok(httparse::Status::Partial) => return Ok(None),
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
    if request.path.is_none_or(|target| target.parse::<http::Uri>().is_err()) {
        return Err(bad("malformed request target"));
    }
    let mut length = None;
    let mut chunked = false;
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            if length.is_some() {
                return Err(bad("more than one Content-Length"));
            }
            length = Some(
                content_length(header.value).ok_or_else(|| bad("Content-Length is no number of bytes"))?,
            );
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(bad("Transfer-Encoding other than one chunked"));
            }
            chunked = true;
        }
    }
    let place = match (length, chunked) {
        (Some(_), true) => return Err(bad("Content-Length together with Transfer-Encoding")),
        (None, true) => Place::Chunked(Chunked::START),
        (Some(left), false) if left > 0 => Place::Body { left },
        _ => Place::Head,
    };
    Ok(Some((used, place)))
}

fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

impl Chunked {
    const SIZE: ChunkPart = ChunkPart::Size { value: 0, digits: 0 };
    const START: Self = Self { part: Self::SIZE, extra: 0 };

    /// Takes bytes of the body; gives how many it used and whether the body ended with them.
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut used = 0;
        while used < bytes.len() {
            if let ChunkPart::Data { left } = &mut self.part {
                let skip = (*left).min((bytes.len() - used) as u64);
                *left -= skip;
                used += skip as usize;
                if *left == 0 {
                    self.part = ChunkPart::DataEnd;
                }
                continue;
            }
            let ended = self.step(bytes[used])?;
            used += 1;
            if ended {
                return Ok((used, true));
            }
        }
        Ok((used, false))
    }

    /// Takes one byte that is not data; gives whether it ended the body.
    fn step(&mut self, byte: u8) -> Result<bool, Refusal> {
        use ChunkPart::*;
        let bad = || Refusal::bad("malformed chunk").closing();
        self.part = match (self.part, byte) {
            (Size { value, digits }, _) if byte.is_ascii_hexdigit() && digits < CHUNK_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                Size { value: value << 4 | digit, digits: digits + 1 }
            }
            (Size { value: size, digits: 1.. }, b'\r') => SizeEnd { size },
            (Size { value: size, digits: 1.. }, b';' | b' ' | b'\t') => Extension { size },
            (Extension { size }, b'\r') => SizeEnd { size },
            (Extension { .. } | TrailerLine, b'\n') => return Err(bad()),
            (Extension { .. }, _) => self.extra(self.part)?,
            (SizeEnd { size: 0 }, b'\n') => TrailerStart,
            (SizeEnd { size }, b'\n') => Data { left: size },
            (DataEnd, b'\r') => DataEndLf,
            (DataEndLf, b'\n') => Self::SIZE,
            (TrailerStart, b'\r') => TrailerEnd,
            (TrailerStart, b'\n') => return Err(bad()),
            (TrailerLine, b'\r') => TrailerLineEnd,
            (TrailerLineEnd, b'\n') => TrailerStart,
            (TrailerStart | TrailerLine, _) => self.extra(TrailerLine)?,
            (TrailerEnd, b'\n') => return Ok(true),
            _ => return Err(bad()),
        };
        Ok(false)
    }

    fn extra(&mut self, part: ChunkPart) -> Result<ChunkPart, Refusal> {
        self.extra += 1;
        if self.extra > CHUNK_EXTRA_MAX {
            return Err(Refusal::bad("chunk extensions or trailers too long").closing());
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 300, headers: 8 };

    /// Feeds `bytes` cut into pieces of the given sizes; gives the heads found and where the stream ended.
    fn feed_cut(bytes: &[u8], cuts: &[usize]) -> Result<(u32, Between), Refusal> {
        let mut framing = Framing::new(LIMITS);
        let (mut rest, mut heads, mut cuts) = (bytes, 0, cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            heads += framing.feed(piece)?;
            rest = after;
        }
        Ok((heads, framing.between()))
    }

    fn verdict(text: &str) -> Result<(u32, Between), u16> {
        feed_cut(text.as_bytes(), &[text.len().max(1)]).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn messages_that_are() {
        let whole = Ok((1, Between::Requests));
        assert_eq!(verdict("POST / HTTP/1.1\r\n\r\n"), whole);
        assert_eq!(verdict("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), whole);
        assert_eq!(verdict("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"), Ok((1, Between::Body)));
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(verdict(&format!("{chunked}3\r\nabc\r\n0\r\n\r\n")), whole);
        assert_eq!(verdict(&format!("{chunked}3;a=b\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n")), whole);
        assert_eq!(verdict(&format!("{chunked}a\r\n0123456789\r\n")), Ok((1, Between::Body)));
        assert_eq!(verdict("POST / HTT"), Ok((0, Between::Head)));
        assert_eq!(verdict("POST / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\n\r\n"), Ok((2, Between::Requests)));
    }

    #[test]
    fn messages_that_are_not() {
        let head = "POST / HTTP/1.1\r\n";
        for (rest, status) in [
            ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400),
            ("Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400),
            ("Content-Length: 3, 3\r\n\r\n", 400),
            ("Content-Length: +3\r\n\r\n", 400),
            ("Content-Length: \r\n\r\n", 400),
            ("Content-Length: 99999999999999999999\r\n\r\n", 400),
            ("Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("A b: c\r\n\r\n", 400),
            ("Transfer-Encoding : chunked\r\n\r\n", 400),
            ("Transfer-Encoding: chunked\r\n\r\nx", 400),
            ("Transfer-Encoding: chunked\r\n\r\n\r\n", 400),
            ("Transfer-Encoding: chunked\r\n\r\n3\nabc", 400),
            ("Transfer-Encoding: chunked\r\n\r\n3\r\nabcd", 400),
            ("Transfer-Encoding: chunked\r\n\r\n-3\r\n", 400),
            ("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
            ("a: b\r\n\r\nnonsense \u{1} here\r\n\r\n", 400),
            ("a:b\r\na:b\r\na:b\r\na:b\r\na:b\r\na:b\r\na:b\r\na:b\r\na:b\r\n\r\n", 431),
        ] {
            assert_eq!(verdict(&format!("{head}{rest}")), Err(status), "{rest:?}");
        }
        assert_eq!(verdict("POST / HTTP/1.0\r\n\r\n"), Err(505));
        assert_eq!(verdict("POST / HTTP/1.2\r\n\r\n"), Err(505));
        assert_eq!(verdict("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(505));
        assert_eq!(verdict("POST /a<b> HTTP/1.1\r\n\r\n"), Err(400));
        assert_eq!(verdict("POST ? HTTP/1.1\r\n\r\n"), Err(400));
        assert_eq!(verdict("\u{16}\u{3}\u{1}"), Err(400));
        assert_eq!(verdict(&format!("{head}A: {}\r\n\r\n", "x".repeat(300))), Err(431));
        let extension = "x".repeat(CHUNK_EXTRA_MAX + 1);
        assert_eq!(verdict(&format!("{head}Transfer-Encoding: chunked\r\n\r\n1;{extension}")), Err(400));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(
            requests in prop::collection::vec((0usize..3, prop::collection::vec(0usize..40, 0..4)), 1..4),
            tail in prop::collection::vec(any::<u8>(), 0..8),
            cuts in prop::collection::vec(1usize..50, 1..8),
        ) {
            let mut stream = Vec::new();
            for (kind, sizes) in &requests {
                let total: usize = sizes.iter().sum();
                match kind {
                    0 => stream.extend(b"POST /ping HTTP/1.1\r\n\r\n"),
                    1 => {
                        stream.extend(format!("POST / HTTP/1.1\r\ncontent-length: {total}\r\n\r\n").bytes());
                        stream.extend(std::iter::repeat_n(b'\n', total));
                    }
                    _ => {
                        stream.extend(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
                        for size in sizes.iter().filter(|size| **size > 0) {
                            stream.extend(format!("{size:x}\r\n").bytes());
                            stream.extend(std::iter::repeat_n(b'0', *size));
                            stream.extend(b"\r\n");
                        }
                        stream.extend(b"0\r\n\r\n");
                    }
                }
            }
            let good = feed_cut(&stream, &cuts);
            prop_assert_eq!(good, Ok((requests.len() as u32, Between::Requests)));
            // Nonsense is found at the end of its line at the latest.
            stream.extend(tail);
            stream.extend(b"\r\n\r\n");
            prop_assert_eq!(feed_cut(&stream, &cuts).ok(), feed_cut(&stream, &[1]).ok());
        }
    }
}
