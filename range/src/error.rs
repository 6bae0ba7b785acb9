//! Why a ledger cannot be used.

use std::{io, path::PathBuf};

use switchboard_fleet::InstanceName;

use crate::{rules::AddError, text::Kind};

/// Why a ledger cannot be used. The text names the file, the cause and the way out.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read.
    #[error("{}: the ledger cannot be read ({cause})", .path.display())]
    Read {
        /// The ledger.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file cannot be written; nothing was given.
    #[error("{}: the ledger cannot be written ({cause}); no ID was given", .path.display())]
    Write {
        /// The ledger.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// There is no file.
    #[error("{}: there is no ledger; make the fleet's with `switchboard range init --from A --to B`, or if it was lost, run `switchboard range repair PORT`", .path.display())]
    Absent {
        /// The ledger.
        path: PathBuf,
    },
    /// There is one already, which is never replaced.
    #[error("{}: there is a ledger already, and it is never replaced: its IDs might be given twice", .path.display())]
    Exists {
        /// The ledger.
        path: PathBuf,
    },
    /// The content is not what was written.
    #[error("{}: the ledger is damaged ({reason}); an older copy would give IDs twice: run `switchboard range repair PORT{}`{}", .path.display(), flag(*.kind), consequence(*.kind))]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
        /// Whose it was to be, if that is known.
        kind: Option<Kind>,
    },
    /// The file is a ledger of the other kind.
    #[error("{}: this is the ledger of a{found}, not of a{expected}; compare range_file and master_range_file", .path.display(), found = article(*.found), expected = article(*.expected))]
    Foreign {
        /// The ledger.
        path: PathBuf,
        /// Whose ledger it is.
        found: Kind,
        /// Whose it was to be.
        expected: Kind,
    },
    /// Another process uses it.
    #[error("{}: another process uses this ledger; stop it, or give this instance a range_file of its own", .path.display())]
    InUse {
        /// The ledger.
        path: PathBuf,
    },
    /// A granted range is not taken in.
    #[error("{}: {cause}", .path.display())]
    Add {
        /// The ledger.
        path: PathBuf,
        /// Why.
        cause: AddError,
    },
    /// The fleet's range is another master's: this ledger grants nothing any more.
    #[error("{}: the fleet's range has moved to the master {to}; set `master` to it on every server", .path.display())]
    Moved {
        /// The ledger.
        path: PathBuf,
        /// The master that it moved to.
        to: InstanceName,
    },
    /// The fleet has seen a newer state of this ledger.
    #[error("{}: this ledger is older than what the fleet knows (here {here}, known {known}): an older copy of the disk? IDs would be given twice; put the newest file back, or run `switchboard range repair PORT{}`", .path.display(), flag(Some(*.kind)))]
    Older {
        /// The ledger.
        path: PathBuf,
        /// Whose it is.
        kind: Kind,
        /// What it says.
        here: String,
        /// The newest that is known.
        known: String,
    },
    /// A repair would forget something that this file shows.
    #[error("{}: this repair would go back behind what the file shows ({reason}), and IDs might be given twice: repair with values above these", .path.display())]
    Backwards {
        /// The ledger.
        path: PathBuf,
        /// What it shows.
        reason: String,
    },
}

fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Master => " master",
        Kind::Instance => "n instance",
    }
}

/// How `switchboard range repair` is told whose ledger it is to repair.
fn flag(kind: Option<Kind>) -> &'static str {
    if kind == Some(Kind::Master) { " --master" } else { "" }
}

/// What the repair of a damaged ledger costs.
fn consequence(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Instance) => " (the instance's remaining IDs are lost, and it asks for new ones)",
        _ => "",
    }
}
