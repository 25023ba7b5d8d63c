//! Reading the [`Model`]: pages, member rows, differences.

use sparrow_protocol::EntryKind;

use super::*;
use crate::log::{Body, ConversationView, MemberRow, Members, Page, Range, SyncChanges, SyncPosition, VisibleEntry};

/// Most entries of one answer to [`Model::entries`].
const MOST: usize = 200;

impl Model {
    /// [`Log::members`](crate::Log::members).
    pub fn members(&self, conversation: ConversationId, version: i64) -> Option<Members> {
        let conversation = self.conversations.get(&conversation)?;
        let row = |(user, member): (&UserId, &Member)| MemberRow {
            user: *user,
            role: member.role,
            intervals: member.intervals.clone(),
        };
        Some(Members {
            version: conversation.members_version,
            kind: conversation.kind,
            rows: conversation.members.iter().filter(|(_, member)| member.version > version).map(row).collect(),
        })
    }

    /// [`Log::pull`](crate::Log::pull).
    pub fn pull(&self, reader: UserId, conversation: ConversationId, range: Range) -> Option<Page> {
        let conversation = self.conversations.get(&conversation)?;
        let member = conversation.members.get(&reader)?;
        let head = member.visible_head(conversation.head());
        let (from, to) = (range.from.max(Seq::FIRST), range.to.unwrap_or(head).min(head));
        let wanted = |entry: &&StoredEntry| from <= entry.seq && entry.seq <= to && member.sees(entry.seq);
        let mut wanted: Vec<_> = conversation.entries.iter().map(|(entry, _)| entry).filter(wanted).collect();
        if range.backward {
            wanted.reverse();
        }
        let (mut bytes, mut taken) = (0, Vec::new());
        let mut full = false;
        for entry in wanted {
            if let Body::Kept(body) = &entry.body {
                bytes += body.len();
            }
            if !taken.is_empty() && (taken.len() >= range.limit || bytes > range.max_bytes) {
                full = true;
                break;
            }
            taken.push(VisibleEntry { entry: entry.clone(), ref_visible: true });
        }
        let mut covered = (from, to);
        if let (true, Some(last)) = (full, taken.last()) {
            *(if range.backward { &mut covered.0 } else { &mut covered.1 }) = last.entry.seq;
        }
        if range.backward {
            taken.reverse();
        }
        Some(Page { entries: taken, covered, floor: Seq::FIRST, head })
    }

    /// [`Log::entries`](crate::Log::entries).
    pub fn entries(&self, conversation: ConversationId, from: Seq, to: Seq) -> (i64, Vec<StoredEntry>) {
        let Some(conversation) = self.conversations.get(&conversation) else { return (0, Vec::new()) };
        let asked = conversation.entries.iter().map(|(entry, _)| entry);
        let asked = asked.filter(|entry| from <= entry.seq && entry.seq <= to).take(MOST).cloned();
        (conversation.members_version, asked.collect())
    }

    /// [`Log::sync`](crate::Log::sync), in one page.
    pub fn sync(&self, user: UserId, position: Option<SyncPosition>) -> SyncChanges {
        let watermark = self.commits + 1;
        let known = |position: &SyncPosition| position.epoch == self.epoch && (1..=watermark).contains(&position.since);
        let since = position.filter(known).map_or(0, |position| position.since);
        let changed = |conversation: &Conversation, member: &Member| {
            member.changed >= since
                || (member.cursor_changed >= since && member.cursor_changed > 0)
                || (conversation.changed >= since && member.role.is_some())
        };
        let view = |(id, conversation): (&ConversationId, &Conversation)| {
            let member = conversation.members.get(&user)?;
            changed(conversation, member).then(|| self.view(*id, conversation, user, member))
        };
        let states = self.states.get(&user).into_iter().flatten();
        let states = states.filter(|(_, state)| state.changed >= since && (since > 0 || !state.value.is_empty()));
        let own = |((kind, key), state): (&(String, String), &State)| OwnState {
            kind: kind.clone(),
            key: key.clone(),
            value: state.value.clone(),
        };
        SyncChanges {
            conversations: self.conversations.iter().filter_map(view).collect(),
            states: states.map(own).collect(),
            next: SyncPosition { epoch: self.epoch.clone(), since: watermark, watermark, after: None },
            more: false,
            full: since == 0,
        }
    }

    /// [`Log::epoch`](crate::Log::epoch).
    pub fn epoch(&self) -> String {
        self.epoch.clone()
    }

    fn view(&self, id: ConversationId, conversation: &Conversation, user: UserId, member: &Member) -> ConversationView {
        let message =
            |(entry, _): &&(StoredEntry, RequestHash)| entry.kind == EntryKind::Message && member.sees(entry.seq);
        let other = conversation.members.keys().find(|other| **other != user);
        let peer = other.filter(|_| conversation.kind == ConversationKind::Direct);
        ConversationView {
            conversation: id,
            kind: conversation.kind,
            name: conversation.name.clone(),
            description: conversation.description.clone(),
            peer: peer.map(|peer| (*peer, self.users.get(peer).cloned().unwrap_or_default())),
            head: member.visible_head(conversation.head()),
            floor: Seq::FIRST,
            intervals: member.intervals.clone(),
            role: member.role,
            delivered: member.delivered,
            read: member.read,
            last_message: conversation.entries.iter().rev().find(message).map(|(entry, _)| entry.seq),
            member_count: u32::try_from(conversation.present()).unwrap_or(u32::MAX),
            history_visible: conversation.history_visible,
        }
    }
}
