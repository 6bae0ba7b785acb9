//! The headers that an instance has something to do with, told apart once, when a head is read. Pure.

use switchboard_fleet::header::text;

/// Longer than all that are known.
const LENGTH_MAX: usize = 32;

macro_rules! names {
    ($($name:ident = $text:expr,)*) => {
        /// Which header it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Name {
            $($name,)*
            /// Any other of the protocol.
            OtherIwp,
            /// Any other.
            Other,
        }

        const KNOWN: &[(Name, &str)] = &[$((Name::$name, $text),)*];
    };
}

names! {
    Connection = "connection",
    ContentLength = "content-length",
    Date = "date",
    Expect = "expect",
    ForwardedFor = text::FORWARDED_FOR,
    KeepAlive = "keep-alive",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection",
    RealIp = text::REAL_IP,
    Te = "te",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    // From here on the protocol's own.
    Announce = text::ANNOUNCE,
    Digest = text::DIGEST,
    Host = text::HOST,
    Hosts = text::HOSTS,
    IsRecycle = text::IS_RECYCLE,
    Leaving = text::LEAVING,
    Ledger = text::LEDGER,
    Path = text::PATH,
    Port = text::PORT,
    Ports = text::PORTS,
    ProductUnivId = text::PRODUCT_UNIV_ID,
    RangeFrom = text::RANGE_FROM,
    RangeMark = text::RANGE_MARK,
    RangeSize = text::RANGE_SIZE,
    RangeTo = text::RANGE_TO,
    RequestId = text::REQUEST_ID,
    ResponseCode = text::RESPONSE_CODE,
    ResponseType = text::RESPONSE_TYPE,
    Retry = text::RETRY,
    Signature = text::SIGNATURE,
    Since = text::SINCE,
    To = text::TO,
    Token = text::TOKEN,
}

/// A known name, filled up with zeros: so two are compared at once, and not letter by letter.
#[derive(Clone, Copy)]
struct Known {
    name: Name,
    text: [u8; LENGTH_MAX],
}

/// The known names, the shortest first, and where those of each length begin.
const BY_LENGTH: ([Known; KNOWN.len()], [u8; LENGTH_MAX + 2]) = by_length();

const fn by_length() -> ([Known; KNOWN.len()], [u8; LENGTH_MAX + 2]) {
    let mut sorted = [Known { name: Name::Other, text: [0; LENGTH_MAX] }; KNOWN.len()];
    let mut starts = [0; LENGTH_MAX + 2];
    let (mut length, mut filled) = (0, 0);
    while length <= LENGTH_MAX {
        starts[length] = filled as u8;
        let mut place = 0;
        while place < KNOWN.len() {
            let (name, text) = KNOWN[place];
            if text.len() == length {
                sorted[filled] = Known { name, text: padded(text.as_bytes()) };
                filled += 1;
            }
            place += 1;
        }
        length += 1;
    }
    starts[length] = filled as u8;
    (sorted, starts)
}

const fn padded(text: &[u8]) -> [u8; LENGTH_MAX] {
    let mut padded = [0; LENGTH_MAX];
    let mut place = 0;
    while place < text.len() {
        padded[place] = text[place];
        place += 1;
    }
    padded
}

impl Name {
    /// Which header is called so, in any case.
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut lower = [0; LENGTH_MAX];
        if let Some(part) = lower.get_mut(..name.len()) {
            part.copy_from_slice(name);
            lower.make_ascii_lowercase();
            let (known, starts) = &BY_LENGTH;
            let (from, to) = (starts[name.len()], starts[name.len() + 1]);
            let mut of_its_length = known[usize::from(from)..usize::from(to)].iter();
            if let Some(known) = of_its_length.find(|known| known.text == lower) {
                return known.name;
            }
        }
        let is_own = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"x-iwp-"));
        if is_own { Self::OtherIwp } else { Self::Other }
    }

    /// It in lower case; nothing for one that is not known.
    pub(crate) fn text(self) -> &'static str {
        KNOWN.get(self as usize).map_or("", |(_, text)| text)
    }

    /// Whether it is one of the protocol's own.
    pub(crate) fn is_iwp(self) -> bool {
        (Self::Announce as u8..=Self::OtherIwp as u8).contains(&(self as u8))
    }
}

/// Some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Names(u64);

impl Names {
    /// These.
    pub(crate) const fn of(names: &[Name]) -> Self {
        let mut all = Self(0);
        let mut place = 0;
        while place < names.len() {
            all = all.and(Self(1 << names[place] as u8));
            place += 1;
        }
        all
    }

    /// These and others.
    pub(crate) const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether `name` is one of them.
    pub(crate) const fn has(self, name: Name) -> bool {
        self.0 & 1 << name as u8 != 0
    }

    /// Adds one.
    pub(crate) fn insert(&mut self, name: Name) {
        *self = self.and(Self::of(&[name]));
    }
}

/// The headers that say something about one connection, or belong to one side of a transaction.
pub(crate) const OF_ONE_SIDE: Names = Names::of(&[
    Name::Connection,
    Name::ContentLength,
    Name::Expect,
    Name::KeepAlive,
    Name::ProxyAuthenticate,
    Name::ProxyAuthorization,
    Name::ProxyConnection,
    Name::Te,
    Name::Trailer,
    Name::TransferEncoding,
    Name::Upgrade,
    Name::Signature,
    Name::Token,
]);

/// Where a call comes from, as a front says.
pub(crate) const FROM_WHERE: Names = Names::of(&[Name::RealIp, Name::ForwardedFor]);

/// What only an instance may say: a client that believed the other side's word for it could be sent to any host, token in
/// hand.
pub(crate) const OF_INSTANCES: Names =
    Names::of(&[Name::ResponseType, Name::IsRecycle, Name::Retry, Name::Host, Name::Port]);

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use proptest::prelude::*;
    use switchboard_fleet::header::{HOP_BY_HOP, is_of_one_side};

    #[test]
    fn every_known_name_is_found_in_any_case() {
        assert!(KNOWN.len() < 63, "they fit into a set");
        for (name, text) in KNOWN {
            assert_eq!((Name::of(text.as_bytes()), name.text()), (*name, *text));
            assert_eq!(Name::of(text.to_uppercase().as_bytes()), *name);
            assert_eq!(name.is_iwp(), text.starts_with("x-iwp-"), "{text}");
        }
    }

    #[test]
    fn the_headers_of_one_side_are_those_of_the_fleet() {
        for (name, text) in KNOWN {
            assert_eq!(OF_ONE_SIDE.has(*name), is_of_one_side(&HeaderName::from_static(text)), "{text}");
        }
        assert!(HOP_BY_HOP.iter().all(|text| Name::of(text.as_bytes()) != Name::Other));
        assert!(!OF_ONE_SIDE.has(Name::Other) && !OF_ONE_SIDE.has(Name::OtherIwp));
    }

    #[test]
    fn others_are_told_apart_by_whose_they_are() {
        for (text, name) in [
            ("X-IWP-Anything", Name::OtherIwp),
            ("x-iwp-", Name::OtherIwp),
            ("x-iwp", Name::Other),
            ("", Name::Other),
            ("content-type", Name::Other),
        ] {
            assert_eq!(Name::of(text.as_bytes()), name, "{text}");
        }
        let long = "x".repeat(40);
        assert_eq!(Name::of(format!("X-IWP-{long}").as_bytes()), Name::OtherIwp);
        assert_eq!(Name::of(long.as_bytes()), Name::Other);
    }

    proptest! {
        #[test]
        fn nothing_else_is_known(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let lower = name.to_ascii_lowercase();
            let known = KNOWN.iter().find(|(_, text)| text.as_bytes() == lower).map(|(name, _)| *name);
            let own = if lower.starts_with(b"x-iwp-") { Name::OtherIwp } else { Name::Other };
            prop_assert_eq!(Name::of(&name), known.unwrap_or(own));
        }
    }
}
