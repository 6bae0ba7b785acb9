//! Addresses of pages and pictures.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what RFC 3986 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as a part of a path or a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// A worker's page. A name that no path can carry, as browsers take it for a way through folders, leads to its log instead.
pub(crate) fn worker(name: &str) -> String {
    match name {
        "" | "." | ".." => format!("/log{}", query(&[("worker", name)])),
        _ => format!("/workers/{}", encode(name)),
    }
}

/// An incident's page.
pub(crate) fn incident(id: &str) -> String {
    format!("/incidents/{}", encode(id))
}

/// `?a=b&c=d`, without pairs whose value is empty; empty if there is none.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={}", encode(value)))
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_place() {
        assert_eq!(worker("eu.example.net/8081"), "/workers/eu.example.net%2F8081");
        assert_eq!(worker("../a?b#c"), "/workers/..%2Fa%3Fb%23c");
        assert_eq!(worker(".."), "/log?worker=..");
        assert_eq!(worker("\"><é"), "/workers/%22%3E%3C%C3%A9");
        assert_eq!(incident("1a-2"), "/incidents/1a-2");
        assert_eq!(query(&[("a", "b&c"), ("d", "")]), "?a=b%26c");
        assert_eq!(query(&[]), "");
    }
}
