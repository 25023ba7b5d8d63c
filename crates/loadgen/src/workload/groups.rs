//! `groups`: everybody is a member of four groups of ten, with all members online.

use super::Bench;
use super::messages::messages;
use crate::shape::Shape;
use crate::{BenchError, Outcome};

/// Members of a group.
const SIZE: usize = 10;

/// Measures messages in groups: with 2,500 connections there are 1,000.
pub async fn groups(bench: Bench<'_>) -> Result<Outcome, BenchError> {
    messages("groups", Shape::groups(bench.load.connections, SIZE, bench.load.seed), bench).await
}
