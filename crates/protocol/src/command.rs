//! Commands: what a frame's body is.

/// What a frame asks, answers or pushes. The number goes into binary frames, the word into JSON frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Command {
    /// `Hello`: a client introduces itself.
    Hello = 1,
    /// `Welcome`: the answer.
    Welcome = 2,
    /// `Ping`.
    Ping = 3,
    /// `Pong`.
    Pong = 4,
    /// `Goodbye`: the server is about to close.
    Goodbye = 5,
    /// `Error`: the answer to a request that was not carried out.
    Error = 6,
    /// `Ok`: an answer without content.
    Ok = 7,
    /// `Send`.
    Send = 16,
    /// `SendAck`.
    SendAck = 17,
    /// `Push`.
    Push = 32,
    /// `Ack`.
    Ack = 33,
    /// `Read`.
    Read = 34,
    /// `ReadAck`.
    ReadAck = 35,
    /// `Receipt`.
    Receipt = 36,
    /// `StateChanged`.
    StateChanged = 37,
    /// `Signal`.
    Signal = 38,
    /// `PresenceSubscribe`.
    PresenceSubscribe = 39,
    /// `Presence`.
    Presence = 40,
    /// `Sync`.
    Sync = 48,
    /// `SyncPage`.
    SyncPage = 49,
    /// `Pull`.
    Pull = 50,
    /// `PullPage`.
    PullPage = 51,
    /// `Resync`.
    Resync = 52,
}

impl Command {
    /// Every command.
    pub const ALL: &'static [Self] = &[
        Self::Hello,
        Self::Welcome,
        Self::Ping,
        Self::Pong,
        Self::Goodbye,
        Self::Error,
        Self::Ok,
        Self::Send,
        Self::SendAck,
        Self::Push,
        Self::Ack,
        Self::Read,
        Self::ReadAck,
        Self::Receipt,
        Self::StateChanged,
        Self::Signal,
        Self::PresenceSubscribe,
        Self::Presence,
        Self::Sync,
        Self::SyncPage,
        Self::Pull,
        Self::PullPage,
        Self::Resync,
    ];

    /// The number in binary frames.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The command with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| command.number() == number)
    }

    /// The word in JSON frames.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Welcome => "welcome",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Goodbye => "goodbye",
            Self::Error => "error",
            Self::Ok => "ok",
            Self::Send => "send",
            Self::SendAck => "sendAck",
            Self::Push => "push",
            Self::Ack => "ack",
            Self::Read => "read",
            Self::ReadAck => "readAck",
            Self::Receipt => "receipt",
            Self::StateChanged => "stateChanged",
            Self::Signal => "signal",
            Self::PresenceSubscribe => "presenceSubscribe",
            Self::Presence => "presence",
            Self::Sync => "sync",
            Self::SyncPage => "syncPage",
            Self::Pull => "pull",
            Self::PullPage => "pullPage",
            Self::Resync => "resync",
        }
    }

    /// The command with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| command.as_str() == word)
    }
}
