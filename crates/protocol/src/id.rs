//! Ids and positions. A value of these types is well-formed; whether the thing exists is the store's to say.

use std::fmt;
use std::str::FromStr;

/// Why a text or number is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct InvalidId;

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// The id with this number, if it is positive.
            pub const fn new(number: i64) -> Option<Self> {
                if number > 0 { Some(Self(number)) } else { None }
            }

            /// The number.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl TryFrom<i64> for $name {
            type Error = InvalidId;

            fn try_from(number: i64) -> Result<Self, InvalidId> {
                Self::new(number).ok_or(InvalidId)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Reads the decimal form without sign, space or leading zero.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if !text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with('0') {
                    return Err(InvalidId);
                }
                text.parse().ok().and_then(Self::new).ok_or(InvalidId)
            }
        }
    };
}

numeric_id! {
    /// An account.
    UserId
}
numeric_id! {
    /// One installation of a client.
    DeviceId
}
numeric_id! {
    /// An append-only log with members.
    ConversationId
}

/// Milliseconds since 2025-01-01 fill the upper 41 bits of a numeric id.
pub const ID_EPOCH_MS: i64 = 1_735_689_600_000;

/// Random bits in the lower part of a numeric id.
pub const ID_RANDOM_BITS: u32 = 22;

/// The number of an id made at `now` from the given random bits. Uniqueness is the database's to enforce.
pub const fn id_number(now: Timestamp, random: u32) -> i64 {
    let ms = if now.0 > ID_EPOCH_MS { now.0 - ID_EPOCH_MS } else { 0 };
    let low = (random & ((1 << ID_RANDOM_BITS) - 1)) as i64;
    let number = (ms << ID_RANDOM_BITS) | low;
    if number == 0 { 1 } else { number }
}

/// An entry's number in its conversation; 0 stands before the first entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(i64);

impl Seq {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);
    /// The first entry.
    pub const FIRST: Self = Self(1);
    /// Beyond every entry.
    pub const MAX: Self = Self(i64::MAX);

    /// The position with this number, if it is not negative.
    pub const fn new(number: i64) -> Option<Self> {
        if number >= 0 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The next position.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position before; zero stays zero.
    #[must_use]
    pub const fn prev(self) -> Self {
        if self.0 > 0 { Self(self.0 - 1) } else { self }
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<i64> for Seq {
    type Error = InvalidId;

    fn try_from(number: i64) -> Result<Self, InvalidId> {
        Self::new(number).ok_or(InvalidId)
    }
}

/// The server's time, milliseconds since 1970 UTC. Never an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time at so many milliseconds since 1970 UTC.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970 UTC.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// So much later.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// The sender's id of a command that makes an entry: 16 bytes, a UUID in text. All zeros is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientMsgId([u8; 16]);

impl ClientMsgId {
    /// The id with these bytes, if they are not all zero.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<uuid::Uuid> for ClientMsgId {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.into_bytes())
    }
}

impl fmt::Display for ClientMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl FromStr for ClientMsgId {
    type Err = InvalidId;

    /// Reads the hyphenated form of a UUID, in either case.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() != 36 {
            return Err(InvalidId);
        }
        let id = uuid::Uuid::try_parse(text).map_err(|_| InvalidId)?;
        Self::new(id.into_bytes()).ok_or(InvalidId)
    }
}

/// SHA-256 over what a command asked for, as the client sent it. Tells a retry from another request under the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestHash(pub [u8; 32]);
