//! H28: who misuses a node does not slow others down.
//!
//! A pair of bystanders writes and reads at a human pace while three others either behave or flood, by turns in one run on
//! one machine. What is compared is the median over the rounds of each round's p99, so that one hiccup of the machine, or
//! a slow machine, decides nothing. These tests are a target of their own and run one at a time: whatever else the suite
//! does at the same time would be compared too.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, wherever it is written")]

#[expect(dead_code, unused_imports, unused_macros, reason = "shared with the other end-to-end tests")]
mod support;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sparrow_protocol::{Carrier, Codec, Format, v1};
use sparrow_testkit::{Connection, TestNode, User, eventually};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use support::{labelled, metric, push, text, with_default_rates};

/// Held by the test that measures.
static MACHINE: Mutex<()> = Mutex::const_new(());

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
        if let Ok(stream) = TcpStream::connect(node.tcp()).await {
            held.push_back(stream);
        }
        if held.len() > 150 {
            held.pop_front();
        }
    }
}

/// A conversation that concerns nobody else.
async fn notes(user: &User) -> i64 {
    let notes = v1::CreateConversationRequest { kind: "self".to_owned(), ..Default::default() };
    let notes: v1::Conversation = user.api.post("/v1/conversations", &notes).await.unwrap();
    notes.state.unwrap().conversation_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misuse_costs_bystanders_at_most_as_much_as_company() {
    let _alone = MACHINE.lock().await;
    let node = Arc::new(with_default_rates().set("limits.address_connections", "160").start().await);
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let (mut writer, mut reader) = (ann.connect(&node, FORMAT).await, bob.connect(&node, FORMAT).await);
    let mut others = Vec::new();
    for name in ["carol", "dave", "eve"] {
        let user = User::register(&node, name).await;
        let notes = notes(&user).await;
        others.push((user, notes));
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
    assert_unaffected(company, misuse);
}

/// Compares the median p99 of rounds in misuse with that of rounds in company.
fn assert_unaffected(company: Vec<f64>, misuse: Vec<f64>) {
    let [company, misuse] = [company, misuse].map(|mut rounds| {
        rounds.sort_by(f64::total_cmp);
        rounds[rounds.len() / 2]
    });
    assert!(misuse <= company * FACTOR + GRACE, "p99 {misuse} s with misuse, {company} s with company");
}

/// Sockets that one user opens, and the addresses they come from.
const SOCKETS: usize = 10_000;
const ADDRESSES: u8 = 20;

/// Opens so many sockets of one user's devices within the time of a round, says `Hello` on each, and holds them all,
/// whatever the node says. Answers how many were welcomed.
async fn crowd(
    node: Arc<TestNode>,
    devices: Vec<User>,
    sockets: usize,
    held: mpsc::UnboundedSender<Connection>,
) -> usize {
    let (mut ticks, mut tasks) =
        (interval(Duration::from_millis(34) * MESSAGES as u32 / sockets as u32), JoinSet::new());
    for number in 0..sockets {
        ticks.tick().await;
        let (device, to, held) = (devices[number % devices.len()].clone(), node.tcp(), held.clone());
        let source = Ipv4Addr::new(127, 0, 7, 1 + (number % usize::from(ADDRESSES)) as u8);
        tasks.spawn(async move {
            let mut connection = Connection::open_from(source.into(), to, FORMAT).await.unwrap();
            let welcomed = connection.hello(&device.token).await.is_ok();
            held.send(connection).unwrap();
            welcomed
        });
    }
    tasks.join_all().await.into_iter().filter(|welcomed| *welcomed).count()
}

/// Sockets of nobody.
const SILENT: usize = 5_000;

/// Opens so many sockets within the time of a round, and says nothing; answers them all.
async fn silence(node: Arc<TestNode>, sockets: usize) -> Vec<TcpStream> {
    let (mut ticks, mut held) = (interval(Duration::from_millis(34) * MESSAGES as u32 / sockets as u32), Vec::new());
    for _ in 0..sockets {
        ticks.tick().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 8, 1), 0).into()).unwrap();
        held.push(socket.connect(node.tcp()).await.unwrap());
    }
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sockets_of_one_user_and_five_thousand_of_nobody_leave_others_alone() {
    let _alone = MACHINE.lock().await;
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    assert!(
        most.is_none_or(|most| most > (SOCKETS + SILENT) as u64 + 500),
        "this test needs `ulimit -Hn` above 15,500"
    );
    let node = with_default_rates().set("rates.account_logins_per_minute", "1000").start().await;
    let node = Arc::new(node);
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let (mut writer, mut reader) = (ann.connect(&node, FORMAT).await, bob.connect(&node, FORMAT).await);
    let mut devices = vec![User::register(&node, "eve").await];
    while devices.len() < 10 {
        devices.push(devices[0].another_device().await);
    }
    let mut company_of = Vec::new();
    for number in 0..10 {
        let user = User::register(&node, &format!("calm{number}")).await;
        let notes = notes(&user).await;
        company_of.push((user, notes));
    }
    let (hold, mut held) = mpsc::unbounded_channel();
    round(&mut writer, &mut reader, conversation).await;
    let (mut company, mut crowded, mut silent, mut welcomed) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut nobodys = Vec::new();
    for _ in 0..ROUNDS {
        // As many clients as a user may have, who behave: they come once, and stay.
        let mut calm = JoinSet::new();
        for user in &company_of {
            calm.spawn(sender(node.clone(), user.0.clone(), user.1, 3, Arc::default()));
        }
        company.push(round(&mut writer, &mut reader, conversation).await);
        calm.shutdown().await;
        let crowd = tokio::spawn(crowd(node.clone(), devices.clone(), SOCKETS / ROUNDS, hold.clone()));
        crowded.push(round(&mut writer, &mut reader, conversation).await);
        welcomed += crowd.await.unwrap();
        assert!(metric(&node, "sparrow_sessions").await <= 2 + 10, "a user has ten sessions at most");
        let silence = tokio::spawn(silence(node.clone(), SILENT / ROUNDS));
        silent.push(round(&mut writer, &mut reader, conversation).await);
        nobodys.extend(silence.await.unwrap());
    }
    let mut sockets = Vec::new();
    while let Ok(socket) = held.try_recv() {
        sockets.push(socket);
    }
    assert_eq!(sockets.len(), SOCKETS);
    let limited = labelled(&node, "sparrow_limited_total", "limiter", "sessions").await;
    assert_eq!(welcomed + usize::try_from(limited).unwrap(), SOCKETS, "each was let in, or told to wait");
    assert!(welcomed < 600, "{welcomed}");
    // Within the ten seconds that each has to say hello, two hundred of an address are there at most.
    assert_eq!(nobodys.len(), SILENT);
    assert!(labelled(&node, "sparrow_limited_total", "limiter", "address_connections").await > 3_000);
    eventually("the node to hold no more than ten of them", async || {
        (metric(&node, "sparrow_connections").await <= 2 + 10).then_some(())
    })
    .await;
    assert_unaffected(company.clone(), crowded);
    assert_unaffected(company, silent);
}
