//! Faults of the machine: no power, no room, damaged and older files, a wrong clock. Needs root, `mkfs.ext4` and
//! libfaketime; what is missing fails with the reason.

use rand::RngExt as _;
use sparrow_protocol::{Command, Format, v1};
use sparrow_testkit::{Connection, Disk, Evidence, FakeClock, Seed, Snapshot, TestNode, User, flip_bits, truncate};

use tokio::sync::mpsc;

use crate::support::{history, options, send, text, words};

const MIB: u64 = 1024 * 1024;

/// Power cuts in a test run, unless `SPARROW_POWER_CUTS` says otherwise.
const CUTS: usize = 3;

#[tokio::test]
async fn what_was_acked_survives_a_power_cut() {
    let cuts = std::env::var("SPARROW_POWER_CUTS").map_or(CUTS, |cuts| cuts.parse().unwrap());
    let mut random = Seed::of("power cuts").part(1);
    let mut disk = Disk::new(96 * MIB).unwrap();
    let mut node = options().data(disk.path()).expect_error("").start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut acked = Vec::new();
    for _ in 0..cuts {
        let (told, mut hears) = mpsc::unbounded_channel();
        let writing = tokio::spawn(send_until_lost(ann.connect(&node, Format::ALL[0]).await, conversation, told));
        // In the midst of it, at no particular moment.
        for _ in 0..random.random_range(1..400) {
            acked.push(hears.recv().await.unwrap());
        }
        let evidence = cut_power(&mut disk, &mut node).await;
        assert_eq!(evidence.get("power_cuts"), 1, "{evidence}");
        writing.await.unwrap();
        while let Ok(ack) = hears.try_recv() {
            acked.push(ack);
        }
        let missing = missing(&node, &bob, conversation, &acked).await;
        assert_eq!(missing, 0, "of {} acked", acked.len());
    }
    println!("{cuts} power cuts, {} acked, 0 missing", acked.len());
}

/// Sends, many at a time, until the connection is lost; tells of every ack.
async fn send_until_lost(mut connection: Connection, conversation: i64, acked: mpsc::UnboundedSender<v1::SendAck>) {
    loop {
        for number in 0..8 {
            if connection.feed(&text(conversation, &number.to_string())).await.is_err() {
                return;
            }
        }
        if connection.flush().await.is_err() {
            return;
        }
        for _ in 0..8 {
            match connection.next().await {
                Ok(frame) if frame.command == Some(Command::SendAck) => acked.send(frame.parse().unwrap()).unwrap(),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// Sends in bursts until some were acked; answers those.
pub(super) async fn send_many(node: &TestNode, user: &User, conversation: i64, burst: usize) -> Vec<v1::SendAck> {
    let mut connection = user.connect(node, Format::ALL[0]).await;
    let mut acked = Vec::new();
    for number in 0..50 {
        acked.push(send(&mut connection, conversation, &format!("{burst}.{number}")).await);
    }
    acked
}

/// Cuts the power under a running node, and starts everything again.
pub(super) async fn cut_power(disk: &mut Disk, node: &mut TestNode) -> Evidence {
    disk.cut_power().unwrap();
    node.kill();
    let evidence = disk.power_on().unwrap();
    node.restart().await;
    evidence
}

/// How many of these are not in the log at their seq.
pub(super) async fn missing(node: &TestNode, reader: &User, conversation: i64, acked: &[v1::SendAck]) -> usize {
    let entries = history(&mut reader.connect(node, Format::ALL[0]).await, conversation).await;
    let is_there = |ack: &&v1::SendAck| {
        entries.iter().any(|entry| (entry.seq, &entry.client_msg_id) == (ack.seq, &ack.client_msg_id))
    };
    acked.len() - acked.iter().filter(is_there).count()
}

#[tokio::test]
async fn a_full_disk_refuses_what_it_cannot_keep_and_recovers_by_itself() {
    let disk = Disk::new(32 * MIB).unwrap();
    let node = options().data(disk.path()).expect_error("").start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, Format::ALL[0]).await;
    let mut acked = vec![send(&mut connection, conversation, "before").await];
    assert!(disk.fill(0).unwrap().get("filled_bytes") > 8 * MIB);

    let long = "x".repeat(30_000);
    let refused = loop {
        match connection.call::<v1::SendAck>(&text(conversation, &long)).await {
            Ok(ack) => acked.push(ack),
            Err(error) => break error,
        }
    };
    let sparrow_testkit::ConnectionError::Refused(error) = refused else { panic!("not refused: {refused}") };
    assert_eq!(error.code, "storage_full");
    assert!(error.retryable);
    assert_eq!(missing(&node, &bob, conversation, &acked).await, 0, "reads go on");

    assert!(!disk.free().unwrap().is_none());
    let mut connection = ann.connect(&node, Format::ALL[0]).await;
    acked.push(send(&mut connection, conversation, "after").await);
    assert_eq!(missing(&node, &bob, conversation, &acked).await, 0);
}

#[tokio::test]
async fn a_restored_older_copy_begins_a_new_epoch() {
    let mut node = options().start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let epoch = async |node: &TestNode| -> String {
        let page: v1::SyncPage = ann.connect(node, Format::ALL[0]).await.call(&v1::Sync::default()).await.unwrap();
        page.epoch
    };
    send(&mut ann.connect(&node, Format::ALL[0]).await, conversation, "kept").await;
    assert!(node.terminate().await.success());
    let snapshot = Snapshot::take(node.data()).unwrap();
    node.restart().await;
    let before = epoch(&node).await;
    send(&mut ann.connect(&node, Format::ALL[0]).await, conversation, "gone").await;
    assert!(node.terminate().await.success());
    node.restart().await;
    assert_eq!(epoch(&node).await, before, "a restart alone is no new life");
    assert!(node.terminate().await.success());

    assert!(!snapshot.restore(node.data()).unwrap().is_none());
    node.restart().await;
    assert_ne!(epoch(&node).await, before);
    let entries = history(&mut bob.connect(&node, Format::ALL[0]).await, conversation).await;
    assert_eq!(entries.iter().map(words).collect::<Vec<_>>(), ["kept"]);
}

#[tokio::test]
async fn a_truncated_write_ahead_log_costs_no_order_and_invents_nothing() {
    let mut node = options().expect_error("").start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let acked = send_many(&node, &ann, conversation, 0).await;
    node.kill();
    let wal = node.data().join("sparrow.db-wal");
    assert!(!truncate(&wal, 20_000).unwrap().is_none());
    node.restart().await;
    // A disk that loses what was forced to it breaks promise 1, which nothing can keep then; the others hold.
    let entries = history(&mut bob.connect(&node, Format::ALL[0]).await, conversation).await;
    let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    assert!(entries.len() < acked.len() && seqs == (1..=entries.len() as i64).collect::<Vec<_>>());
    for (entry, ack) in entries.iter().zip(&acked) {
        assert_eq!((entry.seq, &entry.client_msg_id), (ack.seq, &ack.client_msg_id));
    }
}

#[tokio::test]
async fn bits_that_fell_over_are_refused_or_marked_and_never_end_a_running_node() {
    let seed = Seed::of("flipped bits");
    for round in 0..6 {
        let mut node = options().expect_error("").start().await;
        let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
        let conversation = ann.direct(&bob).await;
        send_many(&node, &ann, conversation, round).await;
        assert!(node.terminate().await.success());
        let database = node.data().join("sparrow.db");
        let mut random = seed.part(round as u64);
        assert_eq!(flip_bits(&database, 4096, 200, &mut random).unwrap().get("flipped_bits"), 200);
        // What is damaged may keep it from starting, which then says so.
        if node.try_restart().await.is_err() {
            continue;
        }
        let page: Result<v1::EntryList, _> = bob.api.get(&format!("/v1/conversations/{conversation}/messages")).await;
        let readyz = sparrow_testkit::Api::new(node.admin()).unwrap().text("/livez").await;
        assert!(readyz.is_ok(), "the node ended over damage: {page:?}");
    }
}

#[tokio::test]
async fn a_clock_that_jumps_does_not_change_the_order() {
    let clock = FakeClock::new().unwrap();
    let node = options().variables(clock.variables()).start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, Format::ALL[0]).await;
    let mut seqs = Vec::new();
    for skew in [0, 3_600, -86_400, 30] {
        clock.skew(skew).unwrap();
        let ack = send(&mut connection, conversation, &skew.to_string()).await;
        let evidence = FakeClock::evidence(ack.time);
        assert!((evidence.get("skewed_ms").abs_diff(skew.unsigned_abs() * 1_000)) < 5_000, "{skew}: {evidence}");
        seqs.push(ack.seq);
    }
    assert_eq!(seqs, [1, 2, 3, 4]);
    let entries = history(&mut bob.connect(&node, Format::ALL[0]).await, conversation).await;
    assert_eq!(entries.iter().map(words).collect::<Vec<_>>(), ["0", "3600", "-86400", "30"]);
}
