//! A connection that has not said who it is: it may say `Hello`, and nothing else.

use sparrow_protocol::{CloseCode, Code, Command, Frame, FrameError, v1};

use super::{Dismissal, body};
use crate::failure::Failure;

/// The state before `Hello`.
#[derive(Debug)]
pub(in crate::gateway) struct Unidentified;

impl Unidentified {
    /// The request id and the `Hello` of a first frame; anything else ends the connection.
    pub(in crate::gateway) fn on_frame(frame: Result<Frame, FrameError>) -> Result<(u32, v1::Hello), Dismissal> {
        let frame = frame.map_err(Dismissal::unreadable)?;
        let refuse = |failure| Dismissal::with(CloseCode::ProtocolError, frame.id, failure);
        if frame.command != Some(Command::Hello) {
            return Err(refuse(Failure::new(Code::Unauthenticated, "Say Hello with an access token first.")));
        }
        if frame.id == 0 {
            return Err(refuse(Failure::invalid("A request has an id above 0.")));
        }
        Ok((frame.id, body(&frame).map_err(refuse)?))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;
    use sparrow_protocol::FrameErrorKind;

    use super::*;

    fn frame(command: Option<Command>, id: u32, body: Vec<u8>) -> Result<Frame, FrameError> {
        Ok(Frame { command, id, body: Bytes::from(body) })
    }

    fn refusal(frame: Result<Frame, FrameError>) -> (CloseCode, Option<Code>) {
        let dismissal = Unidentified::on_frame(frame).expect_err("it must not be accepted");
        (dismissal.code, dismissal.error.map(|(_, failure)| failure.code))
    }

    #[test]
    fn a_hello_is_accepted() {
        let hello = v1::Hello { token: "t".to_owned(), ..Default::default() };
        let (id, read) = Unidentified::on_frame(frame(Some(Command::Hello), 7, hello.encode_to_vec())).unwrap();
        assert_eq!((id, read.token.as_str()), (7, "t"));
    }

    #[test]
    fn anything_else_ends_the_connection() {
        let early = refusal(frame(Some(Command::Send), 1, vec![]));
        assert_eq!(early, (CloseCode::ProtocolError, Some(Code::Unauthenticated)));
        assert_eq!(refusal(frame(None, 1, vec![])).0, CloseCode::ProtocolError);
        assert_eq!(refusal(frame(Some(Command::Hello), 0, vec![])).0, CloseCode::ProtocolError);
        let malformed = refusal(frame(Some(Command::Hello), 1, vec![0xff; 12]));
        assert_eq!(malformed, (CloseCode::ProtocolError, Some(Code::InvalidRequest)));
        let large = refusal(Err(FrameError { id: 0, kind: FrameErrorKind::TooLarge }));
        assert_eq!(large, (CloseCode::TooLarge, Some(Code::TooLarge)));
    }
}
