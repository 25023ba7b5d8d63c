//! For tests only: a real node ([`TestNode`]), real users ([`User`]), and a network that fails ([`Proxy`]).
//!
//! Everything is on ephemeral ports of 127.0.0.1 and in temporary directories, and is gone when its handle is dropped.
//! Nothing here sleeps to synchronise: [`eventually`] and [`within`] wait for an event, up to a deadline, and say what
//! they waited for. Failures are panics, because this is the inside of a test.

#![expect(clippy::print_stdout, reason = "what a failed test shows")]

mod node;
mod proxy;
mod seed;
mod user;
mod wait;

pub use node::{NodeOptions, TestNode};
pub use proxy::{Direction, Proxy};
pub use seed::Seed;
pub use sparrow_loadgen::{Api, ApiError, Connection, ConnectionError};
pub use user::{PASSWORD, User};
pub use wait::{eventually, within};
