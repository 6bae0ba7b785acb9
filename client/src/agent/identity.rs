//! Who an agent is, and the file that remembers it.

use std::{
    ffi::OsString,
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use switchboard_fleet::{CustomerId, header};

/// A customer ID and the token that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: CustomerId,
    /// Absent if a legacy server registered the agent.
    pub(crate) token: Option<HeaderValue>,
}

/// Why the state file cannot be used. A file that cannot be read is never taken for absent: its ID would be lost.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It exists and cannot be read.
    #[error("{}: the agent's state cannot be read ({error}); allow it, or name another file", .path.display())]
    Read {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is no state file.
    #[error("{}: not an agent's state ({reason}); name another file, or move this one away to register anew", .path.display())]
    Foreign {
        /// The state file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be written.
    #[error("{}: the agent's state cannot be written ({error}); name a file in a writable folder", .path.display())]
    Write {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// What the file holds. The ID is text: it may be larger than what other JSON readers take as a number.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Identity {
    /// The headers by which the agent says who it is.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::PRODUCT_UNIV_ID, HeaderValue::from(self.id.get()));
        if let Some(token) = &self.token {
            headers.insert(header::TOKEN, token.clone());
        }
        headers
    }

    /// Reads the state file; `None` only if there is none.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, StateError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::Read { path: path.into(), error }),
        };
        let foreign = |reason: String| StateError::Foreign { path: path.into(), reason };
        let stored: Stored = serde_json::from_slice(&text).map_err(|e| foreign(e.to_string()))?;
        let id = stored.id.parse().map_err(|e| foreign(format!("id: {e}")))?;
        let token = stored.token.map(|text| {
            let mut value = HeaderValue::try_from(text).map_err(|e| foreign(format!("token: {e}")))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Some(Self { id, token: token.transpose()? }))
    }
}

/// A state file about to be: made before registration, so that no ID is asked for that could not be kept.
pub(crate) struct Draft {
    path: PathBuf,
    beside: PathBuf,
    file: fs::File,
}

impl Draft {
    /// Makes the file beside `path`, readable by its owner only.
    pub(crate) fn new(path: &Path) -> Result<Self, StateError> {
        let mut beside = OsString::from(path);
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let open = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside);
        let file = open.map_err(|error| StateError::Write { path: path.into(), error })?;
        Ok(Self { path: path.into(), beside, file })
    }

    /// Writes the identity; durable when this returns.
    pub(crate) fn save(mut self, identity: &Identity) -> Result<(), StateError> {
        let token = identity.token.as_ref().and_then(|token| token.to_str().ok());
        let stored = Stored { id: identity.id.to_string(), token: token.map(Into::into) };
        let mut write = || -> io::Result<()> {
            serde_json::to_writer_pretty(&mut self.file, &stored)?;
            self.file.write_all(b"\n")?;
            self.file.sync_all()?;
            fs::rename(&self.beside, &self.path)?;
            let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::File::open(folder)?.sync_all()
        };
        write().map_err(|error| StateError::Write { path: self.path.clone(), error })
    }
}

impl Drop for Draft {
    /// A draft that was not saved leaves nothing behind; a saved one was renamed already.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.beside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_was_saved_is_loaded_and_only_absence_is_absence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.json");
        assert_eq!(Identity::load(&path).unwrap(), None);
        drop(Draft::new(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "an unsaved draft is gone");

        for token in [None, Some(HeaderValue::from_static("abc-_"))] {
            let identity = Identity { id: CustomerId::new(u64::MAX).unwrap(), token };
            Draft::new(&path).unwrap().save(&identity).unwrap();
            assert_eq!(Identity::load(&path).unwrap(), Some(identity));
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        for foreign in
            ["", "{}", r#"{"id": "0"}"#, r#"{"id": 5}"#, r#"{"id": "5", "x": 1}"#, "{\"id\": \"5\""]
        {
            fs::write(&path, foreign).unwrap();
            assert!(matches!(Identity::load(&path), Err(StateError::Foreign { .. })), "{foreign}");
        }
        assert!(matches!(Identity::load(folder.path()), Err(StateError::Read { .. })));
        let nowhere = folder.path().join("absent/agent.json");
        assert!(matches!(Draft::new(&nowhere), Err(StateError::Write { .. })));
    }
}
