//! Where the entries of a log are: from `(conversation, seq)` to rows of `entries`.
//!
//! Written entry by entry, an index of positions changes a page for each conversation that a batch concerns, and pages
//! are what a commit costs. So the rows of a log's last entries wait in the row of its conversation, the tail, which an
//! append writes anyway, and move to `positions` [`RUN`] at a time. docs/benchmarks.md says what that saves.

use rusqlite::{Connection, OptionalExtension};
use sparrow_protocol::{ConversationId, Seq};

use super::row::{Sql, seq};
use super::writer::Tx;

/// Entries that move from a tail to `positions` together; few under test, so that every test has both.
const RUN: i64 = if cfg!(test) { 4 } else { 32 };
/// Bytes of a row's number in a tail.
const ROW: usize = size_of::<i64>();

/// The rows of the last entries of a log, up to its head.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    rows: Vec<i64>,
}

impl Tail {
    /// Reads the column. Bytes that are no whole row are passed over; the entries then come out as damaged.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self { rows: bytes.as_chunks::<ROW>().0.iter().map(|row| i64::from_le_bytes(*row)).collect() }
    }

    /// The column.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.rows.iter().flat_map(|row| row.to_le_bytes()).collect()
    }

    /// Adds the row of the entry that is the head now.
    pub(super) fn push(&mut self, row: i64) {
        self.rows.push(row);
    }

    /// The row of the head, if it is here.
    pub(super) fn last(&self) -> Option<i64> {
        self.rows.last().copied()
    }

    /// Moves the rows of whole runs to `positions`. Where runs end differs by conversation, so that logs that grow in step
    /// do not all place theirs in one batch.
    pub(super) fn place_runs(&mut self, tx: &Tx<'_>, conversation: ConversationId, head: Seq) -> Sql<()> {
        let begun = conversation.get().wrapping_add(head.get()).rem_euclid(RUN);
        let whole = self.rows.len().saturating_sub(usize::try_from(begun).unwrap_or_default());
        if whole == 0 {
            return Ok(());
        }
        let mut place = tx.db.prepare_cached(
            "INSERT INTO positions (conversation_id, seq, entry, author, erased)
             SELECT conversation_id, seq, id, CASE WHEN kind = 'message' THEN sender_id END, erased
             FROM entries WHERE id = $1",
        )?;
        for row in self.rows.drain(..whole) {
            place.execute([row])?;
        }
        Ok(())
    }
}

/// The tail of a log as a reader has it: which seq each row is.
#[derive(Debug, Default)]
pub(super) struct Unplaced {
    /// The first seq whose row is here, if any is.
    pub(super) first: Seq,
    rows: Vec<i64>,
}

impl Unplaced {
    /// The tail of a conversation.
    pub(super) fn read(db: &Connection, conversation: ConversationId) -> Sql<Self> {
        let found = db
            .prepare_cached("SELECT head, tail FROM conversations WHERE id = $1")?
            .query_row([conversation.get()], |row| Ok((seq(row, 0)?, Tail::from_bytes(row.get_ref(1)?.as_blob()?))))
            .optional()?;
        let (head, Tail { rows }) = found.unwrap_or_default();
        let length = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        Ok(Self { first: Seq::new(head.get() - length + 1).unwrap_or(Seq::FIRST), rows })
    }

    /// The row of an entry, if it is here.
    pub(super) fn row(&self, seq: Seq) -> Option<i64> {
        let at = usize::try_from(seq.get().checked_sub(self.first.get())?).ok()?;
        self.rows.get(at).copied()
    }

    /// The rows of `from..=to` that are here, in increasing seq.
    pub(super) fn rows(&self, from: Seq, to: Seq) -> impl DoubleEndedIterator<Item = i64> {
        let seqs = (self.first.get()..).zip(&self.rows).map(|(seq, row)| (seq, *row));
        let seqs: Vec<_> = seqs.filter(|(seq, _)| (from.get()..=to.get()).contains(seq)).collect();
        seqs.into_iter().map(|(_, row)| row)
    }
}

/// The row of an entry; `None` if there is none.
pub(super) fn row_of(db: &Connection, conversation: ConversationId, seq: Seq) -> Sql<Option<i64>> {
    if let Some(row) = Unplaced::read(db, conversation)?.row(seq) {
        return Ok(Some(row));
    }
    db.prepare_cached("SELECT entry FROM positions WHERE conversation_id = $1 AND seq = $2")?
        .query_row((conversation.get(), seq.get()), |row| row.get(0))
        .optional()
}
