//! What can go wrong for a caller of the SDK. Trouble that the SDK repairs by itself is an event, not an error.

use std::path::PathBuf;
use std::time::Duration;

use sparrow_protocol::v1;

/// Why a call did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered, and the answer is no.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The server at this address could not be reached, or did not answer in time.
    #[error("no Sparrow server answers at {0}; check the address, and that the server runs")]
    Unreachable(String),
    /// The server's certificate is not of an authority that is trusted, or is for another name.
    #[error(
        "the certificate of {0} is not trusted; check the address, or name the authority it comes from (--ca FILE)"
    )]
    Untrusted(String),
    /// There is no connection now; the SDK is trying to get one.
    #[error("not connected; try again when the connection is back")]
    NotConnected,
    /// The tokens are no longer valid.
    #[error("logged out; log in again")]
    LoggedOut,
    /// The server said something that this version does not understand.
    #[error("unexpected answer of the server ({0}); use a client of the server's version")]
    Protocol(String),
    /// What answers at this address is not a Sparrow server.
    #[error("what answers at {0} is not a Sparrow server; check the address and its port")]
    NotSparrow(String),
    /// The files of the local store could not be read or written.
    #[error("cannot use the local store: {0}; check that its directory is writable and not in use")]
    Storage(String),
    /// This file of the local store cannot be understood. It is left as it is.
    #[error("{} is damaged; move it away and start again: all but unsent messages and drafts is on the server", .0.display())]
    Damaged(PathBuf),
    /// Too much waits to be sent.
    #[error("too many unsent messages; wait until some are sent, or discard them")]
    OutboxFull,
    /// An argument cannot be right.
    #[error("{0}")]
    Invalid(String),
    /// The client was closed.
    #[error("the client is closed; make a new one")]
    Closed,
}

/// A refusal by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A stable lowercase word, such as `not_found`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// True if the same request may succeed later.
    pub retryable: bool,
    /// How long the server asks to wait; zero for no advice.
    pub retry_after: Duration,
    /// Under what id the server's log knows the request; empty over the message connection.
    pub request_id: String,
}

impl From<v1::Error> for Refusal {
    fn from(error: v1::Error) -> Self {
        Self {
            code: error.code,
            message: error.message,
            retryable: error.retryable,
            retry_after: Duration::from_millis(error.retry_after_ms.into()),
            request_id: error.request_id,
        }
    }
}

impl Error {
    /// The server's code if this is a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.code),
            _ => None,
        }
    }

    pub(crate) fn is_unauthenticated(&self) -> bool {
        self.code() == Some(sparrow_protocol::Code::Unauthenticated.as_str())
    }
}
