//! The writer: one thread with the only writing connection. It numbers commits, keeps the counter file and the
//! write-ahead log's size, and ends the process when it cannot know whether a commit is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::epoch::{self, CounterFile};
use super::row::Sql;
use crate::StoreError;

/// How often the counter file is written at most.
const COUNTER_EVERY: Duration = Duration::from_secs(1);

/// The write-ahead log is emptied and cut when it has grown to this many bytes. SQLite's own checkpoints, every 1,000
/// pages, keep it far below unless readers follow each other without a pause.
const WAL_BYTES: u64 = 48 * 1024 * 1024;

/// How often that is tried at most, and how long it then waits for readers. A back-up may read for minutes; appends go on.
const EMPTY_EVERY: Duration = Duration::from_millis(200);
const EMPTY_WAITS: Duration = Duration::from_millis(20);

/// How long a statement waits for a lock that another program holds.
pub(super) const LOCK_WAITS: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&mut State) + Send>;

/// The thread's handle.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread owns.
pub(super) struct State {
    pub(super) db: Connection,
    pub(super) counter: CounterFile,
    /// The number of the last commit.
    pub(super) commits: i64,
    /// When, and at which commit, the counter file was written.
    pub(super) noted: Option<(Instant, i64)>,
    /// Where the write-ahead log is.
    pub(super) wal: PathBuf,
    /// When emptying it was last tried.
    pub(super) emptied: Option<Instant>,
    /// Keeps other processes out until the connection above is closed.
    pub(super) _lock: std::fs::File,
}

/// A writing transaction: the connection, and the number that the commit will have.
pub(super) struct Tx<'a> {
    pub(super) db: &'a Connection,
    pub(super) number: i64,
}

impl Writer {
    pub(super) fn start(state: State, queue: usize) -> std::io::Result<Self> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(queue.max(1));
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            let mut state = state;
            while let Some(job) = waiting.blocking_recv() {
                if catch_unwind(AssertUnwindSafe(|| job(&mut state))).is_err() {
                    tracing::error!("a write panicked; it was rolled back");
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs a write in one transaction, which is committed if it changed anything and rolled back on an error.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Tx<'_>) -> Sql<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with(|state| Ok(state.transact(write)?)).await
    }

    /// Runs a job with the writer's state.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut State) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |state| {
            // The caller may have left.
            reply.send(job(state)).ok();
        });
        let stopped = || StoreError::Unavailable("the writer has stopped".to_owned());
        self.jobs.as_ref().ok_or_else(stopped)?.send(job).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| StoreError::Failed("the write panicked".to_owned()))?
    }

    /// Empties the write-ahead log and notes the last commit.
    pub(super) async fn finish(&self) -> Result<(), StoreError> {
        self.with(|state| {
            state.note_commit();
            Ok(checkpoint(&state.db)?)
        })
        .await
    }

    /// Sets the most pages the database may have.
    pub(super) async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.with(move |state| {
            let set = state.db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0));
            Ok(set.map(drop)?)
        })
        .await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl State {
    /// Runs a write in one transaction; see [`Writer::run`].
    pub(super) fn transact<T>(&mut self, write: impl FnOnce(&Tx<'_>) -> Sql<T>) -> Sql<T> {
        let number = self.commits + 1;
        let before = self.db.total_changes();
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = write(&Tx { db: &transaction, number })?;
        if transaction.total_changes() == before {
            return Ok(value);
        }
        epoch::set_fact(&transaction, epoch::COMMITS, &number.to_string())?;
        transaction.commit().inspect_err(end_if_unknown)?;
        self.commits = number;
        self.after_commit();
        Ok(value)
    }

    fn after_commit(&mut self) {
        if self.noted.is_none_or(|(when, _)| when.elapsed() >= COUNTER_EVERY) {
            self.note_commit();
        }
        if std::fs::metadata(&self.wal).is_ok_and(|wal| wal.len() > WAL_BYTES) {
            self.empty_wal();
        }
    }

    fn empty_wal(&mut self) {
        if self.emptied.is_some_and(|when| when.elapsed() < EMPTY_EVERY) {
            return;
        }
        let done = self.db.busy_timeout(EMPTY_WAITS).and_then(|()| checkpoint(&self.db));
        if let Err(error) = done.and(self.db.busy_timeout(LOCK_WAITS)) {
            tracing::warn!(%error, "the write-ahead log could not be emptied");
        }
        self.emptied = Some(Instant::now());
    }

    /// Writes the counter file. A failure is only logged: the file may lag.
    fn note_commit(&mut self) {
        if let Err(error) = self.counter.write(self.commits) {
            tracing::warn!(%error, "the commit counter file could not be written");
        }
        self.noted = Some((Instant::now(), self.commits));
    }
}

/// Moves the write-ahead log into the main file and cuts it, as far as readers allow.
fn checkpoint(db: &Connection) -> Sql<()> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Ends the process if an error of a commit leaves open whether it is durable.
fn end_if_unknown(error: &rusqlite::Error) {
    if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
        tracing::error!(%error, "the disk failed during a commit, whose outcome is unknown: ending the process");
        std::process::abort();
    }
}
