//! Messaging: the life of an entry from a command to its readers. Knows no sockets.
//!
//! The send path reads top to bottom: [`send`] (parse, gate, enqueue), [`lane`] (one transaction per batch, answers),
//! [`fanout`] (members, stage, pushes), [`outbound`] (what waits for one session).

#[cfg(feature = "bench")]
pub mod bench;
mod cursors;
mod depths;
mod fanout;
mod gate;
mod lane;
mod members;
mod outbound;
mod presence;
mod pull;
mod push;
mod receipts;
pub(crate) mod send;
mod sessions;
mod signals;
mod stage;
pub(crate) mod sync;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod wire;

use std::sync::Arc;

use sparrow_protocol::{Code, Codec, ConversationId, DeviceId, Seq, Timestamp, UserId, raw, v1};
use sparrow_store::directory::{User, Visibility};
use sparrow_store::log::{Append, Range, Stored};
use sparrow_store::{Directory, Log, StoreError};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config::Limits;
use crate::core_tasks::CoreTasks;
use crate::failure::Failure;
use crate::limits::RateLimits;
use crate::metrics::Metrics;
use fanout::FanoutSignals;
use lane::{Job, Lane, Origin, ReadJob, ReadOrigin};
use sessions::Sessions;

pub(crate) use outbound::{Bounds, Outgoing};
pub(crate) use sessions::{NewSession, Registered, Session, encode};
pub(crate) use signals::SignalJob;

/// The messaging feature; a cheap handle.
#[derive(Clone)]
pub(crate) struct Messaging {
    log: Arc<dyn Log>,
    directory: Arc<dyn Directory>,
    sessions: Arc<Sessions>,
    lane: Lane,
    signals: FanoutSignals,
    rates: Arc<RateLimits>,
    metrics: Arc<Metrics>,
}

/// What became of a command, for the caller that gave it.
#[derive(Debug)]
pub(crate) struct Submitted {
    /// The entry.
    pub(crate) stored: Stored,
    /// True if the id had made this entry before.
    pub(crate) duplicate: bool,
}

/// Why sessions are ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The device was revoked, or logged out.
    Revoked,
    /// The same device opened a newer session.
    Replaced,
    /// Sends to too many conversations wait for their retry; a new connection begins without.
    Overloaded,
}

impl Messaging {
    /// Starts the lane and the fan-out as tasks of `core`. When it stops, they do everything that was accepted and end.
    pub(crate) fn start(
        log: Arc<dyn Log>,
        directory: Arc<dyn Directory>,
        limits: &Limits,
        rates: Arc<RateLimits>,
        clock: Clock,
        metrics: Arc<Metrics>,
        core: &CoreTasks,
    ) -> Self {
        let sessions = Arc::new(Sessions::default());
        let (entries, signals) = fanout::start(&log, &sessions, &metrics, core);
        let (lane, queue) = Lane::new(limits.lane_queue, rates.clone(), metrics.clone());
        let worker = lane::Worker::new(&lane, queue, log.clone(), entries, clock.clone(), limits.clone());
        core.spawn("append lane", worker.run(core.stopping().clone()));
        core.spawn("presence", presence::run(sessions.clone(), clock, metrics.clone(), core.stopping().clone()));
        Self { log, directory, sessions, lane, signals, rates, metrics }
    }

    /// Puts a command through the append lane and waits until it is durable; fan-out follows by itself. For callers
    /// without a session (HTTP): their commands have no order among each other. A caller that goes away cancels nothing.
    pub(crate) async fn submit(&self, append: Append) -> Result<Submitted, Failure> {
        let (caller, answer) = oneshot::channel();
        let job = Job { append, origin: Origin::Caller(caller) };
        if let Err((_, failure)) = self.lane.try_append(job) {
            return Err(failure);
        }
        answer.await.unwrap_or_else(|_| Err(lane_gone()))
    }

    /// Puts a session's accepted send into the lane, in the order of the calls.
    pub(crate) fn send(&self, session: &Arc<Session>, request: u32, append: Append) {
        send::enqueue(&self.lane, &self.rates, session, request, append);
    }

    /// Moves a user's read cursor; answers it as it then is, once that is durable. Other sessions of the user and the
    /// authors concerned are told.
    pub(crate) async fn read(&self, user: UserId, conversation: ConversationId, seq: Seq) -> Result<Seq, Failure> {
        let (caller, answer) = oneshot::channel();
        let advance = lane::read_advance(user, conversation, seq);
        self.lane.read(ReadJob { advance, origin: ReadOrigin::Caller(caller) });
        answer.await.unwrap_or_else(|_| Err(lane_gone()))
    }

    /// The same for a session, which gets its answer by itself.
    pub(crate) fn session_read(&self, session: &Arc<Session>, request: u32, conversation: ConversationId, seq: Seq) {
        let advance = lane::read_advance(session.user, conversation, seq);
        self.lane.read(ReadJob { advance, origin: ReadOrigin::Session { session: session.clone(), request } });
    }

    /// Notes how far a user's device is. Cursors that make no sense are ignored and counted.
    pub(crate) fn ack(&self, user: UserId, ack: &v1::Ack) {
        self.metrics.acks.inc_by(ack.cursors.len() as u64);
        for cursor in &ack.cursors {
            match (ConversationId::new(cursor.conversation_id), Seq::new(cursor.seq)) {
                (Some(conversation), Some(seq)) => self.lane.delivered(user, conversation, seq),
                _ => {
                    self.metrics.acks_ignored.inc();
                }
            }
        }
    }

    /// Passes a signal to the members who are online.
    pub(crate) fn signal(&self, job: SignalJob) {
        if let Err(failure) = self.rates.signal(job.session.user) {
            return job.answer(Err(failure));
        }
        if let Err(job) = self.signals.signal(job) {
            job.answer(Err(Failure::new(Code::Overloaded, "Too many signals wait; this one was dropped.")));
        }
    }

    /// A page of a log in its wire form, as its reader may see it.
    pub(crate) async fn pull(
        &self,
        reader: UserId,
        conversation: ConversationId,
        range: Range,
    ) -> Result<raw::PullPage, Failure> {
        pull::page(&*self.log, reader, conversation, range).await
    }

    /// The answer to a session's `Pull`.
    pub(crate) async fn session_pull(
        &self,
        reader: UserId,
        pull: raw::Pull,
        codec: Codec,
    ) -> Result<raw::PullPage, Failure> {
        let (conversation, range) = pull::parse(&pull, codec)?;
        self.pull(reader, conversation, range).await
    }

    /// The answer to a session's `Sync`.
    pub(crate) async fn sync(&self, user: UserId, sync: v1::Sync) -> Result<v1::SyncPage, Failure> {
        sync::page(&*self.log, user, sync).await
    }

    /// Makes a session findable; pushes flow from then on.
    pub(crate) fn register(&self, session: Session) -> Registered {
        self.sessions.register(session)
    }

    /// A mark to be compared after a log-in was checked: if it changed, some device was revoked meanwhile.
    pub(crate) fn revocation_mark(&self) -> u64 {
        self.sessions.revocation_mark()
    }

    /// Ends all sessions of a device.
    pub(crate) fn end_sessions(&self, device: DeviceId, reason: EndReason) {
        self.sessions.end(device, reason);
    }

    /// Devices of the user that have a session.
    pub(crate) fn online_devices(&self, user: UserId) -> Vec<DeviceId> {
        let mut devices = Vec::new();
        self.sessions.each_of(user, |session| devices.push(session.device));
        devices
    }

    /// Lets a session be told when these users come and go, instead of those of its last subscription; answers how they
    /// are now.
    pub(crate) async fn watch(
        &self,
        session: &Arc<Session>,
        request: v1::PresenceSubscribe,
    ) -> Result<v1::Presence, Failure> {
        let users = presence::parse(&request)?;
        self.rates.look_up(session.user)?;
        let ids: Vec<UserId> = users.iter().copied().collect();
        // Subscribed first, then read: nothing falls between.
        self.sessions.watches().watch(session, users);
        let known = self.directory.users(&ids).await?;
        let told = known.iter().map(|user| presence::of_user(&self.sessions, session.user, user));
        Ok(v1::Presence { users: told.collect() })
    }

    /// What a user who is shown to a viewer may be known to do.
    pub(crate) fn presence(&self, viewer: UserId, user: &User) -> v1::UserPresence {
        presence::of_user(&self.sessions, viewer, user)
    }

    /// Tells whoever watches the user that they may now know more, or less.
    pub(crate) fn set_visibility(&self, user: UserId, visibility: Visibility) {
        self.sessions.watches().set_visibility(user, visibility);
    }

    /// Notes that everybody who is online now is seen now: for a node that is about to send them all away.
    pub(crate) async fn note_all_seen(&self, now: Timestamp) -> Result<(), StoreError> {
        self.directory.devices_seen(self.sessions.all_devices(), now).await
    }

    /// True if the device has a session.
    pub(crate) fn is_device_online(&self, device: DeviceId) -> bool {
        self.sessions.is_device_online(device)
    }

    /// Users with a session, by id, from the first above `after`, at most `limit`.
    pub(crate) fn online_users(&self, after: Option<UserId>, limit: usize) -> Vec<UserId> {
        self.sessions.online_users(after, limit)
    }
}

fn lane_gone() -> Failure {
    Failure::new(Code::Unavailable, "The server is shutting down; try again when it is back.")
}
