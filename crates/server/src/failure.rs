//! What a client is told when its request was not carried out: the one mapping from every operation's refusal.

use std::time::Duration;

use sparrow_protocol::{Code, v1};
use sparrow_store::StoreError;
use sparrow_store::log::Refusal;

/// A refusal on its way to the client.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The stable word.
    pub(crate) code: Code,
    /// One sentence for a person, which names the cure.
    pub(crate) message: String,
    /// When to try again.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// A refusal with a sentence.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// The object does not exist, or its asker may not know of it; the answer is the same.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}, or you may not see it."))
    }

    /// The request breaks a stated rule.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// The wire form.
    pub(crate) fn to_wire(&self) -> v1::Error {
        v1::Error {
            code: self.code.as_str().to_owned(),
            message: self.message.clone(),
            retryable: self.code.retryable(),
            retry_after_ms: self
                .retry_after
                .map_or(0, |after| u32::try_from(after.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX)),
            ..Default::default()
        }
    }
}

impl From<StoreError> for Failure {
    /// A database error is logged here, once, and told without its details.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(detail) => {
                tracing::warn!(%detail, "database not available");
                Self::new(Code::Unavailable, "The server cannot reach its database; try again in a moment.")
            }
            StoreError::StorageFull => {
                tracing::warn!("disk full");
                Self::new(Code::StorageFull, "The server's disk is full; its operator has to free space.")
            }
            StoreError::Failed(detail) => {
                tracing::error!(%detail, "database failed");
                Self::new(Code::Internal, "The server made a mistake; its log says more.")
            }
        }
    }
}

impl From<Refusal> for Failure {
    /// What the sender of a command is told when the log refuses it.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found("conversation"),
            Refusal::Forbidden => Self::new(Code::Forbidden, "Your role in this conversation does not allow that."),
            Refusal::NotPermitted => Self::new(Code::NotPermitted, "They do not take messages from you."),
            Refusal::IdempotencyMismatch => {
                Self::new(Code::IdempotencyMismatch, "This id was used before for another request; take a new one.")
            }
            Refusal::UnknownUser => Self::not_found("user"),
            Refusal::NotMember => Self::not_found("member"),
            Refusal::WrongKind => Self::new(Code::Forbidden, "A conversation of this kind does not have that."),
            Refusal::LastOwner => {
                Self::new(Code::Forbidden, "You are the only owner; make somebody else the owner before you leave.")
            }
            Refusal::TooManyMembers => Self::new(Code::Conflict, "The group would have more members than it may."),
            Refusal::NothingToDo => Self::new(Code::Conflict, "Nothing would change."),
        }
    }
}
