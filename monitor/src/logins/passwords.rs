//! Whether a password is an admin's, without telling strangers who the admins are.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use switchboard_fleet::config::Admin;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::NotIn;

/// Passwords that are compared at a time: each takes a core and some 20 MB.
const AT_A_TIME: usize = 2;
/// Others wait so long.
const WAIT: Duration = Duration::from_secs(5);
/// Most bytes of a password.
const PASSWORD_MAX: usize = 1024;

/// The admins, with what their passwords become.
#[derive(Debug)]
pub(super) struct Passwords {
    admins: Arc<[(String, PasswordHash)]>,
    places: Arc<Semaphore>,
    strangers: RandomState,
}

/// An admin's password is no hash that can be compared.
#[derive(Debug, thiserror::Error)]
#[error("monitor.admins[{index}].password: {why}; make one with `switchboard-monitor password`")]
pub(crate) struct BadHash {
    index: usize,
    why: String,
}

/// What a password becomes, for the configuration.
///
/// # Errors
/// The system gives no random numbers, or the password is longer than 1024 bytes or empty.
pub(crate) fn hash(password: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        (1..=PASSWORD_MAX).contains(&password.len()),
        "expected a password of 1 to {PASSWORD_MAX} bytes"
    );
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes())?;
    Ok(hash.to_string())
}

impl Passwords {
    /// Those of a configuration.
    ///
    /// # Errors
    /// [`BadHash`].
    pub(super) fn new(admins: &[Admin]) -> Result<Self, BadHash> {
        let read = |(index, admin): (usize, &Admin)| {
            let bad = |why: String| BadHash { index, why };
            let hash = PasswordHash::new(admin.password.expose()).map_err(|error| bad(error.to_string()))?;
            Params::try_from(&hash).map_err(|error| bad(error.to_string()))?;
            if hash.hash.is_none() {
                return Err(bad("it has no hash at its end".into()));
            }
            Ok((admin.name.clone(), hash))
        };
        let admins = admins.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Self { admins, places: Arc::new(Semaphore::new(AT_A_TIME)), strangers: RandomState::new() })
    }

    /// The admin's name, if the password is that admin's. A name that nobody has takes as long as one that somebody has.
    ///
    /// # Errors
    /// `NoAdmins`, `Wrong` or `Busy`.
    pub(super) async fn verify(&self, name: &str, password: String) -> Result<String, NotIn> {
        if self.admins.is_empty() {
            return Err(NotIn::NoAdmins);
        }
        let place = timeout(WAIT, self.places.clone().acquire_owned()).await;
        let place = place.ok().and_then(Result::ok).ok_or(NotIn::Busy)?;
        let known = self.admins.iter().position(|(known, _)| known == name);
        // A stranger is compared with somebody, always the same, and is wrong whatever comes out.
        let stand_in = self.strangers.hash_one(name) % self.admins.len() as u64;
        let index = known.unwrap_or(usize::try_from(stand_in).unwrap_or(0));
        let admins = self.admins.clone();
        let is_right = spawn_blocking(move || {
            let _place = place;
            let hash = admins.get(index).map(|(_, hash)| hash);
            password.len() <= PASSWORD_MAX
                && hash
                    .is_some_and(|hash| Argon2::default().verify_password(password.as_bytes(), hash).is_ok())
        });
        let is_right = is_right.await.unwrap_or(false);
        let admin = known.filter(|_| is_right).and_then(|index| self.admins.get(index));
        admin.map(|(name, _)| name.clone()).ok_or(NotIn::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quick to compare, for tests only.
    pub(crate) fn cheap(password: &str) -> String {
        let params = Params::new(8, 1, 1, None).unwrap();
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let hash: PasswordHash = argon2.hash_password(password.as_bytes()).unwrap();
        hash.to_string()
    }

    fn admin(name: &str, password: &str) -> Admin {
        Admin { name: name.into(), password: password.to_owned().as_str().into() }
    }

    #[tokio::test]
    async fn only_the_right_password_of_the_right_name() {
        let passwords = Passwords::new(&[admin("ada", &cheap("one")), admin("bob", &cheap("two"))]).unwrap();
        let verify = async |name: &str, password: &str| passwords.verify(name, password.into()).await;
        assert_eq!(verify("ada", "one").await, Ok("ada".into()));
        assert_eq!(verify("bob", "two").await, Ok("bob".into()));
        for (name, password) in
            [("ada", "two"), ("bob", "one"), ("ada", ""), ("Ada", "one"), ("", "one"), ("ada", "one ")]
        {
            assert_eq!(verify(name, password).await, Err(NotIn::Wrong), "{name} {password}");
        }
        // Whoever a stranger is compared with: the right password of somebody else does not help.
        for number in 0..50 {
            assert_eq!(verify(&format!("stranger-{number}"), "one").await, Err(NotIn::Wrong));
        }
        assert_eq!(verify("ada", &"x".repeat(PASSWORD_MAX + 1)).await, Err(NotIn::Wrong));
        let nobody = Passwords::new(&[]).unwrap();
        assert_eq!(nobody.verify("ada", "one".into()).await, Err(NotIn::NoAdmins));
    }

    #[test]
    fn a_hash_that_is_none_stops_the_start_and_is_not_shown() {
        for text in [
            "$argon2id$",
            "$argon2id$v=19$m=8,t=1,p=1",
            "$argon2id$v=19$m=1,t=0,p=9$c2FsdHNhbHQ$AAAAAAAAAAAAAAAA",
        ] {
            let error =
                Passwords::new(&[admin("ada", &cheap("one")), admin("bob", text)]).unwrap_err().to_string();
            assert!(
                error.starts_with("monitor.admins[1].password: ")
                    && error.contains("switchboard-monitor password"),
                "{error}"
            );
            assert!(!error.contains("argon2id$"), "{error}");
        }
        assert!(hash("").is_err() && hash(&"x".repeat(2000)).is_err());
        assert!(hash("correct horse").unwrap().starts_with("$argon2id$v=19$"));
    }
}
