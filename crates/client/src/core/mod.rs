//! What a connection's frames mean: `(state, frame or time) -> effects`, without sockets, files or `async`.
//!
//! A [`Core`] lives as long as one connection and begins with what the cache has ([`Snapshot`]). It decides; the engine
//! carries out its [`Effect`]s in order, writing changes down before it answers or tells about them.

mod outbox;
mod pulls;
mod receiving;
mod sending;
mod syncing;
mod timeline;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sparrow_protocol::v1::{self, ConversationState};
use sparrow_protocol::{Code, Command, Frame, limits};
use tokio::time::Instant;

use self::outbox::Outbox;
use self::pulls::Pulls;
use self::syncing::Syncing;
use self::timeline::Timeline;
pub(crate) use self::timeline::before_visible;
use crate::cache::{Change, OutboxPage, Outgoing, Snapshot, Whose};
use crate::events::{DisconnectReason, Event};
use crate::options::{Start, Timings};

/// Before a failed `Sync` or `Pull` is tried again, where the server names no time.
const RETRY: Duration = Duration::from_secs(1);

/// Something the engine has to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Write a frame.
    Send { command: Command, id: u32, body: Bytes },
    /// Write down.
    Persist(Change),
    /// Tell the program.
    Emit(Event),
    /// Read this of the outbox, and hand it to [`Core::loaded`].
    LoadOutbox(OutboxPage),
    /// Everything of a new epoch has been read: compare with the logs of the earlier one.
    Compare,
    /// Hand an answer to the caller that made the request.
    Answer { id: u32, frame: Frame },
    /// End the connection, and wait at least so long before the next.
    Disconnect { reason: DisconnectReason, wait: Duration },
}

/// Who waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pending {
    Send { conversation: i64, local_id: String },
    Sync,
    Pull(i64),
    Caller,
}

#[derive(Debug)]
struct Known {
    state: ConversationState,
    /// `state` is that of the conversation after this entry: what a stream that catches up brings before is in it.
    stated_at: i64,
    timeline: Timeline,
}

/// What the core is told at its birth.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) user_id: i64,
    pub(crate) start: Start,
    pub(crate) receive: bool,
    pub(crate) timings: Timings,
    /// For jitter only.
    pub(crate) seed: u64,
}

/// The decisions of one connection.
#[derive(Debug)]
pub(crate) struct Core {
    config: Config,
    limits: v1::Limits,
    epoch: String,
    cursor: String,
    /// True if this device has finished a `Sync` before, so that what is new to it is new.
    synced: bool,
    /// True if this connection has finished a `Sync`.
    synced_here: bool,
    comparing: bool,
    caught_up: bool,
    known: HashMap<i64, Known>,
    outbox: Outbox,
    /// The place of the last message read from disk, but for what lanes left there, and whether more may be there.
    loaded_to: i64,
    loading: bool,
    more: bool,
    pulls: Pulls,
    syncing: Syncing,
    sync_again: bool,
    sync_at: Option<Instant>,
    unacked: BTreeSet<i64>,
    ack_at: Option<Instant>,
    requests: HashMap<u32, Pending>,
    last_id: u32,
    random: SmallRng,
    effects: Vec<Effect>,
}

impl Core {
    /// Begins a connection that has been welcomed into the epoch of `snapshot`.
    pub(crate) fn new(config: Config, snapshot: Snapshot, limits: v1::Limits, now: Instant) -> Self {
        let random = SmallRng::seed_from_u64(config.seed);
        let known = snapshot.conversations.into_iter().map(|saved| {
            let timeline = Timeline::new(saved.position);
            let stated_at = saved.state.head;
            (saved.state.conversation_id, Known { state: saved.state, stated_at, timeline })
        });
        let mut core = Self {
            limits,
            epoch: snapshot.epoch,
            synced: !snapshot.cursor.is_empty(),
            cursor: snapshot.cursor,
            synced_here: false,
            comparing: snapshot.comparing,
            caught_up: false,
            known: known.collect(),
            outbox: Outbox::default(),
            loaded_to: 0,
            loading: false,
            more: true,
            pulls: Pulls::default(),
            syncing: Syncing::Idle,
            sync_again: false,
            sync_at: None,
            unacked: BTreeSet::new(),
            ack_at: None,
            requests: HashMap::new(),
            last_id: 0,
            random,
            effects: Vec::new(),
            config,
        };
        if core.config.receive {
            core.start_sync(now);
        }
        core.load_outbox();
        core
    }

    /// What has to be done since the last call, in order.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// True if one more request of a caller may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.requests.len() < self.most_requests()
    }

    /// True while an answer is awaited.
    pub(crate) fn awaits_answer(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Sends a caller's request; its answer comes as [`Effect::Answer`] with the id returned here.
    pub(crate) fn ask(&mut self, command: Command, body: Bytes) -> u32 {
        self.request(command, body, Pending::Caller)
    }

    /// Sends something that is not answered.
    pub(crate) fn tell(&mut self, command: Command, body: Bytes) {
        self.effects.push(Effect::Send { command, id: 0, body });
    }

    /// Messages have been added to the outbox on disk.
    pub(crate) fn outbox_grew(&mut self) {
        self.more = true;
        self.load_outbox();
    }

    /// Messages read from disk after [`Effect::LoadOutbox`].
    pub(crate) fn loaded(&mut self, page: &OutboxPage, messages: Vec<Outgoing>) {
        self.loading = false;
        if matches!(page.of, Whose::AllBut(_)) {
            self.more = messages.len() >= page.limit;
            self.loaded_to = messages.last().map_or(self.loaded_to, |message| message.place);
        }
        self.outbox.read(page, messages);
        self.send_waiting();
    }

    /// When [`Core::tick`] has something to do.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        [self.ack_at, self.sync_at, self.pulls.next_wake(), self.outbox.next_wake()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.ack_at.is_some_and(|at| at <= now) {
            self.send_ack(now);
        }
        if self.sync_at.is_some_and(|at| at <= now) {
            self.start_sync(now);
        }
        self.pulls.tick(now);
        self.send_pulls();
        self.outbox.tick(now);
        self.send_waiting();
    }

    /// Takes a frame of the server.
    pub(crate) fn frame(&mut self, frame: &Frame, now: Instant) {
        if let Err(reason) = self.dispatch(frame, now) {
            let reason = DisconnectReason::Protocol(reason.to_string());
            self.effects.push(Effect::Disconnect { reason, wait: Duration::ZERO });
        }
    }

    fn dispatch(&mut self, frame: &Frame, now: Instant) -> Result<(), sparrow_protocol::FrameError> {
        // An unknown push is a newer server's; an unknown answer is matched by its id below.
        match frame.command {
            Some(Command::Ping) => {
                self.effects.push(Effect::Send { command: Command::Pong, id: frame.id, body: Bytes::new() });
            }
            Some(Command::Push) => self.push(frame.parse()?, now),
            Some(Command::Receipt) => self.effects.push(Effect::Emit(Event::Receipt(frame.parse()?))),
            Some(Command::Signal) => self.effects.push(Effect::Emit(Event::Signal(frame.parse()?))),
            Some(Command::Presence) if frame.id == 0 => {
                self.effects.push(Effect::Emit(Event::Presence(frame.parse::<v1::Presence>()?.users)));
            }
            Some(Command::StateChanged) => self.state_changed(frame.parse()?, now),
            Some(Command::Resync) => self.start_sync(now),
            _ => self.answered(frame, now)?,
        }
        Ok(())
    }

    fn answered(&mut self, frame: &Frame, now: Instant) -> Result<(), sparrow_protocol::FrameError> {
        let Some(pending) = self.requests.remove(&frame.id) else { return Ok(()) };
        if frame.command == Some(Command::Error) && pending != Pending::Caller {
            self.refused(pending, frame.parse()?, now);
        } else {
            match pending {
                Pending::Send { conversation, local_id } => self.sent(conversation, &local_id, &frame.parse()?, now),
                Pending::Sync => self.sync_page(frame.parse()?, now),
                Pending::Pull(conversation) => self.pull_page(conversation, frame.parse()?, now),
                Pending::Caller => self.effects.push(Effect::Answer { id: frame.id, frame: frame.clone() }),
            }
        }
        self.send_pulls();
        self.send_waiting();
        Ok(())
    }

    fn refused(&mut self, pending: Pending, error: v1::Error, now: Instant) {
        if error.code == Code::Unauthenticated.as_str() {
            let reason = DisconnectReason::Refused(error.code);
            self.effects.push(Effect::Disconnect { reason, wait: Duration::ZERO });
            return;
        }
        let wait = Duration::from_millis(error.retry_after_ms.into());
        match pending {
            Pending::Send { conversation, .. } if error.retryable => {
                let random = self.random.random();
                self.outbox.refused(conversation, wait, now, random);
            }
            Pending::Send { conversation, local_id } => self.failed(conversation, local_id, error, now),
            Pending::Pull(conversation) => {
                if error.retryable {
                    self.pulls.retry(conversation, now + wait.max(RETRY));
                } else if let Some(known) = self.known.get_mut(&conversation) {
                    // Not the reader's any more; the next `Sync` says so, or starts anew.
                    known.timeline.give_up();
                    self.pulls.done(conversation);
                    self.check_caught_up();
                }
            }
            Pending::Sync => {
                self.syncing = Syncing::Idle;
                if !error.retryable {
                    // A cursor that the server does not take: begin with everything.
                    self.cursor.clear();
                }
                self.sync_at = Some(now + wait.max(RETRY));
            }
            // Errors for callers are theirs to read.
            Pending::Caller => {}
        }
    }

    fn most_requests(&self) -> usize {
        match usize::try_from(self.limits.unanswered_requests) {
            Ok(limit) if limit > 0 => limit,
            _ => limits::UNANSWERED_REQUESTS,
        }
    }

    fn request(&mut self, command: Command, body: Bytes, pending: Pending) -> u32 {
        // 0 marks what is not answered.
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let id = self.last_id;
        self.requests.insert(id, pending);
        self.effects.push(Effect::Send { command, id, body });
        id
    }
}
