//! What a connection's frames mean: `(state, frame or time) -> effects`, without sockets, files or `async`.
//!
//! A [`Core`] lives as long as one connection and begins with what the cache has ([`Snapshot`]). It decides; the engine
//! carries out its [`Effect`]s in order, writing changes down before it answers or tells about them.

mod outbox;
mod pulls;
mod timeline;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sparrow_protocol::v1::{self, ConversationState, Entry};
use sparrow_protocol::{Body, Code, Command, EntryKind, Frame, limits};
use tokio::time::Instant;

use self::outbox::Outbox;
use self::pulls::Pulls;
use self::timeline::{Timeline, before_visible, visible_head};
use crate::cache::{Change, Outgoing, Snapshot};
use crate::events::{DisconnectReason, Event, FailedMessage, SentMessage};
use crate::options::{Start, Timings};

/// Messages of the outbox that are held in memory.
const OUTBOX_WINDOW: usize = 256;
/// Of the requests that may be unanswered, those that sends leave to others.
const SPARE_REQUESTS: usize = 8;
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
    /// Read the outbox after this place, at most so many, and hand it to [`Core::loaded`].
    LoadOutbox { after: i64, limit: u32 },
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
    timeline: Timeline,
}

/// Where reading what changed stands.
#[derive(Debug, Default)]
enum Syncing {
    #[default]
    Idle,
    Running {
        /// The cursor of the page that was asked for.
        cursor: String,
        /// Conversations named so far.
        named: HashSet<i64>,
    },
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
    /// The place of the last message read from disk, and whether more may be there.
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
            (saved.state.conversation_id, Known { state: saved.state, timeline })
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
    pub(crate) fn loaded(&mut self, messages: Vec<Outgoing>, limit: u32) {
        self.loading = false;
        if messages.len() < limit as usize {
            self.more = false;
        }
        for message in messages {
            self.loaded_to = message.place;
            self.outbox.push(message);
        }
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
}

/// Sending.
impl Core {
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

    fn load_outbox(&mut self) {
        let room = OUTBOX_WINDOW.saturating_sub(self.outbox.len());
        if self.more && !self.loading && room >= OUTBOX_WINDOW / 2 {
            self.loading = true;
            let limit = u32::try_from(room).unwrap_or(u32::MAX);
            self.effects.push(Effect::LoadOutbox { after: self.loaded_to, limit });
        }
    }

    fn send_waiting(&mut self) {
        let most = self.most_requests();
        let most = most.saturating_sub(SPARE_REQUESTS).max(1);
        while self.requests.len() < most
            && let Some(message) = self.outbox.next()
        {
            let send = v1::Send {
                conversation_id: message.conversation,
                client_msg_id: message.local_id.clone(),
                content: Some(message.content),
            };
            let pending = Pending::Send { conversation: message.conversation, local_id: message.local_id };
            self.request(v1::Send::COMMAND, send.encode_to_vec().into(), pending);
        }
        self.load_outbox();
    }

    fn sent(&mut self, conversation: i64, local_id: &str, ack: &v1::SendAck, now: Instant) {
        let Some(message) = self.outbox.settled(conversation, local_id, now) else { return };
        self.effects.push(Effect::Persist(Change::Sent { local_id: local_id.to_owned() }));
        let entry = Entry {
            conversation_id: conversation,
            seq: ack.seq,
            kind: EntryKind::Message.as_str().to_owned(),
            sender_id: self.config.user_id,
            time: ack.time,
            client_msg_id: local_id.to_owned(),
            content: Some(message.content),
            ..Entry::default()
        };
        // The server pushes it to the user's other devices only.
        self.offer(conversation, vec![entry], now);
        self.effects.push(Effect::Emit(Event::Sent(SentMessage {
            local_id: local_id.to_owned(),
            conversation_id: conversation,
            seq: ack.seq,
            time: ack.time,
        })));
    }

    fn failed(&mut self, conversation: i64, local_id: String, error: v1::Error, now: Instant) {
        self.outbox.settled(conversation, &local_id, now);
        let (code, message) = (error.code, error.message);
        let change = Change::Failed { local_id: local_id.clone(), code: code.clone(), message: message.clone() };
        self.effects.push(Effect::Persist(change));
        let failed = FailedMessage { local_id, conversation_id: conversation, code, message };
        self.effects.push(Effect::Emit(Event::Failed(failed)));
    }
}

/// Receiving.
impl Core {
    fn push(&mut self, push: v1::Push, now: Instant) {
        self.offer(push.conversation_id, push.entries, now);
        self.send_pulls();
    }

    fn offer(&mut self, conversation: i64, entries: Vec<Entry>, now: Instant) {
        if !self.config.receive {
            return;
        }
        let Some(known) = self.known.get_mut(&conversation) else {
            // Its state says where the stream begins. The entries come with the pull that follows.
            self.start_sync(now);
            return;
        };
        let last = entries.iter().map(|entry| entry.seq).max().unwrap_or(0);
        let next = known.timeline.offer(entries);
        known.state.head = known.state.head.max(last);
        self.advance(conversation, next, now);
        self.want_pull(conversation);
    }

    /// Writes the next entries of a stream down and lets their meaning take effect.
    fn advance(&mut self, conversation: i64, entries: Vec<Entry>, now: Instant) {
        let Some(known) = self.known.get_mut(&conversation) else { return };
        let position = known.timeline.position();
        let before = known.state.clone();
        let mut changed_membership = false;
        for entry in &entries {
            changed_membership |= note(&mut known.state, entry, self.config.user_id);
        }
        if changed_membership {
            self.start_sync(now);
        }
        let Some(known) = self.known.get(&conversation) else { return };
        let changed = known.state.name != before.name || known.state.member_count != before.member_count;
        if !entries.is_empty() {
            self.effects.push(Effect::Persist(Change::State(known.state.clone())));
        }
        if changed {
            self.effects.push(Effect::Emit(Event::ConversationChanged(known.state.clone())));
        }
        self.effects.push(Effect::Persist(Change::Advanced { conversation, entries, position }));
        self.acknowledge(conversation, now);
    }

    fn acknowledge(&mut self, conversation: i64, now: Instant) {
        self.unacked.insert(conversation);
        if self.ack_at.is_none() {
            self.ack_at = Some(now + self.config.timings.ack_every);
        }
    }

    fn send_ack(&mut self, now: Instant) {
        let mut cursors = Vec::new();
        while cursors.len() < limits::ACK_CURSORS
            && let Some(conversation) = self.unacked.pop_first()
        {
            if let Some(known) = self.known.get(&conversation) {
                cursors.push(v1::Cursor { conversation_id: conversation, seq: known.timeline.position() });
            }
        }
        self.ack_at = (!self.unacked.is_empty()).then(|| now + self.config.timings.ack_every);
        if !cursors.is_empty() {
            self.tell(v1::Ack::COMMAND, v1::Ack { cursors }.encode_to_vec().into());
        }
    }

    fn state_changed(&mut self, changed: v1::StateChanged, now: Instant) {
        for state in &changed.states {
            match state.kind.as_str() {
                // Only `Sync` tells a conversation whole.
                "membership" => self.start_sync(now),
                "cursor" => self.cursor_moved(state),
                _ => {}
            }
        }
        self.own_state(changed.states);
    }

    /// Another device of the user has got further.
    fn cursor_moved(&mut self, state: &v1::OwnState) {
        let Ok(conversation) = state.key.parse() else { return };
        let Some(known) = self.known.get_mut(&conversation) else { return };
        let Ok(moved) = serde_json::from_str::<v1::Receipt>(&state.value) else { return };
        known.state.delivered = known.state.delivered.max(moved.delivered);
        if moved.read > known.state.read {
            known.state.read = moved.read;
            self.effects.push(Effect::Persist(Change::State(known.state.clone())));
            self.effects.push(Effect::Emit(Event::ConversationChanged(known.state.clone())));
        }
    }

    fn own_state(&mut self, states: Vec<v1::OwnState>) {
        if !states.is_empty() {
            self.effects.push(Effect::Persist(Change::OwnState(states.clone())));
            self.effects.push(Effect::Emit(Event::StateChanged(states)));
        }
    }

    fn want_pull(&mut self, conversation: i64) {
        if self.known.get(&conversation).is_some_and(|known| known.timeline.gap().is_some()) {
            self.pulls.want(conversation);
        }
    }

    fn send_pulls(&mut self) {
        while let Some(conversation) = self.pulls.next() {
            let Some((from_seq, to_seq)) = self.known.get(&conversation).and_then(|known| known.timeline.gap()) else {
                self.pulls.done(conversation);
                continue;
            };
            let pull = v1::Pull { conversation_id: conversation, from_seq, to_seq, limit: 0, backward: false };
            self.request(v1::Pull::COMMAND, pull.encode_to_vec().into(), Pending::Pull(conversation));
        }
        self.check_caught_up();
    }

    fn pull_page(&mut self, conversation: i64, page: v1::PullPage, now: Instant) {
        self.pulls.done(conversation);
        let Some(known) = self.known.get_mut(&conversation) else { return };
        known.state.floor = known.state.floor.max(page.floor);
        let before = known.timeline.position();
        let next = known.timeline.page(page);
        if known.timeline.position() > before {
            self.advance(conversation, next, now);
        }
        self.want_pull(conversation);
    }

    fn check_caught_up(&mut self) {
        let busy = matches!(self.syncing, Syncing::Running { .. }) || !self.pulls.is_idle();
        if busy || !self.synced_here || self.caught_up {
            return;
        }
        self.caught_up = true;
        if std::mem::take(&mut self.comparing) {
            self.effects.push(Effect::Compare);
        }
        self.effects.push(Effect::Emit(Event::CaughtUp));
    }
}

/// Reading what changed.
impl Core {
    fn start_sync(&mut self, now: Instant) {
        if !self.config.receive {
            return;
        }
        self.sync_at = Some(now + self.config.timings.resync_every);
        if matches!(self.syncing, Syncing::Running { .. }) {
            self.sync_again = true;
            return;
        }
        self.ask_sync(self.cursor.clone(), HashSet::new());
    }

    fn ask_sync(&mut self, cursor: String, named: HashSet<i64>) {
        let sync = v1::Sync { cursor: cursor.clone(), limit: 0 };
        self.syncing = Syncing::Running { cursor, named };
        self.request(v1::Sync::COMMAND, sync.encode_to_vec().into(), Pending::Sync);
    }

    fn sync_page(&mut self, page: v1::SyncPage, now: Instant) {
        let Syncing::Running { cursor: asked, mut named } = std::mem::take(&mut self.syncing) else { return };
        if page.epoch != self.epoch || (page.more && page.cursor == asked) {
            // Another database took over, or the pages lead nowhere; a new connection sorts it out.
            let reason = DisconnectReason::Protocol("the sync does not belong to this connection".to_owned());
            self.effects.push(Effect::Disconnect { reason, wait: Duration::ZERO });
            return;
        }
        for state in page.conversations {
            named.insert(state.conversation_id);
            self.conversation(&state, now);
        }
        self.own_state(page.states);
        if page.more {
            self.ask_sync(page.cursor, named);
            return;
        }
        if page.full {
            self.forget_all_but(&named);
        }
        self.synced = true;
        self.synced_here = true;
        self.cursor.clone_from(&page.cursor);
        self.effects.push(Effect::Persist(Change::Cursor(page.cursor)));
        if std::mem::take(&mut self.sync_again) {
            self.start_sync(now);
        }
    }

    fn conversation(&mut self, state: &ConversationState, now: Instant) {
        let id = state.conversation_id;
        match self.known.get_mut(&id) {
            Some(known) => {
                if known.state != *state {
                    known.state = state.clone();
                    self.effects.push(Effect::Persist(Change::State(state.clone())));
                    self.effects.push(Effect::Emit(Event::ConversationChanged(state.clone())));
                }
            }
            None => {
                let position = self.beginning(state);
                self.known.insert(id, Known { state: state.clone(), timeline: Timeline::new(position) });
                self.effects.push(Effect::Persist(Change::Opened { state: state.clone(), position }));
                self.effects.push(Effect::Emit(Event::ConversationChanged(state.clone())));
            }
        }
        if let Some(known) = self.known.get_mut(&id) {
            known.timeline.reach(visible_head(state));
            if known.timeline.position() > state.delivered {
                self.acknowledge(id, now);
            }
        }
        self.want_pull(id);
    }

    /// The position at which the stream of a conversation begins that this device did not know.
    fn beginning(&self, state: &ConversationState) -> i64 {
        let first = before_visible(state);
        let start = if self.synced { Start::Beginning } else { self.config.start };
        match start {
            Start::Beginning => first,
            Start::Unread => first.max(state.read.min(visible_head(state))),
            Start::Head => first.max(visible_head(state)),
        }
    }

    fn forget_all_but(&mut self, named: &HashSet<i64>) {
        let gone: Vec<i64> = self.known.keys().copied().filter(|id| !named.contains(id)).collect();
        for id in gone {
            self.known.remove(&id);
            self.effects.push(Effect::Persist(Change::Forgotten(id)));
        }
    }
}

/// Lets an entry change what is known of its conversation; true if only `Sync` can tell the rest.
fn note(state: &mut ConversationState, entry: &Entry, me: i64) -> bool {
    if entry.kind == EntryKind::Message.as_str() {
        state.last_message_seq = state.last_message_seq.max(entry.seq);
    }
    if let Some(name) = entry.settings.as_ref().and_then(|settings| settings.name.as_ref()) {
        state.name.clone_from(name);
    }
    let Some(membership) = &entry.membership else { return false };
    let count = u32::try_from(membership.members.len()).unwrap_or(u32::MAX);
    match membership.change.as_str() {
        "added" | "joined" => state.member_count = state.member_count.saturating_add(count),
        "left" | "removed" => state.member_count = state.member_count.saturating_sub(count),
        _ => {}
    }
    membership.members.iter().any(|member| member.user_id == me)
}
