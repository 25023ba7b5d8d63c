//! Reading ranges of a log.

use rusqlite::{Connection, OptionalExtension};
use sparrow_protocol::{ConversationId, Seq, UserId};

use super::membership::{intervals, visible_head};
use super::row::{Sql, seq};
use super::walk;
use crate::log::{Body, Interval, Page, Range, StoredEntry, VisibleEntry};

/// Most entries of one answer to [`between`].
const MOST: i64 = 200;

/// A page of a log as its reader may see it.
pub(super) fn page(db: &Connection, reader: UserId, conversation: ConversationId, range: &Range) -> Sql<Option<Page>> {
    let Some((floor, head)) = ends(db, conversation)? else { return Ok(None) };
    let intervals = intervals(db, conversation, reader)?;
    if intervals.is_empty() {
        return Ok(None);
    }
    let head = visible_head(&intervals, head);
    let from = range.from.max(Seq::FIRST);
    let to = range.to.unwrap_or(head).min(head);
    let mut taken = Taken { room: *range, bytes: 0, entries: Vec::new(), full: false };
    let mut parts = parts(&intervals, from.max(floor), to);
    if range.backward {
        parts.reverse();
    }
    for part in parts {
        walk::visit(db, conversation, part, range.backward, &mut |entry| taken.take(entry, &intervals))?;
        if taken.full {
            break;
        }
    }
    let mut covered = (from, to);
    if let (true, Some(last)) = (taken.full, taken.entries.last()) {
        if range.backward { covered.0 = last.entry.seq } else { covered.1 = last.entry.seq }
    }
    if range.backward {
        taken.entries.reverse();
    }
    Ok(Some(Page { entries: taken.entries, covered, floor, head }))
}

/// Entries of a log whoever asks, and the version of its member list.
pub(super) fn between(
    db: &Connection,
    conversation: ConversationId,
    from: Seq,
    to: Seq,
) -> Sql<(i64, Vec<StoredEntry>)> {
    let version = db
        .prepare_cached("SELECT members_version FROM conversations WHERE id = $1")?
        .query_row([conversation.get()], |row| row.get(0))
        .optional()?;
    let (Some(version), Some((floor, head))) = (version, ends(db, conversation)?) else { return Ok((0, Vec::new())) };
    let from = from.max(floor);
    let to = to.min(head).get().min(from.get().saturating_add(MOST - 1));
    let mut entries = Vec::new();
    walk::visit(db, conversation, (from, Seq::new(to).unwrap_or_default()), false, &mut |entry| {
        entries.push(entry);
        true
    })?;
    Ok((version, entries))
}

/// The floor and the head of a log.
fn ends(db: &Connection, conversation: ConversationId) -> Sql<Option<(Seq, Seq)>> {
    db.prepare_cached("SELECT floor, head FROM conversations WHERE id = $1")?
        .query_row([conversation.get()], |row| Ok((seq(row, 0)?, seq(row, 1)?)))
        .optional()
}

/// What of a range lies inside the intervals, oldest first.
fn parts(intervals: &[Interval], from: Seq, to: Seq) -> Vec<(Seq, Seq)> {
    let part = |interval: &Interval| {
        let end = interval.leave.map_or(to, |leave| leave.prev().min(to));
        (interval.join.max(from), end)
    };
    intervals.iter().map(part).filter(|(from, to)| from <= to).collect()
}

/// The entries of a page so far.
struct Taken {
    room: Range,
    bytes: usize,
    entries: Vec<VisibleEntry>,
    full: bool,
}

impl Taken {
    /// Takes an entry if there is room; answers whether to go on.
    fn take(&mut self, entry: StoredEntry, intervals: &[Interval]) -> bool {
        if let Body::Kept(body) = &entry.body {
            self.bytes = self.bytes.saturating_add(body.len());
        }
        let any = !self.entries.is_empty();
        if any && (self.entries.len() >= self.room.limit || self.bytes > self.room.max_bytes) {
            self.full = true;
            return false;
        }
        let ref_visible = entry.ref_seq.is_none_or(|seq| intervals.iter().any(|interval| interval.contains(seq)));
        self.entries.push(VisibleEntry { entry, ref_visible });
        true
    }
}
