//! Promise 7: a slow client costs itself, not its peers. (H29)

use std::collections::BTreeSet;

use sparrow_protocol::{Command, Format, v1};
use sparrow_testkit::{Direction, Proxy, TestNode, User};

use crate::complete::address;
use crate::support::{history, in_every_format, options, pushed, pushes_until, send, text};

in_every_format!(a_reader_that_stops_reading_is_resynced_and_complete_afterwards);

async fn a_reader_that_stops_reading_is_resynced_and_complete_afterwards(format: Format) {
    const MESSAGES: usize = 4_000;
    const BATCH: usize = 100;
    let node = options().set("limits.write_timeout", "1 min").start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let slow = User::register(&node, "slow").await;
    let group = ann.group("busy", &[&bob, &slow]).await;
    let mut writer = ann.connect(&node, format).await;
    let mut reader = bob.connect(&node, format).await;
    let proxy = Proxy::start(address(&node, format)).await;
    let mut stopped = slow.try_connect(proxy.address(), format).await.unwrap();

    proxy.stall(Direction::Down);
    let before = resident(&node);
    // More than the socket buffers of three hops and the session's queue hold together.
    let long = "x".repeat(4_000);
    for batch in 0..MESSAGES / BATCH {
        let mut ids = Vec::new();
        for number in 0..BATCH {
            ids.push(writer.feed(&text(group, &format!("{batch}.{number} {long}"))).await.unwrap());
        }
        writer.flush().await.unwrap();
        for id in ids {
            writer.answer::<v1::SendAck>(id).await.unwrap();
        }
        send(&mut writer, group, &format!("batch {batch}")).await;
        // A peer misses no push for the sake of the slow one.
        assert_eq!(pushes_until(&mut reader, &format!("batch {batch}")).await.len(), BATCH + 1);
    }
    let last = send(&mut writer, group, "last").await;
    let grown = resident(&node).saturating_sub(before);
    assert!(grown < 48 << 20, "the node grew by {grown} bytes for one slow reader");

    proxy.flow();
    let mut seqs = BTreeSet::new();
    loop {
        let frame = stopped.next().await.unwrap();
        seqs.extend(pushed(&frame).iter().map(|entry| entry.seq));
        if frame.command == Some(Command::Resync) {
            break;
        }
    }
    assert!((seqs.len() as i64) < last.seq, "nothing had to be dropped, so the test shows nothing");
    // From `Resync` on pushes flow again; what lies before is in the log.
    let mut writer = ann.another_device().await.connect(&node, format).await;
    send(&mut writer, group, "after resync").await;
    pushes_until(&mut stopped, "after resync").await;
    let entries = history(&mut stopped, group).await;
    assert_eq!(entries.len() as i64, last.seq + 1);
}

/// The node's resident memory, in bytes.
fn resident(node: &TestNode) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
