//! A device's messages to one conversation that have no answer: sent in order, many at a time, and after a retryable
//! refusal in order again, as docs/protocol.md asks of clients.

use std::collections::VecDeque;
use std::time::Duration;

use sparrow_protocol::ClientMsgId;
use sparrow_store::log::Append;
use tokio::time::Instant;

/// How long a device waits after a retryable refusal.
const WAIT: Duration = Duration::from_millis(80);

#[derive(Default)]
pub(super) struct Outbox {
    messages: VecDeque<Waiting>,
    gate: Gate,
}

struct Waiting {
    append: Append,
    in_flight: bool,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Gate {
    #[default]
    Open,
    /// Refused; answers to what is in flight are awaited.
    Draining,
    Shut(Instant),
    /// The first one goes alone.
    Probing,
}

impl Outbox {
    pub(super) fn push(&mut self, append: Append) {
        self.messages.push_back(Waiting { append, in_flight: false });
    }

    /// What may be sent now, in order.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Append> {
        if let Gate::Shut(until) = self.gate
            && now >= until
        {
            self.gate = Gate::Probing;
        }
        let many = match self.gate {
            Gate::Open => usize::MAX,
            Gate::Probing if !self.messages.iter().any(|message| message.in_flight) => 1,
            _ => 0,
        };
        let ready = self.messages.iter_mut().filter(|message| !message.in_flight).take(many);
        let taken = ready.map(|message| {
            message.in_flight = true;
            message.append.clone()
        });
        taken.collect()
    }

    /// Stored, or refused for good.
    pub(super) fn settled(&mut self, id: ClientMsgId, now: Instant) {
        self.messages.retain(|message| message.append.client_msg_id != id);
        if self.gate == Gate::Probing {
            self.gate = Gate::Open;
        }
        self.shut_if_drained(now);
    }

    /// Refused for now.
    pub(super) fn refused(&mut self, id: ClientMsgId, now: Instant) {
        for message in self.messages.iter_mut().filter(|message| message.append.client_msg_id == id) {
            message.in_flight = false;
        }
        if matches!(self.gate, Gate::Open | Gate::Probing) {
            self.gate = Gate::Draining;
        }
        self.shut_if_drained(now);
    }

    /// The connection is gone, and with it every answer.
    pub(super) fn lost(&mut self) {
        self.messages.iter_mut().for_each(|message| message.in_flight = false);
        self.gate = Gate::Open;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn shut_if_drained(&mut self, now: Instant) {
        if self.gate == Gate::Draining && !self.messages.iter().any(|message| message.in_flight) {
            self.gate = Gate::Shut(now + WAIT);
        }
    }
}
