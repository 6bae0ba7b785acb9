//! The file of the journal: made, opened, brought to the newest layout.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::{
    error::JournalError,
    schema::{APPLICATION, MIGRATIONS},
};

/// How long to wait for another program that has locked the database, such as a shell of an admin.
const PATIENCE: Duration = Duration::from_secs(5);
/// The smallest page of a database, in bytes.
const PAGE_MIN: u64 = 512;
/// Statements kept ready.
const STATEMENTS: usize = 64;

/// The journal of a folder, open for writing.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    /// Keeps other processes away; let go after the connection.
    _lock: Flock<fs::File>,
}

impl Database {
    /// Opens the journal of a folder. If it has none, one is made.
    pub(crate) fn open(folder: &Path) -> Result<Self, JournalError> {
        let failed = |error| JournalError::io(folder, &error);
        make_folder(folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        let lock = lock(&folder)?;
        let path = folder.join("journal.db");
        if !path.try_exists().map_err(|error| JournalError::io(&path, &error))? {
            create(&folder, &path)?;
        }
        let connection = open(&path)?;
        Ok(Self { connection, path, _lock: lock })
    }
}

/// Makes a folder, and those above it, that outlive a power failure.
fn make_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(folder)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Keeps other processes away for as long as it lives.
fn lock(folder: &Path) -> Result<Flock<fs::File>, JournalError> {
    let path = folder.join("lock");
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    match Flock::lock(file.map_err(|error| JournalError::io(&path, &error))?, FlockArg::LockExclusiveNonblock)
    {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => Err(JournalError::InUse { folder: folder.into() }),
        Err((_, errno)) => Err(JournalError::io(&path, &errno.into())),
    }
}

/// Makes a database under another name first: a file of this name is whole from its first moment on, so an empty one is damage.
fn create(folder: &Path, path: &Path) -> Result<(), JournalError> {
    if path.with_extension("db-wal").exists() {
        let why = "the file is missing, and journal.db-wal beside it is not".into();
        return Err(JournalError::Damaged { path: path.into(), why });
    }
    let new = path.with_extension("new");
    let failed = |error| JournalError::io(&new, &error);
    for leftover in [new.clone(), path.with_extension("new-journal")] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let sql = |error| JournalError::sql(&new, &error);
    let mut connection = Connection::open(&new).map_err(sql)?;
    migrate(&mut connection, 0).map_err(sql)?;
    connection.close().map_err(|(_, error)| sql(error))?;
    fs::File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Opens a database that must be there.
fn open(path: &Path) -> Result<Connection, JournalError> {
    let damaged = |why: &str| JournalError::Damaged { path: path.into(), why: why.into() };
    let sql = |error| JournalError::sql(path, &error);
    // SQLite would take so short a file for a new database.
    let length = fs::metadata(path).map_err(|error| JournalError::io(path, &error))?.len();
    if length < PAGE_MIN {
        return Err(damaged(&format!("the file has {length} bytes only")));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sql)?;
    connection.busy_timeout(PATIENCE).map_err(sql)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(sql);
    let (application, layout) = (number("application_id")?, number("user_version")?);
    let known = MIGRATIONS.len() as i64;
    if application != APPLICATION {
        return Err(JournalError::Foreign { path: path.into() });
    }
    if layout > known {
        return Err(JournalError::Newer { path: path.into(), found: layout, known });
    }
    if connection.is_readonly("main").map_err(sql)? {
        return Err(JournalError::Denied { path: path.into(), why: "the file is read-only".into() });
    }
    let settings = "PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;
        PRAGMA journal_size_limit = 67108864;";
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        return Err(JournalError::Io { path: path.into(), why: format!("its journal mode stays {mode}") });
    }
    connection.execute_batch(settings).map_err(sql)?;
    migrate(&mut connection, usize::try_from(layout).unwrap_or(0)).map_err(sql)?;
    let tables = "SELECT 1 FROM sqlite_schema WHERE name = 'worker'";
    match connection.query_row(tables, [], |_| Ok(())).optional().map_err(sql)? {
        Some(()) => Ok(connection),
        None => Err(damaged("its tables are missing")),
    }
}

/// Brings a database of layout `from` to the newest, or leaves it as it is.
fn migrate(connection: &mut Connection, from: usize) -> rusqlite::Result<()> {
    if from >= MIGRATIONS.len() {
        return Ok(());
    }
    let change = connection.transaction()?;
    for step in &MIGRATIONS[from..] {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "application_id", APPLICATION)?;
    change.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    change.commit()
}

/// Opens a database for reading. What is written later is seen by the next query.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        Ok(connection)
    };
    open().map_err(|error| JournalError::sql(path, &error))
}
