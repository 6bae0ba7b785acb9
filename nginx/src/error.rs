//! What can go wrong with the front. Every text is one line: what, where, what to do. It holds what the system said,
//! so no error here has a source that would say it again.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::LastInRotation;

/// Why the front is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// There is no nginx on this machine.
    #[error(
        "nginx is not installed: not found in PATH nor /usr/sbin; on Debian `apt-get install nginx`, or run scripts/setup.sh"
    )]
    NotInstalled,
    /// Another program listens where nginx shall.
    #[error(
        "{address}: nginx cannot listen there ({error}); stop the program that does, or change front.listen"
    )]
    Address {
        /// The address of `front.listen`.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A path that no nginx configuration can carry.
    #[error("{}: nginx cannot use this path ({why}); choose another", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The module is not where the configuration says.
    #[error("{}: front.module names no file; build it with `make module`, or set it to \"auto\" or \"none\"", .path.display())]
    NoModule {
        /// Where it should be.
        path: PathBuf,
    },
    /// The module in nginx did not take a switch.
    #[error("the module in nginx does not switch {address}: {why}; `front apply` reloads nginx")]
    Module {
        /// The backend.
        address: SocketAddr,
        /// What it said, or the system.
        why: String,
    },
    /// The configuration in place is another than the one that is rendered from.
    #[error(
        "nginx's configuration is that of another fleet.toml than the controller read; `switchboard reload`, or start the controller again"
    )]
    Outdated,
    /// A file or folder of the front cannot be read or written.
    #[error("{}: {error}; the front's files must be this user's own", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The switches on disk are damaged.
    #[error("{}: the switches cannot be read ({why}); restore the file, or delete it to switch everything on", .path.display())]
    Switches {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The change would leave nothing in rotation.
    #[error(transparent)]
    Refused(#[from] LastInRotation),
    /// nginx cannot be run, or did not end in time.
    #[error("{}: nginx cannot be run: {error}", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// nginx refuses the configuration; the old one stays in force.
    #[error("nginx refuses the new configuration, the old one stays: {message}")]
    Rejected {
        /// nginx's own words.
        message: String,
    },
    /// nginx took the configuration and does not show it; the old one is back.
    #[error("nginx did not take up the new configuration within {} s, the old one is back: {message}", .waited.as_secs())]
    NotInForce {
        /// How long it was waited for.
        waited: Duration,
        /// nginx's own words, if it said any.
        message: String,
    },
    /// Somebody else is changing the front.
    #[error("{}: another command is changing the front; try again", .path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
}

impl FrontError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { path: path.into(), error }
    }
}
