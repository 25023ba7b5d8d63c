//! What goes through conversations: messages, history, cursors, signals.

use std::time::Duration;

use prost::Message as _;
use sparrow_protocol::{limits, v1};
use uuid::Uuid;

use super::Client;
use crate::cache::Saved;
use crate::error::Error;
use crate::history;

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

/// Messages.
impl Client {
    /// Puts a message into the outbox and returns its id (a UUID, the `client_msg_id` of the entry to be). Durable when
    /// this returns. [`Event::Sent`](crate::Event::Sent) or [`Event::Failed`](crate::Event::Failed) tells what became of
    /// it.
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
        history::before(&self.inner.engine, &self.inner.cache, conversation_id, before_seq, limit).await
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

    /// Says of whom one wants to be told that they come and go, at most 500 users, instead of those named before; answers
    /// how they are now. Changes come as [`Event::Presence`](crate::Event::Presence). A subscription ends with its
    /// connection: subscribe anew at each [`Event::Connected`](crate::Event::Connected).
    ///
    /// # Errors
    /// [`Error::NotConnected`]; [`Error::Refused`].
    pub async fn subscribe_presence(&self, user_ids: Vec<i64>) -> Result<Vec<v1::UserPresence>, Error> {
        let answer: v1::Presence = self.inner.engine.request(&v1::PresenceSubscribe { user_ids }).await?;
        Ok(answer.users)
    }

    /// Says who may know whether and when one is online: `all`, `contacts` or `nobody`.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Refused`].
    pub async fn set_presence_visibility(&self, who: &str) -> Result<v1::User, Error> {
        let change = v1::UpdateProfileRequest { presence: Some(who.to_owned()), ..Default::default() };
        self.inner.http.update_profile(&change).await
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
