//! Who is connected to this node: sessions by user and by device. Nothing here knows sockets or the log.

use std::collections::BTreeMap;
use std::ops::Bound;
#[cfg(feature = "sabotage")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use sparrow_protocol::{Body, ClientMsgId, ConversationId, DeviceId, Format, UserId};
use sparrow_store::directory::Visibility;
use tokio::time::Instant;

use super::EndReason;
use super::gate::{Gates, Place};
use super::outbound::{Bounds, Outbound, Pushed};
use super::presence::Watches;
use super::push::Shared;
use crate::collections::HashMap;
use crate::failure::Failure;
#[cfg(feature = "sabotage")]
use crate::faults::{Rule, broken};
use crate::faults::{Step, failpoint};
use crate::metrics::{Errors, Metrics};

/// Names one connection for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(u64);

impl SessionId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a session is made of.
#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    /// Whose.
    pub(crate) user: UserId,
    /// On which device.
    pub(crate) device: DeviceId,
    /// The device's session generation; the highest one wins.
    pub(crate) generation: i64,
    /// What the connection speaks.
    pub(crate) format: Format,
    /// False for a session that only sends.
    pub(crate) pushes: bool,
    /// How much may wait for it.
    pub(crate) bounds: Bounds,
    /// Who may know that its user is online.
    pub(crate) visibility: Visibility,
    /// Where its refusals are counted.
    pub(crate) errors: Errors,
}

/// One live connection of a device, as the rest of the node sees it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) format: Format,
    pub(crate) outbound: Outbound,
    generation: i64,
    pushes: bool,
    visibility: Visibility,
    errors: Errors,
    gates: Mutex<Gates>,
    #[cfg(feature = "sabotage")]
    synced: AtomicBool,
}

impl Session {
    /// A session that nobody can find yet.
    pub(crate) fn new(new: NewSession) -> Self {
        Self {
            id: SessionId::next(),
            user: new.user,
            device: new.device,
            format: new.format,
            outbound: Outbound::new(new.bounds),
            generation: new.generation,
            pushes: new.pushes,
            visibility: new.visibility,
            errors: new.errors,
            gates: Mutex::default(),
            #[cfg(feature = "sabotage")]
            synced: AtomicBool::default(),
        }
    }

    /// Queues the answer to an accepted request.
    pub(crate) fn reply<M: Body>(&self, request: u32, message: &M) {
        self.outbound.reply(encode(self.format, request, message));
    }

    /// Queues the refusal of an accepted request.
    pub(crate) fn refuse(&self, request: u32, failure: &Failure) {
        self.errors.get_or_create(&failure.code.into()).inc();
        self.reply(request, &failure.to_wire());
    }

    /// Queues a push, in this session's format.
    pub(crate) fn push(&self, shared: &mut Shared, now: Instant, metrics: &Metrics) {
        if !self.pushes || self.is_not_yet_subscribed() {
            return;
        }
        failpoint(Step::SessionQueue);
        let Some(frame) = shared.frame(self.format) else { return };
        match self.outbound.push(&frame, now) {
            Pushed::Queued => metrics.pushes.inc(),
            Pushed::Dropped => metrics.pushes_dropped.inc(),
            Pushed::Resync => metrics.resyncs.inc(),
        };
    }

    /// True if this session is to miss what is pushed before its first `Sync`.
    fn is_not_yet_subscribed(&self) -> bool {
        #[cfg(feature = "sabotage")]
        return broken(Rule::SnapshotThenSubscribe) && !self.synced.load(Ordering::Relaxed);
        #[cfg(not(feature = "sabotage"))]
        false
    }

    /// Notes that a `Sync` is about to be answered.
    #[cfg(feature = "sabotage")]
    pub(crate) fn note_synced(&self) {
        self.synced.store(true, Ordering::Relaxed);
    }

    /// The place of a send that came now, in the order of this session's sends.
    pub(crate) fn next_place(&self) -> Place {
        self.gates().next_place()
    }

    /// True if this send may not go ahead of one that has to be retried.
    pub(crate) fn gate_blocks(&self, conversation: ConversationId, id: ClientMsgId, place: Place) -> bool {
        self.gates().blocks(conversation, id, place)
    }

    /// Notes how a send was answered: a retryable refusal holds up what follows it, anything else lets it go on.
    pub(crate) fn gate_answered(&self, conversation: ConversationId, id: ClientMsgId, place: Place, retry: bool) {
        if !retry {
            self.gates().settle(conversation, id);
        } else if self.gates().open(conversation, id, place).is_err() {
            self.outbound.end(EndReason::Overloaded);
        }
    }

    fn gates(&self) -> MutexGuard<'_, Gates> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message as one frame. What this server writes always fits its own frames, so a failure is its fault and the
/// client gets an `internal` error instead.
pub(crate) fn encode<M: Body>(format: Format, id: u32, message: &M) -> Bytes {
    format.encode_message(id, message).unwrap_or_else(|error| {
        tracing::error!(%error, command = M::COMMAND.as_str(), "a frame could not be written");
        let failure = Failure::new(sparrow_protocol::Code::Internal, "The server made a mistake; its log says more.");
        format.encode_message(id, &failure.to_wire()).unwrap_or_default()
    })
}

/// The sessions of this node.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_user: RwLock<BTreeMap<UserId, Vec<Arc<Session>>>>,
    by_device: Mutex<HashMap<DeviceId, Arc<Session>>>,
    /// Grows with every [`Sessions::end`], so that a log-in that was being checked meanwhile is checked again.
    revocations: AtomicU64,
    watches: Watches,
}

/// Keeps a session findable; dropping it takes the session out and closes its queue.
#[derive(Debug)]
pub(crate) struct Registered {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
}

impl Registered {
    /// The session.
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.session.outbound.close();
        self.sessions.remove(&self.session);
    }
}

impl Sessions {
    /// A mark to be compared after a log-in was checked: if it changed, some device was revoked meanwhile.
    pub(crate) fn revocation_mark(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    /// Makes a session findable. Of two sessions of a device the one with the lower generation is ended.
    pub(crate) fn register(self: &Arc<Self>, session: Session) -> Registered {
        failpoint(Step::SessionRegister);
        let session = Arc::new(session);
        let mut devices = self.devices();
        match devices.get(&session.device) {
            Some(other) if other.generation > session.generation => session.outbound.end(EndReason::Replaced),
            Some(other) => {
                other.outbound.end(EndReason::Replaced);
                devices.insert(session.device, session.clone());
            }
            None => {
                devices.insert(session.device, session.clone());
            }
        }
        drop(devices);
        let mut users = self.by_user.write().unwrap_or_else(PoisonError::into_inner);
        let first = !users.contains_key(&session.user);
        users.entry(session.user).or_insert_with(|| Vec::with_capacity(1)).push(session.clone());
        drop(users);
        if first {
            self.watches.came(session.user, session.visibility);
        }
        Registered { sessions: self.clone(), session }
    }

    /// Ends the session of a device.
    pub(crate) fn end(&self, device: DeviceId, reason: EndReason) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        if let Some(session) = self.devices().get(&device) {
            session.outbound.end(reason);
        }
    }

    /// Calls `act` for every session of the user.
    pub(crate) fn each_of(&self, user: UserId, mut act: impl FnMut(&Arc<Session>)) {
        let users = self.by_user.read().unwrap_or_else(PoisonError::into_inner);
        users.get(&user).into_iter().flatten().for_each(&mut act);
    }

    /// Calls `act` for every session of users for whom `among` has a value, with that value. Costs the smaller of both
    /// sets: the users online here, and those in `among`.
    pub(crate) fn each_among<'a, T>(&self, among: &'a HashMap<UserId, T>, mut act: impl FnMut(&Arc<Session>, &'a T)) {
        let users = self.by_user.read().unwrap_or_else(PoisonError::into_inner);
        if users.len() < among.len() {
            for (user, sessions) in users.iter() {
                if let Some(value) = among.get(user) {
                    sessions.iter().for_each(|session| act(session, value));
                }
            }
        } else {
            for (user, value) in among {
                users.get(user).into_iter().flatten().for_each(|session| act(session, value));
            }
        }
    }

    /// Gives up the queued pushes of every session for a `Resync`.
    pub(crate) fn resync_all(&self, now: Instant) {
        let users = self.by_user.read().unwrap_or_else(PoisonError::into_inner);
        users.values().flatten().for_each(|session| session.outbound.resync(now));
    }

    /// Who watches whom.
    pub(crate) fn watches(&self) -> &Watches {
        &self.watches
    }

    /// True if the user has a session.
    pub(crate) fn is_online(&self, user: UserId) -> bool {
        self.by_user.read().unwrap_or_else(PoisonError::into_inner).contains_key(&user)
    }

    /// True if the device has a session.
    pub(crate) fn is_device_online(&self, device: DeviceId) -> bool {
        self.devices().contains_key(&device)
    }

    /// Calls `act` with every session. Nothing that a send waits for.
    pub(crate) fn each(&self, act: impl FnMut(&Arc<Session>)) {
        // Copied first: while they are looked at, others may come and go.
        let sessions: Vec<_> = self.devices().values().cloned().collect();
        sessions.iter().for_each(act);
    }

    /// Every device with a session.
    pub(crate) fn all_devices(&self) -> Vec<DeviceId> {
        self.devices().keys().copied().collect()
    }

    /// Users with a session, by id, from the first above `after`.
    pub(crate) fn online_users(&self, after: Option<UserId>, limit: usize) -> Vec<UserId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let users = self.by_user.read().unwrap_or_else(PoisonError::into_inner);
        users.range((from, Bound::Unbounded)).take(limit).map(|(user, _)| *user).collect()
    }

    fn remove(&self, session: &Session) {
        let mut users = self.by_user.write().unwrap_or_else(PoisonError::into_inner);
        let mut last = false;
        if let Some(sessions) = users.get_mut(&session.user) {
            sessions.retain(|other| other.id != session.id);
            last = sessions.is_empty();
        }
        if last {
            users.remove(&session.user);
        }
        drop(users);
        self.watches.left(session, last);
        let mut devices = self.devices();
        if devices.get(&session.device).is_some_and(|other| other.id == session.id) {
            devices.remove(&session.device);
        }
    }

    fn devices(&self) -> MutexGuard<'_, HashMap<DeviceId, Arc<Session>>> {
        self.by_device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::super::outbound::Outgoing;
    use super::super::testing::{device, new_session, user};
    use super::*;

    fn ended(registered: &Registered) -> Option<EndReason> {
        let mut cx = Context::from_waker(Waker::noop());
        match registered.session().outbound.poll_next(&mut cx, Instant::now()) {
            Poll::Ready(Outgoing::End(reason)) => Some(reason),
            _ => None,
        }
    }

    fn register(sessions: &Arc<Sessions>, user_id: i64, device_id: i64, generation: i64) -> Registered {
        sessions.register(Session::new(NewSession { generation, ..new_session(user_id, device_id) }))
    }

    #[test]
    fn the_newer_session_of_a_device_replaces_the_older_whichever_registers_first() {
        let sessions = Arc::new(Sessions::default());
        let (newer, older) = (register(&sessions, 1, 1, 2), register(&sessions, 1, 1, 1));
        assert_eq!((ended(&newer), ended(&older)), (None, Some(EndReason::Replaced)));
        drop(older);
        assert!(sessions.is_device_online(device(1)), "the end of the older one must not hide the newer one");
        let newest = register(&sessions, 1, 1, 3);
        assert_eq!((ended(&newer), ended(&newest)), (Some(EndReason::Replaced), None));
        drop(newer);
        drop(newest);
        assert!(!sessions.is_device_online(device(1)));
        assert!(!sessions.is_online(user(1)));
    }

    #[test]
    fn users_are_online_as_long_as_one_of_their_sessions() {
        let sessions = Arc::new(Sessions::default());
        let (first, second, other) =
            (register(&sessions, 1, 1, 1), register(&sessions, 1, 2, 1), register(&sessions, 7, 3, 1));
        assert_eq!(sessions.online_users(None, 10), vec![user(1), user(7)]);
        assert_eq!(sessions.online_users(Some(user(1)), 10), vec![user(7)]);
        assert_eq!(sessions.online_users(None, 1), vec![user(1)]);
        drop(first);
        assert!(sessions.is_online(user(1)));
        drop((second, other));
        assert_eq!(sessions.online_users(None, 10), vec![]);
    }

    #[test]
    fn a_revoked_device_loses_its_session_and_leaves_a_mark() {
        let sessions = Arc::new(Sessions::default());
        let registered = register(&sessions, 1, 1, 1);
        let mark = sessions.revocation_mark();
        sessions.end(device(1), EndReason::Revoked);
        assert_eq!(ended(&registered), Some(EndReason::Revoked));
        assert_ne!(sessions.revocation_mark(), mark);
    }

    #[test]
    fn both_ways_of_finding_recipients_find_the_same() {
        let sessions = Arc::new(Sessions::default());
        let _kept: Vec<_> = (1..=5).map(|n| register(&sessions, n, n, 1)).collect();
        let find = |among: &HashMap<UserId, i64>| {
            let mut found = Vec::new();
            sessions.each_among(among, |session, value| found.push((session.user.get(), *value)));
            found.sort_unstable();
            found
        };
        let few: HashMap<_, _> = [(user(2), 20), (user(9), 90)].into_iter().collect();
        let many: HashMap<_, _> = (2..100).map(|n| (user(n), n * 10)).collect();
        assert_eq!(find(&few), vec![(2, 20)]);
        assert_eq!(find(&many), vec![(2, 20), (3, 30), (4, 40), (5, 50)]);
    }
}
