//! Why a controller does not start, or ends.

use std::{io, path::PathBuf};

use switchboard_nginx::FrontError;

/// Why a controller does not start. Each text is one line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// Another controller works for this front.
    #[error("{}: another controller of this front runs; one is enough, end that one first", .path.display())]
    Running {
        /// The lock file.
        path: PathBuf,
    },
    /// A file or a folder cannot be used.
    #[error("{}: {error}; it must be this user's own", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The state on disk is damaged.
    #[error(
        "{}: the controller's state cannot be read ({why}); restore the file, or delete it: then all backends are on that nginx's own switches do not name",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The socket cannot be made.
    #[error("{}: cannot listen there ({error}); choose a shorter state_dir of this user's", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A limit of `[health]` cannot be.
    #[error("[health]: {0}")]
    Limits(#[from] switchboard_health::BadLimit),
    /// The monitor's address cannot be used.
    #[error("monitor.url {url:?}: {why}")]
    Monitor {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot work with another front of its server.
    #[error(transparent)]
    Second(#[from] crate::SecondError),
    /// Somebody has put another configuration of nginx in place: it is to be started again, with that.
    #[error(
        "the front's configuration has changed: the controller ends, to be started again with the new one"
    )]
    Outdated,
    /// The front cannot be used.
    #[error(transparent)]
    Front(#[from] FrontError),
}

impl ControllerError {
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { path: path.into(), error }
    }
}
