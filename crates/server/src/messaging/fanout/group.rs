//! Entries that are pushed together, each form of the push written at most once.

use sparrow_protocol::{EntryKind, raw};
use tokio::time::Instant;

use super::Committed;
use crate::messaging::members::Place;
use crate::messaging::push::Shared;
use crate::messaging::sessions::{Session, SessionId};
use crate::messaging::wire;
use crate::metrics::Metrics;

/// Most entries pushed together.
const MAX_ENTRIES: usize = 200;
/// Most bytes of bodies pushed together: even escaped as JSON they fit into one frame.
const MAX_BYTES: usize = 128 * 1024;

/// Splits entries of one conversation into parts that are pushed together. A part never spans a membership change,
/// so whoever sees its first and its last entry sees all of it; an entry that refers to another one stands alone.
pub(super) fn groups(entries: &[Committed]) -> impl Iterator<Item = Group<'_>> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let length = group_length(rest)?;
        let (group, after) = rest.split_at(length);
        rest = after;
        Some(Group::new(group))
    })
}

fn group_length(entries: &[Committed]) -> Option<usize> {
    let first = entries.first()?;
    if stands_alone(first) {
        return Some(1);
    }
    let mut bytes = 0;
    let fits = |entry: &&Committed| {
        bytes += wire::body_bytes(&entry.stored.entry);
        !stands_alone(entry) && bytes <= MAX_BYTES
    };
    Some(entries.iter().take(MAX_ENTRIES).take_while(fits).count().max(1))
}

fn stands_alone(committed: &Committed) -> bool {
    let entry = &committed.stored.entry;
    entry.kind == EntryKind::Membership || entry.ref_seq.is_some()
}

/// Entries that are pushed together.
pub(super) struct Group<'a> {
    entries: &'a [Committed],
    /// Sessions that made one of the entries.
    origins: Vec<SessionId>,
    whole: Lazy,
    without_content: Lazy,
    singles: Vec<Lazy>,
}

/// A push that is written when the first session needs it; inside, `None` if it could not be.
#[derive(Default)]
struct Lazy(Option<Option<Shared>>);

impl<'a> Group<'a> {
    fn new(entries: &'a [Committed]) -> Self {
        let mut origins: Vec<_> = entries.iter().filter_map(|entry| entry.origin).collect();
        origins.sort_unstable();
        origins.dedup();
        Self { entries, origins, whole: Lazy::default(), without_content: Lazy::default(), singles: Vec::new() }
    }

    /// The entries.
    pub(super) fn entries(&self) -> &'a [Committed] {
        self.entries
    }

    /// Pushes to one session what it may see and did not make itself.
    pub(super) fn push_to(&mut self, session: &Session, place: &Place, now: Instant, metrics: &Metrics) {
        let [first, .., last] = self.entries else {
            return self.push_only(session, place, now, metrics);
        };
        let sees_all = place.sees(first.stored.entry.seq) && place.sees(last.stored.entry.seq);
        if sees_all && self.origins.binary_search(&session.id).is_err() {
            let entries = self.entries;
            self.whole.push(session, now, metrics, || entries.iter().map(|entry| wire_entry(entry, true)).collect());
        } else {
            self.push_singly(session, place, now, metrics);
        }
    }

    /// A group of one, whose content depends on whether the session may see what it refers to.
    fn push_only(&mut self, session: &Session, place: &Place, now: Instant, metrics: &Metrics) {
        let Some(only) = self.entries.first() else { return };
        if only.origin == Some(session.id) || !place.sees(only.stored.entry.seq) {
            return;
        }
        let visible = only.stored.entry.ref_seq.is_none_or(|seq| place.sees(seq));
        let push = if visible { &mut self.whole } else { &mut self.without_content };
        push.push(session, now, metrics, || vec![wire_entry(only, visible)]);
    }

    fn push_singly(&mut self, session: &Session, place: &Place, now: Instant, metrics: &Metrics) {
        self.singles.resize_with(self.entries.len(), Lazy::default);
        for (entry, push) in self.entries.iter().zip(&mut self.singles) {
            if entry.origin != Some(session.id) && place.sees(entry.stored.entry.seq) {
                push.push(session, now, metrics, || vec![wire_entry(entry, true)]);
            }
        }
    }
}

impl Lazy {
    fn push(&mut self, session: &Session, now: Instant, metrics: &Metrics, entries: impl FnOnce() -> Vec<raw::Entry>) {
        let shared = self.0.get_or_insert_with(|| {
            let entries = entries();
            let conversation_id = entries.first().map_or(0, |entry| entry.conversation_id);
            Shared::new(&raw::Push { conversation_id, entries })
        });
        if let Some(shared) = shared {
            session.push(shared, now, metrics);
        }
    }
}

fn wire_entry(committed: &Committed, ref_visible: bool) -> raw::Entry {
    wire::entry(&committed.stored.entry, ref_visible, committed.trust)
}
