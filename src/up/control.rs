//! The socket by which `switchboard reload` reaches the running `up`: one request a connection, answered by lines,
//! the last of them [`DONE`] or [`FAILED`] and why.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use switchboard_daemon::PrivateSocket;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// The one request there is.
pub(crate) const RELOAD: &str = "reload";
/// The last line of an answer when all is done.
pub(crate) const DONE: &str = "done";
/// How the last line of an answer begins when it is not.
pub(crate) const FAILED: &str = "failed: ";

/// How long a caller may take to say what it wants, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the socket is.
pub(crate) fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("up.sock")
}

/// The listening side.
pub(super) struct Control(PrivateSocket);

/// A caller that waits for its reload.
pub(super) struct Request(UnixStream);

impl Control {
    /// Listens, for this user only. Must be made by the holder of the folder's lock.
    pub(super) fn bind(state_dir: &Path) -> anyhow::Result<Self> {
        let path = socket(state_dir);
        let cannot =
            || format!("{}: cannot listen there; choose a shorter state_dir of this user's", path.display());
        Ok(Self(PrivateSocket::bind(&path).with_context(cannot)?))
    }

    /// The next caller that wants a reload.
    pub(super) async fn request(&mut self) -> Request {
        loop {
            let mut stream = self.0.accept().await;
            let mut asked = vec![0; RELOAD.len() + 1];
            let read = timeout(PATIENCE, stream.read_exact(&mut asked)).await;
            if matches!(read, Ok(Ok(_))) && asked == format!("{RELOAD}\n").as_bytes() {
                return Request(stream);
            }
        }
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
