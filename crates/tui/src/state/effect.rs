//! What the state asks for, and what comes back. Whoever carries an effect out answers it with at most one [`Answer`].

use sparrow_client::{
    Content, Conversation, ConversationState, Entry, Error, Member, OutboxMessage, ReceiptState, User, UserPresence,
};

use super::log::Part;
use crate::Exit;
use crate::command::UserRef;

/// Something to do outside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Read the conversation list of the server.
    ListConversations,
    /// Read up to `limit` entries before a seq (0: before the end).
    History { conversation: i64, before: i64, limit: u32, part: Part },
    /// Put a message into the outbox.
    Send { token: u64, conversation: i64, content: Content },
    /// Take a failed message out of the outbox.
    Discard { local_id: String },
    /// Note on the server that the user has read up to here.
    Read { conversation: i64, seq: i64 },
    /// Tell the members that the user types, or types no more.
    Typing { conversation: i64, typing: bool },
    /// Open the direct with a user; then say something there, if there is something.
    OpenDirect { user: UserRef, text: Option<String> },
    /// Open the notes to oneself, likewise.
    OpenNotes { text: Option<String> },
    /// Make a group.
    CreateGroup { name: String, members: Vec<UserRef> },
    /// Add members.
    Invite { conversation: i64, users: Vec<UserRef> },
    /// Remove members, one after another.
    Kick { conversation: i64, users: Vec<UserRef> },
    /// Leave a group.
    Leave { conversation: i64 },
    /// Who is online, as far as so many pages tell.
    Online { pages: usize },
    /// Be told when these users come and go.
    Watch { users: Vec<i64> },
    /// Users by prefix, for the list.
    Users { prefix: String },
    /// Users by prefix, for completion.
    LookUp { prefix: String },
    /// One user by id.
    User { id: i64 },
    /// Members of a group.
    Members { conversation: i64 },
    /// Who has got the user's message.
    Receipts { conversation: i64, seq: i64 },
    /// Search logs for a word, in this order of conversations.
    Search { number: u64, word: String, conversations: Vec<i64> },
    /// Leave.
    Exit(Exit),
}

/// What an effect brought.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// What this device knew before it asked anybody.
    Known {
        conversations: Vec<ConversationState>,
        outbox: Vec<OutboxMessage>,
    },
    Conversations(Result<Vec<Conversation>, Error>),
    History {
        conversation: i64,
        part: Part,
        result: Result<Vec<Entry>, Error>,
    },
    /// The message is in the outbox under this id.
    Queued {
        token: u64,
        result: Result<String, Error>,
    },
    Read {
        conversation: i64,
        result: Result<i64, Error>,
    },
    Opened {
        result: Result<Box<Conversation>, Error>,
        text: Option<String>,
    },
    Invited {
        users: Vec<UserRef>,
        result: Result<(), Error>,
    },
    Kicked {
        users: Vec<UserRef>,
        result: Result<(), Error>,
    },
    Left {
        conversation: i64,
        result: Result<(), Error>,
    },
    /// Users online, and whether these are all.
    Online(Result<(Vec<User>, bool), Error>),
    /// How the users that are watched are now.
    Watched(Result<Vec<UserPresence>, Error>),
    Users {
        prefix: String,
        result: Result<Vec<User>, Error>,
    },
    LookedUp(Result<Vec<User>, Error>),
    User {
        id: i64,
        result: Result<User, Error>,
    },
    Members {
        conversation: i64,
        result: Result<Vec<Member>, Error>,
    },
    Receipts {
        conversation: i64,
        seq: i64,
        result: Result<Vec<ReceiptState>, Error>,
    },
    Found {
        number: u64,
        word: String,
        result: Result<Vec<Entry>, Error>,
    },
}
