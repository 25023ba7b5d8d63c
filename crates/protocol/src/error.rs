//! Error codes: the stable words by which a client tells refusals apart.

/// Why a request was not carried out. On the wire it is the lowercase word of [`Code::as_str`]; clients treat a word
/// they do not know by the `retryable` flag beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request is malformed or breaks a stated rule.
    InvalidRequest,
    /// No valid token.
    Unauthenticated,
    /// The caller may see the object but not do this.
    Forbidden,
    /// The other side does not take messages from the caller.
    NotPermitted,
    /// The object does not exist, or the caller may not see it.
    NotFound,
    /// The HTTP method does not exist on this path.
    MethodNotAllowed,
    /// The name belongs to another account.
    NameTaken,
    /// The log-in policy allows no further device.
    TooManyDevices,
    /// The request contradicts the present state.
    Conflict,
    /// The id was used before for another request.
    IdempotencyMismatch,
    /// A body or frame is larger than allowed.
    TooLarge,
    /// The command number is not known.
    UnknownCommand,
    /// Too many requests of this kind.
    RateLimited,
    /// An earlier send of this session to this conversation has to be retried first.
    RetryInOrder,
    /// The server has more to do than it can.
    Overloaded,
    /// The database, or something else the request needs, is away.
    Unavailable,
    /// The disk is full.
    StorageFull,
    /// A fault of the server; it is logged there.
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotPermitted,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NameTaken,
        Self::TooManyDevices,
        Self::Conflict,
        Self::IdempotencyMismatch,
        Self::TooLarge,
        Self::UnknownCommand,
        Self::RateLimited,
        Self::RetryInOrder,
        Self::Overloaded,
        Self::Unavailable,
        Self::StorageFull,
        Self::Internal,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotPermitted => "not_permitted",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NameTaken => "name_taken",
            Self::TooManyDevices => "too_many_devices",
            Self::Conflict => "conflict",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::TooLarge => "too_large",
            Self::UnknownCommand => "unknown_command",
            Self::RateLimited => "rate_limited",
            Self::RetryInOrder => "retry_in_order",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::StorageFull => "storage_full",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::UnknownCommand => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::NotPermitted => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NameTaken
            | Self::TooManyDevices
            | Self::Conflict
            | Self::IdempotencyMismatch
            | Self::RetryInOrder => 409,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Overloaded | Self::Unavailable => 503,
            Self::StorageFull => 507,
        }
    }

    /// True if the same request may succeed later.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::RetryInOrder | Self::Overloaded | Self::Unavailable | Self::StorageFull
        )
    }
}
