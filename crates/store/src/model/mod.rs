//! The log as a plain value in memory, without a database, threads or clocks: what [`Log`](crate::Log) promises, written
//! so simply that one can believe it. The real stores are compared with it (`contract::random`), and simulations run on
//! it. Only in tests, and in builds with the feature `model`.

mod commands;
mod reading;

use std::collections::BTreeMap;

use sparrow_protocol::{ConversationId, ConversationKind, RequestHash, Role, Seq, Timestamp, UserId};

use crate::log::{
    Action, Append, Appended, Batch, CursorAdvance, CursorOutcome, Interval, NewGroup, Outcome, OwnState, Refusal,
    Stored, StoredEntry,
};

/// How long an idempotency key is known.
const KEY_KNOWN_MS: i64 = 24 * 60 * 60 * 1_000;

/// Every conversation, and whoever there is.
#[derive(Debug, Clone, Default)]
pub struct Model {
    users: BTreeMap<UserId, String>,
    conversations: BTreeMap<ConversationId, Conversation>,
    states: BTreeMap<UserId, BTreeMap<(String, String), State>>,
    keys: BTreeMap<(UserId, String), (ConversationId, Timestamp)>,
    /// Numbers what changes something.
    commits: i64,
    group_members: usize,
    epoch: String,
    /// Roles that count instead of those there are, for a sender of a message.
    roles_before: BTreeMap<(ConversationId, UserId), Option<Role>>,
}

#[derive(Debug, Clone)]
struct Conversation {
    kind: ConversationKind,
    name: String,
    description: String,
    /// Entry `seq` is at `seq - 1`.
    entries: Vec<(StoredEntry, RequestHash)>,
    members: BTreeMap<UserId, Member>,
    members_version: i64,
    history_visible: bool,
    join_by_default: bool,
    changed: i64,
}

#[derive(Debug, Clone, Default)]
struct Member {
    role: Option<Role>,
    intervals: Vec<Interval>,
    version: i64,
    changed: i64,
    delivered: Seq,
    read: Seq,
    cursor_changed: i64,
}

#[derive(Debug, Clone)]
struct State {
    value: String,
    changed: i64,
}

impl Model {
    /// No users, no conversations; groups of at most so many members.
    pub fn new(epoch: &str, group_members: usize) -> Self {
        Self { epoch: epoch.to_owned(), group_members, ..Self::default() }
    }

    /// An account.
    pub fn user(&mut self, id: UserId, name: &str) {
        self.users.insert(id, name.to_owned());
    }

    /// The direct of two users.
    pub fn direct(&mut self, id: ConversationId, users: [UserId; 2]) {
        self.commits += 1;
        let number = self.commits;
        let member = Member {
            role: Some(Role::Member),
            intervals: vec![Interval { join: Seq::FIRST, leave: None }],
            version: 1,
            changed: number,
            ..Member::default()
        };
        let members = users.map(|user| (user, member.clone())).into();
        self.conversations.insert(
            id,
            Conversation { members, history_visible: true, ..Conversation::new(ConversationKind::Direct, number) },
        );
    }

    /// A new life of the database, as after an older copy was restored.
    pub fn begin_epoch(&mut self, epoch: &str) {
        epoch.clone_into(&mut self.epoch);
    }

    /// [`Log::append`](crate::Log::append).
    pub fn append(&mut self, batch: &Batch) -> Appended {
        let number = self.commits + 1;
        let mut changed = false;
        let outcomes = batch.commands.iter().map(|command| {
            let outcome = self.outcome(command, batch.now, number);
            changed |= matches!(outcome, Outcome::Stored(_));
            outcome
        });
        let outcomes = outcomes.collect();
        let cursors = batch.cursors.iter().map(|cursor| {
            let outcome = self.advance(cursor, number);
            changed |= matches!(outcome, CursorOutcome::Now { moved: true, .. });
            outcome
        });
        let cursors = cursors.collect();
        self.commits += i64::from(changed);
        Appended { outcomes, cursors }
    }

    /// The same by a store that is wrong: who may send is judged by how things were at an earlier time.
    pub fn append_judged_by(&mut self, batch: &Batch, earlier: &Self) -> Appended {
        let roles = |(id, conversation): (&ConversationId, &Conversation)| {
            let roles: Vec<_> = conversation.members.iter().map(|(user, member)| ((*id, *user), member.role)).collect();
            roles
        };
        self.roles_before = earlier.conversations.iter().flat_map(roles).collect();
        let appended = self.append(batch);
        self.roles_before.clear();
        appended
    }

    /// Every conversation with its entries, for whoever checks them all.
    pub fn logs(&self) -> impl Iterator<Item = (ConversationId, Vec<&StoredEntry>)> {
        self.conversations.iter().map(|(id, conversation)| {
            let entries = conversation.entries.iter().map(|(entry, _)| entry);
            (*id, entries.collect())
        })
    }

    /// What a user may see of a conversation.
    pub fn intervals(&self, conversation: ConversationId, user: UserId) -> Vec<Interval> {
        let member = self.conversations.get(&conversation).and_then(|conversation| conversation.members.get(&user));
        member.map(|member| member.intervals.clone()).unwrap_or_default()
    }

    fn advance(&mut self, cursor: &CursorAdvance, number: i64) -> CursorOutcome {
        let Some(conversation) = self.conversations.get_mut(&cursor.conversation) else {
            return CursorOutcome::NotFound;
        };
        let (head, members_version) = (conversation.head(), conversation.members_version);
        let Some(member) = conversation.members.get_mut(&cursor.user) else { return CursorOutcome::NotFound };
        if cursor.delivered.max(cursor.read) > Some(member.visible_head(head)) {
            return CursorOutcome::BeyondHead;
        }
        let read = member.read.max(cursor.read.unwrap_or_default());
        let delivered = member.delivered.max(cursor.delivered.unwrap_or_default()).max(read);
        let moved = (delivered, read) != (member.delivered, member.read);
        if moved {
            (member.delivered, member.read, member.cursor_changed) = (delivered, read, number);
        }
        CursorOutcome::Now { delivered, read, moved, members_version }
    }
}

impl Conversation {
    fn new(kind: ConversationKind, number: i64) -> Self {
        Self {
            kind,
            name: String::new(),
            description: String::new(),
            entries: Vec::new(),
            members: BTreeMap::new(),
            members_version: 1,
            history_visible: false,
            join_by_default: false,
            changed: number,
        }
    }

    fn head(&self) -> Seq {
        self.entries.last().map_or(Seq::ZERO, |(entry, _)| entry.seq)
    }

    fn role(&self, user: UserId) -> Option<Role> {
        self.members.get(&user)?.role
    }

    fn present(&self) -> usize {
        self.members.values().filter(|member| member.role.is_some()).count()
    }
}

impl Member {
    fn sees(&self, seq: Seq) -> bool {
        self.intervals.iter().any(|interval| interval.contains(seq))
    }

    fn visible_head(&self, head: Seq) -> Seq {
        match self.intervals.last() {
            Some(Interval { leave: Some(leave), .. }) => leave.prev().min(head),
            Some(Interval { leave: None, .. }) => head,
            None => Seq::ZERO,
        }
    }
}
