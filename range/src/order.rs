//! The order in which the IDs of a range are given when nobody is to guess the next one from the last. No file, no clock.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use switchboard_fleet::CustomerId;

use crate::rules::IdRange;

/// As many as FF1 of NIST SP 800-38G: the smaller the range, the more of them a permutation needs.
const ROUNDS: u8 = 10;

/// Every ID of a range exactly once, in an order that cannot be foretold without the key.
///
/// A range with a key is always given in the same order, so that nothing has to be kept but how far it is given; other
/// ranges have other orders under the same key. What was given already cannot be given again, so the fewer IDs are left, the
/// easier the next one is guessed; the last one is certain.
///
/// The position of an ID is enciphered by a Feistel network over the smallest domain of an even number of bits that holds the
/// range; what falls outside the range is enciphered again (cycle walking), fewer than four times on average.
#[derive(Clone)]
pub struct Scattered {
    range: IdRange,
    /// Keyed, and has taken the range in.
    mac: Hmac<Sha256>,
    /// Bits of each half of the domain: 1 to 32.
    half_bits: u32,
    given: u64,
}

impl Scattered {
    /// The IDs of `range` in the order of `key`, which may have any length and should be secret: 16 random bytes or more.
    pub fn new(range: IdRange, key: &[u8]) -> Self {
        let mut mac = keyed(key);
        mac.update(b"switchboard scattered 1\0");
        mac.update(&range.first().get().to_be_bytes());
        mac.update(&range.last().get().to_be_bytes());
        let bits = u64::BITS - (range.count() - 1).leading_zeros();
        Self { range, mac, half_bits: bits.div_ceil(2).max(1), given: 0 }
    }

    /// IDs that are still to come.
    pub fn left(&self) -> u64 {
        self.range.count() - self.given
    }

    /// Where the ID at `position` lies in the range. Both are less than its count.
    fn place(&self, position: u64) -> u64 {
        // The network maps its domain onto itself one to one, so a walk from inside the range comes back into it, at a place
        // that no other walk ends at.
        let mut place = self.encipher(position);
        while place >= self.range.count() {
            place = self.encipher(place);
        }
        place
    }

    fn encipher(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (self.scramble(round, right) & mask));
        }
        left << self.half_bits | right
    }

    fn scramble(&self, round: u8, half: u64) -> u64 {
        let mut mac = self.mac.clone();
        mac.update(&[round]);
        mac.update(&half.to_be_bytes());
        let [a, b, c, d, e, f, g, h, ..] = mac.finalize().into_bytes().0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Iterator for Scattered {
    type Item = CustomerId;

    fn next(&mut self) -> Option<CustomerId> {
        if self.left() == 0 {
            return None;
        }
        let place = self.place(self.given);
        self.given += 1;
        CustomerId::new(self.range.first().get() + place)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left());
        (left.unwrap_or(usize::MAX), left.ok())
    }
}

/// Without the key.
impl fmt::Debug for Scattered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scattered")
            .field("range", &self.range)
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // A key of exactly one block is taken as it is, so that there is no length to refuse.
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(Sha256::digest(key)) {
        *to = from;
    }
    Hmac::new(&block.into())
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
