//! Who waits for the outcome of a command in the lane, and how they are told.

use std::sync::Arc;

use sparrow_protocol::{Code, v1};
use sparrow_store::log::{Append, CursorAdvance, CursorOutcome, Outcome, Stored};
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::messaging::Submitted;
use crate::messaging::gate::Place;
use crate::messaging::sessions::{Session, SessionId};
use crate::metrics::{Metrics, SendLabels};
use sparrow_protocol::Seq;

/// A command, and who waits for its outcome.
#[derive(Debug)]
pub(crate) struct Job {
    /// The command.
    pub(crate) append: Append,
    /// Who waits.
    pub(crate) origin: Origin,
}

/// Who waits for the outcome of a command.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A session, for the answer to this request.
    Session {
        /// The session.
        session: Arc<Session>,
        /// The request's id.
        request: u32,
        /// Where it stands in the order of the session's sends.
        place: Place,
    },
    /// A caller without a session.
    Caller(oneshot::Sender<Result<Submitted, Failure>>),
    /// Nobody any more: they were told that it took too long.
    Answered,
}

impl Job {
    /// The session that gave the command.
    pub(crate) fn session_id(&self) -> Option<SessionId> {
        match &self.origin {
            Origin::Session { session, .. } => Some(session.id),
            Origin::Caller(_) | Origin::Answered => None,
        }
    }

    /// True if the command would overtake another one of its session that has to be retried first.
    pub(crate) fn is_gated(&self) -> bool {
        matches!(&self.origin, Origin::Session { session, place, .. }
            if session.gate_blocks(self.append.conversation, self.append.client_msg_id, *place))
    }

    /// Tells whoever waits what the log made of the command.
    pub(super) fn settle(&mut self, outcome: &Outcome, metrics: &Metrics) {
        let result = match outcome {
            Outcome::Stored(stored) => Ok((stored, false)),
            Outcome::Duplicate(stored) => Ok((stored, true)),
            Outcome::Refused(refusal) => Err((*refusal).into()),
            Outcome::Failed => Err(Failure::new(Code::Internal, "The server made a mistake; its log says more.")),
        };
        self.tell(result, metrics);
    }

    /// Tells whoever waits that the command was refused.
    pub(crate) fn refuse(&mut self, failure: Failure, metrics: &Metrics) {
        self.tell(Err(failure), metrics);
    }

    fn tell(&mut self, result: Result<(&Stored, bool), Failure>, metrics: &Metrics) {
        let outcome = match &result {
            Ok((_, false)) => "stored",
            Ok((_, true)) => "duplicate",
            Err(failure) => failure.code.as_str(),
        };
        match std::mem::replace(&mut self.origin, Origin::Answered) {
            Origin::Session { session, request, place } => self.tell_session(&session, request, place, result),
            Origin::Caller(caller) => {
                let submitted = result.map(|(stored, duplicate)| Submitted { stored: stored.clone(), duplicate });
                if caller.send(submitted).is_err() {
                    tracing::debug!("a caller left before its command was stored");
                }
            }
            Origin::Answered => return,
        }
        metrics.sends.get_or_create(&SendLabels { outcome }).inc();
    }

    fn tell_session(&self, session: &Session, request: u32, place: Place, result: Result<(&Stored, bool), Failure>) {
        let (conversation, id) = (self.append.conversation, self.append.client_msg_id);
        // The gate first: the client may act on the answer as soon as it is queued.
        session.gate_answered(conversation, id, place, matches!(&result, Err(failure) if failure.code.retryable()));
        match result {
            Ok((stored, duplicate)) => session.reply(
                request,
                &v1::SendAck {
                    conversation_id: conversation.get(),
                    client_msg_id: id.to_string(),
                    seq: stored.entry.seq.get(),
                    time: stored.entry.time.millis(),
                    duplicate,
                },
            ),
            Err(failure) => session.refuse(request, &failure),
        }
    }
}

/// A read cursor, and who waits to hear where it is.
#[derive(Debug)]
pub(crate) struct ReadJob {
    /// The cursor.
    pub(crate) advance: CursorAdvance,
    /// Who waits.
    pub(crate) origin: ReadOrigin,
}

/// Who waits for a read cursor.
#[derive(Debug)]
pub(crate) enum ReadOrigin {
    /// A session, for the answer to this request.
    Session {
        /// The session.
        session: Arc<Session>,
        /// The request's id.
        request: u32,
    },
    /// A caller without a session.
    Caller(oneshot::Sender<Result<Seq, Failure>>),
    /// Nobody any more.
    Answered,
}

impl ReadJob {
    /// The session that asked.
    pub(super) fn session_id(&self) -> Option<SessionId> {
        match &self.origin {
            ReadOrigin::Session { session, .. } => Some(session.id),
            ReadOrigin::Caller(_) | ReadOrigin::Answered => None,
        }
    }

    /// Tells whoever waits what became of the cursor.
    pub(super) fn settle(&mut self, outcome: CursorOutcome) {
        self.answer_with(match outcome {
            CursorOutcome::Now { read, .. } => Ok(read),
            CursorOutcome::BeyondHead => Err(Failure::invalid("One cannot have read what was not yet written.")),
            CursorOutcome::NotFound => Err(Failure::not_found("conversation")),
        });
    }

    /// Tells whoever waits.
    pub(super) fn answer(mut self, result: Result<Seq, Failure>) {
        self.answer_with(result);
    }

    /// Tells whoever waits, and nobody twice.
    pub(super) fn answer_with(&mut self, result: Result<Seq, Failure>) {
        let conversation_id = self.advance.conversation.get();
        match std::mem::replace(&mut self.origin, ReadOrigin::Answered) {
            ReadOrigin::Session { session, request } => match result {
                Ok(seq) => session.reply(request, &v1::ReadAck { conversation_id, seq: seq.get() }),
                Err(failure) => session.refuse(request, &failure),
            },
            ReadOrigin::Caller(caller) => {
                if caller.send(result).is_err() {
                    tracing::debug!("a caller left before its cursor was stored");
                }
            }
            ReadOrigin::Answered => {}
        }
    }
}
