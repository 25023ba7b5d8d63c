//! The lane's worker: drain, store, answer, hand over to the fan-out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sparrow_store::log::{Appended, Batch, CursorAdvance, CursorOutcome, Outcome};
use sparrow_store::{Log, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Job, Lane, ReadJob, Work, cost, too_slow};
use crate::clock::Clock;
use crate::config::Limits;
use crate::failure::Failure;
use crate::faults::{Step, failpoint};
use crate::limits::RateLimits;
use crate::messaging::cursors::WaitingCursors;
use crate::messaging::fanout::{Committed, FanoutEntries};
use crate::messaging::receipts::CursorMoved;
use crate::messaging::send::retry_in_order;
use crate::messaging::wire::Trust;
use crate::metrics::Metrics;

/// Waiting cursors that one transaction takes along.
const CURSORS_PER_BATCH: usize = 4096;
/// The first pause before a batch is tried again while the database is away; it doubles up to the next constant.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Drains the lane. One per lane, and the only one who appends.
pub(crate) struct Worker {
    pub(super) queue: mpsc::Receiver<Work>,
    queued_bytes: Arc<AtomicUsize>,
    cursors: Arc<WaitingCursors>,
    store: Arc<dyn Log>,
    fanout: FanoutEntries,
    clock: Clock,
    limits: Limits,
    rates: Arc<RateLimits>,
    metrics: Arc<Metrics>,
}

/// The commands of one transaction.
#[derive(Default)]
pub(super) struct Gathered {
    jobs: Vec<Job>,
    reads: Vec<ReadJob>,
}

impl Worker {
    /// The worker of a lane.
    pub(crate) fn new(
        lane: &Lane,
        queue: mpsc::Receiver<Work>,
        store: Arc<dyn Log>,
        fanout: FanoutEntries,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        let Lane { queued_bytes, cursors, rates, metrics, .. } = lane.clone();
        Self { queue, queued_bytes, cursors, store, fanout, clock, limits, rates, metrics }
    }

    /// Works until `stop`; then answers what was accepted, flushes the cursors and ends.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut stopping = false;
        let cursors = self.cursors.clone();
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.queue.close();
                    continue;
                }
                work = self.queue.recv() => match work {
                    Some(work) => Some(work),
                    None => break,
                },
                () = cursors.due() => None,
            };
            let gathered = self.gather(first);
            let waiting = self.cursors.take(CURSORS_PER_BATCH);
            self.store(gathered, waiting).await;
        }
        loop {
            let waiting = self.cursors.take(CURSORS_PER_BATCH);
            // A flush that fails is not tried for ever: the devices will ack again.
            if waiting.is_empty() || !self.store(Gathered::default(), waiting).await {
                return;
            }
        }
    }

    /// Whatever waits, up to the limits of one transaction.
    pub(super) fn gather(&mut self, first: Option<Work>) -> Gathered {
        self.metrics.lane_waiting.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
        let mut gathered = Gathered::default();
        let mut bytes = 0;
        let mut next = first;
        while let Some(work) = next {
            match work {
                Work::Append(mut job) => {
                    let cost = cost(&job.append);
                    self.queued_bytes.fetch_sub(cost, Ordering::Relaxed);
                    if job.is_gated() {
                        job.refuse(retry_in_order(), &self.metrics);
                    } else {
                        bytes += cost;
                        gathered.jobs.push(job);
                    }
                }
                Work::Read(read) => gathered.reads.push(read),
            }
            let full = gathered.jobs.len() + gathered.reads.len() >= self.limits.batch_commands
                || bytes >= self.limits.batch_bytes;
            next = if full { None } else { self.queue.try_recv().ok() };
        }
        gathered
    }

    /// One transaction and what follows from it. True if it was committed.
    pub(super) async fn store(&mut self, mut gathered: Gathered, waiting: Vec<CursorAdvance>) -> bool {
        #[cfg(feature = "sabotage")]
        super::sabotaged::reorder(&mut gathered.jobs);
        let mut cursors: Vec<_> = gathered.reads.iter().map(|read| read.advance).collect();
        cursors.extend(waiting);
        let commands: Vec<_> = gathered.jobs.iter().map(|job| job.append.clone()).collect();
        if commands.is_empty() && cursors.is_empty() {
            return true;
        }
        let batch = Arc::new(Batch { now: self.clock.now(), commands, cursors });
        match self.commit(&batch, &mut gathered).await {
            Ok(appended) => {
                self.answer(gathered, &batch, appended).await;
                true
            }
            Err(error) => {
                gathered.refuse(&error.into(), &self.metrics);
                for cursor in &batch.cursors {
                    if let Some(seq) = cursor.delivered {
                        self.cursors.add(cursor.user, cursor.conversation, seq);
                    }
                }
                false
            }
        }
    }

    /// Stores a batch, trying again while the database is away, until the time limit. If the store has not even
    /// answered by then, everybody is told, and the lane waits for the outcome: nothing may overtake this batch.
    async fn commit(&mut self, batch: &Arc<Batch>, gathered: &mut Gathered) -> Result<Appended, StoreError> {
        let begun = Instant::now();
        let deadline = begun + self.limits.append_timeout;
        let store = self.store.clone();
        let mut pause = FIRST_PAUSE;
        #[cfg(feature = "sabotage")]
        let mut batch = batch.clone();
        failpoint(Step::LaneBeforeCommit);
        loop {
            let mut append = store.append(batch.clone());
            let result = match timeout_at(deadline, &mut append).await {
                Ok(result) => result,
                Err(_elapsed) => {
                    gathered.refuse(&too_slow(), &self.metrics);
                    self.stall(append).await
                }
            };
            match result {
                Ok(appended) => {
                    self.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
                    self.metrics.batch_commands.observe(batch.commands.len() as f64);
                    return Ok(appended);
                }
                Err(StoreError::Unavailable(_)) if Instant::now() + pause < deadline => {
                    #[cfg(feature = "sabotage")]
                    self.after_unknown(Arc::make_mut(&mut batch)).await;
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a store that does not answer; what arrives meanwhile is refused.
    async fn stall(
        &mut self,
        mut append: impl Future<Output = Result<Appended, StoreError>> + Unpin,
    ) -> Result<Appended, StoreError> {
        tracing::warn!(waited = ?self.limits.append_timeout, "the store does not answer; refusing what arrives");
        loop {
            tokio::select! {
                biased;
                result = &mut append => return result,
                Some(work) = self.queue.recv() => match work {
                    Work::Append(mut job) => {
                        self.queued_bytes.fetch_sub(cost(&job.append), Ordering::Relaxed);
                        job.refuse(too_slow(), &self.metrics);
                    }
                    Work::Read(read) => read.answer(Err(too_slow())),
                },
            }
        }
    }

    /// Answers first, then hands over to the fan-out.
    async fn answer(&mut self, gathered: Gathered, batch: &Batch, appended: Appended) {
        failpoint(Step::LaneAfterCommit);
        let Gathered { mut jobs, mut reads } = gathered;
        let origins: Vec<_> = jobs.iter().map(Job::session_id).collect();
        for (job, outcome) in jobs.iter_mut().zip(&appended.outcomes) {
            failpoint(Step::Answer);
            job.settle(outcome, &self.metrics);
            if matches!(outcome, Outcome::Stored(_)) {
                self.rates.stored(job.append.conversation);
            }
        }
        let readers: Vec<_> = reads.iter().map(ReadJob::session_id).collect();
        for (read, outcome) in reads.iter_mut().zip(&appended.cursors) {
            read.settle(*outcome);
        }

        let committed = appended.outcomes.into_iter().zip(origins).filter_map(|(outcome, origin)| match outcome {
            Outcome::Stored(stored) => Some(Committed { stored, origin, trust: Trust::Fresh }),
            // Stored by an attempt at this very batch whose outcome was not known: nobody was told of it yet.
            Outcome::Duplicate(stored) if stored.entry.time == batch.now => {
                Some(Committed { stored, origin, trust: Trust::Read })
            }
            Outcome::Duplicate(_) | Outcome::Refused(_) | Outcome::Failed => None,
        });
        failpoint(Step::FanoutBefore);
        self.fanout.entries(committed).await;

        let origins = readers.into_iter().chain(std::iter::repeat(None));
        let moved =
            batch.cursors.iter().zip(appended.cursors).zip(origins).filter_map(|((advance, outcome), origin)| {
                match outcome {
                    CursorOutcome::Now { delivered, read, moved: true, members_version } => Some(CursorMoved {
                        user: advance.user,
                        conversation: advance.conversation,
                        delivered,
                        read,
                        by_reading: advance.read.is_some(),
                        members_version,
                        origin,
                    }),
                    CursorOutcome::Now { moved: false, .. } => None,
                    CursorOutcome::BeyondHead | CursorOutcome::NotFound => {
                        if advance.read.is_none() {
                            self.metrics.acks_ignored.inc();
                        }
                        None
                    }
                }
            });
        self.fanout.cursors(moved);
    }
}

impl Gathered {
    fn refuse(&mut self, failure: &Failure, metrics: &Metrics) {
        for job in &mut self.jobs {
            job.refuse(failure.clone(), metrics);
        }
        for read in &mut self.reads {
            read.answer_with(Err(failure.clone()));
        }
    }
}
