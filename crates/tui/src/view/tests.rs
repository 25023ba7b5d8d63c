//! Screens, kept as they look.

use std::time::Duration;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use sparrow_client::{DisconnectReason, Event as News, FailedMessage};

use super::{Theme, draw};
use crate::input::Action;
use crate::locale::Language;
use crate::state::Event;
use crate::state::effect::Answer;
use crate::state::log::Part;
use crate::testing::{ANN, BOB, Desk, LOBBY, MING, TEAM, WITH_BOB, conversation, membership, message, user};
use crate::text::width;

fn drawn(desk: &mut Desk, columns: u16, rows: u16, colour: bool) -> Buffer {
    desk.resize(columns, rows);
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, &desk.state, Theme { colour })).unwrap();
    terminal.backend().buffer().clone()
}

/// The screen as text; every line takes exactly its columns.
fn screen(desk: &mut Desk, columns: u16, rows: u16) -> String {
    let buffer = drawn(desk, columns, rows, true);
    let mut text = String::new();
    for y in 0..rows {
        let mut x = 0;
        while x < columns {
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            x += u16::try_from(width(symbol)).unwrap().max(1);
        }
        assert_eq!(x, columns, "a wide character hangs over the edge of line {y}");
        text.push_str("|\n");
    }
    text
}

fn talk() -> Vec<sparrow_client::Entry> {
    vec![
        membership(LOBBY, 1, BOB, "created", &[]),
        membership(LOBBY, 2, BOB, "added", &[ANN, MING]),
        message(LOBBY, 3, BOB, "Good morning, everybody. Has anyone seen the new release notes yet?"),
        message(LOBBY, 4, MING, "早上好！我看到了，写得很清楚 👍"),
        message(LOBBY, 5, MING, "and the e\u{301}lan of it"),
        message(LOBBY, 6, ANN, "Not yet. Where are they?"),
        message(LOBBY, 7, BOB, "docs/\nCHANGELOG.md\nlast line"),
        message(LOBBY, 8, ANN, "Thanks"),
    ]
}

#[test]
fn empty_lobby() {
    insta::assert_snapshot!(screen(&mut Desk::with_lobby(vec![]), 80, 12));
}

#[test]
fn chat_with_receipts() {
    let mut desk = Desk::with_lobby(talk());
    desk.receipt(LOBBY, BOB, 8, 6);
    desk.receipt(LOBBY, MING, 8, 8);
    insta::assert_snapshot!(screen(&mut desk, 90, 20));
}

#[test]
fn direct_with_unsent_and_failed_messages() {
    let mut desk = Desk::with_lobby(talk());
    desk.enter(":to bob");
    let said =
        vec![message(WITH_BOB, 1, BOB, "hello"), message(WITH_BOB, 2, ANN, "hi"), message(WITH_BOB, 3, ANN, "so")];
    desk.answer(Answer::History { conversation: WITH_BOB, part: Part::Latest, result: Ok(said) });
    desk.receipt(WITH_BOB, BOB, 3, 2);
    desk.send("this is refused", "refused");
    desk.hear(News::Failed(FailedMessage {
        local_id: "refused".into(),
        conversation_id: WITH_BOB,
        code: "not_permitted".into(),
        message: "bob does not take messages from you".into(),
    }));
    desk.hear(News::Disconnected { reason: DisconnectReason::Silence, retry_in: Duration::from_secs(4) });
    desk.send("this waits", "waits");
    desk.pass(60_000);
    insta::assert_snapshot!(screen(&mut desk, 80, 16));
}

#[test]
fn unread_list() {
    let mut desk = Desk::with_lobby(talk());
    for seq in 1..=3 {
        desk.hear(News::Entry(message(WITH_BOB, seq, BOB, "are you there?")));
    }
    let mut mention = message(TEAM, 1, MING, "@ann please look");
    let named = sparrow_client::Mention { user_id: ANN, all: false, offset: 0, length: 4 };
    mention.content.as_mut().unwrap().mentions.push(named);
    desk.hear(News::Entry(mention));
    desk.signal(LOBBY, BOB, "typing");
    insta::assert_snapshot!(screen(&mut desk, 80, 14));
}

#[test]
fn new_messages_since_the_last_visit() {
    let mut desk = Desk::with_lobby(vec![]);
    desk.answer(Answer::Conversations(Ok(vec![conversation(TEAM, "the team", 3, 1)])));
    desk.enter(":group the team");
    let said = vec![message(TEAM, 1, BOB, "old"), message(TEAM, 2, BOB, "new"), message(TEAM, 3, MING, "newer")];
    desk.answer(Answer::History { conversation: TEAM, part: Part::Latest, result: Ok(said) });
    insta::assert_snapshot!(screen(&mut desk, 80, 12));
}

#[test]
fn reconnecting() {
    let mut desk = Desk::with_lobby(talk());
    let reason = DisconnectReason::Network("refused".into());
    desk.hear(News::Disconnected { reason, retry_in: Duration::from_secs(7) });
    desk.send("sent while away", "id");
    desk.pass(2_000);
    insta::assert_snapshot!(screen(&mut desk, 80, 14));
}

#[test]
fn chinese() {
    let mut desk = Desk::in_language(Language::Chinese, talk());
    desk.type_text("今天天气很好，我们一起去公园走走吧，听说那里的花都开了");
    insta::assert_snapshot!(screen(&mut desk, 72, 18));
}

#[test]
fn scrolled_back() {
    let lines = (1..=50).map(|seq| message(LOBBY, seq, if seq % 3 == 0 { MING } else { BOB }, &format!("line {seq}")));
    let mut desk = Desk::with_lobby(lines.collect());
    desk.resize(80, 14);
    desk.press(Action::PageUp);
    desk.press(Action::PageUp);
    desk.hear(News::Entry(message(LOBBY, 51, BOB, "below")));
    insta::assert_snapshot!(screen(&mut desk, 80, 14));
}

#[test]
fn search_hits() {
    let mut desk = Desk::with_lobby(talk());
    desk.enter(":q 早上");
    let hits = vec![talk().remove(3), message(WITH_BOB, 3, BOB, "it is 早上 there, and we are late as ever this week")];
    desk.answer(Answer::Found { number: 1, word: "早上".into(), result: Ok(hits) });
    desk.press(Action::Down);
    insta::assert_snapshot!(screen(&mut desk, 80, 12));
}

#[test]
fn help() {
    let mut desk = Desk::with_lobby(talk());
    desk.press(Action::Help);
    insta::assert_snapshot!(screen(&mut desk, 90, 44));
}

#[test]
fn online_users() {
    let mut desk = Desk::with_lobby(talk());
    desk.enter(":olu");
    desk.answer(Answer::Online(Ok((vec![user(ANN), user(BOB)], true))));
    insta::assert_snapshot!(screen(&mut desk, 80, 10));
}

#[test]
fn emoji_page() {
    let mut desk = Desk::with_lobby(talk());
    desk.enter(":emoji 2");
    insta::assert_snapshot!(screen(&mut desk, 60, 12));
}

#[test]
fn info() {
    let mut desk = Desk::with_lobby(talk());
    desk.enter(":info");
    insta::assert_snapshot!(screen(&mut desk, 70, 16));
}

#[test]
fn completion() {
    let mut desk = Desk::with_lobby(talk());
    desk.type_text("I :smil");
    desk.press(Action::Complete);
    desk.press(Action::Complete);
    insta::assert_snapshot!(screen(&mut desk, 80, 12));
}

#[test]
fn tiny() {
    let mut desk = Desk::with_lobby(talk());
    desk.receipt(LOBBY, BOB, 8, 8);
    insta::assert_snapshot!(screen(&mut desk, 20, 6));
}

#[test]
fn help_on_a_narrow_screen() {
    let mut desk = Desk::with_lobby(talk());
    desk.press(Action::Help);
    insta::assert_snapshot!(screen(&mut desk, 32, 16));
}

#[test]
fn several_lines_in_the_composer() {
    let mut desk = Desk::with_lobby(talk());
    desk.event(Event::Paste("one\ntwo\n三\nfour".into()));
    desk.press(Action::Up);
    insta::assert_snapshot!(screen(&mut desk, 40, 12));
}

#[test]
fn received_text_cannot_act_on_the_terminal() {
    let hostile = "\u{1b}]0;title\u{7}\u{1b}[2J\u{202E}reversed\u{2066}";
    let mut group = conversation(TEAM, "\u{1b}[31m\u{202E}team", 0, 0);
    group.unread = 0;
    let mut desk = Desk::with_lobby(vec![message(LOBBY, 1, BOB, hostile)]);
    desk.answer(Answer::Conversations(Ok(vec![group])));
    let text = screen(&mut desk, 80, 12);
    let acts = |c: char| (c.is_control() && c != '\n') || ('\u{202A}'..='\u{202E}').contains(&c) || c == '\u{2066}';
    assert!(!text.contains(acts), "{text:?}");
    assert!(text.contains("reversed") && text.contains("team"));
}

#[test]
fn no_colour_where_none_is_wanted() {
    let mut desk = Desk::with_lobby(talk());
    desk.hear(News::Disconnected { reason: DisconnectReason::Silence, retry_in: Duration::from_secs(4) });
    let coloured =
        |buffer: &Buffer| buffer.content.iter().any(|cell| (cell.fg, cell.bg) != (Color::Reset, Color::Reset));
    assert!(coloured(&drawn(&mut desk, 90, 20, true)));
    assert!(!coloured(&drawn(&mut desk, 90, 20, false)));
}

fn any_event() -> impl Strategy<Value = Event> {
    let actions = prop_oneof![
        any::<char>().prop_map(Action::Insert),
        prop::sample::select(vec![
            Action::Newline,
            Action::Submit,
            Action::Backspace,
            Action::Delete,
            Action::DeleteWord,
            Action::Left,
            Action::Right,
            Action::WordLeft,
            Action::WordRight,
            Action::LineBegin,
            Action::LineEnd,
            Action::Up,
            Action::Down,
            Action::PageUp,
            Action::PageDown,
            Action::RowsUp,
            Action::RowsDown,
            Action::First,
            Action::Last,
            Action::NextChat,
            Action::PreviousChat,
            Action::NextUnread,
            Action::NthChat(2),
            Action::Complete,
            Action::CompleteBack,
            Action::Help,
            Action::Chats,
            Action::Search,
            Action::Cancel,
        ]),
    ];
    let commands =
        prop::sample::select(vec![":q x", ":emoji 3", ":olu", ":info", ":history 9", ":to bob", ":group lobby"]);
    prop_oneof![
        4 => actions.prop_map(Event::Action),
        2 => (0..60_u16, 0..30_u16).prop_map(|(columns, rows)| Event::Resize { columns, rows }),
        1 => "\\PC{0,40}".prop_map(Event::Paste),
        1 => commands.prop_map(|line| Event::Paste(line.to_owned())),
        1 => (0..60_u16, 0..30_u16).prop_map(|(column, row)| Event::Click { column, row }),
        2 => (1..60_i64, "\\PC{0,80}", 1..4_i64)
            .prop_map(|(seq, text, by)| Event::Client(Box::new(News::Entry(message(LOBBY, seq, by, &text))))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn no_keys_no_text_and_no_size_make_it_panic(events in prop::collection::vec(any_event(), 1..60)) {
        let mut desk = Desk::with_lobby(talk());
        let mut size = (80, 24);
        for event in events {
            if let Event::Resize { columns, rows } = event {
                size = (columns, rows);
            }
            desk.event(event);
            let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
            terminal.draw(|frame| draw(frame, &desk.state, Theme { colour: true })).unwrap();
        }
    }
}
