//! Token buckets, pure: whoever uses one brings the time.
//!
//! A bucket is kept as the time at which it will be full again (the generic cell rate algorithm of ITU-T I.371): one
//! number, nothing to refill, and a full bucket is one whose time has passed.

use std::time::Duration;

use tokio::time::Instant;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Time in which one token comes.
    interval: Duration,
    /// Time in which an empty bucket fills.
    depth: Duration,
}

impl Rate {
    /// `count` tokens in every `period`, and at most `burst` at once. Less than one of either counts as one.
    pub(crate) fn new(count: u32, period: Duration, burst: u32) -> Self {
        let interval = period / count.max(1);
        Self { interval, depth: interval * burst.max(1) }
    }

    /// `count` tokens in every `period`, which may be taken all at once.
    pub(crate) fn per(count: u32, period: Duration) -> Self {
        Self::new(count, period, count)
    }

    /// The time in which one token comes, and that in which an empty bucket fills.
    pub(crate) fn parts(self) -> (Duration, Duration) {
        (self.interval, self.depth)
    }
}

/// One bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// True if nothing is missing, so that forgetting the bucket changes nothing.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }

    /// Takes a token, or says how long until there is one.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.has_one(rate, now)?;
        self.charge(rate, now);
        Ok(())
    }

    /// Whether there is a token; if not, how long until there is.
    pub(crate) fn has_one(&self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let missing = self.full_at.saturating_duration_since(now) + rate.interval;
        match missing.checked_sub(rate.depth) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    /// Takes a token that was used already; the bucket may get into debt.
    pub(crate) fn charge(&mut self, rate: Rate, now: Instant) {
        self.full_at = self.full_at.max(now) + rate.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Duration = Duration::from_millis(100);

    fn rate() -> Rate {
        Rate::new(10, Duration::from_secs(1), 3)
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let mut now = Instant::now();
        let mut bucket = Bucket::full(now);
        for _ in 0..3 {
            bucket.take(rate(), now).unwrap();
        }
        assert_eq!(bucket.take(rate(), now), Err(RATE));
        now += RATE / 2;
        assert_eq!(bucket.take(rate(), now), Err(RATE / 2));
        now += RATE / 2;
        bucket.take(rate(), now).unwrap();
        assert_eq!(bucket.take(rate(), now), Err(RATE), "waiting saves up no more than it filled");
    }

    #[test]
    fn the_wait_that_is_told_is_enough() {
        let mut now = Instant::now();
        let mut bucket = Bucket::full(now);
        for _ in 0..50 {
            while let Err(wait) = bucket.take(rate(), now) {
                now += wait;
                assert_eq!(bucket.has_one(rate(), now), Ok(()));
            }
        }
    }

    #[test]
    fn a_full_bucket_holds_no_more_than_the_burst() {
        let mut now = Instant::now();
        let mut bucket = Bucket::full(now);
        now += Duration::from_secs(3600);
        assert!(bucket.is_full(now));
        let taken = (0..100).filter(|_| bucket.take(rate(), now).is_ok()).count();
        assert_eq!(taken, 3);
        assert!(!bucket.is_full(now));
    }

    #[test]
    fn a_debt_is_paid_before_anything_else_is_let_through() {
        let now = Instant::now();
        let mut bucket = Bucket::full(now);
        for _ in 0..10 {
            bucket.charge(rate(), now);
        }
        assert_eq!(bucket.has_one(rate(), now), Err(RATE * 8));
    }
}
