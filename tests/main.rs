//! End-to-end tests against the real binary, one module per promise.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, wherever it is written")]

mod bench;
mod chaos;
mod chat;
mod command_line;
mod complete;
mod damaged_row;
mod duplicate_send;
mod durable_ack;
#[cfg(all(feature = "failpoints", feature = "sabotage"))]
mod faults;
mod first_landing;
mod full_screen;
mod hardening;
mod isolated;
mod metrics;
mod monotone;
mod ordering;
mod paced;
mod people;
mod private;
mod process;
mod proxies;
mod receipts;
mod roles;
mod several_devices;
mod support;
mod tls;
mod tokens;
