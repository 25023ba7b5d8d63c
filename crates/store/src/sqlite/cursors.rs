//! Cursors: how far a user has got. They only grow, and end where the user's view ends.

use rusqlite::{Connection, OptionalExtension};
use sparrow_protocol::{ConversationId, Seq, UserId};

use super::membership::{intervals, visible_head};
use super::row::{Sql, seq};
use super::writer::Tx;
use crate::log::{CursorAdvance, CursorOutcome};

/// A user's cursors: delivered and read.
pub(super) fn get(db: &Connection, conversation: ConversationId, user: UserId) -> Sql<(Seq, Seq)> {
    let found = db
        .prepare_cached("SELECT delivered, read FROM cursors WHERE conversation_id = $1 AND user_id = $2")?
        .query_row((conversation.get(), user.get()), |row| Ok((seq(row, 0)?, seq(row, 1)?)))
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Moves a user's cursors to the maximum of what they are and what is asked.
pub(super) fn advance(tx: &Tx<'_>, cursor: &CursorAdvance) -> Sql<CursorOutcome> {
    let (conversation, user) = (cursor.conversation, cursor.user);
    let head = tx
        .db
        .prepare_cached("SELECT head FROM conversations WHERE id = $1")?
        .query_row([conversation.get()], |row| seq(row, 0))
        .optional()?;
    let intervals = intervals(tx.db, conversation, user)?;
    let (Some(head), false) = (head, intervals.is_empty()) else { return Ok(CursorOutcome::NotFound) };
    let bound = visible_head(&intervals, head);
    if cursor.delivered.max(cursor.read) > Some(bound) {
        return Ok(CursorOutcome::BeyondHead);
    }
    let before = get(tx.db, conversation, user)?;
    let read = before.1.max(cursor.read.unwrap_or_default());
    let delivered = before.0.max(cursor.delivered.unwrap_or_default()).max(read);
    let moved = (delivered, read) != before;
    if moved {
        tx.db
            .prepare_cached(
                "INSERT INTO cursors (conversation_id, user_id, delivered, read, changed) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (conversation_id, user_id) DO UPDATE SET delivered = $3, read = $4, changed = $5",
            )?
            .execute((conversation.get(), user.get(), delivered.get(), read.get(), tx.number))?;
    }
    Ok(CursorOutcome::Now { delivered, read, moved })
}
