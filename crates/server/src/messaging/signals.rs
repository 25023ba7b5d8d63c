//! Signals: to members who are online, never stored.

use std::sync::Arc;

use sparrow_protocol::content::check_signal;
use sparrow_protocol::{ConversationId, raw, v1};
use tokio::time::Instant;

use super::members::MemberList;
use super::push::Shared;
use super::send::content_failure;
use super::sessions::{Session, Sessions};
use crate::failure::Failure;
use crate::metrics::Metrics;

/// A signal on its way to the members.
#[derive(Debug)]
pub(crate) struct SignalJob {
    pub(crate) conversation: ConversationId,
    /// Who sent it.
    pub(crate) session: Arc<Session>,
    /// The request to answer; 0 for none.
    pub(crate) request: u32,
    /// The type's name.
    pub(crate) kind: String,
    /// JSON text.
    pub(crate) data: String,
}

impl SignalJob {
    /// Reads a `Signal`.
    pub(crate) fn parse(signal: raw::Signal, session: &Arc<Session>, request: u32) -> Result<Self, Failure> {
        let conversation =
            ConversationId::new(signal.conversation_id).ok_or_else(|| Failure::not_found("conversation"))?;
        check_signal(&signal).map_err(content_failure)?;
        Ok(Self { conversation, session: session.clone(), request, kind: signal.r#type, data: signal.data })
    }

    /// Answers the request, if there is one to answer.
    pub(crate) fn answer(&self, result: Result<(), Failure>) {
        match (self.request, result) {
            (0, _) => {}
            (request, Ok(())) => self.session.reply(request, &v1::Ok {}),
            (request, Err(failure)) => self.session.refuse(request, &failure),
        }
    }
}

/// Passes a signal on, if its sender is a member; `list` is as the log has it now.
pub(crate) fn deliver(
    sessions: &Sessions,
    list: Option<&MemberList>,
    job: &SignalJob,
    now: Instant,
    metrics: &Metrics,
) {
    let sender = &job.session;
    let Some(list) = list.filter(|list| list.has(sender.user)) else {
        job.answer(Err(Failure::not_found("conversation")));
        return;
    };
    let signal = v1::Signal {
        conversation_id: job.conversation.get(),
        r#type: job.kind.clone(),
        data: job.data.clone(),
        sender_id: sender.user.get(),
    };
    if let Some(mut shared) = Shared::new(&signal) {
        sessions.each_among(&list.places, |session, place| {
            if place.present && session.id != sender.id {
                session.push(&mut shared, now, metrics);
            }
        });
    }
    job.answer(Ok(()));
}
