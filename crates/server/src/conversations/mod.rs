//! Conversations: the list, opening a direct, making a group and changing it, its members, its messages. Knows no sockets.
//!
//! What makes an entry goes through `messaging`; whether it is allowed is decided in the log's transaction, never here.

mod command;
mod members;
mod messages;

use prost::Message as _;
use sparrow_protocol::{ClientMsgId, Code, ConversationId, EntryKind, UserId, v1};
use sparrow_store::directory::{ActivityKey, Listed, ListedConversation, User};
use sparrow_store::log::{Action, NewGroup};

use crate::failure::Failure;
use crate::messaging::Submitted;
use crate::node::Node;
use crate::paging::Paging;
use crate::text;
use crate::users::{self, UserRef};
use command::Command;
pub(crate) use members::{add, change_role, group_role, list as list_members, remove};
pub(crate) use messages::{HistoryRange, history, read, receipts, send};

/// A conversation of the caller's, and the other user of a direct.
pub(crate) struct Seen {
    /// The conversation.
    pub(crate) listed: ListedConversation,
    /// The other user of a direct.
    pub(crate) peer: Option<User>,
}

/// The caller's conversations, the last active first. The first page first joins the conversations that everybody
/// joins by default, once per account.
pub(crate) async fn list(
    node: &Node,
    caller: UserId,
    page: Paging<ActivityKey>,
) -> Result<Listed<Seen, ActivityKey>, Failure> {
    if page.after.is_none() {
        join_defaults(node, caller).await?;
    }
    let Listed { items, next } = node.store.conversations(caller, page.after, page.limit).await?;
    Ok(Listed { items: with_peers(node, items).await?, next })
}

/// One conversation of the caller's.
pub(crate) async fn get(node: &Node, caller: UserId, conversation: ConversationId) -> Result<Seen, Failure> {
    let listed = node.store.conversation(caller, conversation).await?;
    let listed = listed.ok_or_else(|| Failure::not_found("conversation"))?;
    let mut seen = with_peers(node, vec![listed]).await?;
    seen.pop().ok_or_else(|| Failure::not_found("conversation"))
}

async fn join_defaults(node: &Node, caller: UserId) -> Result<(), Failure> {
    for conversation in node.store.take_default_conversations(caller).await? {
        let join = Command { conversation, caller, id: None, asked: b"join".to_vec(), action: Action::Join };
        // A full one is skipped, and so is one that the account is in already.
        if let Err(failure) = join.submit(node, EntryKind::Membership).await {
            tracing::debug!(%conversation, code = failure.code.as_str(), "a default conversation was not joined");
        }
    }
    Ok(())
}

async fn with_peers(node: &Node, listed: Vec<ListedConversation>) -> Result<Vec<Seen>, Failure> {
    let ids: Vec<UserId> = listed.iter().filter_map(|listed| Some(listed.view.peer.as_ref()?.0)).collect();
    let peers = if ids.is_empty() { Vec::new() } else { node.store.users(&ids).await? };
    let peer = |id: UserId| peers.iter().find(|user| user.user == id).cloned();
    Ok(listed
        .into_iter()
        .map(|listed| Seen { peer: listed.view.peer.as_ref().and_then(|(id, _)| peer(*id)), listed })
        .collect())
}

/// The caller's direct with another user, made if there is none.
pub(crate) async fn open_direct(node: &Node, caller: UserId, other: &UserRef) -> Result<Seen, Failure> {
    let other = users::resolve(node, caller, other).await?;
    if other == caller {
        return Err(Failure::invalid("A direct has two users; open the kind `self` for notes to yourself."));
    }
    let opened = node.store.open_direct(caller, other, node.clock.now()).await?;
    get(node, caller, opened.ok_or_else(|| Failure::not_found("user"))?).await
}

/// The caller's notes to themselves, made if there are none.
pub(crate) async fn open_self(node: &Node, caller: UserId) -> Result<Seen, Failure> {
    let opened = node.store.open_self(caller, node.clock.now()).await?;
    get(node, caller, opened).await
}

/// A group as its founder asks for it.
pub(crate) struct GroupRequest {
    name: String,
    description: String,
    members: Vec<UserRef>,
    history_visible: bool,
    idempotency_key: Option<String>,
}

impl GroupRequest {
    /// Reads what a person entered.
    pub(crate) fn parse(
        name: &str,
        description: &str,
        members: &[String],
        history_visible: bool,
        idempotency_key: Option<String>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            name: text::GROUP_NAME.parse(name)?,
            description: text::GROUP_DESCRIPTION.parse(description)?,
            members: members::parse_refs(members)?,
            history_visible,
            idempotency_key,
        })
    }
}

/// Makes a group, or answers the one that the same `Idempotency-Key` made before. True if it is new.
pub(crate) async fn create_group(node: &Node, caller: UserId, request: GroupRequest) -> Result<(Seen, bool), Failure> {
    let members = members::resolve_all(node, caller, &request.members).await?;
    let GroupRequest { name, description, history_visible, idempotency_key, .. } = request;
    let number = sparrow_protocol::id::id_number(node.clock.now(), rand::random());
    let conversation = ConversationId::new(number)
        .ok_or_else(|| Failure::new(Code::Internal, "The server's clock is wrong; its operator has to set it."))?;
    let asked = format!("create\0{name}\0{description}\0{history_visible}\0{}", members::numbers(&members));
    let group = NewGroup { name, description, members, history_visible, join_by_default: false, idempotency_key };
    let create = Command { conversation, caller, id: None, asked: asked.into_bytes(), action: Action::Create(group) };
    let made = create.submit(node, EntryKind::Membership).await?;
    Ok((get(node, caller, made.stored.entry.conversation).await?, !made.duplicate))
}

/// Changes to a group's settings; `None` leaves one as it is.
pub(crate) struct SettingsRequest {
    name: Option<String>,
    description: Option<String>,
}

impl SettingsRequest {
    /// Reads what a person entered.
    pub(crate) fn parse(name: Option<&str>, description: Option<&str>) -> Result<Self, Failure> {
        Ok(Self {
            name: name.map(|name| text::GROUP_NAME.parse(name)).transpose()?,
            description: description.map(|text| text::GROUP_DESCRIPTION.parse(text)).transpose()?,
        })
    }
}

/// Changes a group's settings.
pub(crate) async fn change_settings(
    node: &Node,
    caller: UserId,
    conversation: ConversationId,
    id: Option<ClientMsgId>,
    request: SettingsRequest,
) -> Result<Submitted, Failure> {
    let SettingsRequest { name, description } = request;
    let asked = v1::SettingsChange { name: name.clone(), description: description.clone() }.encode_to_vec();
    let action = Action::ChangeSettings { name, description };
    Command { conversation, caller, id, asked, action }.submit(node, EntryKind::Settings).await
}
