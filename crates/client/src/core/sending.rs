//! From the outbox to the wire, and what becomes of it. The order is `outbox`'s to keep.

use prost::Message as _;
use sparrow_protocol::v1::{self, Entry};
use sparrow_protocol::{Body, EntryKind};
use tokio::time::Instant;

use super::{Core, Effect, Pending};
use crate::cache::Change;
use crate::events::{Event, FailedMessage, SentMessage};

/// Of the requests that may be unanswered, those that sends leave to others.
const SPARE_REQUESTS: usize = 8;

impl Core {
    pub(super) fn load_outbox(&mut self) {
        if !self.loading
            && let Some(page) = self.outbox.wanted(self.loaded_to, self.more)
        {
            self.loading = true;
            self.effects.push(Effect::LoadOutbox(page));
        }
    }

    pub(super) fn send_waiting(&mut self) {
        let most = self.most_requests();
        let most = most.saturating_sub(SPARE_REQUESTS).max(1);
        while self.requests.len() < most
            && let Some(message) = self.outbox.next()
        {
            let send = v1::Send {
                conversation_id: message.conversation,
                client_msg_id: message.local_id.clone(),
                content: Some(message.content),
            };
            let pending = Pending::Send { conversation: message.conversation, local_id: message.local_id };
            self.request(v1::Send::COMMAND, send.encode_to_vec().into(), pending);
        }
        self.load_outbox();
    }

    pub(super) fn sent(&mut self, conversation: i64, local_id: &str, ack: &v1::SendAck, now: Instant) {
        let Some(message) = self.outbox.settled(conversation, local_id, now) else { return };
        self.effects.push(Effect::Persist(Change::Sent { local_id: local_id.to_owned() }));
        let entry = Entry {
            conversation_id: conversation,
            seq: ack.seq,
            kind: EntryKind::Message.as_str().to_owned(),
            sender_id: self.config.user_id,
            time: ack.time,
            client_msg_id: local_id.to_owned(),
            content: Some(message.content),
            ..Entry::default()
        };
        // The server pushes it to the user's other devices only.
        self.offer(conversation, vec![entry], now);
        self.effects.push(Effect::Emit(Event::Sent(SentMessage {
            local_id: local_id.to_owned(),
            conversation_id: conversation,
            seq: ack.seq,
            time: ack.time,
        })));
    }

    pub(super) fn failed(&mut self, conversation: i64, local_id: String, error: v1::Error, now: Instant) {
        self.outbox.settled(conversation, &local_id, now);
        let (code, message) = (error.code, error.message);
        let change = Change::Failed { local_id: local_id.clone(), code: code.clone(), message: message.clone() };
        self.effects.push(Effect::Persist(change));
        let failed = FailedMessage { local_id, conversation_id: conversation, code, message };
        self.effects.push(Effect::Emit(Event::Failed(failed)));
    }
}
