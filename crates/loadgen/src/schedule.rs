//! The open loop: when each send is due, whose it is, and the thread that keeps to it. A late answer delays nothing, and
//! a send that goes out late keeps the time at which it was due, so that nothing is omitted from what is measured.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::record::{histogram, note};
use crate::stamp::micros;

/// The pacing thread sleeps at least so long, so that it does not spin where sends are close together.
const SHORTEST_SLEEP: Duration = Duration::from_micros(250);
/// The pacing thread looks so often whether it should stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// A time with more sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// How many times the rate.
    pub factor: f64,
    /// For how long, from the middle of the schedule on.
    pub lasts: Duration,
}

/// When sends are due, from the start of the run on.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    rate: f64,
    lasts: Duration,
    burst: Option<Burst>,
}

impl Schedule {
    /// So many sends per second, evenly, for so long; the rate is taken as at least one in a thousand seconds.
    pub fn new(rate: f64, lasts: Duration, burst: Option<Burst>) -> Self {
        Self { rate: rate.max(0.001), lasts, burst }
    }

    /// When send `n` (from 0) is due; `None` after the last.
    pub fn due(&self, n: u64) -> Option<Duration> {
        let n = n as f64;
        let seconds = match self.burst {
            None => n / self.rate,
            Some(burst) => {
                let before = self.rate * self.lasts.as_secs_f64() / 2.0;
                let within = self.rate * burst.factor * burst.lasts.as_secs_f64();
                if n < before {
                    n / self.rate
                } else if n < before + within {
                    before / self.rate + (n - before) / (self.rate * burst.factor)
                } else {
                    before / self.rate + burst.lasts.as_secs_f64() + (n - before - within) / self.rate
                }
            }
        };
        let due = Duration::try_from_secs_f64(seconds).ok()?;
        (due < self.lasts).then_some(due)
    }

    /// How many sends there are.
    pub fn count(&self) -> u64 {
        let (mut low, mut high) = (0, 1);
        while self.due(high).is_some() {
            low = high;
            high *= 2;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.due(middle).is_some() { low = middle } else { high = middle }
        }
        high
    }

    /// How long it is.
    pub fn lasts(&self) -> Duration {
        self.lasts
    }
}

/// Whose turn it is.
#[derive(Debug)]
pub(crate) enum Turns {
    /// Everybody's in turn, in a drawn order.
    Even(Vec<usize>),
    /// Drawn, the few much more often than the many.
    Zipf { cumulative: Vec<f64>, order: Vec<usize>, random: Box<StdRng> },
}

impl Turns {
    /// Turns of so many; with an exponent, by Zipf's law.
    pub(crate) fn of(count: usize, zipf: Option<f64>, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(&mut random);
        let Some(exponent) = zipf else { return Self::Even(order) };
        let weights = (1..=count).map(|rank| (rank as f64).powf(-exponent));
        let cumulative = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self::Zipf { cumulative: cumulative.collect(), order, random: Box::new(random) }
    }

    /// Whose turn number `n` is.
    pub(crate) fn turn(&mut self, n: u64) -> usize {
        match self {
            Self::Even(order) => {
                let at = n % order.len().max(1) as u64;
                order[usize::try_from(at).unwrap_or_default()]
            }
            Self::Zipf { cumulative, order, random } => {
                let all = cumulative.last().copied().unwrap_or_default();
                let drawn = random.random_range(0.0..all);
                order[cumulative.partition_point(|sum| *sum <= drawn).min(order.len() - 1)]
            }
        }
    }
}

/// The time that a schedule runs in.
pub(crate) trait Time {
    /// Since the start of the run.
    fn elapsed(&self) -> Duration;
    /// Lets so much of it pass.
    fn sleep(&self, time: Duration);
}

/// The time of this machine, from some moment on.
pub(crate) struct RealTime(pub(crate) Instant);

impl Time for RealTime {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Fires every send of a schedule at the time at which it is due, or as soon after it as can be, until `go_on` says no.
/// Blocks. Answers how late the sends were, in microseconds.
pub(crate) fn pace(
    schedule: &Schedule,
    time: &impl Time,
    go_on: impl Fn() -> bool,
    mut fire: impl FnMut(u64, Duration),
) -> Histogram<u64> {
    let mut lag = histogram();
    let mut n = 0;
    while let Some(due) = schedule.due(n) {
        let now = time.elapsed();
        if now < due {
            if !go_on() {
                break;
            }
            time.sleep((due - now).clamp(SHORTEST_SLEEP, LONGEST_SLEEP));
            continue;
        }
        note(&mut lag, micros(now - due));
        fire(n, due);
        n += 1;
    }
    lag
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct FakeTime(Cell<Duration>);

    impl Time for FakeTime {
        fn elapsed(&self) -> Duration {
            self.0.get()
        }

        fn sleep(&self, time: Duration) {
            self.0.set(self.0.get() + time);
        }
    }

    #[test]
    fn a_send_that_takes_long_delays_no_other_send_and_hides_no_lateness() {
        let schedule = Schedule::new(1_000.0, Duration::from_secs(1), None);
        let time = FakeTime(Cell::new(Duration::ZERO));
        let mut fired = Vec::new();
        let lag = pace(
            &schedule,
            &time,
            || true,
            |n, due| {
                fired.push((due, time.elapsed()));
                if n == 100 {
                    time.sleep(Duration::from_millis(500));
                }
            },
        );
        assert_eq!(fired.len(), 1_000, "none is left out");
        assert!(fired.iter().enumerate().all(|(n, (due, _))| due.as_millis() == n as u128), "each keeps its own time");
        let late = fired.iter().filter(|(due, at)| *at - *due > Duration::from_millis(1)).count();
        assert_eq!(late, 498, "the half second is seen by all that were due in it");
        assert!(lag.value_at_quantile(0.99) > 480_000 && lag.max() >= 498_000);
    }

    #[test]
    fn a_schedule_has_as_many_sends_as_its_rate_says() {
        assert_eq!(Schedule::new(250.0, Duration::from_secs(4), None).count(), 1_000);
        let burst = Burst { factor: 10.0, lasts: Duration::from_secs(2) };
        let schedule = Schedule::new(100.0, Duration::from_secs(10), Some(burst));
        let within = |from: u64, to: u64| {
            let range = Duration::from_secs(from)..Duration::from_secs(to);
            (0..schedule.count()).filter(|n| range.contains(&schedule.due(*n).unwrap())).count()
        };
        assert_eq!((within(0, 5), within(5, 7), within(7, 10)), (500, 2_000, 300));
    }

    #[test]
    fn even_turns_leave_nobody_out_and_zipf_prefers_few() {
        let mut turns = Turns::of(10, None, 1);
        let mut first: Vec<usize> = (0..10).map(|n| turns.turn(n)).collect();
        first.sort_unstable();
        assert_eq!(first, (0..10).collect::<Vec<_>>());
        let mut counts = vec![0_u32; 100];
        let mut turns = Turns::of(100, Some(1.0), 1);
        (0..10_000).for_each(|n| counts[turns.turn(n)] += 1);
        counts.sort_unstable();
        assert!(counts[99] > 1_500 && counts[0] < 100, "{counts:?}");
    }
}
