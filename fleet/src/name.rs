//! Names of servers and instances, as they stand in the configuration and in `X-IWP-Host`.

use std::{fmt, str::FromStr, sync::Arc};

/// A server's public name: `host`, `host:port`, or one of these after `http://` or `https://`.
///
/// Without a scheme it is reached by HTTP; without a port by the scheme's own (80 or 443). Clones share
/// their text. Two names are equal when their texts are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

/// The text is no name of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a server name: expected host, host:port or [ipv6]:port, optionally after http:// or https://")]
pub struct InvalidServerName;

impl ServerName {
    /// The longest name taken: a full DNS name (253), a port and a scheme.
    pub const MAX_LEN: usize = 270;

    /// The text as configured or as it came in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this server is reached by HTTPS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Host and port without the scheme.
    pub fn authority(&self) -> &str {
        let text = self.as_str();
        text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text)
    }

    /// Host without port, without brackets for IPv6.
    pub fn host(&self) -> &str {
        let host = split_authority(self.authority()).map_or("", |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The address of one of this server's routes; `path` starts with `/`.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.is_https() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority())
    }
}

/// Splits `host[:port]`; the host keeps the brackets of an IPv6 address.
fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_host = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
    match authority[after_host..].find(':') {
        None if after_host > 0 && after_host != authority.len() => None,
        None => Some((authority, None)),
        Some(colon) => {
            let (host, port) = authority.split_at(after_host + colon);
            if after_host > 0 && colon > 0 {
                return None;
            }
            let port = &port[1..];
            let plain = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let port = port.parse::<u16>().ok().filter(|p| plain && *p > 0)?;
            Some((host, Some(port)))
        }
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

impl FromStr for ServerName {
    type Err = InvalidServerName;

    fn from_str(text: &str) -> Result<Self, InvalidServerName> {
        let name = Self(text.into());
        match split_authority(name.authority()) {
            Some((host, _)) if text.len() <= Self::MAX_LEN && is_host(host) => Ok(name),
            _ => Err(InvalidServerName),
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for ServerName {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for ServerName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One instance of the fleet: its server and the port that names it there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct InstanceName {
    /// The server it runs on.
    pub server: ServerName,
    /// Its port on that server.
    pub port: u16,
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server, self.port)
    }
}

/// The text is no name of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an instance: expected SERVER/PORT, e.g. eu.example.net/8081")]
pub struct InvalidInstanceName;

impl FromStr for InstanceName {
    type Err = InvalidInstanceName;

    fn from_str(text: &str) -> Result<Self, InvalidInstanceName> {
        let (server, port) = text.rsplit_once('/').ok_or(InvalidInstanceName)?;
        let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
        let port = port.parse().ok().filter(|_| plain).ok_or(InvalidInstanceName)?;
        Ok(Self { server: server.parse().map_err(|_| InvalidInstanceName)?, port })
    }
}

impl fmt::Debug for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are() {
        for (text, host, url) in [
            ("eu.example.net", "eu.example.net", "http://eu.example.net/ping"),
            ("127.0.0.1:8080", "127.0.0.1", "http://127.0.0.1:8080/ping"),
            ("https://eu.example.net", "eu.example.net", "https://eu.example.net/ping"),
            ("http://[::1]:80", "::1", "http://[::1]:80/ping"),
            ("[::1]", "::1", "http://[::1]/ping"),
        ] {
            let name: ServerName = text.parse().unwrap();
            assert_eq!((name.host(), name.url("/ping").as_str()), (host, url));
        }
    }

    #[test]
    fn an_instance_is_a_server_and_a_port() {
        for text in ["eu.example.net/8081", "https://[::1]:8443/1", "127.0.0.1:8080/65535"] {
            let name: InstanceName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
        }
        for text in ["", "a", "a/", "a/0", "a/08081", "a/+1", "a/65536", "/1", "a b/1", "http:/1"] {
            assert_eq!(text.parse::<InstanceName>(), Err(InvalidInstanceName), "{text}");
        }
    }

    #[test]
    fn names_that_are_not() {
        let long = "a".repeat(300);
        for text in [
            "",
            "a b",
            "a/b",
            "a:",
            "a:0",
            "a:70000",
            "a:+80",
            "http://",
            "ftp://a",
            "a\r\nb",
            "[::1",
            "[::1]x:80",
            "user@host",
            "ä.example",
            "a..b",
            "-a",
            "a?b",
            "a#b",
            "a,b",
            "[1.2.3.4]",
            &long,
        ] {
            assert_eq!(text.parse::<ServerName>(), Err(InvalidServerName), "{text:?}");
        }
    }
}
