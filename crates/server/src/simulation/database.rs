//! The database in memory, as one life of a node sees it: slow, away, killed, or silent about what it did.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sparrow_protocol::{ClientMsgId, ConversationId, Seq, UserId};
use sparrow_store::log::{Appended, Batch, Members, Page, Range, StoredEntry, SyncChanges, SyncPosition};
use sparrow_store::model::Model;
use sparrow_store::{Log, StoreError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::faults::{Rule, broken};

/// What all nodes share.
pub(super) struct Database {
    pub(super) model: Mutex<Model>,
    /// Held by one append at a time.
    lock: tokio::sync::Mutex<()>,
    weather: Mutex<Weather>,
}

/// How the database is for now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    /// Nothing is answered but that it is away.
    pub(super) away: bool,
    /// Of 100 appends, so many fail without effect.
    pub(super) failing: u32,
    /// Of 100 appends, so many are committed without an answer that says so.
    pub(super) unknown: u32,
    /// The longest an append takes, in milliseconds.
    pub(super) slow_ms: u64,
}

impl Database {
    pub(super) fn new(model: Model) -> Arc<Self> {
        Arc::new(Self { model: Mutex::new(model), lock: tokio::sync::Mutex::default(), weather: Mutex::default() })
    }

    pub(super) fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }
}

/// A node's connection to the database; it ends with the node's life.
pub(super) struct Connection {
    database: Arc<Database>,
    chance: Mutex<StdRng>,
    killed: CancellationToken,
}

impl Connection {
    pub(super) fn new(database: &Arc<Database>, seed: u64, killed: CancellationToken) -> Arc<Self> {
        let chance = Mutex::new(StdRng::seed_from_u64(seed));
        Arc::new(Self { database: database.clone(), chance, killed })
    }

    fn draw(&self, below: u64) -> u64 {
        self.chance.lock().unwrap().random_range(0..below)
    }

    fn weather(&self) -> Weather {
        *self.database.weather.lock().unwrap()
    }

    /// Lets others go first, for a moment or for a while.
    async fn pause(&self) {
        for _ in 0..self.draw(4) {
            tokio::task::yield_now().await;
        }
        if self.draw(3) == 0 {
            sleep(Duration::from_millis(self.draw(self.weather().slow_ms + 3))).await;
        }
    }

    /// What this life of the node sees of an act: nothing any more once it is over, and then the act goes no further.
    async fn alive<T>(&self, act: impl Future<Output = T>) -> T {
        match self.killed.run_until_cancelled(act).await {
            Some(value) => value,
            None => std::future::pending().await,
        }
    }

    async fn read<T>(&self, read: impl FnOnce(&Model) -> T) -> Result<T, StoreError> {
        let act = async {
            self.pause().await;
            if self.weather().away || self.draw(100) < u64::from(self.weather().failing) / 2 {
                return Err(away());
            }
            let value = read(&self.database.model.lock().unwrap());
            self.pause().await;
            Ok(value)
        };
        self.alive(act).await
    }

    /// Stores a batch, or nothing of it. If it is not known which, it is run again before anything else, as the contract
    /// of [`Log::append`] asks.
    async fn store(&self, mut batch: Batch) -> Result<Appended, StoreError> {
        self.pause().await;
        let Weather { away: is_away, failing, .. } = self.weather();
        if is_away || self.draw(100) < u64::from(failing) {
            return Err(away());
        }
        loop {
            let appended = self.commit(&batch).await;
            self.pause().await;
            if self.draw(100) >= u64::from(self.weather().unknown) {
                return Ok(appended);
            }
            if broken(Rule::RetryWithNewId) {
                for command in &mut batch.commands {
                    let id = self.chance.lock().unwrap().random();
                    command.client_msg_id = ClientMsgId::new(id).unwrap();
                }
            }
        }
    }

    async fn commit(&self, batch: &Batch) -> Appended {
        let before = broken(Rule::MembershipInLockingStatement).then(|| self.database.model.lock().unwrap().clone());
        self.pause().await;
        let _held = self.database.lock.lock().await;
        let mut model = self.database.model.lock().unwrap();
        match before {
            Some(before) => model.append_judged_by(batch, &before),
            None => model.append(batch),
        }
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("away".to_owned())
}

#[async_trait]
impl Log for Connection {
    async fn append(&self, batch: Arc<Batch>) -> Result<Appended, StoreError> {
        self.alive(self.store(Batch::clone(&batch))).await
    }

    async fn members(&self, conversation: ConversationId, version: i64) -> Result<Option<Members>, StoreError> {
        self.read(|model| model.members(conversation, version)).await
    }

    async fn pull(
        &self,
        reader: UserId,
        conversation: ConversationId,
        range: Range,
    ) -> Result<Option<Page>, StoreError> {
        self.read(|model| model.pull(reader, conversation, range)).await
    }

    async fn entries(
        &self,
        conversation: ConversationId,
        from: Seq,
        to: Seq,
    ) -> Result<(i64, Vec<StoredEntry>), StoreError> {
        self.read(|model| model.entries(conversation, from, to)).await
    }

    async fn sync(&self, user: UserId, position: Option<SyncPosition>, _: usize) -> Result<SyncChanges, StoreError> {
        self.read(|model| model.sync(user, position)).await
    }

    async fn epoch(&self) -> Result<String, StoreError> {
        self.read(Model::epoch).await
    }
}
