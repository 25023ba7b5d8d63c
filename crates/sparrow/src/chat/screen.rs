//! The full-screen client, from the command line's side: its options, and what is said when it is left.

use std::io::IsTerminal as _;

use sparrow_client::Client;
use sparrow_tui::locale::fill;
use sparrow_tui::{Exit, Language, Options};

use super::output::complain;
use super::{ChatArgs, FAILED, OK, Quit, REFUSED};

/// True if a person sits at a terminal and did not ask for plain lines.
pub(super) fn is_wanted(args: &ChatArgs) -> bool {
    !args.plain && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Chats full-screen until the user leaves; answers the exit code.
pub(super) async fn run(client: &Client, args: &ChatArgs, language: Language) -> Result<u8, Quit> {
    let texts = language.texts();
    let options = Options { language, mouse: args.mouse, ..Options::of_environment(args.server.clone()) };
    let exit = sparrow_tui::run(client.clone(), options).await;
    let unsent = client.outbox().await?.len();
    if unsent > 0 {
        complain(&fill(texts.left_unsent, &[&unsent.to_string()]));
    }
    match exit.map_err(|error| Quit { code: FAILED, message: error.to_string() })? {
        Exit::LoggedOut(reason) => Err(Quit { code: REFUSED, message: texts.over(&reason) }),
        Exit::Quit | Exit::Terminated => Ok(OK),
    }
}
