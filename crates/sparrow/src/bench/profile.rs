//! The limits of the nodes that a bench starts.

use clap::ValueEnum;

use crate::config;

/// The limits that a node runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Profile {
    /// Raised, so that load is not taken for abuse. The limiter runs all the same
    Bench,
    /// As they are, but for what everybody being on one machine takes: log-ins and connections of one address
    Default,
}

/// Passwords are not what is measured, and all clients have a few addresses.
const ONE_MACHINE: &[(&str, &str)] = &[
    ("SPARROW_PASSWORD_HASHING_MEMORY_KIB", "8"),
    ("SPARROW_PASSWORD_HASHING_PASSES", "1"),
    ("SPARROW_LIMITS_ADDRESS_CONNECTIONS", "1000000"),
    ("SPARROW_LIMITS_ADDRESS_SESSIONS", "1000000"),
    ("SPARROW_RATES_REGISTRATIONS_PER_HOUR", "1000000"),
    ("SPARROW_RATES_ACCOUNT_LOGINS_PER_MINUTE", "1000000"),
    ("SPARROW_RATES_ADDRESS_LOGINS_PER_MINUTE", "1000000"),
];

/// What the profile `bench` raises besides the rates. Queues of sessions are deeper because the generator has its readers
/// on the node's own processors; a session may have more unanswered requests because one stands for many people.
const RAISED: &[(&str, &str)] = &[
    ("SPARROW_LIMITS_UNANSWERED_REQUESTS", "4096"),
    ("SPARROW_LIMITS_SESSION_QUEUE_FRAMES", "4096"),
    ("SPARROW_LIMITS_SESSION_QUEUE_BYTES", "8 MiB"),
];

impl Profile {
    /// Its name in results.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Bench => "bench",
            Self::Default => "default",
        }
    }

    /// The variables of a node's environment that make it.
    pub(super) fn variables(self) -> Vec<(String, String)> {
        let own = |variables: &[(&str, &str)]| -> Vec<(String, String)> {
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut all = own(ONE_MACHINE);
        if self == Self::Bench {
            all.extend(own(RAISED));
            all.extend(config::highest_rates());
        }
        all
    }
}
