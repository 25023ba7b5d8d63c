//! The conversation stage: passes a conversation's entries on in increasing seq, whatever order they are heard in.
//!
//! A pure state machine; the fan-out worker owns one per active conversation, reads holes from the log and forgets
//! stages that have become quiet.

use std::collections::BTreeMap;
use std::time::Duration;

use sparrow_protocol::Seq;
use tokio::time::Instant;

/// How long an entry that came early waits before the hole in front of it is read from the log.
pub(crate) const HOLE_PATIENCE: Duration = Duration::from_millis(100);
/// Early entries that are kept; later ones are read from the log with the hole.
const MAX_EARLY: usize = 256;

/// The order of one conversation's entries. `T` is an entry with whatever travels with it.
#[derive(Debug)]
pub(crate) struct Stage<T> {
    next: Seq,
    early: BTreeMap<Seq, T>,
    waiting_since: Option<Instant>,
    used: Instant,
}

impl<T> Stage<T> {
    /// A stage that begins with this entry.
    pub(crate) fn new(first: Seq, now: Instant) -> Self {
        Self { next: first, early: BTreeMap::new(), waiting_since: None, used: now }
    }

    /// Takes an entry; entries that are due now go to `ready`. One that was passed before is dropped.
    pub(crate) fn offer(&mut self, seq: Seq, entry: T, now: Instant, ready: &mut Vec<T>) {
        self.used = now;
        if seq < self.next {
            return;
        }
        if seq > self.next {
            self.waiting_since.get_or_insert(now);
            if self.early.len() < MAX_EARLY {
                self.early.insert(seq, entry);
            }
            return;
        }
        ready.push(entry);
        self.next = seq.next();
        while let Some(entry) = self.early.remove(&self.next) {
            ready.push(entry);
            self.next = self.next.next();
        }
        if self.early.is_empty() {
            self.waiting_since = None;
        } else {
            // What is still early waits for another hole.
            self.waiting_since = Some(now);
        }
    }

    /// When the hole has to be read.
    pub(crate) fn hole_due(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + HOLE_PATIENCE)
    }

    /// The seqs that are missing before the first early entry.
    pub(crate) fn hole(&self) -> Option<(Seq, Seq)> {
        self.early.keys().next().map(|early| (self.next, early.prev()))
    }

    /// The hole cannot be filled: goes on with the first early entry.
    pub(crate) fn skip_hole(&mut self, now: Instant, ready: &mut Vec<T>) {
        if let Some((seq, entry)) = self.early.pop_first() {
            self.next = seq;
            self.offer(seq, entry, now, ready);
        }
    }

    /// True if nothing waits and nothing came for so long.
    pub(crate) fn is_quiet(&self, now: Instant, quiet: Duration) -> bool {
        self.early.is_empty() && now.duration_since(self.used) >= quiet
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seq(number: i64) -> Seq {
        Seq::new(number).unwrap()
    }

    fn offer(stage: &mut Stage<i64>, number: i64, now: Instant) -> Vec<i64> {
        let mut ready = Vec::new();
        stage.offer(seq(number), number, now, &mut ready);
        ready
    }

    #[test]
    fn an_early_entry_waits_for_the_one_before() {
        let now = Instant::now();
        let mut stage = Stage::new(seq(5), now);
        assert_eq!(offer(&mut stage, 6, now), Vec::<i64>::new());
        assert_eq!(stage.hole(), Some((seq(5), seq(5))));
        assert_eq!(stage.hole_due(), Some(now + HOLE_PATIENCE));
        assert_eq!(offer(&mut stage, 5, now), vec![5, 6]);
        assert_eq!(stage.hole_due(), None);
        assert_eq!(offer(&mut stage, 5, now), Vec::<i64>::new(), "late ones are dropped");
    }

    #[test]
    fn a_hole_that_cannot_be_filled_is_skipped() {
        let now = Instant::now();
        let mut stage = Stage::new(seq(1), now);
        assert!(offer(&mut stage, 3, now).is_empty());
        assert!(offer(&mut stage, 4, now).is_empty());
        let mut ready = Vec::new();
        stage.skip_hole(now, &mut ready);
        assert_eq!(ready, vec![3, 4]);
    }

    #[test]
    fn early_entries_are_bounded() {
        let now = Instant::now();
        let mut stage = Stage::new(seq(1), now);
        for number in 2..2000 {
            assert!(offer(&mut stage, number, now).is_empty());
        }
        assert_eq!(offer(&mut stage, 1, now).len(), MAX_EARLY + 1);
    }

    proptest! {
        #[test]
        fn any_order_comes_out_increasing_and_whole(mut numbers in Just((1..60i64).collect::<Vec<_>>()).prop_shuffle(),
                                                    repeat in proptest::collection::vec(1..60i64, 0..20)) {
            let now = Instant::now();
            numbers.extend(repeat);
            let mut stage = Stage::new(seq(1), now);
            let out: Vec<i64> = numbers.iter().flat_map(|n| offer(&mut stage, *n, now)).collect();
            prop_assert_eq!(out, (1..60).collect::<Vec<_>>());
        }
    }
}
