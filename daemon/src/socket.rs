//! A socket by which programs of the same user on the same machine reach a running one.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    time::sleep,
};

/// A pause after a failure to accept, which may last.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening side; the file goes with it.
#[derive(Debug)]
pub struct PrivateSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl PrivateSocket {
    /// Listens, for this user only. Must be made by the holder of a lock that says that nobody else uses the path.
    ///
    /// # Errors
    /// The folder cannot be written, or the path is too long for a socket (107 bytes).
    pub fn bind(path: &Path) -> io::Result<Self> {
        // Left behind by one that was killed: the lock says that nobody uses it.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        let socket = Self { listener, path: path.into() };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// The next caller.
    pub async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

impl Drop for PrivateSocket {
    fn drop(&mut self) {
        // Whoever comes next removes it too.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_this_users_own_and_goes_with_its_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        fs::write(&path, "left behind").unwrap();
        let socket = PrivateSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (caller, called) = tokio::join!(UnixStream::connect(&path), socket.accept());
        caller.unwrap();
        drop((called, socket));
        assert!(!path.exists());
        assert!(PrivateSocket::bind(&folder.path().join("a".repeat(200))).is_err());
    }
}
