//! [`Log`] on SQLite: each method is a job for the writer or a reader.

use std::sync::Arc;

use async_trait::async_trait;
use sparrow_protocol::{ConversationId, Seq, UserId};

use super::{Sqlite, append, epoch, membership, pull, sync};
use crate::StoreError;
#[cfg(feature = "sabotage")]
use crate::faults::{Rule, broken};
use crate::log::{Appended, Batch, Log, Members, Page, Range, StoredEntry, SyncChanges, SyncPosition};

#[async_trait]
impl Log for Sqlite {
    async fn append(&self, batch: Arc<Batch>) -> Result<Appended, StoreError> {
        #[cfg(feature = "sabotage")]
        if broken(Rule::AckBeforeCommit) {
            return self.append_after_answering(batch).await;
        }
        append::append(&self.writer, batch, self.group_members).await
    }

    async fn members(&self, conversation: ConversationId, version: i64) -> Result<Option<Members>, StoreError> {
        self.readers.run(move |db| membership::changed_since(db, conversation, version)).await
    }

    async fn pull(
        &self,
        reader: UserId,
        conversation: ConversationId,
        range: Range,
    ) -> Result<Option<Page>, StoreError> {
        self.readers.run(move |db| pull::page(db, reader, conversation, &range)).await
    }

    async fn entries(
        &self,
        conversation: ConversationId,
        from: Seq,
        to: Seq,
    ) -> Result<(i64, Vec<StoredEntry>), StoreError> {
        self.readers.run(move |db| pull::between(db, conversation, from, to)).await
    }

    async fn sync(
        &self,
        user: UserId,
        position: Option<SyncPosition>,
        limit: usize,
    ) -> Result<SyncChanges, StoreError> {
        self.readers.run(move |db| sync::changes(db, user, position, limit)).await
    }

    async fn epoch(&self) -> Result<String, StoreError> {
        self.readers.run(|db| Ok(epoch::fact(db, epoch::EPOCH)?.unwrap_or_default())).await
    }
}
