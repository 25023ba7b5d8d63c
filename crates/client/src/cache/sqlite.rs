//! The SQL of the cache. Every function is one job; transactions are begun and ended by the thread that runs them.

use std::fs::File;
use std::path::Path;

use prost::Message as _;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use sparrow_protocol::EntryKind;
use sparrow_protocol::v1::{Content, ConversationState, Entry, OwnState};

use super::{Change, OutboxPage, Outgoing, Saved, Snapshot, Waiting, Whose};
use crate::error::Error;
use crate::events::LostMessage;
use crate::session::{create_private_directory, private_file};

const FILE: &str = "cache.db";
const LOCK: &str = "cache.lock";
/// Of this file's tables. A cache of another version is refused rather than guessed at.
const VERSION: i64 = 1;
/// Messages that may wait in the outbox.
const OUTBOX_MESSAGES: i64 = 10_000;
/// Entries read from the queue at once.
const WAITING_AT_ONCE: u32 = 64;

const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE conversations (
        id INTEGER PRIMARY KEY, state BLOB NOT NULL, position INTEGER NOT NULL, oldest INTEGER NOT NULL);
    CREATE TABLE entries (
        conversation_id INTEGER NOT NULL, seq INTEGER NOT NULL, entry BLOB NOT NULL,
        PRIMARY KEY (conversation_id, seq)) WITHOUT ROWID;
    -- Entries that nobody has handled, in the order in which they became part of the stream.
    CREATE TABLE inbox (
        place INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id INTEGER NOT NULL, seq INTEGER NOT NULL,
        UNIQUE (conversation_id, seq));
    CREATE TABLE outbox (
        place INTEGER PRIMARY KEY AUTOINCREMENT, local_id TEXT NOT NULL UNIQUE, conversation_id INTEGER NOT NULL,
        content BLOB NOT NULL, code TEXT, message TEXT);
    CREATE TABLE own_state (
        kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
    -- Logs of an earlier epoch, until it is known what has come again.
    CREATE TABLE former (
        conversation_id INTEGER NOT NULL, seq INTEGER NOT NULL, entry BLOB NOT NULL, handled INTEGER NOT NULL,
        PRIMARY KEY (conversation_id, seq)) WITHOUT ROWID;
";

type Result<T> = rusqlite::Result<T>;

/// Opens or makes the database. The file is the lock that keeps a second client out; `None` for memory.
pub(super) fn open(directory: Option<&Path>, user: i64) -> std::result::Result<(Connection, Option<File>), Error> {
    let (connection, lock) = match directory {
        None => (Connection::open_in_memory().map_err(|e| Error::Storage(e.to_string()))?, None),
        Some(directory) => {
            let lock = lock(directory).map_err(|e| Error::Storage(e.to_string()))?;
            let file = directory.join(FILE);
            (Connection::open(file).map_err(|e| Error::Storage(e.to_string()))?, Some(lock))
        }
    };
    prepare(&connection)?;
    let in_trouble = |error| trouble(&connection, error);
    let owner = meta(&connection, "user").map_err(in_trouble)?;
    if owner.is_empty() {
        set_meta(&connection, "user", &user.to_string()).map_err(in_trouble)?;
    } else if owner != user.to_string() {
        let cure = "it belongs to another account; choose another directory for this one";
        return Err(Error::Storage(cure.to_owned()));
    }
    Ok((connection, lock))
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
pub(super) fn trouble(db: &Connection, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Error::Damaged(db.path().unwrap_or_default().into())
        }
        _ => Error::Storage(error.to_string()),
    }
}

fn lock(directory: &Path) -> std::io::Result<File> {
    create_private_directory(directory)?;
    // SQLite would make the file with the process's default mode, and gives its journals the mode of the file.
    private_file().create(true).truncate(false).write(true).open(directory.join(FILE))?;
    let lock = private_file().create(true).truncate(false).write(true).open(directory.join(LOCK))?;
    lock.try_lock().map_err(|_| std::io::Error::other("another program uses it"))?;
    Ok(lock)
}

fn prepare(db: &Connection) -> std::result::Result<(), Error> {
    let in_trouble = |error| trouble(db, error);
    db.pragma_update(None, "journal_mode", "WAL").map_err(in_trouble)?;
    db.set_prepared_statement_cache_capacity(64);
    match db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).map_err(in_trouble)? {
        0 => {
            // Both or neither: tables without their version would be made again.
            let tables = format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;");
            db.execute_batch(&tables).map_err(in_trouble)
        }
        VERSION => Ok(()),
        other => {
            let cure = "use that version, or another directory";
            Err(Error::Storage(format!("it was written by another version of the program ({other}); {cure}")))
        }
    }
}

/// Begins a transaction. One that is not durable may be lost with the power, never torn: what it held is pulled again.
pub(super) fn begin(db: &Connection, durable: bool) -> Result<()> {
    db.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
    db.execute_batch("BEGIN IMMEDIATE")
}

pub(super) fn commit(db: &Connection) -> Result<()> {
    db.execute_batch("COMMIT").inspect_err(|_| {
        // Fails if the failed commit has already rolled back, which is what is wanted.
        drop(db.execute_batch("ROLLBACK"));
    })
}

/// Runs a job so that it is done whole or not at all, whatever shares its transaction.
pub(super) fn in_savepoint<T>(db: &Connection, job: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    db.execute_batch("SAVEPOINT job")?;
    let outcome = job(db);
    if outcome.is_err() {
        db.execute_batch("ROLLBACK TO job")?;
    }
    db.execute_batch("RELEASE job")?;
    outcome
}

fn meta(db: &Connection, key: &str) -> Result<String> {
    let value =
        db.prepare_cached("SELECT value FROM meta WHERE key = $1")?.query_row([key], |row| row.get(0)).optional()?;
    Ok(value.unwrap_or_default())
}

fn set_meta(db: &Connection, key: &str, value: &str) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ($1, $2)")?.execute([key, value])?;
    Ok(())
}

/// A stored message.
fn decode<M: prost::Message + Default>(row: &Row<'_>, column: usize) -> Result<M> {
    let bytes = row.get_ref(column)?.as_blob()?;
    M::decode(bytes)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(e)))
}

pub(super) fn snapshot(db: &Connection) -> Result<Snapshot> {
    let comparing = db.query_row("SELECT EXISTS (SELECT 1 FROM former)", [], |row| row.get(0))?;
    let epoch = meta(db, "epoch")?;
    Ok(Snapshot { epoch, cursor: meta(db, "cursor")?, conversations: conversations(db)?, comparing })
}

pub(super) fn conversations(db: &Connection) -> Result<Vec<Saved>> {
    let mut query = db.prepare_cached("SELECT state, position, oldest FROM conversations ORDER BY id")?;
    query.query_map([], read_saved)?.collect()
}

pub(super) fn saved(db: &Connection, conversation: i64) -> Result<Option<Saved>> {
    let mut query = db.prepare_cached("SELECT state, position, oldest FROM conversations WHERE id = $1")?;
    query.query_row([conversation], read_saved).optional()
}

fn read_saved(row: &Row<'_>) -> Result<Saved> {
    Ok(Saved { state: decode(row, 0)?, position: row.get(1)?, oldest: row.get(2)? })
}

pub(super) fn apply(db: &Connection, changes: &[Change], keep: u32) -> Result<()> {
    for change in changes {
        match change {
            Change::Opened { state, position } => open_conversation(db, state, *position)?,
            Change::State(state) => {
                let mut update = db.prepare_cached("UPDATE conversations SET state = $1 WHERE id = $2")?;
                update.execute(params![state.encode_to_vec(), state.conversation_id])?;
            }
            Change::Forgotten(id) => {
                db.prepare_cached("DELETE FROM conversations WHERE id = $1")?.execute([id])?;
                // What nobody has handled stays until somebody has.
                let mut delete = db.prepare_cached(
                    "DELETE FROM entries WHERE conversation_id = $1
                     AND seq NOT IN (SELECT seq FROM inbox WHERE conversation_id = $1)",
                )?;
                delete.execute([id])?;
            }
            Change::Advanced { conversation, entries, position } => {
                advance(db, *conversation, entries, *position)?;
                trim(db, *conversation, *position, keep)?;
            }
            Change::Cursor(cursor) => set_meta(db, "cursor", cursor)?,
            Change::OwnState(states) => store_own_state(db, states)?,
            Change::Sent { local_id } => {
                db.prepare_cached("DELETE FROM outbox WHERE local_id = $1")?.execute([local_id])?;
            }
            Change::Failed { local_id, code, message } => {
                let mut update = db.prepare_cached("UPDATE outbox SET code = $1, message = $2 WHERE local_id = $3")?;
                update.execute([code, message, local_id])?;
            }
            Change::Epoch(epoch) => change_epoch(db, epoch)?,
        }
    }
    Ok(())
}

fn open_conversation(db: &Connection, state: &ConversationState, position: i64) -> Result<()> {
    let mut insert = db
        .prepare_cached("INSERT OR REPLACE INTO conversations (id, state, position, oldest) VALUES ($1, $2, $3, $4)")?;
    insert.execute(params![state.conversation_id, state.encode_to_vec(), position, position + 1])?;
    Ok(())
}

fn advance(db: &Connection, conversation: i64, entries: &[Entry], position: i64) -> Result<()> {
    let mut keep =
        db.prepare_cached("INSERT OR REPLACE INTO entries (conversation_id, seq, entry) VALUES ($1, $2, $3)")?;
    let mut queue = db.prepare_cached("INSERT OR IGNORE INTO inbox (conversation_id, seq) VALUES ($1, $2)")?;
    for entry in entries {
        keep.execute(params![conversation, entry.seq, entry.encode_to_vec()])?;
        if !came_again(db, entry)? {
            queue.execute([conversation, entry.seq])?;
        }
    }
    db.prepare_cached("UPDATE conversations SET position = $1 WHERE id = $2")?.execute([position, conversation])?;
    Ok(())
}

/// Drops what is older than the newest `keep`, up to the first entry that nobody has handled: the log that is kept has
/// no holes.
fn trim(db: &Connection, conversation: i64, position: i64, keep: u32) -> Result<()> {
    let mut waiting = db.prepare_cached("SELECT min(seq) FROM inbox WHERE conversation_id = $1")?;
    let waiting: Option<i64> = waiting.query_row([conversation], |row| row.get(0))?;
    let oldest = position - i64::from(keep) + 1;
    let oldest = waiting.map_or(oldest, |waiting| oldest.min(waiting));
    let mut update = db.prepare_cached("UPDATE conversations SET oldest = $1 WHERE id = $2 AND oldest < $1")?;
    if update.execute([oldest, conversation])? > 0 {
        let mut delete = db.prepare_cached("DELETE FROM entries WHERE conversation_id = $1 AND seq < $2")?;
        delete.execute([conversation, oldest])?;
    }
    Ok(())
}

/// True if an entry was handled in an earlier epoch and is the same in this one.
fn came_again(db: &Connection, entry: &Entry) -> Result<bool> {
    let key = [entry.conversation_id, entry.seq];
    let mut query = db.prepare_cached("SELECT entry, handled FROM former WHERE conversation_id = $1 AND seq = $2")?;
    let former = query.query_row(key, |row| Ok((decode::<Entry>(row, 0)?, row.get::<_, bool>(1)?))).optional()?;
    let Some((former, handled)) = former else { return Ok(false) };
    let same = is_same(&former, entry);
    if same {
        db.prepare_cached("DELETE FROM former WHERE conversation_id = $1 AND seq = $2")?.execute(key)?;
    }
    Ok(same && handled)
}

/// True for the same message in two lives of a database.
fn is_same(one: &Entry, other: &Entry) -> bool {
    one.sender_id == other.sender_id && one.client_msg_id == other.client_msg_id
}

fn change_epoch(db: &Connection, epoch: &str) -> Result<()> {
    db.execute_batch(
        "INSERT OR REPLACE INTO former (conversation_id, seq, entry, handled)
             SELECT e.conversation_id, e.seq, e.entry, i.place IS NULL
             FROM entries e LEFT JOIN inbox i ON i.conversation_id = e.conversation_id AND i.seq = e.seq;
         DELETE FROM entries;
         DELETE FROM inbox;
         DELETE FROM own_state;
         UPDATE conversations SET position = oldest - 1;",
    )?;
    set_meta(db, "cursor", "")?;
    set_meta(db, "epoch", epoch)
}

pub(super) fn take_lost(db: &Connection, user: i64) -> Result<Vec<LostMessage>> {
    let mut query = db.prepare_cached("SELECT entry FROM former ORDER BY conversation_id, seq")?;
    let all: Vec<Entry> = query.query_map([], |row| decode(row, 0))?.collect::<Result<_>>()?;
    db.execute_batch("DELETE FROM former")?;
    let mine = |entry: &Entry| entry.sender_id == user && entry.kind == EntryKind::Message.as_str();
    Ok(all.into_iter().filter(mine).map(|entry| LostMessage { entry }).collect())
}

fn store_own_state(db: &Connection, states: &[OwnState]) -> Result<()> {
    for state in states {
        if state.value.is_empty() {
            let mut delete = db.prepare_cached("DELETE FROM own_state WHERE kind = $1 AND key = $2")?;
            delete.execute([&state.kind, &state.key])?;
        } else {
            let mut insert =
                db.prepare_cached("INSERT OR REPLACE INTO own_state (kind, key, value) VALUES ($1, $2, $3)")?;
            insert.execute([&state.kind, &state.key, &state.value])?;
        }
    }
    Ok(())
}

pub(super) fn own_state(db: &Connection) -> Result<Vec<OwnState>> {
    let mut query = db.prepare_cached("SELECT kind, key, value FROM own_state ORDER BY kind, key")?;
    let read = |row: &Row<'_>| Ok(OwnState { kind: row.get(0)?, key: row.get(1)?, value: row.get(2)? });
    query.query_map([], read)?.collect()
}

pub(super) fn enqueue(db: &Connection, local_id: &str, conversation: i64, content: &Content) -> Result<bool> {
    let count: i64 = db.prepare_cached("SELECT count(*) FROM outbox")?.query_row([], |row| row.get(0))?;
    if count >= OUTBOX_MESSAGES {
        return Ok(false);
    }
    let mut insert =
        db.prepare_cached("INSERT INTO outbox (local_id, conversation_id, content) VALUES ($1, $2, $3)")?;
    insert.execute(params![local_id, conversation, content.encode_to_vec()])?;
    Ok(true)
}

fn read_outgoing(row: &Row<'_>) -> Result<Outgoing> {
    let code: Option<String> = row.get(4)?;
    let message: Option<String> = row.get(5)?;
    Ok(Outgoing {
        place: row.get(0)?,
        local_id: row.get(1)?,
        conversation: row.get(2)?,
        content: decode(row, 3)?,
        failure: code.map(|code| (code, message.unwrap_or_default())),
    })
}

pub(super) fn outbox_page(db: &Connection, page: &OutboxPage) -> Result<Vec<Outgoing>> {
    let (one, except) = match &page.of {
        Whose::One(conversation) => (Some(*conversation), String::from("[]")),
        Whose::AllBut(conversations) => (None, serde_json::json!(conversations).to_string()),
    };
    let mut query = db.prepare_cached(
        "SELECT place, local_id, conversation_id, content, code, message FROM outbox
         WHERE place > $1 AND code IS NULL AND conversation_id = coalesce($2, conversation_id)
         AND conversation_id NOT IN (SELECT value FROM json_each($3)) ORDER BY place LIMIT $4",
    )?;
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    query.query_map(params![page.after, one, except, limit], read_outgoing)?.collect()
}

pub(super) fn outbox(db: &Connection) -> Result<Vec<Outgoing>> {
    let mut query = db
        .prepare_cached("SELECT place, local_id, conversation_id, content, code, message FROM outbox ORDER BY place")?;
    query.query_map([], read_outgoing)?.collect()
}

pub(super) fn unsent(db: &Connection) -> Result<i64> {
    db.prepare_cached("SELECT count(*) FROM outbox WHERE code IS NULL")?.query_row([], |row| row.get(0))
}

pub(super) fn discard(db: &Connection, local_id: &str) -> Result<bool> {
    // Only a failed one: any other may be on its way, and would arrive all the same.
    let mut delete = db.prepare_cached("DELETE FROM outbox WHERE local_id = $1 AND code IS NOT NULL")?;
    Ok(delete.execute([local_id])? > 0)
}

pub(super) fn waiting(db: &Connection, after: i64) -> Result<Vec<Waiting>> {
    let mut query = db.prepare_cached(
        "SELECT i.place, e.entry FROM inbox i
         JOIN entries e ON e.conversation_id = i.conversation_id AND e.seq = i.seq
         WHERE i.place > $1 ORDER BY i.place LIMIT $2",
    )?;
    let read = |row: &Row<'_>| Ok(Waiting { place: row.get(0)?, entry: decode(row, 1)? });
    query.query_map(params![after, WAITING_AT_ONCE], read)?.collect()
}

pub(super) fn handled(db: &Connection, waiting: &Waiting) -> Result<()> {
    if db.prepare_cached("DELETE FROM inbox WHERE place = $1")?.execute([waiting.place])? > 0 {
        return Ok(());
    }
    // The epoch changed meanwhile. Either the entry has come again already, or it may still come.
    let key = [waiting.entry.conversation_id, waiting.entry.seq];
    for (find, settle) in [
        (
            "SELECT entry FROM entries WHERE conversation_id = $1 AND seq = $2",
            "DELETE FROM inbox WHERE conversation_id = $1 AND seq = $2",
        ),
        (
            "SELECT entry FROM former WHERE conversation_id = $1 AND seq = $2",
            "UPDATE former SET handled = 1 WHERE conversation_id = $1 AND seq = $2",
        ),
    ] {
        let found = db.prepare_cached(find)?.query_row(key, |row| decode::<Entry>(row, 0)).optional()?;
        if found.is_some_and(|found| is_same(&found, &waiting.entry)) {
            db.prepare_cached(settle)?.execute(key)?;
        }
    }
    Ok(())
}

pub(super) fn before(db: &Connection, conversation: i64, seq: i64, limit: u32) -> Result<Vec<Entry>> {
    let mut query = db.prepare_cached(
        "SELECT entry FROM entries WHERE conversation_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
    )?;
    let mut entries: Vec<Entry> =
        query.query_map(params![conversation, seq, limit], |row| decode(row, 0))?.collect::<Result<_>>()?;
    entries.reverse();
    Ok(entries)
}

pub(super) fn add_older(db: &Connection, conversation: i64, entries: &[Entry], oldest: i64, keep: u32) -> Result<()> {
    let mut update =
        db.prepare_cached("UPDATE conversations SET oldest = $1 WHERE id = $2 AND oldest > $1 AND position - $1 < $3")?;
    if update.execute([oldest, conversation, i64::from(keep)])? == 0 {
        return Ok(());
    }
    let mut insert =
        db.prepare_cached("INSERT OR REPLACE INTO entries (conversation_id, seq, entry) VALUES ($1, $2, $3)")?;
    for entry in entries {
        insert.execute(params![conversation, entry.seq, entry.encode_to_vec()])?;
    }
    Ok(())
}
