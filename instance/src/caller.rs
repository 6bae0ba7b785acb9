//! Who is calling, and what the call's own headers say. Whatever is wrong here is refused before anything changes.

use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

use http::{HeaderMap, Method, StatusCode};
use smallvec::SmallVec;
use switchboard_fleet::{
    Age, CustomerId, InstanceName, KeyRing, ServerName, SignatureError,
    config::{Admit, Config},
};

use crate::{
    refusal::Refusal,
    wire::{
        field::Fields,
        name::{Name, Names},
    },
};

/// Bytes of one `X-IWP-*` header; the lists of names may be longer.
const VALUE_MAX: usize = 1024;

/// How a call between instances was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is signed with a key of this fleet.
    Signed,
    /// It comes from a network that is configured to need no signature.
    Legacy,
}

/// Checks every `X-IWP-*` header: given once, visible ASCII, not too long.
pub(crate) fn check_headers(headers: &impl Fields) -> Result<(), Refusal> {
    let mut known = Names::default();
    let mut others: SmallVec<[&[u8]; 4]> = SmallVec::new();
    for field in headers.fields().filter(|field| field.name.is_iwp()) {
        let again = match field.name {
            Name::OtherIwp => others.iter().any(|other| other.eq_ignore_ascii_case(field.text)),
            name => known.has(name),
        };
        if again {
            return Err(Refusal::bad("an X-IWP-* header is given more than once"));
        }
        match field.name {
            Name::OtherIwp => others.push(field.text),
            name => known.insert(name),
        }
        // All of them, not up to the first that is wrong: so it is done many at a time.
        if !field.value.iter().fold(true, |visible, byte| visible & (b' '..=b'~').contains(byte)) {
            return Err(Refusal::bad("an X-IWP-* header is not visible ASCII"));
        }
        if field.value.len() > VALUE_MAX && !matches!(field.name, Name::Hosts | Name::Ports | Name::Path) {
            return Err(Refusal::bad("an X-IWP-* header is too long"));
        }
    }
    Ok(())
}

/// The text of a header that [`check_headers`] has passed.
pub(crate) fn text(headers: &impl Fields, name: Name) -> Option<&str> {
    headers.field(name).and_then(|value| std::str::from_utf8(value).ok())
}

/// The number in a header, if it is there.
pub(crate) fn number(headers: &impl Fields, name: Name) -> Result<Option<u64>, Refusal> {
    let Some(text) = text(headers, name) else { return Ok(None) };
    let number = switchboard_fleet::number(text.as_bytes());
    number.map(Some).ok_or_else(|| Refusal::bad(format!("{} is no number", name.text())))
}

/// The customer whom the call is about.
pub(crate) fn customer(headers: &impl Fields) -> Result<CustomerId, Refusal> {
    let digits =
        headers.field(Name::ProductUnivId).ok_or_else(|| Refusal::bad("X-IWP-ProductUnivId is missing"))?;
    CustomerId::from_digits(digits).map_err(|error| Refusal::bad(format!("X-IWP-ProductUnivId is {error}")))
}

/// How an agent has shown that it is who it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// By the fleet's present key.
    New,
    /// By an older key of the fleet: the agent is to get a new token.
    Old,
    /// Not at all; it is an agent of the original service.
    None,
}

/// Checks that the caller owns `id`.
///
/// # Errors
/// 401.
pub(crate) fn check_token(
    headers: &impl Fields,
    id: CustomerId,
    keys: &KeyRing,
    admit: &Admit,
) -> Result<Token, Refusal> {
    let wrong = |reason| Refusal::new(StatusCode::UNAUTHORIZED, reason);
    match headers.field(Name::Token) {
        Some(token) => match keys.verify_token(id, token) {
            Some(Age::New) => Ok(Token::New),
            Some(Age::Old) => Ok(Token::Old),
            None => Err(wrong("X-IWP-Token is not this customer's")),
        },
        None if admit.legacy_agents => Ok(Token::None),
        None => Err(wrong("X-IWP-Token is missing")),
    }
}

/// The address of the caller. What the front says of it is believed only if it is the front that calls.
pub(crate) fn address(socket: IpAddr, headers: &impl Fields, config: &Config) -> IpAddr {
    if !is_front(socket, config) {
        return socket;
    }
    let forwarded = || text(headers, Name::ForwardedFor).and_then(|list| list.split(',').next());
    let said = text(headers, Name::RealIp).or_else(forwarded);
    said.and_then(|said| said.trim().parse().ok()).unwrap_or(socket)
}

/// Whether connections from this address are the front's, or another front's of this server.
pub(crate) fn is_front(socket: IpAddr, config: &Config) -> bool {
    let front = &config.front;
    let mut all = front.listen.iter().map(SocketAddr::ip).chain(front.others.iter().copied());
    socket.is_loopback() || all.any(|front| front == socket)
}

/// Lets in a call between instances.
///
/// # Errors
/// 401 if it is neither signed nor from a network that needs no signature.
pub(crate) fn admit(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    caller: IpAddr,
    keys: &KeyRing,
    admit: &Admit,
) -> Result<Admission, Refusal> {
    match keys.verify(method, path, headers, SystemTime::now()) {
        Ok(()) => Ok(Admission::Signed),
        Err(SignatureError::Missing) if admit.legacy_peers.iter().any(|net| net.contains(&caller)) => {
            Ok(Admission::Legacy)
        }
        Err(error) => Err(Refusal::new(StatusCode::UNAUTHORIZED, error.to_string())),
    }
}

/// The instance that the call is about: its caller, or the one the caller speaks for.
pub(crate) fn sender(headers: &HeaderMap) -> Result<InstanceName, Refusal> {
    let host = text(headers, Name::Host).ok_or_else(|| Refusal::bad("X-IWP-Host is missing"))?;
    let server: ServerName = host.parse().map_err(|_| Refusal::bad("X-IWP-Host is no server name"))?;
    let port = number(headers, Name::Port)?.ok_or_else(|| Refusal::bad("X-IWP-Port is missing"))?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| Refusal::bad("X-IWP-Port is no port"))?;
    Ok(InstanceName { server, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::head::Head;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn headers_that_are_refused() {
        let long = "a".repeat(VALUE_MAX + 1);
        for fields in [
            "X-IWP-ProductUnivId: 1\r\nx-iwp-productunivid: 1\r\n",
            "X-IWP-Some: 1\r\nX-IWP-Other: 1\r\nX-IWP-SOME: 1\r\n",
            "x-iwp-anything: ä\r\n",
            &format!("X-IWP-Token: {long}\r\n"),
        ] {
            assert_eq!(check_headers(&*Head::of(fields)).unwrap_err().status, 400, "{fields}");
        }
        let fine = format!("X-Other: ä\r\nX-Other: 2\r\nX-IWP-Some: 1\r\nX-IWP-Path: {long}\r\n");
        assert_eq!(check_headers(&*Head::of(&fine)), Ok(()));
    }

    #[test]
    fn numbers_are_digits_only() {
        for value in ["", "+1", "-1", "1.0", "0x1", "1 ", "18446744073709551616"] {
            assert!(
                number(&headers(&[("x-iwp-since", value.as_bytes())]), Name::Since).is_err(),
                "{value:?}"
            );
        }
        assert_eq!(number(&headers(&[("x-iwp-since", b"17")]), Name::Since), Ok(Some(17)));
        assert_eq!(number(&headers(&[]), Name::Since), Ok(None));
    }

    #[test]
    fn only_the_front_is_believed_about_addresses() {
        let config = Config::default();
        let told = headers(&[("x-real-ip", b"192.0.2.7"), ("x-forwarded-for", b"192.0.2.8, 10.0.0.1")]);
        let outside: IpAddr = "198.51.100.1".parse().unwrap();
        let front: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(address(outside, &told, &config), outside);
        assert_eq!(address(front, &told, &config).to_string(), "192.0.2.7");
        let list = headers(&[("x-forwarded-for", b"192.0.2.8, 10.0.0.1")]);
        assert_eq!(address(front, &list, &config).to_string(), "192.0.2.8");
        assert_eq!(address(front, &headers(&[("x-real-ip", b"nonsense")]), &config), front);
        let mut second = config;
        second.front.others = vec![outside];
        assert_eq!(address(outside, &told, &second).to_string(), "192.0.2.7");
    }

    #[test]
    fn a_missing_token_is_let_in_only_where_agents_without_are() {
        let keys = KeyRing::new([[1u8; 32]]);
        let id = CustomerId::new(5).unwrap();
        let strict = Admit::default();
        let open = Admit { legacy_agents: true, ..Admit::default() };
        let good = headers(&[("x-iwp-token", keys.token(id).as_bytes())]);
        let wrong = headers(&[("x-iwp-token", b"wrong")]);
        let none = headers(&[]);
        for (headers, admit, expected) in [
            (&good, &strict, true),
            (&wrong, &strict, false),
            (&none, &strict, false),
            (&wrong, &open, false),
            (&none, &open, true),
        ] {
            assert_eq!(check_token(headers, id, &keys, admit).is_ok(), expected);
        }
    }
}
