//! What an instance itself says, and the parts of a head that all answers have.

use bytes::BytesMut;
use http::StatusCode;

use crate::{
    hub::Answer,
    wire::{body::Body, field, line::Line, name::Name},
};

/// Room for a head.
const HEAD_BYTES: usize = 512;

/// Writes an answer of the instance's own, head and text.
pub(crate) fn write(answer: &Answer, line: &Line) {
    let mut to = line.unsent();
    status_line(answer.status(), &mut to);
    for (name, value) in answer.headers() {
        field::write_line(&mut to, name.as_str().as_bytes(), value.as_bytes());
    }
    if has_body(answer.status()) {
        length(&Body::exact(answer.body().len() as u64), &mut to);
    }
    date(line, &mut to);
    end_head(line, &mut to);
    to.extend_from_slice(answer.body());
}

/// Ends a head, with what the connection itself has to say.
pub(super) fn end_head(line: &Line, to: &mut BytesMut) {
    if line.is_last() {
        to.extend_from_slice(b"connection: close\r\n");
    }
    to.extend_from_slice(b"\r\n");
}

/// Writes the first line of an answer.
pub(crate) fn status_line(status: StatusCode, to: &mut BytesMut) {
    // Enough for most heads, so that they grow once.
    to.reserve(HEAD_BYTES);
    to.extend_from_slice(b"HTTP/1.1 ");
    to.extend_from_slice(status.as_str().as_bytes());
    to.extend_from_slice(b" ");
    to.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    to.extend_from_slice(b"\r\n");
}

/// Writes how long the body is.
pub(crate) fn length(body: &Body, to: &mut BytesMut) {
    match body.left() {
        Some(bytes) => field::write_number(to, Name::ContentLength, bytes),
        None => to.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
}

/// Writes the present time.
pub(crate) fn date(line: &Line, to: &mut BytesMut) {
    field::write(to, Name::Date, line.watched.lines().date().as_bytes());
}

/// Whether an answer of this status has a body at all (RFC 9110 §6.4.1).
pub(crate) fn has_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
