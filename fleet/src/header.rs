//! The protocol's headers (docs/protocol.md), and which headers travel end to end.

use http::{HeaderMap, HeaderName, header};

macro_rules! headers {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: HeaderName = HeaderName::from_static($text);)*

        /// The same as texts, for tables that are made when the program is compiled.
        pub mod text {
            $($(#[$doc])* pub const $name: &str = $text;)*
        }
    };
}

headers! {
    /// Customer ID, decimal.
    PRODUCT_UNIV_ID = "x-iwp-productunivid";
    /// One transaction; chosen by the instance, opaque to clients.
    REQUEST_ID = "x-iwp-requestid";
    /// `0`: no app came (to an agent), no agent there (to an app).
    RESPONSE_TYPE = "x-iwp-responsetype";
    /// On an agent's reply: the status that the app is to see, 200 to 599.
    RESPONSE_CODE = "x-iwp-responsecode";
    /// Why a call failed.
    REASON = "x-iwp-reason";
    /// `1` beside status 504: the agent took the request and did not answer in time.
    IS_RECYCLE = "x-iwp-isrecycle";
    /// A server: of the calling instance, or of the agent's.
    HOST = "x-iwp-host";
    /// A port: of the calling instance, or of the agent's.
    PORT = "x-iwp-port";
    /// Comma-separated servers that an instance knows.
    HOSTS = "x-iwp-hosts";
    /// Comma-separated sibling ports that an instance knows.
    PORTS = "x-iwp-ports";
    /// First ID of a granted range, inclusive.
    RANGE_FROM = "x-iwp-range-from";
    /// Last ID of a granted range, inclusive.
    RANGE_TO = "x-iwp-range-to";
    /// How many IDs are asked for.
    RANGE_SIZE = "x-iwp-range-size";
    /// The newest state of the fleet's ledger of IDs that the sender knows of: epoch, generation, and more.
    RANGE_MARK = "x-iwp-range-mark";
    /// How often an instance's own ledger has been written: as it says on a greeting, and as it is known to whom it greets.
    LEDGER = "x-iwp-ledger";
    /// The instance that is to be the master, as `SERVER/PORT`.
    TO = "x-iwp-to";
    /// The proof that a caller owns a customer ID; never relayed.
    TOKEN = "x-iwp-token";
    /// The proof that a call comes from an instance of this fleet; never relayed.
    SIGNATURE = "x-iwp-signature";
    /// SHA-256 of a signed call's body, in hexadecimal; covered by the signature.
    DIGEST = "x-iwp-digest";
    /// On a signed call: a number at random, so that no two calls have one signature.
    NONCE = "x-iwp-nonce";
    /// When an agent connected, ms since 1970.
    SINCE = "x-iwp-since";
    /// `1`: the sender takes `/announce`.
    ANNOUNCE = "x-iwp-announce";
    /// `1` beside an error: nothing of the request has reached an agent, so that it can be sent again.
    RETRY = "x-iwp-retry";
    /// `1` on a greeting: the sender is about to end.
    LEAVING = "x-iwp-leaving";
    /// The method that an app wants at the agent's local service.
    METHOD = "x-iwp-method";
    /// The path that an app wants at the agent's local service.
    PATH = "x-iwp-path";
    /// The caller's address, set by the front.
    REAL_IP = "x-real-ip";
    /// The addresses that a call passed, set by proxies.
    FORWARDED_FOR = "x-forwarded-for";
}

/// The headers that belong to one connection only (RFC 9110 §7.6.1), and so never cross the relay.
///
/// `content-length` and `expect` are here too: the relay's own HTTP layers speak them with each side.
pub const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header must not cross from one side of a transaction to the other: it belongs to one connection, or is the
/// caller's token or signature.
pub fn is_of_one_side(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str()) || *name == TOKEN || *name == SIGNATURE
}

/// Removes what must not cross from one side of a transaction to the other: hop-by-hop headers, those that
/// `Connection` names, and the caller's token and signature.
pub fn keep_end_to_end(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // Nobody may hide what tells an answer of the fleet from one of the other side.
        .filter(|name| !name.as_str().starts_with("x-iwp-"))
        .collect();
    for name in named {
        headers.remove(name);
    }
    let own: Vec<HeaderName> = headers.keys().filter(|name| is_of_one_side(name)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_end_to_end_headers_stay() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Secret"),
            ("connection", "x-other, x-iwp-path"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("transfer-encoding", "chunked"),
            ("x-iwp-token", "t"),
            ("x-iwp-path", "/a"),
            ("content-type", "text/plain"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        keep_end_to_end(&mut headers);
        let mut left: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-type", "set-cookie", "set-cookie", "x-iwp-path"]);
    }
}
