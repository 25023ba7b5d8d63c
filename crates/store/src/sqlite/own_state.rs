//! Own state: what concerns one user's devices alone.

use sparrow_protocol::{ConversationId, Seq, Timestamp, UserId};

use super::row::Sql;
use super::writer::Tx;
use crate::log::OwnState;

/// Sets a state; an empty value deletes it.
pub(super) fn set(tx: &Tx<'_>, user: UserId, state: &OwnState, now: Timestamp) -> Sql<()> {
    tx.db
        .prepare_cached(
            "INSERT INTO own_state (user_id, kind, key, value, written, changed) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (user_id, kind, key) DO UPDATE SET value = $4, written = $5, changed = $6",
        )?
        .execute((user.get(), &state.kind, &state.key, &state.value, now.millis(), tx.number))?;
    Ok(())
}

/// That the user may see a conversation from entry `seq` on.
pub(super) fn joined(conversation: ConversationId, seq: Seq) -> OwnState {
    membership(conversation, "joinSeq", seq)
}

/// That entry `seq` took the user out of a conversation.
pub(super) fn left(conversation: ConversationId, seq: Seq) -> OwnState {
    membership(conversation, "leaveSeq", seq)
}

fn membership(conversation: ConversationId, field: &str, seq: Seq) -> OwnState {
    OwnState {
        kind: "membership".to_owned(),
        key: conversation.to_string(),
        value: format!("{{\"{field}\":\"{seq}\"}}"),
    }
}
