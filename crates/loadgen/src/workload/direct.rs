//! `direct`: pairs with both online; each send is acked and delivered to the other.

use super::Bench;
use super::messages::messages;
use crate::shape::Shape;
use crate::{BenchError, Outcome};

/// Measures messages between pairs, half as many as connections.
pub async fn direct(bench: Bench<'_>) -> Result<Outcome, BenchError> {
    let workload = if bench.load.receipts { "direct-receipts" } else { "direct" };
    messages(workload, Shape::pairs(bench.load.connections.max(2)), bench).await
}
