//! The SDK against a scripted server, which pins what is said on the wire.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod connection;
mod endings;
mod fake;
mod store;
