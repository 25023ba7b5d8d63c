//! Promise 1: an ack means committed.

use sparrow_protocol::{Format, v1};
use sparrow_testkit::User;

use crate::support::{history, in_every_format, metric, node, options, text, words};

in_every_format!(an_acked_message_survives_kill_9);

async fn an_acked_message_survives_kill_9(format: Format) {
    let mut node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;

    let sends: Vec<_> = (0..200).map(|number| text(conversation, &format!("message {number}"))).collect();
    let mut ids = Vec::new();
    for send in &sends {
        ids.push(connection.feed(send).await.unwrap());
    }
    connection.flush().await.unwrap();
    let mut acked = Vec::new();
    for id in &ids[..100] {
        acked.push(connection.answer::<v1::SendAck>(*id).await.unwrap());
    }
    node.kill();

    node.restart().await;
    let mut connection = bob.connect(&node, format).await;
    let entries = history(&mut connection, conversation).await;
    for (ack, send) in acked.iter().zip(&sends) {
        let entry = entries.iter().find(|entry| entry.client_msg_id == ack.client_msg_id).unwrap();
        assert_eq!((entry.seq, words(entry)), (ack.seq, send.content.as_ref().unwrap().text.as_str()));
    }
    // Of those without an ack there is one copy or none, and a retry settles which.
    let mut connection = ann.connect(&node, format).await;
    for send in &sends {
        connection.call::<v1::SendAck>(send).await.unwrap();
    }
    let entries = history(&mut connection, conversation).await;
    let messages: Vec<_> = entries.iter().filter(|entry| entry.kind == "message").collect();
    assert_eq!(messages.len(), sends.len());
}

in_every_format!(a_thousand_sends_at_once_take_at_most_a_hundred_commits);

async fn a_thousand_sends_at_once_take_at_most_a_hundred_commits(format: Format) {
    let node = options().start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;

    let before = metric(&node, "sparrow_commit_seconds_count").await;
    let mut ids = Vec::new();
    for number in 0..1_000 {
        ids.push(connection.feed(&text(conversation, &format!("message {number}"))).await.unwrap());
    }
    connection.flush().await.unwrap();
    let mut last = 0;
    for id in ids {
        let ack: v1::SendAck = connection.answer(id).await.unwrap();
        assert!(ack.seq > last, "acks must be in the order of the sends");
        last = ack.seq;
    }
    let commits = metric(&node, "sparrow_commit_seconds_count").await - before;
    assert!(commits <= 100, "{commits} commits");
}
