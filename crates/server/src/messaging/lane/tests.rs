//! The lane over a log that does as it is told.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use sparrow_protocol::content::request_hash;
use sparrow_protocol::{Carrier, ClientMsgId, Codec, Command, EntryKind, Format, v1};
use sparrow_store::log::{
    Appended, Batch, Body, CursorOutcome, Members, Mentions, Outcome, Page, Range, Stored, StoredEntry, SyncChanges,
    SyncPosition,
};
use sparrow_store::{Log, StoreError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::*;
use crate::clock::Clock;
use crate::config::{Limits, Rates};
use crate::core_tasks::CoreTasks;
use crate::limits::RateLimits;
use crate::messaging::outbound::Outgoing;
use crate::messaging::sessions::{Session, Sessions};
use crate::messaging::testing::{conversation, new_session, seq, user};
use crate::messaging::{fanout, send};

/// What the log does with the next batch.
enum Act {
    Away,
    Full,
    Hang(Arc<Notify>),
    Panic,
}

/// Stores everything, but for what it is told to do first.
#[derive(Default)]
struct ScriptedLog {
    acts: Mutex<VecDeque<Act>>,
    batches: Mutex<Vec<(usize, usize)>>,
}

#[async_trait]
impl Log for ScriptedLog {
    async fn append(&self, batch: Arc<Batch>) -> Result<Appended, StoreError> {
        let act = self.acts.lock().unwrap().pop_front();
        match act {
            Some(Act::Away) => return Err(StoreError::Unavailable("away".to_owned())),
            Some(Act::Full) => return Err(StoreError::StorageFull),
            Some(Act::Hang(until)) => until.notified().await,
            Some(Act::Panic) => panic!("on purpose"),
            None => {}
        }
        self.batches.lock().unwrap().push((batch.commands.len(), batch.cursors.len()));
        let stored = |append: &Append| Stored {
            entry: StoredEntry {
                conversation: append.conversation,
                seq: seq(i64::from(append.client_msg_id.as_bytes()[0])),
                kind: EntryKind::Message,
                sender: append.sender,
                time: batch.now,
                client_msg_id: append.client_msg_id,
                ref_seq: None,
                body: Body::Erased,
            },
            members_version: 1,
            own_states: Vec::new(),
        };
        let now = |cursor: &CursorAdvance| CursorOutcome::Now {
            members_version: 1,
            delivered: cursor.delivered.unwrap_or_default(),
            read: cursor.read.unwrap_or_default(),
            moved: false,
        };
        Ok(Appended {
            outcomes: batch.commands.iter().map(|append| Outcome::Stored(stored(append))).collect(),
            cursors: batch.cursors.iter().map(now).collect(),
        })
    }

    async fn members(&self, _: ConversationId, _: i64) -> Result<Option<Members>, StoreError> {
        Ok(None)
    }

    async fn pull(&self, _: UserId, _: ConversationId, _: Range) -> Result<Option<Page>, StoreError> {
        Ok(None)
    }

    async fn entries(&self, _: ConversationId, _: Seq, _: Seq) -> Result<(i64, Vec<StoredEntry>), StoreError> {
        Ok((1, Vec::new()))
    }

    async fn sync(&self, _: UserId, _: Option<SyncPosition>, _: usize) -> Result<SyncChanges, StoreError> {
        Err(StoreError::Unavailable("not here".to_owned()))
    }

    async fn epoch(&self) -> Result<String, StoreError> {
        Ok(String::new())
    }
}

/// A lane with one session that sends.
struct Bench {
    log: Arc<ScriptedLog>,
    lane: Lane,
    rates: Arc<RateLimits>,
    session: Arc<Session>,
    core: CoreTasks,
}

impl Bench {
    fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let log = Arc::new(ScriptedLog { acts: Mutex::new(acts.into_iter().collect()), ..Default::default() });
        let (metrics, core) = (Arc::new(Metrics::new()), CoreTasks::default());
        let as_log: Arc<dyn Log> = log.clone();
        let (entries, _signals) = fanout::start(&as_log, &Arc::new(Sessions::default()), &metrics, &core);
        let rates = Arc::new(RateLimits::new(&Rates::all(100_000), metrics.clone()));
        let (lane, queue) = Lane::new(100, rates.clone(), metrics);
        let worker = Worker::new(&lane, queue, as_log, entries, Clock::system(), Limits::default());
        core.spawn("append lane", worker.run(core.stopping().clone()));
        Self { log, lane, rates, session: Arc::new(Session::new(new_session(1, 1))), core }
    }

    /// What waits for the lane: commands, and cursors.
    fn waiting(&self) -> (usize, usize) {
        self.lane.waiting()
    }

    /// Sends the message with this number, under the request of the same number.
    fn send(&self, number: u8) {
        let body = Bytes::from_static(b"\x12\x01x");
        let append = Append {
            conversation: conversation(1),
            sender: user(1),
            client_msg_id: ClientMsgId::new([number; 16]).unwrap(),
            request_hash: request_hash(EntryKind::Message, None, &body),
            action: Action::Message { body, mentions: Mentions::default() },
        };
        send::enqueue(&self.lane, &self.rates, &self.session, u32::from(number), append);
    }

    /// The next answer: its request, and the code if it was refused.
    async fn answer(&self) -> (u32, Option<String>) {
        let next = std::future::poll_fn(|cx| self.session.outbound.poll_next(cx, Instant::now()));
        let Outgoing::Frame(bytes) = next.await else { panic!("no frame") };
        let format = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };
        let frame = format.decode(bytes).unwrap();
        let code = (frame.command == Some(Command::Error)).then(|| frame.parse::<v1::Error>().unwrap().code);
        (frame.id, code)
    }

    fn has_answer(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.session.outbound.poll_next(&mut cx, Instant::now()), Poll::Ready(_))
    }

    fn batches(&self) -> Vec<(usize, usize)> {
        self.log.batches.lock().unwrap().clone()
    }
}

fn stored(number: u32) -> (u32, Option<String>) {
    (number, None)
}

fn refused(number: u32, code: Code) -> (u32, Option<String>) {
    (number, Some(code.as_str().to_owned()))
}

#[tokio::test(start_paused = true)]
async fn whatever_waits_becomes_one_transaction_answered_in_order() {
    let bench = Bench::start([]);
    for number in 1..=5 {
        bench.send(number);
    }
    for number in 1..=5 {
        assert_eq!(bench.answer().await, stored(number));
    }
    assert_eq!(bench.batches(), [(5, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_short_absence_of_the_database_is_waited_out() {
    let bench = Bench::start([Act::Away, Act::Away]);
    bench.send(1);
    assert_eq!(bench.answer().await, stored(1));
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_nothing_overtakes_until_the_first_one_is_answered() {
    let bench = Bench::start([Act::Full]);
    bench.send(1);
    bench.send(2);
    assert_eq!(bench.answer().await, refused(1, Code::StorageFull));
    assert_eq!(bench.answer().await, refused(2, Code::StorageFull));
    bench.send(2);
    assert_eq!(bench.answer().await, refused(2, Code::RetryInOrder));
    bench.send(1);
    assert_eq!(bench.answer().await, stored(1));
    bench.send(2);
    assert_eq!(bench.answer().await, stored(2));
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_behind_a_failed_batch_fails_with_it() {
    let bench = Bench::start([Act::Hang(Arc::new(Notify::new()))]);
    bench.send(1);
    sleep(Duration::from_millis(1)).await;
    bench.send(2);
    assert_eq!(bench.answer().await, refused(1, Code::Unavailable));
    assert_eq!(bench.answer().await, refused(2, Code::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_told_after_the_time_limit_and_nothing_overtakes() {
    let hang = Arc::new(Notify::new());
    let bench = Bench::start([Act::Hang(hang.clone())]);
    let begun = Instant::now();
    bench.send(1);
    assert_eq!(bench.answer().await, refused(1, Code::Unavailable));
    assert_eq!(begun.elapsed(), Limits::default().append_timeout);
    bench.send(2);
    assert_eq!(bench.answer().await, refused(2, Code::RetryInOrder));
    bench.send(1);
    assert_eq!(bench.answer().await, refused(1, Code::Unavailable), "the lane still waits for the store");
    hang.notify_one();
    sleep(Duration::from_millis(1)).await;
    bench.send(1);
    assert_eq!(bench.answer().await, stored(1));
}

#[tokio::test(start_paused = true)]
async fn cursors_ride_along_or_go_alone_after_a_second() {
    let bench = Bench::start([]);
    bench.lane.delivered(user(1), conversation(1), seq(1));
    bench.send(1);
    assert_eq!(bench.answer().await, stored(1));
    assert_eq!(bench.batches(), [(1, 1)]);
    bench.lane.delivered(user(1), conversation(1), seq(2));
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(bench.batches(), [(1, 1), (0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_overloaded() {
    let bench = Bench::start([Act::Hang(Arc::new(Notify::new()))]);
    for number in 1..=101 {
        bench.send(number);
    }
    assert_eq!(bench.answer().await, refused(101, Code::Overloaded));
    assert!(!bench.has_answer());
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_before_a_refusal_goes_on() {
    let hang = Arc::new(Notify::new());
    let bench = Bench::start([Act::Hang(hang.clone())]);
    for number in 1..=101 {
        bench.send(number);
    }
    assert_eq!(bench.answer().await, refused(101, Code::Overloaded));
    hang.notify_one();
    for number in 1..=100 {
        assert_eq!(bench.answer().await, stored(number));
    }
    bench.send(102);
    assert_eq!(bench.answer().await, refused(102, Code::RetryInOrder), "it may not overtake 101");
    bench.send(101);
    assert_eq!(bench.answer().await, stored(101));
}

#[tokio::test(start_paused = true)]
async fn stopping_answers_what_was_accepted_and_flushes_cursors() {
    let bench = Bench::start([]);
    bench.send(1);
    bench.lane.delivered(user(2), conversation(1), seq(1));
    bench.core.stop().await;
    assert_eq!(bench.answer().await, stored(1));
    assert_eq!(bench.batches().iter().map(|(_, cursors)| cursors).sum::<usize>(), 1);
    bench.send(2);
    assert_eq!(bench.answer().await, refused(2, Code::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_panics_fails_the_node_and_acks_nothing() {
    let bench = Bench::start([Act::Panic]);
    bench.send(1);
    assert_eq!(bench.core.failed().await, "append lane");
    bench.send(2);
    assert_eq!(bench.answer().await, refused(2, Code::Unavailable));
    assert!(!bench.has_answer());
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_lane_can_be_seen() {
    let release = Arc::new(Notify::new());
    let bench = Bench::start([Act::Hang(release.clone())]);
    bench.send(1);
    tokio::task::yield_now().await;
    assert_eq!(bench.waiting(), (0, 0), "the first is in the batch that hangs");
    for number in 2..=4 {
        bench.send(number);
    }
    bench.lane.delivered(user(1), conversation(1), seq(1));
    assert_eq!(bench.waiting(), (3, 1));
    release.notify_one();
    bench.core.stop().await;
    assert_eq!(bench.waiting(), (0, 0));
}
