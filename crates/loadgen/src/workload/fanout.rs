//! `fanout`: one group with everybody online; what counts is when the last member has an entry.

use super::Bench;
use super::messages::messages;
use crate::shape::Shape;
use crate::{BenchError, Outcome};

/// Measures messages in one group that all connections are in.
pub async fn fanout(bench: Bench<'_>) -> Result<Outcome, BenchError> {
    messages("fanout", Shape::crowd(bench.load.connections), bench).await
}
