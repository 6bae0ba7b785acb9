//! How many customers one address may register.

use std::{net::IpAddr, num::NonZeroU32};

use governor::{Quota, RateLimiter, clock::DefaultClock, state::keyed::HashMapStateStore};

/// Addresses remembered before those are forgotten that have not called for a minute.
const ADDRESSES_MAX: usize = 10_000;

/// A bucket of tokens for each address, refilled over a minute.
pub(crate) struct Registrations {
    limiter: Option<RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>>,
}

impl Registrations {
    /// At most `per_minute` of one address; 0: no limit.
    pub(crate) fn new(per_minute: u32) -> Self {
        let quota = NonZeroU32::new(per_minute).map(Quota::per_minute);
        Self { limiter: quota.map(RateLimiter::hashmap) }
    }

    /// Whether `address` may register one more customer now. Counts it if so.
    pub(crate) fn admit(&self, address: IpAddr) -> bool {
        let Some(limiter) = &self.limiter else { return true };
        if limiter.len() >= ADDRESSES_MAX {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        // More addresses within one minute than can be remembered: nobody is registered until some are forgotten.
        limiter.len() < 2 * ADDRESSES_MAX && limiter.check_key(&key(address)).is_ok()
    }
}

/// One subscriber has a whole /64 of IPv6 addresses: they count as one.
fn key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_so_many_and_no_more() {
        let registrations = Registrations::new(3);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let admitted = (0..5).filter(|_| registrations.admit(one)).count();
        assert_eq!(admitted, 3);
        assert!(registrations.admit("192.0.2.2".parse().unwrap()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let registrations = Registrations::new(1);
        assert!(registrations.admit("2001:db8::1".parse().unwrap()));
        assert!(!registrations.admit("2001:db8::2".parse().unwrap()));
        assert!(registrations.admit("2001:db8:0:1::1".parse().unwrap()));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let registrations = Registrations::new(0);
        assert!((0..1000).all(|_| registrations.admit("192.0.2.1".parse().unwrap())));
    }
}
