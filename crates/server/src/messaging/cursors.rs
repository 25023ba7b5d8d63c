//! Delivered cursors on their way to the log: merged per user and conversation until a transaction takes them along.

use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sparrow_protocol::{ConversationId, Seq, UserId};
use sparrow_store::log::CursorAdvance;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::collections::HashMap;

/// How long a cursor waits for a transaction before it gets one of its own.
const HOLD: Duration = Duration::from_secs(1);
/// Cursors that may wait; beyond, those of further conversations are dropped, and the client's next `Ack` brings them.
const MAX_WAITING: usize = 200_000;

/// The cursors that wait.
#[derive(Debug, Default)]
pub(crate) struct WaitingCursors {
    waiting: Mutex<Waiting>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    delivered: HashMap<(UserId, ConversationId), Seq>,
    since: Option<Instant>,
}

impl WaitingCursors {
    /// Notes how far a user's device is. False if there was no room.
    pub(crate) fn add(&self, user: UserId, conversation: ConversationId, seq: Seq) -> bool {
        let mut waiting = self.lock();
        let full = waiting.delivered.len() >= MAX_WAITING;
        match waiting.delivered.entry((user, conversation)) {
            Entry::Occupied(mut entry) => {
                let furthest = (*entry.get()).max(seq);
                entry.insert(furthest);
            }
            Entry::Vacant(_) if full => return false,
            Entry::Vacant(entry) => {
                entry.insert(seq);
            }
        }
        if waiting.since.is_none() {
            waiting.since = Some(Instant::now());
            self.added.notify_one();
        }
        true
    }

    /// Completes when the oldest cursor has waited long enough. Cancel-safe.
    pub(crate) async fn due(&self) {
        loop {
            let since = self.lock().since;
            match since {
                Some(since) => return tokio::time::sleep_until(since + HOLD).await,
                None => self.added.notified().await,
            }
        }
    }

    /// Takes at most `limit` cursors along.
    pub(crate) fn take(&self, limit: usize) -> Vec<CursorAdvance> {
        let mut waiting = self.lock();
        if waiting.delivered.len() <= limit {
            waiting.since = None;
            return std::mem::take(&mut waiting.delivered).into_iter().map(advance).collect();
        }
        let keys: Vec<_> = waiting.delivered.keys().take(limit).copied().collect();
        keys.into_iter().filter_map(|key| waiting.delivered.remove_entry(&key)).map(advance).collect()
    }

    /// Cursors that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().delivered.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn advance(((user, conversation), seq): ((UserId, ConversationId), Seq)) -> CursorAdvance {
    CursorAdvance { user, conversation, delivered: Some(seq), read: None }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{conversation, seq, user};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cursors_of_one_user_and_conversation_are_merged_as_a_maximum() {
        let cursors = WaitingCursors::default();
        for number in [3, 9, 5] {
            assert!(cursors.add(user(1), conversation(1), seq(number)));
        }
        let begun = Instant::now();
        cursors.due().await;
        assert_eq!(begun.elapsed(), HOLD);
        let taken = cursors.take(10);
        assert_eq!(
            taken,
            vec![CursorAdvance { user: user(1), conversation: conversation(1), delivered: Some(seq(9)), read: None }]
        );
        assert!(cursors.take(10).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_into_one_transaction_is_due_for_the_next() {
        let cursors = WaitingCursors::default();
        for number in 1..=5 {
            assert!(cursors.add(user(number), conversation(1), seq(1)));
        }
        assert_eq!(cursors.take(3).len(), 3);
        cursors.due().await;
        assert_eq!(cursors.take(3).len(), 2);
    }
}
