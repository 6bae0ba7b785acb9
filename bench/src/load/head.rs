//! The head of a message, and as much of it as a benchmark needs.

use anyhow::{Context, bail};

/// Headers of a message.
const HEADERS_MAX: usize = 32;
/// The path where an instance says how it is.
const STATUS: &str = "/status";

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

/// From bytes to a head and its length, or `None` if it is not whole.
pub(crate) type Parse = fn(&[u8]) -> anyhow::Result<Option<(usize, Head)>>;

pub(crate) fn parse_answer(bytes: &[u8]) -> anyhow::Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(used) = answer.parse(bytes)? else { return Ok(None) };
    Ok(Some((used, facts(answer.headers, answer.code.unwrap_or_default())?)))
}

pub(crate) fn parse_request(bytes: &[u8]) -> anyhow::Result<Option<(usize, Head)>> {
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
