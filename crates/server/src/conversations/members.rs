//! Who is in a group: the list, adding, removing, leaving, roles.

use sparrow_protocol::limits::MEMBERS_AT_ONCE;
use sparrow_protocol::{ClientMsgId, ConversationId, EntryKind, Role, UserId};
use sparrow_store::directory::{Listed, User};
use sparrow_store::log::Action;

use super::command::Command;
use crate::failure::Failure;
use crate::messaging::Submitted;
use crate::node::Node;
use crate::paging::Paging;
use crate::users::{self, UserRef};

/// Reads a list of users as a client names them.
pub(super) fn parse_refs(texts: &[String]) -> Result<Vec<UserRef>, Failure> {
    if texts.len() > MEMBERS_AT_ONCE {
        return Err(Failure::invalid(format!("Name at most {MEMBERS_AT_ONCE} users at once.")));
    }
    texts.iter().map(|text| UserRef::parse(text)).collect()
}

/// The users meant, each once, by id.
pub(super) async fn resolve_all(node: &Node, caller: UserId, refs: &[UserRef]) -> Result<Vec<UserId>, Failure> {
    let mut ids = Vec::with_capacity(refs.len());
    for user in refs {
        ids.push(users::resolve(node, caller, user).await?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The present members, by id; told to present members only.
pub(crate) async fn list(
    node: &Node,
    caller: UserId,
    conversation: ConversationId,
    page: Paging<UserId>,
) -> Result<Listed<(User, Role), UserId>, Failure> {
    let listed = node.store.member_list(caller, conversation, page.after, page.limit).await?;
    listed.ok_or_else(|| Failure::not_found("conversation"))
}

/// Adds members.
pub(crate) async fn add(
    node: &Node,
    caller: UserId,
    conversation: ConversationId,
    id: Option<ClientMsgId>,
    users: &[String],
) -> Result<Submitted, Failure> {
    let refs = parse_refs(users)?;
    if refs.is_empty() {
        return Err(Failure::invalid("Name at least one user."));
    }
    let users = resolve_all(node, caller, &refs).await?;
    let asked = format!("add\0{}", numbers(&users)).into_bytes();
    submit(node, Command { conversation, caller, id, asked, action: Action::AddMembers { users } }).await
}

/// Removes a member; who names oneself leaves.
pub(crate) async fn remove(
    node: &Node,
    caller: UserId,
    conversation: ConversationId,
    user: &UserRef,
) -> Result<Submitted, Failure> {
    let user = users::resolve(node, caller, user).await?;
    if user == caller {
        return leave(node, caller, conversation).await;
    }
    let asked = format!("remove\0{user}").into_bytes();
    submit(node, Command { conversation, caller, id: None, asked, action: Action::RemoveMember { user } }).await
}

/// The caller leaves.
async fn leave(node: &Node, caller: UserId, conversation: ConversationId) -> Result<Submitted, Failure> {
    let action = Action::Leave;
    submit(node, Command { conversation, caller, id: None, asked: b"leave".to_vec(), action }).await
}

/// Gives a member a role.
pub(crate) async fn change_role(
    node: &Node,
    caller: UserId,
    conversation: ConversationId,
    id: Option<ClientMsgId>,
    user: &UserRef,
    role: Role,
) -> Result<Submitted, Failure> {
    let user = users::resolve(node, caller, user).await?;
    let asked = format!("role\0{user}\0{role}").into_bytes();
    submit(node, Command { conversation, caller, id, asked, action: Action::ChangeRole { user, role } }).await
}

async fn submit(node: &Node, command: Command) -> Result<Submitted, Failure> {
    command.submit(node, EntryKind::Membership).await
}

/// Ids as text, for the hash of a request.
pub(super) fn numbers(users: &[UserId]) -> String {
    users.iter().map(UserId::to_string).collect::<Vec<_>>().join(",")
}

/// Reads the role that a member of a group is to have.
pub(crate) fn group_role(text: &str) -> Result<Role, Failure> {
    match text.parse() {
        Ok(role @ (Role::Member | Role::Admin | Role::Owner)) => Ok(role),
        _ => Err(Failure::invalid("role is `owner`, `admin` or `member`.")),
    }
}
