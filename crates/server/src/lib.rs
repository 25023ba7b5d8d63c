//! One Sparrow node, as a library: [`Server::start`] runs it, the handle it returns ends it.
//!
//! `gateway` (connections) and `api` (HTTP) never call each other; both call the feature modules (`messaging`,
//! `accounts`, `conversations`, `users`), which know no sockets.

mod accounts;
mod api;
mod clock;
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
mod text;
mod users;

pub use api::openapi;
pub use config::Config;
pub use server::{Addresses, Server, StartError};
