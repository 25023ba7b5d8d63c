//! `sparrow chat`: arguments, logging in, exit codes. What is typed and shown is in `plain`, and
//! full-screen in `sparrow-tui`.

mod input;
mod login;
mod names;
mod output;
mod plain;
mod screen;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use sparrow_tui::Language;

/// Nothing went wrong.
const OK: u8 = 0;
/// Something did, or something is not sent.
const FAILED: u8 = 1;
/// The command line does not say enough.
const USAGE: u8 = 2;
/// The server does not let this user in.
const REFUSED: u8 = 3;

/// How frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// WebSocket, at the server's URL
    Ws,
    /// TCP, at --tcp
    Tcp,
}

/// How frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FrameCodec {
    /// Protobuf
    Proto,
    /// JSON
    Json,
}

const AFTER_HELP: &str = "\
Plain mode reads lines: text is sent to the open conversation, `:all` lists the commands. What it writes, a line each:

  [#12 ann→lobby 14:03] text          a message: number, sender, conversation, time
  [#13 bob→ann 14:04 sent] text       one's own, once it is durable
  * waiting →ann: text                one's own, kept until there is a connection
  * delivered →ann #13 by ann         received, up to this number; `read` likewise
  * failed →ann: reason               refused for good; :retry sends it again, :discard gives it up
  * ...                               anything else worth knowing

Changes of the connection go to standard error. At the end of piped input, chat waits until everything is sent.
Exit codes: 0 all right, 1 an error or something is not sent, 2 wrong use, 3 the login was refused.";

/// Chat in the terminal
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ChatArgs {
    /// The server's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7700", env = "SPARROW_SERVER")]
    server: String,
    /// Trust a server with TLS only if its certificate comes from an authority in this file, in PEM
    #[arg(long, value_name = "FILE", env = "SPARROW_CA")]
    ca: Option<PathBuf>,
    /// Who you are
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Read the password from the first line of this file, instead of SPARROW_PASSWORD or the terminal
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Make the account if it does not exist
    #[arg(long)]
    register: bool,
    /// Read and write plain lines, as is done without a terminal
    #[arg(long)]
    plain: bool,
    /// Let the mouse choose conversations and scroll; selecting text then needs Shift
    #[arg(long)]
    mouse: bool,
    /// Where to keep tokens, cache and unsent messages [default: sparrow in the user's data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to connect
    #[arg(long, value_enum, default_value = "ws")]
    transport: Transport,
    /// The server's TCP address for --transport tcp [default: port 7701 of the server]
    #[arg(long, value_name = "HOST:PORT")]
    tcp: Option<String>,
    /// How frames are written
    #[arg(long, value_enum, default_value = "proto")]
    codec: FrameCodec,
    /// The language [default: that of LANG]
    #[arg(long, value_parser = PossibleValuesParser::new(["en", "zh"]).map(|name| Language::of_locale(&name)))]
    lang: Option<Language>,
}

/// Why chat cannot go on, with the exit code that says so.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Quit {
    code: u8,
    message: String,
}

impl Quit {
    fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    fn refused(message: impl Into<String>) -> Self {
        Self { code: REFUSED, message: message.into() }
    }
}

impl From<sparrow_client::Error> for Quit {
    fn from(error: sparrow_client::Error) -> Self {
        let code = match error {
            sparrow_client::Error::LoggedOut => REFUSED,
            sparrow_client::Error::Invalid(_) => USAGE,
            _ => FAILED,
        };
        Self { code, message: error.to_string() }
    }
}

impl From<std::io::Error> for Quit {
    fn from(error: std::io::Error) -> Self {
        Self { code: FAILED, message: error.to_string() }
    }
}

/// Chats until the user quits.
///
/// # Errors
/// None that is expected: what goes wrong is explained on standard error, and the exit code tells what it was.
pub(crate) async fn run(args: ChatArgs) -> anyhow::Result<ExitCode> {
    let language = args.lang.unwrap_or_else(Language::of_environment);
    let code = match chat(args, language).await {
        Ok(code) => code,
        Err(quit) => {
            output::complain(&quit.message);
            quit.code
        }
    };
    Ok(ExitCode::from(code))
}

async fn chat(args: ChatArgs, language: Language) -> Result<u8, Quit> {
    let texts = language.texts();
    let client = login::client(&args, texts).await?;
    let outcome = if screen::is_wanted(&args) {
        screen::run(&client, &args, language).await
    } else {
        plain::run(&client, texts).await
    };
    client.close().await;
    outcome
}
