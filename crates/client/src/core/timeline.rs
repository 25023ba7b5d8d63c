//! One conversation's stream: pushes, pulls and own acks, in any order and any number of times, become each entry once,
//! in increasing seq, without holes. Pure.
//!
//! A seq is settled when its entry has been emitted, or when a page that covers it came without it: then it is not the
//! reader's. What arrives ahead of a hole waits here, bounded; what does not fit is pulled again.

use std::collections::BTreeMap;

use sparrow_protocol::v1::{ConversationState, Entry, PullPage};

/// Entries that may wait behind a hole.
const EARLY_ENTRIES: usize = 1024;

/// The stream of one conversation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timeline {
    /// Everything up to here is settled.
    position: i64,
    /// The last seq that is known to exist and may be the reader's.
    head: i64,
    early: BTreeMap<i64, Entry>,
}

impl Timeline {
    pub(crate) fn new(position: i64) -> Self {
        Self { position, head: position, early: BTreeMap::new() }
    }

    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// The server says that entries up to here exist and are the reader's to see.
    pub(crate) fn reach(&mut self, head: i64) {
        self.head = self.head.max(head);
    }

    /// Takes pushed entries; answers those that continue the stream.
    pub(crate) fn offer(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        for entry in entries {
            self.reach(entry.seq);
            if entry.seq > self.position {
                self.early.insert(entry.seq, entry);
            }
        }
        let next = self.contiguous();
        while self.early.len() > EARLY_ENTRIES {
            self.early.pop_last();
        }
        next
    }

    /// Takes a pulled page; answers the entries that continue the stream.
    pub(crate) fn page(&mut self, page: PullPage) -> Vec<Entry> {
        // Below the floor there is nothing to wait for.
        let begins = if page.covered_from <= page.floor { 0 } else { page.covered_from };
        if page.covered_to < page.covered_from || begins > self.position + 1 {
            // It settles nothing here. Asking for the same again would go on for ever; the next `Sync` starts anew.
            self.give_up();
            return Vec::new();
        }
        let covered = |seq: i64| seq > self.position && seq <= page.covered_to;
        let mut next: BTreeMap<i64, Entry> =
            page.entries.into_iter().filter(|entry| covered(entry.seq)).map(|entry| (entry.seq, entry)).collect();
        if page.covered_to > self.position {
            let later = self.early.split_off(&(page.covered_to + 1));
            // The page is the log's word: what it covers and does not name is not the reader's.
            self.early = later;
            self.position = page.covered_to;
        }
        self.head = self.head.max(self.position);
        let mut entries: Vec<Entry> = std::mem::take(&mut next).into_values().collect();
        entries.extend(self.contiguous());
        entries
    }

    /// What has to be pulled next, if anything: first and last seq.
    pub(crate) fn gap(&self) -> Option<(i64, i64)> {
        let last = self.early.first_key_value().map_or(self.head, |(first, _)| first - 1);
        (last > self.position).then_some((self.position + 1, last))
    }

    /// Does not wait any longer for what is missing. What waited behind the hole is dropped and comes with a later pull.
    pub(crate) fn give_up(&mut self) {
        self.early.clear();
        self.head = self.position;
    }

    fn contiguous(&mut self) -> Vec<Entry> {
        let mut next = Vec::new();
        while let Some(entry) = self.early.remove(&(self.position + 1)) {
            self.position += 1;
            next.push(entry);
        }
        next
    }
}

/// The last seq that the reader may see.
pub(crate) fn visible_head(state: &ConversationState) -> i64 {
    match state.intervals.last() {
        Some(interval) if interval.leave_seq > 0 => state.head.min(interval.leave_seq - 1),
        _ => state.head,
    }
}

/// The seq before the first one that the reader may see.
pub(crate) fn before_visible(state: &ConversationState) -> i64 {
    let joined = state.intervals.first().map_or(1, |interval| interval.join_seq);
    joined.max(state.floor).max(1) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(seq: i64) -> Entry {
        Entry { conversation_id: 1, seq, ..Entry::default() }
    }

    fn seqs(entries: &[Entry]) -> Vec<i64> {
        entries.iter().map(|entry| entry.seq).collect()
    }

    /// A server's log of `head` entries of which the reader may see those that `visible` says.
    fn answer(visible: &[bool], from: i64, to: i64, limit: usize) -> PullPage {
        let head = i64::try_from(visible.len()).unwrap();
        let mine = |seq: &i64| visible[usize::try_from(*seq).unwrap() - 1];
        let to = to.min(head);
        let entries: Vec<_> = (from..=to).filter(mine).take(limit).map(entry).collect();
        let covered_to = if entries.len() == limit { entries.last().unwrap().seq } else { to };
        PullPage { conversation_id: 1, entries, covered_from: from, covered_to, floor: 1, head, summaries: vec![] }
    }

    #[test]
    fn entries_in_order_pass_at_once_and_repeated_ones_do_not() {
        let mut timeline = Timeline::new(0);
        assert_eq!(seqs(&timeline.offer(vec![entry(1), entry(2)])), [1, 2]);
        assert_eq!(seqs(&timeline.offer(vec![entry(2), entry(1), entry(3)])), [3]);
        assert_eq!(timeline.gap(), None);
    }

    #[test]
    fn an_early_entry_waits_until_the_hole_is_pulled() {
        let mut timeline = Timeline::new(0);
        assert!(timeline.offer(vec![entry(3)]).is_empty());
        assert_eq!(timeline.gap(), Some((1, 2)));
        assert_eq!(seqs(&timeline.page(answer(&[true; 3], 1, 2, 10))), [1, 2, 3]);
        assert_eq!(timeline.gap(), None);
    }

    #[test]
    fn a_seq_that_a_page_covers_and_does_not_hold_is_not_waited_for() {
        let mut timeline = Timeline::new(0);
        timeline.reach(3);
        assert_eq!(seqs(&timeline.page(answer(&[true, false, false], 1, 3, 10))), [1]);
        assert_eq!(timeline.position(), 3);
    }

    #[test]
    fn a_page_that_settles_nothing_is_not_asked_for_again() {
        let mut timeline = Timeline::new(4);
        timeline.reach(9);
        timeline.page(PullPage { covered_from: 5, covered_to: 4, ..PullPage::default() });
        assert_eq!(timeline.gap(), None);
        timeline.reach(9);
        assert_eq!(timeline.gap(), Some((5, 9)));
    }

    #[test]
    fn what_lies_under_the_floor_is_not_waited_for() {
        let mut timeline = Timeline::new(0);
        timeline.reach(12);
        let page =
            PullPage { covered_from: 10, covered_to: 12, floor: 10, entries: vec![entry(11)], ..PullPage::default() };
        assert_eq!(seqs(&timeline.page(page)), [11]);
        assert_eq!(timeline.position(), 12);
    }

    #[test]
    fn memory_behind_a_hole_is_bounded_and_nothing_is_lost_by_it() {
        let mut timeline = Timeline::new(0);
        for seq in 2..5000 {
            timeline.offer(vec![entry(seq)]);
        }
        assert_eq!(timeline.early.len(), EARLY_ENTRIES);
        let visible = vec![true; 4999];
        let mut got = Vec::new();
        while let Some((from, to)) = timeline.gap() {
            got.extend(seqs(&timeline.page(answer(&visible, from, to, 200))));
        }
        assert_eq!(got, (1..5000).collect::<Vec<_>>());
    }

    proptest! {
        /// Pushes arrive in any order, some twice, some never; pulls answer whatever is asked, in small pages.
        #[test]
        fn every_visible_entry_comes_once_and_in_order(
            visible in proptest::collection::vec(proptest::bool::weighted(0.8), 1..60),
            pushes in proptest::collection::vec(1_i64..60, 0..120),
            limit in 1_usize..9,
        ) {
            let head = i64::try_from(visible.len()).unwrap();
            let mine = |seq: i64| visible[usize::try_from(seq).unwrap() - 1];
            let mut timeline = Timeline::new(0);
            let mut got = Vec::new();
            for (turn, seq) in pushes.into_iter().enumerate() {
                if seq <= head && mine(seq) {
                    got.extend(seqs(&timeline.offer(vec![entry(seq)])));
                }
                if turn % 3 == 0 && let Some((from, to)) = timeline.gap() {
                    got.extend(seqs(&timeline.page(answer(&visible, from, to, limit))));
                }
            }
            timeline.reach(head);
            while let Some((from, to)) = timeline.gap() {
                got.extend(seqs(&timeline.page(answer(&visible, from, to, limit))));
            }
            prop_assert_eq!(got, (1..=head).filter(|seq| mine(*seq)).collect::<Vec<_>>());
            prop_assert_eq!(timeline.position(), head);
        }
    }
}
