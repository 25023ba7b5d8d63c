//! The project's own commands: `cargo xtask gen | tidy | ci`.

mod ci;
mod r#gen;
mod tidy;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sparrow's own commands")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write everything that is derived: messages from proto/, the API and configuration pages under docs/
    Gen,
    /// Check the rules of the house: dependency edges, sizes, module docs, links, generated files
    Tidy,
    /// Run everything that has to be green before a change lands
    Ci,
}

fn main() -> Result<()> {
    let root = workspace_root();
    match Args::parse().command {
        Command::Gen => r#gen::write_all(&root),
        Command::Tidy => tidy::check(&root),
        Command::Ci => ci::run(&root),
    }
}

fn workspace_root() -> PathBuf {
    let mut root = Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
    root.pop();
    root
}
