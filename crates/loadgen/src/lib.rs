//! Load on a node, made on the protocol layer: a bare [`Connection`] over either carrier in either codec, the few calls of
//! the HTTP [`Api`] that come before it, and the workloads of `sparrow bench`.
//!
//! Nothing here reconnects, retries or remembers, as the SDK does: what a node answers is what the caller gets.

mod api;
mod connection;

pub use api::{Api, ApiError};
pub use connection::{Connection, ConnectionError};
