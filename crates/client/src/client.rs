//! The handle that programs hold. Each method is one act; the work is done by the engine, the cache and the HTTP half.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sparrow_protocol::{limits, v1};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cache::{Cache, Saved};
use crate::engine::{self, Engine};
use crate::error::Error;
use crate::events::{Event, Events, Hub, LogOutReason};
use crate::http::{Http, Transport};
use crate::listener::{self, Listener};
use crate::options::{Credentials, Options, Store};
use crate::session::{Session, StoredSession};

/// A device that is logged in. Cheap to clone; the connection ends with the last clone or with [`Client::close`].
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    who: StoredSession,
    http: Http,
    session: Session,
    cache: Cache,
    hub: Hub,
    engine: Engine,
    task: Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
    closed: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
        self.closed.cancel();
    }
}

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

/// A message that has not reached the log.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxMessage {
    /// What [`Client::send`] returned.
    pub local_id: String,
    /// The conversation.
    pub conversation_id: i64,
    /// What.
    pub content: v1::Content,
    /// The server's code if it was refused for good; empty while it waits.
    pub failure_code: String,
    /// One sentence for a person; empty while it waits.
    pub failure_message: String,
}

impl Client {
    /// Makes an account and logs in.
    ///
    /// # Errors
    /// [`Error::Refused`] with `name_taken`, `invalid_request`, ...; [`Error::Unreachable`]; [`Error::Storage`].
    pub async fn register(server_url: &str, credentials: Credentials, options: Options) -> Result<Self, Error> {
        let transport = Transport::new(server_url)?;
        let session = transport.register(&credentials, &options).await?;
        Self::begin(transport, StoredSession::new(server_url, session), options).await
    }

    /// Logs in. A device that was logged in from the same directory before stays the same device.
    ///
    /// # Errors
    /// [`Error::Refused`] with `unauthenticated` if name or password is wrong; [`Error::Unreachable`];
    /// [`Error::Storage`].
    pub async fn log_in(server_url: &str, credentials: Credentials, options: Options) -> Result<Self, Error> {
        let transport = Transport::new(server_url)?;
        let known = directory(&options).map(|directory| StoredSession::load(&directory)).transpose()?.flatten();
        let same = |known: &StoredSession| known.server_url == server_url && known.user_name == credentials.name;
        let device = known.filter(same).map_or(0, |known| known.device_id);
        let session = transport.log_in(&credentials, &options, device).await?;
        Self::begin(transport, StoredSession::new(server_url, session), options).await
    }

    /// Goes on with the tokens of an earlier run, without asking the server first: works while it is away, too. If the
    /// tokens have been revoked, [`Event::LoggedOut`] says so.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store cannot be opened, [`Error::Invalid`] if the session's address is none.
    pub async fn resume(stored: StoredSession, options: Options) -> Result<Self, Error> {
        let transport = Transport::new(&stored.server_url)?;
        Self::begin(transport, stored, options).await
    }

    async fn begin(transport: Transport, who: StoredSession, options: Options) -> Result<Self, Error> {
        let directory = directory(&options);
        let cache = Cache::open(directory.as_deref(), who.user_id).await?;
        if let Some(directory) = directory.clone() {
            let who = who.clone();
            let saved = tokio::task::spawn_blocking(move || who.save(&directory)).await;
            saved.map_err(|e| Error::Storage(e.to_string()))??;
        }
        let session = Session::new(transport.clone(), directory, options.timings.refresh_before, who.clone());
        let (stop, closed) = (CancellationToken::new(), CancellationToken::new());
        let hub = Hub::new(closed.clone());
        let parts = engine::Parts {
            user_id: who.user_id,
            websocket_url: transport.websocket_url(),
            session: session.clone(),
            cache: cache.clone(),
            hub: hub.clone(),
            options,
            stop: stop.clone(),
        };
        let (engine, task) = engine::start(parts);
        let http = Http::new(transport, session.clone());
        let task = Mutex::new(Some(task));
        let inner = Inner { who, http, session, cache, hub, engine, task, stop, closed };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The account's id.
    pub fn user_id(&self) -> i64 {
        self.inner.who.user_id
    }

    /// The account's name.
    pub fn user_name(&self) -> String {
        self.inner.who.user_name.clone()
    }

    /// The id of this device.
    pub fn device_id(&self) -> i64 {
        self.inner.who.device_id
    }

    /// The tokens as they are now, for [`Client::resume`]. A program with [`Store::Directory`] need not keep them.
    pub async fn session(&self) -> StoredSession {
        self.inner.session.stored().await
    }

    /// A subscription to what happens from now on, and to all entries that nobody has handled.
    pub fn events(&self) -> Events {
        self.inner.hub.subscribe(self.inner.cache.clone())
    }

    /// Calls a listener with every entry and event until it stops, or the client is closed.
    ///
    /// # Errors
    /// [`Error::LoggedOut`] when the tokens do not work any more; [`Error::Storage`].
    pub async fn run(&self, listener: Arc<dyn Listener>) -> Result<(), Error> {
        listener::run(self, listener.as_ref()).await
    }

    /// Ends the connection and lets go of the store. Unsent messages wait there.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        if let Some(task) = self.inner.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the connection's task ended badly");
        }
        self.inner.cache.close().await;
        self.inner.closed.cancel();
    }

    /// Revokes this device's tokens and closes the client. The outbox and the cache stay in the store.
    ///
    /// # Errors
    /// Those of every request; after one, the tokens may still be valid.
    pub async fn log_out(&self) -> Result<(), Error> {
        self.inner.http.log_out().await?;
        self.inner.session.forget().await?;
        self.inner.hub.emit(Event::LoggedOut { reason: LogOutReason::Requested });
        self.inner.stop.cancel();
        Ok(())
    }
}

/// Messages.
impl Client {
    /// Puts a message into the outbox and returns its id (a UUID, the `client_msg_id` of the entry to be). Durable when
    /// this returns. [`Event::Sent`] or [`Event::Failed`] tells what became of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is too large, [`Error::OutboxFull`], [`Error::Storage`].
    pub async fn send(&self, conversation_id: i64, content: v1::Content) -> Result<String, Error> {
        if content.encoded_len() > limits::CONTENT_BYTES {
            let limit = limits::CONTENT_BYTES / 1024;
            return Err(Error::Invalid(format!("a message holds at most {limit} KiB; send it in parts")));
        }
        let local_id = Uuid::now_v7().to_string();
        if self.inner.cache.enqueue(local_id.clone(), conversation_id, content).await? {
            Ok(local_id)
        } else {
            Err(Error::OutboxFull)
        }
    }

    /// [`Client::send`] with plain text.
    ///
    /// # Errors
    /// Those of [`Client::send`].
    pub async fn send_text(&self, conversation_id: i64, text: &str) -> Result<String, Error> {
        self.send(conversation_id, v1::Content { text: text.to_owned(), ..v1::Content::default() }).await
    }

    /// What has not reached the log, oldest first: waiting and failed.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn outbox(&self) -> Result<Vec<OutboxMessage>, Error> {
        let outgoing = self.inner.cache.outbox().await?;
        Ok(outgoing
            .into_iter()
            .map(|message| {
                let (failure_code, failure_message) = message.failure.unwrap_or_default();
                OutboxMessage {
                    local_id: message.local_id,
                    conversation_id: message.conversation,
                    content: message.content,
                    failure_code,
                    failure_message,
                }
            })
            .collect())
    }

    /// The messages of the outbox that were refused for good.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn failed(&self) -> Result<Vec<OutboxMessage>, Error> {
        let mut messages = self.outbox().await?;
        messages.retain(|message| !message.failure_code.is_empty());
        Ok(messages)
    }

    /// Removes a failed message from the outbox; false if there is none with this id.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn discard(&self, local_id: &str) -> Result<bool, Error> {
        self.inner.cache.discard(local_id.to_owned()).await
    }

    /// Waits until nothing waits in the outbox, at most so long; false if something still does.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Closed`].
    pub async fn wait_until_sent(&self, at_most: Duration) -> Result<bool, Error> {
        match tokio::time::timeout(at_most, self.inner.cache.all_settled()).await {
            Ok(settled) => settled.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// The last `limit` entries before a seq (0: before the end), in increasing seq: from the cache, and what is missing
    /// there from the server. Without a connection: what the cache has.
    ///
    /// # Errors
    /// [`Error::Refused`] with `not_found` if one may not see the conversation; [`Error::Storage`].
    pub async fn history(&self, conversation_id: i64, before_seq: i64, limit: u32) -> Result<Vec<v1::Entry>, Error> {
        engine::history(&self.inner.engine, &self.inner.cache, conversation_id, before_seq, limit).await
    }

    /// Says that the user has read up to a seq; answers the cursor as it now is.
    ///
    /// # Errors
    /// [`Error::NotConnected`]; [`Error::Refused`].
    pub async fn read(&self, conversation_id: i64, seq: i64) -> Result<i64, Error> {
        let answer: v1::ReadAck = self.inner.engine.request(&v1::Read { conversation_id, seq }).await?;
        Ok(answer.seq)
    }

    /// Tells the members online that the user is typing.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub async fn typing(&self, conversation_id: i64) -> Result<(), Error> {
        self.signal(conversation_id, "typing", "").await
    }

    /// Sends a signal to the members online: a type and JSON text of at most 4 KiB. Nothing is known of its arrival.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub async fn signal(&self, conversation_id: i64, signal_type: &str, data: &str) -> Result<(), Error> {
        let signal = v1::Signal {
            conversation_id,
            r#type: signal_type.to_owned(),
            data: data.to_owned(),
            ..v1::Signal::default()
        };
        self.inner.engine.tell(&signal).await
    }

    /// Conversations as this device last heard of them; works without a connection.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn known_conversations(&self) -> Result<Vec<v1::ConversationState>, Error> {
        let saved = self.inner.cache.conversations().await?;
        Ok(saved.into_iter().map(|Saved { state, .. }| state).collect())
    }

    /// Own state as this device last heard of it: drafts, pins, mutes, ...
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn own_state(&self) -> Result<Vec<v1::OwnState>, Error> {
        self.inner.cache.own_state().await
    }
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
        self.inner.http.update_profile(&v1::UpdateProfileRequest { display_name, bio }).await
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
    /// Opens the conversation with a user, given by id or `@name`; makes it if there is none.
    pub async fn open_direct(&self, user: &str) -> Result<v1::Conversation, Error> {
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

fn directory(options: &Options) -> Option<PathBuf> {
    match &options.store {
        Store::Memory => None,
        Store::Directory(directory) => Some(directory.clone()),
    }
}

/// A fresh id for a command or an idempotency key.
fn new_id() -> String {
    Uuid::now_v7().to_string()
}
