//! The state of the screen: an event goes in, the state changes, effects come out. No I/O, no clock: the time comes
//! with the event.
//!
//! `keys` does what the user asks, `commands` what typed commands ask, `news` takes in what the SDK reports, `answers`
//! what effects brought. `view` draws what is here.

mod answers;
mod chats;
mod commands;
mod completion;
mod composer;
pub(crate) mod effect;
mod keys;
pub(crate) mod log;
mod news;
pub(crate) mod panel;
mod people;
mod scroll;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use sparrow_client::{Content, Mention};
use sparrow_protocol::limits;

pub(crate) use self::chats::{Chat, Chats, MOST_UNREAD};
pub(crate) use self::completion::Completion;
pub(crate) use self::composer::Composer;
use self::effect::{Answer, Effect};
use self::log::{Item, Log, Part};
use self::panel::Panel;
pub(crate) use self::people::People;
use crate::emoji;
use crate::geometry::Geometry;
use crate::input::Action;
use crate::locale::{Language, Texts, fill};

/// So long a notice stays, in milliseconds.
const NOTICE_MS: i64 = 8_000;
/// So often the server is asked who is online, in milliseconds.
const PRESENCE_MS: i64 = 30_000;
/// So often the server is told that the user types, in milliseconds.
const TYPING_MS: i64 = 3_000;
/// What the rest of a message takes besides its text, in bytes.
const MESSAGE_OVERHEAD: usize = 4 * 1024;

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    Action(Action),
    Paste(String),
    Resize {
        columns: u16,
        rows: u16,
    },
    /// The terminal's window is in front, or no longer.
    Focus(bool),
    Click {
        column: u16,
        row: u16,
    },
    /// Time has passed.
    Tick,
    Client(Box<sparrow_client::Event>),
    Answer(Box<Answer>),
}

/// Who uses this program, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Me {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) device: i64,
    pub(crate) server_url: String,
}

/// The connection, as far as the user cares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Link {
    #[default]
    Connecting,
    CatchingUp,
    Up,
    Down {
        why: String,
        until: i64,
    },
}

/// A message of this device that is not in the log yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pending {
    pub(crate) token: u64,
    /// Empty until it is in the outbox.
    local_id: String,
    pub(crate) conversation: i64,
    content: Content,
    pub(crate) time: i64,
    pub(crate) fate: Fate,
}

impl Pending {
    pub(crate) fn text(&self) -> &str {
        &self.content.text
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Waiting,
    /// In the log under this seq; its entry is about to arrive.
    Sent(i64),
    /// Refused for good, and why.
    Failed(String),
}

/// One line to the user that goes away by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) bad: bool,
    until: i64,
}

/// Everything that the screen shows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) me: Me,
    pub(crate) texts: &'static Texts,
    pub(crate) zone: TimeZone,
    /// Milliseconds since 1970 UTC.
    pub(crate) now: i64,
    columns: u16,
    rows: u16,
    focused: bool,
    pub(crate) link: Link,
    /// The server's name and version.
    pub(crate) server: String,
    pub(crate) chats: Chats,
    pub(crate) people: People,
    pub(crate) open: Option<i64>,
    /// The group to open first.
    first: String,
    pub(crate) log: Log,
    /// Members of the open group.
    pub(crate) members: BTreeSet<i64>,
    pub(crate) pending: Vec<Pending>,
    next_token: u64,
    pub(crate) composer: Composer,
    pub(crate) completion: Option<Completion>,
    /// The text for which names were asked of the server.
    completing: Option<String>,
    pub(crate) panel: Option<Panel>,
    searches: u64,
    pub(crate) notice: Option<Notice>,
    listing: bool,
    /// The log has changed since its authors' names were looked for.
    names_due: bool,
    presence_due: i64,
    /// Whose coming and going the server was asked to tell.
    watching: BTreeSet<i64>,
    typing_told: i64,
}

impl State {
    pub(crate) fn new(me: Me, first: String, language: Language, zone: TimeZone, now: i64) -> Self {
        let mut people = People::default();
        people.learn_name(me.id, &me.name);
        Self {
            me,
            texts: language.texts(),
            zone,
            now,
            columns: 80,
            rows: 24,
            focused: true,
            link: Link::Connecting,
            server: String::new(),
            chats: Chats::default(),
            people,
            open: None,
            first,
            log: Log::default(),
            members: BTreeSet::new(),
            pending: Vec::new(),
            next_token: 1,
            composer: Composer::default(),
            completion: None,
            completing: None,
            panel: None,
            searches: 0,
            notice: None,
            listing: false,
            names_due: false,
            presence_due: 0,
            watching: BTreeSet::new(),
            typing_told: 0,
        }
    }

    /// Takes in an event that happened at `now`; answers what to do outside.
    pub(crate) fn update(&mut self, now: i64, event: Event) -> Vec<Effect> {
        self.now = now;
        if self.notice.as_ref().is_some_and(|notice| notice.until <= now) {
            self.notice = None;
        }
        let mut effects = match event {
            Event::Action(action) => self.act(action),
            Event::Paste(text) => self.paste(&text),
            Event::Resize { columns, rows } => self.resize(columns, rows),
            Event::Focus(focused) => {
                // What comes while the user is away is new when they are back; what they saw is not.
                if !focused && self.log.follows_end() {
                    self.log.new_from = None;
                }
                self.focused = focused;
                Vec::new()
            }
            Event::Click { column, row } => self.click(column, row),
            Event::Tick => self.tick(),
            Event::Client(event) => self.hear(*event),
            Event::Answer(answer) => self.answered(*answer),
        };
        effects.extend(self.note_read());
        effects.extend(self.ask_names());
        effects
    }

    /// True while something on the screen changes with time alone.
    pub(crate) fn needs_ticks(&self) -> bool {
        self.notice.is_some()
            || self.link != Link::Up
            || self.chat().is_some_and(|chat| chat.typing(self.now).count() > 0)
    }

    pub(crate) fn geometry(&self) -> Geometry {
        Geometry::of(self.columns, self.rows, |columns| self.composer.rows(columns).0.len())
    }

    /// The open conversation.
    pub(crate) fn chat(&self) -> Option<&Chat> {
        self.chats.get(self.open?)
    }

    /// A user's name to show.
    pub(crate) fn name(&self, user: i64) -> String {
        let unknown = || fill(self.texts.user, &[&user.to_string()]);
        self.people.shown(user).map_or_else(unknown, str::to_owned)
    }

    /// A conversation's name to show.
    pub(crate) fn title<'a>(&'a self, chat: &'a Chat) -> &'a str {
        match chat.name(&self.people) {
            _ if chat.is_notes() => self.texts.notes,
            "" => self.texts.unnamed,
            name => name,
        }
    }

    pub(crate) fn failed(&self) -> usize {
        self.pending.iter().filter(|pending| matches!(pending.fate, Fate::Failed(_))).count()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.pending.iter().filter(|pending| pending.fate == Fate::Waiting).count()
    }

    fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), bad: false, until: self.now.saturating_add(NOTICE_MS) });
    }

    fn complain(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), bad: true, until: self.now.saturating_add(NOTICE_MS) });
    }

    /// Opens a conversation; what was being written in the one before waits there.
    fn open(&mut self, id: i64) -> Vec<Effect> {
        self.panel = None;
        if self.open == Some(id) {
            return Vec::new();
        }
        let written = std::mem::take(&mut self.composer);
        if let Some(chat) = self.open.and_then(|id| self.chats.get_mut(id)) {
            written.text().clone_into(&mut chat.draft);
        }
        let Some(chat) = self.chats.get_mut(id) else {
            self.composer = written;
            return Vec::new();
        };
        self.composer = written;
        self.composer.set(std::mem::take(&mut chat.draft));
        self.completion = None;
        self.open = Some(id);
        self.members.clear();
        self.log = Log::opened((chat.unread > 0).then_some(chat.read + 1));
        self.log.loading = Some(Part::Latest);
        let latest = Effect::History { conversation: id, before: 0, limit: log::PAGE, part: Part::Latest };
        let mut effects = vec![latest];
        match chat.peer {
            0 => effects.push(Effect::Members { conversation: id }),
            peer => effects.push(Effect::User { id: peer }),
        }
        effects
    }

    /// Sends a text to a conversation.
    fn send(&mut self, conversation: i64, text: &str) -> Vec<Effect> {
        let text = emoji::render(text.trim_end()).into_owned();
        let mentions = self.mentions(&text);
        let content = Content { text, mentions, ..Content::default() };
        self.send_content(conversation, content)
    }

    fn send_content(&mut self, conversation: i64, content: Content) -> Vec<Effect> {
        let token = self.next_token;
        self.next_token += 1;
        self.pending.push(Pending {
            token,
            local_id: String::new(),
            conversation,
            content: content.clone(),
            time: self.now,
            fate: Fate::Waiting,
        });
        if let Some(chat) = self.chats.get_mut(conversation) {
            chat.active = chat.active.max(self.now);
        }
        vec![Effect::Send { token, conversation, content }]
    }

    /// Everybody who is named as `@name` in a text.
    fn mentions(&self, text: &str) -> Vec<Mention> {
        let mut mentions = Vec::new();
        for (at, _) in text.match_indices('@').take(limits::MENTIONS) {
            let word = text[at + 1..].split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))).next();
            let name = word.unwrap_or_default().trim_end_matches(['_', '.', '-']);
            if let Some(user_id) = self.people.by_name(name).filter(|user| *user != self.me.id) {
                let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
                mentions.push(Mention { user_id, all: false, offset: count(&text[..at]), length: count(name) + 1 });
            }
        }
        mentions
    }

    /// True if the user has the end of the open log before their eyes.
    fn sees_end(&self) -> bool {
        self.focused && self.log.follows_end()
    }

    /// Notes what the user has read, once it is loaded and seen.
    fn note_read(&mut self) -> Option<Effect> {
        if !self.sees_end() || self.log.loading == Some(Part::Latest) {
            return None;
        }
        let last = self.log.last()?;
        let conversation = self.open?;
        let is_up = self.link == Link::Up;
        let chat = self.chats.get_mut(conversation)?;
        (chat.unread, chat.mentions) = (0, 0);
        if !is_up || last <= chat.read_asked {
            return None;
        }
        chat.read_asked = last;
        Some(Effect::Read { conversation, seq: last })
    }

    /// Asks for the names that the loaded log needs and that the list of members has not told.
    fn ask_names(&mut self) -> Vec<Effect> {
        let waits_for_members = self.members.is_empty() && self.chat().is_some_and(Chat::is_group);
        if !self.names_due || waits_for_members || self.link != Link::Up {
            return Vec::new();
        }
        self.names_due = false;
        let needed: BTreeSet<i64> = self.log.items().flat_map(Item::people).collect();
        let asked = needed.into_iter().filter(|user| self.people.must_ask(*user));
        asked.map(|id| Effect::User { id }).collect()
    }

    fn tick(&mut self) -> Vec<Effect> {
        if self.link != Link::Up {
            return Vec::new();
        }
        let mut effects = Vec::new();
        if self.now >= self.presence_due {
            self.presence_due = self.now.saturating_add(PRESENCE_MS);
            // A session that was too slow has missed what was said of those it watches.
            self.watching.clear();
            effects.push(Effect::Online { pages: 1 });
        }
        // On a large server one page of who is online tells little of those one talks with.
        let wanted = self.wants_to_watch();
        if wanted != self.watching {
            effects.push(Effect::Watch { users: wanted.iter().copied().collect() });
            self.watching = wanted;
        }
        effects
    }

    /// Those whose coming and going is shown: the open conversation's members, and who one talks with, the last first.
    fn wants_to_watch(&self) -> BTreeSet<i64> {
        let peers = self.chats.in_order().into_iter().map(|chat| chat.peer);
        let mut seen = BTreeSet::from([0, self.me.id]);
        let open = self.chat().map(|chat| chat.peer);
        let wanted = open.into_iter().chain(peers).chain(self.members.iter().copied());
        wanted.filter(|user| seen.insert(*user)).take(limits::PRESENCE_USERS).collect()
    }

    fn list_conversations(&mut self) -> Vec<Effect> {
        if std::mem::replace(&mut self.listing, true) { Vec::new() } else { vec![Effect::ListConversations] }
    }
}
