//! The directory: accounts, devices, conversations as lists, own state.

use std::time::Duration;

use async_trait::async_trait;
use sparrow_protocol::{ConversationId, DeviceId, Role, Seq, Timestamp, UserId, Username};

use crate::StoreError;
use crate::log::{ConversationView, OwnState, StoredEntry};

/// SHA-256 of a token. The token itself is never stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub user: UserId,
    /// Its name, as its owner wrote it.
    pub name: String,
    /// What is shown.
    pub display_name: String,
    /// A few words about oneself.
    pub bio: String,
    /// Who may know whether and when the user is online.
    pub visibility: Visibility,
    /// When a session of the user last began or ended, to the minute; `None` if never.
    pub last_seen: Option<Timestamp>,
}

/// Who may know whether and when a user is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visibility {
    /// Everybody.
    #[default]
    All,
    /// The user's contacts.
    Contacts,
    /// Nobody else.
    Nobody,
}

impl Visibility {
    /// The word in databases and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Contacts => "contacts",
            Self::Nobody => "nobody",
        }
    }

    /// The visibility of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::All, Self::Contacts, Self::Nobody].into_iter().find(|visibility| visibility.as_str() == word)
    }
}

/// Changes to a profile; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    /// What is shown.
    pub display_name: Option<String>,
    /// A few words about oneself.
    pub bio: Option<String>,
    /// Who may know whether and when the user is online.
    pub visibility: Option<Visibility>,
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name, which must be free.
    pub name: Username,
    /// What is shown.
    pub display_name: String,
    /// The password's hash in PHC form; `None` for an account nobody logs in to.
    pub password_hash: Option<String>,
}

/// Why an account was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameTaken;

/// What a log-in checks against.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub user: User,
    /// The password's hash in PHC form; `None` if nobody may log in.
    pub password_hash: Option<String>,
}

/// A pair of tokens to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewTokens {
    /// The access token's hash.
    pub access: TokenHash,
    /// When it stops working.
    pub access_expires: Timestamp,
    /// The refresh token's hash.
    pub refresh: TokenHash,
    /// When it stops working.
    pub refresh_expires: Timestamp,
}

/// One installation of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// Its name.
    pub name: String,
    /// Its platform.
    pub platform: String,
    /// When it first logged in.
    pub created: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
}

/// Why a device was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceRefused {
    /// The user has as many devices as allowed.
    TooMany,
    /// The device that is to log in again is not this user's, or was revoked.
    Unknown,
}

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// The account.
    pub user: User,
    /// The device.
    pub device: DeviceId,
    /// The session generation last given out for the device.
    pub generation: i64,
    /// When the access token stops working.
    pub expires: Timestamp,
}

/// What became of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// The new pair is stored for this device.
    Rotated {
        /// The account.
        user: User,
        /// The device.
        device: DeviceId,
    },
    /// It had been exchanged more than the grace time before: the device is now revoked.
    Reused {
        /// The account.
        user: UserId,
        /// The device that was revoked.
        device: DeviceId,
    },
    /// It is not known, or has expired, or its device was revoked.
    Unknown,
}

/// A page of something, with the key of the next one.
#[derive(Debug, Clone)]
pub struct Listed<T, K> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<K>,
}

/// A conversation in its user's list.
#[derive(Debug, Clone)]
pub struct ListedConversation {
    /// The conversation.
    pub view: ConversationView,
    /// The last message that the user may see.
    pub last_message: Option<StoredEntry>,
    /// Messages of others after the read cursor, inside the intervals, not erased; exact to 999, else 1,000.
    pub unread: u32,
    /// How many of them name the user.
    pub mentions: u32,
    /// When it was last active: the time of the last message, or of its making.
    pub active: Timestamp,
}

/// The place of a conversation in the order of a list: last active first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityKey {
    /// When the conversation was last active.
    pub active: Timestamp,
    /// Which one, among equals.
    pub conversation: ConversationId,
}

/// How far one member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberCursor {
    /// The member.
    pub user: UserId,
    /// A device holds everything up to here.
    pub delivered: Seq,
    /// The member has read up to here.
    pub read: Seq,
}

/// How far the members are with one message.
#[derive(Debug, Clone)]
pub struct MessageReceipts {
    /// How many other members have received it.
    pub delivered_count: u32,
    /// How many have read it.
    pub read_count: u32,
    /// Members who have at least received it, by id.
    pub members: Listed<MemberCursor, UserId>,
}

/// Why receipts were not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptsRefused {
    /// The message does not exist, or the reader may not see it.
    NotFound,
    /// It is not the reader's own message.
    Forbidden,
}

/// What may be done so often, by anybody on any node who names the same key: a token bucket in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// Names the bucket.
    pub key: String,
    /// Time in which one token comes.
    pub interval: Duration,
    /// Time in which an empty bucket fills; at least `interval`.
    pub depth: Duration,
}

/// An allowance that has nothing left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedUp {
    /// Which one.
    pub key: String,
    /// How long until it has one again.
    pub wait: Duration,
}

/// Accounts, devices, conversations as lists, own state.
///
/// Every method is one transaction. Writes are durable when they return.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Makes an account, unless its name is taken.
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<Result<User, NameTaken>, StoreError>;

    /// What a log-in under this name checks against.
    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError>;

    /// The account with this name.
    async fn user_by_name(&self, name: &Username) -> Result<Option<User>, StoreError>;

    /// The accounts with these ids (at most 1,000), in no particular order; unknown ones are left out.
    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError>;

    /// Accounts that can be logged in to whose name begins with `prefix` (already folded like a name's key), by name.
    async fn users_by_prefix(
        &self,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<Listed<User, String>, StoreError>;

    /// Changes a profile. `None` is answered for an unknown user.
    async fn update_profile(&self, user: UserId, change: ProfileChange) -> Result<Option<User>, StoreError>;

    /// Changes the password's hash and revokes every device of the user but `keep`; answers those. `None` for an unknown
    /// user.
    async fn change_password(
        &self,
        user: UserId,
        password_hash: String,
        keep: DeviceId,
        now: Timestamp,
    ) -> Result<Option<Vec<DeviceId>>, StoreError>;

    /// Logs a device in: a new one, or again a known one, whose former tokens stop working. Each of the login's rules is
    /// held against the user's other devices; where they are too many, either those that were away longest are revoked,
    /// or the log-in is refused and nothing changes. A device whose refresh tokens have all expired is revoked first.
    async fn log_in_device(
        &self,
        login: DeviceLogin,
        now: Timestamp,
    ) -> Result<Result<DeviceLoggedIn, DeviceRefused>, StoreError>;

    /// Who an access token speaks for; `None` if it is unknown, expired, or its device was revoked.
    async fn authenticate(&self, access: TokenHash, now: Timestamp) -> Result<Option<Authenticated>, StoreError>;

    /// Takes one from each of these allowances, or, if one of them has nothing left, from none; then the one with the
    /// longest wait is answered. An allowance that nobody has used yet is full.
    async fn take_allowances(
        &self,
        allowances: Vec<Allowance>,
        now: Timestamp,
    ) -> Result<Result<(), UsedUp>, StoreError>;

    /// Exchanges a refresh token. The former one is accepted again within `grace` of its exchange (an answer may have
    /// been lost) and buys a fresh pair, which replaces the lost one; later use of it revokes the device.
    async fn refresh(
        &self,
        refresh: TokenHash,
        tokens: NewTokens,
        grace: Duration,
        now: Timestamp,
    ) -> Result<Refreshed, StoreError>;

    /// Gives out the device's next session generation and notes that it was seen. `None` if it was revoked.
    async fn begin_session(&self, device: DeviceId, now: Timestamp) -> Result<Option<i64>, StoreError>;

    /// Notes that these devices, and their users, were seen, to the minute.
    async fn devices_seen(&self, devices: Vec<DeviceId>, now: Timestamp) -> Result<(), StoreError>;

    /// A user's devices that are not revoked, by id.
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError>;

    /// Revokes a device of the user: its tokens stop working. False if it is not theirs or was revoked before.
    async fn revoke_device(&self, user: UserId, device: DeviceId, now: Timestamp) -> Result<bool, StoreError>;

    /// The direct of two different users, made if there is none. `None` if the other user does not exist.
    async fn open_direct(
        &self,
        user: UserId,
        other: UserId,
        now: Timestamp,
    ) -> Result<Option<ConversationId>, StoreError>;

    /// The user's notes to themselves, made if there are none.
    async fn open_self(&self, user: UserId, now: Timestamp) -> Result<ConversationId, StoreError>;

    /// A page of a user's conversations, the last active first.
    async fn conversations(
        &self,
        user: UserId,
        after: Option<ActivityKey>,
        limit: usize,
    ) -> Result<Listed<ListedConversation, ActivityKey>, StoreError>;

    /// One conversation; `None` if it does not exist or the user was never a member.
    async fn conversation(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<ListedConversation>, StoreError>;

    /// A page of the present members, by user id; `None` if the reader is not a present member.
    async fn member_list(
        &self,
        reader: UserId,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Option<Listed<(User, Role), UserId>>, StoreError>;

    /// How far the other members are with the reader's own message.
    async fn message_receipts(
        &self,
        reader: UserId,
        conversation: ConversationId,
        seq: Seq,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Result<MessageReceipts, ReceiptsRefused>, StoreError>;

    /// The `join_by_default` conversations that this account was never in and has not been offered yet; they count as
    /// offered now. A full one is skipped, and offered once there is room.
    async fn take_default_conversations(&self, user: UserId) -> Result<Vec<ConversationId>, StoreError>;

    /// Sets (or, with an empty value, deletes) own state.
    async fn set_own_state(&self, user: UserId, state: OwnState, now: Timestamp) -> Result<(), StoreError>;

    /// Forgets some of what is over: expired refresh tokens, keys of requests after a day, deletions of own state after 90
    /// days. At most `limit` rows of each, because appends wait meanwhile. True if there may be more.
    async fn forget_expired(&self, now: Timestamp, limit: usize) -> Result<bool, StoreError>;

    /// A secret of the whole system, made from `fresh` the first time it is asked for.
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError>;
}

/// A device that logs in.
#[derive(Debug, Clone)]
pub struct DeviceLogin {
    /// Whose.
    pub user: UserId,
    /// The device that logs in again; `None` for a new one.
    pub device: Option<DeviceId>,
    /// What the device list calls it.
    pub name: String,
    /// Its platform.
    pub platform: String,
    /// Its tokens.
    pub tokens: NewTokens,
    /// How many devices the user may have.
    pub rules: Vec<DeviceRule>,
    /// Whether older devices make room.
    pub when_full: WhenFull,
    /// Devices that are connected now: of those that could make room, they come last.
    pub online: Vec<DeviceId>,
}

/// How many devices a user may have, the one that logs in included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// True to count only devices of the platform of the one that logs in.
    pub of_platform: bool,
    /// How many of them; at least 1.
    pub most: u32,
}

/// What happens when a device logs in to an account that has as many as allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The one that was away longest is logged out.
    KickOld,
    /// The new one is refused.
    RejectNew,
}

/// A device that was logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLoggedIn {
    /// The device.
    pub device: Device,
    /// Devices that were revoked to make room.
    pub revoked: Vec<DeviceId>,
}
