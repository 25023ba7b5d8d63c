//! What is asked of the server over HTTP: accounts, users, devices, conversations and their members.

use sparrow_protocol::v1;
use uuid::Uuid;

use super::Client;
use crate::error::Error;

/// What a new group begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name, 1 to 64 characters.
    pub name: String,
    /// What it is about, at most 500 characters.
    pub description: String,
    /// The first members besides oneself, as ids or `@name`; at most 500.
    pub members: Vec<String>,
    /// True if newcomers see what was said before.
    pub history_visible: bool,
}

/// Accounts, users and devices. All ask the server and fail with [`Error::Unreachable`] without it.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Client {
    /// One's own account.
    pub async fn me(&self) -> Result<v1::User, Error> {
        self.inner.http.me().await
    }

    /// Changes one's display name or bio; `None` leaves it.
    pub async fn update_profile(&self, display_name: Option<String>, bio: Option<String>) -> Result<v1::User, Error> {
        self.inner.http.update_profile(&v1::UpdateProfileRequest { display_name, bio, presence: None }).await
    }

    /// One's devices; `cursor` is empty for the first page.
    pub async fn devices(&self, cursor: &str) -> Result<v1::DeviceList, Error> {
        self.inner.http.devices(cursor).await
    }

    /// Logs another device out.
    pub async fn revoke_device(&self, device_id: i64) -> Result<(), Error> {
        self.inner.http.revoke_device(device_id).await
    }

    /// A user by id or `@name`.
    pub async fn user(&self, user: &str) -> Result<v1::User, Error> {
        self.inner.http.user(user).await
    }

    /// Users whose names begin with `prefix`.
    pub async fn users_by_prefix(&self, prefix: &str, cursor: &str) -> Result<v1::UserList, Error> {
        self.inner.http.users(prefix, false, cursor).await
    }

    /// Users who are online.
    pub async fn users_online(&self, cursor: &str) -> Result<v1::UserList, Error> {
        self.inner.http.users("", true, cursor).await
    }
}

/// Conversations. All ask the server and fail with [`Error::Unreachable`] without it.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Client {
    /// Opens the conversation with a user, given by id or `@name`; makes it if there is none. With oneself, these are
    /// the notes to oneself.
    pub async fn open_direct(&self, user: &str) -> Result<v1::Conversation, Error> {
        let name = user.strip_prefix('@').map(str::to_lowercase);
        if name == Some(self.user_name().to_lowercase()) || user == self.user_id().to_string() {
            return self.open_self().await;
        }
        self.create(v1::CreateConversationRequest {
            kind: "direct".to_owned(),
            user: user.to_owned(),
            ..v1::CreateConversationRequest::default()
        })
        .await
    }

    /// Opens the notes to oneself.
    pub async fn open_self(&self) -> Result<v1::Conversation, Error> {
        self.create(v1::CreateConversationRequest {
            kind: "self".to_owned(),
            ..v1::CreateConversationRequest::default()
        })
        .await
    }

    /// Makes a group with oneself as its owner.
    pub async fn create_group(&self, group: NewGroup) -> Result<v1::Conversation, Error> {
        self.create(v1::CreateConversationRequest {
            kind: "group".to_owned(),
            name: group.name,
            description: group.description,
            members: group.members,
            history_visible: group.history_visible,
            ..v1::CreateConversationRequest::default()
        })
        .await
    }

    async fn create(&self, request: v1::CreateConversationRequest) -> Result<v1::Conversation, Error> {
        self.inner.http.create_conversation(&request, new_id()).await
    }

    /// One's conversations, the last active first, with unread counts; `cursor` is empty for the first page.
    pub async fn conversations(&self, cursor: &str) -> Result<v1::ConversationList, Error> {
        self.inner.http.conversations(cursor).await
    }

    /// One conversation.
    pub async fn conversation(&self, conversation_id: i64) -> Result<v1::Conversation, Error> {
        self.inner.http.conversation(conversation_id).await
    }

    /// Changes a group's name or description; `None` leaves it.
    pub async fn update_group(
        &self,
        conversation_id: i64,
        name: Option<String>,
        description: Option<String>,
    ) -> Result<(), Error> {
        let change = v1::UpdateConversationRequest { client_msg_id: new_id(), name, description };
        self.inner.http.update_conversation(conversation_id, &change).await
    }

    /// The members; `cursor` is empty for the first page.
    pub async fn members(&self, conversation_id: i64, cursor: &str) -> Result<v1::MemberList, Error> {
        self.inner.http.members(conversation_id, cursor).await
    }

    /// Adds members, given by id or `@name`.
    pub async fn invite(&self, conversation_id: i64, users: Vec<String>) -> Result<(), Error> {
        let request = v1::AddMembersRequest { client_msg_id: new_id(), users };
        self.inner.http.add_members(conversation_id, &request).await
    }

    /// Removes a member, given by id or `@name`.
    pub async fn remove(&self, conversation_id: i64, user: &str) -> Result<(), Error> {
        self.inner.http.remove_member(conversation_id, user).await
    }

    /// Leaves a group.
    pub async fn leave(&self, conversation_id: i64) -> Result<(), Error> {
        self.inner.http.remove_member(conversation_id, &self.user_id().to_string()).await
    }

    /// Makes a member `owner`, `admin` or `member`.
    pub async fn change_role(&self, conversation_id: i64, user: &str, role: &str) -> Result<(), Error> {
        let request = v1::ChangeRoleRequest { client_msg_id: new_id(), role: role.to_owned() };
        self.inner.http.change_role(conversation_id, user, &request).await
    }

    /// Who has received and read one's message.
    pub async fn receipts(&self, conversation_id: i64, seq: i64, cursor: &str) -> Result<v1::ReceiptList, Error> {
        self.inner.http.receipts(conversation_id, seq, cursor).await
    }
}

/// A fresh id for a command or an idempotency key.
fn new_id() -> String {
    Uuid::now_v7().to_string()
}
