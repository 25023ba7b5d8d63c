//! Two people on a real node, over TCP, in both codecs.

use sparrow_protocol::{Codec, Command, v1};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Person, Wire, commits, node, send};

#[tokio::test]
async fn what_one_sends_the_other_gets_and_finds_again_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut from = Wire::hello(&server, &ann, Codec::Protobuf).await;
    let mut to = Wire::hello(&server, &bob, Codec::Json).await;

    let message = send(conversation, "hello");
    let id = from.write(&message).await;
    let ack: v1::SendAck = from.answer(id).await;
    let push: v1::Push = to.push().await;
    assert_eq!(push.entries[0].seq, ack.seq);
    assert_eq!(push.entries[0].content, message.content);

    let id = to.write(&v1::Read { conversation_id: conversation, seq: ack.seq }).await;
    let read: v1::ReadAck = to.answer(id).await;
    assert_eq!(read.seq, ack.seq);
    let receipt: v1::Receipt = from.push().await;
    assert_eq!((receipt.user_id, receipt.read), (bob.id, ack.seq));

    server.shutdown().await;
    let goodbye: v1::Goodbye = from.push().await;
    assert!(goodbye.reconnect);

    let server = node(&data).await;
    let mut again = Wire::hello(&server, &ann, Codec::Protobuf).await;
    let id = again.write(&message).await;
    let second: v1::SendAck = again.answer(id).await;
    assert_eq!((second.seq, second.duplicate), (ack.seq, true));
    let id = again.write(&v1::Pull { conversation_id: conversation, ..Default::default() }).await;
    let page: v1::PullPage = again.answer(id).await;
    assert!(page.entries.iter().any(|entry| entry.seq == ack.seq && entry.content == message.content));
    let id = again.write(&v1::Sync::default()).await;
    let sync: v1::SyncPage = again.answer(id).await;
    assert!(sync.full && sync.conversations.iter().any(|state| state.conversation_id == conversation));
    server.shutdown().await;
}

#[tokio::test]
async fn a_thousand_sends_at_once_are_acked_in_order_in_few_transactions() {
    const FIRST: u32 = 100;
    const SENDS: u32 = 1_000;
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut wire = Wire::hello(&server, &ann, Codec::Protobuf).await;
    let before = commits(&server).await;
    let mut frames = Vec::new();
    for id in FIRST..FIRST + SENDS {
        frames.extend_from_slice(&wire.format.encode_message(id, &send(conversation, "x")).unwrap());
    }
    wire.stream.write_all(&frames).await.unwrap();
    let mut seqs = Vec::new();
    for id in FIRST..FIRST + SENDS {
        let frame = wire.read().await;
        assert_eq!((frame.command, frame.id), (Some(Command::SendAck), id));
        seqs.push(frame.parse::<v1::SendAck>().unwrap().seq);
    }
    assert!(seqs.is_sorted());
    let commits = commits(&server).await - before;
    assert!(commits <= 100, "{commits} transactions");
    server.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_answers_what_was_accepted() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut wire = Wire::hello(&server, &ann, Codec::Protobuf).await;
    for _ in 0..50 {
        wire.write(&send(conversation, "x")).await;
    }
    // Once the first is answered, some of the others have been accepted, and some perhaps not.
    let first: v1::SendAck = wire.answer(2).await;
    let (_, last) = tokio::join!(server.shutdown(), async {
        let mut last = first.seq;
        loop {
            let frame = wire.read().await;
            match frame.command {
                Some(Command::SendAck) => last = frame.parse::<v1::SendAck>().unwrap().seq,
                _ => return last,
            }
        }
    });

    let server = node(&data).await;
    let mut wire = Wire::hello(&server, &ann, Codec::Json).await;
    let id = wire.write(&v1::Pull { conversation_id: conversation, ..Default::default() }).await;
    let page: v1::PullPage = wire.answer(id).await;
    assert_eq!(page.head, last, "what was stored was acked, and what was acked is stored");
    server.shutdown().await;
}
