//! The append lane: the one way into the log. A bounded queue, and one worker that turns whatever waits in it into one
//! durable transaction: at once when idle, batched by itself under load.
//!
//! Judging and numbering commands is the store's; telling readers is the fan-out's.

mod answer;
#[cfg(feature = "sabotage")]
mod sabotaged;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sparrow_protocol::{Code, ConversationId, Seq, UserId};
use sparrow_store::log::{Action, Append, CursorAdvance};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::cursors::WaitingCursors;
use crate::failure::Failure;
use crate::faults::{Step, failpoint};
use crate::limits::RateLimits;
use crate::metrics::Metrics;

pub(crate) use answer::{Job, Origin, ReadJob, ReadOrigin};
pub(crate) use worker::Worker;

/// Bytes of bodies that may wait for the lane, whatever their number.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// When a client that was told `overloaded` may try again.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// What a command costs in a queue besides its body.
const COMMAND_BYTES: usize = 128;

/// What waits for the lane.
#[derive(Debug)]
pub(crate) enum Work {
    /// A command that makes an entry.
    Append(Job),
    /// A read cursor.
    Read(ReadJob),
}

/// The way into the lane.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    queue: mpsc::Sender<Work>,
    queued_bytes: Arc<AtomicUsize>,
    cursors: Arc<WaitingCursors>,
    rates: Arc<RateLimits>,
    metrics: Arc<Metrics>,
}

impl Lane {
    /// A lane with room for `capacity` commands, and the end of it that a [`Worker`] drains.
    pub(crate) fn new(capacity: usize, rates: Arc<RateLimits>, metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<Work>) {
        let (queue, waiting) = mpsc::channel(capacity.max(1));
        let lane = Self { queue, queued_bytes: Arc::default(), cursors: Arc::default(), rates, metrics };
        (lane, waiting)
    }

    /// Puts a command at the end of the queue, or hands it back with the reason. Never waits.
    pub(crate) fn try_append(&self, job: Job) -> Result<(), (Job, Failure)> {
        failpoint(Step::LaneEnqueue);
        let bytes = cost(&job.append);
        if self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err((job, overloaded()));
        }
        self.queue.try_send(Work::Append(job)).map_err(|error| {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                TrySendError::Full(Work::Append(job)) => (job, overloaded()),
                TrySendError::Closed(Work::Append(job)) => (job, closing()),
                TrySendError::Full(Work::Read(_)) | TrySendError::Closed(Work::Read(_)) => {
                    unreachable!("what was not sent is handed back")
                }
            }
        })
    }

    /// Puts a read cursor at the end of the queue; whoever asked gets exactly one answer.
    pub(crate) fn read(&self, job: ReadJob) {
        if let Err(error) = self.queue.try_send(Work::Read(job)) {
            let failure = if matches!(error, TrySendError::Full(_)) { overloaded() } else { closing() };
            if let Work::Read(job) = error.into_inner() {
                job.answer(Err(failure));
            }
        }
    }

    /// Notes how far a user's device is; the next transaction takes it along.
    pub(crate) fn delivered(&self, user: UserId, conversation: ConversationId, seq: Seq) {
        if !self.cursors.add(user, conversation, seq) {
            self.metrics.acks_ignored.inc();
        }
    }

    /// What waits for it: commands with read cursors, and delivered cursors.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.queue.max_capacity() - self.queue.capacity(), self.cursors.len())
    }

    /// What the node counts.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// The read cursor of a user that may have moved.
pub(crate) fn read_advance(user: UserId, conversation: ConversationId, seq: Seq) -> CursorAdvance {
    CursorAdvance { user, conversation, delivered: None, read: Some(seq) }
}

fn cost(append: &Append) -> usize {
    let body = match &append.action {
        Action::Message { body, mentions } => body.len() + mentions.users.len() * size_of::<UserId>(),
        Action::Create(group) => group.members.len() * size_of::<UserId>(),
        Action::AddMembers { users } => users.len() * size_of::<UserId>(),
        _ => 0,
    };
    COMMAND_BYTES + body
}

fn overloaded() -> Failure {
    let failure = Failure::new(Code::Overloaded, "The server has more to do than it can; try again in a moment.");
    Failure { retry_after: Some(RETRY_AFTER), ..failure }
}

fn closing() -> Failure {
    Failure::new(Code::Unavailable, "The server is shutting down; try again when it is back.")
}

fn too_slow() -> Failure {
    Failure::new(Code::Unavailable, "The server could not store this in time; try again.")
}
