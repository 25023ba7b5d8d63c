//! The log: what is complete and ordered.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sparrow_protocol::{
    ClientMsgId, ConversationId, ConversationKind, EntryKind, RequestHash, Role, Seq, Timestamp, UserId,
};

use crate::StoreError;

/// What one transaction of an append lane carries.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The server's time, stored with every entry of the batch.
    pub now: Timestamp,
    /// Commands, in the order in which they are to be judged and numbered.
    pub commands: Vec<Append>,
    /// Cursors that ride along.
    pub cursors: Vec<CursorAdvance>,
}

/// A command that makes one entry.
#[derive(Debug, Clone)]
pub struct Append {
    /// The log it goes to.
    pub conversation: ConversationId,
    /// Who asks.
    pub sender: UserId,
    /// The sender's id for it; `(sender, conversation, client_msg_id)` makes at most one entry.
    pub client_msg_id: ClientMsgId,
    /// What was asked, to tell a retry from another request under the same id.
    pub request_hash: RequestHash,
    /// What to do.
    pub action: Action,
}

/// What a command does besides making its entry.
#[derive(Debug, Clone)]
pub enum Action {
    /// Stores a message. The sender must be a member with a role above subscriber.
    Message {
        /// The content, as the sender wrote it.
        body: Bytes,
        /// The members it names, for the mention count. Users who are not members are passed over.
        mentions: Mentions,
    },
    /// Makes the conversation itself with its first entry, a `membership` `created`. The sender becomes the owner; the
    /// members join at seq 1. Users who do not exist refuse the command; an id that is taken refuses it as
    /// [`Refusal::IdempotencyMismatch`].
    Create(NewGroup),
    /// Adds users as members. The sender must be owner or admin. Users who are members already are passed over; if
    /// none is left the command is refused as [`Refusal::NothingToDo`].
    AddMembers {
        /// Whom.
        users: Vec<UserId>,
    },
    /// The sender joins by themselves; only where the conversation lets newcomers in (`join_by_default`).
    Join,
    /// Removes a member. An admin may remove members, the owner anybody but themselves.
    RemoveMember {
        /// Whom.
        user: UserId,
    },
    /// The sender leaves. The last owner of a group with other members is refused as [`Refusal::LastOwner`].
    Leave,
    /// Gives a member a role. Only the owner; giving `owner` makes the sender an admin in the same step.
    ChangeRole {
        /// Whose.
        user: UserId,
        /// `owner`, `admin` or `member`.
        role: Role,
    },
    /// Changes settings. The sender must be owner or admin.
    ChangeSettings {
        /// The new name.
        name: Option<String>,
        /// The new description.
        description: Option<String>,
    },
}

/// Whom a message names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Single users.
    pub users: Vec<UserId>,
    /// Everybody. Counted only if the sender is owner or admin, or the conversation is a direct.
    pub all: bool,
}

/// A group to be made.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// The first members besides the sender.
    pub members: Vec<UserId>,
    /// True if newcomers see what was said before.
    pub history_visible: bool,
    /// True if accounts join it by themselves ([`Action::Join`]).
    pub join_by_default: bool,
    /// The caller's `Idempotency-Key`: the same `(sender, key)` within 24 h answers the first group as a duplicate.
    pub idempotency_key: Option<String>,
}

/// A cursor of one user that may have moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorAdvance {
    /// Whose.
    pub user: UserId,
    /// Where.
    pub conversation: ConversationId,
    /// A device holds everything up to here.
    pub delivered: Option<Seq>,
    /// The user has read up to here. Reading implies having received.
    pub read: Option<Seq>,
}

/// What became of a batch that was committed.
#[derive(Debug, Clone)]
pub struct Appended {
    /// One per command, in order.
    pub outcomes: Vec<Outcome>,
    /// One per cursor, in order.
    pub cursors: Vec<CursorOutcome>,
}

/// What became of one command.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It made an entry.
    Stored(Stored),
    /// This id had made an entry before, which is answered; nothing was checked beyond the request hash.
    Duplicate(Stored),
    /// It made no entry.
    Refused(Refusal),
    /// It made no entry because the database failed over this command alone; the store has logged why.
    Failed,
}

/// An entry, and what its fan-out needs to know.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The entry.
    pub entry: StoredEntry,
    /// The version of the member list that goes with the entry.
    pub members_version: i64,
    /// Own state that the command wrote: where each user it concerns came in (`membership`, `{"joinSeq":"5"}`) or went
    /// out (`{"leaveSeq":"12"}`). Empty for a duplicate.
    pub own_states: Vec<(UserId, OwnState)>,
}

/// Why a command made no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The conversation does not exist or the sender is not a member.
    NotFound,
    /// The sender's role does not allow it.
    Forbidden,
    /// The other side does not take messages from the sender.
    NotPermitted,
    /// The id was used before with another request hash.
    IdempotencyMismatch,
    /// A user that the command names does not exist.
    UnknownUser,
    /// The user that the command names is not a member.
    NotMember,
    /// The conversation's kind has no such command (members of a direct, for example).
    WrongKind,
    /// The owner must give the group away first.
    LastOwner,
    /// The group would have more members than allowed.
    TooManyMembers,
    /// Nothing would change.
    NothingToDo,
}

/// What became of one cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorOutcome {
    /// The cursor as it now is.
    Now {
        /// A device holds everything up to here.
        delivered: Seq,
        /// The user has read up to here.
        read: Seq,
        /// True if this batch moved either.
        moved: bool,
        /// The version of the member list in that transaction: who is to be told.
        members_version: i64,
    },
    /// The seq lies beyond the head, or beyond the user's last interval. Nothing moved.
    BeyondHead,
    /// The conversation does not exist or the user was never a member.
    NotFound,
}

/// One row of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The log.
    pub conversation: ConversationId,
    /// The number.
    pub seq: Seq,
    /// What it is.
    pub kind: EntryKind,
    /// Who made it.
    pub sender: UserId,
    /// When it was stored.
    pub time: Timestamp,
    /// The sender's id for it.
    pub client_msg_id: ClientMsgId,
    /// The earlier entry it concerns.
    pub ref_seq: Option<Seq>,
    /// What is left of the body.
    pub body: Body,
}

/// The body of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The bytes: a `Content` of a message or edit as its sender wrote it, else the change as protobuf
    /// (`MembershipChange`, `SettingsChange`), which the store itself encodes.
    Kept(Bytes),
    /// Erased by a recall or a time limit.
    Erased,
    /// The row cannot be read. The entry keeps its place.
    Damaged,
}

/// Who is, or was, in a conversation.
#[derive(Debug, Clone)]
pub struct Members {
    /// The version of this list.
    pub version: i64,
    /// The kind of the conversation.
    pub kind: ConversationKind,
    /// The rows changed after the version asked for, in no particular order.
    pub rows: Vec<MemberRow>,
}

/// One user's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub user: UserId,
    /// The role; `None` for somebody who left.
    pub role: Option<Role>,
    /// All intervals, oldest first, not overlapping.
    pub intervals: Vec<Interval>,
}

/// A part of a log that a user may see: `join <= seq < leave`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The first seq.
    pub join: Seq,
    /// The first seq no longer seen; `None` while open.
    pub leave: Option<Seq>,
}

impl Interval {
    /// True if the entry lies inside.
    pub fn contains(&self, seq: Seq) -> bool {
        self.join <= seq && self.leave.is_none_or(|leave| seq < leave)
    }
}

/// A range of a log that a reader wants.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The first seq wanted.
    pub from: Seq,
    /// The last seq wanted; `None` for the head.
    pub to: Option<Seq>,
    /// Most entries wanted, at least 1.
    pub limit: usize,
    /// Most bytes of bodies wanted; the first entry is answered whatever its size.
    pub max_bytes: usize,
    /// True to begin at the end of the range and go back.
    pub backward: bool,
}

/// Part of a log, as one reader may see it.
#[derive(Debug, Clone)]
pub struct Page {
    /// The entries, in increasing seq.
    pub entries: Vec<VisibleEntry>,
    /// The range this page answers for. `covered.0 > covered.1` if there is nothing.
    pub covered: (Seq, Seq),
    /// The first entry still kept.
    pub floor: Seq,
    /// The last entry that the reader may know of: the head, or for a former member the end of the last interval.
    pub head: Seq,
}

/// An entry, and whether its reader may see what it refers to.
#[derive(Debug, Clone)]
pub struct VisibleEntry {
    /// The entry.
    pub entry: StoredEntry,
    /// False if it concerns an entry outside the reader's intervals: its content must not be shown.
    pub ref_visible: bool,
}

/// Where a client stands in what it knows. Its encoding for the wire is the server's affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncPosition {
    /// The life of the database that the numbers belong to.
    pub epoch: String,
    /// Rows changed at or after this are answered.
    pub since: i64,
    /// Taken before the first page: what the next `Sync` starts from.
    pub watermark: i64,
    /// The last row of the page before; `None` on the first page.
    pub after: Option<SyncKey>,
}

/// The place in the order of one `Sync`'s rows: conversations by id, then states by kind and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncKey {
    /// Conversations up to this one were answered.
    Conversation(ConversationId),
    /// All conversations, and states up to this one, were answered.
    State {
        /// The state's kind.
        kind: String,
        /// The state's key.
        key: String,
    },
}

/// One page of what changed for a user.
#[derive(Debug, Clone)]
pub struct SyncChanges {
    /// Conversations the user is or was in.
    pub conversations: Vec<ConversationView>,
    /// Own state.
    pub states: Vec<OwnState>,
    /// Where to go on, now or next time.
    pub next: SyncPosition,
    /// True if more pages follow.
    pub more: bool,
    /// True if the answer is complete rather than a difference.
    pub full: bool,
}

/// A fact that concerns one user's devices alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnState {
    /// What it is about.
    pub kind: String,
    /// Which one.
    pub key: String,
    /// JSON text; empty if deleted.
    pub value: String,
}

/// A conversation as one user sees it. Names and counts are present values, heads end with the user's last interval.
#[derive(Debug, Clone)]
pub struct ConversationView {
    /// Its id.
    pub conversation: ConversationId,
    /// Its kind.
    pub kind: ConversationKind,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// The other user of a direct, with their name.
    pub peer: Option<(UserId, String)>,
    /// The last entry that the user may know of.
    pub head: Seq,
    /// The first entry still kept.
    pub floor: Seq,
    /// What the user may see.
    pub intervals: Vec<Interval>,
    /// The user's role; `None` for a former member.
    pub role: Option<Role>,
    /// A device of the user holds everything up to here.
    pub delivered: Seq,
    /// The user has read up to here.
    pub read: Seq,
    /// The last message that the user may see.
    pub last_message: Option<Seq>,
    /// How many members there are.
    pub member_count: u32,
    /// True if newcomers see what was said before.
    pub history_visible: bool,
}

/// The log of every conversation, as an append lane and its readers need it.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Judges, numbers and stores a batch in one durable transaction.
    ///
    /// In this order: duplicates (also within the batch) are answered *before any other check*, even for a sender who
    /// has since been removed; then membership, role and the rest are judged as they are inside the transaction, each
    /// command seeing the effect of those before it; survivors alone are numbered, so refusals leave no hole; cursors
    /// are advanced last, as a maximum bounded by head and intervals. A refusal of one command leaves the others alone.
    ///
    /// An `Err` means that *nothing* of the batch is stored. Every backend checks that itself where the outcome of a
    /// commit is unknown: it runs the same batch again before anything else. What the first attempt stored is then
    /// answered as a duplicate with the time of the batch, by which the server knows that it was not pushed yet.
    ///
    /// Shared, because whoever gave the batch keeps it to try again and to answer from.
    async fn append(&self, batch: Arc<Batch>) -> Result<Appended, StoreError>;

    /// The member rows changed after `version` (0: all of them). `None` if the conversation does not exist.
    async fn members(&self, conversation: ConversationId, version: i64) -> Result<Option<Members>, StoreError>;

    /// A page of a log. `None` if the conversation does not exist or the reader was never a member.
    async fn pull(
        &self,
        reader: UserId,
        conversation: ConversationId,
        range: Range,
    ) -> Result<Option<Page>, StoreError>;

    /// Entries `from..=to` whoever asks, in increasing seq, for the stage that serves a hole to sessions already
    /// checked; at most 200. With them the version of the member list, read in the same transaction.
    async fn entries(
        &self,
        conversation: ConversationId,
        from: Seq,
        to: Seq,
    ) -> Result<(i64, Vec<StoredEntry>), StoreError>;

    /// What changed for a user. Without a position, or with one of another epoch, the answer is full.
    ///
    /// The watermark is read *before* the rows of the first page, so a change that commits while pages are read is
    /// answered now or next time, perhaps both, never neither.
    async fn sync(&self, user: UserId, position: Option<SyncPosition>, limit: usize)
    -> Result<SyncChanges, StoreError>;

    /// The id of this life of the database.
    async fn epoch(&self) -> Result<String, StoreError>;
}
