//! A session: what its frames ask for.

use std::sync::Arc;

use sparrow_protocol::{Code, Command, ConversationId, Frame, FrameError, Seq, limits, raw, v1};
use sparrow_store::log::Append;

use super::{Dismissal, body, frame_failure};
use crate::failure::Failure;
use crate::messaging::{Session, SignalJob, send};

/// The state after `Hello`.
#[derive(Debug)]
pub(in crate::gateway) struct Identified {
    session: Arc<Session>,
    content_bytes: usize,
}

/// Something that is read from the store before it can be answered. One is served at a time.
#[derive(Debug)]
pub(in crate::gateway) enum Load {
    /// A page of a log.
    Pull(raw::Pull),
    /// A page of changes.
    Sync(v1::Sync),
    /// Whether some users are online, now and from now on.
    Presence(v1::PresenceSubscribe),
}

/// What is to be done about a frame. `request` is the id to answer.
#[derive(Debug)]
pub(in crate::gateway) enum Effect {
    /// Nothing.
    Nothing,
    /// Append a message.
    Send { request: u32, append: Append },
    /// Move the read cursor.
    Read { request: u32, conversation: ConversationId, seq: Seq },
    /// Note what the device holds.
    Ack(v1::Ack),
    /// Pass a signal on.
    Signal(SignalJob),
    /// Read something and answer with it.
    Load { request: u32, load: Load },
    /// Answer a `Ping`.
    Pong { request: u32 },
    /// Refuse the request; the connection goes on.
    Refuse { request: u32, failure: Failure },
    /// End the connection.
    Dismiss(Dismissal),
}

impl Identified {
    /// The state of a session.
    pub(in crate::gateway) fn new(session: Arc<Session>, content_bytes: usize) -> Self {
        Self { session, content_bytes }
    }

    /// The session.
    pub(in crate::gateway) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// What a frame asks for.
    pub(in crate::gateway) fn on_frame(&self, frame: Result<Frame, FrameError>) -> Effect {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if error.kind.is_fatal() => return Effect::Dismiss(Dismissal::unreadable(error)),
            Err(error) => return Effect::Refuse { request: error.id, failure: frame_failure(error) },
        };
        #[cfg(test)]
        assert!(!frame.body.ends_with(crate::tests::PANIC), "a failpoint");
        let request = frame.id;
        self.dispatch(&frame).unwrap_or_else(|failure| Effect::Refuse { request, failure })
    }

    fn dispatch(&self, frame: &Frame) -> Result<Effect, Failure> {
        let request = frame.id;
        match frame.command {
            Some(Command::Pong) => Ok(Effect::Nothing),
            Some(Command::Ack) => ack(frame),
            Some(Command::Signal) => {
                let signal = SignalJob::parse(body(frame)?, &self.session, request);
                // One with id 0 is never answered, so a bad one is dropped.
                if request == 0 {
                    Ok(signal.map_or(Effect::Nothing, Effect::Signal))
                } else {
                    signal.map(Effect::Signal)
                }
            }
            Some(command) if request == 0 && is_request(command) => {
                Err(Failure::invalid("A request has an id above 0."))
            }
            Some(Command::Ping) => Ok(Effect::Pong { request }),
            Some(Command::Send) => {
                let append = send::parse(body(frame)?, self.session.user, self.content_bytes)?;
                Ok(Effect::Send { request, append })
            }
            Some(Command::Read) => read(request, &body(frame)?),
            Some(Command::Pull) => Ok(Effect::Load { request, load: Load::Pull(body(frame)?) }),
            Some(Command::Sync) => Ok(Effect::Load { request, load: Load::Sync(body(frame)?) }),
            Some(Command::PresenceSubscribe) => Ok(Effect::Load { request, load: Load::Presence(body(frame)?) }),
            Some(Command::Hello) => Err(Failure::invalid("This connection has said Hello already.")),
            Some(_) | None => Err(Failure::new(
                Code::UnknownCommand,
                "The server does not know this command, or it is not a request.",
            )),
        }
    }
}

fn is_request(command: Command) -> bool {
    use Command::{Hello, Ping, PresenceSubscribe, Pull, Read, Send, Sync};
    matches!(command, Hello | Ping | Send | Read | Pull | Sync | PresenceSubscribe)
}

fn ack(frame: &Frame) -> Result<Effect, Failure> {
    let ack: v1::Ack = body(frame)?;
    if ack.cursors.len() > limits::ACK_CURSORS {
        return Err(Failure::invalid("An Ack has at most 1,000 cursors."));
    }
    Ok(Effect::Ack(ack))
}

fn read(request: u32, read: &v1::Read) -> Result<Effect, Failure> {
    let conversation = ConversationId::new(read.conversation_id).ok_or_else(|| Failure::not_found("conversation"))?;
    let seq = Seq::new(read.seq).ok_or_else(|| Failure::invalid("A seq cannot be negative."))?;
    Ok(Effect::Read { request, conversation, seq })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;
    use sparrow_protocol::FrameErrorKind;
    use sparrow_store::log::Action;

    use super::*;
    use crate::messaging::testing::{new_session, user};

    fn session() -> Identified {
        Identified::new(Arc::new(Session::new(new_session(1, 1))), 1024)
    }

    fn on(command: Command, id: u32, body: &impl Message) -> Effect {
        let frame = Frame { command: Some(command), id, body: Bytes::from(body.encode_to_vec()) };
        session().on_frame(Ok(frame))
    }

    fn refused(effect: Effect) -> (u32, Code) {
        match effect {
            Effect::Refuse { request, failure } => (request, failure.code),
            other => panic!("not refused: {other:?}"),
        }
    }

    fn send(text: &str) -> v1::Send {
        v1::Send {
            conversation_id: 5,
            client_msg_id: "0193a8a2-0000-7000-8000-000000000001".to_owned(),
            content: Some(v1::Content { text: text.to_owned(), ..Default::default() }),
        }
    }

    #[test]
    fn a_send_becomes_an_append_of_the_session_s_user_with_the_bytes_as_sent() {
        let Effect::Send { request: 3, append } = on(Command::Send, 3, &send("hi")) else { panic!("no send") };
        assert_eq!((append.sender, append.conversation.get()), (user(1), 5));
        let Action::Message { body, .. } = append.action else { panic!("no message") };
        assert_eq!(body, send("hi").content.unwrap().encode_to_vec());
    }

    #[test]
    fn what_breaks_a_rule_is_refused_and_the_connection_goes_on() {
        let bad_id = v1::Send { client_msg_id: "7".to_owned(), ..send("hi") };
        assert_eq!(refused(on(Command::Send, 3, &bad_id)), (3, Code::InvalidRequest));
        let nowhere = v1::Send { conversation_id: -1, ..send("hi") };
        assert_eq!(refused(on(Command::Send, 3, &nowhere)), (3, Code::NotFound));
        assert_eq!(refused(on(Command::Send, 3, &send(&"x".repeat(2000)))), (3, Code::TooLarge));
        assert_eq!(refused(on(Command::Send, 0, &send("hi"))), (0, Code::InvalidRequest));
        assert_eq!(refused(on(Command::Read, 4, &v1::Read { conversation_id: 5, seq: -1 })), (4, Code::InvalidRequest));
        assert_eq!(refused(on(Command::Hello, 2, &v1::Hello::default())), (2, Code::InvalidRequest));
        assert_eq!(refused(on(Command::Welcome, 2, &v1::Welcome::default())), (2, Code::UnknownCommand));
        let many = v1::Ack { cursors: vec![v1::Cursor::default(); 1001] };
        assert_eq!(refused(on(Command::Ack, 0, &many)), (0, Code::InvalidRequest));
        let unknown = session().on_frame(Ok(Frame { command: None, id: 9, body: Bytes::new() }));
        assert_eq!(refused(unknown), (9, Code::UnknownCommand));
        let malformed = session().on_frame(Err(FrameError { id: 8, kind: FrameErrorKind::Body }));
        assert_eq!(refused(malformed), (8, Code::InvalidRequest));
    }

    #[test]
    fn a_frame_after_which_nothing_can_be_trusted_ends_the_session() {
        let effect = session().on_frame(Err(FrameError { id: 0, kind: FrameErrorKind::Truncated }));
        assert!(matches!(effect, Effect::Dismiss(_)));
    }

    #[test]
    fn a_signal_without_id_is_never_answered() {
        let bad = v1::Signal { conversation_id: 5, r#type: "NOT A NAME".to_owned(), ..Default::default() };
        assert!(matches!(on(Command::Signal, 0, &bad), Effect::Nothing));
        assert_eq!(refused(on(Command::Signal, 6, &bad)), (6, Code::InvalidRequest));
        let good = v1::Signal { conversation_id: 5, r#type: "typing".to_owned(), ..Default::default() };
        assert!(matches!(on(Command::Signal, 0, &good), Effect::Signal(_)));
    }

    #[test]
    fn the_other_commands_ask_for_what_they_say() {
        assert!(matches!(on(Command::Ping, 1, &v1::Ping {}), Effect::Pong { request: 1 }));
        assert!(matches!(on(Command::Pong, 0, &v1::Pong {}), Effect::Nothing));
        assert!(matches!(on(Command::Ack, 0, &v1::Ack::default()), Effect::Ack(_)));
        let load = on(Command::Pull, 2, &v1::Pull { conversation_id: 5, ..Default::default() });
        assert!(matches!(load, Effect::Load { request: 2, load: Load::Pull(_) }));
        let watch = on(Command::PresenceSubscribe, 2, &v1::PresenceSubscribe { user_ids: vec![5] });
        assert!(matches!(watch, Effect::Load { load: Load::Presence(_), .. }));
        assert!(matches!(on(Command::Sync, 2, &v1::Sync::default()), Effect::Load { load: Load::Sync(_), .. }));
    }
}
