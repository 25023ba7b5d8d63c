//! What happens to a node's process, disk, files and clock. Each fault answers with [`Evidence`](crate::Evidence), or
//! says why it could not be made; nothing here panics, so that any program can use it.

mod clock;
mod disk;
mod failpoints;
mod files;
mod process;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

pub use clock::FakeClock;
pub use disk::Disk;
pub use failpoints::Failpoints;
pub use files::{Snapshot, flip_bits, truncate};
pub use process::{freeze, kill, thaw};

/// Why a fault was not made.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// This machine, or this user, cannot make it. To be reported as not run, with the reason.
    #[error("not run: {0}")]
    NotRun(String),
    /// It was tried and did not succeed.
    #[error("{what}: {error}")]
    Failed {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
}

impl FaultError {
    fn not_run(reason: impl Into<String>) -> Self {
        Self::NotRun(reason.into())
    }

    fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Failed { what, error }
    }

    fn at(act: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::failed(format!("{act} {}", path.display()))
    }
}
