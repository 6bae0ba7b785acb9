//! What only the fleet may read: sealed with a key made of the fleet's (ChaCha20-Poly1305, RFC 8439).

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};

use crate::KeyRing;

/// Seals and opens for one purpose. What is sealed for another does not open.
///
/// What is sealed begins with a nonce of 12 random bytes: good for some billions of messages under one key.
pub struct Seal {
    keys: Vec<LessSafeKey>,
}

/// None of the fleet's keys opens it: it was sealed with another key, for another purpose, for another occasion, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be opened with the fleet's key: is key_file the same on both machines?")]
pub struct NotOpened;

impl Seal {
    /// For `purpose`, a text of the program's own.
    pub fn new(ring: &KeyRing, purpose: &str) -> Self {
        let keys = ring.derived(purpose).filter_map(|key| UnboundKey::new(&CHACHA20_POLY1305, &key).ok());
        Self { keys: keys.map(LessSafeKey::new).collect() }
    }

    /// Seals `text`; it opens only together with the same `occasion`, which is not in it and no secret.
    ///
    /// # Errors
    /// There is no key, or the system has no random numbers.
    pub fn seal(&self, occasion: &[u8], text: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| NotOpened)?;
        let key = self.keys.first().ok_or(NotOpened)?;
        let mut body = text.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(occasion), &mut body)
            .map_err(|_| NotOpened)?;
        Ok([&nonce[..], &body].concat())
    }

    /// Opens what [`Seal::seal`] sealed with any of the fleet's keys.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open(&self, occasion: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(NotOpened)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| NotOpened)?;
        for key in &self.keys {
            let mut body = body.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            if let Ok(text) = key.open_in_place(nonce, Aad::from(occasion), &mut body) {
                return Ok(text.to_vec());
            }
        }
        Err(NotOpened)
    }
}

impl std::fmt::Debug for Seal {
    /// Never shows a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_for_the_same_only(
            text in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let seal = Seal::new(&KeyRing::new(["new", "old"]), "fronts");
            let sealed = seal.seal(b"now", &text).unwrap();
            prop_assert_eq!(seal.open(b"now", &sealed), Ok(text.clone()));
            prop_assert_eq!(seal.open(b"then", &sealed), Err(NotOpened));
            let other = |keys: &[&str], purpose| Seal::new(&KeyRing::new(keys), purpose).open(b"now", &sealed);
            prop_assert_eq!(other(&["old", "new"], "fronts"), Ok(text));
            prop_assert_eq!(other(&["old"], "fronts"), Err(NotOpened));
            prop_assert_eq!(other(&["new"], "others"), Err(NotOpened));
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1 << bit;
            prop_assert_eq!(seal.open(b"now", &changed), Err(NotOpened));
            prop_assert_eq!(seal.open(b"now", &sealed[..at.index(sealed.len())]), Err(NotOpened));
        }
    }
}
