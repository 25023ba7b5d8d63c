//! Opening a database: its directory and files, the lock, the schema, what is made with it, and its first rows.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use sparrow_protocol::Timestamp;

use super::checkpoint::Checkpointer;
use super::epoch::{self, CounterFile, private};
use super::readers::Readers;
use super::row::Sql;
use super::writer::{LOCK_WAITS, State, Writer};
use super::{Options, SYSTEM_USER, Sqlite};
use crate::faults::{Rule, broken};

mod schema {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Prepared statements kept by each connection; more than the store has.
const STATEMENTS: usize = 256;

/// The writer's page cache: 8 MiB, given as negative KiB. SQLite's own 2 MiB write pages of a large batch out before its
/// commit and read them again.
const WRITER_CACHE: i64 = -8 * 1024;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another process is using {0}: stop it, or choose another data directory")]
    InUse(PathBuf),
    /// A file or the directory could not be made, opened or locked.
    #[error("cannot use {path}: {error}; check that the directory exists and belongs to this user")]
    Files {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is not a database of this program, or of a later version of it.
    #[error("cannot bring the schema of {path} up to date: {error}; use the program version that last opened it")]
    Schema {
        /// The database.
        path: PathBuf,
        /// What the migration said.
        error: Box<refinery::Error>,
    },
    /// A statement failed.
    #[error("cannot read {path}: {error}; restore it from a back-up")]
    Database {
        /// The database.
        path: PathBuf,
        /// What the database said.
        error: rusqlite::Error,
    },
}

impl Sqlite {
    /// Opens the database in this directory, or makes both. Blocks; `now` dates what is made.
    ///
    /// One process at a time: a second one is refused until the first has dropped its last handle.
    pub fn open(directory: &Path, options: &Options, now: Timestamp) -> Result<Self, OpenError> {
        let files = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Files { path, error }
        };
        make_directory(directory).map_err(files(directory))?;
        let lock = lock(directory)?;
        let path = directory.join("sparrow.db");
        private().append(true).create(true).open(&path).map_err(files(&path))?;
        let database = |error| OpenError::Database { path: path.clone(), error };

        let mut db = connect(&path).map_err(database)?;
        db.pragma_update(None, "cache_size", WRITER_CACHE).map_err(database)?;
        schema::migrations::runner()
            .run(&mut db)
            .map_err(|error| OpenError::Schema { path: path.clone(), error: Box::new(error) })?;
        let counter_path = directory.join("commits");
        let (counter, noted) = CounterFile::open(&counter_path).map_err(files(&counter_path))?;
        let commits = epoch::number_fact(&db, epoch::COMMITS).map_err(database)?;
        Checkpointer::relieve(&db).map_err(database)?;
        let checkpointer = Checkpointer::start(connect(&path).map_err(database)?).map_err(files(&path))?;
        let mut state = State { db, counter, commits, noted: None, tried_anew: None, checkpointer, _lock: lock };
        state.transact(|tx| prepare(tx.db, noted, now)).map_err(database)?;

        let readers = (0..options.readers.max(1)).map(|_| connect(&path).and_then(forbid_writes));
        let readers = readers.collect::<Sql<Vec<_>>>().map_err(database)?;
        let readers = Readers::start(readers, options.queue).map_err(files(&path))?;
        let writer = Writer::start(state, options.queue).map_err(files(&path))?;
        Ok(Self { readers: Arc::new(readers), writer: Arc::new(writer), group_members: options.group_members })
    }
}

/// Makes the directory, for its owner alone, unless it is there; a power cut later does not undo that.
fn make_directory(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_directory(parent),
        None => sync_directory(Path::new(".")),
    }
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::fs::File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn lock(directory: &Path) -> Result<std::fs::File, OpenError> {
    let path = directory.join("lock");
    let failed = |error| OpenError::Files { path: path.clone(), error };
    let file = private().append(true).create(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn connect(path: &Path) -> Sql<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(LOCK_WAITS)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if broken(Rule::SynchronousNormal) { "NORMAL" } else { "FULL" };
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "foreign_keys", false)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

fn forbid_writes(db: Connection) -> Sql<Connection> {
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

/// What every opening does, in one transaction: the system's account and the epoch.
fn prepare(db: &Connection, noted: Option<i64>, now: Timestamp) -> Sql<()> {
    db.execute(
        "INSERT INTO users (id, name, name_key, display_name, created) VALUES ($1, 'sparrow', 'sparrow', 'Sparrow', $2)
         ON CONFLICT (id) DO NOTHING",
        (SYSTEM_USER.get(), now.millis()),
    )?;
    epoch::settle(db, noted)?;
    #[cfg(feature = "sabotage")]
    super::sabotaged::loosen(db)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use refinery::Target;
    use sparrow_protocol::{ConversationId, Seq, UserId};

    use super::*;
    use crate::log::{Body, Log as _};
    use crate::{Directory as _, contract};

    /// Entries on either side of the boundary between placed rows and the tail, written before there were positions.
    const ENTRIES: i64 = 70;

    /// What version 3 of the schema held is all there after the positions of its entries were written down.
    #[tokio::test]
    async fn a_database_from_before_positions_keeps_its_logs_and_counts() {
        let directory = tempfile::tempdir().unwrap();
        let mut db = Connection::open(directory.path().join("sparrow.db")).unwrap();
        schema::migrations::runner().set_target(Target::Version(3)).run(&mut db).unwrap();
        db.execute_batch(
            "INSERT INTO users (id, name, name_key, display_name, created) VALUES (2, 'ann', 'ann', 'Ann', 1);
             INSERT INTO users (id, name, name_key, display_name, created) VALUES (3, 'bob', 'bob', 'Bob', 1);
             INSERT INTO conversations (id, kind, head, last_message_seq, last_active, member_count, history_visible,
                join_by_default, created, changed) VALUES (7, 'group', 70, 70, 1, 2, 1, 0, 1, 1);
             INSERT INTO members (conversation_id, user_id, role, version, changed)
                VALUES (7, 2, 'owner', 1, 1), (7, 3, 'member', 1, 1);
             INSERT INTO intervals (conversation_id, user_id, join_seq) VALUES (7, 2, 1), (7, 3, 1);
             INSERT INTO mentions (conversation_id, user_id, seq) VALUES (7, 3, 5), (7, 3, 70);",
        )
        .unwrap();
        for seq in 1..=ENTRIES {
            let (kind, erased) = if seq == 1 { ("membership", 0) } else { ("message", i64::from(seq == 5)) };
            let id = u128::try_from(seq).unwrap().to_be_bytes();
            let body = (erased == 0).then(|| seq.to_string().into_bytes());
            db.execute(
                "INSERT INTO entries (conversation_id, seq, kind, sender_id, time, client_msg_id, request_hash, erased,
                    body, changed) VALUES (7, $1, $2, 2, 1, $3, $4, $5, $6, 1)",
                (seq, kind, id, [0_u8; 32], erased, body),
            )
            .unwrap();
        }
        drop(db);

        let store = Sqlite::open(directory.path(), &Options::default(), Timestamp::from_millis(2)).unwrap();
        let (bob, group) = (UserId::new(3).unwrap(), ConversationId::new(7).unwrap());
        let page = store.pull(bob, group, contract::everything()).await.unwrap().unwrap();
        let bodies: Vec<_> = page.entries.into_iter().map(|visible| visible.entry.body).collect();
        let expected = (1..=ENTRIES).map(|seq| match seq {
            5 => Body::Erased,
            _ => Body::Kept(seq.to_string().into_bytes().into()),
        });
        assert_eq!(bodies, expected.collect::<Vec<_>>());
        let listed = store.conversation(bob, group).await.unwrap().unwrap();
        assert_eq!((listed.unread, listed.mentions), (68, 1), "neither the first entry nor the erased one counts");
        assert_eq!(listed.last_message.map(|entry| entry.seq), Seq::new(ENTRIES));
    }
}
