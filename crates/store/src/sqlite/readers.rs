//! The readers: a few threads, each with a connection that cannot write. A read transaction lasts one job, so that the
//! write-ahead log can be emptied.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::row::Sql;
use crate::StoreError;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The pool.
pub(super) struct Readers {
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts one thread per connection.
    pub(super) fn start(connections: Vec<Connection>, queue: usize) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(queue.max(1));
        let waiting = Arc::new(Mutex::new(waiting));
        let mut readers = Self { jobs: Some(jobs), threads: Vec::new() };
        for (number, connection) in connections.into_iter().enumerate() {
            let waiting = Arc::clone(&waiting);
            let thread = std::thread::Builder::new().name(format!("store-reader-{number}"));
            readers.threads.push(thread.spawn(move || serve(connection, &waiting))?);
        }
        Ok(readers)
    }

    /// Runs a read in one transaction.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Sql<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = connection.transaction().and_then(|transaction| read(&transaction)).map_err(StoreError::from);
            // The caller may have left.
            reply.send(result).ok();
        });
        let stopped = || StoreError::Unavailable("the readers have stopped".to_owned());
        self.jobs.as_ref().ok_or_else(stopped)?.send(job).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| StoreError::Failed("the read panicked".to_owned()))?
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

fn serve(mut connection: Connection, waiting: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(|| job(&mut connection))).is_err() {
            tracing::error!("a read panicked");
        }
    }
}
