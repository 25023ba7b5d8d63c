//! How often clients may do things. One token bucket per limiter and key, in memory, for this node; what is allowed to
//! log in is kept in the database, so that a restart forgives nothing and other nodes know of it.
//!
//! What is refused is counted by limiter. Sizes and queues are bounded where they are; this is about rates.

mod address;
mod bucket;
mod table;

use std::sync::Arc;
use std::time::Duration;

use sparrow_protocol::{Code, ConversationId, UserId, Username};
use sparrow_store::directory::Allowance;
use tokio::time::Instant;

use crate::config::Rates;
use crate::failure::Failure;
use crate::metrics::{LimiterLabels, Metrics};
use table::Table;

pub(crate) use address::ClientAddress;
pub(crate) use bucket::{Bucket, Rate};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What is limited; the label of `sparrow_limited_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limiter {
    /// Commands of a user that make an entry.
    UserSends,
    /// Entries of a conversation.
    ConversationSends,
    /// Signals of a user.
    Signals,
    /// Users looked up by name.
    LookUps,
    /// Sessions that a user begins.
    Sessions,
    /// Accounts made from an address.
    Registrations,
    /// Log-ins to an account.
    AccountLogIns,
    /// Log-ins from an address.
    AddressLogIns,
    /// Frames of one connection.
    Frames,
}

impl Limiter {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::UserSends => "user_sends",
            Self::ConversationSends => "conversation_sends",
            Self::Signals => "signals",
            Self::LookUps => "look_ups",
            Self::Sessions => "sessions",
            Self::Registrations => "registrations",
            Self::AccountLogIns => "account_logins",
            Self::AddressLogIns => "address_logins",
            Self::Frames => "frames",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::UserSends => "You send faster than allowed; wait a moment and send this again.",
            Self::ConversationSends => "This conversation is busier than allowed; wait a moment and send this again.",
            Self::Signals => "You send signals faster than allowed; this one was dropped.",
            Self::LookUps => "You look up users faster than allowed; wait a moment.",
            Self::Sessions => "You connect more often than allowed; wait a moment before you connect again.",
            Self::Registrations => "Too many accounts were made from your address; try again later.",
            Self::AccountLogIns => "Too many log-ins to this account; wait a moment and try again.",
            Self::AddressLogIns => "Too many log-ins from your address; wait a moment and try again.",
            Self::Frames => "This connection sends more frames than allowed; it is closed.",
        }
    }
}

/// The limiters of a node.
#[derive(Debug)]
pub(crate) struct RateLimits {
    user_sends: Table<UserId>,
    conversation_sends: Table<ConversationId>,
    signals: Table<UserId>,
    look_ups: Table<UserId>,
    sessions: Table<UserId>,
    registrations: Table<ClientAddress>,
    account_logins: Rate,
    address_logins: Rate,
    frames: Rate,
    metrics: Arc<Metrics>,
}

impl RateLimits {
    /// Limiters with these rates, all unused.
    pub(crate) fn new(rates: &Rates, metrics: Arc<Metrics>) -> Self {
        Self {
            user_sends: Table::new(Rate::new(rates.user_sends_per_second, SECOND, rates.user_sends_burst)),
            conversation_sends: Table::new(Rate::per(rates.conversation_sends_per_second, SECOND)),
            signals: Table::new(Rate::new(rates.signals_per_second, SECOND, rates.signals_burst)),
            look_ups: Table::new(Rate::per(rates.look_ups_per_minute, MINUTE)),
            sessions: Table::new(Rate::per(rates.sessions_per_minute, MINUTE)),
            registrations: Table::new(Rate::per(rates.registrations_per_hour, HOUR)),
            account_logins: Rate::per(rates.account_logins_per_minute, MINUTE),
            address_logins: Rate::per(rates.address_logins_per_minute, MINUTE),
            frames: Rate::new(rates.frames_per_second, SECOND, rates.frames_burst),
            metrics,
        }
    }

    /// Lets a user give a command that makes an entry. The conversation is asked without being charged: commands of
    /// people who may not write there must not cost those who may. See [`RateLimits::stored`].
    pub(crate) fn send(&self, user: UserId, conversation: ConversationId) -> Result<(), Failure> {
        let now = Instant::now();
        self.judge(Limiter::ConversationSends, self.conversation_sends.has_one(&conversation, now))?;
        self.judge(Limiter::UserSends, self.user_sends.take(user, now))
    }

    /// Charges a conversation for an entry that was stored.
    pub(crate) fn stored(&self, conversation: ConversationId) {
        self.conversation_sends.charge(conversation, Instant::now());
    }

    /// Lets a user send a signal.
    pub(crate) fn signal(&self, user: UserId) -> Result<(), Failure> {
        self.judge(Limiter::Signals, self.signals.take(user, Instant::now()))
    }

    /// Lets a user look somebody up.
    pub(crate) fn look_up(&self, user: UserId) -> Result<(), Failure> {
        self.judge(Limiter::LookUps, self.look_ups.take(user, Instant::now()))
    }

    /// Lets a user begin a session.
    pub(crate) fn session(&self, user: UserId) -> Result<(), Failure> {
        self.judge(Limiter::Sessions, self.sessions.take(user, Instant::now()))
    }

    /// Lets somebody at this address make an account.
    pub(crate) fn register(&self, address: ClientAddress) -> Result<(), Failure> {
        self.judge(Limiter::Registrations, self.registrations.take(address, Instant::now()))
    }

    /// A new connection's bucket of frames.
    pub(crate) fn new_connection(&self) -> Bucket {
        Bucket::full(Instant::now())
    }

    /// Lets a connection's frame in.
    pub(crate) fn frame(&self, bucket: &mut Bucket, now: Instant) -> Result<(), Failure> {
        self.judge(Limiter::Frames, bucket.take(self.frames, now))
    }

    /// What a log-in takes from the database: one from the address, and one from the account, whether there is such an
    /// account or not, so that both are answered alike.
    pub(crate) fn log_in(&self, name: Option<&Username>, address: Option<ClientAddress>) -> Vec<Allowance> {
        let account = name.map(|name| self.account_logins.allowance(format!("login account {}", name.key())));
        let address = address.map(|address| self.address_logins.allowance(format!("login address {address}")));
        address.into_iter().chain(account).collect()
    }

    /// The refusal of a log-in, by the key of the allowance that is used up.
    pub(crate) fn log_in_refused(&self, key: &str, wait: Duration) -> Failure {
        let by_address = key.starts_with("login address");
        self.refuse(if by_address { Limiter::AddressLogIns } else { Limiter::AccountLogIns }, wait)
    }

    fn judge(&self, limiter: Limiter, taken: Result<(), Duration>) -> Result<(), Failure> {
        taken.map_err(|wait| self.refuse(limiter, wait))
    }

    fn refuse(&self, limiter: Limiter, wait: Duration) -> Failure {
        self.metrics.limited.get_or_create(&LimiterLabels { limiter: limiter.as_str() }).inc();
        Failure { retry_after: Some(wait), ..Failure::new(Code::RateLimited, limiter.sentence()) }
    }
}

impl Rate {
    fn allowance(self, key: String) -> Allowance {
        let (interval, depth) = self.parts();
        Allowance { key, interval, depth }
    }
}
