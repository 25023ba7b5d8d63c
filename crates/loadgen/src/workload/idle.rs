//! `idle`: what connections cost that are logged in and then silent but for the heartbeat.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::task::JoinSet;

use super::Bench;
use crate::error::check_descriptors;
use crate::fleet::source;
use crate::people::PASSWORD;
use crate::target::check_version;
use crate::{Api, BenchError, Connection, Outcome, Target};

/// Devices of one account; what a user of several devices has at most by default.
const DEVICES: usize = 10;
/// Log-ins, or connections being made, at a time.
const AT_ONCE: usize = 32;

/// What idle connections cost.
#[derive(Debug, Clone, Copy)]
struct Idle {
    /// Connections at the first measurement.
    few: usize,
    /// Resident memory of the node then, in bytes.
    few_bytes: u64,
    /// Connections at the second measurement.
    many: usize,
    /// Resident memory of the node then, in bytes.
    many_bytes: u64,
    /// Processor time of the node for each of the connections and second, after the second measurement.
    cpu: Duration,
}

impl Idle {
    /// Resident bytes for each further connection.
    fn bytes_per_connection(&self) -> f64 {
        (self.many_bytes as f64 - self.few_bytes as f64) / (self.many - self.few) as f64
    }
}

/// Opens `--connections` connections of as many devices, each logged in and then silent but for the heartbeat, and
/// measures the node's memory at a tenth of them and at all, then its processor time for `--duration`. All log-ins come
/// before.
pub async fn idle(bench: Bench<'_>) -> Result<Outcome, BenchError> {
    let found = measure(bench).await?;
    let mut outcome = bench.outcome("idle");
    outcome.figure("resident memory for each connection", found.bytes_per_connection() / 1e3, "KB");
    outcome.figure("processor time for each connection", found.cpu.as_secs_f64() * 1e6, "µs/s");
    for (connections, bytes) in [(found.few, found.few_bytes), (found.many, found.many_bytes)] {
        outcome.figure(&format!("resident memory at {connections}"), bytes as f64 / 1e3, "KB");
    }
    Ok(outcome)
}

async fn measure(bench: Bench<'_>) -> Result<Idle, BenchError> {
    let Bench { target, load, progress, .. } = bench;
    let many = load.connections.max(2);
    let few = (many / 10).max(1);
    check_descriptors(many)?;
    progress.stage("logging in", 0);
    let tokens = tokens(target, many).await?;
    progress.stage("connecting", many as u64);
    // Dropped, and with it the connections, when this function returns.
    let mut connections = JoinSet::new();
    let (first, rest) = tokens.split_at(few);
    hold(bench, first, 0, &mut connections).await?;
    let few_bytes = settled(target, few).await?;
    hold(bench, rest, few, &mut connections).await?;
    progress.stage("waiting until the node is at rest", 0);
    let many_bytes = settled(target, many).await?;
    progress.stage("watching the heartbeat", 0);
    let (before, since) = (target.cpu()?, Instant::now());
    tokio::time::sleep(load.duration).await;
    let spent = target.cpu()?.saturating_sub(before);
    let cpu = spent.div_f64(since.elapsed().as_secs_f64().max(0.001) * many as f64);
    Ok(Idle { few, few_bytes, many, many_bytes, cpu })
}

async fn tokens(target: &Target, count: usize) -> Result<Vec<String>, BenchError> {
    let api = Api::new(target.addresses.http)?;
    let moment = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
    let prefix = format!("idle{moment:x}");
    let users = stream::iter(0..count.div_ceil(DEVICES)).map(|user| devices(&api, &prefix, user));
    let mut tokens: Vec<String> = users.buffer_unordered(AT_ONCE).try_concat().await?;
    tokens.truncate(count);
    Ok(tokens)
}

async fn devices(api: &Api, prefix: &str, user: usize) -> Result<Vec<String>, BenchError> {
    let name = format!("{prefix}-{user}");
    let mut tokens = vec![api.register(&name, PASSWORD).await?.access_token];
    while tokens.len() < DEVICES {
        tokens.push(api.log_in(&name, PASSWORD).await?.access_token);
    }
    Ok(tokens)
}

/// Makes a connection for each token, each in a task that answers pings.
async fn hold(
    bench: Bench<'_>,
    tokens: &[String],
    already: usize,
    connections: &mut JoinSet<()>,
) -> Result<(), BenchError> {
    let opening = tokens.iter().enumerate().map(|(number, token)| async move {
        let format = bench.load.formats.of(already + number);
        let address = bench.target.address(format.carrier);
        let mut connection = match source(address, already + number) {
            Some(source) => Connection::open_from(source, address, format).await?,
            None => Connection::open(address, format).await?,
        };
        check_version(&connection.hello(token).await?.server)?;
        Ok::<_, BenchError>(connection)
    });
    let mut opening = stream::iter(opening).buffer_unordered(AT_ONCE);
    while let Some(mut connection) = opening.try_next().await? {
        connections.spawn(async move { while connection.next().await.is_ok() {} });
        bench.progress.advance(1);
    }
    Ok(())
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
