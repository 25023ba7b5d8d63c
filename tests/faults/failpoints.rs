//! A node that fails at a chosen step.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};

use rustix::process::Signal;
use sparrow_protocol::{Format, v1};
use sparrow_testkit::{Connection, Failpoints, NodeOptions, TestNode, User, within};

use crate::support::{history, metric, options, pushes_until, send, text, words};

/// A node that fails as told, two users of it, and a conversation of theirs.
struct World {
    failpoints: Failpoints,
    node: TestNode,
    ann: User,
    bob: User,
    conversation: i64,
}

impl World {
    async fn new() -> Self {
        Self::on(options()).await
    }

    /// One whose node may say that it has failed.
    async fn failing() -> Self {
        Self::on(options().expect_error("")).await
    }

    async fn on(options: NodeOptions) -> Self {
        let failpoints = Failpoints::new().unwrap();
        let node = options.variables(failpoints.variables()).start().await;
        let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
        let conversation = ann.direct(&bob).await;
        Self { failpoints, node, ann, bob, conversation }
    }

    async fn connect(&self, user: &User) -> Connection {
        user.connect(&self.node, Format::ALL[0]).await
    }

    /// Starts the node again, without failpoints.
    async fn restart(&mut self) {
        self.failpoints.clear().unwrap();
        self.node.restart().await;
    }
}

#[tokio::test]
async fn a_panic_where_the_node_cannot_do_without_ends_it_with_its_exit_code() {
    let steps = ["lane.before_commit", "lane.after_commit", "lane.answer", "fanout.before", "fanout", "fanout.stage"];
    for step in steps.into_iter().chain(["session.queue"]) {
        let mut world = World::failing().await;
        let (mut ann, _bob) = (world.connect(&world.ann).await, world.connect(&world.bob).await);
        world.failpoints.set(&format!("{step}=panic")).unwrap();
        let message = text(world.conversation, step);
        // Whether the ack comes through depends on the step; what counts is what a retry says.
        let acked: Option<v1::SendAck> = ann.call(&message).await.ok();
        let status = world.node.ended().await;
        assert_eq!(status.code(), Some(1), "{step}: {status}");

        world.restart().await;
        let ack: v1::SendAck = world.connect(&world.ann).await.call(&message).await.unwrap();
        assert!(acked.is_none_or(|acked| (acked.seq, true) == (ack.seq, ack.duplicate)), "{step}: an ack was not true");
        let entries = history(&mut world.connect(&world.bob).await, world.conversation).await;
        assert_eq!(entries.iter().filter(|entry| words(entry) == step).count(), 1, "{step}");
    }
}

#[tokio::test]
async fn a_panic_in_one_connection_ends_that_one_alone() {
    for step in ["gateway.read", "socket.write"] {
        let world = World::failing().await;
        let (mut ann, mut bob) = (world.connect(&world.ann).await, world.connect(&world.bob).await);
        world.failpoints.set(&format!("{step}=1*panic->off")).unwrap();
        let lost = within("the end of the connection", ann.call::<v1::Pong>(&v1::Ping {})).await;
        assert!(lost.is_err(), "{step}: the failpoint did nothing");
        // The other one has not noticed.
        send(&mut world.connect(&world.ann).await, world.conversation, step).await;
        pushes_until(&mut bob, step).await;
        assert_eq!(metric(&world.node, "sparrow_connection_panics_total").await, 1, "{step}");
    }
}

#[tokio::test]
async fn killed_between_commit_and_publish_the_entry_is_there_once_for_everybody() {
    // What is stored, and what the sender knew.
    for (step, stored) in [
        ("store.before_commit", false),
        ("store.after_commit", true),
        ("lane.after_commit", true),
        ("fanout.before", true),
        ("fanout", true),
        ("session.queue", true),
        ("socket.write", true),
    ] {
        let mut world = World::new().await;
        let (mut ann, mut bob) = (world.connect(&world.ann).await, world.connect(&world.bob).await);
        let cursor = bob.call::<v1::SyncPage>(&v1::Sync::default()).await.unwrap().cursor;
        world.failpoints.set(&format!("{step}=return(kill)")).unwrap();
        let message = text(world.conversation, step);
        let acked: Option<v1::SendAck> = ann.call(&message).await.ok();
        assert!(is_killed(world.node.ended().await), "{step}");
        assert!(stored || acked.is_none(), "{step}: acked before the commit");

        world.restart().await;
        let mut bob = world.connect(&world.bob).await;
        let page: v1::SyncPage = bob.call(&v1::Sync { cursor, ..Default::default() }).await.unwrap();
        assert_eq!(!page.conversations.is_empty(), stored, "{step}: whoever missed the push finds the entry by `Sync`");
        let ack: v1::SendAck = world.connect(&world.ann).await.call(&message).await.unwrap();
        assert_eq!(ack.duplicate, stored, "{step}");
        assert!(acked.is_none_or(|acked| acked.seq == ack.seq), "{step}");
        let entries = history(&mut bob, world.conversation).await;
        let found: Vec<_> = entries.iter().filter(|entry| words(entry) == step).map(|entry| entry.seq).collect();
        assert_eq!(found, [ack.seq], "{step}");
    }
}

#[tokio::test]
async fn a_node_that_is_slow_at_every_step_still_keeps_order() {
    let world = World::new().await;
    let (mut ann, mut bob) = (world.connect(&world.ann).await, world.connect(&world.bob).await);
    let steps = sparrow_server::faults::Step::ALL.iter().map(|step| format!("{}=20%delay(3)", step.as_str()));
    world.failpoints.set(&steps.collect::<Vec<_>>().join(";")).unwrap();
    for number in 0..100 {
        ann.feed(&text(world.conversation, &number.to_string())).await.unwrap();
    }
    ann.flush().await.unwrap();
    let entries = pushes_until(&mut bob, "99").await;
    let texts: Vec<_> = entries.iter().filter(|entry| entry.kind == "message").map(words).collect();
    assert_eq!(texts, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_replaced_session_and_a_shutdown_survive_a_crash_in_their_midst() {
    for step in ["session.register", "shutdown.drain", "shutdown.flush", "store.cursor"] {
        let mut world = World::new().await;
        let mut ann = world.connect(&world.ann).await;
        let sent = send(&mut ann, world.conversation, step).await;
        world.failpoints.set(&format!("{step}=return(kill)")).unwrap();
        match step {
            "session.register" => {
                // The connection is lost on both devices; nothing else is.
                drop(world.ann.try_connect(world.node.http(), Format::ALL[0]).await);
            }
            "store.cursor" => {
                let read = v1::Read { conversation_id: world.conversation, seq: sent.seq };
                assert!(ann.call::<v1::ReadAck>(&read).await.is_err());
            }
            _ => {
                world.node.terminate().await;
                world.restart().await;
                assert_eq!(history(&mut world.connect(&world.bob).await, world.conversation).await.len(), 1, "{step}");
                continue;
            }
        }
        assert!(is_killed(world.node.ended().await), "{step}");
        world.restart().await;
        assert_eq!(history(&mut world.connect(&world.bob).await, world.conversation).await.len(), 1, "{step}");
    }
}

#[test]
fn a_fault_that_nobody_knows_is_refused_with_those_there_are() {
    for (variable, value, known) in [
        ("FAILPOINTS", "lane.nowhere=panic", "lane.before_commit"),
        ("SPARROW_SABOTAGE", "nonsense", "ack-before-commit"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_sparrow"))
            .args(["serve", "--data"])
            .arg(data.path())
            .env(variable, value)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(variable) && said.contains(known), "{said}");
    }
}

fn is_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}
