//! A node that breaks a rule is caught. Each promise is tried twice: on a node as it should be, where it holds, and on
//! one that breaks the rule, where it must be seen not to. What one node with SQLite gives no occasion for is caught in
//! the simulation of `sparrow-server`.

use std::collections::BTreeSet;

use sparrow_protocol::{Command, Format, v1};
use sparrow_server::faults::Rule;
use sparrow_testkit::{Direction, Disk, Failpoints, NodeOptions, Proxy, TestNode, User};

use super::machine::{cut_power, missing, send_many};
use crate::support::{options, push, pushed, send, text};

const FORMAT: Format = Format::ALL[0];

fn node(rule: Option<Rule>) -> NodeOptions {
    let broken = rule.map(|rule| ("SPARROW_SABOTAGE".to_owned(), rule.as_str().to_owned()));
    options().variables(broken)
}

/// Tries a promise on a node as it should be and on one that breaks the rule: `is_broken` says what it saw.
async fn is_caught(rule: Rule, is_broken: impl AsyncFn(Option<Rule>) -> bool) {
    assert!(!is_broken(None).await, "a node as it should be has broken the promise");
    assert!(is_broken(Some(rule)).await, "{} was not caught", rule.as_str());
}

struct Pair {
    node: TestNode,
    ann: User,
    bob: User,
    conversation: i64,
}

async fn pair(options: NodeOptions) -> Pair {
    let node = options.start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    Pair { node, ann, bob, conversation }
}

#[tokio::test]
async fn ack_before_commit() {
    is_caught(Rule::AckBeforeCommit, async |rule| {
        let failpoints = Failpoints::new().unwrap();
        let Pair { mut node, ann, conversation, .. } = pair(node(rule).variables(failpoints.variables())).await;
        let mut connection = ann.connect(&node, FORMAT).await;
        failpoints.set("store.before_commit=return(kill 200)").unwrap();
        let message = text(conversation, "acked?");
        let acked: Option<v1::SendAck> = connection.call(&message).await.ok();
        node.ended().await;
        failpoints.clear().unwrap();
        node.restart().await;
        let again: v1::SendAck = ann.connect(&node, FORMAT).await.call(&message).await.unwrap();
        acked.is_some() && !again.duplicate
    })
    .await;
}

#[tokio::test]
async fn in_memory_deduplication() {
    is_caught(Rule::InMemoryDeduplication, async |rule| {
        let Pair { mut node, ann, conversation, .. } = pair(node(rule)).await;
        let message = text(conversation, "once");
        let first: v1::SendAck = ann.connect(&node, FORMAT).await.call(&message).await.unwrap();
        let retried: v1::SendAck = ann.connect(&node, FORMAT).await.call(&message).await.unwrap();
        assert_eq!(first.seq, retried.seq, "memory suffices as long as it lasts");
        node.kill();
        node.restart().await;
        let retried: v1::SendAck = ann.connect(&node, FORMAT).await.call(&message).await.unwrap();
        first.seq != retried.seq
    })
    .await;
}

#[tokio::test]
async fn order_by_timestamp() {
    is_caught(Rule::OrderByTimestamp, async |rule| {
        let Pair { node, ann, conversation, .. } = pair(node(rule)).await;
        let mut connection = ann.connect(&node, FORMAT).await;
        let mut ids = Vec::new();
        for number in 0..400 {
            ids.push(connection.feed(&text(conversation, &number.to_string())).await.unwrap());
        }
        connection.flush().await.unwrap();
        let mut seqs = Vec::new();
        for id in ids {
            seqs.push(connection.answer::<v1::SendAck>(id).await.unwrap().seq);
        }
        !seqs.is_sorted()
    })
    .await;
}

#[tokio::test]
async fn synchronous_normal() {
    is_caught(Rule::SynchronousNormal, async |rule| {
        let mut disk = Disk::new(64 << 20).unwrap();
        let Pair { mut node, ann, bob, conversation } = pair(node(rule).data(disk.path()).expect_error("")).await;
        let acked = send_many(&node, &ann, conversation, 0).await;
        assert_eq!(cut_power(&mut disk, &mut node).await.get("power_cuts"), 1);
        // Without the sync even the accounts may be gone.
        match bob.try_connect(node.http(), FORMAT).await {
            Ok(_) => missing(&node, &bob, conversation, &acked).await > 0,
            Err(_) => true,
        }
    })
    .await;
}

/// What a reader found who had stopped reading while much was said.
#[derive(PartialEq)]
enum Found {
    /// A gap, and a word about it.
    Resync,
    /// A gap, and nothing said.
    Gap,
    /// Everything, so the node had kept it all.
    Everything,
}

async fn stopped_reader(rule: Option<Rule>) -> Found {
    let Pair { node, ann, bob, conversation } = pair(node(rule)).await;
    let mut writer = ann.connect(&node, FORMAT).await;
    let proxy = Proxy::start(node.http()).await;
    let mut reader = bob.try_connect(proxy.address(), FORMAT).await.unwrap();
    proxy.stall(Direction::Down);
    let long = "x".repeat(8_000);
    let mut last = 0;
    for _ in 0..40 {
        let mut ids = Vec::new();
        for _ in 0..50 {
            ids.push(writer.feed(&text(conversation, &long)).await.unwrap());
        }
        writer.flush().await.unwrap();
        for id in ids {
            last = writer.answer::<v1::SendAck>(id).await.unwrap().seq;
        }
    }
    proxy.flow();
    let mut seqs = BTreeSet::new();
    loop {
        // Each time something more, since a push that comes now may still be dropped, silently so where a rule is broken.
        writer.feed(&text(conversation, "more")).await.unwrap();
        writer.flush().await.unwrap();
        let frame = reader.next().await.unwrap();
        if frame.command == Some(Command::Resync) {
            return Found::Resync;
        }
        seqs.extend(pushed(&frame).iter().map(|entry| entry.seq));
        if seqs.last().is_some_and(|seen| *seen > last) {
            return if seqs.range(..=last).count() as i64 == last { Found::Everything } else { Found::Gap };
        }
    }
}

#[tokio::test]
async fn push_without_reconcile() {
    is_caught(Rule::PushWithoutReconcile, async |rule| stopped_reader(rule).await == Found::Gap).await;
}

#[tokio::test]
async fn unbounded_queue() {
    is_caught(Rule::UnboundedQueue, async |rule| stopped_reader(rule).await == Found::Everything).await;
}

#[tokio::test]
async fn cached_membership() {
    is_caught(Rule::CachedMembership, async |rule| {
        let node = node(rule).start().await;
        let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
        let carol = User::register(&node, "carol").await;
        let (group, direct) = (ann.group("club", &[&bob, &carol]).await, ann.direct(&bob).await);
        let mut writer = ann.connect(&node, FORMAT).await;
        let (mut removed, mut member) = (bob.connect(&node, FORMAT).await, carol.connect(&node, FORMAT).await);
        send(&mut writer, group, "together").await;
        ann.api.delete::<v1::SendAck>(&format!("/v1/conversations/{group}/members/{}", bob.id)).await.unwrap();
        let secret = send(&mut writer, group, "without him").await.seq;
        while push::<v1::Push>(&mut member).await.entries.iter().all(|entry| entry.seq != secret) {}
        // Whatever the group was told has reached the queues by now; this comes behind it.
        send(&mut writer, direct, "the end").await;
        let mut seen = false;
        loop {
            let entries = push::<v1::Push>(&mut removed).await.entries;
            seen |= entries.iter().any(|entry| (entry.conversation_id, entry.seq) == (group, secret));
            if entries.iter().any(|entry| entry.conversation_id == direct) {
                return seen;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn blind_cursor_update() {
    is_caught(Rule::BlindCursorUpdate, async |rule| {
        let Pair { node, ann, bob, conversation } = pair(node(rule)).await;
        let mut writer = ann.connect(&node, FORMAT).await;
        for number in 0..5 {
            send(&mut writer, conversation, &number.to_string()).await;
        }
        let mut reader = bob.connect(&node, FORMAT).await;
        let mut read = 0;
        for seq in [5, 3] {
            let request = v1::Read { conversation_id: conversation, seq };
            read = reader.call::<v1::ReadAck>(&request).await.unwrap().seq;
        }
        read < 5
    })
    .await;
}

#[tokio::test]
async fn seq_before_deduplication() {
    is_caught(Rule::SeqBeforeDeduplication, async |rule| {
        let Pair { node, ann, conversation, .. } = pair(node(rule)).await;
        let mut writer = ann.connect(&node, FORMAT).await;
        let message = text(conversation, "once");
        let first: v1::SendAck = writer.call(&message).await.unwrap();
        writer.call::<v1::SendAck>(&message).await.unwrap();
        let next = send(&mut writer, conversation, "next").await;
        next.seq != first.seq + 1
    })
    .await;
}
