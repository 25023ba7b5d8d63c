//! A whole node in this process, for what no client can bring about: a panic inside a connection, and a full disk.

#[path = "../../tests/node/support.rs"]
#[expect(dead_code, reason = "shared with the tests of a node from outside")]
mod support;

use sparrow_protocol::{Codec, v1};
use tokio::io::AsyncReadExt as _;

use support::{Person, Wire, metric, node, send};

/// The data of a signal on which a connection panics; only in the build for these tests.
pub(crate) const PANIC: &[u8] = b"\"a failpoint\"";

#[tokio::test]
async fn a_panic_in_one_connection_ends_that_one_alone() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let eve = Person::register(&server, "eve").await;
    let conversation = ann.direct(&bob).await;
    let mut writer = Wire::hello(&server, &ann, Codec::Protobuf).await;
    let mut reader = Wire::hello(&server, &bob, Codec::Json).await;
    for round in 1..=3 {
        let mut broken = Wire::hello(&server, &eve, Codec::Protobuf).await;
        assert_eq!(metric(&server, "sparrow_sessions").await, 3);
        let poison = v1::Signal {
            conversation_id: conversation,
            r#type: "typing".to_owned(),
            data: String::from_utf8_lossy(PANIC).into_owned(),
            sender_id: 0,
        };
        broken.write(&poison).await;
        assert!(broken.stream.read_u32().await.is_err(), "the connection that panicked ends");
        let id = writer.write(&send(conversation, "still here")).await;
        let ack: v1::SendAck = writer.answer(id).await;
        assert_eq!(reader.push::<v1::Push>().await.entries[0].seq, ack.seq);
        assert_eq!(metric(&server, "sparrow_connection_panics_total").await, round);
        assert_eq!(metric(&server, "sparrow_sessions").await, 2);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_full_disk_refuses_sends_serves_reads_and_recovers_by_itself() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut writer = Wire::hello(&server, &ann, Codec::Protobuf).await;
    let mut reader = Wire::hello(&server, &bob, Codec::Protobuf).await;
    let id = writer.write(&send(conversation, "before")).await;
    let first: v1::SendAck = writer.answer(id).await;

    server.store.limit_pages(1).await.unwrap();
    let long = send(conversation, &"x".repeat(60_000));
    let next = send(conversation, "after");
    for _ in 0..3 {
        let id = writer.write(&long).await;
        let refused: v1::Error = writer.answer(id).await;
        assert_eq!((refused.code.as_str(), refused.retryable), ("storage_full", true));
        // It might fit by itself; but nothing overtakes what has to be sent again.
        let id = writer.write(&next).await;
        let held: v1::Error = writer.answer(id).await;
        assert_eq!(held.code, "retry_in_order");
    }
    let pull = v1::Pull { conversation_id: conversation, ..Default::default() };
    let id = reader.write(&pull).await;
    let page: v1::PullPage = reader.answer(id).await;
    assert_eq!(page.entries.last().unwrap().seq, first.seq);
    let id = reader.write(&v1::Sync::default()).await;
    reader.answer::<v1::SyncPage>(id).await;

    server.store.limit_pages(1_000_000).await.unwrap();
    for (number, send) in (1..).zip([&long, &next]) {
        let id = writer.write(send).await;
        assert_eq!(writer.answer::<v1::SendAck>(id).await.seq, first.seq + number);
    }
    server.shutdown().await;
}
