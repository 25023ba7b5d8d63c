//! Who is, or was, in a conversation: rows of `members` and `intervals`.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use sparrow_protocol::{ConversationId, ConversationKind, Role, Seq, Timestamp, UserId};

use super::row::{Sql, optional_word, seq, user_id, word};
use super::writer::Tx;
use crate::log::{Interval, MemberRow, Members};

/// A user's row: present with a role, or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The role; `None` for somebody who left.
    pub(super) role: Option<Role>,
}

/// A user's place; `None` if they were never a member.
pub(super) fn place(db: &Connection, conversation: ConversationId, user: UserId) -> Sql<Option<Place>> {
    db.prepare_cached("SELECT role FROM members WHERE conversation_id = $1 AND user_id = $2")?
        .query_row((conversation.get(), user.get()), |row| Ok(Place { role: optional_word(row, 0)? }))
        .optional()
}

/// The role of a present member.
pub(super) fn role(db: &Connection, conversation: ConversationId, user: UserId) -> Sql<Option<Role>> {
    Ok(place(db, conversation, user)?.and_then(|place| place.role))
}

/// A user's intervals, oldest first.
pub(super) fn intervals(db: &Connection, conversation: ConversationId, user: UserId) -> Sql<Vec<Interval>> {
    db.prepare_cached(
        "SELECT join_seq, leave_seq FROM intervals WHERE conversation_id = $1 AND user_id = $2 ORDER BY join_seq",
    )?
    .query_map((conversation.get(), user.get()), |row| Ok(Interval { join: seq(row, 0)?, leave: leave(row, 1)? }))?
    .collect()
}

/// Reads the end of an interval, which an open one has not.
pub(super) fn leave(row: &rusqlite::Row<'_>, column: usize) -> Sql<Option<Seq>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(Seq::new))
}

/// The last seq that a user with these intervals may know of.
pub(super) fn visible_head(intervals: &[Interval], head: Seq) -> Seq {
    match intervals.last() {
        Some(Interval { leave: Some(leave), .. }) => leave.prev().min(head),
        Some(Interval { leave: None, .. }) => head,
        None => Seq::ZERO,
    }
}

/// Makes a user a member from `join` on. Where that is the first entry, earlier intervals are part of the new one.
pub(super) fn enter(
    tx: &Tx<'_>,
    conversation: ConversationId,
    user: UserId,
    role: Role,
    join: Seq,
    version: i64,
) -> Sql<()> {
    tx.db
        .prepare_cached(
            "INSERT INTO members (conversation_id, user_id, role, version, changed) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (conversation_id, user_id)
             DO UPDATE SET role = $3, version = $4, changed = $5, left_active = NULL",
        )?
        .execute((conversation.get(), user.get(), role.as_str(), version, tx.number))?;
    tx.db
        .prepare_cached("DELETE FROM intervals WHERE conversation_id = $1 AND user_id = $2 AND join_seq >= $3")?
        .execute((conversation.get(), user.get(), join.get()))?;
    tx.db
        .prepare_cached("INSERT INTO intervals (conversation_id, user_id, join_seq) VALUES ($1, $2, $3)")?
        .execute((conversation.get(), user.get(), join.get()))?;
    Ok(())
}

/// Ends a user's membership before `leave`; the conversation was last active at `active`.
pub(super) fn depart(
    tx: &Tx<'_>,
    conversation: ConversationId,
    user: UserId,
    leave: Seq,
    active: Timestamp,
    version: i64,
) -> Sql<()> {
    tx.db
        .prepare_cached(
            "UPDATE members SET role = NULL, version = $1, changed = $2, left_active = $3
             WHERE conversation_id = $4 AND user_id = $5",
        )?
        .execute((version, tx.number, active.millis(), conversation.get(), user.get()))?;
    tx.db
        .prepare_cached(
            "UPDATE intervals SET leave_seq = $1 WHERE conversation_id = $2 AND user_id = $3 AND leave_seq IS NULL",
        )?
        .execute((leave.get(), conversation.get(), user.get()))?;
    Ok(())
}

/// Gives a present member another role.
pub(super) fn change_role(
    tx: &Tx<'_>,
    conversation: ConversationId,
    user: UserId,
    role: Role,
    version: i64,
) -> Sql<()> {
    tx.db
        .prepare_cached(
            "UPDATE members SET role = $1, version = $2, changed = $3 WHERE conversation_id = $4 AND user_id = $5",
        )?
        .execute((role.as_str(), version, tx.number, conversation.get(), user.get()))?;
    Ok(())
}

/// The member rows changed after a version; `None` if the conversation does not exist.
pub(super) fn changed_since(db: &Connection, conversation: ConversationId, version: i64) -> Sql<Option<Members>> {
    let found = db
        .prepare_cached("SELECT members_version, kind FROM conversations WHERE id = $1")?
        .query_row([conversation.get()], |row| Ok((row.get(0)?, word::<ConversationKind>(row, 1)?)))
        .optional()?;
    let Some((current, kind)) = found else { return Ok(None) };
    let mut intervals: HashMap<UserId, Vec<Interval>> = HashMap::new();
    let mut statement = db.prepare_cached(
        "SELECT i.user_id, i.join_seq, i.leave_seq FROM members m
         JOIN intervals i ON i.conversation_id = m.conversation_id AND i.user_id = m.user_id
         WHERE m.conversation_id = $1 AND m.version > $2 ORDER BY i.user_id, i.join_seq",
    )?;
    let mut rows = statement.query((conversation.get(), version))?;
    while let Some(row) = rows.next()? {
        let interval = Interval { join: seq(row, 1)?, leave: leave(row, 2)? };
        intervals.entry(user_id(row, 0)?).or_default().push(interval);
    }
    let rows = db
        .prepare_cached("SELECT user_id, role FROM members WHERE conversation_id = $1 AND version > $2")?
        .query_map((conversation.get(), version), |row| {
            let user = user_id(row, 0)?;
            let intervals = intervals.remove(&user).unwrap_or_default();
            Ok(MemberRow { user, role: optional_word(row, 1)?, intervals })
        })?
        .collect::<Sql<_>>()?;
    Ok(Some(Members { version: current, kind, rows }))
}
