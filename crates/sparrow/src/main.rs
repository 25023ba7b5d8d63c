//! The `sparrow` binary: the commands, and what a process does around them (allocator, log, exit code).
//!
//! What a node does is in `sparrow-server`; how a client behaves is in `sparrow-client`.

mod bench;
mod chat;
mod config;
mod logging;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use bench::BenchCommand;
use config::ConfigArgs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An instant-messaging server and its clients. Without a command it serves, like `sparrow serve`.
#[derive(Debug, Parser)]
#[command(version = env!("SPARROW_VERSION"), args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve(ConfigArgs),
    /// Measure a node: one of this binary that is started for it, or with `--server` another
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Chat in the terminal
    Chat(chat::ChatArgs),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write the description of the HTTP API (OpenAPI, as JSON) to standard output
    Openapi,
    /// Write the completion script of a shell to standard output
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say `ok`, or everything that is wrong
    Check(ConfigArgs),
    /// Write the effective configuration as a file, with explanations
    Print(ConfigArgs),
    /// Write docs/configuration.md
    #[command(hide = true)]
    Reference,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None => serve::run(&cli.config)?,
        Some(Command::Serve(config)) => serve::run(&config)?,
        Some(Command::Chat(args)) => return tokio::runtime::Runtime::new()?.block_on(chat::run(args)),
        Some(Command::Bench(command)) => return bench::run(&command),
        Some(Command::Config(command)) => run_config(&command)?,
        Some(Command::Openapi) => print(&sparrow_server::openapi())?,
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "sparrow", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_config(command: &ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check(args) => {
            config::load(args)?;
            print("ok\n")
        }
        ConfigCommand::Print(args) => print(&config::effective(&config::load(args)?)),
        ConfigCommand::Reference => print(&config::reference()),
    }
}

/// Writes to standard output; a reader that has left is an error like any other, not a panic.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes an error with its causes to standard error, a line each.
fn report(error: &anyhow::Error) {
    for line in format!("{error:#}").lines() {
        // Nobody is left to be told that standard error is closed.
        if writeln!(std::io::stderr(), "sparrow: {line}").is_err() {
            return;
        }
    }
}
