//! Rows of `entries`: writing them, and reading them even if they are damaged.

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};
use sparrow_protocol::{ClientMsgId, ConversationId, EntryKind, RequestHash, Seq, Timestamp, UserId};

use super::SYSTEM_USER;
use super::row::Sql;
use super::writer::Tx;
use crate::log::{Body, StoredEntry};

/// The columns that [`read`] takes, in its order.
macro_rules! columns {
    () => {
        "seq, kind, sender_id, time, client_msg_id, ref_seq, erased, body"
    };
}

const UNKNOWN_ID: [u8; 16] = [0xff; 16];

/// Adds an entry.
pub(super) fn insert(tx: &Tx<'_>, entry: &StoredEntry, hash: RequestHash) -> Sql<()> {
    let body = match &entry.body {
        Body::Kept(bytes) => Some(bytes.as_ref()),
        Body::Erased | Body::Damaged => None,
    };
    tx.db
        .prepare_cached(
            "INSERT INTO entries (conversation_id, seq, kind, sender_id, time, client_msg_id, request_hash, ref_seq,
                erased, body, changed)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )?
        .execute((
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
    Ok(())
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
        ", request_hash FROM entries WHERE client_msg_id = $1 AND sender_id = $2 AND conversation_id = $3"
    ))?
    .query_row((id.as_bytes(), sender.get(), conversation.get()), |row| {
        Ok((read(row, conversation)?, row.get::<_, [u8; 32]>(8).ok().map(RequestHash)))
    })
    .optional()
}

/// Entry `seq`, and the hash of its request.
pub(super) fn with_hash(
    db: &Connection,
    conversation: ConversationId,
    seq: Seq,
) -> Sql<Option<(StoredEntry, Option<RequestHash>)>> {
    db.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        ", request_hash FROM entries WHERE conversation_id = $1 AND seq = $2"
    ))?
    .query_row((conversation.get(), seq.get()), |row| {
        Ok((read(row, conversation)?, row.get::<_, [u8; 32]>(8).ok().map(RequestHash)))
    })
    .optional()
}

/// Visits the entries `from..=to`, all of which exist, in increasing or decreasing seq, until `visit` answers false.
/// Rows that cannot be read, or are gone, are visited as damaged ones.
pub(super) fn visit(
    db: &Connection,
    conversation: ConversationId,
    (from, to): (Seq, Seq),
    backward: bool,
    visit: &mut dyn FnMut(StoredEntry) -> bool,
) -> Sql<()> {
    let (mut low, mut high) = (from.get(), to.get());
    while low <= high {
        match run(db, conversation, (low, high), backward, visit) {
            Ok(None) => return Ok(()),
            // The row at the seq where reading stopped is missing.
            Ok(Some(stopped)) => {
                if !visit(damaged(conversation, stopped)) {
                    return Ok(());
                }
                if backward { high = stopped - 1 } else { low = stopped + 1 }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Visits consecutive rows; answers the seq of the first one that is missing or lies on a page that cannot be read.
fn run(
    db: &Connection,
    conversation: ConversationId,
    (low, high): (i64, i64),
    backward: bool,
    visit: &mut dyn FnMut(StoredEntry) -> bool,
) -> Sql<Option<i64>> {
    let forward = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE conversation_id = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq"
    );
    let mut statement =
        if backward { db.prepare_cached(&format!("{forward} DESC"))? } else { db.prepare_cached(forward)? };
    let mut rows = statement.query((conversation.get(), low, high))?;
    let (mut expected, step) = if backward { (high, -1) } else { (low, 1) };
    while (low..=high).contains(&expected) {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(Some(expected)),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                tracing::error!(%conversation, seq = expected, %error, "an entry cannot be read");
                return Ok(Some(expected));
            }
            Err(error) => return Err(error),
        };
        if row.get::<_, i64>(0) != Ok(expected) {
            return Ok(Some(expected));
        }
        if !visit(read(row, conversation)?) {
            return Ok(None);
        }
        expected += step;
    }
    Ok(None)
}

fn damaged(conversation: ConversationId, seq: i64) -> StoredEntry {
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
