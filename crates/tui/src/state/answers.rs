//! What effects brought.

use sparrow_client::{Conversation, ConversationState, Entry, Error, OutboxMessage, User};

use super::effect::{Answer, Effect};
use super::log::{Key, Part};
use super::panel::{Choice, Kind, Row};
use super::{Fate, Pending, State};
use crate::command::UserRef;
use crate::emoji;
use crate::locale::fill;
use crate::text::{clean, clean_line};

impl State {
    pub(super) fn answered(&mut self, answer: Answer) -> Vec<Effect> {
        match answer {
            Answer::Known { conversations, outbox } => self.know(&conversations, outbox),
            Answer::Conversations(result) => self.listed(result),
            Answer::History { conversation, part, result } => self.loaded(conversation, part, result),
            Answer::Queued { token, result } => self.queued(token, result),
            Answer::Read { conversation, result } => self.noted(conversation, result),
            Answer::Opened { result, text } => self.opened(result, text),
            Answer::Invited { users, result } => self.did(result, self.texts.invited, &users),
            Answer::Kicked { users, result } => self.did(result, self.texts.kicked, &users),
            Answer::Left { conversation, result } => self.left(conversation, result),
            Answer::Online(result) => self.heard_online(result),
            Answer::Watched(result) => {
                if result.is_err() {
                    // The next tick asks again.
                    self.watching.clear();
                }
                result.iter().flatten().for_each(|user| self.people.set_online(user.user_id, user.online));
                Vec::new()
            }
            Answer::Users { prefix, result } => self.found_users(&prefix, result),
            Answer::LookedUp(result) => self.heard_names(result),
            Answer::User { id, result } => self.heard_user(id, result),
            Answer::Members { conversation, result } => {
                let Ok(members) = result else { return Vec::new() };
                self.names_due = true;
                let users = members.iter().filter_map(|member| member.user.as_ref());
                if self.open == Some(conversation) {
                    self.members = users.clone().map(|user| user.user_id).collect();
                    if let Some(chat) = self.chats.get_mut(conversation) {
                        chat.members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
                    }
                }
                users.for_each(|user| self.people.learn(user));
                Vec::new()
            }
            Answer::Receipts { conversation, seq, result } => {
                let states = result.unwrap_or_default();
                if let Some(chat) = self.chats.get_mut(conversation) {
                    chat.received(seq, &states);
                }
                Vec::new()
            }
            Answer::Found { number, word, result } => self.found(number, &word, result),
        }
    }

    fn trouble(&mut self, error: &Error) -> Vec<Effect> {
        let text = self.texts.trouble(error);
        self.complain(text);
        Vec::new()
    }

    fn know(&mut self, conversations: &[ConversationState], outbox: Vec<OutboxMessage>) -> Vec<Effect> {
        for state in conversations {
            self.people.learn_name(state.peer_id, &state.peer_name);
            self.chats.update(state);
        }
        for message in outbox {
            let refused = !message.failure_code.is_empty();
            let why = || self.texts.refusal(&message.failure_code, &message.failure_message);
            let fate = if refused { Fate::Failed(why()) } else { Fate::Waiting };
            let token = self.next_token;
            self.next_token += 1;
            self.pending.push(Pending {
                token,
                local_id: message.local_id,
                conversation: message.conversation_id,
                content: message.content,
                time: self.now,
                fate,
            });
        }
        let first = self.chats.group(&self.first).map(|chat| chat.id);
        first.map(|id| self.open(id)).unwrap_or_default()
    }

    fn listed(&mut self, result: Result<Vec<Conversation>, Error>) -> Vec<Effect> {
        self.listing = false;
        let items = match result {
            Ok(items) => items,
            // The SDK is connecting again, and then the list is read again.
            Err(Error::Unreachable(_) | Error::NotConnected) => return Vec::new(),
            Err(error) => return self.trouble(&error),
        };
        for item in &items {
            if let Some(peer) = &item.peer {
                self.people.learn(peer);
            }
            self.chats.list(item);
        }
        if self.open.is_some() {
            return Vec::new();
        }
        let first = self.chats.group(&self.first).map(|chat| chat.id);
        let first = first.or_else(|| self.chats.in_order().first().map(|chat| chat.id));
        first.map(|id| self.open(id)).unwrap_or_default()
    }

    fn loaded(&mut self, conversation: i64, part: Part, result: Result<Vec<Entry>, Error>) -> Vec<Effect> {
        if self.open != Some(conversation) || self.log.loading != Some(part) {
            return Vec::new();
        }
        self.log.loading = None;
        self.names_due = true;
        let entries = match result {
            Ok(entries) => entries,
            Err(error) => return self.trouble(&error),
        };
        let (first, head) = self.chat().map_or((1, 0), |chat| (chat.first, chat.head));
        let online = self.link == super::Link::Up;
        let oldest = entries.first().map(|entry| entry.seq);
        self.log.add(part, &entries);
        let begins = oldest.is_some_and(|seq| seq <= first) || (oldest.is_none() && online && part != Part::Newer);
        self.log.at_start |= begins;
        match part {
            Part::Latest | Part::Older => {}
            Part::Newer | Part::Around(_) => {
                self.log.at_end = self.log.last().is_none_or(|last| last >= head);
            }
        }
        if let Part::Around(seq) = part {
            self.log.top = Some((Key::Entry(seq), 0));
            return self.scroll(-self.page_rows() / 2);
        }
        if part == Part::Latest { self.ask_receipts().into_iter().collect() } else { self.scroll(0) }
    }

    fn queued(&mut self, token: u64, result: Result<String, Error>) -> Vec<Effect> {
        let Some(at) = self.pending.iter().position(|pending| pending.token == token) else { return Vec::new() };
        match result {
            Ok(local_id) => self.pending[at].local_id = local_id,
            Err(error) => {
                // It is nowhere but here: back to where it can be changed.
                let lost = self.pending.remove(at);
                if self.composer.is_empty() && self.open == Some(lost.conversation) {
                    self.composer.set(lost.content.text);
                } else if let Some(chat) = self.chats.get_mut(lost.conversation) {
                    chat.draft.push_str(&lost.content.text);
                }
                return self.trouble(&error);
            }
        }
        Vec::new()
    }

    fn noted(&mut self, conversation: i64, result: Result<i64, Error>) -> Vec<Effect> {
        if let Some(chat) = self.chats.get_mut(conversation) {
            match result {
                Ok(seq) => chat.mark_read(seq),
                // Asked again after the next connection.
                Err(error) => tracing::debug!(%error, "read cursor not noted"),
            }
        }
        Vec::new()
    }

    fn opened(&mut self, result: Result<Box<Conversation>, Error>, text: Option<String>) -> Vec<Effect> {
        let conversation = match result {
            Ok(conversation) => conversation,
            Err(error) => {
                // What was to be said is not lost with the address.
                if let Some(text) = text.filter(|_| self.composer.is_empty()) {
                    self.composer.set(text);
                }
                return self.trouble(&error);
            }
        };
        if let Some(peer) = &conversation.peer {
            self.people.learn(peer);
        }
        self.chats.list(&conversation);
        let Some(state) = &conversation.state else { return Vec::new() };
        if let Some(chat) = self.chats.get_mut(state.conversation_id) {
            chat.active = chat.active.max(self.now);
        }
        self.open_and_say(state.conversation_id, text)
    }

    fn did(&mut self, result: Result<(), Error>, done: &str, users: &[UserRef]) -> Vec<Effect> {
        match result {
            Ok(()) => {
                let names: Vec<_> = users.iter().map(UserRef::name).collect();
                self.say(fill(done, &[&names.join(", ")]));
                Vec::new()
            }
            Err(error) => self.trouble(&error),
        }
    }

    fn left(&mut self, conversation: i64, result: Result<(), Error>) -> Vec<Effect> {
        if let Err(error) = result {
            return self.trouble(&error);
        }
        let name = self.chats.get(conversation).map(|chat| self.title(chat).to_owned()).unwrap_or_default();
        self.say(fill(self.texts.you_left, &[&name]));
        self.chats.remove(conversation);
        if self.open != Some(conversation) {
            return Vec::new();
        }
        self.open = None;
        self.log = super::Log::default();
        let next = self.chats.in_order().first().map(|chat| chat.id);
        next.map(|id| self.open(id)).unwrap_or_default()
    }

    fn heard_online(&mut self, result: Result<(Vec<User>, bool), Error>) -> Vec<Effect> {
        let asked = self.panel.as_ref().is_some_and(|panel| panel.kind == Kind::Online);
        match result {
            Ok((users, all)) => {
                self.people.are_online(&users, all);
                if !asked {
                    return Vec::new();
                }
                let rows = self.user_rows(&users);
                self.fill_panel(&Kind::Online, fill(self.texts.who_is_online, &[&rows.len().to_string()]), rows);
                Vec::new()
            }
            Err(error) if asked => {
                self.panel = None;
                self.trouble(&error)
            }
            Err(_) => Vec::new(),
        }
    }

    fn found_users(&mut self, prefix: &str, result: Result<Vec<User>, Error>) -> Vec<Effect> {
        match result {
            Ok(users) => {
                users.iter().for_each(|user| self.people.learn(user));
                let rows = self.user_rows(&users);
                let title = fill(self.texts.users_found, &[prefix, &rows.len().to_string()]);
                self.fill_panel(&Kind::Users(prefix.to_owned()), title, rows);
                Vec::new()
            }
            Err(error) => {
                self.panel = None;
                self.trouble(&error)
            }
        }
    }

    fn user_rows(&self, users: &[User]) -> Vec<Row> {
        let row = |user: &User| {
            let name = clean_line(&user.name);
            let shown = clean_line(&user.display_name);
            let mine = if user.user_id == self.me.id { format!("({})", self.texts.me) } else { String::new() };
            let online = if user.online { self.texts.online } else { "" };
            let shown = if shown == name { "" } else { &shown };
            let detail = [online, &mine, shown, &clean_line(&user.bio)].map(str::to_owned);
            let detail = detail.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ");
            match UserRef::parse(&user.name) {
                Ok(address) => Row::choice(name, detail, Choice::Write(address)),
                Err(_) => Row::pair(name, detail),
            }
        };
        users.iter().map(row).collect()
    }

    fn fill_panel(&mut self, kind: &Kind, title: String, rows: Vec<Row>) {
        if let Some(panel) = self.panel.as_mut().filter(|panel| panel.kind == *kind) {
            panel.title = title;
            panel.rows = rows;
            panel.at = panel.at.min(panel.rows.len().saturating_sub(1));
        }
    }

    fn heard_names(&mut self, result: Result<Vec<User>, Error>) -> Vec<Effect> {
        for user in result.unwrap_or_default() {
            self.people.learn(&user);
        }
        self.looked_up();
        Vec::new()
    }

    fn heard_user(&mut self, id: i64, result: Result<User, Error>) -> Vec<Effect> {
        match result {
            Ok(user) => self.people.learn(&user),
            Err(Error::Refused(_)) => {}
            Err(_) => self.people.not_answered(id),
        }
        Vec::new()
    }

    fn found(&mut self, number: u64, word: &str, result: Result<Vec<Entry>, Error>) -> Vec<Effect> {
        let entries = match result {
            Ok(entries) => entries,
            Err(error) => {
                self.panel = None;
                return self.trouble(&error);
            }
        };
        let rows: Vec<_> = entries.iter().map(|entry| self.hit(entry, word)).collect();
        let title = fill(self.texts.found, &[word, &rows.len().to_string()]);
        self.fill_panel(&Kind::Search(number), title, rows);
        Vec::new()
    }

    fn hit(&self, entry: &Entry, word: &str) -> Row {
        let place = self.chats.get(entry.conversation_id).map(|chat| self.title(chat)).unwrap_or_default();
        let text = entry.content.as_ref().map(|content| clean(&content.text)).unwrap_or_default();
        let line = crate::search::snippet(&emoji::render(&text), word);
        let label = format!("{} {}", crate::rows::date_and_time(self, entry.time), self.name(entry.sender_id));
        let choice = Choice::Jump { conversation: entry.conversation_id, seq: entry.seq };
        Row::choice(label, format!("{line}  ({place})"), choice)
    }
}
