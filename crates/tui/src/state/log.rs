//! The open conversation's log as far as it is loaded: a bounded window that moves while the user scrolls.

use std::collections::BTreeMap;

use sparrow_client::Entry;

use crate::emoji;
use crate::text::clean;

/// Entries asked for at once.
pub(crate) const PAGE: u32 = 100;
/// Entries in the window.
const MOST_ITEMS: usize = 1_000;
/// Bytes of text in the window; one entry more may be over it.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// An entry, ready to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) seq: i64,
    pub(crate) time: i64,
    pub(crate) author: i64,
    pub(crate) body: Body,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Text(String),
    File {
        names: String,
        text: String,
    },
    /// A content type that this client does not know, without a text to fall back on.
    Other(String),
    Membership {
        change: String,
        members: Vec<(i64, String)>,
    },
    Renamed(String),
    Described,
    Erased,
    Damaged,
}

impl Item {
    /// Reads an entry; `None` for kinds that are not shown.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let body = match entry.kind.as_str() {
            _ if entry.damaged => Body::Damaged,
            "message" if entry.erased => Body::Erased,
            "message" => content(entry)?,
            "membership" => {
                let change = entry.membership.as_ref()?;
                let members = change.members.iter().map(|member| (member.user_id, member.role.clone())).collect();
                Body::Membership { change: change.change.clone(), members }
            }
            "settings" => match entry.settings.as_ref()?.name.as_deref() {
                Some(name) => Body::Renamed(crate::text::clean_line(name)),
                None => Body::Described,
            },
            _ => return None,
        };
        Some(Self { seq: entry.seq, time: entry.time, author: entry.sender_id, body })
    }

    /// The users whose names are needed to show it.
    pub(crate) fn people(&self) -> impl Iterator<Item = i64> {
        let members = match &self.body {
            Body::Membership { members, .. } => members.as_slice(),
            _ => &[],
        };
        std::iter::once(self.author).chain(members.iter().map(|(user, _)| *user))
    }

    fn bytes(&self) -> usize {
        match &self.body {
            Body::Text(text) | Body::Other(text) | Body::Renamed(text) => text.len(),
            Body::File { names, text } => names.len() + text.len(),
            Body::Membership { members, .. } => members.len() * size_of::<(i64, String)>(),
            Body::Described | Body::Erased | Body::Damaged => 0,
        }
    }
}

fn content(entry: &Entry) -> Option<Body> {
    let content = entry.content.as_ref()?;
    let text = emoji::render(&clean(&content.text)).into_owned();
    Some(if !content.files.is_empty() {
        let names: Vec<_> = content.files.iter().map(|file| crate::text::clean_line(&file.name)).collect();
        Body::File { names: names.join(", "), text }
    } else if text.is_empty() {
        Body::Other(crate::text::clean_line(&content.r#type))
    } else {
        Body::Text(text)
    })
}

/// What names a line of the screen while lines come and go around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// An entry, by seq.
    Entry(i64),
    /// A message on its way, by its token.
    Pending(u64),
}

/// Which part of the log was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The last page.
    Latest,
    /// The page before the window.
    Older,
    /// The page after the window.
    Newer,
    /// A page around an entry.
    Around(i64),
}

/// The window.
#[derive(Debug, Default)]
pub(crate) struct Log {
    items: BTreeMap<i64, Item>,
    /// The first and the last seq that the window covers; entries of kinds that are not shown count, too.
    covered: Option<(i64, i64)>,
    /// The last seq that the window has ever held.
    newest: i64,
    bytes: usize,
    /// Nothing is before the window.
    pub(crate) at_start: bool,
    /// New entries follow the window without a gap.
    pub(crate) at_end: bool,
    pub(crate) loading: Option<Part>,
    /// The line at the top of the screen, and how many of its rows are above; `None` follows the end.
    pub(crate) top: Option<(Key, usize)>,
    /// Messages that came below while the user looked further up.
    pub(crate) below: usize,
    /// The line "new" stands before the first message of others from here on.
    pub(crate) new_from: Option<i64>,
    /// A search hit to point out.
    pub(crate) hit: Option<i64>,
}

impl Log {
    /// Nothing loaded yet; live entries are welcome.
    pub(crate) fn opened(new_from: Option<i64>) -> Self {
        Self { at_end: true, new_from, ..Self::default() }
    }

    pub(crate) fn items(&self) -> impl DoubleEndedIterator<Item = &Item> {
        self.items.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn first(&self) -> Option<i64> {
        self.covered.map(|(first, _)| first)
    }

    pub(crate) fn last(&self) -> Option<i64> {
        self.covered.map(|(_, last)| last)
    }

    /// True if the entry came after everything that was loaded. A device that catches up hears of entries again that it
    /// has loaded as history.
    pub(crate) fn is_new(&self, seq: i64) -> bool {
        seq > self.newest
    }

    pub(crate) fn contains(&self, seq: i64) -> bool {
        self.items.contains_key(&seq)
    }

    pub(crate) fn follows_end(&self) -> bool {
        self.at_end && self.top.is_none()
    }

    /// Takes in a new entry; false if the window is elsewhere.
    pub(crate) fn append(&mut self, item: Item) -> bool {
        if !self.at_end {
            return false;
        }
        self.insert(item);
        // While the user looks further up, their lines stay and the end gives way.
        if self.top.is_none() {
            self.shrink_start();
        } else {
            self.shrink_end();
        }
        true
    }

    /// Takes in an answered part.
    pub(crate) fn add(&mut self, part: Part, entries: &[Entry]) {
        for entry in entries {
            self.cover(entry.seq);
            if let Some(item) = Item::of(entry) {
                self.insert(item);
            }
        }
        match part {
            Part::Older => self.shrink_end(),
            Part::Latest | Part::Newer | Part::Around(_) => self.shrink_start(),
        }
    }

    fn cover(&mut self, seq: i64) {
        let (first, last) = self.covered.unwrap_or((seq, seq));
        self.covered = Some((first.min(seq), last.max(seq)));
        self.newest = self.newest.max(seq);
    }

    fn insert(&mut self, item: Item) {
        self.cover(item.seq);
        self.bytes += item.bytes();
        if let Some(before) = self.items.insert(item.seq, item) {
            self.bytes -= before.bytes();
        }
    }

    fn is_over(&self) -> bool {
        self.items.len() > 1 && (self.items.len() > MOST_ITEMS || self.bytes > MOST_BYTES)
    }

    fn shrink_start(&mut self) {
        while self.is_over() {
            let Some((_, gone)) = self.items.pop_first() else { return };
            self.bytes -= gone.bytes();
            self.covered = self.covered.map(|(_, last)| (gone.seq + 1, last));
            self.at_start = false;
        }
    }

    fn shrink_end(&mut self) {
        while self.is_over() {
            let Some((_, gone)) = self.items.pop_last() else { return };
            self.bytes -= gone.bytes();
            self.covered = self.covered.map(|(first, _)| (first, gone.seq - 1));
            self.at_end = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(seq: i64, bytes: usize) -> Item {
        Item { seq, time: 0, author: 1, body: Body::Text("x".repeat(bytes)) }
    }

    fn entry(seq: i64) -> Entry {
        let content = Some(sparrow_client::Content { text: "x".into(), ..Default::default() });
        Entry { seq, kind: "message".into(), sender_id: 1, content, ..Entry::default() }
    }

    #[test]
    fn the_window_is_bounded_and_keeps_the_side_that_is_looked_at() {
        let mut log = Log::opened(None);
        for seq in 1..=1_500 {
            assert!(log.append(item(seq, 1)));
        }
        assert_eq!((log.len(), log.first(), log.last()), (MOST_ITEMS, Some(501), Some(1_500)));
        log.top = Some((Key::Entry(501), 0));
        log.add(Part::Older, &(401..=500).map(entry).collect::<Vec<_>>());
        assert_eq!((log.first(), log.last(), log.at_end), (Some(401), Some(1_400), false));
        assert!(!log.append(item(1_501, 1)));
    }

    #[test]
    fn large_texts_count_by_bytes() {
        let mut log = Log::opened(None);
        for seq in 1..=100 {
            log.append(item(seq, 64 * 1024));
        }
        assert_eq!(log.len(), MOST_BYTES / (64 * 1024));
        log.append(item(100, 1));
        assert_eq!(log.bytes, (log.len() - 1) * 64 * 1024 + 1);
    }

    #[test]
    fn kinds_of_later_versions_are_not_shown() {
        assert_eq!(Item::of(&Entry { kind: "reaction".into(), ..Entry::default() }), None);
        let damaged = Entry { kind: "message".into(), damaged: true, ..Entry::default() };
        assert_eq!(Item::of(&damaged).unwrap().body, Body::Damaged);
    }
}
