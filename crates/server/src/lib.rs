//! One Sparrow node, as a library: [`Server::start`] runs it, the handle it returns ends it.
//!
//! `gateway` (connections) and `api` (HTTP) never call each other; both call the feature modules (`messaging`,
//! `accounts`, `conversations`, `users`), which know no sockets.

// The tests of a whole node share their support with those that see the crate from outside.
#[cfg(test)]
extern crate self as sparrow_server;

mod accounts;
mod api;
mod clean_up;
mod clock;
mod collections;
pub mod config;
mod conversations;
mod core_tasks;
mod failure;
mod gateway;
mod limits;
mod lobby;
mod messaging;
mod metrics;
mod node;
mod paging;
mod server;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod text;
mod users;

pub use api::openapi;
pub use config::Config;
pub use gateway::CertificateError;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use messaging::bench;
pub use server::{Addresses, Server, StartError};
#[doc(hidden)]
pub use sparrow_store::faults;
