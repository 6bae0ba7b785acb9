//! What two fronts say to each other, and how it is sealed.

use http::HeaderValue;
use rand::random;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use switchboard_fleet::{KeyRing, Seal};

use super::{
    merge::{Book, SKEW_MAX_MS},
    pair::Pair,
};

/// The only path.
pub(crate) const PATH: &str = "/share";
/// Most bytes of a question or an answer, sealed.
pub(crate) const BODY_MAX: usize = 4 << 20;
/// What the key is made for.
const PURPOSE: &str = "fronts";

/// What a second front asks the first, and tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The asker's clock, ms since 1970.
    pub(crate) at_ms: u64,
    /// The server of which it is a front.
    pub(crate) server: String,
    /// One run of one asker.
    pub(crate) asker: u64,
    /// The [`Members::number`] that its nginx acts upon.
    pub(crate) in_force: u64,
    /// The [`Pair::sum`] of the certificate that it has; empty if it has none yet. `None`: it wants none.
    pub(crate) certificate: Option<String>,
    pub(crate) words: Book,
}

/// What the first answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// Nothing was taken: the clocks differ too much. The answerer's, ms since 1970.
    Clock(u64),
    /// Nothing was taken: it is a front of another server.
    Server(String),
    /// All is well.
    Told(Box<Told>),
}

impl Question {
    /// Why nothing of it is taken, if that is so: it is too old or too new, so it may be one of long ago that comes again, or it is about
    /// another server.
    pub(crate) fn refusal(&self, server: &str, now_ms: u64) -> Option<Answer> {
        if self.server != server {
            return Some(Answer::Server(server.to_owned()));
        }
        (self.at_ms.abs_diff(now_ms) > SKEW_MAX_MS).then_some(Answer::Clock(now_ms))
    }
}

/// What the first knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) words: Book,
    pub(crate) members: Members,
    pub(crate) certificate: Certificate,
}

/// Which instances there are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Members {
    /// Grows with each change.
    pub(crate) number: u64,
    /// The ports that are configured.
    pub(crate) configured: Vec<u16>,
    /// Those that take part, of these and of others.
    pub(crate) here: Vec<u16>,
    /// Those of them that are about to leave.
    pub(crate) leaving: Vec<u16>,
    /// Those that have left.
    pub(crate) gone: Vec<u16>,
}

/// The first front's certificate, compared with the asker's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Certificate {
    /// It has none, or none was asked for.
    #[default]
    None,
    /// It has the same.
    Same,
    /// It has this one.
    New(Pair),
    /// It cannot be used at present, for this reason: it may just be renewed.
    Unusable(String),
}

/// Names one exchange, so that no other's answer passes for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nonce(HeaderValue);

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Asker,
    Answerer,
}

impl Nonce {
    /// A new one.
    pub(crate) fn new() -> Self {
        let text = format!("{:032x}", random::<u128>());
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")))
    }

    /// Another's, as it came with its question.
    pub(crate) fn of(value: &HeaderValue) -> Option<Self> {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let bytes = value.as_bytes();
        (bytes.len() == 32 && bytes.iter().all(is_hex)).then(|| Self(value.clone()))
    }

    /// As a header's value.
    pub(crate) fn value(&self) -> HeaderValue {
        self.0.clone()
    }

    fn occasion(&self, side: Side) -> Vec<u8> {
        let side: &[u8] = if side == Side::Asker { b"question " } else { b"answer " };
        [side, self.0.as_bytes()].concat()
    }
}

/// Seals and opens what fronts say.
#[derive(Debug)]
pub(crate) struct Envelope(Seal);

impl Envelope {
    /// With the fleet's keys.
    pub(crate) fn new(keys: &KeyRing) -> Self {
        Self(Seal::new(keys, PURPOSE))
    }

    /// Seals; `None` if it is too long, or cannot be.
    pub(crate) fn seal(&self, side: Side, nonce: &Nonce, said: &impl Serialize) -> Option<Vec<u8>> {
        let text = serde_json::to_vec(said).ok()?;
        self.0.seal(&nonce.occasion(side), &text).ok().filter(|sealed| sealed.len() <= BODY_MAX)
    }

    /// Opens; `None` if it was not sealed by one of the fleet for this very exchange, or is not understood.
    pub(crate) fn open<T: DeserializeOwned>(&self, side: Side, nonce: &Nonce, sealed: &[u8]) -> Option<T> {
        let text = self.0.open(&nonce.occasion(side), sealed).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_now_or_not_of_this_server_is_not_taken() {
        let question = Question {
            at_ms: 100_000,
            server: "a".into(),
            asker: 1,
            in_force: 0,
            certificate: None,
            words: Book::default(),
        };
        for now_ms in [70_000, 100_000, 130_000] {
            assert_eq!(question.refusal("a", now_ms), None);
        }
        for now_ms in [69_999, 130_001] {
            assert_eq!(question.refusal("a", now_ms), Some(Answer::Clock(now_ms)));
        }
        assert_eq!(question.refusal("b", 100_000), Some(Answer::Server("b".into())));
    }

    #[test]
    fn an_answer_opens_for_its_own_question_only() {
        let (ours, others) = (KeyRing::new([[7; 32]]), KeyRing::new([[8; 32]]));
        let (envelope, nonce) = (Envelope::new(&ours), Nonce::new());
        let sealed = envelope.seal(Side::Answerer, &nonce, &Answer::Clock(5)).unwrap();
        let open = |envelope: &Envelope, side, nonce: &Nonce| envelope.open::<Answer>(side, nonce, &sealed);
        assert_eq!(open(&envelope, Side::Answerer, &nonce), Some(Answer::Clock(5)));
        assert_eq!(open(&envelope, Side::Asker, &nonce), None, "it is no question");
        assert_eq!(open(&envelope, Side::Answerer, &Nonce::new()), None, "another's answer");
        assert_eq!(open(&Envelope::new(&others), Side::Answerer, &nonce), None, "another fleet's");
        assert!(Nonce::of(&nonce.value()) == Some(nonce));
        for not in ["", "1", "ABCDEFABCDEFABCDEFABCDEFABCDEFAB"] {
            assert_eq!(Nonce::of(&HeaderValue::from_static(not)), None);
        }
        assert!(envelope.seal(Side::Asker, &Nonce::new(), &"a".repeat(BODY_MAX)).is_none(), "too long");
    }
}
