//! A letter in the outbox, as bytes: a line with a checksum, a line with its state, and the message.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::letter::Letter;

const MAGIC: &str = "switchboard-letter 1 ";

/// A letter and how far it has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) state: State,
    pub(super) message: Vec<u8>,
}

/// How far a letter has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) readers: Vec<Reader>,
    pub(super) created_ms: u64,
    /// Tries that failed because of this letter, not because of the server's absence.
    pub(super) tries: u32,
    /// Not tried again before, ms since 1970.
    pub(super) next_ms: u64,
    /// Its content was about to be sent, and no answer came: a server may have it.
    pub(super) sending: bool,
}

/// One who shall read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Reader {
    pub(super) address: String,
    pub(super) fate: Fate,
}

/// What became of a letter for one reader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fate {
    Waiting,
    Sent,
    Refused(String),
}

impl Entry {
    pub(super) fn new(letter: &Letter, now_ms: u64) -> Self {
        let reader = |address: &String| Reader { address: address.clone(), fate: Fate::Waiting };
        Self {
            state: State {
                name: letter.name.clone(),
                from: letter.from.clone(),
                readers: letter.to.iter().map(reader).collect(),
                created_ms: now_ms,
                tries: 0,
                next_ms: now_ms,
                sending: false,
            },
            message: letter.message.clone(),
        }
    }

    pub(super) fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut body = serde_json::to_vec(&self.state)?;
        body.push(b'\n');
        body.extend_from_slice(&self.message);
        let mut bytes = format!("{MAGIC}{}\n", checksum(&body)).into_bytes();
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// `None` if the bytes are not those of a whole letter.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC.as_bytes())?;
        let (sum, body) = rest.split_at_checked(rest.iter().position(|b| *b == b'\n')?)?;
        let body = &body[1..];
        if sum != checksum(body).as_bytes() {
            return None;
        }
        let (state, message) = body.split_at_checked(body.iter().position(|b| *b == b'\n')?)?;
        Some(Self { state: serde_json::from_slice(state).ok()?, message: message[1..].to_vec() })
    }

    pub(super) fn is_done(&self) -> bool {
        !self.state.readers.iter().any(|reader| reader.fate == Fate::Waiting)
    }

    /// Those who refused it, with the reasons.
    pub(super) fn refused(&self) -> Vec<(String, String)> {
        let refused = |reader: &Reader| match &reader.fate {
            Fate::Refused(why) => Some((reader.address.clone(), why.clone())),
            Fate::Waiting | Fate::Sent => None,
        };
        self.state.readers.iter().filter_map(refused).collect()
    }

    /// What goes over the wire.
    pub(super) fn on_the_wire(&self) -> Vec<u8> {
        if !self.state.sending {
            return self.message.clone();
        }
        let mut message = b"X-Switchboard-Repeat: perhaps; an earlier try broke off\r\n".to_vec();
        message.extend_from_slice(&self.message);
        message
    }
}

fn checksum(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> Entry {
        let letter = Letter {
            name: "a-1-0".into(),
            from: "a@example.net".into(),
            to: vec!["b@example.net".into()],
            message: b"Subject: x\r\n\r\ny\n\n\0z\r\n".to_vec(),
        };
        Entry::new(&letter, 7)
    }

    #[test]
    fn an_entry_survives_its_bytes() {
        assert_eq!(Entry::from_bytes(&entry().to_bytes().unwrap()), Some(entry()));
    }

    proptest! {
        #[test]
        fn no_damage_goes_unseen(at in any::<prop::sample::Index>(), flip in 1u8.., cut in any::<bool>()) {
            let mut bytes = entry().to_bytes().unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
            prop_assert_eq!(Entry::from_bytes(&bytes), None);
        }
    }
}
