//! Rules that a node can be told to break, so that whoever checks its promises is checked too.
//!
//! Where each shows: on one node under real faults, or, because one node with SQLite gives it no occasion, only in the
//! simulation or in a test of its own.

#[cfg(feature = "sabotage")]
use std::{cell::Cell, marker::PhantomData, sync::OnceLock};

/// The variable that names the rule to break.
const VARIABLE: &str = "SPARROW_SABOTAGE";

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $rule:ident = $name:literal,)+) => {
        /// A rule that makes the promises hold.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Rule {
            $($(#[doc = $doc])+ $rule,)+
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$rule),+];

            /// The name of breaking it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)+
                }
            }
        }
    };
}

rules! {
    /// Answered when judged; committed afterwards. Shows on one node, with `kill -9` or a power cut.
    AckBeforeCommit = "ack-before-commit",
    /// Duplicates are known from memory alone. Shows on one node, with a retry after a restart.
    InMemoryDeduplication = "in-memory-deduplication",
    /// A session is pushed to only from after its first `Sync`. Shows in the simulation: on one node the next push
    /// betrays the gap, so only the last entry of a conversation stays missing.
    SnapshotThenSubscribe = "snapshot-then-subscribe",
    /// Commands of a batch are numbered by the time in their ids, ties as they fall. Shows on one node, where one session
    /// sends several within a millisecond.
    OrderByTimestamp = "order-by-timestamp",
    /// A commit is not forced to the disk. Shows on one node, with a power cut only.
    SynchronousNormal = "synchronous-normal",
    /// Pushes that do not fit are dropped and nobody is told. Shows on one node, with slow readers.
    PushWithoutReconcile = "push-without-reconcile",
    /// Member lists are kept as first read. Shows on one node, where membership churns.
    CachedMembership = "cached-membership",
    /// A cursor becomes what was asked for. Shows on one node, with two devices of a user.
    BlindCursorUpdate = "blind-cursor-update",
    /// A session's queue has no bounds. Shows on one node, in memory, with slow readers.
    UnboundedQueue = "unbounded-queue",
    /// A batch whose outcome is unknown is run again under new ids. Shows in the simulation: on SQLite the process ends
    /// instead.
    RetryWithNewId = "retry-with-new-id",
    /// Membership is read before the lock that orders the appends is held. Shows in the simulation, over a store that two
    /// nodes share: SQLite has one writer.
    MembershipInLockingStatement = "membership-in-locking-statement",
    /// A duplicate uses up a number. Shows on one node, with any retry.
    SeqBeforeDeduplication = "seq-before-deduplication",
    /// After a batch of unknown outcome the next one is run first. Shows in the simulation: on SQLite the process ends
    /// instead.
    NextBatchAfterUnknown = "next-batch-after-unknown",
}

/// True if this rule is to be broken here.
#[cfg(feature = "sabotage")]
pub fn broken(rule: Rule) -> bool {
    current() == Some(rule)
}

/// Never in this build.
#[cfg(not(feature = "sabotage"))]
#[inline(always)]
pub const fn broken(_rule: Rule) -> bool {
    false
}

/// What was chosen for the process.
#[cfg(feature = "sabotage")]
static CHOSEN: OnceLock<Rule> = OnceLock::new();

#[cfg(feature = "sabotage")]
thread_local! {
    /// What was chosen for this thread.
    static HERE: Cell<Option<Rule>> = const { Cell::new(None) };
}

/// The rule that is broken in this thread.
#[cfg(feature = "sabotage")]
pub fn current() -> Option<Rule> {
    HERE.get().or_else(|| CHOSEN.get().copied())
}

/// Breaks in this thread, for good, what was broken in the one that started it.
#[cfg(feature = "sabotage")]
pub fn adopt(rule: Option<Rule>) {
    HERE.set(rule);
}

/// Breaks a rule in this thread, and in those that a store starts from it, until what is returned is dropped.
#[cfg(feature = "sabotage")]
pub fn break_rule(rule: Rule) -> Broken {
    HERE.set(Some(rule));
    Broken(PhantomData)
}

/// A rule is broken in this thread.
#[cfg(feature = "sabotage")]
#[derive(Debug)]
pub struct Broken(PhantomData<*const ()>);

#[cfg(feature = "sabotage")]
impl Drop for Broken {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

#[cfg(feature = "sabotage")]
pub(super) fn arm() -> Result<(), String> {
    let Ok(name) = std::env::var(VARIABLE) else { return Ok(()) };
    let Some(rule) = Rule::ALL.iter().find(|rule| rule.as_str() == name) else {
        let names: Vec<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
        return Err(format!("{VARIABLE}: no rule is called `{name}`; there are {}", names.join(", ")));
    };
    CHOSEN.get_or_init(|| *rule);
    tracing::warn!(rule = name, "this node breaks a rule on purpose; trust it with nothing");
    Ok(())
}

#[cfg(not(feature = "sabotage"))]
pub(super) fn arm() -> Result<(), String> {
    super::refuse(VARIABLE, "sabotage")
}
