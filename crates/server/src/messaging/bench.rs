//! What the micro-benchmarks of this crate measure: finding sessions, queueing pushes, the stage. Only with the feature
//! `bench`; nothing of a node is here.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sparrow_protocol::{Carrier, Codec, DeviceId, Format, Seq, UserId, v1};
use sparrow_store::directory::Visibility;
use tokio::time::Instant;

use super::outbound::{Bounds, Outgoing};
use super::push::Shared;
use super::sessions::{NewSession, Registered, Session, Sessions};
use super::stage::Stage;
use crate::collections::HashMap;
use crate::metrics::{Errors, Metrics};

/// Users who are online with a session each.
#[derive(Debug)]
pub struct Crowd {
    sessions: Arc<Sessions>,
    registered: Vec<Registered>,
    everybody: HashMap<UserId, ()>,
    metrics: Metrics,
}

impl Crowd {
    /// So many users, by the ids 1, 2, 3, ...
    pub fn of(count: i64) -> Self {
        let sessions = Arc::new(Sessions::default());
        let ids = || (1..=count).filter_map(|id| Some((UserId::new(id)?, DeviceId::new(id)?)));
        let registered = ids().map(|(user, device)| sessions.register(Session::new(new(user, device)))).collect();
        Self { sessions, registered, everybody: ids().map(|(user, _)| (user, ())).collect(), metrics: Metrics::new() }
    }

    /// How many sessions a user has.
    pub fn sessions_of(&self, user: i64) -> usize {
        let mut found = 0;
        if let Some(user) = UserId::new(user) {
            self.sessions.each_of(user, |_| found += 1);
        }
        found
    }

    /// Writes a push once and queues it for everybody.
    pub fn push(&self, push: &v1::Push) {
        let Some(mut shared) = Shared::new(push) else { return };
        let now = Instant::now();
        self.sessions.each_among(&self.everybody, |session, ()| session.push(&mut shared, now, &self.metrics));
    }

    /// Takes everything out of the queues, as connections do; answers the number of frames.
    pub fn drain(&self) -> usize {
        let (now, mut context) = (Instant::now(), Context::from_waker(Waker::noop()));
        let frames = |registered: &Registered| {
            let outbound = &registered.session().outbound;
            std::iter::from_fn(|| match outbound.poll_next(&mut context, now) {
                Poll::Ready(Outgoing::Frame(frame)) => Some(frame),
                _ => None,
            })
            .count()
        };
        self.registered.iter().map(frames).sum()
    }
}

/// Passes so many entries through a stage, pairs of them swapped; answers how many came out.
pub fn stage(count: i64) -> usize {
    let now = Instant::now();
    let Some(first) = Seq::new(1) else { return 0 };
    let mut stage = Stage::new(first, now);
    let mut ready = Vec::new();
    let swapped = (0..count).map(|at| if at % 2 == 0 { at + 2 } else { at });
    for seq in swapped.filter_map(Seq::new) {
        stage.offer(seq, seq, now, &mut ready);
    }
    ready.len()
}

fn new(user: UserId, device: DeviceId) -> NewSession {
    NewSession {
        user,
        device,
        generation: 1,
        format: Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf },
        pushes: true,
        visibility: Visibility::All,
        errors: Errors::default(),
        bounds: Bounds { frames: 256, bytes: 1024 * 1024 },
    }
}
