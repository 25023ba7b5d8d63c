//! The conversations of the user: names, unread counts, cursors of the others, who is typing.

use std::collections::BTreeMap;

use sparrow_client::{Conversation, ConversationState, Entry, Receipt, ReceiptState};
use sparrow_protocol::ConversationKind;

use super::people::{People, key};
use crate::text::clean_line;

/// Beyond, "999+" is shown.
pub(crate) const MOST_UNREAD: u32 = 1_000;

/// Members whose cursors are kept; receipts are pushed in groups of up to 200.
const MOST_CURSORS: usize = 200;

/// So long after its last sign somebody counts as typing, in milliseconds.
const TYPING_MS: i64 = 6_000;

/// How far another member has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursors {
    pub(crate) delivered: i64,
    pub(crate) read: i64,
}

/// One conversation.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    pub(crate) id: i64,
    kind: Option<ConversationKind>,
    name: String,
    pub(crate) peer: i64,
    /// The user's role; empty for a former member.
    pub(crate) role: String,
    pub(crate) members: u32,
    /// The first entry the user may see.
    pub(crate) first: i64,
    pub(crate) head: i64,
    /// Everything up to here has been read.
    pub(crate) read: i64,
    /// Up to here the server was asked to note it as read.
    pub(crate) read_asked: i64,
    pub(crate) unread: u32,
    pub(crate) mentions: u32,
    /// The unread counts include everything up to here.
    counted: i64,
    /// The cursor from which the unread counts were made.
    pub(crate) read_counted: i64,
    /// When it was last active, milliseconds since 1970 UTC.
    pub(crate) active: i64,
    /// What was typed and not sent when another conversation was opened.
    pub(crate) draft: String,
    cursors: BTreeMap<i64, Cursors>,
    typing: BTreeMap<i64, i64>,
}

impl Chat {
    pub(crate) fn is_group(&self) -> bool {
        self.kind == Some(ConversationKind::Group)
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.kind == Some(ConversationKind::Direct)
    }

    pub(crate) fn is_notes(&self) -> bool {
        self.kind == Some(ConversationKind::SelfNotes)
    }

    /// True while the user may write here.
    pub(crate) fn is_member(&self) -> bool {
        !self.role.is_empty() || !self.is_group()
    }

    /// The name of a group; of a direct, that of the other user. Empty if there is none.
    pub(crate) fn name<'a>(&'a self, people: &'a People) -> &'a str {
        if self.is_direct() { people.shown(self.peer).unwrap_or(&self.name) } else { &self.name }
    }

    /// Takes in what the server says of the conversation.
    fn update(&mut self, state: &ConversationState) {
        self.kind = state.kind.parse().ok();
        self.name = clean_line(if state.name.is_empty() { &state.peer_name } else { &state.name });
        self.peer = state.peer_id;
        self.role.clone_from(&state.role);
        self.members = state.member_count;
        let joined = state.intervals.first().map_or(1, |interval| interval.join_seq);
        self.first = joined.max(state.floor).max(1);
        self.head = self.head.max(state.head);
        self.mark_read(state.read);
    }

    /// The user has read up to here, on whatever device.
    pub(crate) fn mark_read(&mut self, seq: i64) {
        if seq <= self.read {
            return;
        }
        self.read = seq;
        self.read_asked = self.read_asked.max(seq);
        if seq >= self.counted {
            (self.unread, self.mentions) = (0, 0);
        }
    }

    /// Takes in a new entry. `seen`: the user has it before their eyes.
    pub(crate) fn take(&mut self, entry: &Entry, me: i64, seen: bool) {
        self.head = self.head.max(entry.seq);
        self.active = self.active.max(entry.time);
        self.typing.remove(&entry.sender_id);
        let counts = entry.kind == "message" && entry.sender_id != me && !entry.erased;
        if counts && !seen && entry.seq > self.counted.max(self.read) {
            self.unread = (self.unread + 1).min(MOST_UNREAD);
            let mentions = entry.content.iter().flat_map(|content| &content.mentions);
            self.mentions += u32::from(mentions.clone().any(|mention| mention.all || mention.user_id == me));
        }
        self.counted = self.counted.max(entry.seq);
    }

    pub(crate) fn advance(&mut self, receipt: &Receipt) {
        let known = self.cursors.len() < MOST_CURSORS || self.cursors.contains_key(&receipt.user_id);
        if known {
            let cursors = self.cursors.entry(receipt.user_id).or_default();
            cursors.delivered = cursors.delivered.max(receipt.delivered).max(receipt.read);
            cursors.read = cursors.read.max(receipt.read);
        }
    }

    /// Takes in who has got the message `seq`.
    pub(crate) fn received(&mut self, seq: i64, states: &[ReceiptState]) {
        for state in states {
            self.advance(&Receipt {
                conversation_id: self.id,
                user_id: state.user_id,
                delivered: if state.delivered { seq } else { 0 },
                read: if state.read { seq } else { 0 },
            });
        }
    }

    /// How many others have received and read the user's message `seq`.
    pub(crate) fn receipts(&self, seq: i64) -> (usize, usize) {
        let delivered = self.cursors.values().filter(|cursors| cursors.delivered >= seq).count();
        (delivered, self.cursors.values().filter(|cursors| cursors.read >= seq).count())
    }

    pub(crate) fn types(&mut self, user: i64, now: i64) {
        self.typing.insert(user, now.saturating_add(TYPING_MS));
    }

    pub(crate) fn types_no_more(&mut self, user: i64) {
        self.typing.remove(&user);
    }

    pub(crate) fn typing(&self, now: i64) -> impl Iterator<Item = i64> {
        self.typing.iter().filter(move |(_, until)| **until > now).map(|(user, _)| *user)
    }
}

/// All conversations, and the order of the list.
#[derive(Debug, Default)]
pub(crate) struct Chats {
    all: BTreeMap<i64, Chat>,
}

impl Chats {
    pub(crate) fn get(&self, id: i64) -> Option<&Chat> {
        self.all.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: i64) -> Option<&mut Chat> {
        self.all.get_mut(&id)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Chat> {
        self.all.values_mut()
    }

    /// The last active first. Groups that the user has left go last.
    pub(crate) fn in_order(&self) -> Vec<&Chat> {
        let mut chats: Vec<_> = self.all.values().collect();
        chats.sort_by_key(|chat| (!chat.is_member(), std::cmp::Reverse(chat.active), chat.id));
        chats
    }

    pub(crate) fn update(&mut self, state: &ConversationState) -> &mut Chat {
        let chat = self.all.entry(state.conversation_id).or_default();
        chat.id = state.conversation_id;
        chat.update(state);
        chat
    }

    /// Takes in an item of the conversation list, with its unread counts.
    pub(crate) fn list(&mut self, item: &Conversation) {
        let Some(state) = &item.state else { return };
        let chat = self.update(state);
        if let Some(last) = &item.last_message {
            chat.active = chat.active.max(last.time);
        }
        // Entries that came after the list was made are counted already.
        if state.head >= chat.counted {
            (chat.unread, chat.mentions) = (item.unread, item.mentions);
            chat.counted = state.head;
        }
        chat.read_counted = chat.read;
    }

    pub(crate) fn remove(&mut self, id: i64) {
        self.all.remove(&id);
    }

    pub(crate) fn unread(&self) -> u32 {
        self.all.values().map(|chat| chat.unread).sum()
    }

    /// The group of this name, upper and lower case aside; the oldest if there are several.
    pub(crate) fn group(&self, name: &str) -> Option<&Chat> {
        let wanted = name.to_lowercase();
        let mut groups = self.all.values().filter(|chat| !chat.is_direct() && !chat.is_notes());
        groups.find(|chat| chat.name.to_lowercase() == wanted && chat.is_member())
    }

    /// The direct with a user of this name.
    pub(crate) fn direct(&self, name: &str, people: &People) -> Option<&Chat> {
        let wanted = key(name);
        let is =
            |chat: &&Chat| chat.peer.to_string() == name || key(people.name(chat.peer).unwrap_or(&chat.name)) == wanted;
        self.all.values().filter(|chat| chat.is_direct()).find(is)
    }

    pub(crate) fn notes(&self) -> Option<&Chat> {
        self.all.values().find(|chat| chat.is_notes())
    }
}
