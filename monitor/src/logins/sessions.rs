//! Who is logged in. Time is passed in.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A session ends when nobody has used it for so long,
const IDLE_MAX: Duration = Duration::from_secs(3600);
/// and after so long in any case.
const LASTS_MAX: Duration = Duration::from_secs(12 * 3600);
/// Most sessions; then the one that was not used for longest ends.
const SESSIONS_MAX: usize = 1000;
/// A link is good for so long.
pub(super) const LINK_FOR: Duration = Duration::from_secs(300);
/// Most links that wait; then the oldest is no good any more.
const LINKS_MAX: usize = 100;

/// 256 random bits that only their owner has: here only their hash is kept.
pub(crate) struct Secret(String);

impl Secret {
    fn random() -> Self {
        Self(BASE64URL_NOPAD.encode(&rand::random::<[u8; 32]>()))
    }

    /// Itself, 43 characters of base64url.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Somebody who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The name.
    pub(crate) name: String,
    /// What each form of this session has to bring back.
    pub(crate) csrf: String,
}

impl Session {
    /// Whether a form has brought it back. Takes as long whatever was brought.
    pub(crate) fn is_own(&self, csrf: Option<&str>) -> bool {
        csrf.is_some_and(|csrf| self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into())
    }
}

type Hash = [u8; 32];

/// Sessions and links, by the hash of their secrets.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sessions: HashMap<Hash, Kept>,
    links: HashMap<Hash, (String, Instant)>,
}

#[derive(Debug)]
struct Kept {
    session: Session,
    began: Instant,
    used: Instant,
}

impl Sessions {
    /// Begins a session.
    pub(super) fn begin(&mut self, name: String, now: Instant) -> Secret {
        self.sessions.retain(|_, kept| kept.is_good(now));
        if self.sessions.len() >= SESSIONS_MAX
            && let Some(oldest) =
                self.sessions.iter().min_by_key(|(_, kept)| kept.used).map(|(hash, _)| *hash)
        {
            self.sessions.remove(&oldest);
        }
        let (secret, session) = (Secret::random(), Session { name, csrf: Secret::random().0 });
        self.sessions.insert(hash(secret.expose()), Kept { session, began: now, used: now });
        secret
    }

    /// Who a secret stands for.
    pub(super) fn find(&mut self, secret: &str, is_used: bool, now: Instant) -> Option<Session> {
        let kept = self.sessions.get_mut(&hash(secret)).filter(|kept| kept.is_good(now))?;
        if is_used {
            kept.used = now;
        }
        Some(kept.session.clone())
    }

    /// Ends a session.
    pub(super) fn end(&mut self, secret: &str) {
        self.sessions.remove(&hash(secret));
    }

    /// Makes a link's secret.
    pub(super) fn link(&mut self, name: String, now: Instant) -> Secret {
        self.links.retain(|_, (_, until)| *until > now);
        if self.links.len() >= LINKS_MAX
            && let Some(oldest) =
                self.links.iter().min_by_key(|(_, (_, until))| *until).map(|(hash, _)| *hash)
        {
            self.links.remove(&oldest);
        }
        let secret = Secret::random();
        self.links.insert(hash(secret.expose()), (name, now + LINK_FOR));
        secret
    }

    /// Whom a link logs in; it is no good any more then.
    pub(super) fn redeem(&mut self, secret: &str, now: Instant) -> Option<String> {
        let (name, until) = self.links.remove(&hash(secret))?;
        (until > now).then_some(name)
    }
}

impl Kept {
    fn is_good(&self, now: Instant) -> bool {
        now < self.began + LASTS_MAX && now < self.used + IDLE_MAX
    }
}

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_session_ends_when_it_is_not_used_and_in_any_case() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let secret = sessions.begin("ada".into(), now);
        let find = |sessions: &mut Sessions, minutes: u32, is_used: bool| {
            sessions.find(secret.expose(), is_used, now + minutes * MINUTE).map(|session| session.name)
        };
        assert_eq!(find(&mut sessions, 59, false).as_deref(), Some("ada"));
        // A page that refreshes itself is nobody.
        assert_eq!(find(&mut sessions, 60, true), None);
        for minutes in (0..720).step_by(50) {
            assert_eq!(find(&mut sessions, minutes, true).as_deref(), Some("ada"), "{minutes}");
        }
        assert_eq!(find(&mut sessions, 719, true).as_deref(), Some("ada"));
        assert_eq!(find(&mut sessions, 720, true), None);
        assert_eq!(sessions.find("", true, now), None);
        sessions.end(secret.expose());
        assert_eq!(find(&mut sessions, 0, true), None);
    }

    #[test]
    fn a_link_works_once_and_not_for_long() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let link = sessions.link("ada".into(), now);
        assert_eq!(sessions.redeem("else", now), None);
        assert_eq!(sessions.redeem(link.expose(), now + 4 * MINUTE).as_deref(), Some("ada"));
        assert_eq!(sessions.redeem(link.expose(), now + 4 * MINUTE), None);
        let late = sessions.link("ada".into(), now);
        assert_eq!(sessions.redeem(late.expose(), now + 5 * MINUTE), None);
        // What logs in once is no session by itself.
        let link = sessions.link("ada".into(), now);
        assert_eq!(sessions.find(link.expose(), true, now), None);
    }

    #[test]
    fn there_are_bounds_and_the_oldest_goes_first() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let at = |number: usize| now + Duration::from_millis(number as u64);
        let secrets: Vec<Secret> = (0..=SESSIONS_MAX).map(|n| sessions.begin(n.to_string(), at(n))).collect();
        let is_there =
            |sessions: &mut Sessions, n: usize| sessions.find(secrets[n].expose(), false, at(2000)).is_some();
        assert!(
            !is_there(&mut sessions, 0)
                && is_there(&mut sessions, 1)
                && is_there(&mut sessions, SESSIONS_MAX)
        );
        let links: Vec<Secret> = (0..=LINKS_MAX).map(|n| sessions.link(n.to_string(), at(n))).collect();
        assert_eq!(sessions.redeem(links[0].expose(), at(2000)), None);
        assert!(sessions.redeem(links[1].expose(), at(2000)).is_some());
    }

    #[test]
    fn forms_bring_back_what_their_session_gave() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let mut session = |name: &str| {
            let secret = sessions.begin(name.into(), now);
            sessions.find(secret.expose(), true, now).unwrap()
        };
        let (one, two) = (session("ada"), session("ada"));
        assert!(one.is_own(Some(&one.csrf)) && two.is_own(Some(&two.csrf)));
        assert!(!one.is_own(Some(&two.csrf)) && !one.is_own(None) && !one.is_own(Some("")));
        assert!(!one.is_own(Some(&one.csrf[..20])));
        assert_eq!(format!("{:?}", Secret::random()), "Secret");
    }
}
