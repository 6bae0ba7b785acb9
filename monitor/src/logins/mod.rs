//! Who may switch backends: passwords, one-time links, and the sessions that both begin.
//!
//! `slow` (how often somebody may try), `passwords` (is it the right one), `sessions` (who is logged in). Nothing of it is kept on disk:
//! when the monitor ends, all are logged out.

mod passwords;
mod sessions;
mod slow;

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use switchboard_fleet::{config::Admin, front::Order};

use passwords::Passwords;
pub(crate) use passwords::{BadHash, hash};
use sessions::Sessions;
pub(crate) use sessions::{Secret, Session};
use slow::Slow;

/// Who is logged in, and who may.
#[derive(Debug)]
pub(crate) struct Logins {
    passwords: Passwords,
    slow: Slow,
    sessions: Mutex<Sessions>,
}

/// Why somebody is not logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotIn {
    /// Too many tries.
    #[error("Too many tries: wait {} s.", .0.as_secs().max(1))]
    Wait(Duration),
    /// Nobody has a password.
    #[error(
        "Nobody has a password here (monitor.admins in fleet.toml): `switchboard-monitor login` on the monitor's machine gives a link that logs you in once."
    )]
    NoAdmins,
    /// The name or the password is wrong; which is not said.
    #[error("The name or the password is wrong.")]
    Wrong,
    /// Too many passwords are being compared.
    #[error("Too many logins at a time: try again in a moment.")]
    Busy,
    /// The link was used, is too old, or never was one.
    #[error("This link has been used, or is older than {} minutes: `switchboard-monitor login` gives another.", sessions::LINK_FOR.as_secs() / 60)]
    Link,
}

impl Logins {
    /// Most bytes of a name.
    pub(crate) const NAME_MAX: usize = Order::WORDS_MAX;

    /// Nobody is logged in.
    ///
    /// # Errors
    /// [`BadHash`] of one of the admins.
    pub(crate) fn new(admins: &[Admin]) -> Result<Self, BadHash> {
        Ok(Self { passwords: Passwords::new(admins)?, slow: Slow::default(), sessions: Mutex::default() })
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs somebody in by name and password; gives what the browser keeps.
    ///
    /// # Errors
    /// [`NotIn`].
    pub(crate) async fn by_password(
        &self,
        name: &str,
        password: String,
        from: IpAddr,
    ) -> Result<Secret, NotIn> {
        self.slow.check(from).map_err(NotIn::Wait)?;
        let name = self.passwords.verify(name, password).await?;
        Ok(self.sessions().begin(name, Instant::now()))
    }

    /// Makes a link's secret for somebody of this name.
    pub(crate) fn link(&self, name: String) -> Secret {
        self.sessions().link(name, Instant::now())
    }

    /// Logs somebody in by a link's secret.
    ///
    /// # Errors
    /// `Link`.
    pub(crate) fn by_link(&self, secret: &str) -> Result<(Secret, Session), NotIn> {
        let (mut sessions, now) = (self.sessions(), Instant::now());
        let name = sessions.redeem(secret, now).ok_or(NotIn::Link)?;
        let secret = sessions.begin(name, now);
        let session = sessions.find(secret.expose(), false, now).ok_or(NotIn::Link)?;
        Ok((secret, session))
    }

    /// Who a browser's secret stands for. `is_used`: a person did something, so the session goes on.
    pub(crate) fn find(&self, secret: &str, is_used: bool) -> Option<Session> {
        self.sessions().find(secret, is_used, Instant::now())
    }

    /// Logs out whom this secret stands for.
    pub(crate) fn end(&self, secret: &str) {
        self.sessions().end(secret);
    }
}

/// What a stranger typed, for the log: short, and without what would turn, hide or break its line.
pub(crate) fn harmless(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    let start: String = text.chars().take(CHARACTERS_MAX).collect();
    start.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_typed_cannot_forge_a_line() {
        assert_eq!(harmless("ada"), "ada");
        assert_eq!(harmless("ada\nINFO \u{202e}x\u{1b}[0m"), "ada\\nINFO \\u{202e}x\\u{1b}[0m");
        assert_eq!(harmless(&"x".repeat(1000)).len(), 60);
    }
}
