//! The conversations that a batch concerns: each is read once and written once, after the batch's last command.

use std::collections::HashMap;

use rusqlite::OptionalExtension;
use sparrow_protocol::{ConversationId, ConversationKind, Seq, Timestamp};

use super::positions::Tail;
use super::row::{Sql, seq, time, word};
use super::writer::Tx;
use crate::log::NewGroup;

/// A conversation as the commands so far have left it.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) kind: ConversationKind,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) head: Seq,
    /// Where the last entries are.
    pub(super) tail: Tail,
    pub(super) last_message: Seq,
    pub(super) last_active: Timestamp,
    pub(super) members_version: i64,
    pub(super) member_count: usize,
    pub(super) history_visible: bool,
    pub(super) join_by_default: bool,
    /// True once a command has changed it.
    pub(super) changed: bool,
}

/// The conversations of one batch.
pub(super) struct Heads<'a> {
    tx: &'a Tx<'a>,
    known: HashMap<ConversationId, Head>,
}

impl<'a> Heads<'a> {
    pub(super) fn new(tx: &'a Tx<'a>) -> Self {
        Self { tx, known: HashMap::new() }
    }

    /// A conversation; `None` if it does not exist.
    pub(super) fn get(&mut self, id: ConversationId) -> Sql<Option<&mut Head>> {
        if !self.known.contains_key(&id)
            && let Some(head) = read(self.tx, id)?
        {
            self.known.insert(id, head);
        }
        Ok(self.known.get_mut(&id))
    }

    /// Makes the row of a group without entries.
    pub(super) fn insert(&self, id: ConversationId, group: &NewGroup, members: usize, now: Timestamp) -> Sql<()> {
        self.tx
            .db
            .prepare_cached(
                "INSERT INTO conversations (id, kind, name, description, last_active, member_count, history_visible,
                    join_by_default, created, changed)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $5, $9)",
            )?
            .execute((
                id.get(),
                ConversationKind::Group.as_str(),
                &group.name,
                &group.description,
                now.millis(),
                count(members),
                i64::from(group.history_visible),
                i64::from(group.join_by_default),
                self.tx.number,
            ))?;
        Ok(())
    }

    /// Writes the conversations that commands have changed, each once.
    pub(super) fn write(&mut self) -> Sql<()> {
        let mut update = self.tx.db.prepare_cached(
            "UPDATE conversations SET name = $1, description = $2, head = $3, last_message_seq = $4, last_active = $5,
                members_version = $6, member_count = $7, changed = $8, tail = $9
             WHERE id = $10",
        )?;
        for (id, head) in self.known.iter_mut().filter(|(_, head)| head.changed) {
            head.tail.place_runs(self.tx, *id, head.head)?;
            update.execute((
                &head.name,
                &head.description,
                head.head.get(),
                head.last_message.get(),
                head.last_active.millis(),
                head.members_version,
                count(head.member_count),
                self.tx.number,
                head.tail.to_bytes(),
                id.get(),
            ))?;
            head.changed = false;
        }
        Ok(())
    }
}

fn read(tx: &Tx<'_>, id: ConversationId) -> Sql<Option<Head>> {
    tx.db
        .prepare_cached(
            "SELECT kind, name, description, head, last_message_seq, last_active, members_version, member_count,
                history_visible, join_by_default, tail
             FROM conversations WHERE id = $1",
        )?
        .query_row([id.get()], |row| {
            Ok(Head {
                kind: word(row, 0)?,
                name: row.get(1)?,
                description: row.get(2)?,
                head: seq(row, 3)?,
                tail: Tail::from_bytes(row.get_ref(10)?.as_blob()?),
                last_message: seq(row, 4)?,
                last_active: time(row, 5)?,
                members_version: row.get(6)?,
                member_count: row.get::<_, u32>(7)? as usize,
                history_visible: row.get(8)?,
                join_by_default: row.get(9)?,
                changed: false,
            })
        })
        .optional()
}

/// A number of members as a column.
fn count(members: usize) -> i64 {
    i64::try_from(members).unwrap_or(i64::MAX)
}
