//! The gate that keeps a session's sends to one conversation in order when one of them has to be retried.
//!
//! A retryable refusal opens it; later sends are refused as `retry_in_order` until the first refused one has been
//! answered for good. A new connection begins without gates.

use std::collections::HashMap;

use sparrow_protocol::{ClientMsgId, ConversationId};

/// Conversations of one session in which a send waits for its retry. Beyond, the session has to start over.
const MAX_OPEN: usize = 1024;

/// The gates of one session, by conversation.
#[derive(Debug, Default)]
pub(crate) struct Gates(HashMap<ConversationId, ClientMsgId>);

/// Too many conversations wait for a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Gates {
    /// True if this send may not go ahead of one that has to be retried.
    pub(crate) fn blocks(&self, conversation: ConversationId, id: ClientMsgId) -> bool {
        self.0.get(&conversation).is_some_and(|first| *first != id)
    }

    /// A send was refused and may be retried: what follows it has to wait. The first refused send stays the first.
    pub(crate) fn open(&mut self, conversation: ConversationId, id: ClientMsgId) -> Result<(), TooMany> {
        if self.0.len() >= MAX_OPEN && !self.0.contains_key(&conversation) {
            return Err(TooMany);
        }
        self.0.entry(conversation).or_insert(id);
        Ok(())
    }

    /// A send was stored, or refused for good.
    pub(crate) fn settle(&mut self, conversation: ConversationId, id: ClientMsgId) {
        if self.0.get(&conversation) == Some(&id) {
            self.0.remove(&conversation);
            if self.0.is_empty() {
                self.0 = HashMap::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(number: i64) -> ConversationId {
        ConversationId::new(number).unwrap()
    }

    fn id(byte: u8) -> ClientMsgId {
        ClientMsgId::new([byte; 16]).unwrap()
    }

    #[test]
    fn nothing_overtakes_the_first_refused_send() {
        let mut gates = Gates::default();
        gates.open(conversation(1), id(1)).unwrap();
        gates.open(conversation(1), id(2)).unwrap();
        assert!(gates.blocks(conversation(1), id(2)));
        assert!(!gates.blocks(conversation(1), id(1)));
        assert!(!gates.blocks(conversation(2), id(2)));

        gates.settle(conversation(1), id(2));
        assert!(gates.blocks(conversation(1), id(3)), "only the first refused send opens the way");
        gates.settle(conversation(1), id(1));
        assert!(!gates.blocks(conversation(1), id(3)));
    }

    #[test]
    fn gates_are_bounded() {
        let mut gates = Gates::default();
        for number in 1..=i64::try_from(MAX_OPEN).unwrap() {
            gates.open(conversation(number), id(1)).unwrap();
        }
        assert_eq!(gates.open(conversation(1_000_000), id(1)), Err(TooMany));
        assert_eq!(gates.open(conversation(1), id(2)), Ok(()));
    }
}
