//! Fan-out: after a commit, everybody who may see an entry and is online gets it; cursors and signals likewise.
//!
//! A fixed number of workers share the conversations by hash. A conversation belongs to one worker, which owns its
//! member list and its stage, so nothing is locked and the order of a conversation is the order of its worker's queue.

mod group;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;

use sparrow_protocol::ConversationId;
use sparrow_store::Log;
use sparrow_store::log::Stored;
use tokio::sync::mpsc;

use super::receipts::CursorMoved;
use super::sessions::{SessionId, Sessions};
use super::signals::SignalJob;
use super::wire::Trust;
use crate::core_tasks::CoreTasks;
use crate::metrics::Metrics;
use worker::Worker;

/// Workers of a node.
const WORKERS: usize = 4;
/// Batches that may wait for one worker; then the lane waits.
const ENTRY_BATCHES: usize = 64;
/// Cursor batches and signals that may wait for one worker; then they are dropped.
const ASIDES: usize = 4096;

/// An entry that was committed.
#[derive(Debug)]
pub(crate) struct Committed {
    /// The entry, and what the store said with it.
    pub(crate) stored: Stored,
    /// The session that has its ack, and gets no push of it.
    pub(crate) origin: Option<SessionId>,
    /// Whether its body is known to be readable.
    pub(crate) trust: Trust,
}

/// What is told besides entries.
#[derive(Debug)]
enum Aside {
    Cursors(Vec<CursorMoved>),
    Signal(SignalJob),
}

/// Where the lane hands over what it committed. The workers end when it is dropped.
pub(crate) struct FanoutEntries {
    entries: Vec<mpsc::Sender<Vec<Committed>>>,
    signals: FanoutSignals,
}

/// Where sessions hand over signals.
#[derive(Clone)]
pub(crate) struct FanoutSignals {
    /// To be looked at only: the workers go when the lane lets go of these queues.
    entries: Arc<[mpsc::WeakSender<Vec<Committed>>]>,
    asides: Arc<[mpsc::Sender<Aside>]>,
    metrics: Arc<Metrics>,
}

/// Starts the workers.
pub(crate) fn start(
    store: &Arc<dyn Log>,
    sessions: &Arc<Sessions>,
    metrics: &Arc<Metrics>,
    core: &CoreTasks,
) -> (FanoutEntries, FanoutSignals) {
    let mut entries = Vec::with_capacity(WORKERS);
    let mut asides = Vec::with_capacity(WORKERS);
    for _ in 0..WORKERS {
        let (entry_sender, entry_receiver) = mpsc::channel(ENTRY_BATCHES);
        let (aside_sender, aside_receiver) = mpsc::channel(ASIDES);
        entries.push(entry_sender);
        asides.push(aside_sender);
        let worker = Worker::new(store.clone(), sessions.clone(), metrics.clone());
        let stopping = core.stopping().clone();
        core.spawn("fan-out worker", async move {
            worker.run(entry_receiver, aside_receiver).await;
            // The lane is gone. If nobody told it to go, that is its failure, not this worker's.
            stopping.cancelled().await;
        });
    }
    let watched = entries.iter().map(mpsc::Sender::downgrade).collect();
    let signals = FanoutSignals { entries: watched, asides: asides.into(), metrics: metrics.clone() };
    (FanoutEntries { entries, signals: signals.clone() }, signals)
}

impl FanoutEntries {
    /// Hands over what a transaction stored. Waits while a worker is behind, which holds up the lane, not the clients.
    pub(crate) async fn entries(&self, committed: impl Iterator<Item = Committed>) {
        for (worker, batch) in share(committed, |committed| committed.stored.entry.conversation) {
            if self.entries[worker].send(batch).await.is_err() {
                tracing::debug!(worker, "a fan-out worker is gone, and with it soon the node");
            }
        }
    }

    /// Hands over cursors that moved; what does not fit is dropped.
    pub(crate) fn cursors(&self, moved: impl Iterator<Item = CursorMoved>) {
        for (worker, batch) in share(moved, |moved| moved.conversation) {
            if self.signals.asides[worker].try_send(Aside::Cursors(batch)).is_err() {
                self.signals.metrics.receipts_dropped.inc();
            }
        }
    }
}

impl FanoutSignals {
    /// What waits for the workers: batches of entries, and signals with batches of cursors.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        fn depth<T>(queue: &mpsc::Sender<T>) -> usize {
            queue.max_capacity() - queue.capacity()
        }
        let entries = self.entries.iter().filter_map(mpsc::WeakSender::upgrade).map(|queue| depth(&queue)).sum();
        (entries, self.asides.iter().map(depth).sum())
    }

    /// Hands over a signal. False if it was dropped because there are too many.
    pub(crate) fn signal(&self, job: SignalJob) -> Result<(), SignalJob> {
        let worker = worker_of(job.conversation);
        self.asides[worker].try_send(Aside::Signal(job)).map_err(|error| match error.into_inner() {
            Aside::Signal(job) => job,
            Aside::Cursors(_) => unreachable!("what was not sent is handed back"),
        })
    }
}

fn worker_of(conversation: ConversationId) -> usize {
    usize::try_from(conversation.get().unsigned_abs() % WORKERS as u64).unwrap_or_default()
}

fn share<T>(
    items: impl Iterator<Item = T>,
    conversation: impl Fn(&T) -> ConversationId,
) -> impl Iterator<Item = (usize, Vec<T>)> {
    let mut shares: [Vec<T>; WORKERS] = std::array::from_fn(|_| Vec::new());
    for item in items {
        shares[worker_of(conversation(&item))].push(item);
    }
    shares.into_iter().enumerate().filter(|(_, share)| !share.is_empty())
}
