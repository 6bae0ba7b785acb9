//! A request's body by way of the disk, between an app that still sends and an agent that already replies.
//!
//! nginx, once it has passed on an answer's head, does not go on sending a request whose upstream was full for a moment: such
//! an upload would stand still for ever (`ngx_http_upstream_send_request_handler`, as of 1.22 and later). So behind the front
//! the rest of the request is taken in at once, and the reply's head is held back until it is all here. What the agent
//! has not read meanwhile waits in a file without a name, which is gone with the transaction.

use std::{
    cell::RefCell, fs::File, future::poll_fn, io, os::unix::fs::FileExt, path::Path, sync::Arc, task::Poll,
    time::Duration,
};

use futures_util::future::try_join3;
use tokio::{sync::Notify, task::spawn_blocking, time::timeout};

use crate::wire::carry::{Intake, Outlet, Passage, poll_carry};

/// Bytes read back at a time.
const PIECE: u64 = 64 << 10;
/// An app that has sent nothing for so long waits for the reply before it goes on: then the reply must not wait for it.
const PAUSE: Duration = Duration::from_millis(250);

/// How far the file is written, told to who reads it and to who waits for its end.
#[derive(Debug, Default)]
struct Progress {
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    written: u64,
    ended: bool,
}

/// Carries the rest of a body through a file in `folder`. `all_here` is called once all of it has been taken in, or when the app
/// pauses.
pub(crate) async fn carry(folder: &Path, from: &mut Intake, to: &Outlet, all_here: impl FnOnce()) -> Passage {
    let file = match tempfile::tempfile_in(folder) {
        Ok(file) => Arc::new(file),
        Err(error) => {
            tracing::warn!(%error, folder = %folder.display(), "a request cannot be kept on disk");
            all_here();
            return poll_fn(|cx| poll_carry(cx, from, to)).await;
        }
    };
    if let Err(why) = poll_fn(|cx| Poll::Ready(from.leave_pipe(cx, to))).await {
        return why;
    }
    // Others must not keep it waiting: its silence would be taken for the app's.
    from.take_no_turns();
    let progress = Progress::default();
    let told = async {
        progress.all_here().await;
        all_here();
        Ok(())
    };
    let ways = try_join3(take_in(from, &file, &progress), give_out(&file, &progress, to), told);
    ways.await.map_or_else(|why| why, |_| Passage::Whole)
}

impl Progress {
    /// Waits until the whole body has been taken in, or the app pauses.
    async fn all_here(&self) {
        loop {
            let State { written, ended } = *self.state.borrow();
            let changed = self.changed.notified();
            if ended {
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

async fn take_in(from: &mut Intake, file: &Arc<File>, progress: &Progress) -> Result<(), Passage> {
    while !from.is_over() {
        let mut piece = Vec::new();
        poll_fn(|cx| {
            from.poll_take(cx, |_, data| {
                piece.extend_from_slice(data);
                Ok(())
            })
        })
        .await?;
        let (file, written, bytes) = (file.clone(), progress.state.borrow().written, piece.len() as u64);
        on_disk(move || file.write_all_at(&piece, written)).await?;
        progress.change(|state| state.written += bytes);
    }
    progress.change(|state| state.ended = true);
    Ok(())
}

async fn give_out(file: &Arc<File>, progress: &Progress, to: &Outlet) -> Result<(), Passage> {
    let mut given = 0;
    loop {
        poll_fn(|cx| to.poll_flush(cx)).await?;
        let changed = progress.changed.notified();
        let State { written, ended } = *progress.state.borrow();
        if given < written {
            let mut piece = vec![0; (written - given).min(PIECE) as usize];
            let file = file.clone();
            let piece = on_disk(move || file.read_exact_at(&mut piece, given).map(|()| piece)).await?;
            poll_fn(|cx| Poll::Ready(to.add(cx, &piece))).await?;
            given += piece.len() as u64;
        } else if ended {
            to.end();
            return poll_fn(|cx| to.poll_flush(cx)).await;
        } else {
            let mut changed = std::pin::pin!(changed);
            poll_fn(|cx| match to.poll_flush(cx) {
                // The agent may go meanwhile.
                Poll::Ready(Err(why)) => Poll::Ready(Err(why)),
                _ => changed.as_mut().poll(cx).map(Ok),
            })
            .await?;
        }
    }
}

/// Reads or writes the file, on a thread that may wait for the disk.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Passage> {
    spawn_blocking(work).await.map_err(io::Error::other).and_then(|done| done).map_err(|error| {
        tracing::error!(%error, "a request cannot be kept on disk");
        Passage::SenderLeft
    })
}
