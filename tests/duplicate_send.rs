//! Promise 2: exactly once in the log. (H27, on one node.)

use sparrow_protocol::{Format, v1};
use sparrow_testkit::User;

use crate::support::{history, in_every_format, node, text, texts};

in_every_format!(one_id_a_hundred_times_at_once_makes_one_entry);

async fn one_id_a_hundred_times_at_once_makes_one_entry(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let send = text(conversation, "once");

    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(ann.another_device().await.connect(&node, format).await);
    }
    let mut requests = Vec::new();
    for connection in &mut connections {
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(connection.feed(&send).await.unwrap());
        }
        requests.push(ids);
    }
    for connection in &mut connections {
        connection.flush().await.unwrap();
    }
    let mut acks = Vec::new();
    for (connection, ids) in connections.iter_mut().zip(requests) {
        for id in ids {
            acks.push(connection.answer::<v1::SendAck>(id).await.unwrap());
        }
    }
    assert_eq!(acks.iter().filter(|ack| !ack.duplicate).count(), 1);
    assert!(acks.iter().all(|ack| (ack.seq, ack.time) == (acks[0].seq, acks[0].time)), "{acks:?}");
    assert_eq!(texts(&history(&mut connections[0], conversation).await), ["once"]);
}

in_every_format!(a_retry_returns_the_first_seq_after_a_restart_and_over_http);

async fn a_retry_returns_the_first_seq_after_a_restart_and_over_http(format: Format) {
    let mut node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let send = text(conversation, "once");
    let first: v1::SendAck = ann.connect(&node, format).await.call(&send).await.unwrap();
    node.kill();
    node.restart().await;

    let again: v1::SendAck = ann.connect(&node, format).await.call(&send).await.unwrap();
    assert_eq!((again.seq, again.time, again.duplicate), (first.seq, first.time, true));
    let request = v1::SendMessageRequest { client_msg_id: send.client_msg_id, content: send.content };
    let path = format!("/v1/conversations/{conversation}/messages");
    let over_http: v1::SendAck = ann.api.post(&path, &request).await.unwrap();
    assert_eq!((over_http.seq, over_http.duplicate), (first.seq, true));
}

in_every_format!(another_body_under_the_same_id_is_refused);

async fn another_body_under_the_same_id_is_refused(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    let first = text(conversation, "one body");
    connection.call::<v1::SendAck>(&first).await.unwrap();

    let other = v1::Send { client_msg_id: first.client_msg_id, ..text(conversation, "another body") };
    let refused = connection.call::<v1::SendAck>(&other).await.unwrap_err();
    assert_eq!(refused.code(), Some("idempotency_mismatch"));
    assert_eq!(texts(&history(&mut connection, conversation).await), ["one body"]);
}

in_every_format!(what_is_no_id_is_refused);

async fn what_is_no_id_is_refused(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    for id in [String::new(), "x".repeat(10 * 1024), uuid::Uuid::nil().to_string(), "1".to_owned()] {
        let send = v1::Send { client_msg_id: id, ..text(conversation, "no id") };
        let refused = connection.call::<v1::SendAck>(&send).await.unwrap_err();
        assert_eq!(refused.code(), Some("invalid_request"));
    }
    assert_eq!(texts(&history(&mut connection, conversation).await), Vec::<&str>::new());
}
