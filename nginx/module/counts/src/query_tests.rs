use proptest::prelude::*;

use super::*;

#[test]
fn questions_are_read() {
    let query = Query::read(b"u=fleet&b=%5B%3a:1%5D:80&state=drain&weight=7").unwrap();
    assert_eq!(query.upstream.as_deref(), Some("fleet"));
    assert_eq!(query.backend.as_deref(), Some("[::1]:80"));
    let wish = Wish { state: Some(State::Drain), weight: Some(7) };
    assert_eq!(query.order, Some(Order::Switch(wish)));
    assert_eq!(Query::read(b"").unwrap(), Query::default());
    let order = |args: &[u8]| Query::read(args).unwrap().order;
    assert_eq!(order(b"u=a&b=c&share=0"), Some(Order::Share(0)));
    assert_eq!(order(b"lease_ms=60000"), Some(Order::Lease(60_000)));
    assert_eq!(order(b"u=a&join=[::1]:80"), Some(Order::Join("[::1]:80".parse().unwrap())));
    assert_eq!(order(b"u=a&leave=1.2.3.4:80"), Some(Order::Leave("1.2.3.4:80".parse().unwrap())));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let long = [b"u=".as_slice(), &[b'a'; 513]].concat();
    let refused: [&[u8]; 41] = [
        b"b=1.2.3.4:5",
        b"x=1",
        b"u=a&u=b",
        b"u=%",
        b"u=%1",
        b"u=%zz",
        b"u=%ff",
        b"state=",
        b"state=OFF",
        b"weight=0",
        b"weight=10001",
        b"weight=-1",
        b"weight=+1",
        b"weight=99999999999999999999",
        b"share=",
        b"share=101",
        b"share=-0",
        b"u=a&b=c&share=1&share=1",
        b"u=a&b=c&share=1&state=on",
        b"lease_ms=60001",
        b"lease_ms=1&u=a",
        b"lease_ms=1&share=1",
        b"join=1.2.3.4:5",
        b"u=a&join=1.2.3.4:5&leave=1.2.3.4:5",
        b"u=a&b=c&join=1.2.3.4:5",
        b"u=a&join=1.2.3.4",
        b"u=a&join=1.2.3.4:0",
        b"u=a&join=1.2.3.4:65536",
        b"u=a&join=0.0.0.1:1",
        b"u=a&join=0.0.0.0:80",
        b"u=a&join=224.0.0.1:80",
        b"u=a&join=255.255.255.255:80",
        b"u=a&join=[::]:80",
        b"u=a&join=[ff02::1]:80",
        b"u=a&join=[fe80::1%251]:80",
        b"u=a&join=localhost:80",
        b"u=a&join=unix:/x",
        b"u=a&leave=",
        b"u=a&leave=1.2.3.4:5&b=",
        b"join",
        &long,
    ];
    for args in refused {
        assert!(Query::read(args).is_err(), "{}", String::from_utf8_lossy(args));
    }
}

#[test]
fn states_survive_their_numbers() {
    for state in State::ALL {
        assert_eq!(State::from_number(state as u32), state);
    }
    assert_eq!(State::from_number(77), State::Config);
}

fn within_bounds(query: &Query) -> bool {
    let short = |text: &Option<String>| text.as_ref().is_none_or(|text| text.len() <= VALUE_BYTES);
    let order = match query.order {
        None => true,
        Some(Order::Switch(wish)) => {
            wish != Wish::default() && wish.weight.is_none_or(|weight| (1..=WEIGHT).contains(&weight))
        }
        Some(Order::Share(share)) => share <= SHARE,
        Some(Order::Lease(ms)) => ms <= LEASE_MS && query.upstream.is_none(),
        Some(Order::Join(address) | Order::Leave(address)) => {
            let ip = address.ip();
            query.upstream.is_some()
                && query.backend.is_none()
                && address.port() > 0
                && !ip.is_unspecified()
                && !ip.is_multicast()
        }
    };
    short(&query.upstream)
        && short(&query.backend)
        && order
        && (query.backend.is_none() || query.upstream.is_some())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(args in prop::collection::vec(any::<u8>(), 0..700)) {
        if let Ok(query) = Query::read(&args) {
            prop_assert!(within_bounds(&query), "{query:?}");
        }
    }

    #[test]
    fn what_is_taken_is_within_bounds(
        parts in prop::collection::vec(
            (
                prop::sample::select(&["u", "b", "state", "weight", "share", "lease_ms", "join", "leave", "x", ""][..]),
                prop_oneof![
                    "[0-9]{0,7}",
                    "(on|off|drain|config|ON)",
                    "[0-9.:%\\[\\]a-f]{0,30}",
                    any::<std::net::SocketAddr>().prop_map(|address| address.to_string()),
                    "%[0-9a-fA-F]{0,2}",
                    "\\PC{0,20}",
                ],
            ),
            0..5,
        ),
    ) {
        let args = parts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        if let Ok(query) = Query::read(args.as_bytes()) {
            prop_assert!(within_bounds(&query), "{args} {query:?}");
            let mut names: Vec<_> = parts.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            prop_assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{args}: a part is given twice");
        }
    }
}
