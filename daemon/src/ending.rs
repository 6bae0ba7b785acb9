//! Until when a program runs.

use std::{
    io::{self, Read},
    thread,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Resolves when the program shall end: SIGTERM, Ctrl-C, or, if its life hangs on its parent's, the end of standard input.
///
/// # Errors
/// The system's, if signals cannot be waited for.
pub fn stop(exit_with_parent: bool) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let parent = exit_with_parent.then(end_of_input);
    Ok(async move {
        let parent_gone = async {
            match parent {
                Some(gone) => drop(gone.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone => {}
        }
    })
}

/// Resolves when standard input ends. A thread reads it, as the runtime would not end before its own read did.
fn end_of_input() -> oneshot::Receiver<()> {
    let (held, gone) = oneshot::channel();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        drop(held);
    });
    gone
}
