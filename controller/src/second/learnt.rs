//! What a second front has learnt from the first, kept for the time when that is away.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use switchboard_fleet::config::Config;

use super::{error::SecondError, talk::Members};

/// All of it, but the switches, which are with the front's own, and the certificate, which nginx reads itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Learnt {
    /// When, ms since 1970.
    pub(crate) at_ms: u64,
    pub(crate) members: Members,
    /// A certificate was written that nginx has not read.
    pub(crate) reload: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    learnt: Value,
    /// SHA-256 of that as text, in hexadecimal.
    checksum: String,
}

/// Where it is.
pub(crate) fn file(config: &Config) -> PathBuf {
    config.front_dir().join("second.json")
}

impl Learnt {
    /// What was learnt before; nothing if there is no file.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, SecondError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SecondError::File { path: path.into(), error }),
        };
        let damaged = |why: String| SecondError::Damaged { path: path.into(), why };
        let stored: Stored = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if stored.checksum != checksum(&stored.learnt) {
            return Err(damaged("its checksum is wrong".into()));
        }
        serde_json::from_value(stored.learnt).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Keeps it; durable when this returns. Blocks.
    pub(crate) fn write(&self, path: &Path) -> Result<(), SecondError> {
        self.put(path).map_err(|error| SecondError::File { path: path.into(), error })
    }

    fn put(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        // As nginx's worker processes need it, who may be somebody else.
        fs::create_dir_all(folder)?;
        let learnt = serde_json::to_value(self)?;
        let text = serde_json::to_vec(&Stored { checksum: checksum(&learnt), learnt })?;
        let beside = path.with_extension("json.new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        fs::File::open(folder)?.sync_all()
    }

    /// The configuration with the instances that were learnt.
    pub(crate) fn lay_over(&self, config: &mut Config) {
        if !self.members.configured.is_empty() {
            config.instances.clone_from(&self.members.configured);
        }
    }
}

fn checksum(learnt: &Value) -> String {
    HEXLOWER.encode(&Sha256::digest(learnt.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_comes_back_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("front/second.json");
        assert_eq!(Learnt::read(&path).unwrap(), None);
        let members = Members {
            number: 3,
            configured: vec![8081, 8082],
            here: vec![8081],
            leaving: vec![8081],
            gone: vec![8082],
        };
        let learnt = Learnt { at_ms: 5, members, reload: true };
        for _ in 0..2 {
            learnt.write(&path).unwrap();
        }
        assert_eq!(Learnt::read(&path).unwrap().as_ref(), Some(&learnt));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut config = Config { instances: vec![1], ..Config::default() };
        learnt.lay_over(&mut config);
        assert_eq!(config.instances, [8081, 8082]);
        Learnt::default().lay_over(&mut config);
        assert_eq!(config.instances, [8081, 8082], "nothing was learnt");

        let text = fs::read_to_string(&path).unwrap();
        for damaged in [text.replace("8082", "8083"), text[..text.len() / 2].into(), String::new()] {
            fs::write(&path, damaged).unwrap();
            let error = Learnt::read(&path).unwrap_err().to_string();
            assert!(error.contains("delete it"), "{error}");
        }
    }
}
