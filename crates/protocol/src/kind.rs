//! The closed word lists of the vocabulary. On the wire they are lowercase strings, so that they can grow.

use std::fmt;
use std::str::FromStr;

/// A word that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown word")]
pub struct UnknownWord;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every word of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err(UnknownWord) }
            }
        }
    };
}

words! {
    /// What sort of conversation it is.
    ConversationKind {
        /// Exactly two users, one per pair.
        Direct = "direct",
        /// Members write to members.
        Group = "group",
        /// Few publish, anyone subscribes.
        Channel = "channel",
        /// Notes to oneself.
        SelfNotes = "self",
        /// Notices of the server to one user.
        System = "system",
    }
}

words! {
    /// What a record of a log is.
    EntryKind {
        /// Something somebody wrote.
        Message = "message",
        /// A new body for an earlier message.
        Edit = "edit",
        /// An earlier message is taken back.
        Recall = "recall",
        /// An emoji given to, or taken from, an earlier message.
        Reaction = "reaction",
        /// Somebody came, left or changed role.
        Membership = "membership",
        /// The conversation's settings changed.
        Settings = "settings",
        /// An earlier message was pinned or unpinned.
        Pin = "pin",
    }
}

words! {
    /// A member's place in a conversation, the least first.
    Role {
        /// Reads a channel.
        Subscriber = "subscriber",
        /// Reads and writes.
        Member = "member",
        /// Also manages members and settings.
        Admin = "admin",
        /// Also appoints admins; every group keeps one.
        Owner = "owner",
    }
}
