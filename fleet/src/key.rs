//! The fleet's keys, and the two proofs made from them: a customer's token and an instance's signature.
//!
//! Both are HMAC-SHA-256 (RFC 2104). Each covers a text that begins with its own purpose, so that one can never
//! pass for the other. Verification takes constant time.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method};
use sha2::{Digest, Sha256};

use crate::{CustomerId, header};

type HmacSha256 = Hmac<Sha256>;

/// How far a signature's time may lie from the verifier's clock, either way.
pub const SIGNATURE_MAX_AGE: Duration = Duration::from_secs(30);

/// Bytes of a fresh key.
const KEY_BYTES: usize = 32;
/// Fewest bytes of a key that is taken.
const KEY_BYTES_MIN: usize = 16;
/// Most keys of one file: every one of them costs a failed verification an HMAC.
const KEYS_MAX: usize = 8;

/// Which key a token is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// The one that signs.
    New,
    /// One that does not sign any more: the token's owner should get a new one.
    Old,
}

/// The fleet's keys. The first signs, all verify: a fleet changes its key by putting the new one second
/// everywhere, then first everywhere, then removing the old one.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<HmacSha256>,
}

/// Why a key file cannot be used. The text names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("{}: the fleet key cannot be read ({cause}); make one with `switchboard key`, or copy the fleet's", .path.display())]
    Read {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Others than the owner and the group may read the file.
    #[error("{}: the fleet key is open to every user of this machine (mode {mode:03o}); `chmod 600` it", .path.display())]
    Permissions {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line is no key.
    #[error("{}:{line}: not a key: expected at least 32 hexadecimal digits, one key a line, at most 8 keys", .path.display())]
    Line {
        /// The key file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file has no key.
    #[error("{}: the file holds no key; make one with `switchboard key`, or copy the fleet's", .path.display())]
    Empty {
        /// The key file.
        path: PathBuf,
    },
    /// A new key cannot be written; an existing file is never replaced.
    #[error("{}: the fleet key cannot be written ({cause}); an existing key file is never replaced", .path.display())]
    Write {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Why a call counts as unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No `X-IWP-Signature`.
    #[error("signature missing")]
    Missing,
    /// Not of the form `t=MILLISECONDS,v1=HEX`.
    #[error("signature malformed")]
    Malformed,
    /// Made more than [`SIGNATURE_MAX_AGE`] before or after now.
    #[error("signature too old or from the future: compare the clocks")]
    Expired,
    /// None of this fleet's keys made it, or something it covers was changed.
    #[error("signature wrong")]
    Wrong,
}

impl KeyRing {
    /// Keys given as bytes; the first signs.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        // HMAC takes keys of any length, so nothing is dropped here.
        let keys = keys.into_iter().filter_map(|k| HmacSha256::new_from_slice(k.as_ref()).ok()).collect();
        Self { keys }
    }

    /// Reads a key file: one key a line in hexadecimal, `#` begins a comment.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let read_error = |cause| KeyFileError::Read { path: path.into(), cause };
        let mode = fs::metadata(path).map_err(read_error)?.mode() & 0o777;
        if mode & 0o007 != 0 {
            return Err(KeyFileError::Permissions { path: path.into(), mode });
        }
        let text = fs::read_to_string(path).map_err(read_error)?;
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            match HEXLOWER_PERMISSIVE.decode(line.as_bytes()) {
                Ok(key) if key.len() >= KEY_BYTES_MIN && keys.len() < KEYS_MAX => keys.push(key),
                _ => return Err(KeyFileError::Line { path: path.into(), line: index + 1 }),
            }
        }
        if keys.is_empty() {
            return Err(KeyFileError::Empty { path: path.into() });
        }
        Ok(Self::new(keys))
    }

    /// Writes a fresh key file, readable by its owner only, durable when this returns. `random` is the key:
    /// 32 bytes from the system's generator.
    ///
    /// # Errors
    /// [`KeyFileError::Write`], also when the file exists: a fleet's key is never replaced by accident.
    pub fn create(path: &Path, random: [u8; KEY_BYTES]) -> Result<(), KeyFileError> {
        let write = || -> io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            writeln!(file, "{}", HEXLOWER.encode(&random))?;
            file.sync_all()?;
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::File::open(folder)?.sync_all()
        };
        write().map_err(|cause| KeyFileError::Write { path: path.into(), cause })
    }

    /// The token of a customer: what `X-IWP-Token` carries, 43 characters of base64url.
    pub fn token(&self, id: CustomerId) -> String {
        let mac = self.keys.first().map(|key| token_mac(key, id));
        mac.map(|mac| BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())).unwrap_or_default()
    }

    /// Under which of the keys `token` is `id`'s, if it is under any.
    pub fn verify_token(&self, id: CustomerId, token: &[u8]) -> Option<Age> {
        self.token_key(id, token).map(|place| if place == 0 { Age::New } else { Age::Old })
    }

    fn token_key(&self, id: CustomerId, token: &[u8]) -> Option<usize> {
        let mut mac = [0; 32];
        if BASE64URL_NOPAD.decode_len(token.len()).ok()? != mac.len() {
            return None;
        }
        BASE64URL_NOPAD.decode_mut(token, &mut mac).ok()?;
        self.keys.iter().position(|key| token_mac(key, id).verify_slice(&mac).is_ok())
    }

    /// The value of `X-IWP-Signature` for a call with these headers, made at `now`.
    ///
    /// Covered are the time, the method, the path and every `X-IWP-*` header; a body is covered through its
    /// digest in `X-IWP-Digest` ([`KeyRing::digest`]).
    pub fn sign(&self, method: &Method, path: &str, headers: &HeaderMap, now: SystemTime) -> HeaderValue {
        let time = millis(now);
        let mac = self.keys.first().map(|key| signature_mac(key, time, method, path, headers));
        let mac = mac.map(|mac| HEXLOWER.encode(&mac.finalize().into_bytes())).unwrap_or_default();
        HeaderValue::try_from(format!("t={time},v1={mac}")).unwrap_or(HeaderValue::from_static(""))
    }

    /// Checks the signature of a call.
    ///
    /// # Errors
    /// [`SignatureError`] says which of its conditions is not met.
    pub fn verify(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        let value = headers.get(header::SIGNATURE).ok_or(SignatureError::Missing)?;
        let (time, mac) = parse_signature(value).ok_or(SignatureError::Malformed)?;
        if millis(now).abs_diff(time) > SIGNATURE_MAX_AGE.as_millis() as u64 {
            return Err(SignatureError::Expired);
        }
        let good = |key| signature_mac(key, time, method, path, headers).verify_slice(&mac).is_ok();
        if self.keys.iter().any(good) { Ok(()) } else { Err(SignatureError::Wrong) }
    }

    /// A key for one purpose, made of each of the fleet's keys, in their order.
    pub(crate) fn derived(&self, purpose: &str) -> impl Iterator<Item = [u8; KEY_BYTES]> {
        self.keys.iter().map(move |key| {
            let mut mac = key.clone();
            mac.update(format!("switchboard key v1\n{purpose}\n").as_bytes());
            mac.finalize().into_bytes().into()
        })
    }

    /// The value of `X-IWP-Digest` for a body: its SHA-256 in hexadecimal.
    pub fn digest(body: &[u8]) -> String {
        HEXLOWER.encode(&Sha256::digest(body))
    }
}

impl std::fmt::Debug for KeyRing {
    /// Never shows a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len())
    }
}

fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

fn token_mac(key: &HmacSha256, id: CustomerId) -> HmacSha256 {
    let mut mac = key.clone();
    mac.update(b"switchboard token v1\n");
    mac.update(&id.get().to_be_bytes());
    mac
}

fn signature_mac(
    key: &HmacSha256,
    time: u64,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> HmacSha256 {
    let mut mac = key.clone();
    mac.update(format!("switchboard signature v1\n{time}\n{method}\n{path}\n").as_bytes());
    let mut covered: Vec<_> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-iwp-") && **name != header::SIGNATURE)
        .collect();
    covered.sort_by_key(|(name, value)| (name.as_str(), value.as_bytes()));
    for (name, value) in covered {
        mac.update(name.as_str().as_bytes());
        mac.update(b":");
        mac.update(value.as_bytes());
        mac.update(b"\n");
    }
    mac
}

fn parse_signature(value: &HeaderValue) -> Option<(u64, Vec<u8>)> {
    let (time, mac) = value.to_str().ok()?.strip_prefix("t=")?.split_once(",v1=")?;
    if time.len() > 20 || mac.len() != 64 {
        return None;
    }
    Some((time.parse().ok()?, HEXLOWER.decode(mac.as_bytes()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    fn ring(byte: u8) -> KeyRing {
        KeyRing::new([[byte; 32]])
    }

    fn headers(id: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::PRODUCT_UNIV_ID, id.parse().unwrap());
        headers.insert("x-real-ip", "10.0.0.1".parse().unwrap());
        headers
    }

    proptest! {
        #[test]
        fn a_token_fits_one_id_and_one_fleet(a in 1u64.., b in 1u64..) {
            let (a, b) = (CustomerId::new(a).unwrap(), CustomerId::new(b).unwrap());
            let token = ring(1).token(a);
            prop_assert!(ring(1).verify_token(a, token.as_bytes()) == Some(Age::New));
            prop_assert_eq!(ring(2).verify_token(a, token.as_bytes()), None);
            prop_assert_eq!(ring(1).verify_token(b, token.as_bytes()).is_some(), a == b);
        }

        #[test]
        fn no_text_makes_verification_fail_badly(text in "\\PC*") {
            let mut h = headers("1");
            if let Ok(value) = HeaderValue::try_from(text) {
                h.insert(header::SIGNATURE, value);
                prop_assert!(ring(1).verify(&Method::POST, "/hello", &h, SystemTime::now()).is_err());
            }
        }
    }

    #[test]
    fn a_signature_covers_method_path_headers_and_time() {
        let now = SystemTime::now();
        let mut signed = headers("7");
        signed.insert(header::SIGNATURE, ring(1).sign(&Method::POST, "/connected", &signed, now));
        let check = |keys: &KeyRing, method, path, h: &HeaderMap, at| keys.verify(method, path, h, at);
        assert_eq!(check(&ring(1), &Method::POST, "/connected", &signed, now), Ok(()));
        let late = now + SIGNATURE_MAX_AGE;
        assert_eq!(check(&ring(1), &Method::POST, "/connected", &signed, late), Ok(()));
        let wrong = Err(SignatureError::Wrong);
        assert_eq!(check(&ring(2), &Method::POST, "/connected", &signed, now), wrong);
        assert_eq!(check(&ring(1), &Method::PUT, "/connected", &signed, now), wrong);
        assert_eq!(check(&ring(1), &Method::POST, "/connected/8081", &signed, now), wrong);
        let mut changed = signed.clone();
        changed.insert(header::PRODUCT_UNIV_ID, "8".parse().unwrap());
        assert_eq!(check(&ring(1), &Method::POST, "/connected", &changed, now), wrong);
        let mut added = signed.clone();
        added.append(header::SINCE, "1".parse().unwrap());
        assert_eq!(check(&ring(1), &Method::POST, "/connected", &added, now), wrong);
        let later = late + Duration::from_millis(1);
        assert_eq!(
            check(&ring(1), &Method::POST, "/connected", &signed, later),
            Err(SignatureError::Expired)
        );
        let early = now - SIGNATURE_MAX_AGE - Duration::from_millis(1);
        assert_eq!(
            check(&ring(1), &Method::POST, "/connected", &signed, early),
            Err(SignatureError::Expired)
        );
        let missing = headers("7");
        assert_eq!(check(&ring(1), &Method::POST, "/connected", &missing, now), Err(SignatureError::Missing));
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let both = KeyRing::new([[2u8; 32], [1; 32]]);
        let id = CustomerId::new(5).unwrap();
        assert_eq!(both.verify_token(id, ring(1).token(id).as_bytes()), Some(Age::Old));
        assert_eq!(both.verify_token(id, both.token(id).as_bytes()), Some(Age::New));
        assert_eq!(ring(2).verify_token(id, both.token(id).as_bytes()), Some(Age::New));
        assert_eq!(ring(1).verify_token(id, both.token(id).as_bytes()), None);
        assert_eq!(both.verify_token(id, b"wrong"), None);
    }

    #[test]
    fn key_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.key");
        assert!(matches!(KeyRing::read(&path), Err(KeyFileError::Read { .. })));
        KeyRing::create(&path, [7; 32]).unwrap();
        assert!(matches!(KeyRing::create(&path, [8; 32]), Err(KeyFileError::Write { .. })));
        let id = CustomerId::new(5).unwrap();
        assert_eq!(KeyRing::read(&path).unwrap().token(id), ring(7).token(id));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(KeyRing::read(&path), Err(KeyFileError::Permissions { mode: 0o644, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, format!("# old\n\n{}\nxyz\n", "ab".repeat(16))).unwrap();
        assert!(matches!(KeyRing::read(&path), Err(KeyFileError::Line { line: 4, .. })));
        fs::write(&path, "# none\n").unwrap();
        assert!(matches!(KeyRing::read(&path), Err(KeyFileError::Empty { .. })));
    }
}
