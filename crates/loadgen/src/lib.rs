//! Load on a node, made on the protocol layer, and what is measured of it: the workloads of `sparrow bench`, and for tests
//! a bare [`Connection`] over either carrier in either codec with the few calls of the HTTP [`Api`] that come before it.
//!
//! - [`workload`]: what can be measured, a module each.
//! - `scene`: conversations with everybody connected; `shape` says who reads and speaks where, `people` makes them.
//! - `fleet`, `line`, `wire`: thousands of connections; `schedule`: the open loop; `record`, [`verify`]: what is noted.
//! - `floor`, `floor_server`: the same traffic through a server without logic. [`node`], [`target`]: what is loaded.
//! - [`outcome`], [`report`]: results for people and programs.
//!
//! Nothing here reconnects, retries or remembers, as the SDK does: what a node answers is what the caller gets.

mod api;
mod connection;
mod error;
mod fill;
mod fleet;
mod floor;
mod floor_server;
mod heads;
mod line;
mod load;
pub mod node;
pub mod outcome;
mod people;
mod record;
pub mod report;
mod scene;
pub mod schedule;
pub mod search;
mod shape;
mod stamp;
pub mod target;
pub mod verify;
mod wire;
pub mod workload;

pub use api::{Api, ApiError};
pub use connection::{Connection, ConnectionError};
pub use error::BenchError;
pub use floor_server::serve as serve_floor;
pub use load::{Formats, Goal, Load, Progress, Unwatched};
pub use outcome::Outcome;
pub use target::{Addresses, Target};
