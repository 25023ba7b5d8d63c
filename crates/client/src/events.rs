//! What a program is told, and the subscription that tells it.
//!
//! Entries wait in the cache until they are handled; everything else goes through a bounded channel that drops the
//! oldest. So a slow program costs memory neither here nor on the connection, and misses no entry.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sparrow_protocol::v1::{ConversationState, Entry, OwnState, Receipt, Signal, UserPresence};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Waiting};
use crate::error::Error;

/// Events that wait for a slow subscriber before the oldest is dropped.
const WAITING_EVENTS: usize = 1024;

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The connection is up; what was missed is being read.
    Connected {
        /// The server's name and version.
        server: String,
        /// The database's life.
        epoch: String,
    },
    /// Everything that was missed has been read.
    CaughtUp,
    /// The connection is gone. The SDK connects again by itself.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
        /// When the next attempt is made.
        retry_in: Duration,
    },
    /// An entry of a log: a message, a change of membership, ... Exactly once each, contiguous, in order.
    Entry(Entry),
    /// A message of this device is durable.
    Sent(SentMessage),
    /// A message of this device was refused for good. It stays in the list of failed ones until it is discarded.
    Failed(FailedMessage),
    /// Another member has received or read more.
    Receipt(Receipt),
    /// Own state changed.
    StateChanged(Vec<OwnState>),
    /// A signal of somebody online, such as `typing`.
    Signal(Signal),
    /// Users one subscribed to came or went.
    Presence(Vec<UserPresence>),
    /// A conversation is new, or its name, role, members or cursors changed.
    ConversationChanged(ConversationState),
    /// The server was restored from a back-up. Logs have been read anew.
    EpochChanged {
        /// Own messages that had been acked and are gone.
        lost: Vec<LostMessage>,
    },
    /// The session is over for good. Nothing is tried again; the outbox is kept. The tokens are forgotten only if they
    /// do not work any more.
    LoggedOut {
        /// Why.
        reason: LogOutReason,
    },
    /// This subscriber was too slow; so many events other than entries were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// Why a connection ended, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// It could not be made: nothing answers at the address, or something that is no Sparrow server.
    Unreachable,
    /// The server's certificate is not of an authority that is trusted, or is for another name.
    Untrusted,
    /// It broke; one sentence for a person.
    Network(String),
    /// Nothing was heard for too long.
    Silence,
    /// The server said goodbye, with this word.
    Goodbye(String),
    /// The server refused the session, with this code.
    Refused(String),
    /// The server broke the protocol.
    Protocol(String),
    /// The local store cannot be used; one sentence for a person.
    Storage(String),
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogOutReason {
    /// This program asked for it.
    Requested,
    /// The tokens were refused.
    Unauthenticated,
    /// The server ended it, with this word: `revoked` (the device was logged out), `replaced` (it opened a newer
    /// connection), `policy`, ...
    Server(String),
}

/// A message that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// What [`crate::Client::send`] returned.
    pub local_id: String,
    /// The conversation.
    pub conversation_id: i64,
    /// Its number there.
    pub seq: i64,
    /// When it was stored, milliseconds since 1970 UTC.
    pub time: i64,
}

/// A message that was refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedMessage {
    /// What [`crate::Client::send`] returned.
    pub local_id: String,
    /// The conversation.
    pub conversation_id: i64,
    /// The server's code.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
}

/// An own message that had been acked in an earlier life of the database and is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct LostMessage {
    /// The entry as it was.
    pub entry: Entry,
}

/// The sending side of all subscriptions of a client.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    events: broadcast::Sender<Event>,
    /// Entries go to one subscription at a time.
    entries: Arc<Semaphore>,
    closed: CancellationToken,
    end: Arc<Mutex<End>>,
}

/// What is known of the end of the session, which is told once.
#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    /// This program is logging out; meanwhile the server may say why it closes.
    Leaving(Option<LogOutReason>),
    Told,
}

/// A log-out under way. Dropped without [`Leaving::done`], it did not come to pass.
#[derive(Debug)]
pub(crate) struct Leaving(Hub);

impl Leaving {
    /// The session is over, because this program asked for it.
    pub(crate) fn done(self) {
        let mut end = self.0.end();
        if let End::Leaving(said) = &mut *end {
            *said = Some(LogOutReason::Requested);
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let reason = match &mut *self.0.end() {
            End::Leaving(reason) => reason.take(),
            End::Open | End::Told => return,
        };
        *self.0.end() = End::Open;
        if let Some(reason) = reason {
            self.0.logged_out(reason);
        }
    }
}

impl Hub {
    pub(crate) fn new(closed: CancellationToken) -> Self {
        let (events, entries) = (broadcast::Sender::new(WAITING_EVENTS), Arc::new(Semaphore::new(1)));
        Self { events, entries, closed, end: Arc::default() }
    }

    /// Begins a log-out; what the server says about it waits for its outcome.
    pub(crate) fn leave(&self) -> Leaving {
        let mut end = self.end();
        if matches!(*end, End::Open) {
            *end = End::Leaving(None);
        }
        drop(end);
        Leaving(self.clone())
    }

    /// Tells that the session is over, unless that was told.
    pub(crate) fn logged_out(&self, reason: LogOutReason) {
        let mut end = self.end();
        match &mut *end {
            End::Told => {}
            End::Leaving(said) => {
                said.get_or_insert(reason);
            }
            End::Open => {
                *end = End::Told;
                drop(end);
                self.emit(Event::LoggedOut { reason });
            }
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn emit(&self, event: Event) {
        // No subscriber is no error.
        drop(self.events.send(event));
    }

    pub(crate) fn subscribe(&self, cache: Cache) -> Events {
        let news = cache.news();
        Events {
            events: self.events.subscribe(),
            entries: Arc::clone(&self.entries),
            closed: self.closed.clone(),
            news,
            cache,
            turn: None,
            waiting: VecDeque::new(),
            read_up_to: 0,
            in_hand: None,
            life: 0,
            look: true,
        }
    }
}

/// A subscription. Entries go to one subscription of a client at a time: the first, and after its end the next one.
/// Every subscription gets all other events.
#[derive(Debug)]
pub struct Events {
    events: broadcast::Receiver<Event>,
    entries: Arc<Semaphore>,
    closed: CancellationToken,
    news: watch::Receiver<u64>,
    cache: Cache,
    /// Held by the subscription that gets the entries.
    turn: Option<OwnedSemaphorePermit>,
    waiting: VecDeque<Waiting>,
    /// The last place of the cache's queue that is in `waiting` or was handed out.
    read_up_to: i64,
    /// The entry handed out last, until it is handled.
    in_hand: Option<Waiting>,
    /// The life of the queue that `waiting` was read in.
    life: u64,
    /// True if the cache may have entries that were not read.
    look: bool,
}

/// What woke a waiting subscription.
#[expect(clippy::large_enum_variant, reason = "lives for a moment on the stack")]
enum Woken {
    Event(Result<Event, broadcast::error::RecvError>),
    News,
    Turn(Option<OwnedSemaphorePermit>),
    Closed,
}

impl Events {
    /// The next event; the entry returned before counts as handled. `None` once the client is closed.
    ///
    /// Cancel-safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        if let Err(error) = self.handled().await {
            if error != Error::Closed {
                tracing::error!(%error, "cannot write down that an entry is handled; no more are handed out");
            }
            return None;
        }
        loop {
            match self.events.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(missed)) => return Some(Event::Lagged { missed }),
                Err(_) => {}
            }
            if let Some(entry) = self.next_entry().await {
                return Some(Event::Entry(entry));
            }
            match self.woken().await {
                Woken::Event(Ok(event)) => return Some(event),
                Woken::Event(Err(broadcast::error::RecvError::Lagged(missed))) => {
                    return Some(Event::Lagged { missed });
                }
                Woken::News => self.look = true,
                Woken::Turn(turn) => self.turn = turn,
                Woken::Event(Err(broadcast::error::RecvError::Closed)) | Woken::Closed => return None,
            }
        }
    }

    /// Says that the entry returned last is dealt with, and waits until that is written down.
    ///
    /// # Errors
    /// [`Error::Storage`] if it cannot be written, [`Error::Closed`] after the client was closed.
    pub async fn handled(&mut self) -> Result<(), Error> {
        if let Some(waiting) = &self.in_hand {
            self.cache.handled(waiting.clone()).await?;
            self.in_hand = None;
        }
        Ok(())
    }

    async fn next_entry(&mut self) -> Option<Entry> {
        self.turn.as_ref()?;
        let life = self.cache.queue_life();
        if self.life != life {
            // Another epoch: what was read may be gone, and comes again if it is not.
            self.life = life;
            self.waiting.clear();
            self.look = true;
        }
        if self.waiting.is_empty() && self.look {
            match self.cache.waiting(self.read_up_to).await {
                Ok(waiting) => {
                    // A full read may have left more behind; an empty one has not.
                    self.look = !waiting.is_empty();
                    self.waiting = waiting.into();
                    self.read_up_to = self.waiting.back().map_or(self.read_up_to, |last| last.place);
                }
                Err(error) => {
                    tracing::error!(%error, "cannot read received entries");
                    self.look = false;
                }
            }
        }
        let next = self.waiting.pop_front()?;
        let entry = next.entry.clone();
        self.in_hand = Some(next);
        Some(entry)
    }

    async fn woken(&mut self) -> Woken {
        let entries = Arc::clone(&self.entries);
        tokio::select! {
            event = self.events.recv() => Woken::Event(event),
            turn = entries.acquire_owned(), if self.turn.is_none() => Woken::Turn(turn.ok()),
            news = self.news.changed(), if self.turn.is_some() => match news {
                Ok(()) => Woken::News,
                Err(_) => Woken::Closed,
            },
            () = self.closed.cancelled() => Woken::Closed,
        }
    }
}
