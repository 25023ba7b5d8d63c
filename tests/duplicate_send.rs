//! Promise 2: exactly once in the log. (H27, on one node.)

use sparrow_protocol::{Carrier, Codec, Format, v1};
use sparrow_testkit::{Direction, Fate, Framing, Proxy, Rule, User};

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

#[tokio::test]
async fn cut_off_before_a_send_after_it_or_after_its_answer_a_retry_makes_one_entry() {
    let tcp = Format { carrier: Carrier::Tcp, codec: Codec::Protobuf };
    let cuts = [
        (Direction::Up, "send", Fate::CutBefore),
        (Direction::Up, "send", Fate::CutAfter),
        (Direction::Down, "sendAck", Fate::CutBefore),
        (Direction::Down, "sendAck", Fate::CutAfter),
    ];
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let proxy = Proxy::speaking(Framing::Sparrow, node.tcp(), 0).await.unwrap();
    for (seq, (direction, name, fate)) in (1..).zip(cuts) {
        let message = text(conversation, &format!("{name} {fate:?}"));
        let mut connection = ann.try_connect(proxy.address(), tcp).await.unwrap();
        proxy.at(Rule::next(direction, name, fate));
        let first: Option<v1::SendAck> = connection.call(&message).await.ok();
        assert_eq!(proxy.evidence().get("cut_frames"), seq as u64, "{name} {fate:?}");
        let again: v1::SendAck = ann.connect(&node, tcp).await.call(&message).await.unwrap();
        assert_eq!(again.seq, seq, "{name} {fate:?}");
        assert!(first.is_none_or(|first| first.seq == again.seq && again.duplicate), "{name} {fate:?}");
        assert!(again.duplicate || direction == Direction::Up, "{name} {fate:?}: it was stored");
    }
    let entries = history(&mut bob.connect(&node, tcp).await, conversation).await;
    assert_eq!(entries.len(), cuts.len());
}
