//! Copies the write-ahead log into the main file while appends go on. What is left to the writer's own checkpoint, when
//! the log is full and is to begin anew, is the little that came meanwhile: a commit then waits for milliseconds, where it
//! would wait for the whole log.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::row::Sql;

/// Pages in the log that are not in the main file yet: from so many on they are copied.
const PAGES: i64 = 2_048;

/// The pause after each look, so that a busy writer is not looked at all the time.
const PAUSE: Duration = Duration::from_millis(20);

/// The handle of the thread that copies. Dropping it waits for the copy in hand.
pub(super) struct Checkpointer {
    commits: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread on a connection of its own.
    pub(super) fn start(db: Connection) -> std::io::Result<Self> {
        let (commits, committed) = sync_channel(1);
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            while committed.recv().is_ok() {
                if let Err(error) = copy(&db) {
                    tracing::warn!(%error, "the write-ahead log could not be copied; the writer will try");
                }
                std::thread::sleep(PAUSE);
            }
        })?;
        Ok(Self { commits: Some(commits), thread: Some(thread) })
    }

    /// Says that something was committed. Never waits.
    pub(super) fn committed(&self) {
        // One that is full says it already.
        if let Some(Err(TrySendError::Disconnected(()))) = self.commits.as_ref().map(|commits| commits.try_send(())) {
            tracing::debug!("nobody copies the write-ahead log any more");
        }
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

/// Copies what readers and the writer allow without waiting for them, if it is worth a flush of the main file.
fn copy(db: &Connection) -> Sql<()> {
    let missing =
        db.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))?;
    if missing < PAGES {
        return Ok(());
    }
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
