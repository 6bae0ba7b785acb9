//! How often somebody may try to log in.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::HashMapStateStore,
};

/// An address may try so often at once,
const BURST: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// and then once in this time.
const EVERY: Duration = Duration::from_secs(10);
/// All together may try so often at once,
const BURST_OF_ALL: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// and then once in this time.
const EVERY_OF_ALL: Duration = Duration::from_secs(2);
/// Addresses remembered before those are forgotten that have not tried for a while.
const ADDRESSES_MAX: usize = 10_000;

/// Counts tries, of each address and of all.
#[derive(Debug)]
pub(super) struct Slow {
    each: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    all: DefaultDirectRateLimiter,
}

impl Default for Slow {
    fn default() -> Self {
        // The spans are not zero; if they were, once a minute is what is left.
        let quota = |every, burst| {
            Quota::with_period(every).unwrap_or(Quota::per_minute(NonZeroU32::MIN)).allow_burst(burst)
        };
        Self {
            each: RateLimiter::hashmap(quota(EVERY, BURST)),
            all: RateLimiter::direct(quota(EVERY_OF_ALL, BURST_OF_ALL)),
        }
    }
}

impl Slow {
    /// Counts a try.
    ///
    /// # Errors
    /// It is one too many; how long to wait.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Duration> {
        if self.each.len() >= ADDRESSES_MAX {
            self.each.retain_recent();
            self.each.shrink_to_fit();
        }
        let now = DefaultClock::default().now();
        // One address that tries without end does not use up what all have.
        self.each.check_key(&key(address)).map_err(|early| early.wait_time_from(now))?;
        self.all.check().map_err(|early| early.wait_time_from(now))
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
    fn an_address_is_slowed_and_so_are_all_together() {
        let slow = Slow::default();
        let address = |number: u32| IpAddr::from((0xc000_0200 + number).to_be_bytes());
        let admitted = (0..100).filter(|_| slow.check(address(0)).is_ok()).count();
        assert_eq!(admitted, 5);
        let wait = slow.check(address(0)).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= EVERY, "{wait:?}");
        let others = (1..200).filter(|number| slow.check(address(*number)).is_ok()).count();
        assert_eq!(others, 45);
    }

    #[test]
    fn one_network_counts_as_one() {
        let slow = Slow::default();
        let address = |number: u128| IpAddr::from(((0x2001_0db8_u128 << 96) + number).to_be_bytes());
        assert_eq!((0..100).filter(|number| slow.check(address(*number)).is_ok()).count(), 5);
    }
}
