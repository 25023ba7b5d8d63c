//! Promises under faults that a release cannot be given: nodes that fail at a chosen step, nodes that break a rule, and
//! what needs root or libfaketime. Only in builds with the features `failpoints` and `sabotage`; `cargo xtask ci` makes
//! and runs one.

mod failpoints;
mod machine;
mod sabotage;
