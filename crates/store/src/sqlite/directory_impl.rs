//! [`Directory`] on SQLite: each method is a job for the writer or a reader.

use std::time::Duration;

use async_trait::async_trait;
use sparrow_protocol::{ConversationId, DeviceId, Role, Seq, Timestamp, UserId, Username};

use super::{Sqlite, accounts, allowances, conversations, devices, expiry, own_state};
use crate::StoreError;
use crate::directory::{
    ActivityKey, Allowance, Authenticated, Credentials, Device, DeviceLoggedIn, DeviceLogin, DeviceRefused, Directory,
    Listed, ListedConversation, MessageReceipts, NameTaken, NewTokens, NewUser, ProfileChange, ReceiptsRefused,
    Refreshed, TokenHash, UsedUp, User,
};
use crate::log::OwnState;

#[async_trait]
impl Directory for Sqlite {
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<Result<User, NameTaken>, StoreError> {
        self.writer.run(move |tx| accounts::create(tx, &user, now)).await
    }

    async fn credentials(&self, name: &Username) -> Result<Option<Credentials>, StoreError> {
        let name = name.clone();
        self.readers.run(move |db| accounts::credentials(db, &name)).await
    }

    async fn user_by_name(&self, name: &Username) -> Result<Option<User>, StoreError> {
        let name = name.clone();
        self.readers.run(move |db| accounts::by_name(db, &name)).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let ids = ids.to_vec();
        self.readers.run(move |db| accounts::by_ids(db, &ids)).await
    }

    async fn users_by_prefix(
        &self,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<Listed<User, String>, StoreError> {
        let prefix = prefix.to_owned();
        self.readers.run(move |db| accounts::by_prefix(db, &prefix, after.as_deref(), limit)).await
    }

    async fn update_profile(&self, user: UserId, change: ProfileChange) -> Result<Option<User>, StoreError> {
        self.writer.run(move |tx| accounts::update_profile(tx, user, &change)).await
    }

    async fn change_password(
        &self,
        user: UserId,
        password_hash: String,
        keep: DeviceId,
        now: Timestamp,
    ) -> Result<Option<Vec<DeviceId>>, StoreError> {
        self.writer.run(move |tx| devices::change_password(tx, user, &password_hash, keep, now)).await
    }

    async fn log_in_device(
        &self,
        login: DeviceLogin,
        now: Timestamp,
    ) -> Result<Result<DeviceLoggedIn, DeviceRefused>, StoreError> {
        self.writer.run(move |tx| devices::log_in(tx, &login, now)).await
    }

    async fn authenticate(&self, access: TokenHash, now: Timestamp) -> Result<Option<Authenticated>, StoreError> {
        self.readers.run(move |db| devices::authenticate(db, access, now)).await
    }

    async fn take_allowances(
        &self,
        allowances: Vec<Allowance>,
        now: Timestamp,
    ) -> Result<Result<(), UsedUp>, StoreError> {
        self.writer.run(move |tx| allowances::take(tx, &allowances, now)).await
    }

    async fn refresh(
        &self,
        refresh: TokenHash,
        tokens: NewTokens,
        grace: Duration,
        now: Timestamp,
    ) -> Result<Refreshed, StoreError> {
        self.writer.run(move |tx| devices::refresh(tx, refresh, &tokens, grace, now)).await
    }

    async fn begin_session(&self, device: DeviceId, now: Timestamp) -> Result<Option<i64>, StoreError> {
        self.writer.run(move |tx| devices::begin_session(tx, device, now)).await
    }

    async fn devices_seen(&self, devices: Vec<DeviceId>, now: Timestamp) -> Result<(), StoreError> {
        self.writer.run(move |tx| devices.iter().try_for_each(|device| devices::seen(tx, *device, now))).await
    }

    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        self.readers.run(move |db| devices::of_user(db, user)).await
    }

    async fn revoke_device(&self, user: UserId, device: DeviceId, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.run(move |tx| devices::revoke(tx, user, device, now)).await
    }

    async fn open_direct(
        &self,
        user: UserId,
        other: UserId,
        now: Timestamp,
    ) -> Result<Option<ConversationId>, StoreError> {
        self.writer.run(move |tx| conversations::open_pair(tx, user, other, now)).await
    }

    async fn open_self(&self, user: UserId, now: Timestamp) -> Result<ConversationId, StoreError> {
        let opened = self.writer.run(move |tx| conversations::open_pair(tx, user, user, now)).await?;
        opened.ok_or_else(|| StoreError::Failed("the notes of a user who does not exist".to_owned()))
    }

    async fn conversations(
        &self,
        user: UserId,
        after: Option<ActivityKey>,
        limit: usize,
    ) -> Result<Listed<ListedConversation, ActivityKey>, StoreError> {
        self.readers.run(move |db| conversations::list(db, user, after, limit)).await
    }

    async fn conversation(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<ListedConversation>, StoreError> {
        self.readers.run(move |db| conversations::listed(db, user, conversation)).await
    }

    async fn member_list(
        &self,
        reader: UserId,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Option<Listed<(User, Role), UserId>>, StoreError> {
        self.readers.run(move |db| conversations::member_list(db, reader, conversation, after, limit)).await
    }

    async fn message_receipts(
        &self,
        reader: UserId,
        conversation: ConversationId,
        seq: Seq,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Result<MessageReceipts, ReceiptsRefused>, StoreError> {
        self.readers.run(move |db| conversations::receipts(db, reader, conversation, seq, after, limit)).await
    }

    async fn take_default_conversations(&self, user: UserId) -> Result<Vec<ConversationId>, StoreError> {
        let group_members = self.group_members;
        self.writer.run(move |tx| conversations::take_default(tx, user, group_members)).await
    }

    async fn set_own_state(&self, user: UserId, state: OwnState, now: Timestamp) -> Result<(), StoreError> {
        self.writer.run(move |tx| own_state::set(tx, user, &state, now)).await
    }

    async fn forget_expired(&self, now: Timestamp, limit: usize) -> Result<bool, StoreError> {
        self.writer.run(move |tx| expiry::forget(tx.db, now, limit)).await
    }

    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        let name = name.to_owned();
        self.writer.run(move |tx| accounts::secret(tx, &name, fresh)).await
    }
}
