//! The socket by which `switchboard reload` reaches the running `up`: one request a connection, answered by lines,
//! the last of them [`DONE`] or [`FAILED`] and why.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};

/// The one request there is.
pub(crate) const RELOAD: &str = "reload";
/// The last line of an answer when all is done.
pub(crate) const DONE: &str = "done";
/// How the last line of an answer begins when it is not.
pub(crate) const FAILED: &str = "failed: ";

/// How long a caller may take to say what it wants, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A pause after a failure to accept, which may last.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the socket is.
pub(crate) fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("up.sock")
}

/// The listening side. Must be made by the holder of the folder's lock.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// A caller that waits for its reload.
pub(super) struct Request(UnixStream);

impl Control {
    /// Listens, for this user only.
    pub(super) fn bind(state_dir: &Path) -> anyhow::Result<Self> {
        let path = socket(state_dir);
        let bind = || -> io::Result<UnixListener> {
            // Left behind by one that was killed: the lock says that nobody uses it.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let cannot =
            || format!("{}: cannot listen there; choose a shorter state_dir of this user's", path.display());
        let listener = bind().with_context(cannot)?;
        Ok(Self { listener, path })
    }

    /// The next caller that wants a reload.
    pub(super) async fn request(&mut self) -> Request {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let mut asked = vec![0; RELOAD.len() + 1];
            let read = timeout(PATIENCE, stream.read_exact(&mut asked)).await;
            if matches!(read, Ok(Ok(_))) && asked == format!("{RELOAD}\n").as_bytes() {
                return Request(stream);
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Request {
    /// Tells the caller what was done; one that does not listen is forgotten.
    pub(super) async fn answer(mut self, done: anyhow::Result<Vec<String>>) {
        let text = match done {
            Ok(lines) => lines.into_iter().chain([DONE.to_owned()]).collect::<Vec<_>>().join("\n"),
            Err(error) => format!("{FAILED}{}", format!("{error:#}").replace('\n', "; ")),
        };
        let _ = timeout(PATIENCE, self.0.write_all(format!("{text}\n").as_bytes())).await;
    }
}
