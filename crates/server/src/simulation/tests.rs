//! Seeds that are tried, and rules that are broken to see that somebody notices.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sparrow_protocol::{ClientMsgId, RequestHash, Seq, Timestamp, v1};
use sparrow_store::log::{Action, Append, Mentions};
use sparrow_store::model::Model;
use sparrow_store::{Directory, Sqlite};
use tokio::time::{Instant, timeout};

use super::database::{Database, Weather};
use super::node::{FORMAT, Node};
use super::world::run;
use crate::config::Limits;
use crate::messaging::testing::{conversation, device, user};
use crate::messaging::{Bounds, Outgoing};

/// Worlds that are tried in a test run, unless `SPARROW_SIMULATION_SEEDS` says otherwise.
const SEEDS: u64 = 50;

/// Worlds that have found something: each is tried every time.
const KEPT: [u64; 1] = [
    // Entries stored by an attempt of unknown outcome were answered as duplicates and pushed to nobody.
    710_414_388,
];

/// What messaging asks of accounts and devices, which nothing here does.
struct Directories(
    #[expect(dead_code, reason = "it lives as long as the database in it")] tempfile::TempDir,
    Arc<dyn Directory>,
);

impl Directories {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path(), &Default::default(), Timestamp::from_millis(0)).unwrap();
        Self(folder, Arc::new(store))
    }
}

/// The seed that was asked for, or a row of them that begins anywhere.
fn seeds() -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let asked = number("SPARROW_TEST_SEED");
    let first = asked.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let count = asked.map_or_else(|| number("SPARROW_SIMULATION_SEEDS").unwrap_or(SEEDS), |_| 1);
    first..first + count
}

fn nothing_is_broken(nodes: usize, seeds: impl Iterator<Item = u64>) {
    let directory = Directories::new();
    let (mut worlds, mut acked, mut pushes) = (0, 0, 0);
    for seed in seeds {
        match run(seed, nodes, &directory.1) {
            Ok(totals) => (worlds, acked, pushes) = (worlds + 1, acked + totals.acked, pushes + totals.pushes),
            Err(broken) => panic!("SPARROW_TEST_SEED={seed}, {nodes} node(s): {}: {}", broken.invariant, broken.seen),
        }
    }
    println!("{worlds} worlds of {nodes} node(s): {acked} acked, {pushes} pushes");
    assert!(acked > 20 * worlds, "nobody did anything");
}

#[test]
fn one_node_keeps_its_promises_whatever_happens() {
    nothing_is_broken(1, KEPT.into_iter().chain(seeds()));
}

#[test]
fn two_nodes_over_one_database_keep_theirs() {
    nothing_is_broken(2, seeds());
}

/// A backend that does not know whether a batch was stored runs it again, and is told that it was. Whoever is online gets
/// it all the same: no later push would betray that the last entry of a conversation is missing.
#[tokio::test(start_paused = true)]
async fn what_an_attempt_of_unknown_outcome_stored_is_pushed() {
    let directory = Directories::new();
    let mut model = Model::new("epoch", 10);
    let (ann, bob, direct) = (user(1), user(2), conversation(1));
    model.direct(direct, [ann, bob]);
    let database = Database::new(model);
    let bounds = Bounds { frames: 10, bytes: 10_000 };
    let node = Node::start(&database, &directory.1, 1, Limits::default(), bounds);
    let life = node.life();
    let (sender, reader) = (node.new_session(ann, device(1), 1), node.new_session(bob, device(2), 1));
    let (_sender, reader) = (life.register(sender), life.register(reader));

    database.set(Weather { unknown: 100, ..Weather::default() });
    let append = Append {
        conversation: direct,
        sender: ann,
        client_msg_id: ClientMsgId::new([1; 16]).unwrap(),
        request_hash: RequestHash([1; 32]),
        action: Action::Message { body: Bytes::from_static(b"\x12\x02hi"), mentions: Mentions::default() },
    };
    let answered = tokio::spawn(async move { life.messaging.submit(append).await });
    while database.model.lock().unwrap().logs().all(|(_, entries)| entries.is_empty()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    database.set(Weather::default());
    assert_eq!(answered.await.unwrap().unwrap().stored.entry.seq, Seq::FIRST);
    let next = poll_fn(|cx| reader.session().outbound.poll_next(cx, Instant::now()));
    let Ok(Outgoing::Frame(frame)) = timeout(Duration::from_secs(1), next).await else { panic!("nothing was pushed") };
    let push: v1::Push = FORMAT.decode(frame).unwrap().parse().unwrap();
    assert_eq!(push.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1]);
}

/// What hash maps and the machine add to a seed does not change the story.
#[test]
fn a_seed_tells_the_same_story_again() {
    let directory = Directories::new();
    for seed in seeds().take(5) {
        let (first, again) = (run(seed, 1, &directory.1), run(seed, 1, &directory.1));
        assert_eq!(first, again, "SPARROW_TEST_SEED={seed}");
    }
}

#[cfg(feature = "sabotage")]
mod sabotage {
    use super::*;
    use crate::faults::{Rule, break_rule};

    /// Worlds in which a broken rule has to show. Always the same ones, so that this is no matter of luck.
    const WORLDS: u64 = 40;

    /// Worlds of so many nodes until somebody notices that the rule is broken, as one of these invariants.
    fn is_caught(rule: Rule, nodes: usize, invariants: &[&str]) {
        let directory = Directories::new();
        let _broken = break_rule(rule);
        for seed in 1..=WORLDS {
            if let Err(broken) = run(seed, nodes, &directory.1) {
                println!("{}: caught in world {seed}: {}: {}", rule.as_str(), broken.invariant, broken.seen);
                assert!(invariants.contains(&broken.invariant), "SPARROW_TEST_SEED={seed}: {broken:?}");
                return;
            }
        }
        panic!("{} was not caught in {WORLDS} worlds", rule.as_str());
    }

    #[test]
    fn snapshot_then_subscribe() {
        is_caught(Rule::SnapshotThenSubscribe, 1, &["I7"]);
    }

    #[test]
    fn retry_with_a_new_id() {
        is_caught(Rule::RetryWithNewId, 1, &["I1", "I2", "I4", "I9"]);
    }

    #[test]
    fn membership_inside_the_locking_statement() {
        is_caught(Rule::MembershipInLockingStatement, 2, &["I11"]);
    }

    #[test]
    fn next_batch_after_an_unknown_outcome() {
        is_caught(Rule::NextBatchAfterUnknown, 1, &["I5", "I6"]);
    }

    #[test]
    fn order_by_timestamp() {
        is_caught(Rule::OrderByTimestamp, 1, &["I5", "I6"]);
    }

    #[test]
    fn push_without_reconcile() {
        is_caught(Rule::PushWithoutReconcile, 1, &["I7"]);
    }

    #[test]
    fn cached_membership() {
        is_caught(Rule::CachedMembership, 1, &["I7", "I10"]);
    }
}
