//! The gate that keeps a session's sends to one conversation in order when one of them has to be retried.
//!
//! A retryable refusal opens it; later sends are refused as `retry_in_order` until the first refused one has been
//! answered for good. Sends that were accepted *before* the refused one are not held up: a refusal at the door, for its
//! rate say, is told while they still wait for the lane. A new connection begins without gates.

use std::collections::HashMap;

use sparrow_protocol::{ClientMsgId, ConversationId};

/// Conversations of one session in which a send waits for its retry. Beyond, the session has to start over.
const MAX_OPEN: usize = 1024;

/// Where a send stands in the order in which its session's frames came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// The gates of one session, by conversation.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    last: Place,
    open: HashMap<ConversationId, First>,
}

/// The first send that was refused, by the order sent.
#[derive(Debug)]
struct First {
    id: ClientMsgId,
    place: Place,
}

/// Too many conversations wait for a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Gates {
    /// The place of a send that came now.
    pub(crate) fn next_place(&mut self) -> Place {
        self.last.0 += 1;
        self.last
    }

    /// True if this send may not go ahead of one that has to be retried.
    pub(crate) fn blocks(&self, conversation: ConversationId, id: ClientMsgId, place: Place) -> bool {
        self.open.get(&conversation).is_some_and(|first| first.id != id && first.place < place)
    }

    /// A send was refused and may be retried: what came after it has to wait.
    pub(crate) fn open(&mut self, conversation: ConversationId, id: ClientMsgId, place: Place) -> Result<(), TooMany> {
        if self.open.len() >= MAX_OPEN && !self.open.contains_key(&conversation) {
            return Err(TooMany);
        }
        let first = self.open.entry(conversation).or_insert(First { id, place });
        if place < first.place {
            *first = First { id, place };
        }
        Ok(())
    }

    /// A send was stored, or refused for good.
    pub(crate) fn settle(&mut self, conversation: ConversationId, id: ClientMsgId) {
        if self.open.get(&conversation).is_some_and(|first| first.id == id) {
            self.open.remove(&conversation);
            if self.open.is_empty() {
                self.open = HashMap::new();
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
        let (first, second) = (gates.next_place(), gates.next_place());
        gates.open(conversation(1), id(1), first).unwrap();
        gates.open(conversation(1), id(2), second).unwrap();
        let later = gates.next_place();
        assert!(gates.blocks(conversation(1), id(2), later));
        assert!(!gates.blocks(conversation(1), id(1), later));
        assert!(!gates.blocks(conversation(2), id(2), later));

        gates.settle(conversation(1), id(2));
        assert!(gates.blocks(conversation(1), id(3), later), "only the first refused send opens the way");
        gates.settle(conversation(1), id(1));
        assert!(!gates.blocks(conversation(1), id(3), later));
    }

    #[test]
    fn what_came_before_the_refused_send_goes_on_and_if_refused_is_the_first() {
        let mut gates = Gates::default();
        let (before, refused) = (gates.next_place(), gates.next_place());
        gates.open(conversation(1), id(2), refused).unwrap();
        assert!(!gates.blocks(conversation(1), id(1), before));
        gates.open(conversation(1), id(1), before).unwrap();
        let later = gates.next_place();
        assert!(gates.blocks(conversation(1), id(2), later));
        assert!(!gates.blocks(conversation(1), id(1), later));
    }

    #[test]
    fn gates_are_bounded() {
        let mut gates = Gates::default();
        for number in 1..=i64::try_from(MAX_OPEN).unwrap() {
            gates.open(conversation(number), id(1), Place::default()).unwrap();
        }
        assert_eq!(gates.open(conversation(1_000_000), id(1), Place::default()), Err(TooMany));
        assert_eq!(gates.open(conversation(1), id(2), Place::default()), Ok(()));
    }
}
