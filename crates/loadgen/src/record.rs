//! What a fleet notes while it runs: latencies, counts and broken promises, in a few shards so that nobody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use crate::verify::Violation;

/// Longest time that is told apart, in microseconds; longer ones count as this.
const LONGEST: u64 = 120_000_000;
/// Shards of a book; more than the threads that write into it.
const SHARDS: usize = 8;
/// Violations that are kept word for word; the rest is counted.
const KEPT: usize = 20;

/// An empty histogram of microseconds, to three significant digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST, 3).expect("the bounds are constants that fit together")
}

/// Notes a time in microseconds.
pub(crate) fn note(histogram: &mut Histogram<u64>, micros: u64) {
    histogram.saturating_record(micros);
}

/// What is noted by some of the connections.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    /// From the time a send was due to its ack.
    pub(crate) acked: Histogram<u64>,
    /// From the time a send was due to its arrival at another session.
    pub(crate) delivered: Histogram<u64>,
    /// From the time a send was due to the news that it was read.
    pub(crate) read: Histogram<u64>,
    /// From the time a pull was due to its page.
    pub(crate) pulled: Histogram<u64>,
    /// Refused sends, by code.
    pub(crate) refused: BTreeMap<String, u64>,
    violations: Vec<String>,
    violated: u64,
}

impl Notes {
    fn empty() -> Self {
        Self {
            acked: histogram(),
            delivered: histogram(),
            read: histogram(),
            pulled: histogram(),
            refused: BTreeMap::new(),
            violations: Vec::new(),
            violated: 0,
        }
    }

    /// Notes the outcome of a check.
    pub(crate) fn check(&mut self, conversation: i64, outcome: Result<(), Violation>) {
        if let Err(violation) = outcome {
            self.violation(|| format!("conversation {conversation}: {violation}"));
        }
    }

    /// Notes a broken promise.
    pub(crate) fn violation(&mut self, text: impl FnOnce() -> String) {
        self.violated += 1;
        if self.violations.len() < KEPT {
            self.violations.push(text());
        }
    }

    /// The broken promises, the first of them word for word.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut all = self.violations.clone();
        let more = self.violated - all.len() as u64;
        if more > 0 {
            all.push(format!("and {more} more"));
        }
        all
    }

    fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.acked, &other.acked),
            (&mut self.delivered, &other.delivered),
            (&mut self.read, &other.read),
            (&mut self.pulled, &other.pulled),
        ];
        for (mine, theirs) in pairs {
            mine.add(theirs).expect("all have the same bounds");
        }
        for (code, count) in &other.refused {
            *self.refused.entry(code.clone()).or_default() += count;
        }
        self.violated += other.violated;
        let room = KEPT.saturating_sub(self.violations.len());
        self.violations.extend(other.violations.iter().take(room).cloned());
    }
}

/// Counts of a fleet since it was made.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Sends that were written.
    pub(crate) sent: AtomicU64,
    /// Sends that were answered, by an ack or a refusal.
    pub(crate) answered: AtomicU64,
    /// Entries that arrived at sessions other than their senders'.
    pub(crate) arrived: AtomicU64,
    /// Sends that were due and not written: one before them has to be retried, or the node does not read.
    pub(crate) withheld: AtomicU64,
    /// Times a session was told to resync.
    pub(crate) resyncs: AtomicU64,
    /// Bytes read from connections.
    pub(crate) bytes_in: AtomicU64,
    /// Bytes written to connections.
    pub(crate) bytes_out: AtomicU64,
    /// When the last ack came, by the fleet's clock.
    pub(crate) last_ack: AtomicU64,
}

impl Counts {
    /// Adds to a count.
    pub(crate) fn add(count: &AtomicU64, more: u64) {
        count.fetch_add(more, Ordering::Relaxed);
    }

    /// Reads a count.
    pub(crate) fn get(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// The notes of a whole fleet.
#[derive(Debug)]
pub(crate) struct Book {
    run: AtomicU32,
    shards: Vec<Mutex<Notes>>,
    /// The counts.
    pub(crate) counts: Counts,
}

impl Book {
    /// An empty book.
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Notes::empty())).collect();
        Self { run: AtomicU32::new(0), shards, counts: Counts::default() }
    }

    /// The run whose sends are noted.
    pub(crate) fn run(&self) -> u32 {
        self.run.load(Ordering::Relaxed)
    }

    /// Begins the next run with empty notes; broken promises are kept.
    pub(crate) fn begin(&self) -> u32 {
        for shard in &self.shards {
            let mut notes = locked(shard);
            let violations = std::mem::take(&mut notes.violations);
            let violated = notes.violated;
            *notes = Notes { violations, violated, ..Notes::empty() };
        }
        self.run.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Where one connection notes.
    pub(crate) fn shard(&self, line: usize) -> MutexGuard<'_, Notes> {
        locked(&self.shards[line % SHARDS])
    }

    /// Everything that was noted.
    pub(crate) fn total(&self) -> Notes {
        let mut total = Notes::empty();
        self.shards.iter().for_each(|shard| total.add(&locked(shard)));
        total
    }
}

fn locked(shard: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_of_every_shard_are_told_and_outlive_a_run() {
        let book = Book::new();
        for line in 0..30 {
            book.shard(line).check(7, Err(Violation::Duplicate { seq: 3 }));
        }
        note(&mut book.shard(0).acked, 5);
        book.begin();
        let total = book.total();
        assert_eq!(total.violations().len(), KEPT + 1);
        assert!(total.acked.is_empty());
    }

    #[test]
    fn a_time_beyond_the_longest_counts_as_the_longest() {
        let mut histogram = histogram();
        note(&mut histogram, u64::MAX);
        assert_eq!(histogram.len(), 1);
    }
}
