//! What becomes of a command: duplicates first, then the rules, then its entry and whatever else it changes.

use bytes::Bytes;
use prost::Message as _;
use rusqlite::OptionalExtension;
use sparrow_protocol::{ConversationId, ConversationKind, EntryKind, Role, Seq, Timestamp, UserId, v1};

use super::expiry::KEYS_KEPT_MS;
use super::heads::{Head, Heads};
use super::row::{Sql, conversation_id};
use super::writer::Tx;
use super::{entry, membership, own_state};
#[cfg(feature = "sabotage")]
use crate::faults::{Rule, broken};
use crate::log::{Action, Append, Body, Mentions, NewGroup, Outcome, OwnState, Refusal, Stored, StoredEntry};

/// Whom a mention of everybody is stored for.
pub(super) const EVERYBODY: i64 = 0;

/// Why a command went no further.
enum Stop {
    Refused(Refusal),
    Failed(rusqlite::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

type Judged<T> = Result<T, Stop>;

/// Judges the commands of one transaction.
pub(super) struct Judge<'a> {
    tx: &'a Tx<'a>,
    now: Timestamp,
    group_members: usize,
    heads: Heads<'a>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(tx: &'a Tx<'a>, now: Timestamp, group_members: usize) -> Self {
        Self { tx, now, group_members, heads: Heads::new(tx) }
    }

    /// Carries a command out, or says why not.
    pub(super) fn outcome(&mut self, command: &Append) -> Sql<Outcome> {
        let judged = self.judge(command);
        #[cfg(feature = "sabotage")]
        super::sabotaged::use_up(&mut self.heads, command, judged.as_ref().ok())?;
        match judged {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Refused(refusal)) => Ok(Outcome::Refused(refusal)),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// Answers a duplicate before any other check; carries the command out if it is none.
    fn once(&mut self, command: &Append, carry_out: impl FnOnce(&mut Self) -> Judged<Stored>) -> Judged<Outcome> {
        match self.duplicate(command)? {
            Some(stored) => Ok(Outcome::Duplicate(stored)),
            None => carry_out(self).map(Outcome::Stored),
        }
    }

    /// The entry that the same id, or the same `Idempotency-Key`, made before.
    fn duplicate(&mut self, command: &Append) -> Judged<Option<Stored>> {
        let db = self.tx.db;
        let mut found = entry::by_client_id(db, command.client_msg_id, command.sender, command.conversation)?;
        #[cfg(feature = "sabotage")]
        if broken(Rule::InMemoryDeduplication) && matches!(command.action, Action::Message { .. }) {
            found = super::sabotaged::remembered(command);
        }
        if found.is_none()
            && let Action::Create(NewGroup { idempotency_key: Some(key), .. }) = &command.action
        {
            found = match keyed_conversation(self.tx, command.sender, key, self.now)? {
                Some(conversation) => entry::first_with_hash(db, conversation)?,
                None => None,
            };
        }
        let Some((entry, hash)) = found else { return Ok(None) };
        if hash.is_some_and(|hash| hash != command.request_hash) {
            return Err(Refusal::IdempotencyMismatch.into());
        }
        let members_version = self.conversation(entry.conversation)?.members_version;
        Ok(Some(Stored { entry, members_version, own_states: Vec::new() }))
    }

    fn judge(&mut self, command: &Append) -> Judged<Outcome> {
        match &command.action {
            Action::Message { body, mentions } => self.message(command, body, mentions),
            Action::Create(group) => self.once(command, |judge| judge.create(command, group)),
            Action::AddMembers { users } => self.once(command, |judge| judge.add_members(command, users)),
            Action::Join => self.once(command, |judge| judge.join(command)),
            Action::RemoveMember { user } => self.once(command, |judge| judge.remove_member(command, *user)),
            Action::Leave => self.once(command, |judge| judge.leave(command)),
            Action::ChangeRole { user, role } => self.once(command, |judge| judge.change_role(command, *user, *role)),
            Action::ChangeSettings { name, description } => {
                self.once(command, |judge| judge.change_settings(command, name.as_deref(), description.as_deref()))
            }
        }
    }

    /// Stores a message. That its id was used before is told by the insert itself, which saves a search of the largest
    /// index for each new message; one that would be refused is searched for first.
    fn message(&mut self, command: &Append, body: &Bytes, mentions: &Mentions) -> Judged<Outcome> {
        let (kind, role) = match self.writer(command) {
            Err(Stop::Refused(refusal)) => return self.once(command, |_| Err(refusal.into())),
            writer => writer?,
        };
        let Some(stored) = self.insert(command, EntryKind::Message, body.clone())? else {
            return self.once(command, |_| Err(Refusal::IdempotencyMismatch.into()));
        };
        self.note_mentions(command, &stored, kind, role, mentions)?;
        Ok(Outcome::Stored(stored))
    }

    /// The conversation's kind and the role of a sender who may write there.
    fn writer(&mut self, command: &Append) -> Judged<(ConversationKind, Role)> {
        let kind = self.conversation(command.conversation)?.kind;
        match self.sender_role(command)? {
            Role::Subscriber => Err(Refusal::Forbidden.into()),
            role => Ok((kind, role)),
        }
    }

    fn note_mentions(
        &mut self,
        command: &Append,
        stored: &Stored,
        kind: ConversationKind,
        role: Role,
        mentions: &Mentions,
    ) -> Judged<()> {
        if mentions.all && (role >= Role::Admin || kind == ConversationKind::Direct) {
            self.mention(&stored.entry, EVERYBODY)?;
        }
        for user in &mentions.users {
            if membership::role(self.tx.db, command.conversation, *user)?.is_some() {
                self.mention(&stored.entry, user.get())?;
            }
        }
        Ok(())
    }

    /// Notes whom the newest entry of its conversation names.
    fn mention(&mut self, entry: &StoredEntry, user: i64) -> Judged<()> {
        let row = self.conversation(entry.conversation)?.tail.last();
        self.tx
            .db
            .prepare_cached(
                "INSERT INTO mentions (conversation_id, user_id, seq, entry) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING",
            )?
            .execute((entry.conversation.get(), user, entry.seq.get(), row))?;
        Ok(())
    }

    fn create(&mut self, command: &Append, group: &NewGroup) -> Judged<Stored> {
        if self.heads.get(command.conversation)?.is_some() {
            return Err(Refusal::IdempotencyMismatch.into());
        }
        let mut members = vec![(command.sender, Role::Owner)];
        for user in distinct(&group.members) {
            if user != command.sender {
                members.push((user, Role::Member));
            }
        }
        self.require_room(0, members.len())?;
        self.require_users(members.iter().map(|(user, _)| *user))?;
        self.heads.insert(command.conversation, group, members.len(), self.now)?;
        if let Some(key) = &group.idempotency_key {
            self.keep_key(command, key)?;
        }
        self.let_in(command, "created", &members)
    }

    fn add_members(&mut self, command: &Append, users: &[UserId]) -> Judged<Stored> {
        self.require_manager(command)?;
        let users = distinct(users);
        self.require_users(users.iter().copied())?;
        let mut newcomers = Vec::new();
        for user in users {
            if membership::role(self.tx.db, command.conversation, user)?.is_none() {
                newcomers.push((user, Role::Member));
            }
        }
        if newcomers.is_empty() {
            return Err(Refusal::NothingToDo.into());
        }
        self.admit(command, "added", &newcomers)
    }

    fn join(&mut self, command: &Append) -> Judged<Stored> {
        if !self.conversation(command.conversation)?.join_by_default {
            let member = membership::role(self.tx.db, command.conversation, command.sender)?.is_some();
            return Err(if member { Refusal::NothingToDo } else { Refusal::NotFound }.into());
        }
        if membership::role(self.tx.db, command.conversation, command.sender)?.is_some() {
            return Err(Refusal::NothingToDo.into());
        }
        self.require_users([command.sender].into_iter())?;
        self.admit(command, "joined", &[(command.sender, Role::Member)])
    }

    /// Makes users members of an existing conversation.
    fn admit(&mut self, command: &Append, change: &str, newcomers: &[(UserId, Role)]) -> Judged<Stored> {
        let present = self.conversation(command.conversation)?.member_count;
        self.require_room(present, newcomers.len())?;
        let conversation = self.conversation(command.conversation)?;
        conversation.member_count += newcomers.len();
        conversation.members_version += 1;
        self.let_in(command, change, newcomers)
    }

    /// Writes the rows of newcomers and the entry that tells of them.
    fn let_in(&mut self, command: &Append, change: &str, newcomers: &[(UserId, Role)]) -> Judged<Stored> {
        let conversation = self.conversation(command.conversation)?;
        let join = if conversation.history_visible { Seq::FIRST } else { conversation.head.next() };
        let version = conversation.members_version;
        let mut states = Vec::with_capacity(newcomers.len());
        for (user, role) in newcomers {
            membership::enter(self.tx, command.conversation, *user, *role, join, version)?;
            states.push((*user, own_state::joined(command.conversation, join)));
        }
        let members: Vec<_> = newcomers.iter().map(|(user, role)| (*user, Some(*role))).collect();
        self.store(command, EntryKind::Membership, membership_body(change, &members), states)
    }

    fn remove_member(&mut self, command: &Append, user: UserId) -> Judged<Stored> {
        let manager = self.require_manager(command)?;
        if user == command.sender {
            return Err(Refusal::Forbidden.into());
        }
        let role = membership::role(self.tx.db, command.conversation, user)?.ok_or(Refusal::NotMember)?;
        if role >= manager {
            return Err(Refusal::Forbidden.into());
        }
        self.let_out(command, "removed", user)
    }

    fn leave(&mut self, command: &Append) -> Judged<Stored> {
        let role = self.sender_role(command)?;
        self.require_group(command)?;
        if role == Role::Owner && self.conversation(command.conversation)?.member_count > 1 {
            return Err(Refusal::LastOwner.into());
        }
        self.let_out(command, "left", command.sender)
    }

    /// Ends a user's membership with the entry that tells of it.
    fn let_out(&mut self, command: &Append, change: &str, user: UserId) -> Judged<Stored> {
        let conversation = self.conversation(command.conversation)?;
        let leave = conversation.head.next();
        conversation.member_count = conversation.member_count.saturating_sub(1);
        conversation.members_version += 1;
        let (active, version) = (conversation.last_active, conversation.members_version);
        membership::depart(self.tx, command.conversation, user, leave, active, version)?;
        let states = vec![(user, own_state::left(command.conversation, leave))];
        self.store(command, EntryKind::Membership, membership_body(change, &[(user, None)]), states)
    }

    fn change_role(&mut self, command: &Append, user: UserId, role: Role) -> Judged<Stored> {
        let own = self.sender_role(command)?;
        self.require_group(command)?;
        if role == Role::Subscriber {
            return Err(Refusal::WrongKind.into());
        }
        if own != Role::Owner {
            return Err(Refusal::Forbidden.into());
        }
        let present = membership::role(self.tx.db, command.conversation, user)?.ok_or(Refusal::NotMember)?;
        if present == role {
            return Err(Refusal::NothingToDo.into());
        }
        if user == command.sender {
            return Err(Refusal::LastOwner.into());
        }
        let mut changes = vec![(user, role)];
        if role == Role::Owner {
            changes.push((command.sender, Role::Admin));
        }
        let conversation = self.conversation(command.conversation)?;
        conversation.members_version += 1;
        let version = conversation.members_version;
        for (user, role) in &changes {
            membership::change_role(self.tx, command.conversation, *user, *role, version)?;
        }
        let members: Vec<_> = changes.iter().map(|(user, role)| (*user, Some(*role))).collect();
        self.store(command, EntryKind::Membership, membership_body("role", &members), Vec::new())
    }

    fn change_settings(&mut self, command: &Append, name: Option<&str>, description: Option<&str>) -> Judged<Stored> {
        self.require_manager(command)?;
        let conversation = self.conversation(command.conversation)?;
        let name = name.filter(|name| *name != conversation.name).map(str::to_owned);
        let description = description.filter(|text| *text != conversation.description).map(str::to_owned);
        if name.is_none() && description.is_none() {
            return Err(Refusal::NothingToDo.into());
        }
        conversation.name.clone_from(name.as_ref().unwrap_or(&conversation.name.clone()));
        conversation.description.clone_from(description.as_ref().unwrap_or(&conversation.description.clone()));
        let body = v1::SettingsChange { name, description }.encode_to_vec().into();
        self.store(command, EntryKind::Settings, body, Vec::new())
    }

    /// Numbers and stores the entry of a command that has passed and is no duplicate, and the own state it brings.
    fn store(
        &mut self,
        command: &Append,
        kind: EntryKind,
        body: Bytes,
        own_states: Vec<(UserId, OwnState)>,
    ) -> Judged<Stored> {
        let stored = self.insert(command, kind, body)?.ok_or(Refusal::IdempotencyMismatch)?;
        for (user, state) in &own_states {
            own_state::set(self.tx, *user, state, self.now)?;
        }
        Ok(Stored { own_states, ..stored })
    }

    /// Numbers and stores an entry; `None` if its id has made one before.
    fn insert(&mut self, command: &Append, kind: EntryKind, body: Bytes) -> Judged<Option<Stored>> {
        let (tx, now) = (self.tx, self.now);
        let conversation = self.conversation(command.conversation)?;
        let seq = conversation.head.next();
        let entry = StoredEntry {
            conversation: command.conversation,
            seq,
            kind,
            sender: command.sender,
            time: now,
            client_msg_id: command.client_msg_id,
            ref_seq: None,
            body: Body::Kept(body),
        };
        #[cfg(feature = "sabotage")]
        if super::sabotaged::remembered(command).is_some() {
            return Ok(None);
        }
        let Some(row) = entry::insert(tx, &entry, command.request_hash)? else { return Ok(None) };
        #[cfg(feature = "sabotage")]
        super::sabotaged::remember(&entry, command.request_hash);
        conversation.head = seq;
        conversation.tail.push(row);
        conversation.changed = true;
        if kind == EntryKind::Message {
            conversation.last_message = seq;
            conversation.last_active = conversation.last_active.max(now);
        }
        Ok(Some(Stored { entry, members_version: conversation.members_version, own_states: Vec::new() }))
    }

    /// The sender's role; only members get further.
    fn sender_role(&mut self, command: &Append) -> Judged<Role> {
        self.conversation(command.conversation)?;
        Ok(membership::role(self.tx.db, command.conversation, command.sender)?.ok_or(Refusal::NotFound)?)
    }

    fn require_group(&mut self, command: &Append) -> Judged<()> {
        match self.conversation(command.conversation)?.kind {
            ConversationKind::Group | ConversationKind::Channel => Ok(()),
            ConversationKind::Direct | ConversationKind::SelfNotes | ConversationKind::System => {
                Err(Refusal::WrongKind.into())
            }
        }
    }

    /// Only owners and admins of something that has them get further.
    fn require_manager(&mut self, command: &Append) -> Judged<Role> {
        let role = self.sender_role(command)?;
        self.require_group(command)?;
        if role >= Role::Admin { Ok(role) } else { Err(Refusal::Forbidden.into()) }
    }

    fn require_room(&self, present: usize, newcomers: usize) -> Judged<()> {
        if present + newcomers <= self.group_members { Ok(()) } else { Err(Refusal::TooManyMembers.into()) }
    }

    fn require_users(&self, mut users: impl Iterator<Item = UserId>) -> Judged<()> {
        let mut known = self.tx.db.prepare_cached("SELECT 1 FROM users WHERE id = $1")?;
        users.try_for_each(|user| if known.exists([user.get()])? { Ok(()) } else { Err(Refusal::UnknownUser.into()) })
    }
}

/// The conversations of the batch, and keys.
impl Judge<'_> {
    fn conversation(&mut self, id: ConversationId) -> Judged<&mut Head> {
        self.heads.get(id)?.ok_or(Stop::Refused(Refusal::NotFound))
    }

    /// Writes the conversations that commands have changed, each once.
    pub(super) fn write_conversations(&mut self) -> Sql<()> {
        self.heads.write()
    }

    fn keep_key(&self, command: &Append, key: &str) -> Sql<()> {
        self.tx
            .db
            .prepare_cached(
                "INSERT INTO idempotency_keys (sender_id, key, conversation_id, created) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (sender_id, key) DO UPDATE SET conversation_id = $3, created = $4",
            )?
            .execute((command.sender.get(), key, command.conversation.get(), self.now.millis()))?;
        Ok(())
    }
}

/// The group that a sender made under a key within the last day.
fn keyed_conversation(tx: &Tx<'_>, sender: UserId, key: &str, now: Timestamp) -> Sql<Option<ConversationId>> {
    tx.db
        .prepare_cached(
            "SELECT conversation_id FROM idempotency_keys WHERE sender_id = $1 AND key = $2 AND created > $3",
        )?
        .query_row((sender.get(), key, now.millis() - KEYS_KEPT_MS), |row| conversation_id(row, 0))
        .optional()
}

fn membership_body(change: &str, members: &[(UserId, Option<Role>)]) -> Bytes {
    let members = members.iter().map(|(user, role)| v1::MemberRole {
        user_id: user.get(),
        role: role.map(|role| role.as_str().to_owned()).unwrap_or_default(),
    });
    v1::MembershipChange { change: change.to_owned(), members: members.collect() }.encode_to_vec().into()
}

/// The users without repetition, in the order of their first mention.
fn distinct(users: &[UserId]) -> Vec<UserId> {
    let mut seen = std::collections::HashSet::with_capacity(users.len());
    users.iter().copied().filter(|user| seen.insert(*user)).collect()
}
