//! What can go wrong between two fronts.

use std::{io, net::SocketAddr, path::PathBuf};

/// What keeps a front from working with another one of its server. Each text is one line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum SecondError {
    /// It cannot listen for others.
    #[error(
        "front.share {address}: cannot listen there ({error}); choose an address of this machine that is free"
    )]
    Share {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// There is no certificate yet.
    #[error(
        "front.follow {address}: there is no certificate yet, and none comes from there: {why}; at its first start a further front needs the first"
    )]
    NoCertificate {
        /// The first front.
        address: SocketAddr,
        /// Why none came.
        why: String,
    },
    /// What was learnt is damaged.
    #[error("{}: what the first front told cannot be read ({why}); delete it: the first front tells it again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be used.
    #[error("{}: {error}; it must be this user's own", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}
