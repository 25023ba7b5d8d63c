//! The Rust SDK: everything a program needs to take part in Sparrow conversations.
//!
//! A [`Client`] keeps one connection alive, sends what is in its durable outbox, fills every gap and hands out one
//! merged stream of [`Event`]s. Terminal interfaces and bots stand on it; nothing here prints or draws.
//!
//! ```no_run
//! use sparrow_client::{Client, Credentials, Error, Event, Options, Store};
//!
//! # async fn example() -> Result<(), Error> {
//! let credentials = Credentials { name: "ann".to_owned(), password: "correct horse".to_owned() };
//! let options = Options { store: Store::Directory("ann".into()), ..Options::default() };
//! let client = Client::log_in("http://127.0.0.1:7700", credentials, options).await?;
//! let direct = client.open_direct("@bob").await?.state.unwrap_or_default();
//! client.send_text(direct.conversation_id, "hello").await?;
//! let mut events = client.events();
//! while let Some(event) = events.next().await {
//!     if let Event::Entry(entry) = event {
//!         println!("#{} {}", entry.seq, entry.content.unwrap_or_default().text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - [`Client::send`] returns once the message is in the outbox on disk. From there it reaches the log exactly once, in
//!   order within its conversation, however often the connection or the program dies; or it fails for good, is
//!   announced by [`Event::Failed`] and stays inspectable with [`Client::failed`].
//! - [`Event::Entry`] names each entry that this device may see exactly once, in increasing `seq` within a conversation.
//!   The position is kept in the cache. An entry counts as handled when the next event is asked for (or
//!   [`Events::handled`] is called); a program that dies while it handles an entry gets that one entry again.
//! - The other events tell about the moment. A subscriber that is too slow loses some of them and is told how many
//!   by [`Event::Lagged`]; entries are never lost that way, because they wait in the cache.

mod backoff;
mod cache;
mod client;
mod connection;
mod core;
mod engine;
mod error;
mod events;
mod history;
mod http;
mod listener;
mod options;
mod session;
mod tls;

pub use client::{Client, NewGroup, OutboxMessage};
pub use error::{Error, Refusal};
pub use events::{DisconnectReason, Event, Events, FailedMessage, LogOutReason, LostMessage, SentMessage};
pub use listener::{Flow, Listener};
pub use options::{Carrier, Credentials, Options, Start, Store, Timings};
pub use session::StoredSession;
pub use sparrow_protocol::Codec;
pub use sparrow_protocol::v1::{
    Content, Conversation, ConversationList, ConversationState, Device, DeviceList, Entry, FileRef, Interval, Member,
    MemberList, MemberRole, MembershipChange, Mention, OwnState, Receipt, ReceiptList, ReceiptState, Reference,
    SettingsChange, Signal, User, UserList, UserPresence,
};
