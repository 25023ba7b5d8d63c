//! Promise 3: one order.

use sparrow_protocol::{Format, v1};
use sparrow_testkit::User;

use crate::support::{history, in_every_format, node, pushes_until, send, text, texts};

in_every_format!(sends_of_a_session_are_numbered_in_the_order_sent);

async fn sends_of_a_session_are_numbered_in_the_order_sent(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    let said: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    for words in &said {
        connection.feed(&text(conversation, words)).await.unwrap();
    }
    connection.flush().await.unwrap();
    // A pull may overtake sends that wait; the last ack ends the waiting.
    send(&mut connection, conversation, "end").await;
    let entries = history(&mut connection, conversation).await;
    assert_eq!(texts(&entries)[..300], said);
}

in_every_format!(all_readers_see_concurrent_sends_in_one_order);

async fn all_readers_see_concurrent_sends_in_one_order(format: Format) {
    let node = node().await;
    let mut users = Vec::new();
    for name in ["ann", "bob", "carl", "dora"] {
        users.push(User::register(&node, name).await);
    }
    let group = users[0].group("four", &[&users[1], &users[2], &users[3]]).await;
    let mut connections = Vec::new();
    for user in &users {
        connections.push(user.connect(&node, format).await);
    }
    for number in 0..50 {
        for (user, connection) in users.iter().zip(&mut connections) {
            connection.request(&text(group, &format!("{} {number}", user.name))).await.unwrap();
        }
    }
    let mut reader = users[0].another_device().await.connect(&node, format).await;
    let mut writer = users[0].another_device().await.connect(&node, format).await;
    // Each session's sends are in order, so once each has had its last one acked, all are stored.
    for connection in &mut connections {
        send(connection, group, "mine are sent").await;
    }
    let last = send(&mut writer, group, "last").await;
    let truth = history(&mut reader, group).await;
    assert_eq!(truth.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=last.seq).collect::<Vec<_>>());
    for (user, connection) in users.iter().zip(&mut connections) {
        let pushed = pushes_until(connection, "last").await;
        assert!(pushed.windows(2).all(|pair| pair[0].seq < pair[1].seq), "pushes must come in increasing seq");
        let others: Vec<_> = truth.iter().filter(|entry| entry.seq > 1 && entry.sender_id != user.id).collect();
        let from_others: Vec<_> = pushed.iter().filter(|entry| entry.sender_id != user.id).collect();
        assert_eq!(from_others, others, "{} sees another order", user.name);
    }
}

in_every_format!(a_send_after_an_ack_has_a_higher_seq);

async fn a_send_after_an_ack_has_a_higher_seq(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connections = [ann.connect(&node, format).await, bob.connect(&node, format).await];
    let mut last = 0;
    for turn in 0..40 {
        let ack: v1::SendAck = send(&mut connections[turn % 2], conversation, "turn").await;
        assert!(ack.seq > last);
        last = ack.seq;
    }
}
