//! What the fuzz targets of `fuzz/` call: every parser here that meets the network. Not for use.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::{
    announcement, caller,
    framing::{Framing, HeadLimits},
    route,
};

/// Feeds bytes as a connection does, whole and one by one; both must come to the same verdict.
pub fn framing(bytes: &[u8]) {
    let limits = HeadLimits { bytes: 1024, headers: 16 };
    let whole = Framing::new(limits).feed(bytes).ok();
    let mut framing = Framing::new(limits);
    let mut heads = Some(0);
    for byte in bytes {
        heads = heads.and_then(|heads| framing.feed(&[*byte]).ok().map(|more| heads + more));
    }
    // Nonsense in a line that has not ended is seen at once when it comes in one piece.
    assert!(whole.is_none() || whole == heads, "{whole:?} in one piece, {heads:?} byte by byte");
}

/// Finds the route of a target.
pub fn route(bytes: &[u8]) {
    if let Some(target) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()) {
        let _ = route::route(&Method::POST, &target, 8081);
    }
}

/// Reads the body of `/announce`.
pub fn announcement(bytes: &[u8]) {
    let _ = announcement::parse(bytes);
}

/// Reads headers: a line each, name and value apart by a colon.
pub fn headers(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = parts.next().and_then(|value| HeaderValue::from_bytes(value).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if caller::check_headers(&headers).is_ok() {
        let _ = (caller::customer(&headers), caller::sender(&headers));
    }
}
