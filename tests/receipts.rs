//! What an author learns: sent, delivered, read.

use sparrow_protocol::{Format, v1};
use sparrow_testkit::User;

use crate::support::{in_every_format, node, push, pushes_until, send};

in_every_format!(delivered_and_read_reach_the_author_of_a_direct);

async fn delivered_and_read_reach_the_author_of_a_direct(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation_id = ann.direct(&bob).await;
    let mut author = ann.connect(&node, format).await;
    let mut reader = bob.connect(&node, format).await;

    let sent = send(&mut author, conversation_id, "hello").await;
    pushes_until(&mut reader, "hello").await;
    reader.tell(&v1::Ack { cursors: vec![v1::Cursor { conversation_id, seq: sent.seq }] }).await.unwrap();
    let delivered: v1::Receipt = push(&mut author).await;
    assert_eq!((delivered.user_id, delivered.delivered, delivered.read), (bob.id, sent.seq, 0));
    reader.call::<v1::ReadAck>(&v1::Read { conversation_id, seq: sent.seq }).await.unwrap();
    let read: v1::Receipt = push(&mut author).await;
    assert_eq!((read.user_id, read.delivered, read.read), (bob.id, sent.seq, sent.seq));
}

in_every_format!(the_author_in_a_group_can_ask_who_has_read);

async fn the_author_in_a_group_can_ask_who_has_read(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let carl = User::register(&node, "carl").await;
    let conversation_id = ann.group("three", &[&bob, &carl]).await;
    let mut author = ann.connect(&node, format).await;
    let sent = send(&mut author, conversation_id, "hello").await;
    let mut reader = bob.connect(&node, format).await;
    reader.call::<v1::ReadAck>(&v1::Read { conversation_id, seq: sent.seq }).await.unwrap();
    let read: v1::Receipt = push(&mut author).await;
    assert_eq!((read.user_id, read.read), (bob.id, sent.seq));

    let path = format!("/v1/conversations/{conversation_id}/messages/{}/receipts", sent.seq);
    let list: v1::ReceiptList = ann.api.get(&path).await.unwrap();
    assert_eq!((list.delivered_count, list.read_count), (1, 1));
    assert_eq!(list.items, [v1::ReceiptState { user_id: bob.id, delivered: true, read: true }]);
    // It is the author's to ask.
    assert_eq!(bob.api.get::<v1::ReceiptList>(&path).await.unwrap_err().status(), Some(403));
}
