//! `burst`: how many transactions many sends take that are written at once.

use std::time::{Duration, Instant};

use sparrow_protocol::{Format, v1};

use super::{talker, words};
use crate::people::message;
use crate::{BenchError, Target};

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
    let content = words();
    let started = Instant::now();
    let mut ids = Vec::with_capacity(sends);
    for _ in 0..sends {
        ids.push(connection.feed(&message(conversation, &content)).await?);
    }
    connection.flush().await?;
    for id in ids {
        connection.answer::<v1::SendAck>(id).await?;
    }
    let took = started.elapsed();
    let commits = target.metric("sparrow_commit_seconds_count").await? - commits;
    Ok(Burst { sends, took, commits: commits as u64 })
}
