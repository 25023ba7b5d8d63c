//! Why a workload measured nothing: one sentence each, which names the cure.

use std::net::SocketAddr;

use rustix::process::{Resource, getrlimit};

use crate::{ApiError, ConnectionError};

/// The system's number for "too many open files".
const TOO_MANY_FILES: i32 = rustix::io::Errno::MFILE.raw_os_error();
/// File descriptors that a process needs besides its connections.
const RESERVE: u64 = 100;

/// Why a workload measured nothing.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A call of the HTTP API failed.
    #[error("a call before the measurement failed: {0}")]
    Api(#[from] ApiError),
    /// A connection failed.
    #[error(transparent)]
    Connection(ConnectionError),
    /// Nobody listens.
    #[error("no server answers at {address} ({error}): start one with `sparrow serve`, or correct --server")]
    Down {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The server is of another version.
    #[error("the server is {server}, this program is {ours}: measure it with the `sparrow` of its own version")]
    Version {
        /// What it says of itself.
        server: String,
        /// The version of this program.
        ours: &'static str,
    },
    /// The process may not open so many connections.
    #[error(
        "{wanted} connections need more file descriptors than the {limit} that a process may open here: raise the limit \
         with `ulimit -n`, or ask for fewer with --connections"
    )]
    TooManyConnections {
        /// Connections that were asked for.
        wanted: usize,
        /// Descriptors that the process may have.
        limit: u64,
    },
    /// The process has no descriptors left.
    #[error("this process is out of file descriptors: raise the limit with `ulimit -n`, or lower --connections")]
    OutOfDescriptors,
    /// The node limits what clients may do.
    #[error("the server limits how often clients may do this: raise `rates.*` in its configuration, or lower the load")]
    Limited,
    /// The node does not count this.
    #[error("the node has no metric {0}: use the node of the same version")]
    NoMetric(String),
    /// The node's process is not known.
    #[error("the node's process is not known: give it with --pid if it runs on this machine")]
    NoProcess,
    /// The node's use of the machine cannot be read.
    #[error("the node's use of memory cannot be read from /proc, which only Linux has: {0}")]
    NoProc(std::io::Error),
    /// There is no place for data.
    #[error("cannot make a directory for data: {0}; set TMPDIR to one that can be written")]
    NoDirectory(std::io::Error),
    /// A process could not be started.
    #[error("cannot start a process of this program: {0}")]
    NoNode(std::io::Error),
    /// A process that was started has not said what it should.
    #[error("the process that was started ended before it was ready; its log above says why")]
    Silent,
    /// The floor's server failed.
    #[error("the floor cannot be measured: {0}")]
    Floor(std::io::Error),
    /// The floor's database failed.
    #[error("the floor's inserts failed: {0}; set TMPDIR to a disk with space")]
    Inserts(#[from] rusqlite::Error),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Unfit(&'static str),
    /// The node lost connections, or its memory kept changing.
    #[error("within a minute the node did not come to rest with {sessions} sessions: see its log")]
    Unsettled {
        /// How many there should have been.
        sessions: usize,
    },
}

impl From<ConnectionError> for BenchError {
    fn from(error: ConnectionError) -> Self {
        match &error {
            ConnectionError::Io(io) if io.raw_os_error() == Some(TOO_MANY_FILES) => Self::OutOfDescriptors,
            ConnectionError::Refused(refusal) if refusal.code == "rate_limited" => Self::Limited,
            _ => Self::Connection(error),
        }
    }
}

/// Fails with the cure if this process may not hold so many connections.
pub(crate) fn check_descriptors(connections: usize) -> Result<(), BenchError> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if connections as u64 + RESERVE > limit {
        return Err(BenchError::TooManyConnections { wanted: connections, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_are_told_apart_from_other_failures() {
        let out = std::io::Error::from_raw_os_error(TOO_MANY_FILES);
        assert!(matches!(BenchError::from(ConnectionError::Io(out)), BenchError::OutOfDescriptors));
        let other = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(BenchError::from(ConnectionError::Io(other)), BenchError::Connection(_)));
    }

    #[test]
    fn more_connections_than_descriptors_are_refused_before_the_first() {
        assert!(matches!(check_descriptors(usize::MAX / 2), Err(BenchError::TooManyConnections { .. })));
        check_descriptors(1).unwrap();
    }
}
