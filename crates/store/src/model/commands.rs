//! What becomes of a command in the [`Model`]: duplicates first, then the rules, then its entry.

use bytes::Bytes;
use prost::Message as _;
use sparrow_protocol::{EntryKind, v1};

use super::*;
use crate::log::Body;

type Judged<T> = Result<T, Refusal>;

/// A command with what its transaction brings.
struct Given<'a> {
    command: &'a Append,
    now: Timestamp,
    number: i64,
}

impl Model {
    pub(super) fn outcome(&mut self, command: &Append, now: Timestamp, number: i64) -> Outcome {
        match self.duplicate(command, now) {
            Ok(None) => {}
            Ok(Some(stored)) => return Outcome::Duplicate(stored),
            Err(refusal) => return Outcome::Refused(refusal),
        }
        match self.carry_out(&Given { command, now, number }) {
            Ok(stored) => Outcome::Stored(stored),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn duplicate(&self, command: &Append, now: Timestamp) -> Judged<Option<Stored>> {
        let same = |(entry, _): &&(StoredEntry, RequestHash)| {
            entry.client_msg_id == command.client_msg_id && entry.sender == command.sender
        };
        let of = |conversation| self.conversations.get(&conversation);
        let mut found = of(command.conversation).and_then(|conversation| conversation.entries.iter().find(same));
        if found.is_none()
            && let Action::Create(NewGroup { idempotency_key: Some(key), .. }) = &command.action
            && let Some((conversation, created)) = self.keys.get(&(command.sender, key.clone()))
            && created.millis() > now.millis() - KEY_KNOWN_MS
        {
            found = of(*conversation).and_then(|conversation| conversation.entries.first());
        }
        let Some((entry, hash)) = found else { return Ok(None) };
        if *hash != command.request_hash {
            return Err(Refusal::IdempotencyMismatch);
        }
        let members_version = of(entry.conversation).map_or(0, |conversation| conversation.members_version);
        Ok(Some(Stored { entry: entry.clone(), members_version, own_states: Vec::new() }))
    }

    fn carry_out(&mut self, given: &Given<'_>) -> Judged<Stored> {
        match &given.command.action {
            Action::Message { body, .. } => {
                let before =
                    self.roles_before.get(&(given.command.conversation, given.command.sender)).copied().flatten();
                let role = before.map_or_else(|| self.sender_role(given), Ok)?;
                if role == Role::Subscriber {
                    return Err(Refusal::Forbidden);
                }
                self.store(given, EntryKind::Message, body.clone(), Vec::new())
            }
            Action::Create(group) => self.create(given, group),
            Action::AddMembers { users } => self.add(given, users),
            Action::Join => self.join(given),
            Action::RemoveMember { user } => self.remove(given, *user),
            Action::Leave => self.leave(given),
            Action::ChangeRole { user, role } => self.change_role(given, *user, *role),
            Action::ChangeSettings { name, description } => {
                self.change_settings(given, name.as_deref(), description.as_deref())
            }
        }
    }

    fn create(&mut self, given: &Given<'_>, group: &NewGroup) -> Judged<Stored> {
        let Append { conversation, sender, .. } = *given.command;
        if self.conversations.contains_key(&conversation) {
            return Err(Refusal::IdempotencyMismatch);
        }
        let mut members = vec![(sender, Role::Owner)];
        for user in &group.members {
            if members.iter().all(|(other, _)| other != user) {
                members.push((*user, Role::Member));
            }
        }
        self.require_room(members.len())?;
        self.require_users(members.iter().map(|(user, _)| *user))?;
        let made = Conversation {
            name: group.name.clone(),
            description: group.description.clone(),
            history_visible: group.history_visible,
            join_by_default: group.join_by_default,
            ..Conversation::new(ConversationKind::Group, given.number)
        };
        self.conversations.insert(conversation, made);
        if let Some(key) = &group.idempotency_key {
            self.keys.insert((sender, key.clone()), (conversation, given.now));
        }
        self.let_in(given, "created", &members)
    }

    fn add(&mut self, given: &Given<'_>, users: &[UserId]) -> Judged<Stored> {
        self.require_manager(given)?;
        self.require_users(users.iter().copied())?;
        let conversation = self.conversation(given)?;
        let mut newcomers: Vec<(UserId, Role)> = Vec::new();
        for user in users {
            if conversation.role(*user).is_none() && newcomers.iter().all(|(other, _)| other != user) {
                newcomers.push((*user, Role::Member));
            }
        }
        if newcomers.is_empty() {
            return Err(Refusal::NothingToDo);
        }
        self.admit(given, "added", &newcomers)
    }

    fn join(&mut self, given: &Given<'_>) -> Judged<Stored> {
        let sender = given.command.sender;
        let conversation = self.conversation(given)?;
        match (conversation.join_by_default, conversation.role(sender)) {
            (_, Some(_)) => return Err(Refusal::NothingToDo),
            (false, None) => return Err(Refusal::NotFound),
            (true, None) => {}
        }
        self.require_users([sender].into_iter())?;
        self.admit(given, "joined", &[(sender, Role::Member)])
    }

    fn admit(&mut self, given: &Given<'_>, change: &str, newcomers: &[(UserId, Role)]) -> Judged<Stored> {
        let present = self.conversation(given)?.present();
        self.require_room(present + newcomers.len())?;
        self.conversation(given)?.members_version += 1;
        self.let_in(given, change, newcomers)
    }

    fn let_in(&mut self, given: &Given<'_>, change: &str, newcomers: &[(UserId, Role)]) -> Judged<Stored> {
        let conversation = self.conversation(given)?;
        let join = if conversation.history_visible { Seq::FIRST } else { conversation.head().next() };
        for (user, role) in newcomers {
            let member = conversation.members.entry(*user).or_default();
            member.role = Some(*role);
            (member.version, member.changed) = (conversation.members_version, given.number);
            member.intervals.retain(|interval| interval.join < join);
            member.intervals.push(Interval { join, leave: None });
        }
        let states = newcomers.iter().map(|(user, _)| (*user, membership_state(given, "joinSeq", join))).collect();
        let roles: Vec<_> = newcomers.iter().map(|(user, role)| (*user, Some(*role))).collect();
        self.store(given, EntryKind::Membership, membership_body(change, &roles), states)
    }

    fn remove(&mut self, given: &Given<'_>, user: UserId) -> Judged<Stored> {
        let manager = self.require_manager(given)?;
        if user == given.command.sender {
            return Err(Refusal::Forbidden);
        }
        let role = self.conversation(given)?.role(user).ok_or(Refusal::NotMember)?;
        if role >= manager {
            return Err(Refusal::Forbidden);
        }
        self.let_out(given, "removed", user)
    }

    fn leave(&mut self, given: &Given<'_>) -> Judged<Stored> {
        let role = self.sender_role(given)?;
        self.require_group(given)?;
        if role == Role::Owner && self.conversation(given)?.present() > 1 {
            return Err(Refusal::LastOwner);
        }
        self.let_out(given, "left", given.command.sender)
    }

    fn let_out(&mut self, given: &Given<'_>, change: &str, user: UserId) -> Judged<Stored> {
        let conversation = self.conversation(given)?;
        let leave = conversation.head().next();
        conversation.members_version += 1;
        let version = conversation.members_version;
        if let Some(member) = conversation.members.get_mut(&user) {
            member.role = None;
            (member.version, member.changed) = (version, given.number);
            if let Some(interval) = member.intervals.last_mut() {
                interval.leave = Some(leave);
            }
        }
        let states = vec![(user, membership_state(given, "leaveSeq", leave))];
        self.store(given, EntryKind::Membership, membership_body(change, &[(user, None)]), states)
    }

    fn change_role(&mut self, given: &Given<'_>, user: UserId, role: Role) -> Judged<Stored> {
        let own = self.sender_role(given)?;
        self.require_group(given)?;
        if role == Role::Subscriber {
            return Err(Refusal::WrongKind);
        }
        if own != Role::Owner {
            return Err(Refusal::Forbidden);
        }
        let sender = given.command.sender;
        let conversation = self.conversation(given)?;
        let present = conversation.role(user).ok_or(Refusal::NotMember)?;
        if present == role {
            return Err(Refusal::NothingToDo);
        }
        if user == sender {
            return Err(Refusal::LastOwner);
        }
        let mut changes = vec![(user, Some(role))];
        if role == Role::Owner {
            changes.push((sender, Some(Role::Admin)));
        }
        conversation.members_version += 1;
        for (user, role) in &changes {
            let member = conversation.members.entry(*user).or_default();
            (member.role, member.version, member.changed) = (*role, conversation.members_version, given.number);
        }
        self.store(given, EntryKind::Membership, membership_body("role", &changes), Vec::new())
    }

    fn change_settings(&mut self, given: &Given<'_>, name: Option<&str>, description: Option<&str>) -> Judged<Stored> {
        self.require_manager(given)?;
        let conversation = self.conversation(given)?;
        let name = name.filter(|name| *name != conversation.name).map(str::to_owned);
        let description = description.filter(|text| *text != conversation.description).map(str::to_owned);
        if name.is_none() && description.is_none() {
            return Err(Refusal::NothingToDo);
        }
        if let Some(name) = &name {
            conversation.name.clone_from(name);
        }
        if let Some(description) = &description {
            conversation.description.clone_from(description);
        }
        let body = v1::SettingsChange { name, description }.encode_to_vec().into();
        self.store(given, EntryKind::Settings, body, Vec::new())
    }

    fn store(
        &mut self,
        given: &Given<'_>,
        kind: EntryKind,
        body: Bytes,
        own_states: Vec<(UserId, OwnState)>,
    ) -> Judged<Stored> {
        let Append { conversation: id, sender, client_msg_id, request_hash, .. } = *given.command;
        let conversation = self.conversation(given)?;
        let seq = conversation.head().next();
        let (time, body) = (given.now, Body::Kept(body));
        let entry = StoredEntry { conversation: id, seq, kind, sender, time, client_msg_id, ref_seq: None, body };
        conversation.entries.push((entry.clone(), request_hash));
        conversation.changed = given.number;
        let members_version = conversation.members_version;
        for (user, state) in &own_states {
            let value = State { value: state.value.clone(), changed: given.number };
            self.states.entry(*user).or_default().insert((state.kind.clone(), state.key.clone()), value);
        }
        Ok(Stored { entry, members_version, own_states })
    }

    fn conversation(&mut self, given: &Given<'_>) -> Judged<&mut Conversation> {
        self.conversations.get_mut(&given.command.conversation).ok_or(Refusal::NotFound)
    }

    fn sender_role(&mut self, given: &Given<'_>) -> Judged<Role> {
        self.conversation(given)?.role(given.command.sender).ok_or(Refusal::NotFound)
    }

    fn require_group(&mut self, given: &Given<'_>) -> Judged<()> {
        match self.conversation(given)?.kind {
            ConversationKind::Group | ConversationKind::Channel => Ok(()),
            _ => Err(Refusal::WrongKind),
        }
    }

    fn require_manager(&mut self, given: &Given<'_>) -> Judged<Role> {
        let role = self.sender_role(given)?;
        self.require_group(given)?;
        if role >= Role::Admin { Ok(role) } else { Err(Refusal::Forbidden) }
    }

    fn require_room(&self, members: usize) -> Judged<()> {
        if members <= self.group_members { Ok(()) } else { Err(Refusal::TooManyMembers) }
    }

    fn require_users(&self, mut users: impl Iterator<Item = UserId>) -> Judged<()> {
        if users.all(|user| self.users.contains_key(&user)) { Ok(()) } else { Err(Refusal::UnknownUser) }
    }
}

fn membership_state(given: &Given<'_>, field: &str, seq: Seq) -> OwnState {
    OwnState {
        kind: "membership".to_owned(),
        key: given.command.conversation.to_string(),
        value: format!("{{\"{field}\":\"{seq}\"}}"),
    }
}

fn membership_body(change: &str, members: &[(UserId, Option<Role>)]) -> Bytes {
    let members = members.iter().map(|(user, role)| v1::MemberRole {
        user_id: user.get(),
        role: role.map(|role| role.as_str().to_owned()).unwrap_or_default(),
    });
    v1::MembershipChange { change: change.to_owned(), members: members.collect() }.encode_to_vec().into()
}
