//! Accounts: register, log in, tokens, devices. Knows no sockets.

mod password;
mod token;

use std::sync::Arc;

use sparrow_protocol::{Code, DeviceId, Timestamp, UserId};
use sparrow_store::Store;

use crate::clock::Clock;
use crate::config::Config;
use crate::failure::Failure;
use crate::messaging::Messaging;
use crate::metrics::Metrics;
use password::Passwords;

/// Who a request or a session speaks for.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The account.
    pub(crate) user: UserId,
    /// Its name.
    pub(crate) name: String,
    /// The device that the token belongs to.
    pub(crate) device: DeviceId,
    /// When the access token stops working.
    pub(crate) expires: Timestamp,
}

/// The accounts feature.
pub(crate) struct Accounts {
    config: Arc<Config>,
    clock: Clock,
    store: Arc<dyn Store>,
    messaging: Messaging,
    passwords: Passwords,
}

impl Accounts {
    /// The feature over a store; `messaging` is told which sessions end with a log-out or a revocation.
    pub(crate) fn new(
        config: Arc<Config>,
        clock: Clock,
        metrics: Arc<Metrics>,
        store: Arc<dyn Store>,
        messaging: Messaging,
    ) -> Self {
        let passwords = Passwords::new(&config.password_hashing, metrics);
        Self { config, clock, store, messaging, passwords }
    }

    /// Who an access token speaks for. Every reason for a refusal gets the same `unauthenticated` answer.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<Identity, Failure> {
        let hash = token::hash(token).ok_or_else(unauthenticated)?;
        let known = self.store.authenticate(hash, self.clock.now()).await?.ok_or_else(unauthenticated)?;
        Ok(Identity { user: known.user.user, name: known.user.name, device: known.device, expires: known.expires })
    }
}

/// The one answer to a token that does not work.
pub(crate) fn unauthenticated() -> Failure {
    Failure::new(Code::Unauthenticated, "Log in: the access token is missing, wrong or no longer valid.")
}
