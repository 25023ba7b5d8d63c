//! `hot`: one conversation in which everybody sends at once, so that all sends are in one order.

use super::Bench;
use super::messages::messages;
use crate::shape::Shape;
use crate::{BenchError, Outcome};

/// Measures a group in which all connections send and receive.
pub async fn hot(bench: Bench<'_>) -> Result<Outcome, BenchError> {
    messages("hot", Shape::hot(bench.load.connections), bench).await
}

/// Measures a group in which all connections only send, but for one that only reads.
pub async fn hot_send_only(bench: Bench<'_>) -> Result<Outcome, BenchError> {
    messages("hot-send-only", Shape::hot_send_only(bench.load.connections.max(1)), bench).await
}
