//! What an operator sees of a busy node on `/metrics`. Refusals are counted in `hardening`, panics and full disks in the
//! server's own tests.

use sparrow_protocol::{Carrier, Codec, Format, v1};
use sparrow_testkit::{Api, PASSWORD, TestNode, User, Wire, eventually};

use crate::support::{labelled, metric, node, options, pushes_until, send, text};

const FORMAT: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };

/// A value on `/metrics` that need not be whole, such as seconds.
async fn seconds(node: &TestNode, name: &str) -> f64 {
    let text = Api::new(node.admin()).unwrap().text("/metrics").await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_busy_node_is_counted() {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut writer = ann.connect(&node, FORMAT).await;
    let mut reader = bob.connect(&node, FORMAT).await;
    assert_eq!((metric(&node, "sparrow_connections").await, metric(&node, "sparrow_sessions").await), (2, 2));
    let stored = labelled(&node, "sparrow_sends_total", "outcome", "stored").await;
    let (pushes, commits) =
        (metric(&node, "sparrow_pushes_total").await, metric(&node, "sparrow_batch_commands_count").await);

    for number in 0..9 {
        send(&mut writer, conversation, &format!("{number}")).await;
    }
    let last = text(conversation, "last");
    for duplicate in [false, true] {
        let ack: v1::SendAck = writer.call(&last).await.unwrap();
        assert_eq!(ack.duplicate, duplicate);
    }
    let entries = pushes_until(&mut reader, "last").await;
    let cursor = v1::Cursor { conversation_id: conversation, seq: entries.last().unwrap().seq };
    let nonsense = v1::Cursor { conversation_id: -1, seq: 1 };
    reader.tell(&v1::Ack { cursors: vec![cursor, nonsense] }).await.unwrap();
    writer.call::<v1::ReadAck>(&v1::Read { conversation_id: 1 << 60, seq: 1 }).await.unwrap_err();

    assert_eq!(labelled(&node, "sparrow_sends_total", "outcome", "stored").await, stored + 10);
    assert_eq!(labelled(&node, "sparrow_sends_total", "outcome", "duplicate").await, 1);
    assert_eq!(labelled(&node, "sparrow_errors_total", "code", "not_found").await, 1);
    eventually("the acks to be counted", async || (metric(&node, "sparrow_acks_total").await == 2).then_some(())).await;
    assert_eq!(metric(&node, "sparrow_acks_ignored_total").await, 1);
    assert!(metric(&node, "sparrow_pushes_total").await >= pushes + 10);
    let batches = metric(&node, "sparrow_batch_commands_count").await;
    assert!(batches >= commits + 11, "one at a time, each is a batch of its own");
    assert!(metric(&node, "sparrow_commit_seconds_count").await >= batches);
    assert!(seconds(&node, "sparrow_commit_seconds_sum").await > 0.0);
    assert_eq!(metric(&node, "sparrow_lane_waiting").await, 0);
    assert!(metric(&node, "sparrow_http_seconds_count").await >= 3);
    assert!(metric(&node, "sparrow_password_hashes_total").await >= 2);
    for nothing in ["connection_panics", "http_panics", "resyncs", "pushes_dropped", "receipts_dropped"] {
        assert_eq!(metric(&node, &format!("sparrow_{nothing}_total")).await, 0, "{nothing}");
    }
    drop((writer, reader));
    eventually("the connections to be gone", async || {
        (metric(&node, "sparrow_connections").await + metric(&node, "sparrow_sessions").await == 0).then_some(())
    })
    .await;
}

async fn depth(node: &TestNode, queue: &str) -> u64 {
    labelled(node, "sparrow_queue_depth", "queue", queue).await
}

#[tokio::test]
async fn what_waits_in_each_queue_is_told() {
    let node = options()
        .set("password_hashing.workers", "1")
        .set("password_hashing.memory_kib", "65536")
        .set("password_hashing.passes", "3")
        .start()
        .await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut writer = ann.connect(&node, FORMAT).await;
    for queue in ["append_lane", "fanout", "asides", "cursors", "password_hashes", "session_frames", "session_bytes"] {
        assert_eq!(depth(&node, queue).await, 0, "{queue}");
    }

    // Somebody who reads nothing: what the sockets' own buffers do not hold, waits.
    let mut stalled = Wire::open(&node, Format { carrier: Carrier::Tcp, codec: Codec::Protobuf }).await;
    stalled.hello(&bob.token).await;
    let long = "x".repeat(60_000);
    eventually("frames to wait for who reads nothing", async || {
        send(&mut writer, conversation, &long).await;
        (depth(&node, "session_frames").await > 0).then_some(())
    })
    .await;
    assert!(depth(&node, "session_bytes").await > 0 && depth(&node, "fullest_session_frames").await > 0);

    let mut reader = bob.another_device().await.connect(&node, FORMAT).await;
    let mut acked = 0;
    eventually("a cursor to wait for the next transaction", async || {
        acked += 1;
        reader
            .tell(&v1::Ack { cursors: vec![v1::Cursor { conversation_id: conversation, seq: acked }] })
            .await
            .unwrap();
        (depth(&node, "cursors").await == 1).then_some(())
    })
    .await;

    let log_ins = async {
        let logging_in =
            (0..4).map(|_| async { Api::new(node.http()).unwrap().log_in("ann", PASSWORD).await.unwrap() });
        futures_util::future::join_all(logging_in).await;
    };
    let seen = async {
        eventually("log-ins to wait", async || (depth(&node, "password_hashes").await >= 2).then_some(())).await;
    };
    tokio::join!(log_ins, seen);
    eventually("nobody to wait", async || (depth(&node, "password_hashes").await == 0).then_some(())).await;
}

/// Lines of a connection name whose it is, under the names of docs/operations.md.
#[tokio::test]
async fn what_is_logged_of_a_connection_says_whose_it_is() {
    let node = options().set("log_format", "json").set("log", "info,sparrow_server=debug").start().await;
    let ann = User::register(&node, "ann").await;
    for format in Format::ALL {
        drop(ann.connect(&node, *format).await);
    }
    eventually("the ends of the connections to be logged", async || {
        let of_ann = |line: &String| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line.get("exit").is_some() && line["span"]["name"] == "connection").then_some(())?;
            assert!(line["span"]["device"].as_i64().is_some(), "{line}");
            (line["span"]["user"] == ann.id).then_some(())
        };
        (node.log().iter().filter_map(of_ann).count() == Format::ALL.len()).then_some(())
    })
    .await;
}
