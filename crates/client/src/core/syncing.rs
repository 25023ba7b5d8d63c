//! Reading what changed while nobody listened: pages of `Sync`, and what they say of each conversation.

use std::collections::HashSet;
use std::time::Duration;

use prost::Message as _;
use sparrow_protocol::Body;
use sparrow_protocol::v1::{self, ConversationState};
use tokio::time::Instant;

use super::timeline::{Timeline, before_visible, visible_head};
use super::{Core, Effect, Known, Pending};
use crate::cache::Change;
use crate::events::{DisconnectReason, Event};
use crate::options::Start;

/// Where reading what changed stands.
#[derive(Debug, Default)]
pub(super) enum Syncing {
    #[default]
    Idle,
    Running {
        /// The cursor of the page that was asked for.
        cursor: String,
        /// Conversations named so far.
        named: HashSet<i64>,
    },
}

impl Core {
    pub(super) fn start_sync(&mut self, now: Instant) {
        if !self.config.receive {
            return;
        }
        self.sync_at = Some(now + self.config.timings.resync_every);
        if matches!(self.syncing, Syncing::Running { .. }) {
            self.sync_again = true;
            return;
        }
        self.ask_sync(self.cursor.clone(), HashSet::new());
    }

    fn ask_sync(&mut self, cursor: String, named: HashSet<i64>) {
        let sync = v1::Sync { cursor: cursor.clone(), limit: 0 };
        self.syncing = Syncing::Running { cursor, named };
        self.request(v1::Sync::COMMAND, sync.encode_to_vec().into(), Pending::Sync);
    }

    pub(super) fn sync_page(&mut self, page: v1::SyncPage, now: Instant) {
        let Syncing::Running { cursor: asked, mut named } = std::mem::take(&mut self.syncing) else { return };
        if page.epoch != self.epoch || (page.more && page.cursor == asked) {
            // Another database took over, or the pages lead nowhere; a new connection sorts it out.
            let reason = DisconnectReason::Protocol("the sync does not belong to this connection".to_owned());
            self.effects.push(Effect::Disconnect { reason, wait: Duration::ZERO });
            return;
        }
        for state in page.conversations {
            named.insert(state.conversation_id);
            self.conversation(&state, now);
        }
        self.own_state(page.states);
        if page.more {
            self.ask_sync(page.cursor, named);
            return;
        }
        if page.full {
            self.forget_all_but(&named);
        }
        self.synced = true;
        self.synced_here = true;
        self.cursor.clone_from(&page.cursor);
        self.effects.push(Effect::Persist(Change::Cursor(page.cursor)));
        if std::mem::take(&mut self.sync_again) {
            self.start_sync(now);
        }
    }

    fn conversation(&mut self, state: &ConversationState, now: Instant) {
        let id = state.conversation_id;
        // In another epoch, a back-up may end before all that is kept here.
        let shorter = |known: &Known| !self.synced && known.timeline.position() > visible_head(state);
        if self.known.get(&id).is_some_and(shorter) {
            self.known.remove(&id);
        }
        match self.known.get_mut(&id) {
            Some(known) => {
                if known.state != *state {
                    known.state = state.clone();
                    known.stated_at = state.head;
                    self.effects.push(Effect::Persist(Change::State(state.clone())));
                    self.effects.push(Effect::Emit(Event::ConversationChanged(state.clone())));
                }
            }
            None => {
                let position = self.beginning(state);
                let known = Known { state: state.clone(), stated_at: state.head, timeline: Timeline::new(position) };
                self.known.insert(id, known);
                self.effects.push(Effect::Persist(Change::Opened { state: state.clone(), position }));
                self.effects.push(Effect::Emit(Event::ConversationChanged(state.clone())));
            }
        }
        if let Some(known) = self.known.get_mut(&id) {
            known.timeline.reach(visible_head(state));
            if known.timeline.position() > state.delivered {
                self.acknowledge(id, now);
            }
        }
        self.want_pull(id);
    }

    /// The position at which the stream of a conversation begins that this device did not know.
    fn beginning(&self, state: &ConversationState) -> i64 {
        let first = before_visible(state);
        let start = if self.synced { Start::Beginning } else { self.config.start };
        match start {
            Start::Beginning => first,
            Start::Unread => first.max(state.read.min(visible_head(state))),
            Start::Head => first.max(visible_head(state)),
        }
    }

    fn forget_all_but(&mut self, named: &HashSet<i64>) {
        let gone: Vec<i64> = self.known.keys().copied().filter(|id| !named.contains(id)).collect();
        for id in gone {
            self.known.remove(&id);
            self.effects.push(Effect::Persist(Change::Forgotten(id)));
        }
    }
}
