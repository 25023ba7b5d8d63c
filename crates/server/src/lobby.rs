//! The group that every database is born with, so that the first two people find each other.

use sparrow_protocol::content::request_hash;
use sparrow_protocol::{ClientMsgId, ConversationId, EntryKind};
use sparrow_store::SYSTEM_USER;
use sparrow_store::log::{Action, Append, NewGroup};

use crate::failure::Failure;
use crate::messaging::Messaging;

/// Its name.
const NAME: &str = "lobby";
/// Its id. Ids drawn by a clock are far above.
const ID: Option<ConversationId> = ConversationId::new(1);
/// The id of the command that makes it, so that it is made once in the life of a database.
const COMMAND: [u8; 16] = *b"sparrow: a lobby";

/// Makes the lobby, unless it was made before.
pub(crate) async fn open(messaging: &Messaging) -> Result<(), Failure> {
    let (Some(conversation), Some(client_msg_id)) = (ID, ClientMsgId::new(COMMAND)) else {
        return Ok(());
    };
    let group = NewGroup {
        name: NAME.to_owned(),
        description: "Where everybody meets.".to_owned(),
        members: Vec::new(),
        history_visible: true,
        join_by_default: true,
        idempotency_key: None,
    };
    let request_hash = request_hash(EntryKind::Membership, None, NAME.as_bytes());
    let action = Action::Create(group);
    messaging.submit(Append { conversation, sender: SYSTEM_USER, client_msg_id, request_hash, action }).await?;
    Ok(())
}
