//! A shutdown under load loses no acked message, and answers every one that was accepted.

use std::collections::BTreeSet;

use sparrow_protocol::{Carrier, Codec, Command, Format, Frame, v1};
use sparrow_testkit::{Connection, User};
use tokio::task::JoinSet;

use crate::support::{history, node, text};

const FORMAT: Format = Format { carrier: Carrier::Tcp, codec: Codec::Protobuf };
const WRITERS: usize = 8;

/// Requests in flight at once, as with a client that pipelines.
const IN_FLIGHT: usize = 16;

/// Sends without a pause until the server says goodbye, and reads on until it closes; the ids that were acked.
async fn write(mut connection: Connection, conversation: i64) -> Vec<String> {
    let mut acked = Vec::new();
    for number in 0.. {
        if connection.request(&text(conversation, &format!("{number}"))).await.is_err() {
            break;
        }
        if number >= IN_FLIGHT && !connection.next().await.is_ok_and(|frame| settle(&frame, &mut acked)) {
            break;
        }
    }
    while let Ok(frame) = connection.next().await {
        settle(&frame, &mut acked);
    }
    acked
}

/// Notes an answer; false for a goodbye.
fn settle(frame: &Frame, acked: &mut Vec<String>) -> bool {
    if frame.command == Some(Command::SendAck) {
        acked.push(frame.parse::<v1::SendAck>().unwrap().client_msg_id);
    }
    frame.command != Some(Command::Goodbye)
}

#[tokio::test]
async fn a_shutdown_under_load_loses_no_acked_message_and_answers_every_accepted_one() {
    let mut node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut writers = JoinSet::new();
    let mut members = Vec::new();
    for number in 0..WRITERS {
        members.push(User::register(&node, &format!("writer{number}")).await);
    }
    let group = ann.group("busy", &members.iter().collect::<Vec<_>>()).await;
    for member in &members {
        writers.spawn(write(member.connect(&node, FORMAT).await, group));
    }
    let mut observer = ann.connect(&node, FORMAT).await;
    let mut seen = 0;
    while seen < 2_000 {
        seen += crate::support::pushed(&observer.next().await.unwrap()).len();
    }
    assert!(node.terminate().await.success());
    let mut acked = BTreeSet::new();
    while let Some(writer) = writers.join_next().await {
        acked.extend(writer.unwrap());
    }
    assert!(acked.len() >= 1_000, "{}", acked.len());
    node.restart().await;
    let mut reader = ann.connect(&node, FORMAT).await;
    let entries = history(&mut reader, group).await.into_iter().filter(|entry| entry.kind == "message");
    let stored: BTreeSet<String> = entries.map(|entry| entry.client_msg_id).collect();
    assert_eq!(acked.difference(&stored).count(), 0, "acked messages are gone");
    // Everybody read to the end, so whatever was accepted and stored was answered.
    assert_eq!(stored.difference(&acked).count(), 0, "accepted messages got no answer");
}
