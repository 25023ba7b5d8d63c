//! What a node counts. One documented struct, handed around in an `Arc`; no global registry.

/// The node's counters and gauges.
#[derive(Debug, Default)]
pub(crate) struct Metrics {}
