//! What comes in of known conversations: pushes and pulled pages become the stream, which is acknowledged; state that
//! other devices changed.

use prost::Message as _;
use sparrow_protocol::v1::{self, Entry};
use sparrow_protocol::{Body, EntryKind, limits};
use tokio::time::Instant;

use super::{Core, Effect, Known, Pending, Syncing};
use crate::cache::Change;
use crate::events::Event;

impl Core {
    pub(super) fn push(&mut self, push: v1::Push, now: Instant) {
        self.offer(push.conversation_id, push.entries, now);
        self.send_pulls();
    }

    pub(super) fn offer(&mut self, conversation: i64, entries: Vec<Entry>, now: Instant) {
        if !self.config.receive {
            return;
        }
        let Some(known) = self.known.get_mut(&conversation) else {
            // Its state says where the stream begins. The entries come with the pull that follows.
            self.start_sync(now);
            return;
        };
        let last = entries.iter().map(|entry| entry.seq).max().unwrap_or(0);
        let next = known.timeline.offer(entries);
        known.state.head = known.state.head.max(last);
        self.advance(conversation, next, now);
        self.want_pull(conversation);
    }

    /// Writes the next entries of a stream down and lets their meaning take effect.
    fn advance(&mut self, conversation: i64, entries: Vec<Entry>, now: Instant) {
        let Some(known) = self.known.get_mut(&conversation) else { return };
        let position = known.timeline.position();
        let before = known.state.clone();
        let mut changed_membership = false;
        for entry in &entries {
            changed_membership |= note(known, entry, self.config.user_id);
        }
        if changed_membership {
            self.start_sync(now);
        }
        let Some(known) = self.known.get(&conversation) else { return };
        let changed = known.state.name != before.name || known.state.member_count != before.member_count;
        if !entries.is_empty() {
            self.effects.push(Effect::Persist(Change::State(known.state.clone())));
        }
        if changed {
            self.effects.push(Effect::Emit(Event::ConversationChanged(known.state.clone())));
        }
        self.effects.push(Effect::Persist(Change::Advanced { conversation, entries, position }));
        self.acknowledge(conversation, now);
    }

    pub(super) fn acknowledge(&mut self, conversation: i64, now: Instant) {
        self.unacked.insert(conversation);
        if self.ack_at.is_none() {
            self.ack_at = Some(now + self.config.timings.ack_every);
        }
    }

    pub(super) fn send_ack(&mut self, now: Instant) {
        let mut cursors = Vec::new();
        while cursors.len() < limits::ACK_CURSORS
            && let Some(conversation) = self.unacked.pop_first()
        {
            if let Some(known) = self.known.get(&conversation) {
                cursors.push(v1::Cursor { conversation_id: conversation, seq: known.timeline.position() });
            }
        }
        self.ack_at = (!self.unacked.is_empty()).then(|| now + self.config.timings.ack_every);
        if !cursors.is_empty() {
            self.tell(v1::Ack::COMMAND, v1::Ack { cursors }.encode_to_vec().into());
        }
    }

    pub(super) fn state_changed(&mut self, changed: v1::StateChanged, now: Instant) {
        for state in &changed.states {
            match state.kind.as_str() {
                // Only `Sync` tells a conversation whole.
                "membership" => self.start_sync(now),
                "cursor" => self.cursor_moved(state),
                _ => {}
            }
        }
        self.own_state(changed.states);
    }

    /// Another device of the user has got further.
    fn cursor_moved(&mut self, state: &v1::OwnState) {
        let Ok(conversation) = state.key.parse() else { return };
        let Some(known) = self.known.get_mut(&conversation) else { return };
        let Ok(moved) = serde_json::from_str::<v1::Receipt>(&state.value) else { return };
        known.state.delivered = known.state.delivered.max(moved.delivered);
        if moved.read > known.state.read {
            known.state.read = moved.read;
            self.effects.push(Effect::Persist(Change::State(known.state.clone())));
            self.effects.push(Effect::Emit(Event::ConversationChanged(known.state.clone())));
        }
    }

    pub(super) fn own_state(&mut self, states: Vec<v1::OwnState>) {
        if !states.is_empty() {
            self.effects.push(Effect::Persist(Change::OwnState(states.clone())));
            self.effects.push(Effect::Emit(Event::StateChanged(states)));
        }
    }

    pub(super) fn want_pull(&mut self, conversation: i64) {
        if self.known.get(&conversation).is_some_and(|known| known.timeline.gap().is_some()) {
            self.pulls.want(conversation);
        }
    }

    pub(super) fn send_pulls(&mut self) {
        while let Some(conversation) = self.pulls.next() {
            let Some((from_seq, to_seq)) = self.known.get(&conversation).and_then(|known| known.timeline.gap()) else {
                self.pulls.done(conversation);
                continue;
            };
            let pull = v1::Pull { conversation_id: conversation, from_seq, to_seq, limit: 0, backward: false };
            self.request(v1::Pull::COMMAND, pull.encode_to_vec().into(), Pending::Pull(conversation));
        }
        self.check_caught_up();
    }

    pub(super) fn pull_page(&mut self, conversation: i64, page: v1::PullPage, now: Instant) {
        self.pulls.done(conversation);
        let Some(known) = self.known.get_mut(&conversation) else { return };
        known.state.floor = known.state.floor.max(page.floor);
        let before = known.timeline.position();
        let next = known.timeline.page(page);
        if known.timeline.position() > before {
            self.advance(conversation, next, now);
        }
        self.want_pull(conversation);
    }

    pub(super) fn check_caught_up(&mut self) {
        let busy = matches!(self.syncing, Syncing::Running { .. }) || !self.pulls.is_idle();
        if busy || !self.synced_here || self.caught_up {
            return;
        }
        self.caught_up = true;
        if std::mem::take(&mut self.comparing) {
            self.effects.push(Effect::Compare);
        }
        self.effects.push(Effect::Emit(Event::CaughtUp));
    }
}

/// Lets an entry change what is known of its conversation; true if only `Sync` can tell the rest.
fn note(known: &mut Known, entry: &Entry, me: i64) -> bool {
    let state = &mut known.state;
    if entry.kind == EntryKind::Message.as_str() {
        state.last_message_seq = state.last_message_seq.max(entry.seq);
    }
    let is_news = entry.seq > known.stated_at;
    if let Some(name) = entry.settings.as_ref().and_then(|settings| settings.name.as_ref())
        && is_news
    {
        state.name.clone_from(name);
    }
    let Some(membership) = &entry.membership else { return false };
    let count = u32::try_from(membership.members.len()).unwrap_or(u32::MAX);
    match membership.change.as_str() {
        "added" | "joined" if is_news => state.member_count = state.member_count.saturating_add(count),
        "left" | "removed" if is_news => state.member_count = state.member_count.saturating_sub(count),
        _ => {}
    }
    membership.members.iter().any(|member| member.user_id == me)
}
