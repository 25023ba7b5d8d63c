//! What typed commands do.

use sparrow_client::Content;

use super::effect::Effect;
use super::panel::{Choice, Kind, Panel, Row};
use super::{Fate, Link, State};
use crate::Exit;
use crate::command::{Command, UserRef, Verb};
use crate::emoji;
use crate::input;
use crate::locale::fill;

/// Pages of `:olu`; a page has up to 200 users.
const ONLINE_PAGES: usize = 5;

impl State {
    pub(super) fn run(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Say(text) => self.open.map(|id| self.send(id, &text)).unwrap_or_default(),
            Command::To { user, text } => self.write_to(user, text),
            Command::Group(name) => self.open_group(&name),
            Command::Groups => self.show_chats(),
            Command::Create { name, users } => vec![Effect::CreateGroup { name, members: users }],
            Command::Invite(users) => self.in_group(|conversation| Effect::Invite { conversation, users }),
            Command::Kick(users) => self.in_group(|conversation| Effect::Kick { conversation, users }),
            Command::Leave => self.in_group(|conversation| Effect::Leave { conversation }),
            Command::Online => {
                self.panel = Some(Panel::new(Kind::Online, self.texts.loading.to_owned(), Vec::new()));
                vec![Effect::Online { pages: ONLINE_PAGES }]
            }
            Command::Users(prefix) => {
                self.panel = Some(Panel::new(Kind::Users(prefix.clone()), self.texts.loading.to_owned(), Vec::new()));
                vec![Effect::Users { prefix }]
            }
            Command::Search(word) => self.search(word),
            Command::History(rows) => {
                let rows = rows.map_or(self.page_rows(), |rows| isize::try_from(rows).unwrap_or(isize::MAX));
                self.scroll(rows.saturating_neg())
            }
            Command::Emoji(page) => {
                self.show_emoji(page);
                Vec::new()
            }
            Command::Retry => self.retry(),
            Command::Discard => self.discard(),
            Command::Info => self.show_info(),
            Command::Help => self.show_help(),
            Command::Quit => vec![Effect::Exit(Exit::Quit)],
        }
    }

    /// Opens the direct with a user, the notes for the user's own name.
    pub(super) fn write_to(&mut self, user: UserRef, text: Option<String>) -> Vec<Effect> {
        let myself = user.name() == self.me.name || user.name() == self.me.id.to_string();
        let known = if myself { self.chats.notes() } else { self.chats.direct(user.name(), &self.people) };
        match known.map(|chat| chat.id) {
            Some(id) => self.open_and_say(id, text),
            None if myself => vec![Effect::OpenNotes { text }],
            None => vec![Effect::OpenDirect { user, text }],
        }
    }

    pub(super) fn open_and_say(&mut self, id: i64, text: Option<String>) -> Vec<Effect> {
        let mut effects = self.open(id);
        effects.extend(text.map(|text| self.send(id, &text)).unwrap_or_default());
        effects
    }

    fn open_group(&mut self, name: &str) -> Vec<Effect> {
        match self.chats.group(name).map(|chat| chat.id) {
            Some(id) => self.open(id),
            None => {
                self.complain(fill(self.texts.no_group, &[name]));
                Vec::new()
            }
        }
    }

    fn in_group(&mut self, effect: impl FnOnce(i64) -> Effect) -> Vec<Effect> {
        match self.chat().filter(|chat| chat.is_group()).map(|chat| chat.id) {
            Some(id) => vec![effect(id)],
            None => {
                self.complain(self.texts.not_in_group);
                Vec::new()
            }
        }
    }

    /// The open conversation is searched first, then the others, the last active first.
    fn search(&mut self, word: String) -> Vec<Effect> {
        self.searches += 1;
        let number = self.searches;
        let title = fill(self.texts.searching, &[&word]);
        self.panel = Some(Panel::new(Kind::Search(number), title, Vec::new()));
        let mut conversations: Vec<_> = self.chats.in_order().into_iter().map(|chat| chat.id).collect();
        conversations.sort_by_key(|id| Some(*id) != self.open);
        vec![Effect::Search { number, word, conversations }]
    }

    fn retry(&mut self) -> Vec<Effect> {
        let failed = self.take_failed();
        let mut effects = Vec::new();
        for (local_id, conversation, content) in failed {
            effects.push(Effect::Discard { local_id });
            effects.extend(self.send_content(conversation, content));
        }
        let sent = effects.len() / 2;
        self.say_count(self.texts.retried, sent);
        effects
    }

    fn discard(&mut self) -> Vec<Effect> {
        let failed = self.take_failed();
        self.say_count(self.texts.discarded, failed.len());
        failed.into_iter().map(|(local_id, ..)| Effect::Discard { local_id }).collect()
    }

    fn say_count(&mut self, text: &str, count: usize) {
        match count {
            0 => self.say(self.texts.nothing_failed),
            count => self.say(fill(text, &[&count.to_string()])),
        }
    }

    fn take_failed(&mut self) -> Vec<(String, i64, Content)> {
        let failed = self.pending.extract_if(.., |pending| matches!(pending.fate, Fate::Failed(_)));
        failed.map(|pending| (pending.local_id, pending.conversation, pending.content)).collect()
    }

    pub(super) fn show_emoji(&mut self, page: u32) {
        let (emoji, pages) = emoji::page(page);
        let page = page.clamp(1, pages);
        let title = fill(self.texts.emoji_page, &[&page.to_string(), &pages.to_string()]);
        let row =
            |(name, emoji): (&str, &str)| Row::choice(emoji, format!(":{name}:"), Choice::Insert(emoji.to_owned()));
        let rows = emoji.into_iter().map(row).collect();
        self.panel = Some(Panel::new(Kind::Emoji { page, pages }, title, rows));
    }

    pub(super) fn show_help(&mut self) -> Vec<Effect> {
        let texts = self.texts;
        let mut rows = vec![Row::heading(texts.commands)];
        rows.extend(Verb::ALL.iter().map(|verb| Row::pair(verb.usage(), texts.purpose(*verb))));
        rows.push(Row::default());
        rows.push(Row::heading(texts.keys));
        rows.extend(input::HELP.iter().map(|(keys, what)| Row::pair(*keys, what(texts))));
        self.panel = Some(Panel::new(Kind::Help, texts.help.to_owned(), rows));
        Vec::new()
    }

    fn show_info(&mut self) -> Vec<Effect> {
        let texts = self.texts;
        let link = match &self.link {
            Link::Up => texts.connected.to_owned(),
            _ => crate::view::link(self),
        };
        let mut rows = vec![
            Row::pair(texts.info_user, format!("{} ({})", self.me.name, self.me.id)),
            Row::pair(texts.info_device, self.me.device.to_string()),
            Row::pair(texts.info_server, format!("{} {}", self.me.server_url, self.server).trim_end()),
            Row::pair(texts.info_connection, link),
            Row::pair(texts.info_language, texts.this_language),
            Row::pair(texts.version, env!("CARGO_PKG_VERSION")),
        ];
        if let Some(chat) = self.chat() {
            rows.push(Row::default());
            rows.push(Row::pair(texts.info_conversation, format!("{} ({})", self.title(chat), chat.id)));
            if chat.is_group() {
                rows.push(Row::pair(texts.info_role, self.role(&chat.role)));
                let members: Vec<_> = self.members.iter().map(|id| self.name(*id)).collect();
                rows.push(Row::pair(texts.info_members, format!("{}: {}", chat.members, members.join(", "))));
            }
        }
        self.panel = Some(Panel::new(Kind::Info, texts.info.to_owned(), rows));
        Vec::new()
    }

    /// A role's name; one of a later version as it is.
    pub(crate) fn role<'a>(&self, role: &'a str) -> &'a str {
        match role {
            "owner" => self.texts.role_owner,
            "admin" => self.texts.role_admin,
            "member" => self.texts.role_member,
            other => other,
        }
    }
}
