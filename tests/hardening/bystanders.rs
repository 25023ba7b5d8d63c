//! H28: who misuses a node does not slow others down.
//!
//! A pair of bystanders writes and reads at a human pace while three others either behave or flood, by turns in one run on
//! one machine. What is compared is the median over the rounds of each round's p99, so that one hiccup of the machine, or
//! a slow machine, decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sparrow_protocol::{Carrier, Codec, Format, v1};
use sparrow_testkit::{Connection, TestNode, User};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::support::{labelled, push, text, with_default_rates};

const FORMAT: Format = Format { carrier: Carrier::Tcp, codec: Codec::Protobuf };
const ROUNDS: usize = 5;
const MESSAGES: usize = 100;
/// What a p99 may grow by at most: to its double, and by what the load generators cost themselves, which run on the same
/// processors as the node.
const FACTOR: f64 = 2.0;
const GRACE: f64 = 0.010;

/// Time from writing a message to its push at the other's, p99 of a round, in seconds.
async fn round(writer: &mut Connection, reader: &mut Connection, conversation: i64) -> f64 {
    let mut times = Vec::with_capacity(MESSAGES);
    // Within the rate of a user who writes as fast as allowed.
    let mut pace = interval(Duration::from_millis(34));
    for number in 0..MESSAGES {
        pace.tick().await;
        let begun = Instant::now();
        let id = writer.request(&text(conversation, &format!("{number}"))).await.unwrap();
        push::<v1::Push>(reader).await;
        times.push(begun.elapsed());
        writer.answer::<v1::SendAck>(id).await.unwrap();
    }
    times.sort_unstable();
    times[MESSAGES * 99 / 100].as_secs_f64()
}

/// A user who sends `per_second`, whatever the answers are.
async fn sender(node: Arc<TestNode>, user: User, conversation: i64, per_second: u64, attempts: Arc<AtomicU64>) {
    let mut ticks = interval(Duration::from_secs(1) / per_second as u32);
    loop {
        let Ok(mut connection) = user.try_connect(node.tcp(), FORMAT).await else {
            ticks.tick().await;
            continue;
        };
        for number in 0_u64.. {
            ticks.tick().await;
            attempts.fetch_add(1, Ordering::Relaxed);
            if connection.request(&text(conversation, &format!("{number}"))).await.is_err() {
                break;
            }
            if number > 8 && connection.next().await.is_err() {
                break;
            }
        }
    }
}

/// A user who connects and syncs fifty times a second.
async fn returner(node: Arc<TestNode>, user: User, attempts: Arc<AtomicU64>) {
    let mut ticks = interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        attempts.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut connection) = user.try_connect(node.tcp(), FORMAT).await {
            drop(connection.call::<v1::SyncPage>(&v1::Sync::default()).await);
        }
    }
}

/// Somebody who opens sockets and says nothing.
async fn opener(node: Arc<TestNode>, attempts: Arc<AtomicU64>) {
    let (mut ticks, mut held) = (interval(Duration::from_millis(5)), std::collections::VecDeque::new());
    loop {
        ticks.tick().await;
        attempts.fetch_add(1, Ordering::Relaxed);
        if let Ok(stream) = tokio::net::TcpStream::connect(node.tcp()).await {
            held.push_back(stream);
        }
        if held.len() > 150 {
            held.pop_front();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misuse_costs_bystanders_at_most_as_much_as_company() {
    let node = Arc::new(with_default_rates().set("limits.address_connections", "160").start().await);
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let (mut writer, mut reader) = (ann.connect(&node, FORMAT).await, bob.connect(&node, FORMAT).await);
    let mut others = Vec::new();
    for name in ["carol", "dave", "eve"] {
        let user = User::register(&node, name).await;
        let notes = v1::CreateConversationRequest { kind: "self".to_owned(), ..Default::default() };
        let notes: v1::Conversation = user.api.post("/v1/conversations", &notes).await.unwrap();
        others.push((user, notes.state.unwrap().conversation_id));
    }
    round(&mut writer, &mut reader, conversation).await;
    let attempts = Arc::new(AtomicU64::new(0));
    let (mut company, mut misuse) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut tasks = JoinSet::new();
        for (user, notes) in &others {
            tasks.spawn(sender(node.clone(), user.clone(), *notes, 30, Arc::default()));
        }
        company.push(round(&mut writer, &mut reader, conversation).await);
        tasks.shutdown().await;
        let (flooder, notes) = &others[0];
        tasks.spawn(sender(node.clone(), flooder.clone(), *notes, 1_000, attempts.clone()));
        tasks.spawn(returner(node.clone(), others[1].0.clone(), attempts.clone()));
        tasks.spawn(opener(node.clone(), attempts.clone()));
        misuse.push(round(&mut writer, &mut reader, conversation).await);
        tasks.shutdown().await;
    }
    let limited = labelled(&node, "sparrow_limited_total", "limiter", "user_sends").await
        + labelled(&node, "sparrow_limited_total", "limiter", "sessions").await;
    assert!(limited > 500, "{limited} of {} attempts were limited", attempts.load(Ordering::Relaxed));
    let [company, misuse] = [company, misuse].map(|mut rounds| {
        rounds.sort_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    });
    assert!(misuse <= company * FACTOR + GRACE, "p99 {misuse} s with misuse, {company} s with company");
}
