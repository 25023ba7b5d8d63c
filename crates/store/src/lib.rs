//! Durable state: the *log* (append, read ranges, cursors: the hot path) and the *directory* (accounts, devices,
//! conversations, members, own state: ordinary SQL).
//!
//! A trait method is one atomic act; its doc comment states the conditions under which it acts. The traits know message
//! bodies as bytes, so nothing here depends on what people write. Every backend passes the same contract suite.
//!
//! All methods are cancel-safe in one sense: a caller that goes away cancels nothing, the act happens or does not
//! happen as a whole.

#[cfg(test)]
mod contract;
pub mod directory;
mod error;
#[doc(hidden)]
pub mod faults;
pub mod log;
#[cfg(any(test, feature = "model"))]
pub mod model;
pub mod sqlite;

pub use directory::Directory;
pub use error::StoreError;
pub use log::Log;
pub use sqlite::{SYSTEM_USER, Sqlite};

/// A backend: the log and the directory over one database.
pub trait Store: Log + Directory {}

impl<T: Log + Directory> Store for T {}
