//! The full-screen client, from the command line's side: its options, and what is said when it is left.

use std::io::IsTerminal as _;

use sparrow_client::{Client, LogOutReason};
use sparrow_tui::{Exit, Options};

use super::language::{Language, Text};
use super::output::complain;
use super::{ChatArgs, FAILED, OK, Quit, REFUSED};

/// True if a person sits at a terminal and did not ask for plain lines.
pub(super) fn is_wanted(args: &ChatArgs) -> bool {
    !args.plain && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Chats full-screen until the user leaves; answers the exit code.
pub(super) async fn run(client: &Client, args: &ChatArgs, language: Language) -> Result<u8, Quit> {
    let screen = match language {
        Language::En => sparrow_tui::Language::English,
        Language::Zh => sparrow_tui::Language::Chinese,
    };
    let options = Options { language: screen, mouse: args.mouse, ..Options::of_environment(args.server.clone()) };
    let exit = sparrow_tui::run(client.clone(), options).await;
    let unsent = client.outbox().await?.len();
    if unsent > 0 {
        complain(&language.text(Text::Unsent, &[&unsent.to_string()]));
    }
    match exit.map_err(|error| Quit { code: FAILED, message: error.to_string() })? {
        Exit::LoggedOut(reason) => {
            let why = match &reason {
                LogOutReason::Server(word) => word,
                LogOutReason::Requested => "requested",
                _ => "unauthenticated",
            };
            Err(Quit { code: REFUSED, message: language.text(Text::LoggedOut, &[why]) })
        }
        Exit::Quit | Exit::Terminated => Ok(OK),
    }
}
