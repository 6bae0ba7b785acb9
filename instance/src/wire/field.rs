//! The fields of a head ("headers") as they came, and which of them travel from one side of a transaction to the other. Pure.

use bytes::BytesMut;
use http::HeaderMap;
use smallvec::SmallVec;

use crate::wire::{
    head::Head,
    name::{Name, Names, OF_INSTANCES, OF_ONE_SIDE},
};

/// Something that has headers.
pub(crate) trait Fields {
    /// All of them in their order.
    fn fields(&self) -> impl Iterator<Item = Field<'_>>;

    /// The first value of a header.
    fn field(&self, name: Name) -> Option<&[u8]>;
}

impl Fields for HeaderMap {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.iter().map(|(name, value)| {
            let text = name.as_str().as_bytes();
            Field { name: Name::of(text), text, value: value.as_bytes(), rest: &[] }
        })
    }

    fn field(&self, name: Name) -> Option<&[u8]> {
        self.get(name.text()).map(|value| value.as_bytes())
    }
}

/// One header of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) name: Name,
    /// The name as it came, in any case.
    pub(crate) text: &'a [u8],
    pub(crate) value: &'a [u8],
    /// From the name's first byte to whatever comes behind the value; empty if it came otherwise.
    rest: &'a [u8],
}

/// Where in a head's bytes a header is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) name: Name,
    text: Span,
    value: Span,
}

/// A part of a head's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    from: u32,
    to: u32,
}

impl Place {
    /// Where a header is in `whole`, of which its parts are slices.
    pub(super) fn of(text: &[u8], value: &[u8], whole: &[u8]) -> Self {
        Self { name: Name::of(text), text: Span::of(text, whole), value: Span::of(value, whole) }
    }

    pub(super) fn field(self, whole: &[u8]) -> Field<'_> {
        let rest = whole.get(self.text.from as usize..).unwrap_or_default();
        Field { name: self.name, text: self.text.bytes(whole), value: self.value.bytes(whole), rest }
    }
}

impl Span {
    /// Where `part` is in `whole`, of which it is a slice.
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Self {
        let from = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        Self { from: from as u32, to: (from + part.len()) as u32 }
    }

    pub(super) fn bytes(self, whole: &[u8]) -> &[u8] {
        whole.get(self.from as usize..self.to as usize).unwrap_or_default()
    }
}

impl<'a> Field<'a> {
    /// The whole line, if it came as it would be written here.
    fn line(&self) -> Option<&'a [u8]> {
        let value = self.text.len() + 2;
        let line = self.rest.get(..value + self.value.len() + 2)?;
        (line[self.text.len()..].starts_with(b": ")
            && line.ends_with(b"\r\n")
            && line[value..].starts_with(self.value))
        .then_some(line)
    }
}

/// Writes the headers that go to the other side, a line each: the end-to-end ones, without those in `left_out` and without
/// what only an instance may say.
pub(crate) fn pass_on(head: &Head, left_out: Names, to: &mut BytesMut) {
    let stay = OF_ONE_SIDE.and(OF_INSTANCES).and(left_out);
    let hidden = named_by_connection(head);
    for field in head.fields().filter(|field| !stay.has(field.name)) {
        // Nobody may hide what tells an answer of the fleet from one of the other side.
        if !field.name.is_iwp() && hidden.iter().any(|name| field.text.eq_ignore_ascii_case(name)) {
            continue;
        }
        match field.line() {
            Some(line) => to.extend_from_slice(line),
            None => write_line(to, field.text, field.value),
        }
    }
}

/// The names that `Connection` says are of one connection only (RFC 9110 §7.6.1).
fn named_by_connection(head: &Head) -> SmallVec<[&[u8]; 4]> {
    if !head.has(Name::Connection) {
        return SmallVec::new();
    }
    let lists = head.fields().filter(|field| field.name == Name::Connection);
    lists.flat_map(|field| field.value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect()
}

/// Writes the line of a header that is known.
pub(crate) fn write(to: &mut BytesMut, name: Name, value: &[u8]) {
    write_line(to, name.text().as_bytes(), value);
}

/// The same for a number.
pub(crate) fn write_number(to: &mut BytesMut, name: Name, number: u64) {
    write(to, name, itoa::Buffer::new().format(number).as_bytes());
}

/// Writes the line of any header.
pub(crate) fn write_line(to: &mut BytesMut, name: &[u8], value: &[u8]) {
    to.extend_from_slice(name);
    to.extend_from_slice(b": ");
    to.extend_from_slice(value);
    to.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(fields: &str, left_out: Names) -> Vec<String> {
        let head = Head::of(fields);
        let mut passed = BytesMut::new();
        pass_on(&head, left_out, &mut passed);
        std::str::from_utf8(&passed).unwrap().split_terminator("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn only_end_to_end_headers_pass() {
        let fields = "Connection: keep-alive, X-Secret\r\n\
            connection: x-other, x-iwp-path\r\n\
            x-secret: 1\r\nX-Other: 1\r\nTransfer-Encoding: chunked\r\nX-IWP-TOKEN: t\r\nX-Iwp-Host: evil.example\r\n\
            X-IWP-Path: /a\r\nX-Real-IP: 192.0.2.1\r\nkeep-alive: 1\r\nContent-Type: text/plain\r\n\
            Set-Cookie: a\r\nset-cookie: b\r\n";
        let left = ["X-IWP-Path: /a", "Content-Type: text/plain", "Set-Cookie: a", "set-cookie: b"];
        assert_eq!(passed(fields, Names::of(&[Name::RealIp])), left);
        assert!(passed(fields, Names::default()).contains(&"X-Real-IP: 192.0.2.1".to_owned()));
    }

    #[test]
    fn lines_pass_in_one_form() {
        let fields = "A:b\r\nC:  d e \t\r\nF: g\nH:\r\nI: \r\nJ: k\r\n";
        assert_eq!(passed(fields, Names::default()), ["A: b", "C: d e", "F: g", "H: ", "I: ", "J: k"]);
    }
}
