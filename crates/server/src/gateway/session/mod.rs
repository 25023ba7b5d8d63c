//! What a frame means, as a type per state of a session: the handlers take frames and return what is to be done. They
//! know no sockets and wait for nothing; [`super::connection`] carries their answers out.

mod identified;
mod unidentified;

use sparrow_protocol::{Body, CloseCode, Code, Frame, FrameError};

use crate::failure::Failure;

pub(super) use identified::{Effect, Identified, Load};
pub(super) use unidentified::Unidentified;

/// Why the server ends a connection.
#[derive(Debug, Clone)]
pub(super) struct Dismissal {
    /// The reason.
    pub(super) code: CloseCode,
    /// The error that tells it in detail, with the request it answers (0 for none).
    pub(super) error: Option<(u32, Failure)>,
}

impl Dismissal {
    /// An end that its code explains.
    pub(super) fn new(code: CloseCode) -> Self {
        Self { code, error: None }
    }

    /// An end with the error that led to it.
    pub(super) fn with(code: CloseCode, request: u32, failure: Failure) -> Self {
        Self { code, error: Some((request, failure)) }
    }

    /// The end after a frame with which the connection cannot go on.
    pub(super) fn unreadable(error: FrameError) -> Self {
        let code = if error.kind.code() == Code::TooLarge { CloseCode::TooLarge } else { CloseCode::ProtocolError };
        Self::with(code, error.id, frame_failure(error))
    }
}

/// What a client is told about a frame that cannot be read.
fn frame_failure(error: FrameError) -> Failure {
    let mut sentence = error.to_string();
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Failure::new(error.kind.code(), sentence + ".")
}

fn body<M: Body>(frame: &Frame) -> Result<M, Failure> {
    frame.parse().map_err(frame_failure)
}
