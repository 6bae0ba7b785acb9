//! The question in a path's `?`: `u=NAME` and `b=ADDRESS` say of what; at most one order says what shall become of it.

use std::net::{IpAddr, SocketAddr};

/// The longest value that is taken, in bytes after decoding.
const VALUE_BYTES: usize = 512;
/// The greatest weight that can be set.
const WEIGHT: u32 = 10_000;
/// The whole share of a weight.
const SHARE: u32 = 100;
/// The longest lease, in ms.
const LEASE_MS: u64 = 60_000;

/// What the operator wants a backend to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// As the configuration says.
    Config = 0,
    /// Gets requests, whatever the configuration says.
    On,
    /// Gets no new requests; those under way end in peace.
    Drain,
    /// The same for nginx, and meant to stay so.
    Off,
}

impl State {
    const ALL: [Self; 4] = [Self::Config, Self::On, Self::Drain, Self::Off];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::On => "on",
            Self::Drain => "drain",
            Self::Off => "off",
        }
    }

    /// The state with this number; an unknown number is as the configuration says.
    pub fn from_number(number: u32) -> Self {
        Self::ALL.into_iter().find(|state| *state as u32 == number).unwrap_or(Self::Config)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A switch that is asked for; what is `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// The new state. [`State::Config`] forgets the weight too, unless one is given.
    pub state: Option<State>,
    /// The new weight, from 1 to 10,000.
    pub weight: Option<u32>,
}

/// What shall become of something; one question has one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `state=` and `weight=`: an operator's wish for a backend. At least one of them is given.
    Switch(Wish),
    /// `share=`: health's part of a backend's weight, from 0 to 100.
    Share(u32),
    /// `lease_ms=`: for so long nginx does not count failures by itself, and shares are in force; at most 60,000.
    Lease(u64),
    /// `join=`: the backend at this address takes part.
    Join(SocketAddr),
    /// `leave=`: it gets no request any more.
    Leave(SocketAddr),
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The upstream's name.
    pub upstream: Option<String>,
    /// The backend's address as nginx shows it.
    pub backend: Option<String>,
    /// What shall become of it; `None` only asks.
    pub order: Option<Order>,
}

impl Query {
    /// Reads what stands behind the `?`.
    ///
    /// # Errors
    /// A sentence for the caller: an unknown, repeated, malformed or senseless part, or parts that do not go together.
    pub fn read(args: &[u8]) -> Result<Self, String> {
        let mut parts = Parts::default();
        for part in args.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
            let mut halves = part.splitn(2, |byte| *byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            parts.take(name, decoded(value)?)?;
        }
        parts.put_together()
    }
}

#[derive(Default)]
struct Parts {
    upstream: Option<String>,
    backend: Option<String>,
    wish: Wish,
    share: Option<u32>,
    lease_ms: Option<u64>,
    join: Option<SocketAddr>,
    leave: Option<SocketAddr>,
}

impl Parts {
    fn take(&mut self, name: &[u8], value: String) -> Result<(), String> {
        match name {
            b"u" => once("u", &mut self.upstream, value),
            b"b" => once("b", &mut self.backend, value),
            b"state" => {
                let state = State::named(&value).ok_or("state is none of on, off, drain, config")?;
                once("state", &mut self.wish.state, state)
            }
            b"weight" => {
                let weight = number(&value).filter(|weight| (1..=u64::from(WEIGHT)).contains(weight));
                let weight = weight.ok_or("weight is no number from 1 to 10000; for none use state=drain")?;
                once("weight", &mut self.wish.weight, weight as u32)
            }
            b"share" => {
                let share = number(&value).filter(|share| *share <= u64::from(SHARE));
                once("share", &mut self.share, share.ok_or("share is no number from 0 to 100")? as u32)
            }
            b"lease_ms" => {
                let lease = number(&value).filter(|ms| *ms <= LEASE_MS);
                once("lease_ms", &mut self.lease_ms, lease.ok_or("lease_ms is no number from 0 to 60000")?)
            }
            b"join" => once("join", &mut self.join, endpoint("join", &value)?),
            b"leave" => once("leave", &mut self.leave, endpoint("leave", &value)?),
            _ => Err("only u, b, state, weight, share, lease_ms, join and leave are known here".to_owned()),
        }
    }

    fn put_together(self) -> Result<Query, String> {
        let orders = [
            Some(Order::Switch(self.wish)).filter(|_| self.wish != Wish::default()),
            self.share.map(Order::Share),
            self.lease_ms.map(Order::Lease),
            self.join.map(Order::Join),
            self.leave.map(Order::Leave),
        ];
        let mut orders = orders.into_iter().flatten();
        let order = orders.next();
        if orders.next().is_some() {
            return Err("one thing at a time: a switch, or a share, or a lease, or one that joins or leaves"
                .to_owned());
        }
        let Self { upstream, backend, .. } = self;
        match order {
            Some(Order::Lease(_)) if upstream.is_some() || backend.is_some() => {
                return Err("lease_ms stands alone: the lease is that of all upstreams".to_owned());
            }
            Some(Order::Join(_) | Order::Leave(_)) if backend.is_some() => {
                return Err("join and leave name the backend themselves: no b=ADDRESS beside them".to_owned());
            }
            Some(Order::Join(_) | Order::Leave(_)) if upstream.is_none() => {
                return Err("join and leave need u=NAME, the upstream to take part in".to_owned());
            }
            _ if backend.is_some() && upstream.is_none() => {
                return Err("b=ADDRESS needs u=NAME, the upstream it is in".to_owned());
            }
            _ => {}
        }
        Ok(Query { upstream, backend, order })
    }
}

/// Digits and nothing else: no sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// An address that a backend can have.
fn endpoint(name: &str, text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("{name} is no IP:PORT that a backend can have");
    let address: SocketAddr = text.parse().map_err(|_| wrong())?;
    let nowhere = match address.ip() {
        // All of 0.0.0.0/8 is "this network": spare slots have their addresses from there.
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
    };
    let scoped =
        matches!(address, SocketAddr::V6(address) if address.scope_id() != 0 || address.flowinfo() != 0);
    if nowhere || scoped || address.port() == 0 { Err(wrong()) } else { Ok(address) }
}

fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice")),
    }
}

fn decoded(text: &[u8]) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len().min(VALUE_BYTES));
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                rest = tail;
                let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
                let pair = digit(high).zip(digit(low));
                pair.map(|(high, low)| high * 16 + low).ok_or("a % without two hex digits")?
            }
            (b'%', _) => return Err("a % without two hex digits".to_owned()),
            (byte, _) => *byte,
        });
        if bytes.len() > VALUE_BYTES {
            return Err(format!("a value is longer than {VALUE_BYTES} bytes"));
        }
    }
    String::from_utf8(bytes).map_err(|_| "a value is no UTF-8".to_owned())
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
