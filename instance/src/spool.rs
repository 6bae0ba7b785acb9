//! A request's body on disk, between an app that still sends and an agent that already replies.
//!
//! nginx, once it has passed on an answer's head, does not go on sending a request whose upstream was full for a moment: such
//! an upload would stand still for ever (`ngx_http_upstream_send_request_handler`, as of 1.22 and later). So behind the front
//! the rest of the request is taken in at once, and the reply's head is held back until it is all here. What the agent
//! has not read meanwhile waits in a file without a name, which is gone with the transaction.

use std::{
    cell::RefCell, fs::File, io, os::unix::fs::FileExt, path::Path, rc::Rc, sync::Arc, time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    sync::{Notify, mpsc},
    task::{JoinHandle, spawn_blocking, spawn_local},
    time::timeout,
};

use crate::relay::Broken;

/// Bytes read back at a time.
const PIECE: u64 = 64 << 10;
/// An app that has sent nothing for so long waits for the reply before it goes on: then the reply must not wait for it.
const PAUSE: Duration = Duration::from_millis(250);

/// A body on its way through a file.
#[derive(Debug)]
pub(crate) struct Spool {
    pieces: mpsc::Receiver<Result<Bytes, Broken>>,
    tasks: [JoinHandle<()>; 2],
}

/// How far the file is written, told to who reads it and to who waits for its end.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    written: u64,
    ended: Option<Result<(), Broken>>,
}

impl Spool {
    /// Takes in the rest of `body`, at most `limit` bytes of it, through a file in `folder`.
    ///
    /// # Errors
    /// What the system says; `body` is given back.
    pub(crate) fn start(
        body: Incoming,
        limit: u64,
        folder: &Path,
        progress: Rc<Progress>,
    ) -> Result<Self, (Incoming, io::Error)> {
        let file = match tempfile::tempfile_in(folder) {
            Ok(file) => Arc::new(file),
            Err(error) => return Err((body, error)),
        };
        // One piece ahead of the reader.
        let (pieces, reader) = mpsc::channel(1);
        let tasks = [
            spawn_local(take_in(body, limit, file.clone(), progress.clone())),
            spawn_local(give_out(file, progress, pieces)),
        ];
        Ok(Self { pieces: reader, tasks })
    }

    /// The next piece, in order; `None` is the end.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Bytes, Broken>>> {
        self.pieces.poll_recv(cx)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Progress {
    /// Waits until the whole body has been taken in, or the app pauses, or it breaks off.
    pub(crate) async fn all_here(&self) {
        loop {
            let written = self.state.borrow().written;
            let changed = self.changed.notified();
            if self.state.borrow().ended.is_some() {
                return;
            }
            // The reader makes no change here, so that silence is the app's.
            if timeout(PAUSE, changed).await.is_err() && self.state.borrow().written == written {
                return;
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.borrow_mut());
        self.changed.notify_waiters();
    }
}

async fn take_in(mut body: Incoming, limit: u64, file: Arc<File>, progress: Rc<Progress>) {
    let ended = loop {
        let data = match body.frame().await {
            None => break Ok(()),
            Some(Err(_)) => break Err(Broken::SenderLeft),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        let written = progress.state.borrow().written;
        let bytes = data.len() as u64;
        if written + bytes > limit {
            break Err(Broken::TooLong);
        }
        let file = file.clone();
        if let Ok(Err(error)) | Err(error) =
            spawn_blocking(move || file.write_all_at(&data, written)).await.map_err(io::Error::other)
        {
            tracing::error!(%error, "a request cannot be kept on disk");
            break Err(Broken::SenderLeft);
        }
        progress.change(|state| state.written += bytes);
    };
    progress.change(|state| state.ended = Some(ended));
}

async fn give_out(file: Arc<File>, progress: Rc<Progress>, pieces: mpsc::Sender<Result<Bytes, Broken>>) {
    let mut given = 0;
    loop {
        let changed = progress.changed.notified();
        let State { written, ended } = *progress.state.borrow();
        if given == written {
            match ended {
                None => changed.await,
                Some(Ok(())) => return,
                Some(Err(broken)) => {
                    // The reader may have gone, and needs no telling then.
                    let _ = pieces.send(Err(broken)).await;
                    return;
                }
            }
            continue;
        }
        let mut piece = vec![0; (written - given).min(PIECE) as usize];
        let file = file.clone();
        let read = spawn_blocking(move || file.read_exact_at(&mut piece, given).map(|()| piece)).await;
        let Ok(Ok(piece)) = read else {
            let _ = pieces.send(Err(Broken::SenderLeft)).await;
            return;
        };
        given += piece.len() as u64;
        if pieces.send(Ok(Bytes::from(piece))).await.is_err() {
            return;
        }
    }
}
