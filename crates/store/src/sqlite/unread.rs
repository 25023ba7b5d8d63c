//! Unread messages and mentions: always counted, never kept.

use rusqlite::Connection;
use sparrow_protocol::{ConversationId, Seq, UserId};

use super::judge::EVERYBODY;
use super::positions::Unplaced;
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
        let unplaced = Unplaced::read(db, self.conversation)?;
        let mut placed = db.prepare_cached(
            "SELECT COUNT(*) FROM (
                SELECT 1 FROM positions WHERE conversation_id = $1 AND seq BETWEEN $2 AND $3
                    AND author <> $4 AND erased = 0 LIMIT $5) AS counted",
        )?;
        let mut counts = db.prepare_cached(
            "SELECT 1 FROM entries WHERE id = $1 AND kind = 'message' AND sender_id <> $2 AND erased = 0",
        )?;
        self.sum(|from, to, most| {
            let mut sum: u32 = placed
                .query_row((self.conversation.get(), from.get(), to.get(), self.user.get(), most), |row| row.get(0))?;
            for row in unplaced.rows(from, to) {
                sum += u32::from(counts.exists((row, self.user.get()))?);
            }
            Ok(sum.min(most))
        })
    }

    /// Such messages that name the user, or everybody.
    pub(super) fn mentions(&self, db: &Connection) -> Sql<u32> {
        let mut count = db.prepare_cached(
            "SELECT COUNT(*) FROM (
                SELECT DISTINCT n.seq FROM mentions n
                JOIN entries e ON e.id = n.entry
                WHERE n.conversation_id = $1 AND n.user_id IN ($2, $3) AND n.seq BETWEEN $4 AND $5
                    AND e.sender_id <> $2 AND e.erased = 0 LIMIT $6) AS counted",
        )?;
        self.sum(|from, to, most| {
            let values = (self.conversation.get(), self.user.get(), EVERYBODY, from.get(), to.get(), most);
            count.query_row(values, |row| row.get(0))
        })
    }

    fn sum(&self, mut count: impl FnMut(Seq, Seq, u32) -> Sql<u32>) -> Sql<u32> {
        let first = self.read.next().max(self.floor);
        let mut sum = 0;
        for interval in self.intervals {
            let from = interval.join.max(first);
            let to = interval.leave.map_or(Seq::MAX, Seq::prev);
            if from <= to && sum < MOST {
                sum += count(from, to, MOST - sum)?;
            }
        }
        Ok(sum)
    }
}
