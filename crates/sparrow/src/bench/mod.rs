//! `sparrow bench`: which workload, on which node, and where the result goes. The workloads are in `sparrow-loadgen`.

mod args;
mod profile;
mod progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use sparrow_loadgen::node::Node;
use sparrow_loadgen::workload::{self, Bench};
use sparrow_loadgen::{Load, Outcome, Progress as _, report};

use args::{FormatArgs, LoadArgs};
use profile::Profile;
use progress::Bar;

/// Longer than the time after which a silent connection is pinged.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Which workload.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// What no server can beat: echo of the same frames without logic, and bare durable inserts
    Floor(LoadArgs),
    /// Pairs with both online: each send is acked and delivered
    Direct {
        #[command(flatten)]
        load: LoadArgs,
        /// Let recipients say five times a second what they got and read
        #[arg(long)]
        receipts: bool,
    },
    /// Groups of ten, everybody in four of them and online
    Groups(LoadArgs),
    /// One large group with everybody online
    Fanout(LoadArgs),
    /// One group in which everybody sends at once
    Hot {
        #[command(flatten)]
        load: LoadArgs,
        /// Connections that only send, and one that only reads
        #[arg(long)]
        send_only: bool,
    },
    /// Memory and processor time of the node for each idle, logged-in connection
    Idle(LoadArgs),
    /// All connections are cut at once and come back at once, each with ten missed messages
    Storm(LoadArgs),
    /// One user returns to very many missed messages
    Offline {
        #[command(flatten)]
        load: LoadArgs,
        /// Messages that were missed
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
        entries: u32,
        /// Conversations that they are in
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        conversations: u32,
    },
    /// Random pages of 50 from a large log
    History {
        #[command(flatten)]
        load: LoadArgs,
        /// Entries stored before, through the wire
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(5_000..))]
        entries: u32,
    },
    /// Transactions and time that sends take which are written at once
    Burst {
        /// Messages
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
        sends: u32,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Time of one durable send at a time, beside the time of a commit
    Latency {
        /// Messages
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..))]
        sends: u32,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Render results that `--json` wrote as one HTML page
    Report {
        /// The results
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The page
        #[arg(long, short, value_name = "FILE", default_value = "bench.html")]
        output: PathBuf,
    },
    /// The process whose processor time is the floor; `sparrow bench` starts it
    #[command(hide = true)]
    FloorServer,
}

/// Runs a workload and prints what was measured. Broken promises are a failure.
pub(crate) fn run(command: &BenchCommand) -> anyhow::Result<ExitCode> {
    if let BenchCommand::Report { files, output } = command {
        return render(files, output);
    }
    crate::serve::raise_descriptor_limit();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the threads of the load generator")?;
    match plan(command) {
        Some(plan) => measure(&runtime, command, &plan),
        None => runtime.block_on(quick(command)),
    }
}

/// The flags of a workload, and its load with the defaults that it has.
struct Plan<'a> {
    args: &'a LoadArgs,
    load: Load,
}

fn plan(command: &BenchCommand) -> Option<Plan<'_>> {
    let plan = |args, rate, connections| Plan { args, load: LoadArgs::load(args, rate, connections, false) };
    Some(match command {
        BenchCommand::Floor(args) => plan(args, 20_000.0, 2_000),
        BenchCommand::Direct { load: args, receipts } => Plan { args, load: args.load(10_000.0, 2_000, *receipts) },
        BenchCommand::Groups(args) => plan(args, 2_000.0, 2_500),
        BenchCommand::Fanout(args) => plan(args, 20.0, 5_000),
        BenchCommand::Hot { load: args, send_only: false } => plan(args, 2_000.0, 64),
        BenchCommand::Hot { load: args, send_only: true } => plan(args, 10_000.0, 64),
        BenchCommand::Idle(args) => {
            let load = Load { duration: args.duration.unwrap_or(HEARTBEAT), ..args.load(1.0, 10_000, false) };
            Plan { args, load }
        }
        BenchCommand::Storm(args) => plan(args, 1.0, 10_000),
        BenchCommand::Offline { load: args, .. } => plan(args, 1.0, 1),
        BenchCommand::History { load: args, .. } => plan(args, 500.0, 16),
        BenchCommand::Burst { .. }
        | BenchCommand::Latency { .. }
        | BenchCommand::Report { .. }
        | BenchCommand::FloorServer => return None,
    })
}

fn measure(
    runtime: &tokio::runtime::Runtime,
    command: &BenchCommand,
    Plan { args, load }: &Plan<'_>,
) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe()?;
    let bar = Bar::new();
    bar.stage("starting", 0);
    // Dropped, and with it the node, when this function returns.
    let (node, target, profile) = match &args.node.server {
        Some(url) => (None, args.node.target(url)?, "unknown"),
        None => {
            let node = Node::start(&program, args.node.profile.variables())?;
            let target = node.target;
            (Some(node), target, args.node.profile.as_str())
        }
    };
    let bench = Bench { target: &target, program: &program, load, profile, progress: &bar };
    let mut outcome = runtime.block_on(async {
        target.check().await?;
        workload(command, bench).await
    })?;
    drop((node, bar));
    outcome.notes.extend(args.remark());
    if let Some(file) = &args.json {
        let json = serde_json::to_vec_pretty(&outcome)?;
        std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    crate::print(&outcome.to_string())?;
    Ok(if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn workload(command: &BenchCommand, bench: Bench<'_>) -> anyhow::Result<Outcome> {
    let outcome = match command {
        BenchCommand::Floor(_) => Box::pin(workload::floor(bench)).await,
        BenchCommand::Direct { .. } => Box::pin(workload::direct(bench)).await,
        BenchCommand::Groups(_) => Box::pin(workload::groups(bench)).await,
        BenchCommand::Fanout(_) => Box::pin(workload::fanout(bench)).await,
        BenchCommand::Hot { send_only: false, .. } => Box::pin(workload::hot(bench)).await,
        BenchCommand::Hot { send_only: true, .. } => Box::pin(workload::hot_send_only(bench)).await,
        BenchCommand::Idle(_) => Box::pin(workload::idle(bench)).await,
        BenchCommand::Storm(_) => Box::pin(workload::storm(bench)).await,
        BenchCommand::Offline { entries, conversations, .. } => {
            Box::pin(workload::offline(bench, *entries as usize, *conversations as usize)).await
        }
        BenchCommand::History { entries, .. } => Box::pin(workload::history(bench, *entries as usize)).await,
        BenchCommand::Burst { .. }
        | BenchCommand::Latency { .. }
        | BenchCommand::Report { .. }
        | BenchCommand::FloorServer => anyhow::bail!("this is no workload with a plan"),
    };
    Ok(outcome?)
}

/// The commands whose result is a line.
async fn quick(command: &BenchCommand) -> anyhow::Result<ExitCode> {
    let line = match command {
        BenchCommand::Burst { sends, format } => {
            let node = started()?;
            let burst = workload::burst(&node.target, format.formats().of(0), *sends as usize).await?;
            format!("{} sends were acked in {:?} with {} commits\n", burst.sends, burst.took, burst.commits)
        }
        BenchCommand::Latency { sends, format } => {
            let node = started()?;
            let latency = workload::latency(&node.target, format.formats().of(0), *sends as usize).await?;
            format!(
                "{} durable sends, one at a time: median {:?}, p99 {:?}; median commit {:?}\n",
                latency.sends, latency.median, latency.p99, latency.median_commit
            )
        }
        _ => {
            sparrow_loadgen::serve_floor().await?;
            String::new()
        }
    };
    crate::print(&line)?;
    Ok(ExitCode::SUCCESS)
}

fn started() -> anyhow::Result<Node> {
    Ok(Node::start(&std::env::current_exe()?, Profile::Bench.variables())?)
}

fn render(files: &[PathBuf], output: &Path) -> anyhow::Result<ExitCode> {
    let mut outcomes = Vec::with_capacity(files.len());
    for file in files {
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let outcome: Outcome = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no result: give files that `--json` wrote", file.display()))?;
        outcomes.push(outcome);
    }
    std::fs::write(output, report::page(&outcomes)).with_context(|| format!("cannot write {}", output.display()))?;
    crate::print(&format!("wrote {}\n", output.display()))?;
    Ok(ExitCode::SUCCESS)
}
