//! The state, driven by events as the loop drives it.

use std::time::Duration;

use sparrow_client::{
    DisconnectReason, Error, Event as News, FailedMessage, LogOutReason, OutboxMessage, SentMessage, UserPresence,
};

use super::effect::{Answer, Effect};
use super::log::Part;
use super::panel::Kind;
use super::{Event, Fate, Link};
use crate::Exit;
use crate::command::UserRef;
use crate::input::Action;
use crate::locale::Language;
use crate::testing::{
    ANN, BOB, Desk, LOBBY, MING, TEAM, WITH_BOB, conversation, membership, message, unreachable, user,
};

fn lines(range: std::ops::RangeInclusive<i64>) -> Vec<sparrow_client::Entry> {
    range.map(|seq| message(LOBBY, seq, BOB, &format!("line {seq}"))).collect()
}

fn history(effects: &[Effect]) -> Option<(i64, Part)> {
    effects.iter().find_map(|effect| match effect {
        Effect::History { before, part, .. } => Some((*before, *part)),
        _ => None,
    })
}

fn reads(effects: &[Effect]) -> Option<i64> {
    effects.iter().find_map(|effect| match effect {
        Effect::Read { seq, .. } => Some(*seq),
        _ => None,
    })
}

fn sent(effects: &[Effect]) -> Option<&str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send { content, .. } => Some(content.text.as_str()),
        _ => None,
    })
}

fn failed(local_id: &str) -> News {
    News::Failed(FailedMessage {
        local_id: local_id.into(),
        conversation_id: LOBBY,
        code: "not_permitted".into(),
        message: "they do not want to".into(),
    })
}

#[test]
fn opens_the_lobby_from_what_is_known_without_a_server() {
    let mut desk = Desk::new(Language::English);
    let known = [conversation(WITH_BOB, "", 5, 5), conversation(LOBBY, "Lobby", 5, 5)];
    let conversations = known.into_iter().filter_map(|known| known.state).collect();
    let effects = desk.answer(Answer::Known { conversations, outbox: Vec::new() });
    assert_eq!(desk.state.open, Some(LOBBY));
    assert_eq!(history(&effects), Some((0, Part::Latest)));
}

#[test]
fn opens_the_last_active_where_there_is_no_lobby() {
    let mut desk = Desk::new(Language::English);
    let effects = desk.hear(News::Connected { server: "s".into(), epoch: "e".into() });
    assert_eq!(effects, [Effect::ListConversations]);
    let list = vec![conversation(TEAM, "the team", 2, 2), conversation(WITH_BOB, "", 9, 9)];
    desk.answer(Answer::Conversations(Ok(list)));
    assert_eq!(desk.state.open, Some(WITH_BOB));
}

#[test]
fn a_message_is_shown_once_from_enter_to_its_entry() {
    for acked_first in [true, false] {
        let mut desk = Desk::with_lobby(lines(1..=2));
        desk.send("hello :smile:", "id");
        assert_eq!(desk.state.pending[0].text(), "hello 😄");
        assert_eq!(desk.state.waiting(), 1);
        let ack = SentMessage { local_id: "id".into(), conversation_id: LOBBY, seq: 3, time: 0 };
        let entry = sparrow_client::Entry { client_msg_id: "id".into(), ..message(LOBBY, 3, ANN, "hello 😄") };
        if acked_first {
            desk.hear(News::Sent(ack));
            assert_eq!(desk.state.pending[0].fate, Fate::Sent(3));
            desk.hear(News::Entry(entry));
        } else {
            desk.hear(News::Entry(entry));
            desk.hear(News::Sent(ack));
        }
        assert!(desk.state.pending.is_empty());
        assert!(desk.state.log.contains(3));
    }
}

#[test]
fn what_waited_when_the_program_ended_waits_again() {
    let mut desk = Desk::new(Language::English);
    let waiting = |id: &str, code: &str| OutboxMessage {
        local_id: id.into(),
        conversation_id: LOBBY,
        content: sparrow_client::Content::default(),
        failure_code: code.into(),
        failure_message: String::new(),
    };
    desk.answer(Answer::Known { conversations: vec![], outbox: vec![waiting("a", ""), waiting("b", "not_found")] });
    assert_eq!((desk.state.waiting(), desk.state.failed()), (1, 1));
}

#[test]
fn a_refused_message_is_explained_and_can_be_retried_or_discarded() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.send("hello", "id");
    desk.hear(failed("id"));
    assert_eq!(desk.state.pending[0].fate, Fate::Failed("they do not want to".into()));
    let effects = desk.enter(":retry");
    assert_eq!(effects[0], Effect::Discard { local_id: "id".into() });
    assert_eq!(sent(&effects), Some("hello"));
    let Effect::Send { token, .. } = effects[1] else { panic!("{effects:?}") };
    desk.answer(Answer::Queued { token, result: Ok("again".into()) });
    desk.hear(failed("again"));
    assert_eq!(desk.enter(":discard"), [Effect::Discard { local_id: "again".into() }]);
    assert!(desk.state.pending.is_empty());
}

#[test]
fn what_the_outbox_cannot_take_goes_back_to_where_it_was_written() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    let effects = desk.enter("precious");
    let token = effects.iter().find_map(|effect| match effect {
        Effect::Send { token, .. } => Some(*token),
        _ => None,
    });
    desk.answer(Answer::Queued { token: token.unwrap(), result: Err(Error::OutboxFull) });
    assert_eq!(desk.state.composer.text(), "precious");
    assert!(desk.state.pending.is_empty() && desk.notice().is_some());
}

#[test]
fn unread_counts_what_was_not_seen_once() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.hear(News::Entry(message(LOBBY, 3, BOB, "seen")));
    desk.hear(News::Entry(message(WITH_BOB, 1, BOB, "unseen")));
    desk.hear(News::Entry(message(WITH_BOB, 2, ANN, "from my phone")));
    let unread = |desk: &Desk, id| desk.state.chats.get(id).unwrap().unread;
    assert_eq!((unread(&desk, LOBBY), unread(&desk, WITH_BOB)), (0, 1));
    // A list that was made before or after says the same.
    desk.answer(Answer::Conversations(Ok(vec![conversation(WITH_BOB, "", 0, 0)])));
    assert_eq!(unread(&desk, WITH_BOB), 1);
    desk.event(Event::Focus(false));
    desk.hear(News::Entry(message(LOBBY, 4, BOB, "nobody looks")));
    assert_eq!(unread(&desk, LOBBY), 1);
    desk.event(Event::Focus(true));
    assert_eq!(unread(&desk, LOBBY), 0);
}

#[test]
fn the_read_cursor_follows_what_is_seen_and_is_told_once() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    assert_eq!(reads(&desk.hear(News::Entry(message(LOBBY, 3, BOB, "seen")))), Some(3));
    assert_eq!(reads(&desk.pass(10)), None);
    desk.hear(News::Disconnected { reason: DisconnectReason::Silence, retry_in: Duration::from_secs(1) });
    desk.answer(Answer::Read { conversation: LOBBY, result: Err(Error::NotConnected) });
    assert_eq!(reads(&desk.hear(News::CaughtUp)), Some(3));
    desk.answer(Answer::Read { conversation: LOBBY, result: Ok(3) });
    assert_eq!(reads(&desk.hear(News::CaughtUp)), None);
}

#[test]
fn scrolls_back_to_the_first_message_and_keeps_its_place() {
    let mut desk = Desk::with_lobby(lines(101..=200));
    desk.resize(80, 20);
    let mut asked = Vec::new();
    for _ in 0..20 {
        let effects = desk.press(Action::PageUp);
        let Some((before, part)) = history(&effects) else { continue };
        asked.push((before, part));
        let top = desk.state.log.top;
        desk.answer(Answer::History { conversation: LOBBY, part, result: Ok(lines(before - 100..=before - 1)) });
        assert_eq!(desk.state.log.top, top);
    }
    assert_eq!(asked, [(101, Part::Older)]);
    assert!(desk.state.log.at_start);
    desk.press(Action::PageUp);
    assert_eq!(desk.notice(), Some(desk.state.texts.at_beginning));
    desk.hear(News::Entry(message(LOBBY, 150, BOB, "loaded before the stream came to it")));
    assert_eq!(desk.state.log.below, 0);
    desk.hear(News::Entry(message(LOBBY, 201, BOB, "below")));
    assert_eq!(desk.state.log.below, 1);
    desk.press(Action::Last);
    assert!(desk.state.log.follows_end());
    assert_eq!(desk.state.log.below, 0);
}

#[test]
fn a_log_that_fits_the_screen_keeps_being_followed() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.press(Action::PageUp);
    assert!(desk.state.log.follows_end());
}

#[test]
fn a_search_hit_opens_in_its_surroundings_and_reads_on_from_there() {
    let mut desk = Desk::with_lobby(lines(901..=1000));
    let effects = desk.enter(":q needle");
    let Effect::Search { number, ref conversations, .. } = effects[0] else { panic!("{effects:?}") };
    assert_eq!(conversations[0], LOBBY);
    let found = |number, seq| Answer::Found {
        number,
        word: "needle".into(),
        result: Ok(vec![message(LOBBY, seq, BOB, "a needle")]),
    };
    desk.answer(found(number - 1, 999));
    assert!(desk.state.panel.as_ref().unwrap().rows.is_empty());
    desk.answer(found(number, 500));
    let effects = desk.press(Action::Submit);
    assert_eq!(history(&effects), Some((550, Part::Around(500))));
    let answer = |part, range| Answer::History { conversation: LOBBY, part, result: Ok(lines(range)) };
    desk.answer(answer(Part::Around(500), 450..=549));
    assert_eq!((desk.state.log.hit, desk.state.log.at_end), (Some(500), false));
    let mut asked = None;
    for _ in 0..20 {
        asked = asked.or(history(&desk.press(Action::PageDown)));
    }
    assert_eq!(asked, Some((650, Part::Newer)));
    desk.answer(answer(Part::Newer, 550..=649));
    assert!(desk.state.log.contains(649) && !desk.state.log.at_end);
    assert_eq!(history(&desk.press(Action::Last)), Some((0, Part::Latest)));
}

#[test]
fn typing_is_told_now_and_then_and_not_for_commands() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    let told = |effects: Vec<Effect>| effects.iter().filter(|e| matches!(e, Effect::Typing { .. })).count();
    assert_eq!(told(desk.type_text(":to bob")), 0);
    desk.press(Action::Interrupt);
    assert_eq!(told(desk.type_text("hello")), 1);
    desk.pass(3_000);
    assert_eq!(told(desk.type_text("you")), 1);
    let effects = desk.press(Action::DeleteToLineBegin);
    assert_eq!(effects, [Effect::Typing { conversation: LOBBY, typing: false }]);
}

#[test]
fn who_types_is_forgotten_after_a_while_or_with_their_message() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    let typing = |desk: &Desk| desk.state.chat().unwrap().typing(desk.now).collect::<Vec<_>>();
    for user in [BOB, MING, ANN] {
        desk.signal(LOBBY, user, "typing");
    }
    assert_eq!(typing(&desk), [BOB, MING]);
    desk.hear(News::Entry(message(LOBBY, 3, BOB, "done")));
    assert_eq!(typing(&desk), [MING]);
    desk.pass(6_000);
    assert!(typing(&desk).is_empty());
}

#[test]
fn a_draft_waits_in_its_conversation() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.type_text("half a thought");
    let to_team = desk.state.chats.in_order().iter().position(|chat| chat.id == TEAM).unwrap();
    desk.press(Action::NthChat(u8::try_from(to_team + 1).unwrap()));
    assert_eq!((desk.state.open, desk.state.composer.text()), (Some(TEAM), ""));
    desk.enter(":group lobby");
    assert_eq!(desk.state.composer.text(), "half a thought");
}

#[test]
fn writes_to_users_whether_they_are_known_or_not() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    let effects = desk.enter("BOB;;hi");
    assert_eq!((desk.state.open, sent(&effects)), (Some(WITH_BOB), Some("hi")));
    let carol = UserRef::parse("carol").unwrap();
    assert_eq!(desk.enter(":to carol hello"), [Effect::OpenDirect { user: carol, text: Some("hello".into()) }]);
    desk.answer(Answer::Opened { result: Err(unreachable()), text: Some("hello".into()) });
    assert_eq!(desk.state.composer.text(), "hello");
    desk.press(Action::Interrupt);
    assert_eq!(desk.enter(":to ann"), [Effect::OpenNotes { text: None }]);
}

#[test]
fn groups_are_left_and_their_former_members_told() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    assert_eq!(desk.enter(":leave"), [Effect::Leave { conversation: LOBBY }]);
    desk.answer(Answer::Left { conversation: LOBBY, result: Ok(()) });
    assert_ne!(desk.state.open, Some(LOBBY));
    desk.enter(":group the team");
    let mut removed = conversation(TEAM, "the team", 3, 0).state.unwrap();
    removed.role.clear();
    desk.hear(News::ConversationChanged(removed));
    assert_eq!(desk.enter("hello?"), []);
    assert_eq!(desk.notice(), Some(desk.state.texts.not_member));
    assert_eq!(desk.state.composer.text(), "hello?");
}

#[test]
fn mentions_are_counted_in_code_points() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    let effects = desk.enter("你好 @bob, @小明! @nobody @ann");
    let Effect::Send { content, .. } = &effects[0] else { panic!("{effects:?}") };
    let mentions: Vec<_> = content.mentions.iter().map(|m| (m.user_id, m.offset, m.length)).collect();
    assert_eq!(mentions, [(BOB, 3, 4), (MING, 9, 3)]);
}

#[test]
fn tab_completes_what_the_place_asks_for() {
    let complete = |typed: &str| {
        let mut desk = Desk::with_lobby(lines(1..=2));
        desk.type_text(typed);
        desk.press(Action::Complete);
        desk.state.composer.text().to_owned()
    };
    assert_eq!(complete(":cr"), ":create ");
    assert_eq!(complete(":to b"), ":to bob ");
    assert_eq!(complete(":group the"), ":group the team");
    assert_eq!(complete(":kick 小"), ":kick 小明 ");
    assert_eq!(complete("hi @b"), "hi @bob ");
    assert_eq!(complete("so :thumbsu"), "so :thumbsup:");
    assert_eq!(complete(":info x"), ":info x");
}

#[test]
fn tab_goes_round_and_asks_the_server_for_unknown_names() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.type_text(":i");
    desk.press(Action::Complete);
    assert_eq!(desk.state.completion.as_ref().unwrap().candidates.len(), 2);
    for expected in [":invite ", ":info", ":invite "] {
        desk.press(Action::Complete);
        assert_eq!(desk.state.composer.text(), expected);
    }
    desk.press(Action::CompleteBack);
    assert_eq!(desk.state.composer.text(), ":info");
    desk.press(Action::DeleteToLineBegin);
    desk.type_text(":to user9");
    assert_eq!(desk.press(Action::Complete), [Effect::LookUp { prefix: "user9".into() }]);
    desk.answer(Answer::LookedUp(Ok(vec![user(99)])));
    assert_eq!(desk.state.composer.text(), ":to user99 ");
}

#[test]
fn an_answer_that_comes_after_the_line_changed_completes_nothing() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.type_text(":to user9");
    desk.press(Action::Complete);
    desk.type_text("8");
    desk.answer(Answer::LookedUp(Ok(vec![user(99)])));
    assert_eq!(desk.state.composer.text(), ":to user98");
}

#[test]
fn pasted_text_is_made_safe_and_bounded() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.event(Event::Paste("a\r\nb\u{1b}[2J".into()));
    assert_eq!(desk.state.composer.text(), "a\nb\u{FFFD}[2J");
    desk.event(Event::Paste("x".repeat(70_000)));
    assert_eq!(desk.notice(), Some(desk.state.texts.too_long));
    assert!(desk.state.composer.text().len() < 20);
}

#[test]
fn ctrl_c_clears_and_twice_leaves() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.type_text("oops");
    desk.press(Action::Interrupt);
    assert!(desk.state.composer.is_empty());
    assert_eq!(desk.press(Action::Interrupt), []);
    assert_eq!(desk.press(Action::Interrupt), [Effect::Exit(Exit::Quit)]);
    desk.pass(60_000);
    assert_eq!(desk.press(Action::Interrupt), []);
}

#[test]
fn the_end_of_the_tokens_ends_the_program_with_the_reason() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    let reason = LogOutReason::Server("revoked".into());
    let effects = desk.hear(News::LoggedOut { reason: reason.clone() });
    assert_eq!(effects, [Effect::Exit(Exit::LoggedOut(reason))]);
}

#[test]
fn reconnecting_counts_down() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.hear(News::Disconnected { reason: DisconnectReason::Silence, retry_in: Duration::from_secs(5) });
    assert!(matches!(&desk.state.link, Link::Down { until, .. } if *until == desk.now + 5_000));
    assert!(desk.state.needs_ticks());
    desk.hear(News::CaughtUp);
    assert!(!desk.state.needs_ticks());
}

#[test]
fn unknown_authors_are_asked_for_once() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    let asked = |effects: &[Effect]| effects.iter().filter(|e| matches!(e, Effect::User { id: 99 })).count();
    assert_eq!(asked(&desk.hear(News::Entry(message(LOBBY, 3, 99, "who am I?")))), 1);
    assert_eq!(asked(&desk.pass(10)), 0);
    desk.answer(Answer::User { id: 99, result: Ok(user(99)) });
    assert_eq!(desk.state.name(99), "user99");
}

#[test]
fn a_late_answer_does_not_open_a_closed_list() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.enter(":olu");
    assert_eq!(desk.state.panel.as_ref().map(|panel| &panel.kind), Some(&Kind::Online));
    desk.press(Action::Cancel);
    desk.answer(Answer::Online(Ok((vec![user(BOB)], true))));
    assert!(desk.state.panel.is_none());
}

#[test]
fn what_another_device_read_is_counted_anew() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.answer(Answer::Conversations(Ok(vec![conversation(TEAM, "the team", 9, 0)])));
    let read = |seq| News::ConversationChanged(conversation(TEAM, "the team", 9, seq).state.unwrap());
    assert_eq!(desk.hear(read(0)), []);
    assert_eq!(desk.hear(read(4)), [Effect::ListConversations]);
    desk.hear(read(9));
    assert_eq!(desk.state.chats.get(TEAM).unwrap().unread, 0);
}

#[test]
fn a_part_of_the_users_online_says_nothing_of_the_others() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.answer(Answer::Online(Ok((vec![user(ANN)], false))));
    assert!(desk.state.people.is_online(BOB));
    desk.answer(Answer::Online(Ok((vec![user(ANN)], true))));
    assert!(!desk.state.people.is_online(BOB));
}

#[test]
fn what_came_while_the_user_was_away_is_new_until_they_answer() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    for first in [3, 5] {
        desk.event(Event::Focus(false));
        for seq in [first, first + 1] {
            desk.hear(News::Entry(message(LOBBY, seq, BOB, "hello?")));
        }
        desk.event(Event::Focus(true));
        assert_eq!(desk.state.log.new_from, Some(first));
    }
    desk.enter("here I am");
    assert_eq!(desk.state.log.new_from, None);
}

#[test]
fn the_mouse_opens_the_conversation_it_points_at() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    desk.resize(80, 12);
    let second = desk.state.chats.in_order()[1].id;
    desk.event(Event::Click { column: 3, row: 2 });
    assert_eq!(desk.state.open, Some(second));
    desk.event(Event::Click { column: 40, row: 1 });
    desk.event(Event::Click { column: 3, row: 11 });
    assert_eq!(desk.state.open, Some(second));
}

#[test]
fn a_change_of_members_is_read_anew() {
    let mut desk = Desk::with_lobby(lines(1..=2));
    let effects = desk.hear(News::Entry(membership(LOBBY, 3, BOB, "added", &[MING])));
    assert!(effects.contains(&Effect::Members { conversation: LOBBY }));
}

#[test]
fn who_one_talks_with_is_watched_and_shown_as_they_come_and_go() {
    let mut desk = Desk::with_lobby(lines(1..=3));
    let watched = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Watch { users } => Some(users),
            _ => None,
        })
    };
    let first = watched(desk.hear(News::CaughtUp)).unwrap();
    assert!(first.contains(&BOB) && !first.contains(&99));
    assert_eq!(watched(desk.event(Event::Tick)), None, "nothing has changed");
    desk.state.members.insert(99);
    assert!(watched(desk.event(Event::Tick)).unwrap().contains(&99), "somebody came to the open conversation");
    let presence = |online| vec![UserPresence { user_id: BOB, online, last_seen: 0 }];
    desk.answer(Answer::Watched(Ok(presence(true))));
    assert!(desk.state.people.is_online(BOB));
    desk.hear(News::Presence(presence(false)));
    assert!(!desk.state.people.is_online(BOB));
}
