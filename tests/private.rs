//! Promise 5: nobody receives, by any path, what lies outside their intervals. (H14, H15)

use sparrow_protocol::{Body, Format, v1};
use sparrow_testkit::{ApiError, Connection, User};

use crate::support::{history, in_every_format, node, pull, pushed, pushes_until, send, text, texts};

async fn refusal<A: Body + std::fmt::Debug>(connection: &mut Connection, request: &impl Body) -> String {
    let refused = connection.call::<A>(request).await.unwrap_err();
    refused.code().unwrap_or_else(|| panic!("no refusal: {refused}")).to_owned()
}

in_every_format!(a_stranger_gets_nothing_and_stores_nothing);

async fn a_stranger_gets_nothing_and_stores_nothing(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let mallory = User::register(&node, "mallory").await;
    let conversation = ann.group("two", &[&bob]).await;
    let mut member = ann.connect(&node, format).await;
    let said = send(&mut member, conversation, "between us").await;
    let mut reader = bob.connect(&node, format).await;

    let mut stranger = mallory.connect(&node, format).await;
    // A conversation that does not exist is answered in the same words as one that is not hers.
    for id in [conversation, 1] {
        let signal = v1::Signal { conversation_id: id, r#type: "typing".to_owned(), ..Default::default() };
        let read = v1::Read { conversation_id: id, seq: 1 };
        let answers = [
            refusal::<v1::PullPage>(&mut stranger, &pull(id, 1, 0)).await,
            refusal::<v1::SendAck>(&mut stranger, &text(id, "let me in")).await,
            refusal::<v1::ReadAck>(&mut stranger, &read).await,
            refusal::<v1::Ok>(&mut stranger, &signal).await,
        ];
        assert!(answers.iter().all(|code| code == "not_found"), "{answers:?}");
    }
    stranger.tell(&v1::Ack { cursors: vec![v1::Cursor { conversation_id: conversation, seq: 1 }] }).await.unwrap();
    let page: v1::SyncPage = stranger.call(&v1::Sync::default()).await.unwrap();
    assert!(page.conversations.iter().all(|state| state.conversation_id != conversation));

    // What a member hears next, and what the log holds next, is the member's own.
    let next = send(&mut member, conversation, "still between us").await;
    assert_eq!(next.seq, said.seq + 1);
    let heard = pushes_until(&mut reader, "still between us").await;
    assert!(heard.iter().all(|entry| entry.sender_id == ann.id));
    assert!(stranger.take_waiting().iter().all(|frame| pushed(frame).is_empty()));
}

#[tokio::test]
async fn a_stranger_gets_404_on_every_path_of_a_conversation() {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let mallory = User::register(&node, "mallory").await;
    let group = ann.group("two", &[&bob]).await;
    let said = v1::SendMessageRequest { content: text(group, "between us").content, ..Default::default() };
    let ack: v1::SendAck = ann.api.post(&format!("/v1/conversations/{group}/messages"), &said).await.unwrap();

    for id in [group, 1] {
        let base = format!("/v1/conversations/{id}");
        let read = v1::ReadRequest { seq: 1 };
        let add = v1::AddMembersRequest { users: vec![mallory.id.to_string()], ..Default::default() };
        let role = v1::ChangeRoleRequest { role: "owner".to_owned(), ..Default::default() };
        let rename = v1::UpdateConversationRequest { name: Some("mine".to_owned()), ..Default::default() };
        let answers: [(&str, Result<serde_json::Value, ApiError>); 10] = [
            ("conversation", mallory.api.get(&base).await),
            ("members", mallory.api.get(&format!("{base}/members")).await),
            ("history", mallory.api.get(&format!("{base}/messages")).await),
            ("receipts", mallory.api.get(&format!("{base}/messages/{}/receipts", ack.seq)).await),
            ("send", mallory.api.post(&format!("{base}/messages"), &said).await),
            ("read", mallory.api.post(&format!("{base}/read"), &read).await),
            ("add", mallory.api.post(&format!("{base}/members"), &add).await),
            ("role", mallory.api.put(&format!("{base}/members/{}/role", mallory.id), &role).await),
            ("remove", mallory.api.delete(&format!("{base}/members/{}", bob.id)).await),
            ("rename", mallory.api.patch(&base, &rename).await),
        ];
        for (path, answer) in answers {
            assert_eq!(answer.as_ref().err().and_then(ApiError::status), Some(404), "{path} of {id}: {answer:?}");
        }
    }
    let mut reader = bob.connect(&node, Format::ALL[0]).await;
    assert_eq!(history(&mut reader, group).await.last().unwrap().seq, ack.seq);
}

in_every_format!(an_ex_member_gets_nothing_after_the_removal);

async fn an_ex_member_gets_nothing_after_the_removal(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let carl = User::register(&node, "carl").await;
    let group = ann.group("three", &[&bob, &carl]).await;
    let mut owner = ann.connect(&node, format).await;
    let mut removed = bob.connect(&node, format).await;
    let old: v1::SyncPage = removed.call(&v1::Sync::default()).await.unwrap();
    send(&mut owner, group, "before").await;
    pushes_until(&mut removed, "before").await;

    let _: serde_json::Value = ann.api.delete(&format!("/v1/conversations/{group}/members/{}", bob.id)).await.unwrap();
    let after = send(&mut owner, group, "after").await;
    let removal = after.seq - 1;

    // Neither by the old cursor, nor by asking for the range, nor over HTTP.
    let page: v1::SyncPage = removed.call(&v1::Sync { cursor: old.cursor, ..Default::default() }).await.unwrap();
    let state = page.conversations.iter().find(|state| state.conversation_id == group).unwrap();
    assert_eq!(state.intervals, [v1::Interval { join_seq: 1, leave_seq: removal }]);
    assert!(state.head < removal && state.role.is_empty());
    assert_eq!(texts(&history(&mut removed, group).await), ["before"]);
    let beyond: v1::PullPage = removed.call(&pull(group, removal, after.seq)).await.unwrap();
    assert_eq!((beyond.entries, beyond.head), (vec![], removal - 1));
    let page: v1::EntryList = bob.api.get(&format!("/v1/conversations/{group}/messages")).await.unwrap();
    assert_eq!(texts(&page.items), ["before"]);
    assert_eq!(refusal::<v1::SendAck>(&mut removed, &text(group, "I am still here")).await, "not_found");
    let entries = removed.take_waiting().iter().flat_map(pushed).collect::<Vec<_>>();
    assert!(entries.iter().all(|entry| entry.seq < removal), "{entries:?}");
}

in_every_format!(a_newcomer_sees_nothing_from_before_where_history_is_hidden);

async fn a_newcomer_sees_nothing_from_before_where_history_is_hidden(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let carl = User::register(&node, "carl").await;
    let group = ann.group("three", &[&bob]).await;
    let mut owner = ann.connect(&node, format).await;
    let before = send(&mut owner, group, "before").await;
    let mut newcomer = carl.connect(&node, format).await;

    let add = v1::AddMembersRequest { users: vec![carl.id.to_string()], ..Default::default() };
    let _: serde_json::Value = ann.api.post(&format!("/v1/conversations/{group}/members"), &add).await.unwrap();
    send(&mut owner, group, "after").await;
    let heard = pushes_until(&mut newcomer, "after").await;
    assert!(heard.iter().all(|entry| entry.seq > before.seq));
    assert_eq!(texts(&history(&mut newcomer, group).await), ["after"]);
    let earlier: v1::PullPage = newcomer.call(&pull(group, 1, before.seq)).await.unwrap();
    assert_eq!(earlier.entries, []);
    let page: v1::EntryList = carl.api.get(&format!("/v1/conversations/{group}/messages")).await.unwrap();
    assert_eq!(texts(&page.items), ["after"]);
}
