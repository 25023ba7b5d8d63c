//! What a proxy has done, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Direction;
use crate::Evidence;

/// The counters of one proxy.
#[derive(Debug, Default)]
pub(super) struct Tally {
    connections: AtomicU64,
    open: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
    pub(super) delayed_bytes: Counter,
    pub(super) throttled_bytes: Counter,
    pub(super) held_bytes: Counter,
    pub(super) dropped_bytes: Counter,
    pub(super) torn_writes: Counter,
    pub(super) resets: Counter,
    pub(super) dropped_frames: Counter,
    pub(super) doubled_frames: Counter,
    pub(super) cut_frames: Counter,
    pub(super) swallowed_ends: Counter,
    pub(super) refused_connections: Counter,
    pub(super) silent_connections: Counter,
    pub(super) vanished_connections: Counter,
}

/// One number.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, number: usize) {
        self.0.fetch_add(number as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts a connection as open.
pub(super) struct Open<'a>(&'a Tally);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tally {
    /// A new connection, with its number; numbers begin with 1.
    pub(super) fn enter(&self) -> (u64, Open<'_>) {
        self.open.fetch_add(1, Ordering::Relaxed);
        (self.connections.fetch_add(1, Ordering::Relaxed) + 1, Open(self))
    }

    /// The number of the newest connection; 0 if there was none.
    pub(super) fn last(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn passed(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn carried(&self) -> (u64, u64) {
        (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed))
    }

    pub(super) fn evidence(&self) -> Evidence {
        Evidence::none()
            .and("delayed_bytes", self.delayed_bytes.get())
            .and("throttled_bytes", self.throttled_bytes.get())
            .and("held_bytes", self.held_bytes.get())
            .and("dropped_bytes", self.dropped_bytes.get())
            .and("torn_writes", self.torn_writes.get())
            .and("resets", self.resets.get())
            .and("dropped_frames", self.dropped_frames.get())
            .and("doubled_frames", self.doubled_frames.get())
            .and("cut_frames", self.cut_frames.get())
            .and("swallowed_ends", self.swallowed_ends.get())
            .and("refused_connections", self.refused_connections.get())
            .and("silent_connections", self.silent_connections.get())
            .and("vanished_connections", self.vanished_connections.get())
    }
}
