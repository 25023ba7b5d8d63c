//! `cargo xtask ci`: everything that has to be green, in the order in which it is cheapest to fail.
//!
//! What a step needs and the machine lacks fails by name, with the cure; nothing is skipped.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

struct Step {
    name: &'static str,
    command: &'static [&'static str],
    /// What to do if the program is not there.
    cure: &'static str,
    env: &'static [(&'static str, &'static str)],
}

const RUST: &str = "install Rust from rustup.rs";

const STEPS: &[Step] = &[
    Step { name: "format", command: &["cargo", "fmt", "--all", "--check"], cure: RUST, env: &[] },
    Step { name: "tidy", command: &["cargo", "xtask", "tidy"], cure: RUST, env: &[] },
    Step {
        name: "lints",
        command: &["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"],
        cure: "rustup component add clippy",
        env: &[],
    },
    Step { name: "tests", command: &["cargo", "test", "--workspace", "--locked"], cure: RUST, env: &[] },
    Step {
        name: "lints of what is behind features",
        command: &[
            "cargo",
            "clippy",
            "--package",
            "sparrow",
            "--package",
            "sparrow-server",
            "--package",
            "sparrow-store",
            "--all-targets",
            "--features",
            "failpoints,sabotage",
            "--locked",
            "--",
            "--deny",
            "warnings",
        ],
        cure: "rustup component add clippy",
        env: &[],
    },
    // Power cuts need root, `mkfs.ext4` and a loop device; skewed clocks need libfaketime. What is missing fails by name.
    Step {
        name: "faults and sabotage",
        command: &[
            "cargo",
            "test",
            "--package",
            "sparrow",
            "--features",
            "failpoints,sabotage",
            "--test",
            "promises",
            "--locked",
            "faults::",
        ],
        cure: "run it as root on Linux, with the packages e2fsprogs and faketime",
        env: &[],
    },
    Step {
        name: "random histories, of a store that breaks rules",
        command: &[
            "cargo",
            "test",
            "--package",
            "sparrow-store",
            "--features",
            "failpoints,sabotage",
            "--lib",
            "--locked",
            "sabotage::",
        ],
        cure: RUST,
        env: &[],
    },
    Step {
        name: "simulation",
        command: &[
            "cargo",
            "test",
            "--package",
            "sparrow-server",
            "--features",
            "failpoints,sabotage",
            "--lib",
            "--locked",
            "simulation::",
        ],
        cure: RUST,
        env: &[("SPARROW_SIMULATION_SEEDS", "200")],
    },
    Step {
        name: "docs",
        command: &["cargo", "doc", "--workspace", "--no-deps", "--locked"],
        cure: RUST,
        env: &[("RUSTDOCFLAGS", "--deny warnings")],
    },
    Step {
        name: "licences, bans, sources",
        command: &["cargo", "deny", "--log-level", "error", "check", "bans", "licenses", "sources"],
        cure: "cargo install --locked cargo-deny",
        env: &[],
    },
];

/// Runs all steps; the first that fails ends the run.
pub(crate) fn run(root: &Path) -> Result<()> {
    require("cargo-deny", "cargo install --locked cargo-deny")?;
    let begin = Instant::now();
    for (number, step) in STEPS.iter().enumerate() {
        let started = Instant::now();
        say(&format!("[{}/{}] {}: {}", number + 1, STEPS.len(), step.name, step.command.join(" ")));
        let (program, arguments) = step.command.split_first().context("a step without a command")?;
        let status = Command::new(program)
            .args(arguments)
            .envs(step.env.iter().copied())
            .current_dir(root)
            .status()
            .with_context(|| format!("cannot run `{program}`; {}", step.cure))?;
        if !status.success() {
            bail!("step `{}` failed: {}", step.name, step.command.join(" "));
        }
        say(&format!("[{}/{}] {}: ok in {:.0?}", number + 1, STEPS.len(), step.name, started.elapsed()));
    }
    say(&format!("all {} steps ok in {:.0?}", STEPS.len(), begin.elapsed()));
    Ok(())
}

/// Fails before the long steps begin if a program is not there.
fn require(program: &str, cure: &str) -> Result<()> {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        bail!("`{program}` is not installed; run `{cure}`");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "progress of a command line tool")]
fn say(line: &str) {
    println!("{line}");
}
