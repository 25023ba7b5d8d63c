//! What the SDK reports.

use sparrow_client::{Entry, Event, FailedMessage, SentMessage, Signal};

use super::effect::Effect;
use super::log::{Item, Log, Part};
use super::{Fate, Link, State, log};
use crate::Exit;
use crate::locale::fill;
use crate::text::clean_line;

impl State {
    pub(super) fn hear(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Connected { server, .. } => {
                self.server = clean_line(&server);
                self.link = Link::CatchingUp;
                self.list_conversations()
            }
            Event::CaughtUp => self.caught_up(),
            Event::Disconnected { reason, retry_in } => {
                let wait = i64::try_from(retry_in.as_millis()).unwrap_or(i64::MAX);
                self.link = Link::Down { why: self.texts.no_connection(&reason), until: self.now.saturating_add(wait) };
                Vec::new()
            }
            Event::Entry(entry) => self.take(&entry),
            Event::Sent(sent) => {
                self.sent(&sent);
                Vec::new()
            }
            Event::Failed(failed) => {
                self.refused(&failed);
                Vec::new()
            }
            Event::Receipt(receipt) => {
                let chat = self.chats.get_mut(receipt.conversation_id);
                if let Some(chat) = chat.filter(|_| receipt.user_id != self.me.id) {
                    chat.advance(&receipt);
                }
                Vec::new()
            }
            Event::Signal(signal) => {
                self.signalled(&signal);
                Vec::new()
            }
            Event::Presence(users) => {
                users.iter().for_each(|user| self.people.set_online(user.user_id, user.online));
                Vec::new()
            }
            Event::ConversationChanged(state) => {
                self.people.learn_name(state.peer_id, &state.peer_name);
                let chat = self.chats.update(&state);
                // Read in part on another device: how much is left, the server counts.
                let recount = chat.unread > 0 && chat.read > chat.read_counted;
                if recount { self.list_conversations() } else { Vec::new() }
            }
            Event::EpochChanged { lost } => {
                if !lost.is_empty() {
                    self.complain(fill(self.texts.lost, &[&lost.len().to_string()]));
                }
                self.reload()
            }
            Event::Lagged { .. } => {
                self.say(self.texts.missed);
                let mut effects = self.reload();
                effects.extend(self.list_conversations());
                effects
            }
            Event::LoggedOut { reason } => vec![Effect::Exit(Exit::LoggedOut(reason))],
            // Own state so far concerns cursors only, which come with their conversation. Later events are not shown.
            _ => Vec::new(),
        }
    }

    fn caught_up(&mut self) -> Vec<Effect> {
        self.link = Link::Up;
        self.names_due = true;
        self.presence_due = self.now;
        for chat in self.chats.iter_mut() {
            chat.read_asked = chat.read;
        }
        let mut effects = self.tick();
        // What was loaded without a connection may lack its older part.
        if self.log.len() == 0 {
            effects.extend(self.reload());
        }
        effects.extend(self.ask_receipts());
        effects
    }

    /// Loads the end of the open log anew.
    pub(super) fn reload(&mut self) -> Vec<Effect> {
        let Some(conversation) = self.open else { return Vec::new() };
        self.log = Log::opened(self.log.new_from);
        self.log.loading = Some(Part::Latest);
        vec![Effect::History { conversation, before: 0, limit: log::PAGE, part: Part::Latest }]
    }

    fn take(&mut self, entry: &Entry) -> Vec<Effect> {
        let is_open = self.open == Some(entry.conversation_id);
        let seen = is_open && self.sees_end();
        let me = self.me.id;
        if let Some(chat) = self.chats.get_mut(entry.conversation_id) {
            chat.take(entry, me, seen);
        }
        self.pending.retain(|pending| pending.local_id != entry.client_msg_id || pending.local_id.is_empty());
        if !is_open {
            return Vec::new();
        }
        if let Some(item) = Item::of(entry) {
            let away = self.log.top.is_some();
            let is_new = self.log.is_new(entry.seq);
            if away || !self.log.at_end {
                self.log.below += usize::from(is_new);
            } else if is_new && !self.focused && entry.sender_id != me && self.log.new_from.is_none() {
                self.log.new_from = Some(entry.seq);
            }
            self.log.append(item);
            self.names_due = true;
        }
        match entry.kind.as_str() {
            "membership" => vec![Effect::Members { conversation: entry.conversation_id }],
            _ => Vec::new(),
        }
    }

    fn sent(&mut self, sent: &SentMessage) {
        let shown = self.open == Some(sent.conversation_id) && self.log.at_end && !self.log.contains(sent.seq);
        let mine = self.pending.iter_mut().find(|pending| pending.local_id == sent.local_id);
        if let Some(pending) = mine {
            pending.fate = Fate::Sent(sent.seq);
        }
        if !shown {
            self.pending.retain(|pending| pending.local_id != sent.local_id);
        }
    }

    fn refused(&mut self, failed: &FailedMessage) {
        let why = self.texts.refusal(&failed.code, &failed.message);
        self.complain(fill(self.texts.failed_send, &[&why]));
        let mine = self.pending.iter_mut().find(|pending| pending.local_id == failed.local_id);
        if let Some(pending) = mine {
            pending.fate = Fate::Failed(why);
        }
    }

    fn signalled(&mut self, signal: &Signal) {
        let Some(chat) = self.chats.get_mut(signal.conversation_id).filter(|_| signal.sender_id != self.me.id) else {
            return;
        };
        match signal.r#type.as_str() {
            "typing" => chat.types(signal.sender_id, self.now),
            "typing.stop" => chat.types_no_more(signal.sender_id),
            _ => {}
        }
    }

    /// Asks who has got the user's last message: receipts are pushed only while one is connected.
    pub(super) fn ask_receipts(&self) -> Option<Effect> {
        let conversation = self.open.filter(|_| self.link == Link::Up)?;
        let mine = self.log.items().rev().find(|item| item.author == self.me.id)?;
        Some(Effect::Receipts { conversation, seq: mine.seq })
    }
}
