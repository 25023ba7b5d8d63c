//! A command that makes an entry, on its way to the log.

use sparrow_protocol::content::request_hash;
use sparrow_protocol::{ClientMsgId, ConversationId, EntryKind, UserId};
use sparrow_store::log::{Action, Append};

use crate::failure::Failure;
use crate::messaging::Submitted;
use crate::node::Node;

/// What the caller asks for.
pub(super) struct Command {
    /// Where.
    pub(super) conversation: ConversationId,
    /// Who asks.
    pub(super) caller: UserId,
    /// The caller's id for it; made here if absent.
    pub(super) id: Option<ClientMsgId>,
    /// What was asked, in a form that stays the same from release to release: it is hashed to tell a retry from another
    /// request under the same id.
    pub(super) asked: Vec<u8>,
    /// What to do.
    pub(super) action: Action,
}

impl Command {
    /// Gives the command to the log and waits until its entry is durable.
    pub(super) async fn submit(self, node: &Node, kind: EntryKind) -> Result<Submitted, Failure> {
        node.limits.send(self.caller, self.conversation)?;
        let append = Append {
            conversation: self.conversation,
            sender: self.caller,
            client_msg_id: self.id.unwrap_or_else(|| uuid::Uuid::now_v7().into()),
            request_hash: request_hash(kind, None, &self.asked),
            action: self.action,
        };
        node.messaging.submit(append).await
    }
}
