//! How many of the connections one other machine may hold.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Connections of one address that is not loopback: a server with hundreds of instances, and not all there are.
const SHARE_MAX: usize = 512;

/// Who holds how many.
#[derive(Debug, Clone, Default)]
pub(super) struct Shares(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection; it is given back with this value.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    address: IpAddr,
}

impl Shares {
    /// One more of an address; `None` if it has its share.
    pub(super) fn take(&self, address: IpAddr) -> Option<Share> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(address).or_default();
        if *count >= SHARE_MAX && !address.to_canonical().is_loopback() {
            return None;
        }
        *count += 1;
        Some(Share { shares: self.clone(), address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_gets_its_share_and_no_more() {
        let shares = Shares::default();
        let (far, near) = ("192.0.2.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
        let mut held: Vec<_> = (0..SHARE_MAX).map(|_| shares.take(far).unwrap()).collect();
        assert!(shares.take(far).is_none());
        assert!(shares.take("192.0.2.2".parse().unwrap()).is_some());
        let local: Vec<_> = (0..=SHARE_MAX).map(|_| shares.take(near).unwrap()).collect();
        held.pop();
        assert!(shares.take(far).is_some());
        drop((held, local));
        assert!(shares.0.lock().unwrap().is_empty());
    }
}
