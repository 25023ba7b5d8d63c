//! Unread messages and mentions: always counted, never kept.

use rusqlite::Connection;
use sparrow_protocol::{ConversationId, Seq, UserId};

use super::judge::EVERYBODY;
use super::row::Sql;
use crate::log::Interval;

/// Counting stops here: it means "more than 999".
const MOST: u32 = 1_000;

/// What is counted: one user's part of one log after the read cursor.
pub(super) struct Unread<'a> {
    pub(super) user: UserId,
    pub(super) conversation: ConversationId,
    pub(super) intervals: &'a [Interval],
    pub(super) floor: Seq,
    pub(super) read: Seq,
}

impl Unread<'_> {
    /// Messages of others that are not erased.
    pub(super) fn messages(&self, db: &Connection) -> Sql<u32> {
        let mut count = db.prepare_cached(
            "SELECT COUNT(*) FROM (
                SELECT 1 FROM entries WHERE kind = 'message' AND conversation_id = $1 AND seq BETWEEN $2 AND $3
                    AND sender_id <> $4 AND erased = 0 LIMIT $5) AS counted",
        )?;
        self.sum(|from, to, most| {
            count.query_row((self.conversation.get(), from, to, self.user.get(), most), |row| row.get(0))
        })
    }

    /// Such messages that name the user, or everybody.
    pub(super) fn mentions(&self, db: &Connection) -> Sql<u32> {
        let mut count = db.prepare_cached(
            "SELECT COUNT(*) FROM (
                SELECT DISTINCT n.seq FROM mentions n
                JOIN entries e ON e.conversation_id = n.conversation_id AND e.seq = n.seq
                WHERE n.conversation_id = $1 AND n.user_id IN ($2, $3) AND n.seq BETWEEN $4 AND $5
                    AND e.sender_id <> $2 AND e.erased = 0 LIMIT $6) AS counted",
        )?;
        self.sum(|from, to, most| {
            let values = (self.conversation.get(), self.user.get(), EVERYBODY, from, to, most);
            count.query_row(values, |row| row.get(0))
        })
    }

    fn sum(&self, mut count: impl FnMut(i64, i64, u32) -> Sql<u32>) -> Sql<u32> {
        let first = self.read.next().max(self.floor);
        let mut sum = 0;
        for interval in self.intervals {
            let from = interval.join.max(first);
            let to = interval.leave.map_or(i64::MAX, |leave| leave.prev().get());
            if from.get() <= to && sum < MOST {
                sum += count(from.get(), to, MOST - sum)?;
            }
        }
        Ok(sum)
    }
}
