//! A whole node through its sockets.
#![expect(clippy::unwrap_used, reason = "a test may panic wherever it stands")]

mod chat;
mod slow_session;
mod support;
mod websocket;
