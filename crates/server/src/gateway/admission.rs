//! Who may connect: a place among all connections, and one among those of the same address.
//!
//! A place is a guard that the connection holds to its end. It counts as *waiting* until the connection has said `Hello`,
//! and as a *session* from then on; a connection that only speaks HTTP waits for ever. Every connection of an address is
//! counted, those of this machine too. A connection of a trusted proxy has no address of its own; where it becomes the
//! connection of one client, as with an upgrade to WebSocket, it is counted for that client.

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
    /// Whose it is; nobody's while a trusted proxy speaks for many.
    address: Option<ClientAddress>,
    is_session: AtomicBool,
    permit: Arc<OwnedSemaphorePermit>,
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

    /// Counts one more that is not logged in for this address, unless it has too many.
    fn count(self: &Arc<Self>, address: Option<ClientAddress>, permit: Arc<OwnedSemaphorePermit>) -> Option<Place> {
        if let Some(address) = address {
            let mut addresses = self.lock();
            let count = addresses.entry(address).or_default();
            if count.waiting >= self.waiting {
                drop(addresses);
                self.refused("address_connections");
                return None;
            }
            count.waiting += 1;
        }
        let (admission, is_session) = (self.clone(), AtomicBool::new(false));
        Some(Place(Arc::new(Taken { admission, address, is_session, permit })))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientAddress, Count>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vacancy {
    /// Gives the place to a connection; `None` if its address has too many that are not logged in.
    pub(super) fn take(self, address: Option<ClientAddress>) -> Option<Place> {
        let Self { permit, admission } = self;
        admission.count(address, Arc::new(permit))
    }
}

impl Place {
    /// The place of this client on the connection of a proxy; on any other, the place that it has.
    pub(super) fn of_client(&self, address: ClientAddress) -> Result<Self, Failure> {
        let Taken { admission, permit, .. } = &*self.0;
        match self.0.address {
            Some(_) => Ok(self.clone()),
            None => admission.count(Some(address), permit.clone()).ok_or_else(too_many),
        }
    }

    /// Counts the connection as a session from now on, unless its address has too many of them.
    pub(super) fn begin_session(&self) -> Result<(), Failure> {
        let Taken { admission, address, is_session, .. } = &*self.0;
        let Some(address) = address else { return Ok(()) };
        let mut addresses = admission.lock();
        let count = addresses.entry(*address).or_default();
        if count.sessions >= admission.sessions {
            drop(addresses);
            admission.refused("address_sessions");
            return Err(too_many());
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
        let Some(address) = &self.address else { return };
        let mut addresses = self.admission.lock();
        if let Some(count) = addresses.get_mut(address) {
            if self.is_session.load(Ordering::Relaxed) {
                count.sessions -= 1;
            } else {
                count.waiting -= 1;
            }
            if count.waiting == 0 && count.sessions == 0 {
                addresses.remove(address);
            }
        }
    }
}

fn too_many() -> Failure {
    let failure = Failure::new(Code::Overloaded, "Too many connections from your address; close some of them.");
    Failure { retry_after: Some(RETRY_AFTER), ..failure }
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
        admission.vacancy().await.unwrap().take(Some(address(last)))
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
    async fn a_proxys_connections_count_for_the_clients_that_they_become() {
        let admission = admission(100);
        let mut proxied = Vec::new();
        for _ in 0..5 {
            proxied.push(admission.vacancy().await.unwrap().take(None).unwrap());
        }
        let mut clients: Vec<_> = proxied.iter().filter_map(|place| place.of_client(address(1)).ok()).collect();
        assert_eq!(clients.len(), 2);
        clients.pop().unwrap().begin_session().unwrap();
        drop(proxied);
        assert_eq!(admission.places.available_permits(), 99, "an upgraded connection keeps its place");
        drop(clients);
        assert_eq!(admission.places.available_permits(), 100);
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
