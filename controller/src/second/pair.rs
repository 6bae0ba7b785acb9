//! A certificate with its key, in two files that are changed together.

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf, absolute},
};

use data_encoding::HEXLOWER;
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use switchboard_fleet::config::{Config, FrontTls};

/// Most bytes of each file.
const BYTES_MAX: usize = 1 << 20;

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
    certificate: String,
    key: String,
}

impl fmt::Debug for Pair {
    /// Never shows a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pair({})", self.sum())
    }
}

impl Pair {
    /// What the two files hold.
    pub(crate) fn read(tls: &FrontTls) -> io::Result<Self> {
        let read = |path: &Path| {
            let text = fs::read_to_string(path)?;
            if text.len() > BYTES_MAX { Err(io::Error::other("it is longer than 1 MiB")) } else { Ok(text) }
        };
        Ok(Self { certificate: read(&tls.certificate)?, key: read(&tls.key)? })
    }

    /// Whether key and certificate belong together; else why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or("there is no certificate in it")?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|_| "there is no key in it")?;
        let key = any_supported_type(&key).map_err(|_| "its key is of no known kind")?;
        let checked = CertifiedKey::new(chain, key).keys_match();
        checked.map_err(|_| "key and certificate do not belong together".into())
    }

    /// A text that changes with either, and tells nothing of the key.
    pub(crate) fn sum(&self) -> String {
        HEXLOWER.encode(&Sha256::digest([self.certificate.as_bytes(), &[0], self.key.as_bytes()].concat()))
    }

    /// Puts both in place of what was there; durable when this returns. A reader between the two sees a pair that
    /// does not fit, and [`Pair::finish`] brings that to its end.
    pub(crate) fn write(&self, tls: &FrontTls) -> io::Result<()> {
        let folder = tls.key.parent().unwrap_or(Path::new("."));
        // Only the last one is for this user alone: nginx's worker processes go through those above.
        folder.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for (path, text) in [(&tls.certificate, &self.certificate), (&tls.key, &self.key)] {
            let beside = beside(path);
            // One that was left behind may have another mode.
            let _ = fs::remove_file(&beside);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
        }
        fs::rename(beside(&tls.key), &tls.key)?;
        fs::rename(beside(&tls.certificate), &tls.certificate)?;
        fs::File::open(folder)?.sync_all()
    }

    /// The pair in place. If whoever changed it died between the two files, the second one follows now.
    pub(crate) fn finish(tls: &FrontTls) -> Option<Self> {
        let is_whole = |pair: &Self| pair.check().is_ok();
        if let Some(pair) = Self::read(tls).ok().filter(is_whole) {
            return Some(pair);
        }
        let new = FrontTls { certificate: beside(&tls.certificate), key: tls.key.clone() };
        let pair = Self::read(&new).ok().filter(is_whole)?;
        fs::rename(&new.certificate, &tls.certificate).ok()?;
        Some(pair)
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Where a second front keeps the first one's certificate.
pub(crate) fn learnt_at(config: &Config) -> FrontTls {
    let folder = config.front_dir().join("tls");
    FrontTls { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") }
}

/// The files of the certificate that is to be learnt: none if this front has one of its own, or needs none.
pub(crate) fn wanted(config: &Config) -> Option<FrontTls> {
    let (named, learnt) = (config.front.tls.as_ref()?, learnt_at(config));
    let same = |a: &Path, b: &Path| absolute(a).ok() == absolute(b).ok();
    let is_learnt = same(&named.certificate, &learnt.certificate) && same(&named.key, &learnt.key);
    is_learnt.then_some(learnt)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn pair() -> Pair {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
        Pair { certificate: cert.pem(), key: signing_key.serialize_pem() }
    }

    #[test]
    fn only_what_belongs_together_is_a_pair() {
        let (one, other) = (pair(), pair());
        assert_eq!(one.check(), Ok(()));
        let mixed = Pair { key: other.key, ..one.clone() };
        assert!(mixed.check().unwrap_err().contains("belong together"));
        assert!(Pair { certificate: String::new(), ..one.clone() }.check().is_err());
        assert!(Pair { key: one.certificate.clone(), ..one.clone() }.check().is_err());
        assert!(!format!("{one:?}").contains("BEGIN"));
    }

    #[test]
    fn whenever_its_writer_dies_there_is_a_pair() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { state_dir: folder.path().into(), ..Config::default() };
        let (tls, old, new) = (learnt_at(&config), pair(), pair());
        assert_eq!(Pair::finish(&tls), None);
        old.write(&tls).unwrap();
        assert_eq!(Pair::finish(&tls), Some(old.clone()));
        for path in [&tls.certificate, &tls.key] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // Before the first rename; then between the two.
        fs::write(beside(&tls.certificate), &new.certificate).unwrap();
        fs::write(beside(&tls.key), &new.key).unwrap();
        assert_eq!(Pair::finish(&tls), Some(old));
        fs::rename(beside(&tls.key), &tls.key).unwrap();
        assert!(Pair::read(&tls).unwrap().check().is_err());
        assert_eq!(Pair::finish(&tls), Some(new.clone()));
        assert_eq!(Pair::read(&tls).unwrap(), new);
    }

    #[test]
    fn a_certificate_of_its_own_is_left_alone() {
        let mut config = Config { state_dir: "var".into(), ..Config::default() };
        assert!(wanted(&config).is_none());
        config.front.tls = Some(learnt_at(&config));
        assert!(wanted(&config).is_some());
        config.front.tls = Some(FrontTls { certificate: "cert.pem".into(), key: "key.pem".into() });
        assert!(wanted(&config).is_none());
    }
}
