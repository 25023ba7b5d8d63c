//! Buckets by key, in a table of bounded size.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::{Bucket, Rate};

/// Buckets that a table keeps. Only those that are not full have to be kept.
const CAPACITY: usize = 64 * 1024;
/// A table without room is searched for full buckets so often at most: the search looks at every bucket.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Buckets of one rate, by key. A full bucket may be forgotten, because a new one is full too; one that is not full
/// never is. Keys for which there is no room share one bucket: they are limited together rather than not at all.
#[derive(Debug)]
pub(crate) struct Table<K> {
    rate: Rate,
    capacity: usize,
    buckets: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K> {
    by_key: HashMap<K, Bucket>,
    shared: Bucket,
    sweep_at: Instant,
}

impl<K: Eq + Hash> Table<K> {
    /// An empty table.
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_capacity(rate, CAPACITY)
    }

    fn with_capacity(rate: Rate, capacity: usize) -> Self {
        let now = Instant::now();
        let buckets = Buckets { by_key: HashMap::new(), shared: Bucket::full(now), sweep_at: now };
        Self { rate, capacity, buckets: Mutex::new(buckets) }
    }

    /// Takes a token of this key, or says how long until there is one.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        self.lock().of(key, self.capacity, now).take(self.rate, now)
    }

    /// Whether this key has a token; if not, how long until it has.
    pub(crate) fn has_one(&self, key: &K, now: Instant) -> Result<(), Duration> {
        self.lock().by_key.get(key).map_or(Ok(()), |bucket| bucket.has_one(self.rate, now))
    }

    /// Takes a token of this key that was used already.
    pub(crate) fn charge(&self, key: K, now: Instant) {
        self.lock().of(key, self.capacity, now).charge(self.rate, now);
    }

    fn lock(&self) -> MutexGuard<'_, Buckets<K>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Buckets<K> {
    fn of(&mut self, key: K, capacity: usize, now: Instant) -> &mut Bucket {
        if self.by_key.len() >= capacity && now >= self.sweep_at {
            self.by_key.retain(|_, bucket| !bucket.is_full(now));
            self.sweep_at = now + SWEEP_EVERY;
        }
        if self.by_key.len() < capacity || self.by_key.contains_key(&key) {
            self.by_key.entry(key).or_insert(Bucket::full(now))
        } else {
            &mut self.shared
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(capacity: usize) -> Table<u32> {
        Table::with_capacity(Rate::per(2, Duration::from_secs(10)), capacity)
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let (table, now) = (table(8), Instant::now());
        table.take(1, now).unwrap();
        table.take(1, now).unwrap();
        assert_eq!(table.take(1, now), Err(Duration::from_secs(5)));
        table.take(2, now).unwrap();
        assert!(table.has_one(&1, now).is_err() && table.has_one(&2, now).is_ok() && table.has_one(&3, now).is_ok());
    }

    #[test]
    fn a_crowd_of_keys_makes_it_forget_nobody_who_is_limited() {
        let (table, now) = (table(8), Instant::now());
        table.take(0, now).unwrap();
        table.take(0, now).unwrap();
        let passed = (1..1_000).filter(|key| table.take(*key, now).is_ok()).count();
        assert!(table.take(0, now).is_err(), "the one who was limited stays so");
        assert_eq!(passed, 7 + 2, "seven found a place of their own, the others shared one bucket");
        assert_eq!(table.lock().by_key.len(), 8);
    }

    #[test]
    fn full_buckets_make_room() {
        let (table, mut now) = (table(8), Instant::now());
        (0..8).for_each(|key| table.take(key, now).unwrap());
        now += Duration::from_secs(10);
        (100..108).for_each(|key| table.take(key, now).unwrap());
        assert_eq!(table.lock().by_key.len(), 8);
    }
}
