//! For the tests of `state` and `view`: a user `ann` in front of a screen, and the world that sends her events.

use jiff::tz::TimeZone;
use sparrow_client::{
    Content, Conversation, ConversationState, Entry, Error, Event as News, Interval, Member, MemberRole,
    MembershipChange, Receipt, Signal, User,
};

use crate::input::Action;
use crate::locale::Language;
use crate::state::effect::{Answer, Effect};
use crate::state::log::Part;
use crate::state::{Event, Me, State};

/// Monday, 23 November 2026, 09:00 UTC.
pub(crate) const NOW: i64 = 1_795_424_400_000;

pub(crate) const ANN: i64 = 1;
pub(crate) const BOB: i64 = 2;
pub(crate) const MING: i64 = 3;
pub(crate) const NAMES: [(i64, &str); 3] = [(ANN, "ann"), (BOB, "bob"), (MING, "小明")];

pub(crate) const LOBBY: i64 = 10;
pub(crate) const WITH_BOB: i64 = 20;
pub(crate) const TEAM: i64 = 30;

/// A user as the server describes them.
pub(crate) fn user(id: i64) -> User {
    let name =
        NAMES.iter().find(|(user, _)| *user == id).map_or_else(|| format!("user{id}"), |(_, name)| (*name).into());
    User { user_id: id, name, online: id != MING, ..User::default() }
}

/// A group, or the direct with Bob, with so many entries, of which so many are read.
pub(crate) fn conversation(id: i64, name: &str, head: i64, read: i64) -> Conversation {
    let direct = id == WITH_BOB;
    let state = ConversationState {
        conversation_id: id,
        kind: if direct { "direct" } else { "group" }.into(),
        name: if direct { String::new() } else { name.into() },
        peer_id: if direct { BOB } else { 0 },
        peer_name: if direct { "bob".into() } else { String::new() },
        head,
        floor: 1,
        intervals: vec![Interval { join_seq: 1, leave_seq: 0 }],
        role: "member".into(),
        read,
        last_message_seq: head,
        member_count: 3,
        ..ConversationState::default()
    };
    Conversation {
        unread: u32::try_from(head - read).unwrap(),
        last_message: (head > 0).then(|| message(id, head, BOB, "last")),
        peer: direct.then(|| user(BOB)),
        state: Some(state),
        ..Conversation::default()
    }
}

/// A message; one a minute from 08:00 on.
pub(crate) fn message(conversation: i64, seq: i64, sender: i64, text: &str) -> Entry {
    Entry {
        conversation_id: conversation,
        seq,
        kind: "message".into(),
        sender_id: sender,
        time: NOW - 60 * 60_000 + seq * 60_000,
        client_msg_id: format!("{conversation}-{seq}"),
        content: Some(Content { text: text.into(), ..Content::default() }),
        ..Entry::default()
    }
}

/// A change of members.
pub(crate) fn membership(conversation: i64, seq: i64, sender: i64, change: &str, members: &[i64]) -> Entry {
    let members = members.iter().map(|id| MemberRole { user_id: *id, role: "member".into() }).collect();
    Entry {
        kind: "membership".into(),
        content: None,
        membership: Some(MembershipChange { change: change.into(), members }),
        ..message(conversation, seq, sender, "")
    }
}

/// Ann's screen.
pub(crate) struct Desk {
    pub(crate) state: State,
    pub(crate) now: i64,
}

impl Desk {
    /// Before anything is known.
    pub(crate) fn new(language: Language) -> Self {
        let me = Me { id: ANN, name: "ann".into(), device: 7, server_url: "http://sparrow.example".into() };
        Self { state: State::new(me, "lobby".into(), language, TimeZone::UTC, NOW), now: NOW }
    }

    /// Connected; three conversations; the lobby is open with these messages.
    pub(crate) fn with_lobby(entries: Vec<Entry>) -> Self {
        Self::in_language(Language::English, entries)
    }

    pub(crate) fn in_language(language: Language, entries: Vec<Entry>) -> Self {
        let mut desk = Self::new(language);
        let head = entries.last().map_or(0, |entry| entry.seq);
        desk.hear(News::Connected { server: "sparrow/0.1.0".into(), epoch: "e".into() });
        let lobby = conversation(LOBBY, "lobby", head, head);
        let list = vec![lobby, conversation(WITH_BOB, "", 0, 0), conversation(TEAM, "the team", 0, 0)];
        desk.answer(Answer::Conversations(Ok(list)));
        desk.hear(News::CaughtUp);
        desk.answer(Answer::History { conversation: LOBBY, part: Part::Latest, result: Ok(entries) });
        let member = |id| Member { user: Some(user(id)), role: "member".into() };
        let members = NAMES.iter().map(|(id, _)| member(*id)).collect();
        desk.answer(Answer::Members { conversation: LOBBY, result: Ok(members) });
        desk.answer(Answer::Online(Ok((vec![user(ANN), user(BOB)], true))));
        desk
    }

    pub(crate) fn event(&mut self, event: Event) -> Vec<Effect> {
        self.state.update(self.now, event)
    }

    pub(crate) fn press(&mut self, action: Action) -> Vec<Effect> {
        self.event(Event::Action(action))
    }

    pub(crate) fn hear(&mut self, news: News) -> Vec<Effect> {
        self.event(Event::Client(Box::new(news)))
    }

    pub(crate) fn answer(&mut self, answer: Answer) -> Vec<Effect> {
        self.event(Event::Answer(Box::new(answer)))
    }

    pub(crate) fn type_text(&mut self, text: &str) -> Vec<Effect> {
        text.chars().flat_map(|typed| self.press(Action::Insert(typed))).collect()
    }

    /// Types a line and presses Enter; answers what Enter led to.
    pub(crate) fn enter(&mut self, line: &str) -> Vec<Effect> {
        self.type_text(line);
        self.press(Action::Submit)
    }

    /// Types a line, sends it, and lets the outbox take it under this id.
    pub(crate) fn send(&mut self, line: &str, local_id: &str) {
        let token = self.enter(line).iter().find_map(|effect| match effect {
            Effect::Send { token, .. } => Some(*token),
            _ => None,
        });
        self.answer(Answer::Queued { token: token.expect("a message is sent"), result: Ok(local_id.into()) });
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.event(Event::Resize { columns, rows });
    }

    pub(crate) fn pass(&mut self, milliseconds: i64) -> Vec<Effect> {
        self.now += milliseconds;
        self.event(Event::Tick)
    }

    pub(crate) fn receipt(&mut self, conversation: i64, user: i64, delivered: i64, read: i64) {
        self.hear(News::Receipt(Receipt { conversation_id: conversation, user_id: user, delivered, read }));
    }

    pub(crate) fn signal(&mut self, conversation: i64, user: i64, kind: &str) {
        let signal =
            Signal { conversation_id: conversation, sender_id: user, r#type: kind.into(), data: String::new() };
        self.hear(News::Signal(signal));
    }

    pub(crate) fn notice(&self) -> Option<&str> {
        self.state.notice.as_ref().map(|notice| notice.text.as_str())
    }
}

/// The answer of a server that cannot be reached.
pub(crate) fn unreachable() -> Error {
    Error::Unreachable("nobody there".into())
}
