//! Writes that share one transaction, so that a thousand devices that come back at once cost a few flushes of the disk
//! and not a thousand. Each has a savepoint of its own: one that fails leaves the others alone. Nobody is answered
//! before the commit.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use super::row::Sql;
use super::writer::{State, Tx};
use crate::StoreError;

/// A write that waits for its transaction.
pub(super) trait Write: Send {
    /// Does the write. If it stops, what it did has to be undone.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Stop>;

    /// Tells whoever waits: its value if the transaction was committed, else why nothing is stored.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// Why a write went no further.
pub(super) enum Stop {
    /// It failed, and will say so by itself.
    Failed(StoreError),
    /// It wants to be run again from where it began, and will do it another way.
    Again,
    /// The transaction around it failed.
    Transaction(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Transaction(error)
    }
}

/// A write as closures, and who waits for its value.
pub(super) struct Pending<T, F, G> {
    write: Option<F>,
    rescue: Option<G>,
    /// `None` until it was run.
    value: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F, G> Pending<T, F, G>
where
    F: FnOnce(&Tx<'_>) -> Sql<T>,
    G: FnOnce(&Tx<'_>) -> Sql<T>,
{
    /// Runs `write`; if the database fails over it, which a full disk and a lock are not, `rescue` instead, if any.
    pub(super) fn new(write: F, rescue: Option<G>, reply: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { write: Some(write), rescue, value: None, reply }
    }

    fn attempt(&mut self, tx: &Tx<'_>) -> Option<Sql<T>> {
        match self.write.take() {
            Some(write) => Some(write(tx)),
            None => self.rescue.take().map(|rescue| rescue(tx)),
        }
    }
}

impl<T, F, G> Write for Pending<T, F, G>
where
    T: Send,
    F: FnOnce(&Tx<'_>) -> Sql<T> + Send,
    G: FnOnce(&Tx<'_>) -> Sql<T> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Stop> {
        let failed = match catch_unwind(AssertUnwindSafe(|| self.attempt(tx))) {
            Ok(Some(Ok(value))) => {
                self.value = Some(Ok(value));
                return Ok(());
            }
            Ok(Some(Err(error))) => StoreError::from(error),
            Ok(None) | Err(_) => {
                tracing::error!("a write panicked; it was rolled back");
                self.rescue = None;
                StoreError::Failed("the write panicked".to_owned())
            }
        };
        if let (StoreError::Failed(error), Some(_)) = (&failed, &self.rescue) {
            tracing::error!(%error, "a write failed; trying it another way");
            return Err(Stop::Again);
        }
        self.value = Some(Err(failed.clone()));
        Err(Stop::Failed(failed))
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let value = match (self.value, committed) {
            (Some(Err(own)), _) => Err(own),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Failed("the write was not run".to_owned())),
        };
        // The caller may have left.
        self.reply.send(value).ok();
    }
}

impl State {
    /// Runs writes, in their order, in as few transactions as they allow, and answers them.
    pub(super) fn commit_all(&mut self, mut waiting: VecDeque<Box<dyn Write>>) {
        while let Some(mut first) = waiting.pop_front() {
            let (ran, committed) = if waiting.is_empty() {
                let committed = self.commit_alone(&mut *first);
                (vec![first], committed)
            } else {
                waiting.push_front(first);
                self.commit_together(&mut waiting)
            };
            for write in ran {
                write.answer(committed.clone());
            }
        }
    }

    /// One write needs no savepoint, which would copy each page that it changes.
    fn commit_alone(&mut self, write: &mut dyn Write) -> Result<(), StoreError> {
        loop {
            match self.transact(|tx| write.run(tx)) {
                Ok(()) => return Ok(()),
                Err(Stop::Again) => {}
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Transaction(error)) => return Err(error.into()),
            }
        }
    }

    /// Takes writes as far as the transaction gets; answers which, and whether they are stored.
    fn commit_together(
        &mut self,
        waiting: &mut VecDeque<Box<dyn Write>>,
    ) -> (Vec<Box<dyn Write>>, Result<(), StoreError>) {
        let mut ran = Vec::with_capacity(waiting.len());
        let committed = self.transact(|tx| {
            while let Some(mut write) = waiting.pop_front() {
                let result = in_savepoint(tx, &mut *write);
                ran.push(write);
                result?;
            }
            Ok(())
        });
        if ran.is_empty() {
            // Not even begun: what comes first is told why, the others are tried after it.
            ran.extend(waiting.pop_front());
        }
        let committed = committed.map_err(|stop| match stop {
            Stop::Failed(error) => error,
            Stop::Transaction(error) => error.into(),
            Stop::Again => StoreError::Failed("a write was not run again".to_owned()),
        });
        (ran, committed)
    }
}

/// Runs a write so that it can be undone alone. An error means that the whole transaction is lost.
fn in_savepoint(tx: &Tx<'_>, write: &mut dyn Write) -> Result<(), Stop> {
    loop {
        tx.db.execute_batch("SAVEPOINT write")?;
        let stop = match write.run(tx) {
            Ok(()) => return Ok(tx.db.execute_batch("RELEASE write")?),
            Err(stop) => stop,
        };
        // Some errors end the transaction, and its savepoints with it.
        if tx.db.is_autocommit() {
            return Err(stop);
        }
        tx.db.execute_batch("ROLLBACK TO write; RELEASE write")?;
        match stop {
            Stop::Failed(_) => return Ok(()),
            Stop::Again => {}
            Stop::Transaction(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use rusqlite::Connection;
    use sparrow_protocol::Timestamp;
    use tempfile::TempDir;

    use super::*;
    use crate::sqlite::{Options, Sqlite, epoch};

    fn insert(db: &Connection, name: &str) -> Sql<usize> {
        db.execute("INSERT INTO meta (name, value) VALUES ($1, '')", [name])
    }

    fn names(db: &Connection) -> Sql<Vec<String>> {
        let mut statement = db.prepare("SELECT name FROM meta WHERE value = '' ORDER BY name")?;
        statement.query_map([], |row| row.get(0))?.collect()
    }

    /// The caller learns why the transaction did not begin, also if its write was never run.
    #[test]
    fn a_write_that_was_not_run_is_answered_with_what_kept_it() {
        let (reply, mut answer) = oneshot::channel();
        let write = Pending::new(|_: &Tx<'_>| Ok(()), None::<fn(&Tx<'_>) -> Sql<()>>, reply);
        Box::new(write).answer(Err(StoreError::StorageFull));
        assert!(matches!(answer.try_recv().unwrap(), Err(StoreError::StorageFull)));
    }

    /// Writes that wait while the writer is busy: those that fail or panic are undone alone, the others share a commit.
    #[tokio::test]
    async fn waiting_writes_share_a_commit_and_fail_alone() {
        let directory = TempDir::new().unwrap();
        let store = Sqlite::open(directory.path(), &Options::default(), Timestamp::from_millis(1)).unwrap();
        let commits = async || store.readers.run(|db| epoch::number_fact(db, epoch::COMMITS)).await.unwrap();
        let before = commits().await;

        let (busy, begin) = mpsc::channel::<()>();
        let (began, holds) = oneshot::channel::<()>();
        let first = store.clone();
        let held = tokio::spawn(async move {
            let held = first.writer.run(move |tx| {
                began.send(()).ok();
                // Until everything else waits.
                begin.recv().ok();
                insert(tx.db, "first")
            });
            held.await
        });
        holds.await.unwrap();
        let fails = store.writer.run(|tx| {
            insert(tx.db, "undone")?;
            tx.db.execute("no SQL", [])
        });
        let panics = store.writer.run(|tx| {
            insert(tx.db, "lost")?;
            panic!("on purpose");
            #[expect(unreachable_code, reason = "it gives the closure its type")]
            Ok(())
        });
        let mends = store.writer.run_or(
            |tx| {
                insert(tx.db, "one way")?;
                tx.db.execute("no SQL", [])
            },
            |tx| insert(tx.db, "another way"),
        );
        let last = store.writer.run(|tx| insert(tx.db, "last"));
        let release = async { busy.send(()).unwrap() };
        let (held, fails, panics, mends, last, ()) = tokio::join!(held, fails, panics, mends, last, release);

        assert_eq!([held.unwrap().unwrap(), mends.unwrap(), last.unwrap()], [1, 1, 1]);
        assert!(matches!(fails, Err(StoreError::Failed(_))) && matches!(panics, Err(StoreError::Failed(_))));
        assert_eq!(store.readers.run(names).await.unwrap(), ["another way", "first", "last"]);
        assert_eq!(commits().await, before + 2, "one for the first, one for all that waited");
    }
}
