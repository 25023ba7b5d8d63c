//! The writer: one thread with the only writing connection. Whatever waits for it shares a transaction (`group`). It
//! numbers commits, keeps the counter file and the write-ahead log's size, and ends the process when it cannot know
//! whether a commit is durable.

use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpointer;
use super::epoch::{self, CounterFile};
use super::group::{Pending, Write};
use super::row::Sql;
use crate::StoreError;
use crate::faults::{Step, failpoint};

/// How often the counter file is written at most.
const COUNTER_EVERY: Duration = Duration::from_secs(1);

/// How often the write-ahead log is tried to begin anew at most: readers may follow each other without a pause.
const ANEW_EVERY: Duration = Duration::from_millis(200);

/// How long a statement waits for a lock that another program holds.
pub(super) const LOCK_WAITS: Duration = Duration::from_secs(5);

/// Most writes that share a transaction: those behind them wait for it.
const TOGETHER: usize = 256;

/// What waits for the thread.
enum Job {
    /// Something for a transaction.
    Write(Box<dyn Write>),
    /// Something else with the connection.
    Act(Box<dyn FnOnce(&mut State) + Send>),
}

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
    /// When the write-ahead log was last tried to begin anew.
    pub(super) tried_anew: Option<Instant>,
    /// Copies the write-ahead log into the main file meanwhile.
    pub(super) checkpointer: Checkpointer,
    /// Keeps other processes out until the connections above are closed.
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
        #[cfg(feature = "sabotage")]
        let rule = crate::faults::current();
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            #[cfg(feature = "sabotage")]
            crate::faults::adopt(rule);
            serve(state, &mut waiting);
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs a write in a transaction, which is committed if it changed anything. If it fails, nothing of it is stored.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Tx<'_>) -> Sql<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write(write, None::<fn(&Tx<'_>) -> Sql<T>>).await
    }

    /// The same with another way for the case that the database fails over this one.
    pub(super) async fn run_or<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Tx<'_>) -> Sql<T> + Send + 'static,
        rescue: impl FnOnce(&Tx<'_>) -> Sql<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write(write, Some(rescue)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Tx<'_>) -> Sql<T> + Send + 'static,
        rescue: Option<impl FnOnce(&Tx<'_>) -> Sql<T> + Send + 'static>,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.put(Job::Write(Box::new(Pending::new(write, rescue, reply)))).await?;
        answer.await.map_err(|_| stopped())?
    }

    /// Runs something that is no write with the writer's state.
    pub(super) async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut State) -> Sql<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.put(Job::Act(Box::new(move |state| {
            // The caller may have left.
            reply.send(act(state)).ok();
        })))
        .await?;
        Ok(answer.await.map_err(|_| stopped())??)
    }

    async fn put(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.as_ref().ok_or_else(stopped)?.send(job).await.map_err(|_| stopped())
    }

    /// Empties the write-ahead log and notes the last commit.
    pub(super) async fn finish(&self) -> Result<(), StoreError> {
        self.act(|state| {
            state.note_commit();
            checkpoint(&state.db)
        })
        .await
    }

    /// Sets the most pages the database may have.
    pub(super) async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.act(move |state| {
            state.db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0)).map(drop)
        })
        .await
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the writer has stopped".to_owned())
}

fn serve(mut state: State, waiting: &mut mpsc::Receiver<Job>) {
    let mut next = waiting.blocking_recv();
    while let Some(job) = next {
        next = match job {
            Job::Act(act) => {
                act(&mut state);
                None
            }
            Job::Write(first) => {
                let (writes, after) = gather(first, waiting);
                state.commit_all(writes);
                after
            }
        };
        next = next.or_else(|| waiting.blocking_recv());
    }
}

/// The writes that wait, and what stopped looking for more.
fn gather(first: Box<dyn Write>, waiting: &mut mpsc::Receiver<Job>) -> (VecDeque<Box<dyn Write>>, Option<Job>) {
    let mut writes = VecDeque::from([first]);
    while writes.len() < TOGETHER {
        match waiting.try_recv() {
            Ok(Job::Write(write)) => writes.push_back(write),
            Ok(act) => return (writes, Some(act)),
            Err(_) => break,
        }
    }
    (writes, None)
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
    /// Runs a write in one transaction, which is committed if it changed anything, and rolled back on an error.
    pub(super) fn transact<T, E: From<rusqlite::Error>>(
        &mut self,
        write: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let number = self.commits + 1;
        let before = self.db.total_changes();
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = write(&Tx { db: &transaction, number })?;
        if transaction.total_changes() == before {
            return Ok(value);
        }
        epoch::set_fact(&transaction, epoch::COMMITS, &number.to_string())?;
        failpoint(Step::StoreBeforeCommit);
        transaction.commit().inspect_err(end_if_unknown)?;
        failpoint(Step::StoreAfterCommit);
        self.commits = number;
        self.after_commit();
        Ok(value)
    }

    /// What a write would answer, without writing it.
    #[cfg(feature = "sabotage")]
    pub(super) fn rehearse<T>(&mut self, write: impl FnOnce(&Tx<'_>) -> Sql<T>) -> Sql<T> {
        let number = self.commits + 1;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        write(&Tx { db: &transaction, number })
    }

    fn after_commit(&mut self) {
        if self.noted.is_none_or(|(when, _)| when.elapsed() >= COUNTER_EVERY) {
            self.note_commit();
        }
        self.checkpointer.committed();
        if self.checkpointer.is_full() && self.tried_anew.is_none_or(|when| when.elapsed() >= ANEW_EVERY) {
            let tried = self.checkpointer.begin_anew(&self.db, LOCK_WAITS).unwrap_or_else(|error| {
                tracing::warn!(%error, "the write-ahead log could not begin anew");
                true
            });
            self.tried_anew = tried.then(Instant::now).or(self.tried_anew);
        }
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
