//! The handle that programs hold. Each method is one act; the work is done by the engine, the cache and the HTTP half.
//! Here: its beginning and its end.

mod messages;
mod requests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::engine::{self, Engine};
use crate::error::Error;
use crate::events::{Events, Hub};
use crate::http::{Http, Transport};
use crate::listener::{self, Listener};
use crate::options::{Credentials, Options, Store};
use crate::session::{Session, StoredSession};

pub use self::messages::OutboxMessage;
pub use self::requests::NewGroup;

/// A device that is logged in. Cheap to clone; the connection ends with the last clone or with [`Client::close`].
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    who: StoredSession,
    http: Http,
    session: Session,
    cache: Cache,
    hub: Hub,
    engine: Engine,
    task: Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
    closed: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
        self.closed.cancel();
    }
}

impl Client {
    /// Makes an account and logs in.
    ///
    /// # Errors
    /// [`Error::Refused`] with `name_taken`, `invalid_request`, ...; [`Error::Unreachable`]; [`Error::Storage`].
    pub async fn register(server_url: &str, credentials: Credentials, options: Options) -> Result<Self, Error> {
        let transport = Transport::new(server_url, &options)?;
        let session = transport.register(&credentials, &options).await?;
        Self::begin(transport, StoredSession::new(server_url, session), options).await
    }

    /// Logs in. A device that was logged in from the same directory before stays the same device.
    ///
    /// # Errors
    /// [`Error::Refused`] with `unauthenticated` if name or password is wrong; [`Error::Unreachable`];
    /// [`Error::Storage`].
    pub async fn log_in(server_url: &str, credentials: Credentials, options: Options) -> Result<Self, Error> {
        let transport = Transport::new(server_url, &options)?;
        let known = directory(&options).map(|directory| StoredSession::load(&directory)).transpose()?.flatten();
        let same = |known: &StoredSession| {
            known.server_url == server_url && known.user_name.to_lowercase() == credentials.name.to_lowercase()
        };
        let device = known.filter(same).map_or(0, |known| known.device_id);
        let session = transport.log_in(&credentials, &options, device).await?;
        Self::begin(transport, StoredSession::new(server_url, session), options).await
    }

    /// Goes on with the tokens of an earlier run, without asking the server first: works while it is away, too. If the
    /// tokens have been revoked, [`crate::Event::LoggedOut`] says so.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store cannot be opened, [`Error::Invalid`] if the session's address is none.
    pub async fn resume(stored: StoredSession, options: Options) -> Result<Self, Error> {
        let transport = Transport::new(&stored.server_url, &options)?;
        Self::begin(transport, stored, options).await
    }

    async fn begin(transport: Transport, who: StoredSession, options: Options) -> Result<Self, Error> {
        let directory = directory(&options);
        let cache = Cache::open(directory.as_deref(), who.user_id, options.keep_entries).await?;
        if let Some(directory) = directory.clone() {
            let who = who.clone();
            let saved = tokio::task::spawn_blocking(move || who.save(&directory)).await;
            saved.map_err(|e| Error::Storage(e.to_string()))??;
        }
        let session = Session::new(transport.clone(), directory, options.timings.refresh_before, who.clone());
        let (stop, closed) = (CancellationToken::new(), CancellationToken::new());
        let hub = Hub::new(closed.clone());
        let parts = engine::Parts {
            user_id: who.user_id,
            dialer: transport.dialer(),
            session: session.clone(),
            cache: cache.clone(),
            hub: hub.clone(),
            options,
            stop: stop.clone(),
        };
        let (engine, task) = engine::start(parts);
        let http = Http::new(transport, session.clone());
        let task = Mutex::new(Some(task));
        let inner = Inner { who, http, session, cache, hub, engine, task, stop, closed };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The account's id.
    pub fn user_id(&self) -> i64 {
        self.inner.who.user_id
    }

    /// The account's name.
    pub fn user_name(&self) -> String {
        self.inner.who.user_name.clone()
    }

    /// The id of this device.
    pub fn device_id(&self) -> i64 {
        self.inner.who.device_id
    }

    /// The tokens as they are now, for [`Client::resume`]. A program with [`Store::Directory`] need not keep them.
    pub async fn session(&self) -> StoredSession {
        self.inner.session.stored().await
    }

    /// A subscription to what happens from now on, and to all entries that nobody has handled.
    pub fn events(&self) -> Events {
        self.inner.hub.subscribe(self.inner.cache.clone())
    }

    /// Calls a listener with every entry and event until it stops, or the client is closed.
    ///
    /// # Errors
    /// [`Error::LoggedOut`] when the tokens do not work any more; [`Error::Storage`].
    pub async fn run(&self, listener: Arc<dyn Listener>) -> Result<(), Error> {
        listener::run(self, listener.as_ref()).await
    }

    /// Ends the connection and lets go of the store. Unsent messages wait there.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        if let Some(task) = self.inner.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the connection's task ended badly");
        }
        self.inner.cache.close().await;
        self.inner.closed.cancel();
    }

    /// Revokes this device's tokens and closes the client. The outbox and the cache stay in the store.
    ///
    /// # Errors
    /// Those of every request; after one, the tokens may still be valid.
    pub async fn log_out(&self) -> Result<(), Error> {
        // The server ends the connection, too; that is not to be told beside what was asked for.
        let leaving = self.inner.hub.leave();
        self.inner.http.log_out().await?;
        self.inner.session.forget().await?;
        leaving.done();
        self.inner.stop.cancel();
        Ok(())
    }
}

fn directory(options: &Options) -> Option<PathBuf> {
    match &options.store {
        Store::Memory => None,
        Store::Directory(directory) => Some(directory.clone()),
    }
}
