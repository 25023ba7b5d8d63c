//! A reader that stops reading costs itself: bounded memory, one `Resync`, and everything is there when it reads on.

use std::time::Duration;

use sparrow_protocol::{Codec, Command, v1};

use crate::support::{Person, Wire, metric, node_with, send};

#[tokio::test]
async fn a_reader_that_stops_reading_is_told_to_resync_and_is_complete_after_it() {
    const MESSAGES: usize = 1_500;
    let data = tempfile::tempdir().unwrap();
    let server = node_with(&data, |config| config.limits.write_timeout = Duration::from_secs(60)).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut slow = Wire::hello(&server, &bob, Codec::Protobuf).await;
    let mut from = Wire::hello(&server, &ann, Codec::Protobuf).await;
    // Far more than the socket's buffers hold.
    let text = "x".repeat(16 * 1024);
    let mut last = 0;
    for _ in 0..MESSAGES {
        let id = from.write(&send(conversation, &text)).await;
        last = from.answer::<v1::SendAck>(id).await.seq;
    }
    assert!(metric(&server, "sparrow_resyncs_total").await > 0);

    loop {
        let frame = slow.read().await;
        if frame.command == Some(Command::Resync) {
            break;
        }
    }
    let (mut next, mut found) = (1, 0);
    while next <= last {
        let id = slow.write(&v1::Pull { conversation_id: conversation, from_seq: next, ..Default::default() }).await;
        let page: v1::PullPage = slow.answer(id).await;
        found += page.entries.iter().filter(|entry| entry.kind == "message").count();
        next = page.covered_to + 1;
    }
    assert_eq!(found, MESSAGES);
    let id = from.write(&send(conversation, "afterwards")).await;
    let ack: v1::SendAck = from.answer(id).await;
    loop {
        let push: v1::Push = slow.push().await;
        if push.entries.iter().any(|entry| entry.seq == ack.seq) {
            break;
        }
    }
    server.shutdown().await;
}
