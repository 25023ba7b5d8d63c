//! Messaging: the life of an entry from a command to its readers. Knows no sockets.

use sparrow_protocol::{ConversationId, DeviceId, Seq, UserId, raw};
use sparrow_store::log::{Append, OwnState, Range, Stored};

use crate::failure::Failure;

/// The messaging feature; a cheap handle.
#[derive(Clone)]
pub(crate) struct Messaging {}

/// What became of a command, for the caller that gave it.
pub(crate) struct Submitted {
    /// The entry.
    pub(crate) stored: Stored,
    /// True if the id had made this entry before.
    pub(crate) duplicate: bool,
}

/// Why sessions are ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The device was revoked, or logged out.
    Revoked,
    /// The same device opened a newer session.
    Replaced,
}

impl Messaging {
    /// Puts a command through the append lane and waits until it is durable; fan-out follows by itself. For callers
    /// without a session (HTTP): their commands have no order among each other. A caller that goes away cancels nothing.
    pub(crate) async fn submit(&self, append: Append) -> Result<Submitted, Failure> {
        let _ = append;
        unimplemented!("the messaging feature")
    }

    /// Moves a user's read cursor; answers it as it then is, once that is durable. Other sessions of the user and the
    /// authors concerned are told.
    pub(crate) async fn read(&self, user: UserId, conversation: ConversationId, seq: Seq) -> Result<Seq, Failure> {
        let _ = (user, conversation, seq);
        unimplemented!("the messaging feature")
    }

    /// A page of a log in its wire form, as its reader may see it.
    pub(crate) async fn pull(
        &self,
        reader: UserId,
        conversation: ConversationId,
        range: Range,
    ) -> Result<raw::PullPage, Failure> {
        let _ = (reader, conversation, range);
        unimplemented!("the messaging feature")
    }

    /// Tells a user's sessions on this node about changed own state.
    pub(crate) fn state_changed(&self, user: UserId, states: Vec<OwnState>) {
        let _ = (user, states);
        unimplemented!("the messaging feature")
    }

    /// Ends all sessions of a device.
    pub(crate) fn end_sessions(&self, device: DeviceId, reason: EndReason) {
        let _ = (device, reason);
        unimplemented!("the messaging feature")
    }

    /// True if the user has a session.
    pub(crate) fn is_online(&self, user: UserId) -> bool {
        let _ = user;
        unimplemented!("the messaging feature")
    }

    /// True if the device has a session.
    pub(crate) fn is_device_online(&self, device: DeviceId) -> bool {
        let _ = device;
        unimplemented!("the messaging feature")
    }

    /// Users with a session, by id, from the first above `after`, at most `limit`.
    pub(crate) fn online_users(&self, after: Option<UserId>, limit: usize) -> Vec<UserId> {
        let _ = (after, limit);
        unimplemented!("the messaging feature")
    }
}
