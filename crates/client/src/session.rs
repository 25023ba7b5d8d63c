//! The tokens of a device: kept on disk, renewed before they expire, one renewal at a time.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sparrow_protocol::v1;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::http::Transport;

const FILE: &str = "session.json";

/// A logged-in device, as it is kept between two runs of a program. Holds secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSession {
    /// Where the server is.
    pub server_url: String,
    /// The account.
    pub user_id: i64,
    /// The account's name.
    pub user_name: String,
    /// The device that the tokens belong to.
    pub device_id: i64,
    /// Bearer token.
    pub access_token: String,
    /// When it stops working, milliseconds since 1970 UTC.
    pub access_expires: i64,
    /// Buys the next pair, once.
    pub refresh_token: String,
    /// When it stops working, milliseconds since 1970 UTC.
    pub refresh_expires: i64,
}

impl fmt::Debug for StoredSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSession")
            .field("server_url", &self.server_url)
            .field("user_id", &self.user_id)
            .field("device_id", &self.device_id)
            .finish_non_exhaustive()
    }
}

impl StoredSession {
    /// Reads what a client left in its [`crate::Store::Directory`]; `None` if nobody is logged in there.
    ///
    /// # Errors
    /// [`Error::Storage`] if the file cannot be read, [`Error::Damaged`] if it cannot be understood.
    pub fn load(directory: &Path) -> Result<Option<Self>, Error> {
        let file = directory.join(FILE);
        match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::Damaged(file)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::Storage(e.to_string())),
        }
    }

    /// Writes it so that [`StoredSession::load`] finds it: whole or not at all, readable by its owner only.
    ///
    /// # Errors
    /// [`Error::Storage`] if the file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), Error> {
        let write = || -> std::io::Result<()> {
            create_private_directory(directory)?;
            let fresh = directory.join(format!("{FILE}.new"));
            let mut file = private_file().create(true).truncate(true).write(true).open(&fresh)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(&fresh, directory.join(FILE))
        };
        write().map_err(|e| Error::Storage(e.to_string()))
    }

    pub(crate) fn new(server_url: &str, session: v1::Session) -> Self {
        let user = session.user.unwrap_or_default();
        Self {
            server_url: server_url.to_owned(),
            user_id: user.user_id,
            user_name: user.name,
            device_id: session.device_id,
            access_token: session.access_token,
            access_expires: session.access_expires,
            refresh_token: session.refresh_token,
            refresh_expires: session.refresh_expires,
        }
    }

    /// This session with the new pair of `renewed`.
    fn renewed(&self, renewed: v1::Session) -> Self {
        Self {
            access_token: renewed.access_token,
            access_expires: renewed.access_expires,
            refresh_token: renewed.refresh_token,
            refresh_expires: renewed.refresh_expires,
            ..self.clone()
        }
    }
}

/// Makes `directory` for its owner only.
pub(crate) fn create_private_directory(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Options that make a file for its owner only.
pub(crate) fn private_file() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The present tokens, shared by the HTTP half and the connection.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    transport: Transport,
    directory: Option<PathBuf>,
    refresh_before: Duration,
    /// The server's time, and when it was told; this machine's own clock may be wrong.
    server_time: std::sync::Mutex<Option<(i64, Instant)>>,
    /// Held during a renewal, so that everybody waits for the one that runs.
    current: Mutex<StoredSession>,
}

impl Session {
    pub(crate) fn new(
        transport: Transport,
        directory: Option<PathBuf>,
        refresh_before: Duration,
        stored: StoredSession,
    ) -> Self {
        let (server_time, current) = (std::sync::Mutex::default(), Mutex::new(stored));
        Self { shared: Arc::new(Shared { transport, directory, refresh_before, server_time, current }) }
    }

    /// Notes what time it is at the server, in milliseconds since 1970 UTC.
    pub(crate) fn server_says(&self, time: i64) {
        *self.shared.server_time() = Some((time, Instant::now()));
    }

    /// The tokens as they are now.
    pub(crate) async fn stored(&self) -> StoredSession {
        self.shared.current.lock().await.clone()
    }

    /// An access token that is not about to expire and is not `rejected`, renewed if need be.
    ///
    /// The renewal runs to its end even if the caller is dropped: a refresh token works once, and its successor must
    /// reach the disk.
    pub(crate) async fn access_token(&self, rejected: Option<&str>) -> Result<String, Error> {
        let session = self.clone();
        let rejected = rejected.map(str::to_owned);
        let renewal = tokio::spawn(async move { session.usable(rejected.as_deref()).await });
        renewal.await.map_err(|e| Error::Storage(e.to_string()))?
    }

    async fn usable(&self, rejected: Option<&str>) -> Result<String, Error> {
        let shared = &self.shared;
        let mut current = shared.current.lock().await;
        let margin = i64::try_from(shared.refresh_before.as_millis()).unwrap_or(i64::MAX);
        let renew_at = current.access_expires.saturating_sub(margin);
        // As long as the server has not told its time, it is the server that says when a token is too old.
        let fresh = shared.server_now().is_none_or(|now| renew_at > now);
        if fresh && rejected != Some(current.access_token.as_str()) {
            return Ok(current.access_token.clone());
        }
        let renewed = match shared.transport.refresh(&current.refresh_token).await {
            Ok(renewed) => renewed,
            Err(e) if e.is_unauthenticated() => return Err(Error::LoggedOut),
            Err(e) => return Err(e),
        };
        // In use from here on, whatever becomes of the file: the earlier refresh token works no more.
        *current = current.renewed(renewed);
        if let Some(directory) = shared.directory.clone() {
            let saved = current.clone();
            match tokio::task::spawn_blocking(move || saved.save(&directory)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "cannot keep the new tokens; the next start needs a log-in"),
                Err(error) => tracing::error!(%error, "cannot keep the new tokens; the next start needs a log-in"),
            }
        }
        Ok(current.access_token.clone())
    }

    /// Forgets the tokens on disk.
    pub(crate) async fn forget(&self) -> Result<(), Error> {
        let Some(directory) = &self.shared.directory else { return Ok(()) };
        match tokio::fs::remove_file(directory.join(FILE)).await {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::Storage(e.to_string())),
            _ => Ok(()),
        }
    }
}

impl Shared {
    fn server_time(&self) -> MutexGuard<'_, Option<(i64, Instant)>> {
        self.server_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What time it is at the server, as far as it is known.
    fn server_now(&self) -> Option<i64> {
        let (time, at) = (*self.server_time())?;
        Some(time.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX)))
    }
}
