//! Where a backend is, and whether it takes part: what is needed to put it into another configuration's peers.
//!
//! Written by one process at a time (the module's lock), read by all.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// Whether a backend takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Part {
    /// If a configuration declares it.
    AsDeclared = 0,
    /// It has joined: whatever a configuration says, until it leaves.
    Joined,
    /// It has left: whatever a configuration says, until it joins.
    Left,
}

impl Part {
    fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Joined,
            2 => Self::Left,
            _ => Self::AsDeclared,
        }
    }
}

/// The family's place above the port.
const FAMILY_BITS: u32 = 16;

/// The place of one backend.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Place {
    upstream: AtomicU64,
    ip: [AtomicU64; 2],
    family_port: AtomicU32,
    part: AtomicU32,
}

impl Place {
    /// The upstream `name` in a fixed size.
    pub fn upstream(name: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn clear(&self) {
        self.upstream.store(0, Relaxed);
        self.family_port.store(0, Relaxed);
        self.part.store(Part::AsDeclared as u32, Relaxed);
    }

    /// Says where it is.
    pub fn set(&self, upstream: u64, address: SocketAddr) {
        let (family, ip) = match address.ip() {
            IpAddr::V4(ip) => (4, u128::from(ip.to_bits())),
            IpAddr::V6(ip) => (6, ip.to_bits()),
        };
        self.upstream.store(upstream, Relaxed);
        self.ip[0].store((ip >> 64) as u64, Relaxed);
        self.ip[1].store(ip as u64, Relaxed);
        self.family_port.store(family << FAMILY_BITS | u32::from(address.port()), Relaxed);
    }

    /// Where it is in the upstream of that number; `None` if it is in another, or nobody has said.
    pub fn address(&self, upstream: u64) -> Option<SocketAddr> {
        if self.upstream.load(Relaxed) != upstream {
            return None;
        }
        let bits = u128::from(self.ip[0].load(Relaxed)) << 64 | u128::from(self.ip[1].load(Relaxed));
        let family_port = self.family_port.load(Relaxed);
        let ip: IpAddr = match family_port >> FAMILY_BITS {
            4 => Ipv4Addr::from_bits(bits as u32).into(),
            6 => Ipv6Addr::from_bits(bits).into(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, family_port as u16))
    }

    /// Keeps whether it takes part; gives back what was so before.
    pub fn put(&self, part: Part) -> Part {
        Part::from_number(self.part.swap(part as u32, Relaxed))
    }

    /// Whether it takes part.
    pub fn part(&self) -> Part {
        Part::from_number(self.part.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive() {
        let (here, there) = (Place::upstream("u"), Place::upstream("v"));
        for text in
            ["127.0.0.1:8081", "255.1.2.3:65535", "[::1]:1", "[fe80::1:2:3:4]:443", "[::ffff:1.2.3.4]:5"]
        {
            let (place, address) = (Place::default(), text.parse().unwrap());
            assert_eq!(place.address(here), None);
            place.set(here, address);
            assert_eq!((place.address(here), place.address(there)), (Some(address), None));
            place.clear();
            assert_eq!(place.address(here), None);
        }
    }

    #[test]
    fn parts_survive() {
        let place = Place::default();
        assert_eq!(place.part(), Part::AsDeclared);
        assert_eq!((place.put(Part::Joined), place.put(Part::Left)), (Part::AsDeclared, Part::Joined));
        assert_eq!(place.part(), Part::Left);
        place.clear();
        assert_eq!(place.part(), Part::AsDeclared);
    }
}
