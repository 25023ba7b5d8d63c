//! What a client does: connects to some node, subscribes and then reads, sends in order, vanishes, stops reading, and
//! merges what it is pushed with what it pulls. As simple as docs/protocol.md allows a client to be.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use rand::RngExt as _;
use rand::rngs::StdRng;
use sparrow_protocol::{ClientMsgId, Code, Command, ConversationId, DeviceId, Frame, Seq, UserId, v1};
use sparrow_store::log::{Action, Append, Mentions, Range};
use tokio::time::{Instant, sleep, sleep_until};

use super::node::{FORMAT, Life, Node};
use super::outbox::Outbox;
use super::world::{Phase, World};
use crate::messaging::{Outgoing, Registered, Session};

/// How often a client reads anew by itself, where pushes may be lost between nodes.
const RESYNC: Duration = Duration::from_secs(15 * 60);
/// How long it waits before it asks again for what was refused.
const PATIENCE: Duration = Duration::from_millis(60);
/// How long one without anything to do waits until it looks around.
const IDLE: Duration = Duration::from_secs(20);

pub(super) struct Device {
    pub(super) user: UserId,
    pub(super) number: DeviceId,
    pub(super) held: BTreeMap<ConversationId, Held>,
    pub(super) outboxes: BTreeMap<ConversationId, Outbox>,
    world: Arc<World>,
    chance: StdRng,
    cursor: String,
    generation: i64,
    sent: u32,
    /// A connection that the node believes in and nobody else does.
    forgotten: Option<Registered>,
}

/// What a device holds of one conversation.
#[derive(Default)]
pub(super) struct Held {
    pub(super) entries: BTreeMap<i64, ClientMsgId>,
    /// Everything up to here is held, or not for this user.
    covered: i64,
}

/// One connection.
struct Live {
    life: Life,
    session: Arc<Session>,
    requests: HashMap<u32, (ConversationId, ClientMsgId)>,
    next_request: u32,
    /// Per conversation, which seq the sends of this connection got that made an entry.
    order: HashMap<ConversationId, BTreeMap<u32, i64>>,
    pushed: HashMap<ConversationId, i64>,
    /// Nothing is read until then.
    deaf_until: Instant,
}

impl Device {
    pub(super) fn new(world: &Arc<World>, user: UserId, number: DeviceId, chance: StdRng) -> Self {
        Self {
            user,
            number,
            held: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            world: world.clone(),
            chance,
            cursor: String::new(),
            generation: 0,
            sent: 0,
            forgotten: None,
        }
    }

    /// Lives until the run is over.
    pub(super) async fn run(mut self) -> Self {
        let world = self.world.clone();
        while world.phase() != Phase::Over {
            let node = &world.nodes[self.draw(world.nodes.len() as u64) as usize];
            let life = node.life();
            let killed = life.killed.clone();
            if killed.run_until_cancelled(self.live(node, life)).await.is_none() {
                self.forgotten = None;
            }
            self.outboxes.values_mut().for_each(Outbox::lost);
            sleep(Duration::from_millis(self.draw(200))).await;
        }
        self
    }

    pub(super) fn is_done(&self) -> bool {
        self.outboxes.values().all(Outbox::is_empty)
    }

    async fn live(&mut self, node: &Node, life: Life) {
        self.generation += 1;
        let registered = life.register(node.new_session(self.user, self.number, self.generation));
        let now = Instant::now();
        let mut live = Live {
            life,
            session: registered.session().clone(),
            requests: HashMap::new(),
            next_request: 1,
            order: HashMap::new(),
            pushed: HashMap::new(),
            deaf_until: now,
        };
        // Subscribed first; now what was missed.
        self.catch_up(&live).await;
        #[cfg(feature = "sabotage")]
        live.session.note_synced();
        let (mut act_at, mut sync_at) = (now, now + RESYNC);
        let mut phase = self.world.phases();
        loop {
            self.send_what_may_go(&mut live);
            let now = Instant::now();
            let wake = live.session.outbound.due().unwrap_or(act_at).min(act_at).max(now);
            tokio::select! {
                biased;
                outgoing = poll_fn(|cx| live.session.outbound.poll_next(cx, Instant::now())), if now >= live.deaf_until => {
                    if !self.hear(&mut live, outgoing).await {
                        return;
                    }
                }
                () = sleep_until(wake) => {}
                _ = phase.changed() => {}
            }
            match self.world.phase() {
                Phase::Over => return,
                Phase::Calm => {
                    live.deaf_until = live.deaf_until.min(Instant::now());
                    if self.world.nodes.len() > 1 && Instant::now() >= sync_at {
                        sync_at = Instant::now() + RESYNC;
                        self.catch_up(&live).await;
                    }
                    act_at = Instant::now() + if self.is_done() { IDLE } else { PATIENCE };
                }
                Phase::Busy if Instant::now() >= act_at => {
                    act_at = Instant::now() + Duration::from_millis(self.draw(400));
                    if !self.act(&mut live).await {
                        // Half of those who leave say nothing.
                        self.forgotten = (self.draw(2) == 0).then_some(registered);
                        return;
                    }
                }
                Phase::Busy => {}
            }
        }
    }

    /// Something at random. False to leave.
    async fn act(&mut self, live: &mut Live) -> bool {
        let world = self.world.clone();
        let conversation = world.conversations[self.draw(world.conversations.len() as u64) as usize];
        match self.draw(100) {
            0..60 => {
                for _ in 0..=self.draw(3) {
                    self.write(conversation);
                }
            }
            60..68 => return false,
            68..72 => live.deaf_until = Instant::now() + Duration::from_millis(self.draw(6_000)),
            72..80 => self.read(live, conversation).await,
            80..84 => {
                let covered = self.held.get(&conversation).map_or(0, |held| held.covered);
                let cursor = v1::Cursor { conversation_id: conversation.get(), seq: covered };
                live.life.messaging.ack(self.user, &v1::Ack { cursors: vec![cursor] });
            }
            84..87 => self.look(live, conversation).await,
            87..96 => self.change_members(live, conversation).await,
            96..98 => {
                // A new installation: it knows nothing.
                self.held.clear();
                self.cursor.clear();
                return false;
            }
            _ => {}
        }
        true
    }

    fn write(&mut self, conversation: ConversationId) {
        self.sent += 1;
        let text = format!("{}.{}", self.number, self.sent);
        let body = v1::Content { text, ..Default::default() }.encode_to_vec().into();
        let action = Action::Message { body, mentions: Mentions::default() };
        let append = self.command(conversation, action);
        self.world.watch.sends(conversation, append.client_msg_id);
        self.outboxes.entry(conversation).or_default().push(append);
    }

    fn command(&mut self, conversation: ConversationId, action: Action) -> Append {
        let id = ClientMsgId::new(self.chance.random()).unwrap();
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(id.as_bytes());
        let request_hash = sparrow_protocol::RequestHash(hash);
        Append { conversation, sender: self.user, client_msg_id: id, request_hash, action }
    }

    fn send_what_may_go(&mut self, live: &mut Live) {
        let now = Instant::now();
        for (conversation, outbox) in &mut self.outboxes {
            for append in outbox.take(now) {
                let request = live.next_request;
                live.next_request += 1;
                live.requests.insert(request, (*conversation, append.client_msg_id));
                live.session.outbound.accept_request();
                live.life.messaging.send(&live.session, request, append);
            }
        }
    }

    async fn read(&mut self, live: &Live, conversation: ConversationId) {
        let covered = self.held.get(&conversation).map_or(0, |held| held.covered);
        let wanted = Seq::new(covered - self.draw(3) as i64).unwrap_or_default();
        let known = self.world.watch.read_known(self.user, conversation);
        if let Ok(now) = live.life.messaging.read(self.user, conversation, wanted).await {
            self.world.watch.read(self.user, conversation, known, now.get());
        }
    }

    /// Whoever looks after something was acked sees it.
    async fn look(&mut self, live: &Live, conversation: ConversationId) {
        let was_member = self.is_member(conversation);
        let known = self.world.watch.head(conversation);
        let page = live.life.messaging.pull(self.user, conversation, range(known.max(1), 5)).await;
        if let Ok(page) = page
            && was_member
            && self.is_member(conversation)
            && page.head < known
        {
            self.world.watch.broken("I13", format!("{conversation} ended at {}, but {known} was acked", page.head));
        }
    }

    fn is_member(&self, conversation: ConversationId) -> bool {
        let intervals = self.world.database.model.lock().unwrap().intervals(conversation, self.user);
        intervals.last().is_some_and(|interval| interval.leave.is_none())
    }

    /// Owners let people in and out; others try to.
    async fn change_members(&mut self, live: &Live, conversation: ConversationId) {
        let conversation = self.world.owned_by(self.user).unwrap_or(conversation);
        let users = self.world.users.clone();
        let user = users[self.draw(users.len() as u64) as usize];
        let action =
            if self.draw(2) == 0 { Action::AddMembers { users: vec![user] } } else { Action::RemoveMember { user } };
        let command = self.command(conversation, action);
        self.world.watch.sends(conversation, command.client_msg_id);
        let id = command.client_msg_id;
        if let Ok(submitted) = live.life.messaging.submit(command).await {
            self.world.watch.acked(id, submitted.stored.entry.seq.get());
        }
    }

    /// Takes what the node says. False when the connection is over.
    async fn hear(&mut self, live: &mut Live, outgoing: Outgoing) -> bool {
        match outgoing {
            Outgoing::End(_) => return false,
            Outgoing::Resync => self.catch_up(live).await,
            Outgoing::Frame(bytes) => {
                let frame = FORMAT.decode(bytes).unwrap();
                match frame.command {
                    Some(Command::SendAck) => self.hear_ack(live, &frame),
                    Some(Command::Error) => self.hear_refusal(live, &frame),
                    Some(Command::Push) => self.hear_push(live, frame.parse().unwrap()).await,
                    _ => {}
                }
            }
        }
        true
    }

    fn hear_ack(&mut self, live: &mut Live, frame: &Frame) {
        let ack: v1::SendAck = frame.parse().unwrap();
        let Some((conversation, id)) = live.requests.remove(&frame.id) else { return };
        self.world.watch.acked(id, ack.seq);
        self.outboxes.entry(conversation).or_default().settled(id, Instant::now());
        self.hold(conversation, ack.seq, id);
        if !ack.duplicate {
            let order = live.order.entry(conversation).or_default();
            let before = order.range(..frame.id).next_back().is_some_and(|(_, seq)| *seq > ack.seq);
            let after = order.range(frame.id..).next().is_some_and(|(_, seq)| *seq < ack.seq);
            if before || after {
                self.world.watch.broken("I5", format!("device {} sent {id} in another order", self.number));
            }
            order.insert(frame.id, ack.seq);
        }
    }

    fn hear_refusal(&mut self, live: &mut Live, frame: &Frame) {
        let error: v1::Error = frame.parse().unwrap();
        let Some((conversation, id)) = live.requests.remove(&frame.id) else { return };
        let outbox = self.outboxes.entry(conversation).or_default();
        if error.retryable {
            outbox.refused(id, Instant::now());
        } else {
            outbox.settled(id, Instant::now());
        }
    }

    async fn hear_push(&mut self, live: &mut Live, push: v1::Push) {
        self.world.watch.pushed();
        for entry in push.entries {
            let conversation = ConversationId::new(entry.conversation_id).unwrap();
            let last = live.pushed.entry(conversation).or_default();
            if entry.seq <= *last {
                self.world.watch.broken("I6", format!("{} was pushed after {last} of {conversation}", entry.seq));
            }
            *last = entry.seq;
            self.hold(conversation, entry.seq, entry.client_msg_id.parse().unwrap());
            if self.held[&conversation].covered < entry.seq {
                self.fill(live, conversation).await;
            }
        }
    }

    fn hold(&mut self, conversation: ConversationId, seq: i64, id: ClientMsgId) {
        let held = self.held.entry(conversation).or_default();
        if held.entries.insert(seq, id).is_some_and(|before| before != id) {
            self.world.watch.broken("I4", format!("{conversation}.{seq} was another entry before"));
        }
        while held.entries.contains_key(&(held.covered + 1)) {
            held.covered += 1;
        }
    }

    /// Reads what changed, and everything that is missing.
    async fn catch_up(&mut self, live: &Live) {
        loop {
            let sync = v1::Sync { cursor: self.cursor.clone(), ..Default::default() };
            let Ok(page) = live.life.messaging.sync(self.user, sync).await else {
                sleep(PATIENCE).await;
                continue;
            };
            for state in &page.conversations {
                let conversation = ConversationId::new(state.conversation_id).unwrap();
                if self.held.entry(conversation).or_default().covered < state.head {
                    self.fill(live, conversation).await;
                }
            }
            self.cursor = page.cursor;
            if !page.more {
                return;
            }
        }
    }

    async fn fill(&mut self, live: &Live, conversation: ConversationId) {
        loop {
            let from = self.held.entry(conversation).or_default().covered + 1;
            let limit = 1 + self.draw(8) as usize;
            let page = match live.life.messaging.pull(self.user, conversation, range(from, limit)).await {
                Ok(page) => page,
                Err(failure) if failure.code == Code::NotFound => return,
                Err(_) => {
                    sleep(PATIENCE).await;
                    continue;
                }
            };
            for entry in &page.entries {
                self.hold(conversation, entry.seq, entry.client_msg_id.parse().unwrap());
            }
            let held = self.held.entry(conversation).or_default();
            if page.covered_from <= held.covered + 1 {
                held.covered = held.covered.max(page.covered_to);
            }
            if page.covered_to < page.covered_from || page.covered_to >= page.head {
                return;
            }
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.chance.random_range(0..below)
    }
}

fn range(from: i64, limit: usize) -> Range {
    Range { from: Seq::new(from).unwrap(), to: None, limit, max_bytes: 1 << 20, backward: false }
}
