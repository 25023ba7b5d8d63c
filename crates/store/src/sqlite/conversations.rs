//! Conversations as one user sees them: views, lists, members, receipts; and those that make themselves.

use rusqlite::{Connection, OptionalExtension};
use sparrow_protocol::{ConversationId, ConversationKind, Role, Seq, Timestamp, UserId};

use super::row::{Sql, conversation_id, optional_word, seq, time, user_id, word};
use super::unread::Unread;
use super::writer::Tx;
use super::{accounts, cursors, entry, membership, walk};
use crate::directory::{ActivityKey, Listed, ListedConversation, MemberCursor, MessageReceipts, ReceiptsRefused, User};
use crate::log::{ConversationView, Interval, StoredEntry};

/// A conversation as a user sees it, and when it was last active as far as the user may know.
pub(super) fn view(
    db: &Connection,
    user: UserId,
    conversation: ConversationId,
) -> Sql<Option<(ConversationView, Timestamp)>> {
    let found = db
        .prepare_cached(
            "SELECT c.kind, c.name, c.description, c.head, c.floor, m.role, c.last_message_seq, c.member_count,
                c.history_visible, COALESCE(m.left_active, c.last_active)
             FROM members m JOIN conversations c ON c.id = m.conversation_id
             WHERE m.conversation_id = $1 AND m.user_id = $2",
        )?
        .query_row((conversation.get(), user.get()), |row| {
            let view = ConversationView {
                conversation,
                kind: word(row, 0)?,
                name: row.get(1)?,
                description: row.get(2)?,
                peer: None,
                head: seq(row, 3)?,
                floor: seq(row, 4)?,
                intervals: Vec::new(),
                role: optional_word(row, 5)?,
                delivered: Seq::ZERO,
                read: Seq::ZERO,
                last_message: Some(seq(row, 6)?),
                member_count: row.get(7)?,
                history_visible: row.get(8)?,
            };
            Ok((view, time(row, 9)?))
        })
        .optional()?;
    let Some((mut view, active)) = found else { return Ok(None) };
    view.intervals = membership::intervals(db, conversation, user)?;
    (view.delivered, view.read) = cursors::get(db, conversation, user)?;
    view.last_message = last_message(db, &view)?;
    view.head = membership::visible_head(&view.intervals, view.head);
    if view.kind == ConversationKind::Direct {
        view.peer = peer(db, user, conversation)?;
    }
    Ok(Some((view, active)))
}

fn peer(db: &Connection, user: UserId, conversation: ConversationId) -> Sql<Option<(UserId, String)>> {
    db.prepare_cached(
        "SELECT u.id, u.name FROM members m JOIN users u ON u.id = m.user_id
         WHERE m.conversation_id = $1 AND m.user_id <> $2",
    )?
    .query_row((conversation.get(), user.get()), |row| Ok((user_id(row, 0)?, row.get(1)?)))
    .optional()
}

/// The last message inside the view's intervals. Its `last_message` still is the whole conversation's.
fn last_message(db: &Connection, view: &ConversationView) -> Sql<Option<Seq>> {
    let last = view.last_message.filter(|seq| *seq >= view.floor);
    let Some(last) = last else { return Ok(None) };
    for interval in view.intervals.iter().rev() {
        if interval.contains(last) {
            return Ok(Some(last));
        }
        let to = interval.leave.map_or(Seq::MAX, Seq::prev);
        let found = entry::last_message(db, view.conversation, interval.join.max(view.floor), to)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// A conversation as its user's list shows it.
pub(super) fn listed(db: &Connection, user: UserId, conversation: ConversationId) -> Sql<Option<ListedConversation>> {
    let Some((view, active)) = view(db, user, conversation)? else { return Ok(None) };
    let last_message = match view.last_message {
        Some(seq) => one_entry(db, conversation, seq)?,
        None => None,
    };
    let unread = Unread { user, conversation, intervals: &view.intervals, floor: view.floor, read: view.read };
    let (messages, mentions) = (unread.messages(db)?, unread.mentions(db)?);
    Ok(Some(ListedConversation { view, last_message, unread: messages, mentions, active }))
}

fn one_entry(db: &Connection, conversation: ConversationId, seq: Seq) -> Sql<Option<StoredEntry>> {
    let mut found = None;
    walk::visit(db, conversation, (seq, seq), false, &mut |entry| {
        found = Some(entry);
        true
    })?;
    Ok(found)
}

/// A page of a user's conversations, the last active first.
pub(super) fn list(
    db: &Connection,
    user: UserId,
    after: Option<ActivityKey>,
    limit: usize,
) -> Sql<Listed<ListedConversation, ActivityKey>> {
    let after = after.map_or((i64::MAX, i64::MAX), |key| (key.active.millis(), key.conversation.get()));
    let mut keys = db
        .prepare_cached(
            "SELECT COALESCE(m.left_active, c.last_active) AS active, c.id
             FROM members m JOIN conversations c ON c.id = m.conversation_id
             WHERE m.user_id = $1 AND (COALESCE(m.left_active, c.last_active), c.id) < ($2, $3)
             ORDER BY active DESC, c.id DESC LIMIT $4",
        )?
        .query_map((user.get(), after.0, after.1, one_more(limit)), |row| {
            Ok(ActivityKey { active: time(row, 0)?, conversation: conversation_id(row, 1)? })
        })?
        .collect::<Sql<Vec<_>>>()?;
    let next = cut(&mut keys, limit, |key| *key);
    let mut items = Vec::with_capacity(keys.len());
    for key in keys {
        items.extend(listed(db, user, key.conversation)?);
    }
    Ok(Listed { items, next })
}

/// How many rows to read to know whether more than `limit` follow.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit.max(1).saturating_add(1)).unwrap_or(i64::MAX)
}

/// Cuts a list that was read with [`one_more`] to its limit; the key of the last item if something was cut off.
pub(super) fn cut<T, K>(items: &mut Vec<T>, limit: usize, key: impl Fn(&T) -> K) -> Option<K> {
    let limit = limit.max(1);
    let more = items.len() > limit;
    items.truncate(limit);
    if more { items.last().map(key) } else { None }
}

/// A page of the present members; `None` if the reader is not one of them.
pub(super) fn member_list(
    db: &Connection,
    reader: UserId,
    conversation: ConversationId,
    after: Option<UserId>,
    limit: usize,
) -> Sql<Option<Listed<(User, Role), UserId>>> {
    if membership::role(db, conversation, reader)?.is_none() {
        return Ok(None);
    }
    let after = after.map_or(0, UserId::get);
    let mut items = db
        .prepare_cached(
            "SELECT u.id, u.name, u.display_name, u.bio, u.presence, u.last_seen, m.role
             FROM members m JOIN users u ON u.id = m.user_id
             WHERE m.conversation_id = $1 AND m.user_id > $2 AND m.role IS NOT NULL ORDER BY m.user_id LIMIT $3",
        )?
        .query_map((conversation.get(), after, one_more(limit)), |row| Ok((accounts::user(row)?, word(row, 6)?)))?
        .collect::<Sql<Vec<(User, Role)>>>()?;
    let next = cut(&mut items, limit, |(user, _)| user.user);
    Ok(Some(Listed { items, next }))
}

/// The cursors of other present members who may see message `$1` of conversation `$2` and have received it: not the
/// author's `$3`, of users after `$4`.
macro_rules! received {
    () => {
        "FROM cursors k
         JOIN members m ON m.conversation_id = k.conversation_id AND m.user_id = k.user_id
         WHERE k.delivered >= $1 AND k.conversation_id = $2 AND k.user_id <> $3 AND k.user_id > $4
            AND m.role IS NOT NULL
            AND EXISTS (SELECT 1 FROM intervals i WHERE i.conversation_id = $2 AND i.user_id = k.user_id
                AND i.join_seq <= $1 AND (i.leave_seq IS NULL OR i.leave_seq > $1))"
    };
}

/// How far the other present members are with the reader's own message.
pub(super) fn receipts(
    db: &Connection,
    reader: UserId,
    conversation: ConversationId,
    seq: Seq,
    after: Option<UserId>,
    limit: usize,
) -> Sql<Result<MessageReceipts, ReceiptsRefused>> {
    let visible = membership::intervals(db, conversation, reader)?.iter().any(|part: &Interval| part.contains(seq));
    let author = entry::author(db, conversation, seq)?;
    match author {
        Some(author) if visible && author == reader => {}
        Some(_) if visible => return Ok(Err(ReceiptsRefused::Forbidden)),
        _ => return Ok(Err(ReceiptsRefused::NotFound)),
    }
    let (delivered_count, read_count) = db
        .prepare_cached(concat!("SELECT COUNT(*), COUNT(CASE WHEN k.read >= $1 THEN 1 END) ", received!()))?
        .query_row((seq.get(), conversation.get(), reader.get(), 0), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut items = db
        .prepare_cached(concat!("SELECT k.user_id, k.delivered, k.read ", received!(), " ORDER BY k.user_id LIMIT $5"))?
        .query_map(
            (seq.get(), conversation.get(), reader.get(), after.map_or(0, UserId::get), one_more(limit)),
            |row| Ok(MemberCursor { user: user_id(row, 0)?, delivered: self::seq(row, 1)?, read: self::seq(row, 2)? }),
        )?
        .collect::<Sql<Vec<_>>>()?;
    let next = cut(&mut items, limit, |item| item.user);
    Ok(Ok(MessageReceipts { delivered_count, read_count, members: Listed { items, next } }))
}

/// Opens the conversation of a pair of users, or of one user with themselves. `None` if one of them does not exist.
pub(super) fn open_pair(tx: &Tx<'_>, user: UserId, other: UserId, now: Timestamp) -> Sql<Option<ConversationId>> {
    let (low, high) = (user.min(other), user.max(other));
    let found = tx
        .db
        .prepare_cached("SELECT conversation_id FROM directs WHERE user_lo = $1 AND user_hi = $2")?
        .query_row((low.get(), high.get()), |row| conversation_id(row, 0))
        .optional()?;
    if found.is_some() {
        return Ok(found);
    }
    if accounts::by_id(tx.db, user)?.is_none() || accounts::by_id(tx.db, other)?.is_none() {
        return Ok(None);
    }
    let (kind, members) = if user == other {
        (ConversationKind::SelfNotes, vec![user])
    } else {
        (ConversationKind::Direct, vec![user, other])
    };
    let conversation = insert_without_entries(tx, kind, members.len(), now)?;
    tx.db.prepare_cached("INSERT INTO directs (user_lo, user_hi, conversation_id) VALUES ($1, $2, $3)")?.execute((
        low.get(),
        high.get(),
        conversation.get(),
    ))?;
    for member in members {
        membership::enter(tx, conversation, member, Role::Member, Seq::FIRST, 1)?;
    }
    Ok(Some(conversation))
}

fn insert_without_entries(tx: &Tx<'_>, kind: ConversationKind, members: usize, now: Timestamp) -> Sql<ConversationId> {
    accounts::with_new_id(now, |id| {
        tx.db
            .prepare_cached(
                "INSERT INTO conversations (id, kind, last_active, member_count, history_visible, join_by_default,
                    created, changed)
                 VALUES ($1, $2, $3, $4, 1, 0, $3, $5) ON CONFLICT (id) DO NOTHING",
            )?
            .execute((id, kind.as_str(), now.millis(), i64::try_from(members).unwrap_or(i64::MAX), tx.number))
    })
}

/// The default conversations with room that a user was not offered; those they never were in are answered.
pub(super) fn take_default(tx: &Tx<'_>, user: UserId, group_members: usize) -> Sql<Vec<ConversationId>> {
    let offered = tx
        .db
        .prepare_cached(
            "SELECT c.id FROM conversations c WHERE c.join_by_default = 1 AND c.member_count < $1
                AND NOT EXISTS (SELECT 1 FROM default_offers o WHERE o.user_id = $2 AND o.conversation_id = c.id)
             ORDER BY c.id",
        )?
        .query_map((i64::try_from(group_members).unwrap_or(i64::MAX), user.get()), |row| conversation_id(row, 0))?
        .collect::<Sql<Vec<_>>>()?;
    let mut taken = Vec::new();
    for conversation in offered {
        tx.db
            .prepare_cached("INSERT INTO default_offers (user_id, conversation_id) VALUES ($1, $2)")?
            .execute((user.get(), conversation.get()))?;
        if membership::place(tx.db, conversation, user)?.is_none() {
            taken.push(conversation);
        }
    }
    Ok(taken)
}
