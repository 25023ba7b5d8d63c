//! How the store breaks its rules when it is told to. Nothing here is in a build without the feature `sabotage`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;
use sparrow_protocol::{ClientMsgId, ConversationId, RequestHash, UserId};
use tokio::sync::oneshot;

use super::append::together;
use super::heads::Heads;
use super::row::Sql;
use super::writer::State;
use super::{Sqlite, epoch};
use crate::StoreError;
use crate::faults::{Rule, broken};
use crate::log::{Append, Appended, Batch, Outcome, StoredEntry};

type Key = (ClientMsgId, UserId, ConversationId);

thread_local! {
    /// What the writer remembers of ids instead of asking the log. Gone with its thread.
    static REMEMBERED: RefCell<HashMap<Key, (StoredEntry, RequestHash)>> = RefCell::default();
}

impl Sqlite {
    /// [`Rule::AckBeforeCommit`]: answers what the batch is about to become, and then stores it.
    pub(super) async fn append_after_answering(&self, batch: Arc<Batch>) -> Result<Appended, StoreError> {
        let (early, answer) = oneshot::channel();
        let (writer, group_members) = (self.writer.clone(), self.group_members);
        tokio::spawn(async move {
            let act = move |state: &mut State| {
                early.send(state.rehearse(|tx| together(tx, &batch, group_members)).map_err(StoreError::from)).ok();
                state.transact(|tx| together(tx, &batch, group_members))
            };
            writer.act(act).await
        });
        answer.await.map_err(|_| StoreError::Failed("the write panicked".to_owned()))?
    }
}

/// [`Rule::InMemoryDeduplication`]: lets the log hold an id twice.
pub(super) fn loosen(db: &Connection) -> Sql<()> {
    if !broken(Rule::InMemoryDeduplication) || epoch::fact(db, "loosened")?.is_some() {
        return Ok(());
    }
    let sql: String = db.query_row("SELECT sql FROM sqlite_master WHERE name = 'entries'", [], |row| row.get(0))?;
    let loose = sql.replace("UNIQUE (client_msg_id, sender_id, conversation_id)", "CHECK (TRUE)");
    db.execute_batch(&format!(
        "ALTER TABLE entries RENAME TO strict; {loose}; INSERT INTO entries SELECT * FROM strict; DROP TABLE strict;
         CREATE INDEX entries_loose ON entries (client_msg_id, sender_id, conversation_id)"
    ))?;
    epoch::set_fact(db, "loosened", "1")
}

/// [`Rule::InMemoryDeduplication`]: the statement that adds an entry, which does not mind an id that is there.
pub(super) fn insert(sql: &str) -> String {
    let once = "ON CONFLICT (client_msg_id, sender_id, conversation_id) DO NOTHING";
    if broken(Rule::InMemoryDeduplication) { sql.replace(once, "") } else { sql.to_owned() }
}

/// [`Rule::InMemoryDeduplication`]: what this command made in this life of the process.
pub(super) fn remembered(command: &Append) -> Option<(StoredEntry, Option<RequestHash>)> {
    let key = (command.client_msg_id, command.sender, command.conversation);
    REMEMBERED.with_borrow(|remembered| remembered.get(&key).cloned()).map(|(entry, hash)| (entry, Some(hash)))
}

/// Notes what [`remembered`] answers.
pub(super) fn remember(entry: &StoredEntry, hash: RequestHash) {
    if broken(Rule::InMemoryDeduplication) {
        let key = (entry.client_msg_id, entry.sender, entry.conversation);
        REMEMBERED.with_borrow_mut(|remembered| remembered.insert(key, (entry.clone(), hash)));
    }
}

/// [`Rule::SeqBeforeDeduplication`]: a duplicate has used up a number.
pub(super) fn use_up(heads: &mut Heads<'_>, command: &Append, outcome: Option<&Outcome>) -> Sql<()> {
    if broken(Rule::SeqBeforeDeduplication)
        && matches!(outcome, Some(Outcome::Duplicate(_)))
        && let Some(head) = heads.get(command.conversation)?
    {
        head.head = head.head.next();
        head.tail.push(0);
        head.changed = true;
    }
    Ok(())
}
