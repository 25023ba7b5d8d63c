//! Walking over a range of a log, whose rows are partly placed and partly in the tail. Rows that cannot be read, or are
//! gone, come out as damaged entries.

use rusqlite::{Connection, ErrorCode, OptionalExtension};
use sparrow_protocol::{ConversationId, Seq};

use super::entry::{columns, damaged, read};
use super::positions::Unplaced;
use super::row::Sql;
use crate::log::StoredEntry;

/// Visits the entries `from..=to`, all of which exist, in increasing or decreasing seq, until `visit` answers false.
pub(super) fn visit(
    db: &Connection,
    conversation: ConversationId,
    (from, to): (Seq, Seq),
    backward: bool,
    visit: &mut dyn FnMut(StoredEntry) -> bool,
) -> Sql<()> {
    let unplaced = Unplaced::read(db, conversation)?;
    let placed = (from.get(), to.min(unplaced.first.prev()).get());
    let waiting = from.max(unplaced.first).get()..=to.get();
    let mut walk = Walk { db, conversation, backward, visit, goes_on: true };
    if backward {
        walk.unplaced(&unplaced, waiting.rev())?;
        walk.placed(placed)
    } else {
        walk.placed(placed)?;
        walk.unplaced(&unplaced, waiting)
    }
}

struct Walk<'a> {
    db: &'a Connection,
    conversation: ConversationId,
    backward: bool,
    visit: &'a mut dyn FnMut(StoredEntry) -> bool,
    goes_on: bool,
}

impl Walk<'_> {
    fn meet(&mut self, entry: StoredEntry) {
        self.goes_on = (self.visit)(entry);
    }

    /// Entries whose rows wait in the tail.
    fn unplaced(&mut self, unplaced: &Unplaced, seqs: impl Iterator<Item = i64>) -> Sql<()> {
        let conversation = self.conversation;
        let mut statement = self.db.prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM entries e WHERE e.id = $1 AND e.seq = $2 AND e.conversation_id = $3"
        ))?;
        for seq in seqs {
            if !self.goes_on {
                break;
            }
            let row = Seq::new(seq).and_then(|seq| unplaced.row(seq));
            let found = statement.query_row((row, seq, conversation.get()), |row| read(row, conversation)).optional();
            let found = if found.as_ref().is_err_and(is_unreadable) { None } else { found? };
            self.meet(found.unwrap_or_else(|| damaged(conversation, seq)));
        }
        Ok(())
    }

    /// Entries that have a row in `positions`.
    fn placed(&mut self, (mut low, mut high): (i64, i64)) -> Sql<()> {
        while self.goes_on
            && low <= high
            && let Some(missing) = self.run(low, high)?
        {
            self.meet(damaged(self.conversation, missing));
            if self.backward { high = missing - 1 } else { low = missing + 1 }
        }
        Ok(())
    }

    /// Visits consecutive rows; answers the seq of the first one that is missing or lies on a page that cannot be read.
    fn run(&mut self, low: i64, high: i64) -> Sql<Option<i64>> {
        let forward = concat!(
            "SELECT ",
            columns!(),
            " FROM positions p JOIN entries e ON e.id = p.entry AND e.conversation_id = p.conversation_id
             WHERE p.conversation_id = $1 AND p.seq BETWEEN $2 AND $3 ORDER BY p.seq"
        );
        let (db, conversation) = (self.db, self.conversation);
        let mut statement =
            if self.backward { db.prepare_cached(&format!("{forward} DESC"))? } else { db.prepare_cached(forward)? };
        let mut rows = statement.query((conversation.get(), low, high))?;
        let (mut expected, step) = if self.backward { (high, -1) } else { (low, 1) };
        while self.goes_on && (low..=high).contains(&expected) {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(Some(expected)),
                Err(error) if is_unreadable(&error) => {
                    tracing::error!(%conversation, seq = expected, %error, "an entry cannot be read");
                    return Ok(Some(expected));
                }
                Err(error) => return Err(error),
            };
            if row.get::<_, i64>(0) != Ok(expected) {
                return Ok(Some(expected));
            }
            self.meet(read(row, conversation)?);
            expected += step;
        }
        Ok(None)
    }
}

fn is_unreadable(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}
