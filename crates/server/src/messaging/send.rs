//! `Send`: from a client's command to an append, and into the lane in the order in which frames arrive.

use std::sync::Arc;

use sparrow_protocol::content::{CheckedContent, ContentError, request_hash};
use sparrow_protocol::{ClientMsgId, Code, ConversationId, EntryKind, UserId, raw};
use sparrow_store::log::{Action, Append, Mentions};

use super::lane::{Job, Lane, Origin};
use super::sessions::Session;
use crate::failure::Failure;
use crate::faults::{Step, failpoint};
use crate::limits::RateLimits;

/// Reads a `Send`. Whatever a client says about sender, seq or time is not even looked at.
pub(crate) fn parse(send: raw::Send, sender: UserId, content_bytes: usize) -> Result<Append, Failure> {
    let conversation = ConversationId::new(send.conversation_id).ok_or_else(|| Failure::not_found("conversation"))?;
    let client_msg_id = send
        .client_msg_id
        .parse::<ClientMsgId>()
        .map_err(|_| Failure::invalid("clientMsgId must be a UUID with hyphens, and not all zeros."))?;
    let content = CheckedContent::parse(send.content, content_bytes).map_err(content_failure)?;
    Ok(message(conversation, sender, client_msg_id, content))
}

/// The command that stores a message.
pub(crate) fn message(
    conversation: ConversationId,
    sender: UserId,
    client_msg_id: ClientMsgId,
    content: CheckedContent,
) -> Append {
    let mentions = Mentions { users: content.mentions().to_vec(), all: content.mentions_all() };
    let request_hash = request_hash(EntryKind::Message, None, content.bytes());
    let action = Action::Message { body: content.into_bytes(), mentions };
    Append { conversation, sender, client_msg_id, request_hash, action }
}

/// What a client is told about a content that breaks a rule.
pub(crate) fn content_failure(error: ContentError) -> Failure {
    let code = if error == ContentError::TooLarge { Code::TooLarge } else { Code::InvalidRequest };
    let mut sentence = error.to_string();
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Failure::new(code, sentence + ".")
}

/// Puts a session's accepted send into the lane, in the order of the calls; the session gets exactly one reply.
/// One that comes too often is refused like one that finds the lane full: what follows it waits for its retry.
pub(crate) fn enqueue(lane: &Lane, rates: &RateLimits, session: &Arc<Session>, request: u32, append: Append) {
    failpoint(Step::Gate);
    let origin = Origin::Session { session: session.clone(), request, place: session.next_place() };
    let job = Job { append, origin };
    let allowed =
        if job.is_gated() { Err(retry_in_order()) } else { rates.send(job.append.sender, job.append.conversation) };
    let refused = match allowed {
        Ok(()) => lane.try_append(job).err(),
        Err(failure) => Some((job, failure)),
    };
    if let Some((mut job, failure)) = refused {
        job.refuse(failure, lane.metrics());
    }
}

/// The refusal of a send that would overtake one that has to be retried.
pub(crate) fn retry_in_order() -> Failure {
    Failure::new(Code::RetryInOrder, "An earlier message to this conversation was refused; send that one again first.")
}
