//! Nodes, and their lives. A life that is killed does nothing to the database any more, and its sessions are gone.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sparrow_protocol::{Carrier, Codec, DeviceId, Format, UserId};
use sparrow_store::Directory;
use sparrow_store::directory::Visibility;
use tokio_util::sync::CancellationToken;

use super::database::{Connection, Database};
use crate::clock::Clock;
use crate::config::{Limits, Rates};
use crate::core_tasks::CoreTasks;
use crate::limits::RateLimits;
use crate::messaging::{Bounds, Messaging, NewSession, Registered, Session};
use crate::metrics::{Errors, Metrics};

/// What every session speaks.
pub(super) const FORMAT: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };

/// A node over all its lives.
pub(super) struct Node {
    database: Arc<Database>,
    /// What messaging asks of accounts and devices, which nothing here does.
    directory: Arc<dyn Directory>,
    seed: u64,
    lives: AtomicU64,
    limits: Limits,
    session_bounds: Bounds,
    /// Milliseconds; every node has a clock of its own.
    pub(super) clock: Arc<AtomicI64>,
    life: Mutex<Life>,
}

/// From a start to a kill.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) messaging: Messaging,
    pub(super) killed: CancellationToken,
    pub(super) core: CoreTasks,
}

impl Node {
    pub(super) fn start(
        database: &Arc<Database>,
        directory: &Arc<dyn Directory>,
        seed: u64,
        limits: Limits,
        session_bounds: Bounds,
    ) -> Self {
        let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
        let life = begin(database, directory, seed, &limits, &clock);
        Self {
            database: database.clone(),
            directory: directory.clone(),
            seed,
            lives: AtomicU64::new(1),
            limits,
            session_bounds,
            clock,
            life: Mutex::new(life),
        }
    }

    pub(super) fn life(&self) -> Life {
        self.life.lock().unwrap().clone()
    }

    /// Ends this life as `kill -9` does and begins the next.
    pub(super) fn kill(&self) {
        let number = self.lives.fetch_add(1, Ordering::Relaxed);
        let next = begin(&self.database, &self.directory, self.seed ^ number << 32, &self.limits, &self.clock);
        std::mem::replace(&mut *self.life.lock().unwrap(), next).killed.cancel();
    }

    pub(super) fn new_session(&self, user: UserId, device: DeviceId, generation: i64) -> Session {
        Session::new(NewSession {
            user,
            device,
            generation,
            format: FORMAT,
            pushes: true,
            visibility: Visibility::All,
            errors: Errors::default(),
            bounds: self.session_bounds,
        })
    }
}

impl Life {
    pub(super) fn register(&self, session: Session) -> Registered {
        self.messaging.register(session)
    }
}

fn begin(
    database: &Arc<Database>,
    directory: &Arc<dyn Directory>,
    seed: u64,
    limits: &Limits,
    clock: &Arc<AtomicI64>,
) -> Life {
    let killed = CancellationToken::new();
    let log = Connection::new(database, seed, killed.clone());
    let (metrics, core) = (Arc::new(Metrics::new()), CoreTasks::default());
    let rates = Arc::new(RateLimits::new(&Rates::all(1_000_000), metrics.clone()));
    let clock = Clock::manual(clock.clone());
    let messaging = Messaging::start(log, directory.clone(), limits, rates, clock, metrics, &core);
    Life { messaging, killed, core }
}
