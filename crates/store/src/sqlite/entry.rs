//! Rows of `entries`: writing them, and reading them even if they are damaged. [`super::walk`] reads ranges.

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use sparrow_protocol::{ClientMsgId, ConversationId, EntryKind, RequestHash, Seq, Timestamp, UserId};

use super::SYSTEM_USER;
use super::positions::{self, Unplaced};
use super::row::{Sql, seq, user_id};
use super::writer::Tx;
use crate::log::{Body, StoredEntry};

/// The columns of `entries e` that [`read`] takes, in its order.
macro_rules! columns {
    () => {
        "e.seq, e.kind, e.sender_id, e.time, e.client_msg_id, e.ref_seq, e.erased, e.body"
    };
}
pub(super) use columns;

const UNKNOWN_ID: [u8; 16] = [0xff; 16];

/// Adds an entry; answers its row, or `None` if its sender has used the id in this conversation before.
pub(super) fn insert(tx: &Tx<'_>, entry: &StoredEntry, hash: RequestHash) -> Sql<Option<i64>> {
    let body = match &entry.body {
        Body::Kept(bytes) => Some(bytes.as_ref()),
        Body::Erased | Body::Damaged => None,
    };
    let sql = "INSERT INTO entries (conversation_id, seq, kind, sender_id, time, client_msg_id, request_hash, ref_seq,
                erased, body, changed)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (client_msg_id, sender_id, conversation_id) DO NOTHING";
    #[cfg(feature = "sabotage")]
    let sql = &super::sabotaged::insert(sql);
    let inserted = tx.db.prepare_cached(sql)?.execute((
        entry.conversation.get(),
        entry.seq.get(),
        entry.kind.as_str(),
        entry.sender.get(),
        entry.time.millis(),
        entry.client_msg_id.as_bytes(),
        hash.0,
        entry.ref_seq.map(Seq::get),
        i64::from(body.is_none()),
        body,
        tx.number,
    ))?;
    Ok((inserted == 1).then(|| tx.db.last_insert_rowid()))
}

/// The entry that this id of this sender made in this conversation, and the hash of its request.
pub(super) fn by_client_id(
    db: &Connection,
    id: ClientMsgId,
    sender: UserId,
    conversation: ConversationId,
) -> Sql<Option<(StoredEntry, Option<RequestHash>)>> {
    db.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        ", e.request_hash FROM entries e
         WHERE e.client_msg_id = $1 AND e.sender_id = $2 AND e.conversation_id = $3"
    ))?
    .query_row((id.as_bytes(), sender.get(), conversation.get()), |row| {
        Ok((read(row, conversation)?, row.get::<_, [u8; 32]>(8).ok().map(RequestHash)))
    })
    .optional()
}

/// The first entry of a log, and the hash of its request.
pub(super) fn first_with_hash(
    db: &Connection,
    conversation: ConversationId,
) -> Sql<Option<(StoredEntry, Option<RequestHash>)>> {
    let Some(row) = positions::row_of(db, conversation, Seq::FIRST)? else { return Ok(None) };
    db.prepare_cached(concat!("SELECT ", columns!(), ", e.request_hash FROM entries e WHERE e.id = $1"))?
        .query_row([row], |row| Ok((read(row, conversation)?, row.get::<_, [u8; 32]>(8).ok().map(RequestHash))))
        .optional()
}

/// Who wrote message `seq`; `None` if there is no such message.
pub(super) fn author(db: &Connection, conversation: ConversationId, seq: Seq) -> Sql<Option<UserId>> {
    let Some(row) = positions::row_of(db, conversation, seq)? else { return Ok(None) };
    db.prepare_cached("SELECT sender_id FROM entries WHERE id = $1 AND kind = 'message'")?
        .query_row([row], |row| user_id(row, 0))
        .optional()
}

/// The last message of `from..=to`.
pub(super) fn last_message(db: &Connection, conversation: ConversationId, from: Seq, to: Seq) -> Sql<Option<Seq>> {
    let mut message = db.prepare_cached("SELECT seq FROM entries WHERE id = $1 AND kind = 'message'")?;
    for row in Unplaced::read(db, conversation)?.rows(from, to).rev() {
        if let Some(found) = message.query_row([row], |row| seq(row, 0)).optional()? {
            return Ok(Some(found));
        }
    }
    db.prepare_cached(
        "SELECT seq FROM positions WHERE conversation_id = $1 AND seq BETWEEN $2 AND $3 AND author IS NOT NULL
         ORDER BY seq DESC LIMIT 1",
    )?
    .query_row((conversation.get(), from.get(), to.get()), |row| seq(row, 0))
    .optional()
}

/// What stands for a row that cannot be read.
pub(super) fn damaged(conversation: ConversationId, seq: i64) -> StoredEntry {
    tracing::error!(%conversation, seq, "an entry is damaged");
    StoredEntry {
        conversation,
        seq: Seq::new(seq).unwrap_or_default(),
        kind: EntryKind::Message,
        sender: SYSTEM_USER,
        time: Timestamp::default(),
        client_msg_id: uuid::Uuid::from_bytes(UNKNOWN_ID).into(),
        ref_seq: None,
        body: Body::Damaged,
    }
}

/// Reads a row; whatever cannot be read makes it a damaged one that keeps what can be.
pub(super) fn read(row: &Row<'_>, conversation: ConversationId) -> Sql<StoredEntry> {
    let seq: i64 = row.get(0)?;
    match read_sound(row, conversation, seq) {
        Some(entry) => Ok(entry),
        None => Ok(StoredEntry {
            kind: text(row, 1).and_then(|kind| kind.parse().ok()).unwrap_or(EntryKind::Message),
            sender: row.get(2).ok().and_then(UserId::new).unwrap_or(SYSTEM_USER),
            time: Timestamp::from_millis(row.get(3).unwrap_or_default()),
            client_msg_id: client_msg_id(row).unwrap_or_else(|| uuid::Uuid::from_bytes(UNKNOWN_ID).into()),
            ref_seq: row.get(5).ok().flatten().and_then(Seq::new),
            ..damaged(conversation, seq)
        }),
    }
}

fn read_sound(row: &Row<'_>, conversation: ConversationId, seq: i64) -> Option<StoredEntry> {
    let ref_seq: Option<i64> = row.get(5).ok()?;
    let body = match (row.get::<_, i64>(6).ok()?, row.get_ref(7).ok()?) {
        (0, ValueRef::Blob(bytes)) => Body::Kept(Bytes::copy_from_slice(bytes)),
        (1, ValueRef::Null) => Body::Erased,
        _ => return None,
    };
    Some(StoredEntry {
        conversation,
        seq: Seq::new(seq)?,
        kind: text(row, 1)?.parse().ok()?,
        sender: row.get(2).ok().and_then(UserId::new)?,
        time: Timestamp::from_millis(row.get(3).ok()?),
        client_msg_id: client_msg_id(row)?,
        ref_seq: match ref_seq {
            Some(number) => Some(Seq::new(number)?),
            None => None,
        },
        body,
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Option<&'a str> {
    row.get_ref(column).ok()?.as_str().ok()
}

fn client_msg_id(row: &Row<'_>) -> Option<ClientMsgId> {
    ClientMsgId::new(row.get(4).ok()?)
}
