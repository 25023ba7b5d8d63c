//! `latency`: how long one durable send at a time takes on an idle node.

use std::time::{Duration, Instant};

use sparrow_protocol::{Format, v1};

use super::{talker, words};
use crate::people::message;
use crate::{BenchError, Target};

/// How long one durable send takes on an idle node.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    /// Messages, one at a time.
    pub sends: usize,
    /// Median time from writing a send to its ack.
    pub median: Duration,
    /// The time that one send in a hundred exceeds.
    pub p99: Duration,
    /// Median time of a commit in the node meanwhile, interpolated within a bucket of its histogram.
    pub median_commit: Duration,
}

/// Sends so many messages one after the other.
pub async fn latency(target: &Target, format: Format, sends: usize) -> Result<Latency, BenchError> {
    let (mut connection, conversation) = talker(target, format).await?;
    let before = target.buckets("sparrow_commit_seconds").await?;
    let content = words();
    let mut times = Vec::with_capacity(sends);
    for _ in 0..sends {
        let started = Instant::now();
        connection.call::<v1::SendAck>(&message(conversation, &content)).await?;
        times.push(started.elapsed());
    }
    let after = target.buckets("sparrow_commit_seconds").await?;
    times.sort_unstable();
    let at = |share: usize| times[(sends * share / 100).min(sends - 1)];
    Ok(Latency { sends, median: at(50), p99: at(99), median_commit: median(&before, &after) })
}

/// The median of what a histogram counted between two looks at it.
fn median(before: &[(f64, f64)], after: &[(f64, f64)]) -> Duration {
    let counted = before.iter().zip(after).map(|((_, before), (bound, after))| (*bound, after - before));
    let counted: Vec<(f64, f64)> = counted.collect();
    let half = counted.last().map_or(0.0, |(_, all)| all / 2.0);
    let mut below = (0.0, 0.0);
    for (bound, count) in counted {
        if count >= half {
            let share = if count > below.1 { (half - below.1) / (count - below.1) } else { 1.0 };
            return Duration::try_from_secs_f64(below.0 + share * (bound - below.0)).unwrap_or(Duration::MAX);
        }
        below = (bound, count);
    }
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_within_the_bucket_that_holds_it() {
        let before = [(0.001, 5.0), (0.01, 5.0), (f64::INFINITY, 5.0)];
        let after = [(0.001, 5.0), (0.01, 15.0), (f64::INFINITY, 15.0)];
        assert_eq!(median(&before, &after), Duration::from_micros(5_500));
        assert_eq!(median(&[], &[]), Duration::ZERO);
    }
}
