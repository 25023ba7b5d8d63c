//! The full-screen terminal client. It draws and takes keys; everything else is the SDK's.
//!
//! Three parts of it are pure and know neither terminal nor network: `state` (an event goes in, effects come out),
//! `view` (a state is drawn) and `input` (a key becomes an action). `run` owns the terminal and the client and joins
//! them. [`command`], [`emoji`] and [`text`] are shared with plain chat, so that both understand the same lines.

pub mod command;
pub mod emoji;
pub mod text;
