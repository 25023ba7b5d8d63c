//! For tests only: a real node ([`TestNode`]), real users ([`User`], [`Chat`]), a network that fails ([`Proxy`]), and a
//! client that means harm ([`Wire`]).
//!
//! Everything is on ephemeral ports of 127.0.0.1 and in temporary directories, and is gone when its handle is dropped.
//! Nothing here sleeps to synchronise: [`eventually`] and [`within`] wait for an event, up to a deadline, and say what
//! they waited for. Failures are panics, because this is the inside of a test.

#![expect(clippy::print_stdout, reason = "what a failed test shows")]

mod chat;
mod evidence;
mod node;
mod proxy;
mod seed;
mod user;
mod wait;
mod wire;

pub use chat::{Chat, ChatOptions};
pub use evidence::Evidence;
pub use node::{NodeOptions, TestNode};
pub use proxy::{Direction, Door, Line, Proxy};
pub use seed::Seed;
pub use sparrow_loadgen::{Api, ApiError, Connection, ConnectionError};
pub use user::{PASSWORD, User};
pub use wait::{eventually, within};
pub use wire::{Received, Wire, web_socket_frame};
