//! Password hashing in a bounded pool, so that a burst of log-ins costs a fixed amount of memory and processor.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use sparrow_protocol::Code;
use sparrow_protocol::limits::PASSWORD_BYTES;
use tokio::sync::Semaphore;

use crate::config::PasswordHashing;
use crate::failure::Failure;
use crate::metrics::Metrics;

/// What who finds the pool full is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A password of acceptable length. It has no `Debug` form.
pub(crate) struct Password(String);

impl Password {
    /// Reads a password that an account is to have.
    pub(crate) fn parse_new(text: String) -> Result<Self, Failure> {
        if text.len() < *PASSWORD_BYTES.start() {
            return Err(Failure::invalid("The password is too short; take 8 bytes or more."));
        }
        Self::parse(text)
    }

    /// Reads a password that is to be compared. One that is too long is refused before anything is computed.
    pub(crate) fn parse(text: String) -> Result<Self, Failure> {
        if text.len() > *PASSWORD_BYTES.end() {
            return Err(Failure::invalid("The password is too long; take at most 1024 bytes."));
        }
        Ok(Self(text))
    }
}

/// The pool. Every call computes exactly one hash.
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    workers: Arc<Semaphore>,
    places: Arc<Semaphore>,
    capacity: usize,
    metrics: Arc<Metrics>,
}

impl Passwords {
    /// A pool with the configured cost and size. A cost that Argon2 does not accept is replaced by the default one.
    pub(super) fn new(config: &PasswordHashing, metrics: Arc<Metrics>) -> Self {
        let params = Params::new(config.memory_kib, config.passes, 1, None).unwrap_or_default();
        let capacity = config.workers.max(1) + config.waiting;
        Self {
            capacity,
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            workers: Arc::new(Semaphore::new(config.workers.max(1))),
            places: Arc::new(Semaphore::new(capacity)),
            metrics,
        }
    }

    /// The hash of a new password, in PHC form.
    pub(super) async fn hash(&self, password: Password) -> Result<String, Failure> {
        let argon2 = self.argon2.clone();
        let hash = self.run(move || argon2.hash_password(password.0.as_bytes()).map(|hash| hash.to_string())).await?;
        hash.map_err(|error| internal(&error))
    }

    /// True if the password is the one that was hashed. Without a hash to compare with, the same work is done in vain,
    /// so that the time does not tell whether an account exists.
    pub(super) async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Failure> {
        let Some(hash) = hash else {
            self.hash(password).await?;
            return Ok(false);
        };
        let argon2 = self.argon2.clone();
        self.run(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| argon2.verify_password(password.0.as_bytes(), &hash).is_ok())
        })
        .await
    }

    /// Hashes that wait or are being computed.
    pub(super) fn waiting(&self) -> usize {
        self.capacity - self.places.available_permits()
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let Ok(_place) = self.places.try_acquire() else {
            self.metrics.password_hashes_refused.inc();
            let refused = Failure::new(Code::Overloaded, "Too many people are logging in; try again in a few seconds.");
            return Err(Failure { retry_after: Some(RETRY_AFTER), ..refused });
        };
        // A caller that goes away must not free its worker while the hash is still being computed.
        let worker = self.workers.clone().acquire_owned().await.map_err(|error| internal(&error))?;
        self.metrics.password_hashes.inc();
        let done = tokio::task::spawn_blocking(move || {
            let _worker = worker;
            work()
        });
        done.await.map_err(|error| internal(&error))
    }
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "password hashing failed");
    Failure::new(Code::Internal, "The server made a mistake; its log says more.")
}
