//! Who is told when a user's cursor moved: the other members in small conversations, and the user's other sessions.

use sparrow_protocol::{ConversationId, ConversationKind, Seq, UserId, v1};
use tokio::time::Instant;

use super::members::MemberList;
use super::push::Shared;
use super::sessions::{SessionId, Sessions};
use crate::metrics::Metrics;

/// Receipts are told in directs, and in groups of up to so many members.
const MAX_MEMBERS: usize = 200;

/// A cursor that a transaction moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CursorMoved {
    pub(crate) user: UserId,
    pub(crate) conversation: ConversationId,
    pub(crate) delivered: Seq,
    pub(crate) read: Seq,
    /// The version of the member list in that transaction.
    pub(crate) members_version: i64,
    /// True if the user read; false if a device received.
    pub(crate) by_reading: bool,
    /// The session that asked for it, which has its answer.
    pub(crate) origin: Option<SessionId>,
}

/// Tells of a cursor that moved. Only what happens to a present member concerns the others.
pub(crate) fn tell(sessions: &Sessions, list: &MemberList, moved: &CursorMoved, now: Instant, metrics: &Metrics) {
    if moved.by_reading {
        tell_own(sessions, moved, now, metrics);
    }
    let small =
        list.kind == ConversationKind::Direct || (list.kind == ConversationKind::Group && list.present <= MAX_MEMBERS);
    if !small || !list.has(moved.user) {
        return;
    }
    let receipt = v1::Receipt {
        conversation_id: moved.conversation.get(),
        user_id: moved.user.get(),
        delivered: moved.delivered.get(),
        read: moved.read.get(),
    };
    let Some(mut shared) = Shared::new(&receipt) else { return };
    sessions.each_among(&list.places, |session, place| {
        if place.present && session.user != moved.user {
            session.push(&mut shared, now, metrics);
        }
    });
}

fn tell_own(sessions: &Sessions, moved: &CursorMoved, now: Instant, metrics: &Metrics) {
    let mut others = false;
    sessions.each_of(moved.user, |session| others |= Some(session.id) != moved.origin);
    if !others {
        return;
    }
    let state = v1::OwnState {
        kind: "cursor".to_owned(),
        key: moved.conversation.to_string(),
        value: format!(r#"{{"delivered":"{}","read":"{}"}}"#, moved.delivered, moved.read),
    };
    let Some(mut shared) = Shared::new(&v1::StateChanged { states: vec![state] }) else { return };
    sessions.each_of(moved.user, |session| {
        if Some(session.id) != moved.origin {
            session.push(&mut shared, now, metrics);
        }
    });
}
