//! The full-screen terminal client. It draws and takes keys; everything else is the SDK's.
//!
//! Three parts of it are pure and know neither terminal nor network: `state` (an event goes in, effects come out),
//! `view` (a state is drawn) and `input` (a key becomes an action). `run` owns the terminal and the client and joins
//! them. [`command`], [`emoji`], [`locale`] and [`text`] are shared with plain chat, so that both understand the same lines
//! and say the same words.

pub mod command;
mod effects;
pub mod emoji;
mod geometry;
mod input;
pub mod locale;
mod rows;
mod run;
mod search;
mod state;
mod terminal;
#[cfg(test)]
mod testing;
pub mod text;
mod view;

use sparrow_client::LogOutReason;

pub use locale::Language;
pub use run::run;

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The server's address, to show.
    pub server_url: String,
    /// The group to open first, if the user is in it; else the conversation that was active last.
    pub first: String,
    /// The language of the screen.
    pub language: Language,
    /// False: bold and reverse instead of colours.
    pub colour: bool,
    /// True: the mouse chooses conversations and scrolls; the terminal's own selection then needs Shift.
    pub mouse: bool,
}

impl Options {
    /// English or Chinese by the locale, colours unless `NO_COLOR` is set to something, no mouse, the `lobby` first.
    pub fn of_environment(server_url: String) -> Self {
        Self {
            server_url,
            first: "lobby".to_owned(),
            language: Language::of_environment(),
            colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            mouse: false,
        }
    }
}

/// Why the screen was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The user asked for it.
    Quit,
    /// The server no longer accepts this device; why.
    LoggedOut(LogOutReason),
    /// The process was told to end, or its terminal went away.
    Terminated,
}

/// Why the screen could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The terminal could not be read or written.
    #[error("cannot use the terminal: {0}; try again with --plain")]
    Terminal(#[from] std::io::Error),
    /// The SDK failed before there was a screen.
    #[error(transparent)]
    Client(#[from] sparrow_client::Error),
}
