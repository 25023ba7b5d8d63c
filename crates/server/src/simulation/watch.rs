//! What must hold, seen from outside: by whoever sends, by whoever receives, and in the log at the end. The numbers are
//! those of docs/reliability.md.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use sparrow_protocol::{ClientMsgId, ConversationId, EntryKind, UserId};
use sparrow_store::log::Body;
use sparrow_store::model::Model;

use super::device::Held;

/// A promise that was broken, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) invariant: &'static str,
    pub(super) seen: String,
}

/// Takes notes.
#[derive(Default)]
pub(super) struct Watch(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    sends: HashMap<ClientMsgId, Sent>,
    /// The highest seq that any sender knew of.
    heads: HashMap<ConversationId, i64>,
    reads: HashMap<(UserId, ConversationId), i64>,
    broken: Vec<Broken>,
    pushes: u64,
}

struct Sent {
    conversation: ConversationId,
    /// What the sender could know was in the log when this was sent for the first time.
    after: i64,
    acked: Option<i64>,
}

/// What a run amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) acked: usize,
    pub(super) pushes: u64,
}

impl Watch {
    pub(super) fn broken(&self, invariant: &'static str, seen: String) {
        self.0.lock().unwrap().broken.push(Broken { invariant, seen });
    }

    /// The first promise that was seen broken.
    pub(super) fn verdict(&self) -> Result<Totals, Broken> {
        let notes = self.0.lock().unwrap();
        match notes.broken.first() {
            Some(broken) => Err(broken.clone()),
            None => {
                let acked = notes.sends.values().filter(|sent| sent.acked.is_some()).count();
                Ok(Totals { acked, pushes: notes.pushes })
            }
        }
    }

    /// Before the first try of a message.
    pub(super) fn sends(&self, conversation: ConversationId, id: ClientMsgId) {
        let mut notes = self.0.lock().unwrap();
        let after = notes.heads.get(&conversation).copied().unwrap_or(0);
        notes.sends.insert(id, Sent { conversation, after, acked: None });
    }

    pub(super) fn acked(&self, id: ClientMsgId, seq: i64) {
        let mut guard = self.0.lock().unwrap();
        let notes = &mut *guard;
        let Some(sent) = notes.sends.get_mut(&id) else { return };
        let before = sent.acked.replace(seq);
        let late = seq <= sent.after;
        let head = notes.heads.entry(sent.conversation).or_default();
        *head = (*head).max(seq);
        if before.is_some_and(|before| before != seq) {
            notes.broken.push(Broken { invariant: "I2", seen: format!("{id} has {before:?} and {seq}") });
        }
        if late {
            notes
                .broken
                .push(Broken { invariant: "I5", seen: format!("{id} got {seq}, which was known when it was sent") });
        }
    }

    /// The highest seq that any sender knows of.
    pub(super) fn head(&self, conversation: ConversationId) -> i64 {
        self.0.lock().unwrap().heads.get(&conversation).copied().unwrap_or(0)
    }

    pub(super) fn read(&self, user: UserId, conversation: ConversationId, asked_when: i64, now: i64) {
        let mut notes = self.0.lock().unwrap();
        let known = notes.reads.entry((user, conversation)).or_default();
        *known = (*known).max(now);
        if now < asked_when {
            notes.broken.push(Broken { invariant: "I12", seen: format!("the cursor of {user} went back to {now}") });
        }
    }

    pub(super) fn read_known(&self, user: UserId, conversation: ConversationId) -> i64 {
        self.0.lock().unwrap().reads.get(&(user, conversation)).copied().unwrap_or(0)
    }

    pub(super) fn pushed(&self) {
        self.0.lock().unwrap().pushes += 1;
    }

    /// The log at the end, whole, by itself and against what was acked.
    pub(super) fn check_log(&self, model: &Model) {
        let (mut texts, mut stored) = (HashSet::new(), HashMap::new());
        for (conversation, entries) in model.logs() {
            for (place, entry) in (1..).zip(entries) {
                if entry.seq.get() != place {
                    self.broken("I3", format!("{} stands at {place}", entry.seq));
                }
                if stored.insert((conversation, entry.client_msg_id), place).is_some() {
                    self.broken("I2", format!("{} has two entries", entry.client_msg_id));
                }
                if entry.kind != EntryKind::Message {
                    continue;
                }
                if let Body::Kept(body) = &entry.body
                    && !texts.insert(body.clone())
                {
                    self.broken("I9", format!("what is at {conversation}.{place} was stored twice"));
                }
                let places = model.intervals(conversation, entry.sender);
                if !places.iter().any(|interval| interval.contains(entry.seq)) {
                    self.broken("I11", format!("{} wrote {conversation}.{place} without being a member", entry.sender));
                }
            }
        }
        let lost = |(id, sent): &(&ClientMsgId, &Sent)| {
            sent.acked.is_some() && stored.get(&(sent.conversation, **id)).copied() != sent.acked
        };
        let lost = self.0.lock().unwrap().sends.iter().find(lost).map(|(id, _)| *id);
        if let Some(id) = lost {
            self.broken("I1", format!("{id} was acked and is not there"));
        }
    }

    /// What a device holds at the end is what its user may see, no more and no less.
    pub(super) fn check_device(&self, model: &Model, user: UserId, device: i64, held: &BTreeMap<ConversationId, Held>) {
        for (conversation, entries) in model.logs() {
            let places = model.intervals(conversation, user);
            let mut held: BTreeMap<_, _> = held.get(&conversation).map(|held| held.entries.clone()).unwrap_or_default();
            for entry in entries {
                let found = held.remove(&entry.seq.get());
                let visible = places.iter().any(|interval| interval.contains(entry.seq));
                let what = || format!("device {device} of {user}, {conversation}.{}", entry.seq);
                match found {
                    Some(_) if !visible => self.broken("I10", what()),
                    None if visible => self.broken("I7", what()),
                    Some(id) if id != entry.client_msg_id => self.broken("I4", what()),
                    _ => {}
                }
            }
            if let Some(seq) = held.keys().next() {
                self.broken(
                    "I8",
                    format!("device {device} of {user} holds {conversation}.{seq}, which does not exist"),
                );
            }
        }
    }
}
