//! The store on SQLite: one file, one writer thread with the only writing connection, a few readers.
//!
//! What lives where:
//! - `writer` and `readers`: the threads, transactions and the number of each commit; `group`: the writes that share a
//!   transaction; `checkpoint`: keeping the write-ahead log short; `epoch`: lock file and epoch.
//! - `append`, `judge` and `heads`: the transaction of a batch; `membership`: who is in a conversation; `cursors`.
//! - `entry`, `positions`, `walk`: the rows of a log, where they are, and going over them.
//! - `pull`, `sync`, `unread`: reading a log as one user may see it.
//! - `accounts`, `devices`, `conversations`, `own_state`: the directory; `expiry`: forgetting what is over.
//! - `log_impl`, `directory_impl`: the traits, each method a job for the writer or a reader.
//!
//! An I/O error while a transaction commits leaves open whether it is stored. The process then ends (`abort`): after the
//! next start the file itself says what is there, and clients retry under the same ids.

mod accounts;
mod allowances;
mod append;
mod checkpoint;
mod conversations;
mod cursors;
mod devices;
mod directory_impl;
mod entry;
mod epoch;
mod expiry;
mod group;
mod heads;
mod judge;
mod log_impl;
mod membership;
mod open;
mod own_state;
mod positions;
mod pull;
mod readers;
mod row;
#[cfg(feature = "sabotage")]
mod sabotaged;
mod sync;
#[cfg(test)]
mod tests;
mod unread;
mod walk;
mod writer;

use std::sync::Arc;

use sparrow_protocol::UserId;

pub use open::OpenError;

use crate::StoreError;
use readers::Readers;
use writer::Writer;

/// The account in whose name the server itself acts. Named `sparrow`, made with the database; nobody can log in to it.
pub const SYSTEM_USER: UserId = match UserId::new(1) {
    Some(user) => user,
    None => unreachable!(),
};

/// What can be set about a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most members of a group.
    pub group_members: usize,
    /// Threads, each with a connection, that serve reads.
    pub readers: usize,
    /// Acts that may wait for the writer, and reads that may wait for a reader; beyond, callers wait.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { group_members: 10_000, readers: 4, queue: 1_024 }
    }
}

/// A database in a directory of its own; a cheap handle.
///
/// Dropping the last handle stops the threads after the work that was queued; [`Sqlite::close`] also leaves the file
/// without a write-ahead log.
#[derive(Clone)]
pub struct Sqlite {
    // Readers end before the writer, which holds the lock.
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    group_members: usize,
}

impl Sqlite {
    /// Moves everything into the main file and notes the last commit beside it. To be called last.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.writer.finish().await
    }

    /// Bounds the database to so many pages of 4,096 bytes, to see what happens when its disk is full.
    #[doc(hidden)]
    pub async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.writer.limit_pages(pages).await
    }
}
