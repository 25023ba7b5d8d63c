//! Accounts: register, log in, tokens, devices. Knows no sockets.

use sparrow_protocol::{DeviceId, Timestamp, UserId};

use crate::failure::Failure;

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
pub(crate) struct Accounts {}

impl Accounts {
    /// Who an access token speaks for. Every reason for a refusal gets the same `unauthenticated` answer.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<Identity, Failure> {
        let _ = token;
        unimplemented!("the accounts feature")
    }
}
