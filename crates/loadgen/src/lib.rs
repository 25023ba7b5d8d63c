//! Load on a node, made on the protocol layer: a bare [`Connection`] over either carrier in either codec, the few calls of
//! the HTTP [`Api`] that come before it, and the [`workload`]s of `sparrow bench`.
//!
//! Nothing here reconnects, retries or remembers, as the SDK does: what a node answers is what the caller gets.

mod api;
mod connection;
mod target;
pub mod workload;

pub use api::{Api, ApiError};
pub use connection::{Connection, ConnectionError};
pub use target::{Addresses, Target};

/// Why a workload measured nothing.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A call of the HTTP API failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A connection failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The node does not count this.
    #[error("the node has no metric {0}: use the node of the same version")]
    NoMetric(String),
    /// The node's memory cannot be read.
    #[error("the node's memory cannot be read from /proc, which only Linux has: {0}")]
    NoProc(std::io::Error),
    /// The node lost connections, or its memory kept changing.
    #[error("within a minute the node did not come to rest with {sessions} sessions: see its log")]
    Unsettled {
        /// How many there should have been.
        sessions: usize,
    },
}
