//! Which conversations have a hole to fill, a few at a time. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::Instant;

/// Pulls in flight at once; the server serves one after another.
const AT_ONCE: usize = 2;

#[derive(Debug, Default)]
pub(crate) struct Pulls {
    queue: VecDeque<i64>,
    /// In the queue, in flight, or waiting for its time.
    wanted: BTreeSet<i64>,
    in_flight: BTreeSet<i64>,
    later: BTreeMap<i64, Instant>,
}

impl Pulls {
    /// The conversation has a hole.
    pub(crate) fn want(&mut self, conversation: i64) {
        if self.wanted.insert(conversation) {
            self.queue.push_back(conversation);
        }
    }

    /// The next one to pull.
    pub(crate) fn next(&mut self) -> Option<i64> {
        if self.in_flight.len() >= AT_ONCE {
            return None;
        }
        let conversation = self.queue.pop_front()?;
        self.in_flight.insert(conversation);
        Some(conversation)
    }

    /// The pull has been answered, or there was nothing to pull.
    pub(crate) fn done(&mut self, conversation: i64) {
        self.in_flight.remove(&conversation);
        self.wanted.remove(&conversation);
    }

    /// The pull was refused for now.
    pub(crate) fn retry(&mut self, conversation: i64, at: Instant) {
        self.in_flight.remove(&conversation);
        self.later.insert(conversation, at);
    }

    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.later.values().min().copied()
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        let due: Vec<i64> = self.later.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for conversation in due {
            self.later.remove(&conversation);
            self.queue.push_back(conversation);
        }
    }

    /// True if nothing is to be pulled.
    pub(crate) fn is_idle(&self) -> bool {
        self.wanted.is_empty()
    }
}
