//! Who may connect: a place among all connections, and one among those of the same address.
//!
//! A place is a guard that the connection holds to its end. It counts as *waiting* until the connection has said `Hello`,
//! and as a *session* from then on; a connection that only speaks HTTP waits for ever. Every connection of an address is
//! counted, those of this machine too. An address behind a proxy is the proxy's: addresses from proxies are not read yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use sparrow_protocol::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::failure::Failure;
use crate::limits::ClientAddress;
use crate::metrics::{LimiterLabels, Metrics};

/// Connections that the admin listener has open at once, whatever the public ones do.
const ADMIN_CONNECTIONS: usize = 64;
/// File descriptors that are never given to public connections: those of the admin listener, and what a node has open
/// for its database, log and listeners.
const RESERVED_DESCRIPTORS: u64 = 64 + ADMIN_CONNECTIONS as u64;
/// What a client is told to wait that finds its address full.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The places of one or more listeners.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    waiting: usize,
    sessions: usize,
    addresses: Mutex<HashMap<ClientAddress, Count>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    waiting: usize,
    sessions: usize,
}

/// A place that is held for the next connection to be accepted.
#[derive(Debug)]
pub(super) struct Vacancy {
    permit: OwnedSemaphorePermit,
    admission: Arc<Admission>,
}

/// A connection's place; gone when the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Place(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    admission: Arc<Admission>,
    address: ClientAddress,
    is_session: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    /// The places of the public listeners.
    pub(crate) fn public(limits: &Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).saturating_sub(RESERVED_DESCRIPTORS);
        let most = limits.connections.min(usize::try_from(descriptors).unwrap_or(usize::MAX)).max(1);
        if most < limits.connections {
            tracing::info!(
                connections = most,
                "the limit of file descriptors allows fewer connections than configured"
            );
        }
        Self::new(most, limits.address_connections, limits.address_sessions, metrics)
    }

    /// The places of the admin listener, which nobody else can take.
    pub(crate) fn admin(metrics: Arc<Metrics>) -> Arc<Self> {
        Self::new(ADMIN_CONNECTIONS, ADMIN_CONNECTIONS, 0, metrics)
    }

    fn new(most: usize, waiting: usize, sessions: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { places, waiting, sessions, addresses: Mutex::default(), metrics })
    }

    /// Waits for a place; meanwhile new connections wait in the system's backlog.
    pub(super) async fn vacancy(self: &Arc<Self>) -> Option<Vacancy> {
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_full) => {
                self.refused("connections");
                self.places.clone().acquire_owned().await.ok()?
            }
        };
        Some(Vacancy { permit, admission: self.clone() })
    }

    fn refused(&self, limiter: &'static str) {
        self.metrics.limited.get_or_create(&LimiterLabels { limiter }).inc();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientAddress, Count>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vacancy {
    /// Gives the place to a connection; `None` if its address has too many that are not logged in.
    pub(super) fn take(self, address: ClientAddress) -> Option<Place> {
        let Self { permit, admission } = self;
        let mut addresses = admission.lock();
        let count = addresses.entry(address).or_default();
        if count.waiting >= admission.waiting {
            drop(addresses);
            admission.refused("address_connections");
            return None;
        }
        count.waiting += 1;
        drop(addresses);
        Some(Place(Arc::new(Taken { admission, address, is_session: AtomicBool::new(false), _permit: permit })))
    }
}

impl Place {
    /// Counts the connection as a session from now on, unless its address has too many of them.
    pub(super) fn begin_session(&self) -> Result<(), Failure> {
        let Taken { admission, address, is_session, .. } = &*self.0;
        let mut addresses = admission.lock();
        let count = addresses.entry(*address).or_default();
        if count.sessions >= admission.sessions {
            drop(addresses);
            admission.refused("address_sessions");
            let failure = Failure::new(Code::Overloaded, "Too many connections from your address; close some of them.");
            return Err(Failure { retry_after: Some(RETRY_AFTER), ..failure });
        }
        if !is_session.swap(true, Ordering::Relaxed) {
            count.waiting -= 1;
            count.sessions += 1;
        }
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut addresses = self.admission.lock();
        if let Some(count) = addresses.get_mut(&self.address) {
            if self.is_session.load(Ordering::Relaxed) {
                count.sessions -= 1;
            } else {
                count.waiting -= 1;
            }
            if count.waiting == 0 && count.sessions == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> ClientAddress {
        ClientAddress::of([192, 0, 2, last].into())
    }

    fn admission(most: usize) -> Arc<Admission> {
        Admission::new(most, 2, 1, Arc::new(Metrics::new()))
    }

    async fn place(admission: &Arc<Admission>, last: u8) -> Option<Place> {
        admission.vacancy().await.unwrap().take(address(last))
    }

    #[tokio::test]
    async fn an_address_has_so_many_places_before_hello_and_so_many_after() {
        let admission = admission(100);
        let first = place(&admission, 1).await.unwrap();
        let second = place(&admission, 1).await.unwrap();
        assert!(place(&admission, 1).await.is_none());
        assert!(place(&admission, 2).await.is_some(), "another address has its own");
        first.begin_session().unwrap();
        let third = place(&admission, 1).await.unwrap();
        assert!(second.begin_session().is_err());
        drop(first);
        second.begin_session().unwrap();
        drop((second, third));
        assert!(admission.lock().is_empty());
    }

    #[tokio::test]
    async fn nobody_is_let_in_beyond_the_places_there_are() {
        let admission = admission(1);
        let first = place(&admission, 1).await.unwrap();
        let mut next = Box::pin(admission.vacancy());
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(first);
        assert!(next.await.is_some());
        let limited = admission.metrics.limited.get_or_create(&LimiterLabels { limiter: "connections" }).get();
        assert_eq!(limited, 1);
    }
}
