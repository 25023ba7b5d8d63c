//! Cached member lists: who may see which entries of a conversation. Owned by one fan-out worker, never shared.
//!
//! A list is brought forward by reading the rows changed since its version. Former members stay in it with their ended
//! intervals, because entries from before their leaving may still be on their way.

use std::sync::Arc;
use std::time::Duration;

use sparrow_protocol::{ConversationId, ConversationKind, Seq, UserId};
use sparrow_store::log::{Interval, MemberRow};
use sparrow_store::{Log, StoreError};
use tokio::time::Instant;

use crate::collections::HashMap;
use crate::faults::{Rule, Step, broken, failpoint};

/// Member rows that one worker keeps; beyond, lists that were not used lately are forgotten.
const MAX_ROWS: usize = 500_000;
/// Asked of [`MemberLists::at_least`]: the list as the log has it now.
pub(crate) const LATEST: i64 = i64::MAX;
/// A list not used for so long is forgotten.
const QUIET: Duration = Duration::from_secs(300);

/// One user's place in a conversation.
#[derive(Debug)]
pub(crate) struct Place {
    /// True while the user is a member.
    pub(crate) present: bool,
    intervals: Vec<Interval>,
}

impl Place {
    /// True if the user may see the entry.
    pub(crate) fn sees(&self, seq: Seq) -> bool {
        // The newest interval is the one asked for, nearly always.
        self.intervals.iter().rev().any(|interval| interval.contains(seq))
    }
}

impl From<MemberRow> for Place {
    fn from(row: MemberRow) -> Self {
        Self { present: row.role.is_some(), intervals: row.intervals }
    }
}

/// The members of one conversation, at one version.
#[derive(Debug)]
pub(crate) struct MemberList {
    /// Its version.
    pub(crate) version: i64,
    /// The conversation's kind.
    pub(crate) kind: ConversationKind,
    /// Everybody who is or was a member.
    pub(crate) places: HashMap<UserId, Place>,
    /// How many are members now.
    pub(crate) present: usize,
    used: Instant,
}

impl MemberList {
    /// True if the user is a member now.
    pub(crate) fn has(&self, user: UserId) -> bool {
        self.places.get(&user).is_some_and(|place| place.present)
    }

    fn apply(&mut self, row: MemberRow) -> usize {
        let now_present = row.role.is_some();
        let before = self.places.insert(row.user, row.into());
        let was_present = before.as_ref().is_some_and(|place| place.present);
        self.present = self.present + usize::from(now_present) - usize::from(was_present);
        usize::from(before.is_none())
    }
}

/// The lists of one worker.
pub(crate) struct MemberLists {
    store: Arc<dyn Log>,
    lists: HashMap<ConversationId, MemberList>,
    rows: usize,
}

impl MemberLists {
    /// No lists yet.
    pub(crate) fn new(store: Arc<dyn Log>) -> Self {
        Self { store, lists: HashMap::default(), rows: 0 }
    }

    /// The list, at `version` or later. `None` if the conversation does not exist.
    pub(crate) async fn at_least(
        &mut self,
        conversation: ConversationId,
        version: i64,
    ) -> Result<Option<&MemberList>, StoreError> {
        let as_first_read = broken(Rule::CachedMembership) && self.lists.contains_key(&conversation);
        if !as_first_read && self.lists.get(&conversation).is_none_or(|list| list.version < version) {
            self.bring_forward(conversation).await?;
        }
        let list = self.lists.get_mut(&conversation);
        Ok(list.map(|list| {
            list.used = Instant::now();
            &*list
        }))
    }

    /// Forgets what was not used lately.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let rows = &mut self.rows;
        self.lists.retain(|_, list| {
            let keep = now.duration_since(list.used) < QUIET;
            if !keep {
                *rows -= list.places.len();
            }
            keep
        });
    }

    async fn bring_forward(&mut self, conversation: ConversationId) -> Result<(), StoreError> {
        failpoint(Step::Members);
        let known = self.lists.get(&conversation).map_or(0, |list| list.version);
        let Some(members) = self.store.members(conversation, known).await? else {
            return Ok(());
        };
        if self.rows + members.rows.len() > MAX_ROWS {
            self.lists.retain(|other, _| *other == conversation);
            self.rows = self.lists.values().map(|list| list.places.len()).sum();
        }
        let list = self.lists.entry(conversation).or_insert_with(|| MemberList {
            version: 0,
            kind: members.kind,
            places: HashMap::with_capacity_and_hasher(members.rows.len(), Default::default()),
            present: 0,
            used: Instant::now(),
        });
        list.version = members.version;
        for row in members.rows {
            self.rows += list.apply(row);
        }
        Ok(())
    }
}
