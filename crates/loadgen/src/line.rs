//! One connection of a fleet: what it sends, and what becomes of each frame it receives. Who reads the socket, and when
//! something is due, are elsewhere.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use sparrow_protocol::{Body, Code, Command, Format, Frame, raw, v1};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::ConnectionError;
use crate::heads::{PageHead, PushHead};
use crate::record::{Book, Counts, Notes, note};
use crate::stamp::{Clock, Stamp};
use crate::verify::Watch;
use crate::wire;

/// Bytes that may wait for a node that does not read; then sends are withheld.
const PENDING: usize = 64 * 1024;
/// Entries whose last arrival a room notes at the same time.
const LAST_SLOTS: usize = 1 << 16;
/// A refused send is tried again after so long, unless the node named a longer time, in microseconds.
const RETRY_AFTER: u64 = 50_000;

/// A conversation that a fleet uses.
#[derive(Debug)]
pub(crate) struct Room {
    /// Its id.
    pub(crate) conversation: i64,
    /// The highest seq that was acked to anybody.
    pub(crate) head: AtomicI64,
    /// For each of the last entries, how long its last recipient waited; empty if nobody asks.
    last: Vec<AtomicU64>,
}

impl Room {
    /// A conversation whose log ends at `head` now.
    pub(crate) fn new(conversation: i64, head: i64, notes_last: bool) -> Self {
        let slots = if notes_last { LAST_SLOTS } else { 0 };
        Self { conversation, head: AtomicI64::new(head), last: (0..slots).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The highest seq that was acked.
    pub(crate) fn head(&self) -> i64 {
        self.head.load(Ordering::Relaxed)
    }

    fn arrived(&self, seq: i64, waited: u64) {
        if let Some(slot) = self.slot(seq) {
            slot.fetch_max(waited, Ordering::Relaxed);
        }
    }

    /// How long the last recipient of this entry waited, in microseconds; forgets it.
    pub(crate) fn take_last(&self, seq: i64) -> Option<u64> {
        self.slot(seq).map(|slot| slot.swap(0, Ordering::Relaxed)).filter(|waited| *waited > 0)
    }

    fn slot(&self, seq: i64) -> Option<&AtomicU64> {
        let at = usize::try_from(seq).ok()?.checked_rem(self.last.len())?;
        self.last.get(at)
    }
}

/// What all connections of a fleet share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The clock of all times.
    pub(crate) clock: Clock,
    /// Where everything is noted.
    pub(crate) book: Book,
    /// The content of every message, as protobuf.
    pub(crate) content: Bytes,
    /// True if what arrives is said to be delivered and read.
    pub(crate) receipts: bool,
}

/// A session's place in a conversation.
#[derive(Debug)]
struct Seat {
    room: Arc<Room>,
    watch: Watch,
    /// False for a session without pushes, which need not see everything.
    reads: bool,
    gate: Option<Gate>,
    /// The highest seq that arrived, if the node was not told of it yet.
    unread: Option<i64>,
    /// Own sends of which nobody said that they were read: seq and stamp.
    unread_by_peer: VecDeque<(i64, Stamp)>,
    read_by_peer: i64,
}

/// A refused send that has to be answered before the session may send more to the conversation.
#[derive(Debug, Clone, Copy)]
struct Gate {
    sent: Sent,
    retry_at: u64,
}

/// A send without an answer yet.
#[derive(Debug, Clone, Copy)]
struct Sent {
    id: u32,
    seat: usize,
    stamp: Stamp,
    counter: u64,
}

/// A pull without an answer yet.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// After a `Resync`: whatever the seat lacks.
    Missed { seat: usize },
    /// A page that was due at a time: so many entries from a seq on.
    Page { due: u64, from: i64, entries: usize },
}

type Welcomed = oneshot::Sender<Result<v1::Welcome, ConnectionError>>;

/// What of a connection changes.
#[derive(Debug, Default)]
struct State {
    last_id: u32,
    pending: BytesMut,
    seats: Vec<Seat>,
    by_conversation: HashMap<i64, usize>,
    outstanding: VecDeque<Sent>,
    pulls: HashMap<u32, Asked>,
    hello: Option<Welcomed>,
    closed: Option<String>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    number: usize,
    format: Format,
    pub(crate) stream: TcpStream,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

impl Line {
    /// A connection after its handshake.
    pub(crate) fn new(number: usize, format: Format, stream: TcpStream, shared: Arc<Shared>) -> Self {
        Self { number, format, stream, shared, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the session a place in a conversation; answers its number.
    pub(crate) fn sit(&self, room: Arc<Room>, reads: bool) -> usize {
        let mut state = self.state();
        let seat = state.seats.len();
        state.by_conversation.insert(room.conversation, seat);
        let head = room.head();
        state.seats.push(Seat {
            room,
            watch: Watch::after(head),
            reads,
            gate: None,
            unread: None,
            unread_by_peer: VecDeque::new(),
            read_by_peer: 0,
        });
        seat
    }

    /// Introduces the owner of a token; the answer comes over the channel once somebody reads the socket.
    pub(crate) fn hello(
        &self,
        token: &str,
        no_pushes: bool,
    ) -> oneshot::Receiver<Result<v1::Welcome, ConnectionError>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        state.hello = Some(sender);
        let client = "sparrow-bench".to_owned();
        let hello = v1::Hello { token: token.to_owned(), client, no_pushes, ..Default::default() };
        self.request(&mut state, &hello);
        receiver
    }

    /// Sends what is due, or first what has to be sent again. `counter` makes the id unique.
    pub(crate) fn send(&self, seat: usize, due: u64, counter: u64) {
        let state = &mut *self.state();
        let counts = &self.shared.book.counts;
        let gate = state.seats[seat].gate;
        if gate.is_some_and(|gate| self.shared.clock.now() < gate.retry_at) || state.pending.len() > PENDING {
            Counts::add(&counts.withheld, 1);
            return;
        }
        let mut sent = Sent { id: 0, seat, stamp: Stamp { run: self.shared.book.run(), due }, counter };
        if let Some(gate) = &mut state.seats[seat].gate {
            // What is due now is given up; the refused send is what the node waits for.
            Counts::add(&counts.withheld, 1);
            gate.retry_at = u64::MAX;
            sent = gate.sent;
        }
        let message = raw::Send {
            conversation_id: state.seats[seat].room.conversation,
            client_msg_id: sent.stamp.id(&self.shared.clock, sent.counter).to_string(),
            content: self.shared.content.clone(),
        };
        Counts::add(&counts.sent, 1);
        sent.id = self.request(state, &message);
        state.outstanding.push_back(sent);
    }

    /// Asks for a page that is due now.
    pub(crate) fn pull(&self, conversation_id: i64, from: i64, entries: usize, due: u64) {
        let state = &mut *self.state();
        let limit = u32::try_from(entries).unwrap_or(u32::MAX);
        let pull = v1::Pull { conversation_id, from_seq: from, limit, ..Default::default() };
        Counts::add(&self.shared.book.counts.sent, 1);
        let id = self.request(state, &pull);
        state.pulls.insert(id, Asked::Page { due, from, entries });
    }

    /// Says that what arrived is delivered and read.
    pub(crate) fn tell_read(&self) {
        let state = &mut *self.state();
        let read = state.seats.iter_mut().filter_map(|seat| Some((seat.room.conversation, seat.unread.take()?)));
        let cursors: Vec<v1::Cursor> = read.map(|(conversation_id, seq)| v1::Cursor { conversation_id, seq }).collect();
        if cursors.is_empty() {
            return;
        }
        for cursor in &cursors {
            self.request(state, &v1::Read { conversation_id: cursor.conversation_id, seq: cursor.seq });
        }
        self.write(state, 0, &v1::Ack { cursors });
    }

    /// True if every own send and page is answered, or never will be.
    pub(crate) fn is_answered(&self) -> bool {
        let state = self.state();
        let is_page = |asked: &Asked| matches!(asked, Asked::Page { .. });
        state.closed.is_some() || (state.outstanding.is_empty() && !state.pulls.values().any(is_page))
    }

    /// True if every entry that was acked to anybody has arrived, or never will.
    pub(crate) fn has_seen(&self) -> bool {
        let state = self.state();
        let seen = |seat: &Seat| !seat.reads || seat.watch.next() > seat.room.head();
        state.closed.is_some() || state.seats.iter().all(seen)
    }

    /// True if somebody has read every own message, or never will.
    pub(crate) fn is_read(&self) -> bool {
        let state = self.state();
        state.closed.is_some() || state.seats.iter().all(|seat| seat.unread_by_peer.is_empty())
    }

    /// Notes what is missing at the end.
    pub(crate) fn note_holes(&self) {
        let state = self.state();
        let mut notes = self.shared.book.shard(self.number);
        for seat in state.seats.iter().filter(|seat| seat.reads) {
            for hole in seat.watch.holes(seat.room.head()) {
                notes.check(seat.room.conversation, Err(hole));
            }
        }
        if let Some(reason) = &state.closed {
            notes.violation(|| format!("connection {} was lost: {reason}", self.number));
        }
    }

    /// Takes in what was read; an error says that the connection is of no more use.
    pub(crate) fn read(&self, read: &mut BytesMut) -> Result<(), ConnectionError> {
        let now = self.shared.clock.now();
        let state = &mut *self.state();
        let mut notes = self.shared.book.shard(self.number);
        while let Some(incoming) = wire::take(self.format.carrier, read)? {
            match incoming {
                wire::Incoming::Frame(frame) => self.frame(state, &mut notes, &self.format.decode(frame)?, now)?,
                wire::Incoming::Close(code) => return Err(ConnectionError::Closed(code)),
                wire::Incoming::Other => {}
            }
        }
        drop(notes);
        self.flush(state);
        Ok(())
    }

    /// Counts bytes that were read.
    pub(crate) fn note_read(&self, bytes: usize) {
        Counts::add(&self.shared.book.counts.bytes_in, bytes as u64);
    }

    /// Notes that the connection is gone.
    pub(crate) fn lost(&self, error: ConnectionError) {
        let mut state = self.state();
        state.closed = Some(error.to_string());
        if let Some(hello) = state.hello.take() {
            // Nobody waits any more: the fleet was given up.
            drop(hello.send(Err(error)));
        }
    }

    fn frame(&self, state: &mut State, notes: &mut Notes, frame: &Frame, now: u64) -> Result<(), ConnectionError> {
        match frame.command {
            Some(Command::Push) => self.pushed(state, notes, &decoded(frame)?, now),
            Some(Command::SendAck) => self.acked(state, notes, frame.id, &frame.parse()?, now),
            Some(Command::Receipt) => self.receipt(state, notes, &frame.parse()?, now),
            Some(Command::PullPage) => self.page(state, notes, frame.id, &decoded(frame)?, now),
            Some(Command::Error) => self.refused(state, notes, frame.id, frame.parse()?, now),
            Some(Command::Resync) => self.resync(state),
            Some(Command::Ping) => self.write(state, frame.id, &v1::Pong {}),
            Some(Command::Welcome) => {
                if let Some(hello) = state.hello.take() {
                    drop(hello.send(Ok(frame.parse()?)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn pushed(&self, state: &mut State, notes: &mut Notes, push: &PushHead, now: u64) {
        let run = self.shared.book.run();
        let ours = |id: &str| Stamp::read(id).filter(|stamp| stamp.run == run);
        let seat = state.by_conversation.get(&push.conversation_id).and_then(|seat| state.seats.get_mut(*seat));
        let Some(seat) = seat else {
            // Newcomers to the lobby, say; but never what was sent in this run.
            if push.entries.iter().any(|entry| ours(&entry.client_msg_id).is_some()) {
                notes.violation(|| {
                    format!("a message of conversation {}, of which one is no member", push.conversation_id)
                });
            }
            return;
        };
        for entry in &push.entries {
            notes.check(push.conversation_id, seat.watch.push(entry.seq));
            let Some(stamp) = ours(&entry.client_msg_id) else { continue };
            let waited = now.saturating_sub(stamp.due);
            note(&mut notes.delivered, waited);
            seat.room.arrived(entry.seq, waited);
        }
        Counts::add(&self.shared.book.counts.arrived, push.entries.len() as u64);
        if self.shared.receipts {
            seat.unread = push.entries.last().map(|entry| entry.seq);
        }
    }

    fn acked(&self, state: &mut State, notes: &mut Notes, id: u32, ack: &v1::SendAck, now: u64) {
        let Some(sent) = answered(&mut state.outstanding, id) else {
            return notes.violation(|| format!("an ack of request {id}, which was not sent or was answered before"));
        };
        let seat = &mut state.seats[sent.seat];
        if seat.gate.is_some_and(|gate| gate.sent.stamp == sent.stamp && gate.sent.counter == sent.counter) {
            seat.gate = None;
        }
        notes.check(ack.conversation_id, seat.watch.ack(id, ack.seq));
        seat.room.head.fetch_max(ack.seq, Ordering::Relaxed);
        let counts = &self.shared.book.counts;
        Counts::add(&counts.answered, 1);
        counts.last_ack.fetch_max(now, Ordering::Relaxed);
        if sent.stamp.run == self.shared.book.run() {
            note(&mut notes.acked, now.saturating_sub(sent.stamp.due));
        }
        if self.shared.receipts {
            seat.unread_by_peer.push_back((ack.seq, sent.stamp));
        }
    }

    fn refused(&self, state: &mut State, notes: &mut Notes, id: u32, error: v1::Error, now: u64) {
        if let Some(hello) = state.hello.take() {
            drop(hello.send(Err(ConnectionError::Refused(error))));
            return;
        }
        *notes.refused.entry(error.code.clone()).or_default() += 1;
        let Some(sent) = answered(&mut state.outstanding, id) else {
            if state.pulls.remove(&id).is_some() {
                notes.violation(|| format!("a pull was refused: {}", error.code));
            }
            return;
        };
        Counts::add(&self.shared.book.counts.answered, 1);
        let gate = &mut state.seats[sent.seat].gate;
        let is_gate = gate.is_some_and(|gate| gate.sent.stamp == sent.stamp && gate.sent.counter == sent.counter);
        let retry_at = now + RETRY_AFTER.max(u64::from(error.retry_after_ms) * 1_000);
        match (error.retryable, is_gate) {
            (false, true) => *gate = None,
            (true, _) if is_gate || (gate.is_none() && error.code != Code::RetryInOrder.as_str()) => {
                *gate = Some(Gate { sent, retry_at });
            }
            _ => {}
        }
    }

    fn receipt(&self, state: &mut State, notes: &mut Notes, receipt: &v1::Receipt, now: u64) {
        let Some(seat) = state.by_conversation.get(&receipt.conversation_id).map(|seat| &mut state.seats[*seat]) else {
            return;
        };
        if receipt.read < seat.read_by_peer {
            notes.violation(|| format!("conversation {}: a receipt went back", receipt.conversation_id));
        }
        seat.read_by_peer = receipt.read;
        while let Some((_, stamp)) = seat.unread_by_peer.pop_front_if(|(seq, _)| *seq <= receipt.read) {
            if stamp.run == self.shared.book.run() {
                note(&mut notes.read, now.saturating_sub(stamp.due));
            }
        }
    }

    fn resync(&self, state: &mut State) {
        Counts::add(&self.shared.book.counts.resyncs, 1);
        for seat in 0..state.seats.len() {
            self.pull_missed(state, seat);
        }
    }

    fn pull_missed(&self, state: &mut State, seat: usize) {
        let from_seq = state.seats[seat].watch.next();
        let conversation_id = state.seats[seat].room.conversation;
        let id = self.request(state, &v1::Pull { conversation_id, from_seq, ..Default::default() });
        state.pulls.insert(id, Asked::Missed { seat });
    }

    fn page(&self, state: &mut State, notes: &mut Notes, id: u32, page: &PageHead, now: u64) {
        match state.pulls.remove(&id) {
            Some(Asked::Page { due, from, entries }) => {
                let wanted = (from..).zip(&page.entries).all(|(seq, entry)| seq == entry.seq);
                if !wanted || page.entries.len() != entries {
                    notes.violation(|| format!("a page of {entries} entries from {from} on came with others"));
                }
                note(&mut notes.pulled, now.saturating_sub(due));
                Counts::add(&self.shared.book.counts.answered, 1);
            }
            Some(Asked::Missed { seat }) => {
                let run = self.shared.book.run();
                for entry in &page.entries {
                    let fresh = entry.seq >= state.seats[seat].watch.next();
                    state.seats[seat].watch.pull(entry.seq);
                    let stamp = Stamp::read(&entry.client_msg_id).filter(|stamp| fresh && stamp.run == run);
                    if let Some(stamp) = stamp {
                        let waited = now.saturating_sub(stamp.due);
                        note(&mut notes.delivered, waited);
                        state.seats[seat].room.arrived(entry.seq, waited);
                    }
                }
                if page.covered_to < page.head {
                    self.pull_missed(state, seat);
                }
            }
            None => notes.violation(|| format!("a page for request {id}, which is not waiting for one")),
        }
    }

    fn request(&self, state: &mut State, message: &impl Body) -> u32 {
        state.last_id += 1;
        let id = state.last_id;
        self.write(state, id, message);
        id
    }

    fn write(&self, state: &mut State, id: u32, message: &impl Body) {
        // Everything that is sent here is far smaller than the largest frame.
        if let Ok(frame) = self.format.encode_message(id, message) {
            wire::put(self.format, &frame, &mut state.pending);
            self.flush(state);
        }
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(&self, state: &mut State) {
        while !state.pending.is_empty() {
            match self.stream.try_write(&state.pending) {
                Ok(written) => {
                    state.pending.advance(written);
                    Counts::add(&self.shared.book.counts.bytes_out, written as u64);
                }
                // Full, and written when something is read; or gone, which the reader finds out.
                Err(_) => return,
            }
        }
    }
}

fn decoded<M: prost::Message + Default>(frame: &Frame) -> Result<M, ConnectionError> {
    M::decode(frame.body.clone()).map_err(|_| {
        let kind = sparrow_protocol::FrameErrorKind::Body;
        ConnectionError::Frame(sparrow_protocol::FrameError { id: frame.id, kind })
    })
}

/// Takes a send out of those without an answer. Answers come in order but for refusals.
fn answered(outstanding: &mut VecDeque<Sent>, id: u32) -> Option<Sent> {
    if outstanding.front().is_some_and(|sent| sent.id == id) {
        return outstanding.pop_front();
    }
    let at = outstanding.iter().position(|sent| sent.id == id)?;
    outstanding.remove(at)
}
