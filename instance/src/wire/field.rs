//! The fields of a head ("headers") as they came, and which of them travel from one side of a transaction to the other.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use switchboard_fleet::header;

/// Something that has headers.
pub(crate) trait Fields {
    /// All of them, name and value, in their order. Names are in any case.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])>;

    /// The first value of a header.
    fn field(&self, name: &HeaderName) -> Option<&[u8]> {
        let mut all = self.fields();
        all.find(|(known, _)| known.eq_ignore_ascii_case(name.as_str().as_bytes())).map(|(_, value)| value)
    }

    /// All of them as a map.
    fn to_map(&self) -> HeaderMap {
        let named = |(name, value): (&[u8], &[u8])| {
            Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        let mut map = HeaderMap::new();
        self.fields().filter_map(named).for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }
}

impl Fields for HeaderMap {
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    }
}

/// A part of a head's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    from: u32,
    to: u32,
}

impl Span {
    /// Where `part` is in `whole`, of which it is a slice.
    pub(crate) fn of(part: &[u8], whole: &[u8]) -> Self {
        let from = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        Self { from: from as u32, to: (from + part.len()) as u32 }
    }

    pub(crate) fn bytes(self, whole: &[u8]) -> &[u8] {
        whole.get(self.from as usize..self.to as usize).unwrap_or_default()
    }

    pub(crate) fn text(self, whole: &[u8]) -> &str {
        std::str::from_utf8(self.bytes(whole)).unwrap_or_default()
    }
}

/// Writes the headers that go to the other side, a line each: the end-to-end ones, without what `left_out` names in lower
/// case and without what only an instance may say.
pub(crate) fn pass_on(head: &impl Fields, left_out: &[&[HeaderName]], to: &mut BytesMut) {
    let named: Vec<&[u8]> = head
        .fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    for (name, value) in head.fields() {
        let own = with_lower(name, |name| header::is_of_one_side(name) || is_instances(name));
        let is_named = |known: &&[u8]| name.eq_ignore_ascii_case(known);
        // Nobody may hide what tells an answer of the fleet from one of the other side.
        let hidden = named.iter().any(is_named) && !starts_with_iwp(name);
        if own
            || hidden
            || left_out
                .iter()
                .copied()
                .flatten()
                .any(|out| name.eq_ignore_ascii_case(out.as_str().as_bytes()))
        {
            continue;
        }
        write(to, name, value);
    }
}

/// Writes one header's line.
pub(crate) fn write(to: &mut BytesMut, name: &[u8], value: &[u8]) {
    to.extend_from_slice(name);
    to.extend_from_slice(b": ");
    to.extend_from_slice(value);
    to.extend_from_slice(b"\r\n");
}

/// The same for a number.
pub(crate) fn write_number(to: &mut BytesMut, name: &[u8], number: u64) {
    write(to, name, itoa::Buffer::new().format(number).as_bytes());
}

/// Whether a name, in any case, is one of the protocol's own.
pub(crate) fn starts_with_iwp(name: &[u8]) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"x-iwp-"))
}

/// What only an instance may say: a client that believed the other side's word for it could be sent to any host, token in
/// hand.
fn is_instances(name: &[u8]) -> bool {
    matches!(
        name,
        b"x-iwp-responsetype" | b"x-iwp-isrecycle" | b"x-iwp-retry" | b"x-iwp-host" | b"x-iwp-port"
    )
}

/// Asks about a name in lower case. One that is longer than all that are known stays as it is.
fn with_lower<T>(name: &[u8], ask: impl FnOnce(&[u8]) -> T) -> T {
    let mut lower = [0; 32];
    let Some(lower) = lower.get_mut(..name.len()) else { return ask(name) };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    ask(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_end_to_end_headers_pass() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Secret"),
            ("connection", "x-other, x-iwp-path"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("transfer-encoding", "chunked"),
            ("x-iwp-token", "t"),
            ("x-iwp-host", "evil.example"),
            ("x-iwp-path", "/a"),
            ("x-real-ip", "192.0.2.1"),
            ("content-type", "text/plain"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let mut passed = BytesMut::new();
        pass_on(&headers, &[&[header::REAL_IP]], &mut passed);
        let mut lines: Vec<_> = std::str::from_utf8(&passed).unwrap().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["content-type: text/plain", "set-cookie: a", "set-cookie: b", "x-iwp-path: /a"]);
    }

    #[test]
    fn case_does_not_matter() {
        for name in [&b"Keep-Alive"[..], b"X-IWP-TOKEN", b"Proxy-Connection", b"X-Iwp-Port"] {
            assert!(with_lower(name, |name| header::is_of_one_side(name) || is_instances(name)), "{name:?}");
        }
        let long = "X-".repeat(40);
        assert!(!with_lower(long.as_bytes(), header::is_of_one_side));
        assert!(
            starts_with_iwp(b"X-IWP-Path") && !starts_with_iwp(b"X-IW") && !starts_with_iwp(b"X-Other-Path")
        );
    }
}
