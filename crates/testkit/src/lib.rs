//! The means to break Sparrow, and to see that it holds: a real node ([`TestNode`]), real users ([`User`], [`Chat`]), a
//! client that means harm ([`Wire`]), and faults: a network that fails ([`Proxy`]), a process that is killed or frozen
//! ([`Node`]), a disk without power or room ([`Disk`]), damaged and older files ([`flip_bits`], [`Snapshot`]), a wrong
//! clock ([`FakeClock`]). No part of a node, and never in one.
//!
//! Faults are for any program: they return errors, and [`Evidence`] of what they did. The rest is for tests.
//!
//! Everything is on ephemeral ports of 127.0.0.1 and in temporary directories, and is gone when its handle is dropped.
//! Nothing here sleeps to synchronise: [`eventually`] and [`within`] wait for an event, up to a deadline, and say what
//! they waited for. Failures of what is for tests are panics.

#![expect(clippy::print_stdout, reason = "what a failed test shows")]

mod chat;
mod evidence;
mod faults;
mod node;
mod proxy;
mod seed;
mod test_node;
mod user;
mod wait;
mod wire;

pub use chat::{Chat, ChatOptions};
pub use evidence::Evidence;
pub use faults::{Disk, Failpoints, FakeClock, FaultError, Snapshot, flip_bits, freeze, kill, thaw, truncate};
pub use node::{Node, NodeOptions};
pub use proxy::{Direction, Door, Fate, Framing, Line, Proxy, Rule};
pub use seed::Seed;
pub use sparrow_loadgen::{Api, ApiError, Connection, ConnectionError};
pub use test_node::TestNode;
pub use user::{PASSWORD, User};
pub use wait::{eventually, within};
pub use wire::{Received, Wire, web_socket_frame};
