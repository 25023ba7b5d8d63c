//! The workloads of `sparrow bench`, each with what it measures.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use sparrow_protocol::{Carrier, Format, v1};
use tokio::task::JoinSet;

use crate::{Api, BenchError, Connection, Target};

/// The password of the accounts that a workload makes.
const PASSWORD: &str = "correct horse battery";
/// Devices of one account; what a user of several devices has at most by default.
const DEVICES: usize = 10;
/// Log-ins, or connections being made, at a time.
const AT_ONCE: usize = 32;
/// Connections from one address of this machine, which has some 28,000 ports.
const PER_ADDRESS: usize = 10_000;

/// What idle connections cost.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// Connections at the first measurement.
    pub few: usize,
    /// Resident memory of the node then, in bytes.
    pub few_bytes: u64,
    /// Connections at the second measurement.
    pub many: usize,
    /// Resident memory of the node then, in bytes.
    pub many_bytes: u64,
}

impl Idle {
    /// Resident bytes for each further connection.
    pub fn bytes_per_connection(&self) -> f64 {
        (self.many_bytes as f64 - self.few_bytes as f64) / (self.many - self.few) as f64
    }
}

/// Opens `many` connections of as many devices, each logged in and then silent but for the heartbeat, and measures the
/// node's memory at `few` and at `many`. All log-ins come before the first measurement.
pub async fn idle(target: &Target, format: Format, few: usize, many: usize) -> Result<Idle, BenchError> {
    let tokens = tokens(target, many).await?;
    // Dropped, and with it the connections, when this function returns.
    let mut connections = JoinSet::new();
    hold(target, format, &tokens[..few], 0, &mut connections).await?;
    let few_bytes = settled(target, few).await?;
    hold(target, format, &tokens[few..], few, &mut connections).await?;
    let many_bytes = settled(target, many).await?;
    Ok(Idle { few, few_bytes, many, many_bytes })
}

async fn tokens(target: &Target, count: usize) -> Result<Vec<String>, BenchError> {
    let api = Api::new(target.addresses.http)?;
    let users = stream::iter(0..count.div_ceil(DEVICES)).map(|user| devices(&api, user));
    let mut tokens: Vec<String> = users.buffer_unordered(AT_ONCE).try_concat().await?;
    tokens.truncate(count);
    Ok(tokens)
}

async fn devices(api: &Api, user: usize) -> Result<Vec<String>, BenchError> {
    let name = format!("idle{user}");
    let mut tokens = vec![api.register(&name, PASSWORD).await?.access_token];
    while tokens.len() < DEVICES {
        tokens.push(api.log_in(&name, PASSWORD).await?.access_token);
    }
    Ok(tokens)
}

/// Makes a connection for each token, each in a task that answers pings.
async fn hold(
    target: &Target,
    format: Format,
    tokens: &[String],
    already: usize,
    connections: &mut JoinSet<()>,
) -> Result<(), BenchError> {
    let opening = tokens.iter().enumerate().map(|(number, token)| async move {
        let host = u8::try_from((already + number) / PER_ADDRESS + 2).unwrap_or(u8::MAX);
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
        let mut connection = Connection::open_from(source, address(target, format), format).await?;
        connection.hello(token).await?;
        Ok::<_, BenchError>(connection)
    });
    let mut opening = stream::iter(opening).buffer_unordered(AT_ONCE);
    while let Some(mut connection) = opening.try_next().await? {
        connections.spawn(async move { while connection.next().await.is_ok() {} });
    }
    Ok(())
}

fn address(target: &Target, format: Format) -> std::net::SocketAddr {
    match format.carrier {
        Carrier::WebSocket => target.addresses.http,
        Carrier::Tcp => target.addresses.tcp,
    }
}

/// The node's memory once it counts so many sessions and its memory has stopped changing.
async fn settled(target: &Target, sessions: usize) -> Result<u64, BenchError> {
    let mut before = 0;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = target.resident()?;
        let counted = target.metric("sparrow_sessions").await?;
        if counted as usize == sessions && now.abs_diff(before) < 256 * 1024 {
            return Ok(now);
        }
        before = now;
    }
    Err(BenchError::Unsettled { sessions })
}

/// What it takes to store many sends that are written at once.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    /// Messages.
    pub sends: usize,
    /// From the first byte written to the last ack.
    pub took: Duration,
    /// Transactions of the append lane meanwhile.
    pub commits: u64,
}

/// Writes so many sends at once on one connection, and waits until all are acked.
pub async fn burst(target: &Target, format: Format, sends: usize) -> Result<Burst, BenchError> {
    let (mut connection, conversation) = talker(target, format).await?;
    let commits = target.metric("sparrow_commit_seconds_count").await?;
    let started = Instant::now();
    let mut ids = Vec::with_capacity(sends);
    for _ in 0..sends {
        ids.push(connection.feed(&message(conversation)).await?);
    }
    connection.flush().await?;
    for id in ids {
        connection.answer::<v1::SendAck>(id).await?;
    }
    let took = started.elapsed();
    let commits = target.metric("sparrow_commit_seconds_count").await? - commits;
    Ok(Burst { sends, took, commits: commits as u64 })
}

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
    let mut times = Vec::with_capacity(sends);
    for _ in 0..sends {
        let started = Instant::now();
        connection.call::<v1::SendAck>(&message(conversation)).await?;
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

/// A connection of a fresh user, with a conversation to send to.
async fn talker(target: &Target, format: Format) -> Result<(Connection, i64), BenchError> {
    let api = Api::new(target.addresses.http)?;
    let session = api.register("talker", PASSWORD).await?;
    let listener = api.register("listener", PASSWORD).await?;
    let listener = listener.user.unwrap_or_default().user_id.to_string();
    let conversation = api.with_token(&session.access_token).direct(&listener).await?;
    let mut connection = Connection::open(address(target, format), format).await?;
    connection.hello(&session.access_token).await?;
    Ok((connection, conversation.state.unwrap_or_default().conversation_id))
}

fn message(conversation_id: i64) -> v1::Send {
    let content =
        v1::Content { text: "a line as people write it, of some fifty letters".to_owned(), ..Default::default() };
    v1::Send { conversation_id, client_msg_id: uuid::Uuid::now_v7().to_string(), content: Some(content) }
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
