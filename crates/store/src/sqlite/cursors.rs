//! Cursors: how far a user has got. They only grow, and end where the user's view ends.

use rusqlite::{Connection, OptionalExtension};
use sparrow_protocol::{ConversationId, Seq, UserId};

use super::membership::{leave, visible_head};
use super::row::{Sql, seq};
use super::writer::Tx;
use crate::faults::{Rule, Step, broken, failpoint};
use crate::log::{CursorAdvance, CursorOutcome, Interval};

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
    failpoint(Step::Cursor);
    let (conversation, user) = (cursor.conversation, cursor.user);
    let found = tx
        .db
        .prepare_cached(
            "SELECT c.head, i.join_seq, i.leave_seq, COALESCE(k.delivered, 0), COALESCE(k.read, 0), c.members_version
             FROM conversations c
             JOIN intervals i ON i.conversation_id = c.id AND i.user_id = $1
             LEFT JOIN cursors k ON k.conversation_id = c.id AND k.user_id = $1
             WHERE c.id = $2 ORDER BY i.join_seq DESC LIMIT 1",
        )?
        .query_row((user.get(), conversation.get()), |row| {
            let last = Interval { join: seq(row, 1)?, leave: leave(row, 2)? };
            Ok((visible_head(&[last], seq(row, 0)?), (seq(row, 3)?, seq(row, 4)?), row.get(5)?))
        })
        .optional()?;
    let Some((bound, before, members_version)) = found else { return Ok(CursorOutcome::NotFound) };
    if cursor.delivered.max(cursor.read) > Some(bound) {
        return Ok(CursorOutcome::BeyondHead);
    }
    let read = before.1.max(cursor.read.unwrap_or_default());
    let delivered = before.0.max(cursor.delivered.unwrap_or_default()).max(read);
    let (delivered, read) = if broken(Rule::BlindCursorUpdate) {
        (cursor.delivered.unwrap_or(before.0), cursor.read.unwrap_or(before.1))
    } else {
        (delivered, read)
    };
    let moved = (delivered, read) != before;
    if moved {
        tx.db
            .prepare_cached(
                "INSERT INTO cursors (conversation_id, user_id, delivered, read, changed) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (conversation_id, user_id) DO UPDATE SET delivered = $3, read = $4, changed = $5",
            )?
            .execute((conversation.get(), user.get(), delivered.get(), read.get(), tx.number))?;
    }
    Ok(CursorOutcome::Now { delivered, read, moved, members_version })
}
