//! The fan-out over a log that holds one conversation.

use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use sparrow_protocol::{
    Carrier, ClientMsgId, Codec, Command, ConversationKind, EntryKind, Format, Role, Seq, Timestamp, UserId, limits, v1,
};
use sparrow_store::StoreError;
use sparrow_store::log::{
    Appended, Batch, Body, Interval, MemberRow, Members, Page, Range, StoredEntry, SyncChanges, SyncPosition,
};
use tokio::time::Instant;

use super::*;
use crate::messaging::outbound::Outgoing;
use crate::messaging::sessions::{NewSession, Registered, Session};
use crate::messaging::testing::{conversation, new_session, seq, user};
use crate::messaging::wire;

const PROTOBUF: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };
const JSON: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Json };

/// What the log says about the members.
#[derive(Default)]
enum Say {
    #[default]
    Away,
    Rows(i64, Vec<MemberRow>),
    Panic,
}

#[derive(Default)]
struct FixedLog(Mutex<Say>);

#[async_trait]
impl Log for FixedLog {
    async fn append(&self, _: Arc<Batch>) -> Result<Appended, StoreError> {
        Err(away())
    }

    async fn members(&self, _: ConversationId, _: i64) -> Result<Option<Members>, StoreError> {
        match &*self.0.lock().unwrap() {
            Say::Away => Err(away()),
            Say::Rows(version, rows) => {
                Ok(Some(Members { version: *version, kind: ConversationKind::Group, rows: rows.clone() }))
            }
            Say::Panic => panic!("on purpose"),
        }
    }

    async fn pull(&self, _: UserId, _: ConversationId, _: Range) -> Result<Option<Page>, StoreError> {
        Err(away())
    }

    async fn entries(&self, _: ConversationId, _: Seq, _: Seq) -> Result<(i64, Vec<StoredEntry>), StoreError> {
        Err(away())
    }

    async fn sync(&self, _: UserId, _: Option<SyncPosition>, _: usize) -> Result<SyncChanges, StoreError> {
        Err(away())
    }

    async fn epoch(&self) -> Result<String, StoreError> {
        Err(away())
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("away".to_owned())
}

fn member(number: i64, intervals: &[(i64, Option<i64>)]) -> MemberRow {
    let interval = |(join, leave): &(i64, Option<i64>)| Interval { join: seq(*join), leave: leave.map(seq) };
    let present = intervals.last().is_some_and(|(_, leave)| leave.is_none());
    MemberRow {
        user: user(number),
        role: present.then_some(Role::Member),
        intervals: intervals.iter().map(interval).collect(),
    }
}

fn always(number: i64) -> MemberRow {
    member(number, &[(1, None)])
}

/// An entry of user 1 that the log stored at member version 1.
fn entry(number: i64) -> Committed {
    let byte = u8::try_from(number).unwrap();
    let entry = StoredEntry {
        conversation: conversation(1),
        seq: seq(number),
        kind: EntryKind::Message,
        sender: user(1),
        time: Timestamp::from_millis(0),
        client_msg_id: ClientMsgId::new([byte; 16]).unwrap(),
        ref_seq: None,
        body: Body::Kept(Bytes::from_static(b"\x12\x02hi")),
    };
    Committed {
        stored: Stored { entry, members_version: 1, own_states: Vec::new() },
        origin: None,
        trust: Trust::Fresh,
    }
}

fn from(session: &Registered, mut committed: Committed) -> Committed {
    committed.origin = Some(session.session().id);
    committed
}

fn membership(mut committed: Committed) -> Committed {
    committed.stored.entry.kind = EntryKind::Membership;
    committed.stored.entry.body = Body::Kept(Bytes::new());
    committed
}

fn about(number: i64, mut committed: Committed) -> Committed {
    committed.stored.entry.kind = EntryKind::Edit;
    committed.stored.entry.ref_seq = Some(seq(number));
    committed
}

struct Bench {
    log: Arc<FixedLog>,
    sessions: Arc<Sessions>,
    entries: FanoutEntries,
    signals: FanoutSignals,
    core: CoreTasks,
}

impl Bench {
    fn start(say: Say) -> Self {
        let (log, sessions, core) =
            (Arc::new(FixedLog(say.into())), Arc::new(Sessions::default()), CoreTasks::default());
        let as_log: Arc<dyn Log> = log.clone();
        let (entries, signals) = start(&as_log, &sessions, &Arc::new(Metrics::new()), &core);
        Self { log, sessions, entries, signals, core }
    }

    fn with(rows: impl IntoIterator<Item = MemberRow>) -> Self {
        Self::start(Say::Rows(1, rows.into_iter().collect()))
    }

    fn session(&self, user: i64, device: i64, format: Format) -> Registered {
        self.sessions.register(Session::new(NewSession { format, ..new_session(user, device) }))
    }

    async fn commit(&self, batch: impl IntoIterator<Item = Committed>) {
        self.entries.entries(batch.into_iter()).await;
    }

    /// Waits until everything is pushed.
    async fn done(self) {
        drop(self.entries);
        self.core.stop().await;
    }
}

fn frames(registered: &Registered) -> Vec<Outgoing> {
    let mut cx = Context::from_waker(Waker::noop());
    std::iter::from_fn(|| match registered.session().outbound.poll_next(&mut cx, Instant::now()) {
        Poll::Ready(outgoing) => Some(outgoing),
        Poll::Pending => None,
    })
    .collect()
}

/// Per pushed frame the entries in it, each with whether it came with content.
fn pushes(registered: &Registered) -> Vec<Vec<(i64, bool)>> {
    let read = |outgoing: Outgoing| {
        let Outgoing::Frame(bytes) = outgoing else { panic!("no frame: {outgoing:?}") };
        let frame = registered.session().format.decode(bytes).unwrap();
        assert_eq!(frame.command, Some(Command::Push));
        let push: v1::Push = frame.parse().unwrap();
        push.entries.iter().map(|entry| (entry.seq, entry.content.is_some())).collect()
    };
    frames(registered).into_iter().map(read).collect()
}

#[tokio::test(start_paused = true)]
async fn an_entry_reaches_members_inside_their_intervals_and_nobody_else() {
    let rows = [always(1), member(2, &[(2, None)]), member(3, &[(1, Some(2))]), member(4, &[(1, Some(2)), (3, None)])];
    let bench = Bench::with(rows);
    let online: Vec<_> = (1..=5).map(|number| bench.session(number, number, PROTOBUF)).collect();
    bench.commit([entry(1), membership(entry(2)), membership(entry(3)), entry(4)]).await;
    bench.done().await;
    let seen =
        |number: usize| -> Vec<i64> { pushes(&online[number - 1]).iter().flatten().map(|(seq, _)| *seq).collect() };
    assert_eq!((seen(1), seen(2), seen(3)), (vec![1, 2, 3, 4], vec![2, 3, 4], vec![1]));
    assert_eq!((seen(4), seen(5)), (vec![1, 3, 4], vec![]));
}

#[tokio::test(start_paused = true)]
async fn entries_are_pushed_together_but_never_across_a_membership_change() {
    let bench = Bench::with([always(1)]);
    let session = bench.session(1, 1, PROTOBUF);
    bench.commit([entry(1), entry(2), membership(entry(3)), entry(4), entry(5)]).await;
    bench.done().await;
    let seqs: Vec<Vec<i64>> = pushes(&session).iter().map(|push| push.iter().map(|(seq, _)| *seq).collect()).collect();
    assert_eq!(seqs, [vec![1, 2], vec![3], vec![4, 5]]);
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_see_what_an_entry_is_about_gets_it_without_content() {
    let bench = Bench::with([always(1), member(2, &[(2, None)])]);
    let (old, new) = (bench.session(1, 1, PROTOBUF), bench.session(2, 2, JSON));
    bench.commit([about(1, entry(2)), about(2, entry(3))]).await;
    bench.done().await;
    assert_eq!(pushes(&old), [[(2, true)], [(3, true)]]);
    assert_eq!(pushes(&new), [[(2, false)], [(3, true)]]);
}

#[tokio::test(start_paused = true)]
async fn the_session_that_sent_gets_no_push_and_the_user_s_others_do() {
    let bench = Bench::with([always(1)]);
    let (phone, laptop) = (bench.session(1, 1, PROTOBUF), bench.session(1, 2, PROTOBUF));
    bench.commit([from(&phone, entry(1))]).await;
    bench.commit([from(&phone, entry(2)), from(&laptop, entry(3)), from(&phone, entry(4))]).await;
    bench.done().await;
    assert_eq!(pushes(&phone), [[(3, true)]]);
    assert_eq!(pushes(&laptop), [[(1, true)], [(2, true)], [(4, true)]]);
}

#[tokio::test(start_paused = true)]
async fn a_push_is_written_once_for_each_format() {
    let bench = Bench::with((1..=4).map(always));
    let online: Vec<_> =
        [PROTOBUF, JSON, PROTOBUF, JSON].into_iter().zip(1..).map(|(format, n)| bench.session(n, n, format)).collect();
    bench.commit([entry(1), entry(2)]).await;
    bench.done().await;
    let place = |registered: &Registered| match &frames(registered)[..] {
        [Outgoing::Frame(bytes)] => bytes.as_ptr(),
        other => panic!("not one frame: {other:?}"),
    };
    let places: Vec<_> = online.iter().map(place).collect();
    assert_eq!((places[0], places[1]), (places[2], places[3]));
    assert_ne!(places[0], places[1]);
}

#[tokio::test(start_paused = true)]
async fn the_largest_content_reaches_clients_of_json_even_if_every_byte_is_escaped() {
    let bench = Bench::with([always(1)]);
    let session = bench.session(1, 1, JSON);
    // The tag and the length of the text take four bytes.
    let text = "\u{1}".repeat(limits::CONTENT_BYTES_MOST - 4);
    let content = v1::Content { text, ..v1::Content::default() };
    let mut largest = entry(1);
    largest.stored.entry.body = Body::Kept(content.encode_to_vec().into());
    assert_eq!(wire::body_bytes(&largest.stored.entry), limits::CONTENT_BYTES_MOST);
    bench.commit([largest]).await;
    bench.done().await;
    assert_eq!(pushes(&session), [[(1, true)]]);
}

#[tokio::test(start_paused = true)]
async fn a_group_with_more_members_than_are_online_reaches_those_who_are() {
    let bench = Bench::with((1..=1_000).map(always));
    let (member, stranger) = (bench.session(500, 1, PROTOBUF), bench.session(2_000, 2, PROTOBUF));
    bench.commit([entry(1)]).await;
    bench.done().await;
    assert_eq!(pushes(&member), [[(1, true)]]);
    assert!(pushes(&stranger).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_entry_goes_by_a_member_list_at_least_as_new_as_itself() {
    let bench = Bench::with([always(1), always(2)]);
    let removed = bench.session(2, 2, PROTOBUF);
    bench.commit([entry(1)]).await;
    *bench.log.0.lock().unwrap() = Say::Rows(2, vec![member(2, &[(1, Some(2))])]);
    let mut removal = membership(entry(2));
    removal.stored.members_version = 2;
    let mut after = entry(3);
    after.stored.members_version = 2;
    bench.commit([removal, after]).await;
    bench.done().await;
    assert_eq!(pushes(&removed), [[(1, true)]]);
}

#[tokio::test(start_paused = true)]
async fn when_the_members_cannot_be_read_everybody_is_told_to_resync() {
    let bench = Bench::start(Say::Away);
    let session = bench.session(1, 1, PROTOBUF);
    bench.commit([entry(1)]).await;
    bench.done().await;
    assert_eq!(frames(&session), [Outgoing::Resync]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_fails_the_node() {
    let bench = Bench::start(Say::Panic);
    bench.commit([entry(1)]).await;
    assert_eq!(bench.core.failed().await, "fan-out worker");
}

#[tokio::test]
async fn what_waits_for_the_workers_can_be_seen() {
    let bench = Bench::with([always(1)]);
    // Until this test awaits something that waits, no worker runs.
    for number in 1..=3 {
        bench.entries.entries([entry(number)].into_iter()).await;
    }
    let moved = CursorMoved {
        user: user(1),
        conversation: conversation(1),
        delivered: seq(1),
        read: seq(1),
        by_reading: false,
        members_version: 1,
        origin: None,
    };
    bench.entries.cursors([moved].into_iter());
    assert_eq!(bench.signals.waiting(), (3, 1));
    let signals = bench.signals.clone();
    bench.done().await;
    assert_eq!(signals.waiting(), (0, 0));
}
