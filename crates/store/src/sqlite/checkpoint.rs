//! Keeps the write-ahead log short while appends go on. A thread copies it into the main file as it grows; when it is
//! full, what is left to the writer, which then begins it anew in place, is the little that came meanwhile. A commit waits
//! for milliseconds, where it would wait for the whole log; and a log that keeps its file is flushed without its length.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::row::Sql;

/// Pages in the log that are not in the main file yet: from so many on they are copied.
const COPIED_AT: i64 = 1_024;

/// Pages at which the log is full: 32 MiB.
const FULL_AT: i64 = 8 * 1_024;

/// The file of the log is cut to so many bytes when it begins anew, after a reader that kept it from doing so.
const FILE_BYTES: i64 = 48 * 1024 * 1024;

/// The pause after each look, so that a busy writer is not looked at all the time.
const PAUSE: Duration = Duration::from_millis(20);

/// How long beginning anew waits for readers. A back-up may read for minutes; appends go on.
const READERS_WAIT: Duration = Duration::from_millis(20);

/// The handle of the thread that copies. Dropping it waits for the copy in hand.
pub(super) struct Checkpointer {
    commits: Option<SyncSender<()>>,
    log: Arc<Log>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the writer share.
#[derive(Default)]
struct Log {
    /// Pages in the log when the thread last looked.
    pages: AtomicI64,
    /// Held by whoever copies: SQLite refuses a second one.
    copying: Mutex<()>,
}

impl Checkpointer {
    /// Takes from the writer's connection what it would do by itself.
    pub(super) fn relieve(writer: &Connection) -> Sql<()> {
        writer.pragma_update(None, "wal_autocheckpoint", 0)?;
        writer.pragma_update(None, "journal_size_limit", FILE_BYTES)
    }

    /// Starts the thread on a connection of its own.
    pub(super) fn start(db: Connection) -> std::io::Result<Self> {
        let log = Arc::new(Log::default());
        let (commits, committed) = sync_channel(1);
        let shared = log.clone();
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            while committed.recv().is_ok() {
                if let Err(error) = shared.copy(&db) {
                    tracing::warn!(%error, "the write-ahead log could not be copied; trying again after the next commit");
                }
                std::thread::sleep(PAUSE);
            }
        })?;
        Ok(Self { commits: Some(commits), log, thread: Some(thread) })
    }

    /// Says that something was committed. Never waits.
    pub(super) fn committed(&self) {
        // One that is full says it already.
        if let Some(Err(TrySendError::Disconnected(()))) = self.commits.as_ref().map(|commits| commits.try_send(())) {
            tracing::debug!("nobody copies the write-ahead log any more");
        }
    }

    /// True if the log is to begin anew.
    pub(super) fn is_full(&self) -> bool {
        self.log.pages.load(Ordering::Relaxed) >= FULL_AT
    }

    /// Lets the log begin anew with the writer's connection, unless readers keep it; false if it was being copied.
    pub(super) fn begin_anew(&self, db: &Connection, otherwise_wait: Duration) -> Sql<bool> {
        let _copying = match self.log.copying.try_lock() {
            Ok(copying) => copying,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        db.busy_timeout(READERS_WAIT)?;
        let done = db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0));
        db.busy_timeout(otherwise_wait)?;
        if done? == 0 {
            self.log.pages.store(0, Ordering::Relaxed);
        }
        Ok(true)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Log {
    /// Copies what the writer and readers allow without waiting for them, if it is worth a flush of the main file. A full
    /// log is left to the writer.
    fn copy(&self, db: &Connection) -> Sql<()> {
        let copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        let (pages, copied) = ends(db, "PRAGMA wal_checkpoint(NOOP)")?;
        self.pages.store(pages, Ordering::Relaxed);
        if pages < FULL_AT && pages - copied >= COPIED_AT {
            ends(db, "PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        drop(copying);
        Ok(())
    }
}

/// Pages in the log, and how many of them the main file has.
fn ends(db: &Connection, checkpoint: &str) -> Sql<(i64, i64)> {
    db.query_row(checkpoint, [], |row| Ok((row.get(1)?, row.get(2)?)))
}
