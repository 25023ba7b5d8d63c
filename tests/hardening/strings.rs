//! H22: characters that mean something to SQL, to a bus or to a path are data or refused; so are absurd numbers, and
//! cursors that the node never gave.

use sparrow_protocol::{Code, Format, v1};
use sparrow_testkit::{ApiError, User};

use crate::support::{history, in_every_format, node, send, texts};

const STRINGS: [&str; 14] = [
    "'",
    "' OR '1'='1",
    "\"; DROP TABLE entries; --",
    "%",
    "_",
    "a%b_c",
    "*",
    ">",
    "a.b.>",
    "..",
    "../../x",
    "\u{0}",
    "$1 ?1 :a",
    "\u{202e}<script>",
];

fn status(error: &ApiError) -> u16 {
    error.status().unwrap_or_else(|| panic!("no answer: {error}"))
}

in_every_format!(any_text_comes_back_as_it_was_sent);

async fn any_text_comes_back_as_it_was_sent(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    for words in STRINGS {
        send(&mut connection, conversation, words).await;
    }
    let entries = history(&mut bob.connect(&node, format).await, conversation).await;
    assert_eq!(texts(&entries), STRINGS);
}

in_every_format!(ids_and_cursors_that_the_node_never_gave_are_refused);

async fn ids_and_cursors_that_the_node_never_gave_are_refused(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation_id = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    for cursor in STRINGS.into_iter().chain(["AAAA", "eyJhIjoxfQ", "MQo5OTk5CjAKMAot"]) {
        let sync = v1::Sync { cursor: cursor.to_owned(), limit: 1 };
        match connection.call::<v1::SyncPage>(&sync).await {
            // One that can be read but is of no epoch we know begins anew; it shows what is one's own, and all of it.
            Ok(page) => assert!(page.full, "{cursor:?}"),
            Err(error) => assert_eq!(error.code(), Some(Code::InvalidRequest.as_str()), "{cursor:?}"),
        }
    }
    for client_msg_id in STRINGS {
        let send = v1::Send {
            conversation_id,
            client_msg_id: client_msg_id.to_owned(),
            content: Some(v1::Content { text: "x".to_owned(), ..Default::default() }),
        };
        let error = connection.call::<v1::SendAck>(&send).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::InvalidRequest.as_str()));
    }
    for r#type in STRINGS.into_iter().filter(|it| *it != "_" && *it != "..") {
        let signal = v1::Signal { conversation_id, r#type: r#type.to_owned(), ..Default::default() };
        let error = connection.call::<v1::Ok>(&signal).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::InvalidRequest.as_str()), "{type:?}");
    }
    assert_eq!(texts(&history(&mut connection, conversation_id).await), [""; 0]);
}

in_every_format!(absurd_numbers_are_data_or_refused);

async fn absurd_numbers_are_data_or_refused(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation_id = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    send(&mut connection, conversation_id, "x").await;
    for (from_seq, to_seq) in [(-1, 0), (0, -1), (i64::MIN, i64::MAX), (i64::MAX, i64::MAX), (i64::MAX, 1), (2, 1)] {
        for (limit, backward) in [(0, false), (u32::MAX, true), (1_000_000_000, false)] {
            let pull = v1::Pull { conversation_id, from_seq, to_seq, limit, backward };
            match connection.call::<v1::PullPage>(&pull).await {
                Ok(page) => assert!(page.entries.len() <= 200),
                Err(error) => assert_eq!(error.code(), Some(Code::InvalidRequest.as_str()), "{pull:?}"),
            }
        }
    }
    for conversation_id in [0, -1, i64::MIN, i64::MAX] {
        let pull = v1::Pull { conversation_id, ..Default::default() };
        let error = connection.call::<v1::PullPage>(&pull).await.unwrap_err();
        assert!([Some("not_found"), Some("invalid_request")].contains(&error.code()), "{conversation_id}");
    }
    let page: v1::SyncPage = connection.call(&v1::Sync { limit: u32::MAX, ..Default::default() }).await.unwrap();
    assert!(page.conversations.iter().any(|state| state.conversation_id == conversation_id));
}

#[tokio::test]
async fn strings_in_the_http_api_are_data_or_refused() {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    for text in STRINGS {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        match ann.api.get::<v1::UserList>(&format!("/v1/users?prefix={encoded}")).await {
            Ok(found) => assert!(found.items.is_empty(), "{text:?} found {:?}", found.items),
            Err(error) => assert_eq!(status(&error), 400, "{text:?}"),
        }
        for path in ["/v1/users/", "/v1/users/@", "/v1/conversations/"] {
            let error = ann.api.get::<serde_json::Value>(&format!("{path}{encoded}")).await.unwrap_err();
            assert!([400, 404].contains(&status(&error)), "{path}{text:?}: {error}");
        }
        let error =
            ann.api.get::<v1::ConversationList>(&format!("/v1/conversations?cursor={encoded}")).await.unwrap_err();
        assert_eq!(status(&error), 400, "{text:?}");
        let error = ann.api.register(text, "correct horse").await.unwrap_err();
        assert_eq!(status(&error), 400, "{text:?}");
        let error = ann.api.log_in(text, "correct horse").await.unwrap_err();
        assert!([400, 401, 429].contains(&status(&error)), "{text:?}");
    }
    let group = ann.group("' OR 1=1 --%", &[&bob]).await;
    let conversation: v1::Conversation = bob.api.get(&format!("/v1/conversations/{group}")).await.unwrap();
    assert_eq!(conversation.state.unwrap().name, "' OR 1=1 --%");
}

#[tokio::test]
async fn limits_and_foreign_cursors_in_the_http_api_are_refused() {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    ann.group("one", &[&bob]).await;
    ann.group("two", &[&bob]).await;
    for limit in ["-1", "0", "1000000000", "99999999999999999999", "x", "1.5", ""] {
        match ann.api.get::<v1::ConversationList>(&format!("/v1/conversations?limit={limit}")).await {
            Ok(list) => assert!(list.items.len() <= 200, "{limit}"),
            Err(error) => assert_eq!(status(&error), 400, "{limit}"),
        }
    }
    let page: v1::ConversationList = ann.api.get("/v1/conversations?limit=1").await.unwrap();
    assert!(!page.next.is_empty());
    let with_cursor = format!("/v1/conversations?limit=1&cursor={}", page.next);
    assert!(ann.api.get::<v1::ConversationList>(&with_cursor).await.is_ok());
    let error = bob.api.get::<v1::ConversationList>(&with_cursor).await.unwrap_err();
    assert_eq!(status(&error), 400, "a cursor of another caller");
    let elsewhere = format!("/v1/users?prefix=a&cursor={}", page.next);
    let error = ann.api.get::<v1::UserList>(&elsewhere).await.unwrap_err();
    assert_eq!(status(&error), 400, "a cursor of another list");
}
