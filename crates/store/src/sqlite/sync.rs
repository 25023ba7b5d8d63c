//! What changed for a user.

use rusqlite::Connection;
use sparrow_protocol::UserId;

use super::conversations::{cut, one_more, view};
use super::epoch::{COMMITS, EPOCH, PURGED, fact, number_fact};
use super::row::{Sql, conversation_id};
use crate::log::{OwnState, SyncChanges, SyncKey, SyncPosition};

/// One page. Everything changed at or after `since` of the position is answered; a full answer is one since 0.
pub(super) fn changes(db: &Connection, user: UserId, position: Option<SyncPosition>, limit: usize) -> Sql<SyncChanges> {
    let limit = limit.max(1);
    let position = start(db, position)?;
    let mut changes = SyncChanges {
        conversations: Vec::new(),
        states: Vec::new(),
        more: false,
        full: position.since == 0,
        next: SyncPosition { after: None, ..position.clone() },
    };
    if !matches!(position.after, Some(SyncKey::State { .. })) {
        let mut ids = changed_conversations(db, user, &position, limit)?;
        let stopped = cut(&mut ids, limit, |id| *id);
        for id in &ids {
            changes.conversations.extend(view(db, user, *id)?.map(|(view, _)| view));
        }
        let full_page = ids.len() == limit;
        if let Some(last) = stopped.or(ids.last().copied().filter(|_| full_page)) {
            changes.more = true;
            changes.next.after = Some(SyncKey::Conversation(last));
            return Ok(changes);
        }
    }
    let room = limit - changes.conversations.len();
    changes.states = changed_states(db, user, &position, room)?;
    changes.next.after =
        cut(&mut changes.states, room, |state| SyncKey::State { kind: state.kind.clone(), key: state.key.clone() });
    changes.more = changes.next.after.is_some();
    if !changes.more {
        changes.next.since = position.watermark;
    }
    Ok(changes)
}

/// Where this page begins. A first page takes the watermark: the number of the next commit.
fn start(db: &Connection, position: Option<SyncPosition>) -> Sql<SyncPosition> {
    let epoch = fact(db, EPOCH)?.unwrap_or_default();
    let watermark = number_fact(db, COMMITS)? + 1;
    // A position from the future was never given out in this life of the database; one from before a purge would miss
    // deletions.
    let valid = number_fact(db, PURGED)? + 1..=watermark;
    let known = position.filter(|position| {
        let full = position.since == 0 && position.after.is_some();
        position.epoch == epoch && position.watermark <= watermark && (full || valid.contains(&position.since))
    });
    Ok(match known {
        Some(position) if position.after.is_some() => position,
        Some(position) => SyncPosition { watermark, ..position },
        None => SyncPosition { epoch, since: 0, watermark, after: None },
    })
}

fn changed_conversations(
    db: &Connection,
    user: UserId,
    position: &SyncPosition,
    limit: usize,
) -> Sql<Vec<sparrow_protocol::ConversationId>> {
    let after = match &position.after {
        Some(SyncKey::Conversation(id)) => id.get(),
        _ => 0,
    };
    db.prepare_cached(
        "SELECT m.conversation_id FROM members m
         JOIN conversations c ON c.id = m.conversation_id
         LEFT JOIN cursors k ON k.conversation_id = m.conversation_id AND k.user_id = m.user_id
         WHERE m.user_id = $1 AND m.conversation_id > $2
            AND (m.changed >= $3 OR k.changed >= $3 OR (c.changed >= $3 AND m.role IS NOT NULL))
         ORDER BY m.conversation_id LIMIT $4",
    )?
    .query_map((user.get(), after, position.since, one_more(limit)), |row| conversation_id(row, 0))?
    .collect()
}

fn changed_states(db: &Connection, user: UserId, position: &SyncPosition, limit: usize) -> Sql<Vec<OwnState>> {
    let (kind, key) = match &position.after {
        Some(SyncKey::State { kind, key }) => (kind.as_str(), key.as_str()),
        _ => ("", ""),
    };
    // A full answer has nothing to delete.
    db.prepare_cached(
        "SELECT kind, key, value FROM own_state
         WHERE user_id = $1 AND changed >= $2 AND (kind, key) > ($3, $4) AND (value <> '' OR $2 > 0)
         ORDER BY kind, key LIMIT $5",
    )?
    .query_map((user.get(), position.since, kind, key, one_more(limit)), |row| {
        Ok(OwnState { kind: row.get(0)?, key: row.get(1)?, value: row.get(2)? })
    })?
    .collect()
}
