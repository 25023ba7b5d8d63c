//! Why a server ends a connection: the WebSocket close code, and the word in `Goodbye` and in the close frame.
//!
//! A client that does not know a code goes by its range: after 4000-4499 it reconnects (with back-off), after 4500-4999
//! it does not. Codes of RFC 6455 itself (1002, 1007, 1009, ...) answer a breach of WebSocket, not of this protocol.

/// Why a server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The server stops or is drained.
    Shutdown = 4000,
    /// No complete frame came from the client for 75 s.
    Idle = 4001,
    /// `Hello` was not complete within 10 s.
    HelloTimeout = 4002,
    /// The client did not take what was sent: one write lasted over 10 s.
    Slow = 4003,
    /// The server has more to do, or more connections, than it can.
    Overloaded = 4004,
    /// A fault of the server; it is logged there.
    Internal = 4005,
    /// The token is not valid, or no longer. Refresh it or log in, then connect.
    Unauthenticated = 4500,
    /// The device was logged out or revoked. Log in again.
    Revoked = 4501,
    /// The same device opened a newer connection, or another device of the user logged in and took its place.
    Replaced = 4502,
    /// The client broke the protocol: a frame that cannot be read, or one before `Hello`.
    ProtocolError = 4503,
    /// A frame was larger than allowed.
    TooLarge = 4504,
    /// The client broke a rule of the server: a flood, too many devices.
    Policy = 4505,
}

impl CloseCode {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::Shutdown,
        Self::Idle,
        Self::HelloTimeout,
        Self::Slow,
        Self::Overloaded,
        Self::Internal,
        Self::Unauthenticated,
        Self::Revoked,
        Self::Replaced,
        Self::ProtocolError,
        Self::TooLarge,
        Self::Policy,
    ];

    /// The number in a WebSocket close frame.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The word in `Goodbye.reason` and in the close frame.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Idle => "idle",
            Self::HelloTimeout => "hello_timeout",
            Self::Slow => "slow",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
            Self::Unauthenticated => "unauthenticated",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::ProtocolError => "protocol_error",
            Self::TooLarge => "too_large",
            Self::Policy => "policy",
        }
    }

    /// True if the client should connect again by itself, with the same token.
    pub const fn reconnect(self) -> bool {
        should_reconnect(self.number())
    }
}

/// What a client does after a WebSocket close code, known to it or not: true to reconnect.
pub const fn should_reconnect(number: u16) -> bool {
    !matches!(number, 4500..=4999)
}
