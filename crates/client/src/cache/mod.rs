//! What a client keeps: outbox, logs, positions, the queue of entries nobody has handled yet.
//!
//! One SQLite database, in a file or in memory, on a thread of its own, so that no async thread ever waits for a disk.
//! Jobs that wait together share one transaction. The SQL is in `sqlite`; what is kept, and when, is the core's to say.

mod sqlite;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use sparrow_protocol::v1::{Content, ConversationState, Entry, OwnState};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::error::Error;
use crate::events::LostMessage;

/// Jobs that may wait for the thread; beyond, callers wait.
const WAITING_JOBS: usize = 256;

/// Something to write down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// A conversation that was not known: its stream begins after `position`.
    Opened { state: ConversationState, position: i64 },
    /// The state of a known conversation.
    State(ConversationState),
    /// A conversation that the server no longer names.
    Forgotten(i64),
    /// The next entries of the stream, and the seq up to which it is complete with them.
    Advanced { conversation: i64, entries: Vec<Entry>, position: i64 },
    /// Where the next `Sync` begins.
    Cursor(String),
    /// Own state of the user.
    OwnState(Vec<OwnState>),
    /// The message left the outbox.
    Sent { local_id: String },
    /// The message was refused for good.
    Failed { local_id: String, code: String, message: String },
    /// Another life of the database: logs are kept aside for comparison, positions go back, the cursor is void.
    Epoch(String),
}

/// A part of the outbox that is not known to have failed, in order of place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxPage {
    /// Messages after this place.
    pub(crate) after: i64,
    /// Whose which conversations.
    pub(crate) of: Whose,
    /// At most so many.
    pub(crate) limit: usize,
}

/// Whose messages a page has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This conversation's.
    One(i64),
    /// All but those of these, which have more on disk than they hold.
    AllBut(Vec<i64>),
}

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outgoing {
    /// Its place; a higher one was sent later.
    pub(crate) place: i64,
    pub(crate) local_id: String,
    pub(crate) conversation: i64,
    pub(crate) content: Content,
    /// Code and message if it was refused for good.
    pub(crate) failure: Option<(String, String)>,
}

/// An entry that waits to be handled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) place: i64,
    pub(crate) entry: Entry,
}

/// A conversation as it was left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saved {
    pub(crate) state: ConversationState,
    /// The stream is complete up to here.
    pub(crate) position: i64,
    /// The log is kept from here to `position`.
    pub(crate) oldest: i64,
}

/// All that the core needs to begin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) epoch: String,
    pub(crate) cursor: String,
    pub(crate) conversations: Vec<Saved>,
    /// True while logs of an earlier epoch wait to be compared.
    pub(crate) comparing: bool,
}

type Reply = Box<dyn FnOnce(Result<(), Error>) + Send>;
type Job = Box<dyn FnOnce(Result<&Connection, Error>) -> Reply + Send>;

enum Message {
    Job { durable: bool, job: Job },
    Stop(oneshot::Sender<()>),
}

/// A handle to the thread. The thread ends, and the file is free again, with the last handle or [`Cache::close`].
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    jobs: mpsc::Sender<Message>,
    news: Arc<watch::Sender<u64>>,
    outbox: Arc<Notify>,
    settled: Arc<watch::Sender<u64>>,
    /// How often the queue was emptied by a change of epoch.
    life: Arc<AtomicU64>,
    keep: u32,
}

impl Cache {
    /// Opens the store of `user`: `cache.db` in the directory, or memory. Of each log, the newest `keep` entries are
    /// kept, and those that nobody has handled.
    pub(crate) async fn open(directory: Option<&Path>, user: i64, keep: u32) -> Result<Self, Error> {
        let directory = directory.map(Path::to_owned);
        let (jobs, mut queue) = mpsc::channel(WAITING_JOBS);
        let (opened, result) = oneshot::channel();
        std::thread::Builder::new()
            .name("sparrow-cache".to_owned())
            .spawn(move || match sqlite::open(directory.as_deref(), user) {
                Ok((connection, lock)) => {
                    drop(opened.send(Ok(())));
                    let stopped_by = work(&connection, &mut queue);
                    drop((connection, lock));
                    // Whoever asked for the stop may be gone.
                    stopped_by.and_then(|done| done.send(()).ok());
                }
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|e| Error::Storage(e.to_string()))?;
        result.await.map_err(|_| Error::Closed)??;
        Ok(Self {
            jobs,
            news: Arc::new(watch::Sender::new(0)),
            outbox: Arc::default(),
            settled: Arc::new(watch::Sender::new(0)),
            life: Arc::default(),
            keep,
        })
    }

    /// Ends the thread and waits until the file is free.
    pub(crate) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.jobs.send(Message::Stop(done)).await.is_ok() {
            // An error means that the thread had ended already.
            drop(ended.await);
        }
    }

    /// Changes whenever entries have been added to the queue.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Returns when messages have been added to the outbox since the last call.
    pub(crate) async fn outbox_grew(&self) {
        self.outbox.notified().await;
    }

    pub(crate) async fn snapshot(&self) -> Result<Snapshot, Error> {
        self.run(false, sqlite::snapshot).await
    }

    /// Writes changes down, all or none.
    pub(crate) async fn apply(&self, changes: Vec<Change>) -> Result<(), Error> {
        let grows =
            changes.iter().any(|change| matches!(change, Change::Advanced { entries, .. } if !entries.is_empty()));
        let settles = changes.iter().any(|change| matches!(change, Change::Sent { .. } | Change::Failed { .. }));
        let renewed = changes.iter().any(|change| matches!(change, Change::Epoch(_)));
        let keep = self.keep;
        self.run(false, move |db| sqlite::apply(db, &changes, keep)).await?;
        if renewed {
            self.life.fetch_add(1, Ordering::Release);
        }
        if grows {
            self.news.send_modify(|count| *count = count.wrapping_add(1));
        }
        if settles {
            self.settled.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(())
    }

    /// Puts a message into the outbox; false if that is full. Durable, against loss of power too, when this returns.
    pub(crate) async fn enqueue(&self, local_id: String, conversation: i64, content: Content) -> Result<bool, Error> {
        let outbox = Arc::clone(&self.outbox);
        self.run_then(
            true,
            move |db| sqlite::enqueue(db, &local_id, conversation, &content),
            // Told by the job, not by the caller, who may be gone when it is done.
            move || outbox.notify_one(),
        )
        .await
    }

    /// The next unsent messages after a place, at most `limit`.
    pub(crate) async fn outbox_page(&self, page: OutboxPage) -> Result<Vec<Outgoing>, Error> {
        self.run(false, move |db| sqlite::outbox_page(db, &page)).await
    }

    /// Waits until every message of the outbox is durable on the server or refused for good.
    pub(crate) async fn all_settled(&self) -> Result<(), Error> {
        let mut settled = self.settled.subscribe();
        while self.run(false, sqlite::unsent).await? > 0 {
            settled.changed().await.map_err(|_| Error::Closed)?;
        }
        Ok(())
    }

    /// Every message of the outbox, failed ones included.
    pub(crate) async fn outbox(&self) -> Result<Vec<Outgoing>, Error> {
        self.run(false, sqlite::outbox).await
    }

    /// Removes a failed message; false if there is none with this id.
    pub(crate) async fn discard(&self, local_id: String) -> Result<bool, Error> {
        self.run(false, move |db| sqlite::discard(db, &local_id)).await
    }

    /// Entries that nobody has handled, after a place of the queue.
    pub(crate) async fn waiting(&self, after: i64) -> Result<Vec<Waiting>, Error> {
        self.run(false, move |db| sqlite::waiting(db, after)).await
    }

    /// Changes when entries that were read from the queue are no longer in it.
    pub(crate) fn queue_life(&self) -> u64 {
        self.life.load(Ordering::Acquire)
    }

    /// The entry is dealt with, and does not come again, also not through another epoch.
    pub(crate) async fn handled(&self, waiting: Waiting) -> Result<(), Error> {
        self.run(false, move |db| sqlite::handled(db, &waiting)).await
    }

    pub(crate) async fn conversations(&self) -> Result<Vec<Saved>, Error> {
        self.run(false, sqlite::conversations).await
    }

    pub(crate) async fn saved(&self, conversation: i64) -> Result<Option<Saved>, Error> {
        self.run(false, move |db| sqlite::saved(db, conversation)).await
    }

    /// The last `limit` kept entries before a seq, in increasing seq.
    pub(crate) async fn before(&self, conversation: i64, seq: i64, limit: u32) -> Result<Vec<Entry>, Error> {
        self.run(false, move |db| sqlite::before(db, conversation, seq, limit)).await
    }

    /// Adds the entries before the oldest one that is kept, if there is room; the log is then kept from `oldest`.
    pub(crate) async fn add_older(&self, conversation: i64, entries: Vec<Entry>, oldest: i64) -> Result<(), Error> {
        let keep = self.keep;
        self.run(false, move |db| sqlite::add_older(db, conversation, &entries, oldest, keep)).await
    }

    pub(crate) async fn own_state(&self) -> Result<Vec<OwnState>, Error> {
        self.run(false, sqlite::own_state).await
    }

    /// Ends the comparison with an earlier epoch: own messages that have not come again.
    pub(crate) async fn take_lost(&self, user: i64) -> Result<Vec<LostMessage>, Error> {
        self.run(false, move |db| sqlite::take_lost(db, user)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        durable: bool,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.run_then(durable, job, || {}).await
    }

    async fn run_then<T: Send + 'static>(
        &self,
        durable: bool,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        committed: impl FnOnce() + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            let outcome = db.and_then(|db| sqlite::in_savepoint(db, job).map_err(|e| sqlite::trouble(db, e)));
            Box::new(move |commit| {
                if commit.is_ok() {
                    committed();
                }
                // The caller may be gone; the work is done all the same.
                drop(reply.send(outcome.and_then(|value| commit.map(|()| value))));
            })
        });
        self.jobs.send(Message::Job { durable, job }).await.map_err(|_| Error::Closed)?;
        result.await.map_err(|_| Error::Closed)?
    }
}

/// Works off jobs, all that wait in one transaction, until the last handle is gone or somebody says stop.
fn work(connection: &Connection, queue: &mut mpsc::Receiver<Message>) -> Option<oneshot::Sender<()>> {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = Vec::new();
        let mut together = false;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Job { durable, job } => {
                    together |= durable;
                    jobs.push(job);
                }
                Message::Stop(done) => {
                    run_together(connection, jobs, together);
                    return Some(done);
                }
            }
            next = if jobs.len() < WAITING_JOBS { queue.try_recv().ok() } else { None };
        }
        run_together(connection, jobs, together);
    }
    None
}

fn run_together(connection: &Connection, jobs: Vec<Job>, durable: bool) {
    let began = sqlite::begin(connection, durable).map_err(|e| sqlite::trouble(connection, e));
    let run = |job: Job| job(began.clone().map(|()| connection));
    let replies: Vec<Reply> = jobs.into_iter().map(run).collect();
    let committed = began.and_then(|()| sqlite::commit(connection).map_err(|e| sqlite::trouble(connection, e)));
    for reply in replies {
        reply(committed.clone());
    }
}
