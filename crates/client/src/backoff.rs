//! How long to wait before the next attempt: exponential, with full jitter in the upper half. No clock, no sleeping.

use std::time::Duration;

/// A growing wait. `random` values are the caller's, in `0.0..1.0`.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, attempts: 0 }
    }

    /// The next wait, at least `at_least`: between half of and all of `base * 2^attempts`, capped.
    pub(crate) fn next(&mut self, random: f64, at_least: Duration) -> Duration {
        let factor = 2_u32.saturating_pow(self.attempts.min(20));
        self.attempts = self.attempts.saturating_add(1);
        let full = self.base.saturating_mul(factor).min(self.max);
        full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0).max(at_least)
    }

    /// Something worked: begin again at `base`.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum_and_start_over_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        let waits: Vec<_> = (0..9).map(|_| backoff.next(1.0, Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        backoff.reset();
        assert_eq!(backoff.next(0.0, Duration::ZERO), Duration::from_millis(125));
    }

    #[test]
    fn never_earlier_than_asked_for() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        assert_eq!(backoff.next(0.3, Duration::from_secs(60)), Duration::from_secs(60));
    }
}
