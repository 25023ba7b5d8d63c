//! End-to-end tests against the real binary, one module per promise.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, wherever it is written")]

mod command_line;
